//! Asks an IP echo host by datagrams of any protocol, and understands what comes back.

use super::ipv4;
use crate::ProberOptions;
use crate::echo::UdpProber;
use halloo_base::{Datagram, Env, Heard, IpOptions, ProbeId, Prober, Reason};

/// Sends structured probes, straight behind the IP header, and knows them again when they come back unchanged.
///
/// The payload of an answer is what a raw socket delivers: over IPv4 the whole datagram (raw(7)), whose options are
/// told with the answer, over IPv6 what follows the headers.
pub struct IpProber {
    inner: UdpProber,
}

impl IpProber {
    /// A prober for one session. A key is not used: nobody signs an echo.
    pub fn new(options: &ProberOptions) -> IpProber {
        IpProber {
            inner: UdpProber::new(&ProberOptions {
                key: None,
                ..options.clone()
            }),
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
