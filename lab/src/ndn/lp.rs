//! The link protocol (NDNLPv2) between the forwarder and its neighbours.

use super::tlv::{LONGEST_PACKET, element, elements, integer, integer_element, nested, only};
use std::collections::BTreeMap;

const FRAGMENT: u64 = 80;
const SEQUENCE: u64 = 81;
const FRAG_INDEX: u64 = 82;
const FRAG_COUNT: u64 = 83;
const PIT_TOKEN: u64 = 98;
const LP_PACKET: u64 = 100;
const NACK: u64 = 800;
const NACK_REASON: u64 = 801;
const CONGESTION_MARK: u64 = 832;
const ACK: u64 = 836;

/// Fields that mean nothing here and are legal.
const IGNORED: &[u64] = &[812, 816, 820, ACK, 840, 844, 848];

/// More parts than this no packet has.
const MOST_FRAGMENTS: u64 = 400;

/// Packets that one neighbour may have begun; the one with the lowest number is forgotten first.
const MOST_BEGUN: usize = 64;

/// What the link header of a packet said.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Header {
    /// The neighbour's mark.
    pub(super) token: Option<Vec<u8>>,
    /// The packet comes back, for this reason.
    pub(super) nack: Option<u64>,
    /// Above 0: the queue is long.
    pub(super) mark: u64,
}

/// A packet of the network, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Received {
    Packet(Header, Vec<u8>),
    Part(Part),
    Idle,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    message: u64,
    index: u64,
    count: u64,
    header: Header,
    bytes: Vec<u8>,
}

/// Packets that have not come whole yet, of one neighbour.
#[derive(Debug, Default)]
pub(super) struct Reassembler {
    partial: BTreeMap<u64, Vec<Option<Part>>>,
}

/// Reads one link packet by NFD's rules: ascending fields, the fragment last, unknown fields skipped only where their
/// number allows it. A bare packet is one without a header.
pub(super) fn parse(wire: &[u8]) -> Option<Received> {
    let outer = only(wire).filter(|_| wire.len() <= LONGEST_PACKET)?;
    if outer.kind != LP_PACKET {
        return Some(Received::Packet(Header::default(), wire.to_vec()));
    }
    let mut header = Header::default();
    let (mut sequence, mut index, mut count, mut fragment) = (None, 0, 1, None);
    let mut last = 0;
    for field in elements(outer.value)? {
        let repeats = field.kind == last && field.kind != ACK;
        let is_late = field.kind < last && field.kind != FRAGMENT;
        if fragment.is_some() || repeats || is_late {
            return None;
        }
        match field.kind {
            FRAGMENT => fragment = Some(field.value.to_vec()),
            SEQUENCE => sequence = Some(u64::from_be_bytes(field.value.try_into().ok()?)),
            FRAG_INDEX => index = integer(field.value)?,
            FRAG_COUNT => count = integer(field.value)?,
            PIT_TOKEN => {
                let fits = (1..=32).contains(&field.value.len());
                header.token = Some(fits.then(|| field.value.to_vec())?);
            }
            NACK => header.nack = Some(nack_reason(field.value)?),
            CONGESTION_MARK => header.mark = integer(field.value)?,
            known if IGNORED.contains(&known) => {}
            800..=959 if field.kind % 4 == 0 => {}
            _ => return None,
        }
        if field.kind != FRAGMENT {
            last = field.kind;
        }
    }
    let Some(bytes) = fragment else {
        return Some(Received::Idle);
    };
    if count == 1 && index == 0 {
        return Some(Received::Packet(header, bytes));
    }
    if index >= count || count > MOST_FRAGMENTS {
        return None;
    }
    Some(Received::Part(Part {
        message: sequence?.wrapping_sub(index),
        index,
        count,
        header,
        bytes,
    }))
}

fn nack_reason(value: &[u8]) -> Option<u64> {
    let fields = elements(value)?;
    match fields.iter().find(|field| field.kind == NACK_REASON) {
        Some(reason) => integer(reason.value),
        None => Some(0),
    }
}

impl Reassembler {
    /// Takes a part, and gives the packet that it completes.
    pub(super) fn take(&mut self, part: Part) -> Option<(Header, Vec<u8>)> {
        let (message, count) = (part.message, usize::try_from(part.count).ok()?);
        let parts = self.partial.entry(message).or_insert_with(|| vec![None; count]);
        let place = usize::try_from(part.index).ok()?;
        if parts.len() != count {
            return None;
        }
        *parts.get_mut(place)? = Some(part);
        if parts.iter().any(Option::is_none) {
            if self.partial.len() > MOST_BEGUN {
                self.partial.pop_first();
            }
            return None;
        }
        let parts = self.partial.remove(&message)?;
        let header = parts.first().cloned().flatten()?.header;
        let bytes = parts.into_iter().flatten().flat_map(|part| part.bytes);
        Some((header, bytes.collect()))
    }
}

impl Header {
    fn fields(&self) -> Vec<Vec<u8>> {
        let token = self.token.as_ref().map(|token| element(PIT_TOKEN, token));
        let nack = self.nack.map(|reason| {
            // A Nack without reason is an empty element.
            let reason = (reason > 0).then(|| integer_element(NACK_REASON, reason));
            element(NACK, &reason.unwrap_or_default())
        });
        let mark = (self.mark > 0).then(|| integer_element(CONGESTION_MARK, self.mark));
        [token, nack, mark].into_iter().flatten().collect()
    }

    /// The packet behind this header; bare where there is nothing to say.
    pub(super) fn wrap(&self, packet: &[u8]) -> Vec<u8> {
        let mut fields = self.fields();
        if fields.is_empty() {
            return packet.to_vec();
        }
        fields.push(element(FRAGMENT, packet));
        nested(LP_PACKET, &fields)
    }
}

/// The packet in parts for a link of this MTU; whole where it fits. NFD keeps 12 bytes for congestion marks, 30 for the
/// header of a whole packet and 50 for that of a part.
pub(super) fn fragments(header: &Header, packet: &[u8], mtu: usize, sequence: &mut u64) -> Vec<Vec<u8>> {
    let room = mtu.saturating_sub(12);
    if packet.len() + 30 <= room {
        return vec![header.wrap(packet)];
    }
    let pieces: Vec<_> = packet.chunks(room.saturating_sub(50).max(1)).collect();
    let mut parts = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let mut fields = vec![
            element(SEQUENCE, &sequence.to_be_bytes()),
            integer_element(FRAG_INDEX, index as u64),
            integer_element(FRAG_COUNT, pieces.len() as u64),
        ];
        if index == 0 {
            fields.extend(header.fields());
        }
        fields.push(element(FRAGMENT, piece));
        parts.push(nested(LP_PACKET, &fields));
        *sequence = sequence.wrapping_add(1);
    }
    parts
}
