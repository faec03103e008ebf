//! Asks an NTP server, and understands what comes back.

use super::Timestamp;
use super::wire::{HEADER, Packet, VERSION, mode};
use crate::ProberOptions;
use crate::nonce::{Nonce, Nonces};
use halloo_base::{Datagram, Env, Heard, Nanos, ProbeId, Prober, Reason, Reflection, Refusal};

/// Makes requests that tell nothing of this host, and takes nothing for an answer but one to its own.
///
/// Every field is zero but version, mode, a precision that says that there is none, and the transmit timestamp, which is
/// no time: it holds the probe's number, hidden from everybody who does not know the session's token. The answer
/// brings it back as its origin. Requests that look so are those of other clients that keep their clock to themselves.
pub struct NtpProber {
    nonces: Nonces,
}

/// 2^32 s: what a client says that tells no time.
const NO_PRECISION: i8 = 32;

impl NtpProber {
    /// A prober for one session. A key is not used.
    pub fn new(options: &ProberOptions) -> NtpProber {
        NtpProber {
            nonces: Nonces::new(options.token, u32::BITS),
        }
    }

    fn sealed(&self, number: u32) -> Timestamp {
        let Nonce { hidden, proof } = self.nonces.seal(number);
        Timestamp(u64::from(hidden) << 32 | proof)
    }

    /// The number that our timestamp holds; `None` if it is not ours.
    fn number(&self, stamp: Timestamp) -> Option<u32> {
        self.nonces.open(Nonce {
            hidden: (stamp.0 >> 32) as u32,
            proof: stamp.0 & u64::from(u32::MAX),
        })
    }
}

impl Prober for NtpProber {
    fn request(&mut self, _env: &mut Env<'_>, id: ProbeId, buf: &mut [u8]) -> Option<usize> {
        let buf: &mut [u8; HEADER] = buf.try_into().ok()?;
        let request = Packet {
            version: VERSION,
            mode: mode::CLIENT,
            precision: NO_PRECISION,
            transmit: self.sealed(id.0 as u32),
            ..Packet::default()
        };
        *buf = request.emit();
        Some(HEADER)
    }

    fn recognise(&mut self, rx: &Datagram<'_>) -> Result<Heard, Reason> {
        let answer = Packet::parse(rx.payload).ok_or(Reason::Malformed)?;
        let number = self
            .number(answer.origin)
            .filter(|_| answer.mode == mode::SERVER)
            .ok_or(Reason::Foreign)?;
        let heard = Heard::plain(u64::from(number), u32::BITS);
        if !(1..=VERSION).contains(&answer.version) {
            return Err(Reason::Malformed);
        }
        // The stamps of a Kiss-o'-Death packet mean nothing (RFC 5905 section 7.4).
        if let Some(code) = answer.kiss_code() {
            return Ok(Heard {
                refusal: refusal(code),
                ..heard
            });
        }
        if answer.transmit == Timestamp::NONE {
            return Err(Reason::Malformed);
        }
        Ok(Heard {
            reflection: Some(reflection(&answer, rx)),
            ..heard
        })
    }

    fn quoted(&self, payload: &[u8]) -> Option<Heard> {
        let request = Packet::parse(payload).filter(|packet| packet.mode == mode::CLIENT)?;
        let number = self.number(request.transmit)?;
        Some(Heard::plain(u64::from(number), u32::BITS))
    }
}

/// What an answer tells. A clock that is not synchronised has stamps, but nobody knows how wrong they are.
fn reflection(answer: &Packet, rx: &Datagram<'_>) -> Reflection {
    let received_at = answer.receive.wall_near(rx.at.wall);
    let residence = answer.transmit.since(answer.receive);
    let half_delay = Nanos(answer.root_delay.nanos().0.div_euclid(2));
    let error = half_delay + answer.root_dispersion.nanos();
    Reflection {
        received_at,
        residence: Some(residence).filter(|&span| received_at.is_some() && span >= Nanos::ZERO),
        clock_error: Some(error).filter(|_| answer.is_synchronised()),
        ..Reflection::default()
    }
}

/// What a kiss code refuses: nothing where it only says that the clock is not set yet, or is somebody's experiment
/// (RFC 5905 section 7.4, RFC 8915 section 5.7).
fn refusal(code: [u8; 4]) -> Option<Refusal> {
    let name = match &code {
        b"INIT" | b"STEP" | [b'X', ..] => return None,
        b"ACST" => "ACST",
        b"AUTH" => "AUTH",
        b"AUTO" => "AUTO",
        b"BCST" => "BCST",
        b"CRYP" => "CRYP",
        b"DENY" => "DENY",
        b"DROP" => "DROP",
        b"MCST" => "MCST",
        b"NKEY" => "NKEY",
        b"NTSN" => "NTSN",
        b"RATE" => "RATE",
        b"RMOT" => "RMOT",
        b"RSTR" => "RSTR",
        _ => "unknown kiss code",
    };
    Some(Refusal {
        code: u32::from_be_bytes(code),
        name,
    })
}
