//! What becomes of packets on a link: passed, lost, refused, or slowed to a rate.

use crate::link::{Direction, End, Link};

/// Which packets are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Traffic {
    /// Every IP packet. ARP is never touched, so that a link without loss can be told from one that forgot it.
    Ip,
    /// UDP only.
    Udp,
    /// TCP only.
    Tcp,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// It arrives.
    Pass,
    /// It vanishes with this probability (0.0 to 1.0, in steps of a millionth), each on its own.
    Lose(f64),
    /// It vanishes.
    Drop,
    /// It vanishes, and its sender is told so by ICMP "port unreachable".
    Reject,
}

/// A rate in one direction, held by a token bucket (`tbf`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bits a second, Ethernet headers included.
    pub bits_per_second: u64,
    /// How many bytes may pass at once; at least one frame.
    pub burst: u32,
    /// How many bytes may wait; what comes on top is dropped.
    pub queue: u32,
}

impl Rate {
    /// A rate with a burst of two frames and a queue of 64 KiB.
    pub fn new(bits_per_second: u64) -> Rate {
        Rate {
            bits_per_second,
            burst: 3_200,
            queue: 65_536,
        }
    }
}

impl Traffic {
    fn selector(self) -> &'static str {
        match self {
            Traffic::Ip => "meta protocol { ip, ip6 }",
            Traffic::Udp => "meta l4proto udp",
            Traffic::Tcp => "meta l4proto tcp",
        }
    }

    /// Whether an IP packet with this protocol number is meant (`None`: a later fragment, which names none).
    pub(crate) fn has(self, protocol: Option<u8>) -> bool {
        match self {
            Traffic::Ip => true,
            Traffic::Udp => protocol == Some(17),
            Traffic::Tcp => protocol == Some(6),
        }
    }
}

impl Link {
    /// Decides what becomes of the packets that go one way; a later call replaces an earlier one of that direction.
    ///
    /// It happens where they arrive, before that host's IP layer but after captures there. The sender sees nothing
    /// of it, as with a real loss.
    ///
    /// # Panics
    /// When a probability is not between 0 and 1, or the kernel refuses.
    #[track_caller]
    pub fn fate(&self, direction: Direction, traffic: Traffic, fate: Fate) {
        let verdict = match fate {
            Fate::Pass => None,
            Fate::Drop => Some("counter drop".to_owned()),
            Fate::Reject => Some("counter reject with icmpx type port-unreachable".to_owned()),
            Fate::Lose(share) => {
                assert!((0.0..=1.0).contains(&share), "{share} is no probability");
                let millionths = (share * 1e6).round();
                Some(format!("numgen random mod 1000000 < {millionths} counter drop"))
            }
        };
        // nft takes `< 0` for an error rather than for never.
        let verdict = verdict.filter(|_| fate != Fate::Lose(0.0));
        let end = self.end(direction.receiver());
        let rule = verdict
            .map(|verdict| format!("{} {verdict}", traffic.selector()))
            .unwrap_or_default();
        let (table, device) = (table(end), end.device());
        end.host().nft(&format!(
            "table netdev {table}\n\
             delete table netdev {table}\n\
             table netdev {table} {{\n\
                 chain arriving {{\n\
                     type filter hook ingress device \"{device}\" priority 0\n\
                     {rule}\n\
                 }}\n\
             }}\n"
        ));
    }

    /// How many packets the present [`Link::fate`] of a direction has dropped or rejected.
    #[track_caller]
    pub fn dropped(&self, direction: Direction) -> u64 {
        let end = self.end(direction.receiver());
        let listing = end.host().must("nft", ["list", "table", "netdev", &table(end)]);
        let count = listing
            .split_once("counter packets ")
            .and_then(|(_, rest)| rest.split(' ').next());
        count.map_or(0, |count| {
            count.parse().expect("nft prints a counter as a number")
        })
    }

    /// Holds one direction to a rate, or lifts the limit. It acts where packets leave.
    #[track_caller]
    pub fn rate(&self, direction: Direction, rate: Option<Rate>) {
        let end = self.end(direction.sender());
        let device = end.device();
        let Some(Rate {
            bits_per_second,
            burst,
            queue,
        }) = rate
        else {
            // There may be none to delete.
            end.host().run("tc", ["qdisc", "delete", "dev", device, "root"]);
            return;
        };
        let (rate, burst, queue) = (
            format!("{bits_per_second}bit"),
            burst.to_string(),
            queue.to_string(),
        );
        let tbf = ["tbf", "rate", &rate, "burst", &burst, "limit", &queue];
        end.host().must(
            "tc",
            ["qdisc", "replace", "dev", device, "root"].iter().chain(&tbf),
        );
    }
}

fn table(end: &End) -> String {
    format!("lab_{}", end.device())
}
