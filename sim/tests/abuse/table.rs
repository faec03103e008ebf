//! Every protocol that is answered over UDP, as `halloo serve --all` answers it.

use crate::marks;
use halloo_base::{ReplyLimit, Responder, Role, Transport, Trust};
use halloo_protocols::echo::pingback::PingbackOptions;
use halloo_protocols::echo::{UdpEcho, UdpEchoOptions};
use halloo_protocols::ndn::{NameBuf, PingProberOptions, PingServer, PingServerOptions};
use halloo_protocols::ntp::{ClockSource, NtpServer, NtpServerOptions};
use halloo_protocols::sip::SipServer;
use halloo_protocols::stamp::{StampReflector, StampReflectorOptions};
use halloo_protocols::stun::{StunServer, StunServerOptions};
use halloo_protocols::{ALL, ProberOptions, Protocol, echo, ndn, ntp, sip, stamp, stun};
use halloo_serve::{Broadcast, Guards, Secret, ServerOptions};

/// One protocol and who answers it.
pub(crate) struct Dialect {
    pub(crate) protocol: &'static Protocol,
    /// Its usual ports.
    pub(crate) ports: &'static [u16],
    /// Whether its peers ask from the very port that they ask at.
    pub(crate) one_port: bool,
    /// A new one that answers, and how long its answers may be.
    pub(crate) responder: fn() -> (Box<dyn Responder>, ReplyLimit),
    /// Who asks it, and in which sizes.
    pub(crate) askers: &'static [(&'static Protocol, &'static [usize])],
    /// What makes a datagram one of its answers, and of its requests.
    pub(crate) marks: marks::Marks,
}

/// One entry for each.
pub(crate) static TABLE: &[Dialect] = &[
    Dialect {
        protocol: &echo::UDP,
        ports: ECHO_PORTS,
        one_port: false,
        responder: || {
            let echo = UdpEcho::new(echo_options(), [7; 32]);
            (Box::new(echo), echo::UDP.reply_limit)
        },
        askers: &[(&echo::UDP, &[0, 16, 64, 112, 512])],
        marks: marks::ECHO,
    },
    Dialect {
        protocol: &stamp::STAMP,
        ports: &[862],
        one_port: false,
        responder: || {
            let reflector = StampReflector::new(StampReflectorOptions::default(), [7; 16]);
            (Box::new(reflector), stamp::STAMP.reply_limit)
        },
        askers: &[(&stamp::STAMP, &[44, 200]), (&stamp::TWAMP, &[41, 128])],
        marks: marks::STAMP,
    },
    Dialect {
        protocol: &stun::STUN,
        ports: &[3478],
        one_port: false,
        responder: || {
            let server = StunServer::new(StunServerOptions::default());
            (Box::new(server), stun::STUN.reply_limit)
        },
        askers: &[(&stun::STUN, &[20, 28, 128])],
        marks: marks::STUN,
    },
    Dialect {
        protocol: &ntp::NTP,
        ports: &[123],
        one_port: true,
        responder: || {
            let clock = ClockSource::Kept {
                stratum: 3,
                reference_id: [127, 127, 1, 0],
                unkept: None,
            };
            let server = NtpServer::new(NtpServerOptions { clock });
            (Box::new(server), ntp::NTP.reply_limit)
        },
        askers: &[(&ntp::NTP, &[48])],
        marks: marks::NTP,
    },
    Dialect {
        protocol: &sip::SIP,
        ports: &[5060],
        one_port: true,
        responder: || (Box::new(SipServer::new([7; 16])), sip::SIP.reply_limit),
        askers: &[(&sip::SIP, &[sip::bare_len(NAME.len()), 512, 1_200])],
        marks: marks::SIP,
    },
    Dialect {
        protocol: &ndn::NDN,
        ports: &[6363],
        one_port: true,
        responder: || {
            let options = PingServerOptions::new(prefix());
            let server = PingServer::new(options, Box::new(())).expect("the prefix is short");
            let limit = server.reply_limit();
            (Box::new(server), limit)
        },
        askers: &[(&ndn::NDN, &[64, 200, 1_000])],
        marks: marks::NDN,
    },
];

/// How a host without a key echoes.
pub(crate) fn echo_options() -> UdpEchoOptions {
    UdpEchoOptions {
        pingback: Some(PingbackOptions {
            ends: ECHO_PORTS.iter().map(|&port| ([0; 4], port).into()).collect(),
            ..PingbackOptions::default()
        }),
        ..UdpEchoOptions::default()
    }
}

/// The echo's own, and the one of RFC 862.
const ECHO_PORTS: &[u16] = &[7777, 7];

/// This host's network has this directed broadcast address.
pub(crate) const BROADCAST: &str = "192.0.2.255";

/// The host's name, for those whose requests have it.
const NAME: &str = "echo.example";

/// What NDN pings are answered under.
fn prefix() -> NameBuf {
    NameBuf::new().with(b"halloo")
}

/// What the asker of any protocol is made of.
pub(crate) fn asking(token: u64, size: usize) -> ProberOptions {
    ProberOptions {
        token,
        size,
        authority: NAME.to_owned(),
        ndn: Some(PingProberOptions {
            size: Some(size),
            ..PingProberOptions::new(prefix(), token)
        }),
        ..ProberOptions::default()
    }
}

impl Dialect {
    /// The port that its peers ask from, wherever they ask.
    pub(crate) fn peer_port(&self) -> Option<u16> {
        // What is asked of an NDN host comes from where it asks.
        let is_ndn = std::ptr::eq(self.protocol, &ndn::NDN);
        self.protocol.default_port.filter(|_| self.one_port && !is_ndn)
    }

    /// What the server around it is told, where these ports are answered beside its own.
    pub(crate) fn options(&self, own_ports: &[u16], reply_limit: ReplyLimit) -> ServerOptions {
        ServerOptions {
            guards: Guards {
                one_port: self.one_port,
                peer_port: self.peer_port(),
                own_ports: own_ports.to_vec(),
                broadcasts: vec![Broadcast {
                    link: Default::default(),
                    address: BROADCAST.parse().expect("an address"),
                }],
                ..Guards::default()
            },
            reply_limit,
            transport: Transport::Udp,
            secret: Secret::new([7; 16]),
        }
    }
}

/// Every port of a host that answers everything: as root the usual ones, or else those 10,000 above where they are low.
pub(crate) fn all_ports(is_root: bool) -> Vec<u16> {
    let ports = TABLE.iter().flat_map(|dialect| dialect.ports);
    ports.map(|&port| had(port, is_root)).collect()
}

/// The port that stands for a usual one.
pub(crate) fn had(port: u16, is_root: bool) -> u16 {
    if is_root || port >= 1024 {
        port
    } else {
        port + 10_000
    }
}

#[test]
fn every_protocol_that_is_answered_over_udp_is_in_the_table() {
    for protocol in ALL {
        let is_answered = protocol.transport == Transport::Udp && protocol.role != Role::Prober;
        let is_listed = TABLE
            .iter()
            .any(|dialect| std::ptr::eq(dialect.protocol, *protocol));
        assert_eq!(is_answered, is_listed, "{}", protocol.name);
    }
}

#[test]
fn the_usual_port_of_each_is_the_protocols() {
    for dialect in TABLE {
        assert_eq!(Some(dialect.ports[0]), dialect.protocol.default_port);
    }
}

#[test]
fn no_stranger_gets_more_than_security_md_says() {
    let told = [("stun", 24), ("ndn", 64), ("sip", 45)];
    for dialect in TABLE {
        let (_, limit) = (dialect.responder)();
        let more = limit.longest(0, Trust::Stranger);
        let told = told.iter().find(|(scheme, _)| *scheme == dialect.protocol.scheme);
        let most = told.map_or(0, |&(_, most)| most);
        assert!(more <= most, "{}: {more}", dialect.protocol.name);
    }
}
