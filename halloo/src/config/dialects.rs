//! `[stamp]` and its like: protocols beside the echo that are answered at ports of their own.

use super::schema::{Cap, Config, Listen, Span};
use super::stun::OTHER;
use crate::cli::ServeArgs;
use halloo_protocols::echo::pingback::PingbackOptions;
use halloo_protocols::ntp::{self, ClockSource};
use halloo_protocols::stamp::{self, ReflectorMode, StampReflectorOptions};
use halloo_protocols::{Protocol, http, quic, sip, stun};
use halloo_serve::Secret;
use halloo_web::HttpOptions;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// One of those sections. There is one table of them: [`DIALECTS`].
pub(crate) struct Dialect {
    /// Its name in the file and its option.
    pub(crate) key: &'static str,
    /// What is spoken at its UDP ports.
    pub(crate) udp: Option<&'static Protocol>,
    /// What is spoken at its TCP ports.
    pub(crate) tcp: Option<&'static Protocol>,
    /// Whether its peers ask from the very port that they ask at, or from the usual one. Its answers must be such that
    /// nobody takes them for requests.
    pub(crate) one_port: bool,
    /// Who answers it.
    pub(crate) driver: Driver,
    listen: fn(&Config) -> &Vec<Listen>,
    listen_mut: fn(&mut Config) -> &mut Vec<Listen>,
    flags: fn(&ServeArgs) -> &[SocketAddr],
}

/// Who answers a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// A machine on a thread of ours.
    Worker,
    /// A machine on a thread of ours, behind TLS.
    Tls,
    /// A machine on a thread of ours, which speaks QUIC.
    Quic,
    /// The web crate's runtime, with TLS or without.
    Web {
        /// With TLS.
        tls: bool,
    },
}

/// Every dialect, in the order in which people read of them.
pub(crate) static DIALECTS: &[Dialect] = &[
    Dialect {
        key: "stamp",
        udp: Some(&stamp::STAMP),
        tcp: None,
        one_port: false,
        driver: Driver::Worker,
        listen: |config| &config.stamp.listen,
        listen_mut: |config| &mut config.stamp.listen,
        flags: |args| &args.stamp,
    },
    Dialect {
        key: "stun",
        udp: Some(&stun::STUN),
        tcp: None,
        one_port: false,
        driver: Driver::Worker,
        listen: |config| &config.stun.listen,
        listen_mut: |config| &mut config.stun.listen,
        flags: |args| &args.stun,
    },
    Dialect {
        key: "ntp",
        udp: Some(&ntp::NTP),
        tcp: None,
        // ntpd asks from 123 (RFC 9109 section 1). Only mode 3 is answered, by mode 4, so two servers fall silent.
        one_port: true,
        driver: Driver::Worker,
        listen: |config| &config.ntp.listen,
        listen_mut: |config| &mut config.ntp.listen,
        flags: |args| &args.ntp,
    },
    Dialect {
        key: "sip",
        udp: Some(&sip::SIP),
        tcp: Some(&sip::SIP_TCP),
        // User agents send from the port that they receive at.
        one_port: true,
        driver: Driver::Worker,
        listen: |config| &config.sip.listen,
        listen_mut: |config| &mut config.sip.listen,
        flags: |args| &args.sip,
    },
    Dialect {
        key: "sips",
        udp: None,
        tcp: Some(&sip::SIPS),
        one_port: false,
        driver: Driver::Tls,
        listen: |config| &config.sips.listen,
        listen_mut: |config| &mut config.sips.listen,
        flags: |args| &args.sips,
    },
    Dialect {
        key: "http",
        udp: None,
        tcp: Some(&http::HTTP),
        one_port: false,
        driver: Driver::Web { tls: false },
        listen: |config| &config.http.listen,
        listen_mut: |config| &mut config.http.listen,
        flags: |args| &args.http,
    },
    Dialect {
        key: "https",
        udp: None,
        tcp: Some(&http::HTTPS),
        one_port: false,
        driver: Driver::Web { tls: true },
        listen: |config| &config.https.listen,
        listen_mut: |config| &mut config.https.listen,
        flags: |args| &args.https,
    },
    Dialect {
        key: "quic",
        udp: Some(&quic::QUIC),
        tcp: None,
        one_port: false,
        driver: Driver::Quic,
        listen: |config| &config.quic.listen,
        listen_mut: |config| &mut config.quic.listen,
        flags: |args| &args.quic,
    },
];

/// `[http]`: where the HTTP echo host answers, and how much. What is not about the place goes for `[https]` too.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    pub(crate) listen: Vec<Listen>,
    pub(crate) connections: u32,
    pub(crate) per_source: Cap,
    pub(crate) body: u32,
    pub(crate) idle_timeout: Span,
    pub(crate) longest_delay: Span,
}

impl Default for Http {
    fn default() -> Http {
        let options = HttpOptions::new(Secret::new([0; 16]));
        Http {
            listen: vec![],
            connections: options.admission.connections,
            per_source: Cap(options.admission.per_source),
            body: options.body,
            idle_timeout: Span(options.idle_timeout),
            longest_delay: Span(options.longest_delay),
        }
    }
}

/// `[tls]`: who this host says that it is.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
}

impl Tls {
    /// The first thing that makes no sense, with its key.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        match (&self.certificate, &self.key) {
            (Some(_), None) => Err(("tls.certificate", "there is no key to go with it".into())),
            (None, Some(_)) => Err(("tls.key", "there is no certificate to go with it".into())),
            _ => Ok(()),
        }
    }
}

/// `[stamp]`: how a STAMP reflector answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Stamp {
    pub(crate) listen: Vec<Listen>,
    pub(crate) stateful: bool,
    pub(crate) sessions: u32,
}

impl Default for Stamp {
    fn default() -> Stamp {
        let options = StampReflectorOptions::default();
        Stamp {
            listen: vec![],
            stateful: options.mode == ReflectorMode::Stateful,
            sessions: u32::try_from(options.sessions).unwrap_or(u32::MAX),
        }
    }
}

/// `[ntp]`: what an NTP server claims.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ntp {
    pub(crate) listen: Vec<Listen>,
    pub(crate) stratum: u8,
    pub(crate) reference: Ipv4Addr,
    /// Claims `stratum` too while nobody keeps the clock, with this error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unkept_error: Option<Span>,
    /// The NTP server of this host that tells all that instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ask: Option<SocketAddr>,
}

impl Default for Ntp {
    fn default() -> Ntp {
        Ntp {
            listen: vec![],
            // chrony's default for a clock without a source (`local`): nobody should prefer it.
            stratum: 10,
            reference: Ipv4Addr::new(127, 127, 1, 1),
            unkept_error: None,
            ask: None,
        }
    }
}

impl Ntp {
    /// What is claimed of the clock where nobody is asked.
    pub(crate) fn clock(&self) -> ClockSource {
        ClockSource::Kept {
            stratum: self.stratum,
            reference_id: self.reference.octets(),
            unkept: self.unkept_error.map(|error| error.0.into()),
        }
    }

    /// The first thing that makes no sense, with its key.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if !(2..=16).contains(&self.stratum) {
            return Err(("ntp.stratum", format!("is {}, but must be 2 to 16", self.stratum)));
        }
        match self.ask {
            // Of another host we would hear of another clock.
            Some(ask) if !ask.ip().is_loopback() || ask.port() == 0 => {
                return Err((
                    "ntp.ask",
                    format!("is {ask}, but must be a port of 127.0.0.1 or [::1]"),
                ));
            }
            Some(ask) if self.listen.iter().any(|listen| listen.0.port() == ask.port()) => {
                return Err((
                    "ntp.ask",
                    format!("is {ask}, where ntp.listen answers: it would be ourselves"),
                ));
            }
            _ => {}
        }
        match self.unkept_error {
            // From 16 s on a clock counts as one that is not synchronised (RFC 5905 section 7.2, MAXDISP).
            Some(Span(error)) if error >= Duration::from_secs(16) => {
                Err(("ntp.unkept_error", "must be below 16s".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// `[pingback]`: what is sent later to those who ask for it and have proved where they are.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pingback {
    pub(crate) offer: bool,
    pub(crate) most_packets: u16,
    pub(crate) longest_silence: Span,
    pub(crate) per_address: u16,
    pub(crate) most_waiting: u32,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Default for Pingback {
    fn default() -> Pingback {
        let options = PingbackOptions::default();
        Pingback {
            offer: true,
            most_packets: options.most_packets,
            longest_silence: Span(options.longest_silence),
            per_address: options.per_address,
            most_waiting: options.most_waiting,
            addresses: options.addresses,
        }
    }
}

impl Pingback {
    /// The first thing that is more than docs/wire/probe.md promises at most, with its key.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let most = Pingback::default();
        let limits = [
            (
                "pingback.most_packets",
                u64::from(self.most_packets),
                u64::from(most.most_packets),
            ),
            (
                "pingback.per_address",
                self.per_address.into(),
                most.per_address.into(),
            ),
            (
                "pingback.most_waiting",
                self.most_waiting.into(),
                most.most_waiting.into(),
            ),
        ];
        for (key, value, most) in limits {
            if value > most {
                return Err((key, format!("is {value}, but must be 0 to {most}")));
            }
        }
        match self.longest_silence.0 <= most.longest_silence.0 {
            true => Ok(()),
            false => Err(("pingback.longest_silence", "is more than 900s".to_owned())),
        }
    }

    /// The same for who answers there.
    pub(crate) fn options(&self, ends: Vec<SocketAddr>) -> Option<PingbackOptions> {
        self.offer.then(|| PingbackOptions {
            most_packets: self.most_packets,
            longest_silence: self.longest_silence.0,
            per_address: self.per_address,
            most_waiting: self.most_waiting,
            ends,
            addresses: self.addresses.clone(),
            ..PingbackOptions::default()
        })
    }
}

/// `[NAME]` of a dialect that needs to be told no more than where to listen.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Place {
    pub(crate) listen: Vec<Listen>,
}

impl Driver {
    /// Whether it needs a certificate.
    pub(crate) fn is_secured(self) -> bool {
        matches!(self, Driver::Tls | Driver::Quic | Driver::Web { tls: true })
    }
}

impl Dialect {
    /// Where it is to be answered.
    pub(crate) fn addresses(&self, config: &Config) -> Vec<SocketAddr> {
        let listed = (self.listen)(config).iter().map(|listen| listen.0);
        listed.chain(self.beside(config)).collect()
    }

    /// Places that follow from another key.
    fn beside(&self, config: &Config) -> Vec<SocketAddr> {
        match self.key {
            "stun" => config.stun.beside(),
            _ => vec![],
        }
    }

    /// The key that one of its addresses comes from.
    pub(crate) fn key_of(&self, config: &Config, address: SocketAddr) -> String {
        if self.beside(config).contains(&address) {
            OTHER.to_owned()
        } else {
            self.list()
        }
    }

    /// Where the command line wants it to be answered.
    pub(crate) fn flags<'a>(&self, args: &'a ServeArgs) -> &'a [SocketAddr] {
        (self.flags)(args)
    }

    /// Its key in the file.
    pub(crate) fn list(&self) -> String {
        format!("{}.listen", self.key)
    }

    /// Takes these addresses instead of the file's.
    pub(crate) fn overlay(&self, config: &mut Config, addresses: &[SocketAddr]) {
        *(self.listen_mut)(config) = addresses.iter().copied().map(Listen).collect();
    }

    /// The port that others expect it at.
    pub(crate) fn port(&self) -> u16 {
        let protocol = self.udp.or(self.tcp);
        protocol
            .and_then(|protocol| protocol.default_port)
            .unwrap_or_default()
    }
}
