//! Halloo's protocols, a folder each: the bytes on the wire, a responder that answers them, a prober that asks.
//!
//! [`ALL`] is the one table of them; the command line, the configuration, the documentation and the tests walk
//! it. A new protocol is a folder and a line there. Everything here is a pure codec or a small state: time is an
//! argument, and nothing opens a socket.
#![forbid(unsafe_code)]

pub mod echo;
pub mod http;
pub mod icmp;
pub mod ip_echo;
pub mod nat;
pub mod ndn;
mod nonce;
pub mod ntp;
pub mod quic;
pub mod sip;
pub mod stamp;
pub mod stun;

use echo::Key;
use halloo_base::{AnyProber, ReplyLimit, Role, Transport};

/// A protocol as the rest of halloo sees it.
#[derive(Debug)]
pub struct Protocol {
    /// Its name for people, such as `UDP echo`.
    pub name: &'static str,
    /// The URL scheme that selects it, such as `udp`.
    pub scheme: &'static str,
    /// The port where a URL names none; `None` where the protocol has no ports.
    pub default_port: Option<u16>,
    /// What carries it.
    pub transport: Transport,
    /// Where it is specified.
    pub spec: &'static str,
    /// How long its replies may be.
    pub reply_limit: ReplyLimit,
    /// Whether halloo answers, asks, or both.
    pub role: Role,
    /// How long its requests may be.
    pub size: RequestSize,
    /// Makes one that asks, where halloo does.
    pub prober: Option<NewProber>,
}

/// How long requests are, in bytes of payload: what UDP or TCP carries, or IP where nothing is between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestSize {
    /// The shortest.
    pub least: usize,
    /// Unless the user says otherwise.
    pub usual: usize,
    /// The shortest with the proof of a key, which is then the usual one too; `None` where requests cannot be signed.
    pub signed: Option<usize>,
    /// The longest, where the protocol and not what carries it says so.
    pub most: usize,
    /// From the shortest on, every so manieth length is one: 1 where all are.
    pub step: usize,
}

impl RequestSize {
    /// Any number of bytes, usually 64.
    pub const ANY: RequestSize = RequestSize {
        least: 0,
        usual: 64,
        signed: None,
        most: usize::MAX,
        step: 1,
    };

    /// As many bytes as the format has, no more and no less.
    pub const fn fixed(bytes: usize) -> RequestSize {
        RequestSize {
            least: bytes,
            usual: bytes,
            signed: None,
            most: bytes,
            step: 1,
        }
    }

    /// The nearest lengths below and above this one, where the format has none of this length between its shortest and its
    /// longest.
    ///
    /// ```
    /// # use halloo_protocols::stun::STUN;
    /// assert_eq!(STUN.size.beside(21), Some((20, 24)));
    /// assert_eq!(STUN.size.beside(24), None);
    /// ```
    pub fn beside(&self, bytes: usize) -> Option<(usize, usize)> {
        let odd = bytes.checked_sub(self.least)?.checked_rem(self.step)?;
        let below = bytes - odd;
        (odd > 0).then(|| (below, below.saturating_add(self.step).min(self.most)))
    }
}

/// Makes the prober of one session.
pub type NewProber = fn(&ProberOptions) -> AnyProber;

/// What a prober is made of. The default is 64 bytes, no key and token 0; a real session draws its token.
#[derive(Clone, Debug)]
pub struct ProberOptions {
    /// The shared key: requests are signed with it, and only answers signed with it count.
    pub key: Option<Key>,
    /// The session's own number, drawn at random, by which its answers are told from all others.
    pub token: u64,
    /// Request size in payload bytes.
    pub size: usize,
    /// TOS or traffic class octet of the requests. STAMP asks for answers of the same DSCP.
    pub tos: u8,
    /// The host as the user wrote it, with `:port` where that is not the usual one, for protocols whose requests name it.
    pub authority: String,
    /// What NDN is asked for, and how. By default for no prefix at all.
    pub ndn: Option<ndn::PingProberOptions>,
    /// What HTTP is asked for, and what a good answer is. By default `/` of the authority, and any success.
    pub http: Option<http::HttpProberOptions>,
    /// What ICMP messages have in common with their socket.
    pub icmp: icmp::IcmpProberOptions,
}

/// Every protocol that halloo knows, in the order in which people read of them.
pub const ALL: &[&Protocol] = &[
    &echo::UDP,
    &echo::TCP,
    &ip_echo::IP,
    &ip_echo::UDP_SELF,
    &ip_echo::TCP_SELF,
    &icmp::ICMP,
    &ndn::NDN,
    &ndn::NDN_TCP,
    &stamp::STAMP,
    &stamp::TWAMP,
    &stun::STUN,
    &ntp::NTP,
    &sip::SIP,
    &sip::SIP_TCP,
    &sip::SIP_TLS,
    &sip::SIPS,
    &http::HTTP,
    &http::HTTPS,
    &quic::QUIC,
    &quic::QUIC_DATAGRAM,
];

/// The protocol that a URL scheme selects.
pub fn by_scheme(scheme: &str) -> Option<&'static Protocol> {
    ALL.iter().copied().find(|protocol| protocol.scheme == scheme)
}

impl Default for ProberOptions {
    fn default() -> ProberOptions {
        ProberOptions {
            key: None,
            token: 0,
            size: 64,
            tos: 0,
            authority: String::new(),
            ndn: None,
            http: None,
            icmp: icmp::IcmpProberOptions::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_unique_lower_case_and_found() {
        for protocol in ALL {
            let found = by_scheme(protocol.scheme).expect("every scheme is in the table");
            assert!(
                std::ptr::eq(*protocol, found),
                "{} is listed twice",
                protocol.scheme
            );
            assert!(
                protocol
                    .scheme
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'+')
            );
        }
        assert!(by_scheme("UDP").is_none());
        assert!(by_scheme("").is_none());
    }

    #[test]
    fn sizes_are_in_order() {
        for Protocol { name, size, .. } in ALL {
            let RequestSize {
                least,
                usual,
                signed,
                most,
                step,
            } = *size;
            assert!(least <= usual && usual <= most && step > 0, "{name}");
            for size in [Some(usual), signed, (most != usize::MAX).then_some(most)] {
                assert!(size.is_none_or(|bytes| (bytes - least) % step == 0), "{name}");
            }
            assert!(
                signed.is_none_or(|signed| (least..=most).contains(&signed)),
                "{name}"
            );
        }
    }

    #[test]
    fn who_asks_has_a_prober_of_its_own_transport() {
        for protocol in ALL {
            let made = protocol.prober.map(|new| new(&ProberOptions::default()));
            assert_eq!(
                made.is_some(),
                protocol.role != Role::Responder,
                "{}",
                protocol.name
            );
            if let Some(AnyProber::Stream(_)) = made {
                let is_fit = [Transport::Tcp, Transport::Quic].contains(&protocol.transport);
                assert!(is_fit, "{}", protocol.name);
            }
        }
    }
}
