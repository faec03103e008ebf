//! What the tests of this folder share: the captured packets, names out of texts, a clock that stands still.

mod control;
mod elements;
mod face;
mod fragments;
mod keys;
mod malformed;
mod names;
mod prober;
mod properties;
mod registration;
mod server;
mod status;
mod vectors;

use super::*;
use halloo_base::{Clock, Datagram, Env, LinkId, Marks, Mono, Offload, Path, Rng, Stamp, StampSource, Wall};

const VECTORS: &str = include_str!("vectors.txt");

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("hex") as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// All captured packets with their names.
pub(super) fn vectors() -> Vec<(&'static str, Vec<u8>)> {
    let mut all: Vec<(&str, String)> = Vec::new();
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        match (line.strip_suffix(':'), all.last_mut()) {
            (Some(name), _) => all.push((name, String::new())),
            (None, Some((_, text))) => text.push_str(line),
            (None, None) => {}
        }
    }
    all.into_iter().map(|(name, text)| (name, hex(&text))).collect()
}

/// The captured packet of this name.
pub(super) fn vector(name: &str) -> Vec<u8> {
    let found = vectors().into_iter().find(|(known, _)| *known == name);
    found.expect("a known vector").1
}

pub(super) fn named(uri: &str) -> NameBuf {
    uri.parse().expect("a name")
}

/// The packet written again from what was read.
pub(super) fn again(packet: &Packet<'_>) -> Vec<u8> {
    let (nack, network) = match &packet.content {
        Content::Interest(interest) => (None, tlv::written(|writer| interest.emit(writer))),
        Content::Nack(reason, interest) => (Some(*reason), tlv::written(|writer| interest.emit(writer))),
        Content::Data(data) => (None, tlv::written(|writer| data.emit(writer))),
        Content::Fragment(lp) => return tlv::written(|writer| lp.emit(writer)).expect("room"),
        Content::Idle => (None, Ok(Vec::new())),
    };
    let network = network.expect("room");
    if packet.pit_token.is_none() && nack.is_none() {
        return network;
    }
    let lp = LpPacket {
        pit_token: packet.pit_token,
        nack,
        fragment: Some(&network),
        ..LpPacket::default()
    };
    tlv::written(|writer| lp.emit(writer)).expect("room")
}

/// So many nanoseconds after the start of the story.
pub(super) fn stamp(mono: u64) -> Stamp {
    Stamp {
        mono: Mono(mono),
        wall: Wall(1_795_187_109_000_000_000 + mono),
        source: StampSource::Kernel,
    }
}

struct StandingClock(u64);

impl Clock for StandingClock {
    fn stamp(&self) -> Stamp {
        stamp(self.0)
    }
}

/// Calls `f` with surroundings in which it is `mono`.
pub(super) fn with_env<T>(mono: u64, f: impl FnOnce(&mut Env<'_>) -> T) -> T {
    f(&mut Env {
        now: Mono(mono),
        clock: &StandingClock(mono),
        rng: &mut Rng::new(mono),
    })
}

/// A datagram that arrived at `mono`.
pub(super) fn datagram(mono: u64, payload: &[u8]) -> Datagram<'_> {
    Datagram {
        path: Path {
            link: LinkId(2),
            local: "198.51.100.1:6363".parse().expect("an address"),
            remote: "192.0.2.33:40000".parse().expect("an address"),
        },
        at: stamp(mono),
        marks: Marks::default(),
        payload,
        offload: Offload::default(),
    }
}
