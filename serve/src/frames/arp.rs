//! Where an IPv4 address is (RFC 826, on Ethernet).

use std::net::Ipv4Addr;

const ETHERNET: [u8; 2] = [0, 1];
const IPV4: [u8; 2] = [8, 0];
const LENGTHS: [u8; 2] = [6, 4];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// A packet of ARP; what follows it in a frame is padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    operation: u16,
    pub(super) sender_mac: [u8; 6],
    pub(super) sender: Ipv4Addr,
    target_mac: [u8; 6],
    pub(super) target: Ipv4Addr,
}

impl Packet {
    pub(super) const LEN: usize = 28;

    /// `None` if it is too short, or not about IPv4 on Ethernet.
    pub(super) fn parse(bytes: &[u8]) -> Option<Packet> {
        let bytes: &[u8; Packet::LEN] = bytes.first_chunk()?;
        if bytes[..2] != ETHERNET || bytes[2..4] != IPV4 || bytes[4..6] != LENGTHS {
            return None;
        }
        Some(Packet {
            operation: u16::from_be_bytes([bytes[6], bytes[7]]),
            sender_mac: bytes[8..14].try_into().ok()?,
            sender: octets(&bytes[14..18])?.into(),
            target_mac: bytes[18..24].try_into().ok()?,
            target: octets(&bytes[24..28])?.into(),
        })
    }

    pub(super) fn emit(&self) -> [u8; Packet::LEN] {
        let mut bytes = [0; Packet::LEN];
        bytes[..2].copy_from_slice(&ETHERNET);
        bytes[2..4].copy_from_slice(&IPV4);
        bytes[4..6].copy_from_slice(&LENGTHS);
        bytes[6..8].copy_from_slice(&self.operation.to_be_bytes());
        bytes[8..14].copy_from_slice(&self.sender_mac);
        bytes[14..18].copy_from_slice(&self.sender.octets());
        bytes[18..24].copy_from_slice(&self.target_mac);
        bytes[24..28].copy_from_slice(&self.target.octets());
        bytes
    }

    pub(super) fn is_request(&self) -> bool {
        self.operation == REQUEST
    }

    pub(super) fn is_reply(&self) -> bool {
        self.operation == REPLY
    }

    /// The answer to a request: its target is at `mac`.
    pub(super) fn answer(&self, mac: [u8; 6]) -> Packet {
        Packet {
            operation: REPLY,
            sender_mac: mac,
            sender: self.target,
            target_mac: self.sender_mac,
            target: self.sender,
        }
    }
}

fn octets(bytes: &[u8]) -> Option<[u8; 4]> {
    bytes.try_into().ok()
}
