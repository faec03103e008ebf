//! Asks an IP echo host by datagrams of any protocol, and understands what comes back.

use super::ipv4;
use crate::ProberOptions;
use crate::echo::{UdpProber, wire};
use halloo_base::{Datagram, Env, Heard, IpOptions, ProbeId, Prober, Reason};

/// Makes the requests of [`UdpProber`] and takes nothing for an answer but its own request, unchanged: an IP echo host
/// tells nothing else, and who does is not one.
pub struct SelfProber {
    inner: UdpProber,
}

impl SelfProber {
    /// A prober for one session. A key is not used: nobody signs an echo.
    pub fn new(options: &ProberOptions) -> SelfProber {
        SelfProber {
            inner: UdpProber::new(&ProberOptions {
                key: None,
                ..options.clone()
            }),
        }
    }
}

impl Prober for SelfProber {
    fn request(&mut self, env: &mut Env<'_>, id: ProbeId, buf: &mut [u8]) -> Option<usize> {
        self.inner.request(env, id, buf)
    }

    fn recognise(&mut self, rx: &Datagram<'_>) -> Result<Heard, Reason> {
        if wire::is_reply(rx.payload) {
            return Err(Reason::Foreign);
        }
        self.inner.recognise(rx)
    }

    fn quoted(&self, payload: &[u8]) -> Option<Heard> {
        self.inner.quoted(payload)
    }
}

/// Sends its requests straight behind the IP header, and knows them again when they come back.
///
/// The payload of an answer is what a raw socket delivers: over IPv4 the whole datagram (raw(7)), whose options are
/// told with the answer, over IPv6 what follows the headers. The socket's protocol number is the only one it hears.
pub struct IpProber {
    inner: SelfProber,
}

impl IpProber {
    /// A prober for one session. A key is not used, as with [`SelfProber`].
    pub fn new(options: &ProberOptions) -> IpProber {
        IpProber {
            inner: SelfProber::new(options),
        }
    }
}

impl Prober for IpProber {
    fn request(&mut self, env: &mut Env<'_>, id: ProbeId, buf: &mut [u8]) -> Option<usize> {
        self.inner.request(env, id, buf)
    }

    fn recognise(&mut self, rx: &Datagram<'_>) -> Result<Heard, Reason> {
        if rx.path.remote.is_ipv6() {
            return self.inner.recognise(rx);
        }
        // The kernel has looked at the header's checksum, and may have written into its options since: into a recorded
        // route or timestamps it puts itself, and leaves the checksum as it was.
        let header = ipv4::Header::parse(rx.payload)?;
        let datagram = &rx.payload[..header.total_len];
        let (head, payload) = datagram.split_at(header.header_len);
        let heard = self.inner.recognise(&Datagram { payload, ..*rx })?;
        Ok(Heard {
            options: IpOptions::new(&head[ipv4::FIXED..]),
            ..heard
        })
    }

    fn quoted(&self, payload: &[u8]) -> Option<Heard> {
        self.inner.quoted(payload)
    }
}
