//! NDN's ping in the table of protocols.

use super::name::NameBuf;
use super::prober::{PingProber, PingProberOptions, PingStreamProber};
use super::tlv::LONGEST_PACKET;
use crate::{ProberOptions, Protocol, RequestSize};
use halloo_base::{AnyProber, ReplyLimit, Role, Transport};

/// Beside the name of its Interest a Data has, by default, this much: headers, freshness, empty content and a digest.
const DATA_EXTRA: usize = 64;

/// What the name asks for by itself, unless more is wanted.
const SIZE: RequestSize = RequestSize {
    most: LONGEST_PACKET,
    ..RequestSize::ANY
};

const SPEC: &str = "NDN packet format 0.3, NDNLPv2, ndnping protocol 1";

/// By a forwarder, or to a server's UDP port.
pub static NDN: Protocol = Protocol {
    name: "NDN ping",
    scheme: "ndn",
    default_port: Some(6363),
    transport: Transport::Udp,
    spec: SPEC,
    reply_limit: ReplyLimit::Extra(DATA_EXTRA),
    role: Role::Both,
    size: SIZE,
    prober: Some(|options| AnyProber::Datagram(Box::new(PingProber::new(asked(options))))),
};

/// To a server's TCP port.
pub static NDN_TCP: Protocol = Protocol {
    name: "NDN ping over TCP",
    scheme: "ndn+tcp",
    default_port: Some(6363),
    transport: Transport::Tcp,
    spec: SPEC,
    reply_limit: ReplyLimit::Extra(DATA_EXTRA),
    role: Role::Both,
    size: SIZE,
    prober: Some(|options| AnyProber::Stream(Box::new(PingStreamProber::new(asked(options))))),
};

/// What is asked for; without any prefix by default, and counting on from the session's own number.
fn asked(options: &ProberOptions) -> PingProberOptions {
    let default = || PingProberOptions::new(NameBuf::new(), options.token);
    options.ndn.clone().unwrap_or_else(default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ndn::{PingServer, PingServerOptions};
    use halloo_base::Trust;

    #[test]
    fn the_server_answers_no_longer_than_the_table_says() {
        let server = PingServer::new(PingServerOptions::new(NameBuf::new()), Box::new(()));
        let server = server.expect("a short prefix");
        let [made, told] =
            [server.reply_limit(), NDN.reply_limit].map(|limit| limit.longest(0, Trust::Stranger));
        assert!((1..=told).contains(&made), "{made} > {told}");
    }
}
