//! Requests of one size, made once and filled in for each probe.

use super::tlv::{self, ClassOfService};
use super::wire::{self, HMAC, Mode};
use crate::echo::Key;
use halloo_base::Rng;

/// A request without what changes from one to the next.
pub(super) struct Template {
    bytes: Vec<u8>,
    /// Where the HMAC over the TLVs goes.
    hmac: Option<Hmac>,
}

/// An HMAC and what it covers, as offsets in the request.
struct Hmac {
    tlvs: usize,
    header: usize,
}

/// Which of a location's parts are wanted: the address alone.
const SOURCE: [u8; tlv::HEADER] = [tlv::UNRECOGNISED, tlv::SOURCE_IP, 0, tlv::IP_LEN as u8];

/// What is asked for where there is room, the most useful first: a type, the length of its value, and how that begins;
/// the rest of it is zeros. The class of service then asks for answers of the request's own DSCP.
const WANTED: [(u8, usize, &[u8]); 4] = [
    (tlv::CLASS_OF_SERVICE, tlv::CLASS_OF_SERVICE_LEN, &[]),
    (tlv::TIMESTAMP_INFORMATION, tlv::TIMESTAMP_INFORMATION_LEN, &[]),
    (tlv::FOLLOW_UP_TELEMETRY, tlv::FOLLOW_UP_TELEMETRY_LEN, &[]),
    (
        tlv::LOCATION,
        tlv::LOCATION_PORTS + tlv::HEADER + tlv::IP_LEN,
        &[0, 0, 0, 0, SOURCE[0], SOURCE[1], SOURCE[2], SOURCE[3]],
    ),
];

/// An HMAC is worth its room if there is a TLV beside it that tells something.
const LEAST_PROTECTED: usize = tlv::HEADER + HMAC + tlv::HEADER + tlv::CLASS_OF_SERVICE_LEN;

impl Template {
    /// A STAMP request of `size` bytes; `None` if the base packet does not fit, or if no padding is that long.
    pub(super) fn stamp(mode: Mode, size: usize, token: u64, tos: u8) -> Option<Template> {
        let mut left = size.checked_sub(mode.base())?;
        let mut bytes = vec![0; mode.base()];
        let is_protected = mode == Mode::Authenticated && left >= LEAST_PROTECTED;
        if is_protected {
            left -= tlv::HEADER + HMAC;
        }
        // Padding alone needs no HMAC (RFC 8972 section 4.8), anything else does.
        let wanted: &[_] = match is_protected || mode == Mode::Open {
            true => &WANTED,
            false => &[],
        };
        for &(kind, len, start) in wanted {
            let needed = tlv::HEADER + len;
            // What is left over must be nothing, or have room for the padding's header.
            if left == needed || left >= needed + tlv::HEADER {
                let value = push(&mut bytes, kind, len)?;
                value.iter_mut().zip(start).for_each(|(to, from)| *to = *from);
                if let (tlv::CLASS_OF_SERVICE, Some(value)) = (kind, value.first_chunk_mut()) {
                    let wish = ClassOfService {
                        requested_dscp: tos >> 2,
                        ..ClassOfService::default()
                    };
                    *value = wish.emit();
                }
                left -= needed;
            }
        }
        if let Some(len) = left.checked_sub(tlv::HEADER) {
            let mut rng = Rng::new(token);
            let padding = push(&mut bytes, tlv::EXTRA_PADDING, len)?;
            padding.fill_with(|| rng.next_u64() as u8);
        }
        let header = bytes.len();
        if is_protected {
            push(&mut bytes, tlv::HMAC_TLV, HMAC)?;
        }
        // Too few bytes for a header are zeros.
        bytes.resize(size, 0);
        Some(Template {
            bytes,
            hmac: is_protected.then_some(Hmac {
                tlvs: mode.base(),
                header,
            }),
        })
    }

    /// A TWAMP request of `size` bytes, padded with zeros, so that a STAMP reflector finds no meaning in them; `None` if
    /// an answer of that length would lack a field.
    pub(super) fn twamp(size: usize) -> Option<Template> {
        (size >= wire::TWAMP_REPLY).then(|| Template {
            bytes: vec![0; size],
            hmac: None,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Writes all but the base packet of the request `number` over `buf`, which is as long as the template.
    pub(super) fn write(&self, key: Option<&Key>, number: u32, buf: &mut [u8]) {
        buf.copy_from_slice(&self.bytes);
        let (Some(key), Some(hmac)) = (key, &self.hmac) else {
            return;
        };
        let (before, rest) = buf.split_at_mut(hmac.header);
        let place = rest
            .get_mut(tlv::HEADER..)
            .and_then(|value| value.first_chunk_mut());
        if let Some(place) = place {
            *place = key.tag(&[&number.to_be_bytes(), &before[hmac.tlvs..]]);
        }
    }
}

/// Appends a TLV as a sender does: it counts as unrecognised until somebody recognises it. Returns its value, all zeros;
/// `None` if the value is longer than a TLV can be.
fn push(bytes: &mut Vec<u8>, kind: u8, len: usize) -> Option<&mut [u8]> {
    let [high, low] = u16::try_from(len).ok()?.to_be_bytes();
    bytes.extend([tlv::UNRECOGNISED, kind, high, low]);
    let at = bytes.len();
    bytes.resize(at + len, 0);
    bytes.get_mut(at..)
}
