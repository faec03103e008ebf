//! The payload of a request that is a plain echo: a number, and bytes that only this session sends.

use halloo_base::{Heard, ProbeId, Rng};

/// A number takes at most so many bytes.
const NUMBER: usize = 8;

/// Writes and recognises plain payloads of one size.
///
/// The first bytes, eight where they fit, hold the low bits of the probe's number, mixed with the session's token.
/// Their highest bit is 0: so no payload begins with the magic of a structured probe.
pub(super) struct Payload {
    mask: u64,
    number: usize,
    /// The whole payload; the number's place in it is not used.
    pattern: Vec<u8>,
}

impl Payload {
    pub(super) fn new(token: u64, size: usize) -> Payload {
        let number = size.min(NUMBER);
        let mut rng = Rng::new(token);
        let mask = rng.next_u64();
        let mut pattern = vec![0; size];
        for chunk in pattern.chunks_mut(8) {
            let bytes = rng.next_u64().to_be_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Payload {
            mask,
            number,
            pattern,
        }
    }

    pub(super) fn size(&self) -> usize {
        self.pattern.len()
    }

    /// The bytes of the pattern from `at` to the end.
    pub(super) fn from(&self, at: usize) -> &[u8] {
        self.pattern.get(at..).unwrap_or_default()
    }

    /// How many low bits of a probe's number the payload carries: 63, fewer below eight bytes, 0 for no bytes.
    fn bits(&self) -> u32 {
        (self.number as u32 * 8).saturating_sub(1)
    }

    fn low(&self) -> u64 {
        (1 << self.bits()) - 1
    }

    /// Writes the payload for `id` over `buf`, which is as long as the payload.
    pub(super) fn write(&self, id: ProbeId, buf: &mut [u8]) {
        buf.copy_from_slice(&self.pattern);
        let number = ((id.0 ^ self.mask) & self.low()).to_be_bytes();
        buf[..self.number].copy_from_slice(&number[NUMBER - self.number..]);
    }

    /// Which probe `bytes` belong to, if they are a payload of this session. The whole is compared.
    pub(super) fn read(&self, bytes: &[u8]) -> Option<Heard> {
        (bytes.len() == self.size()).then(|| self.read_start(bytes))?
    }

    /// The same of the beginning of a payload, which must hold the number.
    pub(super) fn read_start(&self, bytes: &[u8]) -> Option<Heard> {
        let (head, tail) = bytes.split_at_checked(self.number)?;
        let mut number = [0; NUMBER];
        number[NUMBER - self.number..].copy_from_slice(head);
        let number = u64::from_be_bytes(number);
        let ours = number <= self.low() && self.from(self.number).starts_with(tail);
        ours.then(|| Heard::plain((number ^ self.mask) & self.low(), self.bits()))
    }
}
