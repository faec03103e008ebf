//! What the tests of this folder share: the captured packets, and names out of texts.

mod elements;
mod keys;
mod malformed;
mod names;
mod properties;
mod vectors;

use super::*;

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
