//! Where they compete: two hosts and one wire, new for each contender, and what is wrong with that wire.

use super::contender::Tests;
use anyhow::{Context, Result};
use clap::ValueEnum;
use halloo_lab::{Direction, Fate, Host, Lab, Link, Side, Traffic};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// The network inside every overlay, 24 bits.
const INSIDE: [u8; 3] = [192, 168, 91];

/// What is wrong with the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Condition {
    /// Nothing.
    Plain,
    /// Its devices neither cut nor join: no GSO, TSO, GRO, and no UDP segmentation, as with a plain network card.
    NoGso,
    /// One in a hundred of what it is handed is lost, however long that is.
    Loss,
    /// Both: one in a hundred packets of the wire's own length is lost.
    NoGsoLoss,
}

/// All, in the order in which they are gone through.
pub(crate) const CONDITIONS: [Condition; 4] = [
    Condition::Plain,
    Condition::NoGso,
    Condition::Loss,
    Condition::NoGsoLoss,
];

impl Condition {
    /// For tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Condition::Plain => "as it is",
            Condition::NoGso => "underlay without GSO",
            Condition::Loss => "1 % loss (of super-packets, where there are such)",
            Condition::NoGsoLoss => "1 % loss, underlay without GSO (of packets)",
        }
    }

    /// Its key in the JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Condition::Plain => "plain",
            Condition::NoGso => "no-gso",
            Condition::Loss => "loss",
            Condition::NoGsoLoss => "no-gso-loss",
        }
    }

    /// What makes sense under it: a rate without loss and round trips do not where a hundredth is lost.
    pub(crate) fn tests(self) -> Tests {
        match self {
            Condition::Plain | Condition::NoGso => Tests::ALL,
            Condition::Loss | Condition::NoGsoLoss => Tests::TCP | Tests::FILE | Tests::ZMQ,
        }
    }

    fn cuts(self) -> bool {
        matches!(self, Condition::Plain | Condition::Loss)
    }

    fn loses(self) -> bool {
        matches!(self, Condition::Loss | Condition::NoGsoLoss)
    }
}

/// Two hosts joined by a veth pair.
pub(crate) struct Ground {
    link: Link,
    folder: PathBuf,
    /// Removes it all.
    _lab: Lab,
}

/// One of the two ends, with what it must know to join an overlay.
#[derive(Clone, Copy)]
pub(crate) struct Seat<'a> {
    pub(crate) host: &'a Host,
    /// `a` or `b`.
    pub(crate) letter: &'static str,
    /// 1 or 2.
    pub(crate) number: u8,
    /// The wire's device.
    pub(crate) device: &'a str,
    /// Its own address on the wire.
    pub(crate) at: Ipv4Addr,
    /// The other's.
    pub(crate) other: Ipv4Addr,
}

impl Seat<'_> {
    /// Its address inside the overlay.
    pub(crate) fn inside(&self) -> Ipv4Addr {
        inside(self.number)
    }

    /// The other end's letter.
    pub(crate) fn other_letter(&self) -> &'static str {
        if self.letter == "a" { "b" } else { "a" }
    }

    /// Runs `ip` with the words of this line.
    pub(crate) fn ip(&self, line: &str) {
        self.host.must("ip", line.split_whitespace());
    }

    /// Lets all TCP through this device be cubic, whatever this machine's default is. The sysctl of a namespace cannot
    /// choose an algorithm that the machine reserves for root; a route can.
    pub(crate) fn cubic(&self, device: &str, own: Ipv4Addr) {
        let [a, b, c, _] = own.octets();
        self.ip(&format!(
            "route replace {a}.{b}.{c}.0/24 dev {device} proto kernel scope link src {own} congctl cubic"
        ));
    }
}

/// An end's address inside the overlay.
pub(crate) fn inside(number: u8) -> Ipv4Addr {
    let [a, b, c] = INSIDE;
    Ipv4Addr::new(a, b, c, number)
}

impl Ground {
    /// Lays it; `folder` is for files of whoever comes, and is made.
    pub(crate) fn new(folder: &Path) -> Result<Ground> {
        let lab = Lab::new("an overlay beside its peers")?;
        let link = lab.link(&lab.host("a"), &lab.host("b"));
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let ground = Ground {
            link,
            folder: folder.to_owned(),
            _lab: lab,
        };
        for seat in ground.seats() {
            // VpnCloud will not start where there is none.
            seat.host.route("default", seat.other.into());
            // ... but what is for the inside goes there or nowhere, also before a device is there and after it is gone.
            let [a, b, c] = INSIDE;
            seat.ip(&format!("route add blackhole {a}.{b}.{c}.0/24 metric 4000"));
        }
        Ok(ground)
    }

    /// A file of the present contender.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Both ends: the first sends, the second receives.
    pub(crate) fn seats(&self) -> [Seat<'_>; 2] {
        let (a, b) = (self.link.a(), self.link.b());
        [
            Seat {
                host: a.host(),
                letter: "a",
                number: 1,
                device: a.device(),
                at: a.v4(),
                other: b.v4(),
            },
            Seat {
                host: b.host(),
                letter: "b",
                number: 2,
                device: b.device(),
                at: b.v4(),
                other: a.v4(),
            },
        ]
    }

    /// How many packets the wire has lost since it was set.
    #[cfg(test)]
    pub(crate) fn lost(&self) -> u64 {
        self.link.dropped(Direction::AToB)
    }

    /// Makes the wire so.
    pub(crate) fn set(&self, condition: Condition) {
        for side in [Side::A, Side::B] {
            let end = self.link.end(side);
            let on = if condition.cuts() { "on" } else { "off" };
            // A veth does not join unless it is told to; a machine may have other defaults.
            let words = format!(
                "-K {} gso {on} tso {on} tx-udp-segmentation {on} gro off",
                end.device()
            );
            end.host().must("ethtool", words.split_whitespace());
        }
        for direction in [Direction::AToB, Direction::BToA] {
            let fate = if condition.loses() {
                Fate::Lose(0.01)
            } else {
                Fate::Pass
            };
            self.link.fate(direction, Traffic::Ip, fate);
        }
    }
}
