//! The QUIC server, and what may come to it.

use crate::feed::Feed;
use crate::surroundings::{datagram, with_env};
use halloo_base::{Cx, Datagram, Env, Input, Machine, Mono, Outbox, Output, ReplyLimit};
use halloo_protocols::echo::{TcpEcho, UdpEcho, UdpEchoOptions};
use halloo_quic::{DatagramEcho, Lending, QuicCounters, QuicServer, QuicServerOptions, Services};
use halloo_web::TlsOptions;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// The first datagram of a client, as it was recorded.
const BEGINNING: &str = include_str!("quic/beginning.hex");

static TLS: LazyLock<rustls::ServerConfig> = LazyLock::new(|| {
    let identity = TlsOptions::self_signed(["localhost"]).expect("a certificate");
    identity
        .server_config(&[halloo_quic::ALPN])
        .expect("a configuration")
});

static RECORDED: LazyLock<Vec<u8>> = LazyLock::new(|| crate::seeds::parse(BEGINNING).expect("hex"));

/// The library sends a whole datagram where a part of one is left of three times what came.
const FINISHED: usize = 1_199;

const RECORDING: u8 = 1;
const VERSION_1: u8 = 2;
const LATER: u8 = 4;

const RETRY: u8 = 1;
const LEND: u8 = 2;
const FEW: u8 = 4;

/// First the server's options; then for each datagram an octet of switches, the sender, the time since the one before in
/// milliseconds, and its length; then its damage if it is the recorded one, else its bytes.
pub(crate) fn server(data: &[u8]) {
    let mut feed = Feed::new(data);
    let options = feed.octet();
    let mut server = made(options);
    let (mut now, mut asked, mut told) = (Mono(1_000_000_000), 0, 0);
    while !feed.is_empty() {
        let (how, sender) = (feed.octet(), feed.octet());
        if how & LATER != 0 {
            now += Duration::from_millis(feed.number().into());
            if server.deadline().is_some_and(|deadline| deadline.at <= now) {
                told += drive(&mut server, now, Input::Wake);
            }
        }
        let mut payload = if how & RECORDING != 0 {
            let mut recorded = RECORDED.clone();
            feed.damage(&mut recorded);
            recorded
        } else {
            let len = usize::from(feed.number() % 1_500);
            feed.bytes(len).to_vec()
        };
        if how & VERSION_1 != 0 && payload.len() > 5 {
            payload[0] |= 0xc0;
            payload[1..5].copy_from_slice(&[0, 0, 0, 1]);
        }
        let rx: Datagram<'_> = datagram(sender, now, &payload);
        asked += payload.len();
        told += drive(&mut server, now, Input::Datagram(rx));
        // Nobody here ever shows that he receives anything (RFC 9000 section 8.1).
        assert!(told <= 3 * asked + FINISHED, "{told} bytes for {asked}");
    }
    drive(&mut server, now, Input::Drain);
    while let Some(deadline) = server.deadline() {
        now = now.max(deadline.at);
        told += drive(&mut server, now, Input::Wake);
    }
    assert!(told <= 3 * asked + FINISHED, "{told} bytes for {asked}");
    assert!(server.finished(), "somebody is left");
}

fn made(options: u8) -> QuicServer {
    let echo = UdpEcho::new(UdpEchoOptions::default(), [7; 32]);
    let lending = Lending {
        alpn: b"h3".to_vec(),
        take: Box::new(Err),
        ring: Box::new(|| {}),
    };
    let services = Services {
        make: Box::new(|_| Box::new(TcpEcho)),
        datagrams: Some(DatagramEcho {
            responder: Box::new(echo),
            limit: ReplyLimit::SameAsRequest,
        }),
        lending: (options & LEND != 0).then_some(lending),
    };
    let options = QuicServerOptions {
        retry_above: if options & RETRY != 0 { 0 } else { 64 },
        connections: if options & FEW != 0 { 1 } else { 64 },
        ..QuicServerOptions::default()
    };
    let base = Instant::now();
    let counters = Arc::<QuicCounters>::default();
    let admit = Box::new(|_: Mono, _: &_, _, _| Ok(()));
    QuicServer::new(options, &TLS, admit, services, counters, base).expect("the options are right")
}

/// How many bytes it sends for this.
fn drive(server: &mut QuicServer, now: Mono, input: Input<'_>) -> usize {
    let mut out = Outbox::new();
    with_env(now, |env| {
        let env = Env {
            now,
            clock: env.clock,
            rng: &mut *env.rng,
        };
        server.handle(&mut Cx { env, out: &mut out }, input);
    });
    let sent = out.iter().map(|output| match output {
        Output::Datagram(_, bytes) => bytes.len(),
        _ => panic!("datagrams alone are sent"),
    });
    sent.sum()
}
