//! The fourteen bytes before a packet (IEEE 802.3 section 3.1.1).

/// Types of what follows.
pub(super) const IPV4: u16 = 0x0800;
pub(super) const ARP: u16 = 0x0806;
pub(super) const IPV6: u16 = 0x86dd;

/// Everybody on the segment.
pub(super) const BROADCAST: [u8; 6] = [0xff; 6];

/// An Ethernet header without a VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) destination: [u8; 6],
    pub(super) source: [u8; 6],
    pub(super) kind: u16,
}

impl Header {
    pub(super) const LEN: usize = 14;

    /// The header of a frame, and what follows it; `None` if the frame is too short for one.
    pub(super) fn parse(frame: &[u8]) -> Option<(Header, &[u8])> {
        let (destination, rest) = frame.split_first_chunk()?;
        let (source, rest) = rest.split_first_chunk()?;
        let (kind, packet) = rest.split_first_chunk()?;
        let header = Header {
            destination: *destination,
            source: *source,
            kind: u16::from_be_bytes(*kind),
        };
        Some((header, packet))
    }

    pub(super) fn emit(&self) -> [u8; Header::LEN] {
        let mut bytes = [0; Header::LEN];
        bytes[..6].copy_from_slice(&self.destination);
        bytes[6..12].copy_from_slice(&self.source);
        bytes[12..].copy_from_slice(&self.kind.to_be_bytes());
        bytes
    }

    /// The header of an answer: to where this one came from, from `mac`.
    pub(super) fn answer(&self, mac: [u8; 6]) -> [u8; Header::LEN] {
        let answer = Header {
            destination: self.source,
            source: mac,
            kind: self.kind,
        };
        answer.emit()
    }

    /// Whether the source is one that an answer can go to: one station, and not ourselves, whose address is `mac`.
    pub(super) fn has_honest_source(&self, mac: [u8; 6]) -> bool {
        is_unicast(self.source) && self.source != [0; 6] && self.source != mac
    }
}

/// Whether a MAC address names one station (the group bit, IEEE 802 section 8.2.2).
pub(super) fn is_unicast(mac: [u8; 6]) -> bool {
    mac[0] & 1 == 0
}
