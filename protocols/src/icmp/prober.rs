//! Asks by ICMP echo requests, and knows the answers.

use super::wire::{Echo, Family, HEADER, Kind, NotEcho, is_intact};
use crate::ProberOptions;
use halloo_base::{Datagram, Env, Heard, ProbeId, Prober, Reason, Rng};

/// Octets of the session's token.
const TOKEN: usize = 8;

/// What an [`IcmpProber`] needs to know of its socket. The default is identifier 0 over IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct IcmpProberOptions {
    /// The identifier of the session's messages. That of a ping socket is the kernel's choice.
    pub identifier: u16,
    /// What the requests travel over.
    pub family: Family,
}

/// Makes echo requests and recognises their replies.
///
/// The data of a request is the session's token, and behind it bytes that only this session sends. A message of less
/// than 16 bytes has no room for the whole token; one of 8 has none at all, and nothing but identifier and sequence
/// number to be known by.
///
/// Payloads begin with the type of the message, never with an IP header.
pub struct IcmpProber {
    identifier: u16,
    family: Family,
    /// Bytes of the whole message.
    size: usize,
    data: Vec<u8>,
}

impl IcmpProber {
    /// A prober for one session. A key is not used: nobody signs an echo.
    pub fn new(options: &ProberOptions) -> IcmpProber {
        let mut data = vec![0; options.size.saturating_sub(HEADER)];
        let mut rng = Rng::new(options.token);
        for (number, chunk) in data.chunks_mut(TOKEN).enumerate() {
            let bytes = match number {
                0 => options.token.to_be_bytes(),
                _ => rng.next_u64().to_be_bytes(),
            };
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        IcmpProber {
            identifier: options.icmp.identifier,
            family: options.icmp.family,
            size: options.size,
            data,
        }
    }

    /// Whether the token, as far as it is there, is that of this session.
    fn is_own(&self, data: &[u8]) -> bool {
        let told = data.len().min(self.data.len()).min(TOKEN);
        data[..told] == self.data[..told]
    }
}

impl Prober for IcmpProber {
    fn request(&mut self, _env: &mut Env<'_>, id: ProbeId, buf: &mut [u8]) -> Option<usize> {
        if buf.len() != self.size {
            return None;
        }
        buf.get_mut(HEADER..)?.copy_from_slice(&self.data);
        let echo = Echo {
            kind: Kind::Request,
            identifier: self.identifier,
            sequence: id.0 as u16,
        };
        echo.emit(self.family, buf).ok()?;
        Some(buf.len())
    }

    fn recognise(&mut self, rx: &Datagram<'_>) -> Result<Heard, Reason> {
        let (echo, data) = Echo::parse(rx.payload, self.family).map_err(|why| match why {
            NotEcho::Type(_) => Reason::Foreign,
            NotEcho::Short | NotEcho::Code(_) => Reason::Malformed,
        })?;
        // A raw socket on the loopback hears requests too.
        if echo.kind != Kind::Reply || echo.identifier != self.identifier {
            return Err(Reason::Foreign);
        }
        // A raw IPv4 socket gets messages before the kernel has looked at their checksum.
        if !is_intact(rx.payload, self.family) {
            return Err(Reason::BadChecksum);
        }
        if !self.is_own(data) {
            return Err(Reason::Foreign);
        }
        if rx.payload.len() != self.size || data != self.data {
            return Err(Reason::Malformed);
        }
        Ok(Heard::plain(u64::from(echo.sequence), u16::BITS))
    }

    /// An error quotes at least the header (RFC 792), and may have bytes of its own behind a short message (RFC 4884).
    fn quoted(&self, payload: &[u8]) -> Option<Heard> {
        let (echo, data) = Echo::parse(payload, self.family).ok()?;
        let ours = echo.kind == Kind::Request && echo.identifier == self.identifier && self.is_own(data);
        ours.then(|| Heard::plain(u64::from(echo.sequence), u16::BITS))
    }
}
