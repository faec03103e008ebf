//! What an Ethernet frame says about itself (IEEE 802.3 section 3, 802.1Q section 9).

use crate::Mac;

/// Octets before the first tag or the type: both addresses.
const ADDRESSES: usize = 12;

/// The shortest frame that is one: both addresses and the type.
pub const SHORTEST_FRAME: usize = 14;

/// Tags that are looked behind; what has more keeps the rest in its payload.
const MOST_TAGS: usize = 4;

/// A frame from its destination to the end of its payload, with tags and without check sequence.
#[derive(Clone, Copy, Debug)]
pub struct Ethernet<'a> {
    bytes: &'a [u8],
    payload_at: usize,
    ethertype: u16,
}

/// A tag in front of the payload (IEEE 802.1Q section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// What kind of tag it is: 0x8100 for a customer's, 0x88a8 for a provider's, 0x9100 as some wrote it before.
    pub protocol: u16,
    /// Priority (3 bits), drop eligible (1 bit), VLAN (12 bits).
    pub control: u16,
}

impl Tag {
    /// The VLAN, 0 to 4,095; 0 says that there is only a priority.
    pub fn vid(self) -> u16 {
        self.control & 0x0fff
    }
}

impl<'a> Ethernet<'a> {
    /// Looks at a frame. `None` if it is too short to be one.
    pub fn parse(bytes: &'a [u8]) -> Option<Ethernet<'a>> {
        let mut payload_at = SHORTEST_FRAME;
        let mut ethertype = number(bytes, ADDRESSES)?;
        for _ in 0..MOST_TAGS {
            let behind = number(bytes, payload_at + 2).filter(|_| is_tag(ethertype));
            let Some(behind) = behind else { break };
            ethertype = behind;
            payload_at += 4;
        }
        Some(Ethernet {
            bytes,
            payload_at,
            ethertype,
        })
    }

    /// The whole frame.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Who it is for.
    pub fn destination(&self) -> Mac {
        self.address(0)
    }

    /// Who it is from.
    pub fn source(&self) -> Mac {
        self.address(6)
    }

    /// The tags, the outermost first.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = Tag> + 'a {
        let tags = &self.bytes[ADDRESSES..self.payload_at - 2];
        tags.chunks_exact(4).map(|tag| Tag {
            protocol: u16::from_be_bytes([tag[0], tag[1]]),
            control: u16::from_be_bytes([tag[2], tag[3]]),
        })
    }

    /// The outermost VLAN; 0 for what has no tag, or one with a priority only.
    pub fn vlan(&self) -> u16 {
        self.tags().next().map_or(0, Tag::vid)
    }

    /// The type behind all tags; up to 1,500 it is the payload's length (IEEE 802.3 section 3.2.6).
    pub fn ethertype(&self) -> u16 {
        self.ethertype
    }

    /// Where the payload begins.
    pub fn payload_at(&self) -> usize {
        self.payload_at
    }

    /// What is behind the type.
    pub fn payload(&self) -> &'a [u8] {
        // The place was found by reading the type in front of it.
        &self.bytes[self.payload_at..]
    }

    fn address(&self, at: usize) -> Mac {
        // Both addresses are there: the type behind them was read.
        Mac(std::array::from_fn(|octet| self.bytes[at + octet]))
    }
}

/// Whether this type says that a tag follows.
pub(crate) fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100)
}

/// The 16-bit number that begins at `at`.
pub(crate) fn number(bytes: &[u8], at: usize) -> Option<u16> {
    let octets = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*octets))
}

/// The 32-bit number that begins at `at`.
pub(crate) fn long_number(bytes: &[u8], at: usize) -> Option<u32> {
    let octets = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*octets))
}

/// Writes octets where there is room for them; where there is none nothing happens.
pub(crate) fn put(bytes: &mut [u8], at: usize, octets: &[u8]) {
    if let Some(room) = bytes.get_mut(at..at + octets.len()) {
        room.copy_from_slice(octets);
    }
}
