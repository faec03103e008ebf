//! Asks a STUN server, and understands what comes back.

use super::wire::{ATTRIBUTE, COOKIE, Class, FINGERPRINT, HEADER, Message, Transaction, Writer};
use super::wire::{BINDING, attribute, quoted_request};
use crate::ProberOptions;
use crate::nonce::{Nonce, Nonces};
use halloo_base::{Datagram, Env, Heard, ProbeId, Prober, Reason, Reflection, Refusal, Seen};

/// Makes Binding requests, and takes nothing for an answer but one to its own.
///
/// A request has a FINGERPRINT where the size allows, 28 bytes; what the size asks for beyond that is an attribute that
/// servers ignore. Sizes are multiples of four. At 20 bytes a request has no attribute at all, which servers of RFC 3489
/// understand too. The transaction holds the probe's number, hidden from everybody who does not know the session's token.
pub struct StunProber {
    size: usize,
    nonces: Nonces,
}

impl StunProber {
    /// A prober for one session. A key is not used.
    pub fn new(options: &ProberOptions) -> StunProber {
        StunProber {
            size: options.size,
            nonces: Nonces::new(options.token, u64::BITS),
        }
    }

    fn transaction(&self, number: u32) -> Transaction {
        let Nonce { hidden, proof } = self.nonces.seal(number);
        let mut id = [0; 16];
        id[..4].copy_from_slice(&COOKIE);
        id[4..8].copy_from_slice(&hidden.to_be_bytes());
        id[8..].copy_from_slice(&proof.to_be_bytes());
        Transaction(id)
    }

    /// The number that our transaction holds; `None` if it is not ours.
    fn number(&self, transaction: Transaction) -> Option<u32> {
        let (hidden, proof) = transaction.0.strip_prefix(&COOKIE)?.split_first_chunk()?;
        self.nonces.open(Nonce {
            hidden: u32::from_be_bytes(*hidden),
            proof: u64::from_be_bytes(*proof.first_chunk()?),
        })
    }
}

impl Prober for StunProber {
    fn request(&mut self, _env: &mut Env<'_>, id: ProbeId, buf: &mut [u8]) -> Option<usize> {
        let size = buf.len();
        if size != self.size || !size.is_multiple_of(4) {
            return None;
        }
        let fingerprint = size >= HEADER + FINGERPRINT;
        let transaction = self.transaction(id.0 as u32);
        let mut request = Writer::new(buf, Class::Request, transaction, fingerprint).ok()?;
        if let Some(more) = size.checked_sub(request.whole_len() + ATTRIBUTE) {
            request.attribute(attribute::FILLER, more, |_| ()).ok()?;
        }
        Some(request.finish())
    }

    fn recognise(&mut self, rx: &Datagram<'_>) -> Result<Heard, Reason> {
        let answer = Message::parse(rx.payload)?;
        let is_answer = matches!(answer.class, Class::Success | Class::Error) && answer.method == BINDING;
        let number = self
            .number(answer.transaction)
            .filter(|_| is_answer)
            .ok_or(Reason::Foreign)?;
        if !answer.attributes().all(|(kind, _)| may_be_answered(kind)) {
            return Err(Reason::Malformed);
        }
        let heard = Heard::plain(u64::from(number), u32::BITS);
        if answer.class == Class::Error {
            let code = answer.error_code().ok_or(Reason::Malformed)?;
            let name = name(code);
            return Ok(Heard {
                refusal: Some(Refusal { code, name }),
                ..heard
            });
        }
        let mapped = answer
            .address(attribute::XOR_MAPPED_ADDRESS)
            .or_else(|| answer.address(attribute::MAPPED_ADDRESS))
            .ok_or(Reason::Malformed)?;
        let seen = Seen {
            addr: mapped,
            ttl: None,
            tos: None,
        };
        Ok(Heard {
            reflection: Some(Reflection {
                seen: Some(seen),
                ..Reflection::default()
            }),
            ..heard
        })
    }

    fn quoted(&self, payload: &[u8]) -> Option<Heard> {
        let number = self.number(quoted_request(payload)?)?;
        Some(Heard::plain(u64::from(number), u32::BITS))
    }
}

/// Whether an answer with this attribute counts (RFC 8489 section 6.3.3). Servers of RFC 3489 send four that
/// nobody else does: RESPONSE-ADDRESS, SOURCE-ADDRESS, CHANGED-ADDRESS and REFLECTED-FROM (RFC 5389 section 12.1).
fn may_be_answered(kind: u16) -> bool {
    const OF_RFC_3489: [u16; 4] = [0x0002, 0x0004, 0x0005, 0x000b];
    !attribute::is_required(kind)
        || attribute::is_known(kind)
        || kind == attribute::PADDING
        || OF_RFC_3489.contains(&kind)
}

/// The registered reason of an error code, or what its class means (RFC 8489 section 14.8).
fn name(code: u32) -> &'static str {
    match code {
        300 => "Try Alternate",
        400 => "Bad Request",
        401 => "Unauthenticated",
        403 => "Forbidden",
        420 => "Unknown Attribute",
        438 => "Stale Nonce",
        487 => "Role Conflict",
        500 => "Server Error",
        _ => match code / 100 {
            3 => "Redirection",
            4 => "Client Error",
            5 => "Server Failure",
            _ => "Global Failure",
        },
    }
}
