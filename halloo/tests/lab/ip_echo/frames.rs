//! Frames of our own making: well-formed, forged, and broken ones.

use halloo_base::Rng;
use std::net::Ipv4Addr;

const UDP: u8 = 17;

/// A header of IPv4, and what is behind it.
#[derive(Clone, Debug)]
pub(super) struct Ipv4 {
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) ttl: u8,
    pub(super) protocol: u8,
    pub(super) identification: u16,
    /// Whole words of options.
    pub(super) options: Vec<u8>,
}

impl Default for Ipv4 {
    fn default() -> Ipv4 {
        Ipv4 {
            source: Ipv4Addr::UNSPECIFIED,
            destination: Ipv4Addr::UNSPECIFIED,
            ttl: 64,
            protocol: UDP,
            identification: 0,
            options: vec![],
        }
    }
}

impl Ipv4 {
    /// The datagram in an Ethernet frame.
    pub(super) fn frame(&self, to: [u8; 6], from: [u8; 6], payload: &[u8]) -> Vec<u8> {
        let header_len = 20 + self.options.len();
        let mut header = vec![0x40 | (header_len / 4) as u8, 0];
        header.extend(((header_len + payload.len()) as u16).to_be_bytes());
        header.extend(self.identification.to_be_bytes());
        header.extend([0, 0, self.ttl, self.protocol, 0, 0]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header.extend(&self.options);
        seal(&mut header);
        [&to[..], &from, &[8, 0], &header, payload].concat()
    }
}

/// A UDP header without a checksum, and what is behind it.
pub(super) fn udp(source: u16, destination: u16, text: &[u8]) -> Vec<u8> {
    let len = (8 + text.len()) as u16;
    let words = [source, destination, len, 0].map(u16::to_be_bytes);
    [words.as_flattened(), text].concat()
}

/// Writes the checksum of an IPv4 header (RFC 1071).
fn seal(header: &mut [u8]) {
    header[10..12].fill(0);
    let mut sum: u32 = header
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    header[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

/// Random datagrams to one address, IPv4 mostly: some of random bytes altogether, some broken in one place, some whole
/// with random options.
pub(super) struct Storm {
    pub(super) rng: Rng,
    pub(super) to: [u8; 6],
    pub(super) from: [u8; 6],
    pub(super) v4: Ipv4Addr,
    pub(super) v6: std::net::Ipv6Addr,
}

impl Storm {
    /// The next frame, whose identification (the flow label of IPv6) is `number`.
    pub(super) fn frame(&mut self, number: u16) -> Vec<u8> {
        let payload = self.bytes(200);
        match self.rng.below(8) {
            0 => self.noise(number, &payload),
            1 => self.v6(number, &payload),
            shape => {
                let mut frame = self.v4(number, &payload);
                if shape < 5 {
                    self.bend(&mut frame);
                }
                frame
            }
        }
    }

    /// A whole datagram, whose options may be anything.
    fn v4(&mut self, number: u16, payload: &[u8]) -> Vec<u8> {
        let mut options = self.options();
        options.resize(options.len().min(40).next_multiple_of(4), 0);
        let datagram = Ipv4 {
            source: Ipv4Addr::from_bits(self.rng.next_u64() as u32),
            destination: self.v4,
            ttl: self.rng.next_u64() as u8,
            protocol: self.rng.next_u64() as u8,
            identification: number,
            options,
        };
        datagram.frame(self.to, self.from, payload)
    }

    /// Types that mean something, with lengths and pointers that may.
    fn options(&mut self) -> Vec<u8> {
        let mut options = vec![];
        for _ in 0..self.rng.below(3) {
            let kind = [0, 1, 7, 68, 131, 137, 148, 94][self.rng.below(8) as usize];
            let value = self.bytes(12);
            options.extend([kind, value.len() as u8 + 3, self.rng.below(20) as u8]);
            options.extend(value);
        }
        options
    }

    /// A whole datagram whose extension headers may be anything.
    fn v6(&mut self, number: u16, payload: &[u8]) -> Vec<u8> {
        let [high, low] = number.to_be_bytes();
        let next = [0, 6, 17, 43, 44, 58, 59, 60][self.rng.below(8) as usize];
        let mut header = vec![0x60, 0, high, low];
        header.extend((payload.len() as u16).to_be_bytes());
        header.extend([next, self.rng.next_u64() as u8, 0x20]);
        header.extend((0..15).map(|_| self.rng.next_u64() as u8));
        header.extend(self.v6.octets());
        [&self.to[..], &self.from, &[0x86, 0xdd], &header, payload].concat()
    }

    /// Anything at all where only the destination is right, since nothing else would be looked at.
    fn noise(&mut self, number: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = self.v4(number, payload);
        for place in (14..18).chain(20..30) {
            frame[place] = self.rng.next_u64() as u8;
        }
        frame
    }

    /// Changes one octet of the header, but for its number and destination.
    fn bend(&mut self, frame: &mut [u8]) {
        let place = [14, 15, 16, 17, 20, 21, 22, 23, 24, 25, 26][self.rng.below(11) as usize];
        frame[place] = self.rng.next_u64() as u8;
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let len = self.rng.below(most + 1);
        (0..len).map(|_| self.rng.next_u64() as u8).collect()
    }
}

/// What a frame's datagram is called by, and answered as: the identification of IPv4, the flow label of IPv6.
pub(super) fn number(frame: &[u8]) -> Option<u16> {
    let at = match frame.get(12..14)? {
        [8, 0] => 18,
        [0x86, 0xdd] => 16,
        _ => return None,
    };
    Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]))
}
