//! Strangers in the names of others.

use crate::stage::{Log, base, client, options, prober, server};
use halloo_base::{
    AnyProber, Clock, Cx, Datagram, Env, Input, LinkId, Machine, Marks, Mono, Offload, Outbox, Output, Path,
    Reason, Rng, Stamp, StampSource, Wall,
};
use halloo_probe::StreamSession;
use halloo_protocols::quic::QUIC;
use halloo_quic::{QuicServer, QuicStreams};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// How many handshakes may be under way before who connects has to show his address.
const HANDSHAKES: u64 = 64;

struct At(Mono);

impl Clock for At {
    fn stamp(&self) -> Stamp {
        Stamp {
            mono: self.0,
            wall: Wall(1_700_000_000_000_000_000 + self.0.0),
            source: StampSource::User,
        }
    }
}

/// Tells a machine something; to whom it sends what.
fn tell(machine: &mut dyn Machine, now: Mono, input: Input<'_>) -> Vec<(SocketAddr, Vec<u8>)> {
    let (mut out, mut rng, clock) = (Outbox::new(), Rng::new(1), At(now));
    let env = Env {
        now,
        clock: &clock,
        rng: &mut rng,
    };
    let mut cx = Cx { env, out: &mut out };
    machine.handle(&mut cx, input);
    let sent = out.iter().filter_map(|output| match output {
        Output::Datagram(how, bytes) => Some((how.path.remote, bytes.to_vec())),
        _ => None,
    });
    sent.collect()
}

fn hand(
    server: &mut QuicServer,
    now: Mono,
    remote: SocketAddr,
    payload: &[u8],
) -> Vec<(SocketAddr, Vec<u8>)> {
    let path = Path {
        link: LinkId(1),
        local: options(1).path.remote,
        remote,
    };
    let rx = Datagram {
        path,
        at: At(now).stamp(),
        marks: Marks::default(),
        payload,
        offload: Offload::default(),
    };
    tell(server, now, Input::Datagram(rx))
}

/// What a client of this server sends first.
fn beginning(certificate: &[u8]) -> Vec<Vec<u8>> {
    let AnyProber::Stream(prober) = prober(&QUIC) else {
        panic!("a stream has a stream's prober");
    };
    let session = StreamSession::new(options(1), prober, Box::new(Log::default())).expect("options");
    let mut client = QuicStreams::new(session, client(certificate), base(), Box::new(|_| {}));
    let sent = tell(&mut client, Mono(0), Input::Wake);
    sent.into_iter().map(|(_, bytes)| bytes).collect()
}

#[test]
fn half_open_connections_stay_within_their_caps_and_bring_nobody_more_than_three_times_what_was_sent() {
    let (mut server, counters, certificate) = server();
    let mut now = Mono(1_000_000_000);
    let mut balance = BTreeMap::<IpAddr, (usize, usize)>::new();
    let victims = 300;
    for victim in 0..victims {
        let remote: SocketAddr = (
            Ipv4Addr::new(203, 0, 113 - (victim / 250) as u8, (victim % 250) as u8 + 1),
            40_000,
        )
            .into();
        for payload in beginning(&certificate) {
            let sent = hand(&mut server, now, remote, &payload);
            let (asked, got) = balance.entry(remote.ip()).or_default();
            *asked += payload.len();
            *got += sent.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
            assert!(
                sent.iter().all(|(to, _)| *to == remote),
                "nobody else is sent anything"
            );
        }
    }
    let held = counters.connections.snapshot().received;
    assert_eq!(held, HANDSHAKES);
    assert!(counters.connections.count(Reason::Unvalidated) >= victims - HANDSHAKES);
    // Nobody answers. What is sent again counts too, and in the end nothing is left.
    while let Some(deadline) = server.deadline() {
        now = now.max(deadline.at);
        for (to, bytes) in tell(&mut server, now, Input::Wake) {
            balance.get_mut(&to.ip()).expect("one who was named").1 += bytes.len();
        }
    }
    for (victim, (asked, got)) in balance {
        assert!(got <= 3 * asked, "{victim} got {got} for {asked}");
    }
    assert_eq!(counters.connections.count(Reason::IdleTimeout), HANDSHAKES);
    assert_eq!(counters.connections.snapshot().replied, 0);
}

#[test]
fn who_gets_all_that_he_may_gets_no_goodbye_beyond_it() {
    let (mut server, counters, certificate) = server();
    let mut now = Mono(1_000_000_000);
    let remote = SocketAddr::from(([203, 0, 113, 7], 40_000));
    let (mut asked, mut got) = (0, 0);
    let count = |sent: Vec<(SocketAddr, Vec<u8>)>| sent.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    for payload in beginning(&certificate) {
        asked += payload.len();
        got += count(hand(&mut server, now, remote, &payload));
    }
    while let Some(deadline) = server.deadline() {
        now = now.max(deadline.at);
        let is_over = counters.connections.count(Reason::IdleTimeout) > 0;
        let sent = count(tell(&mut server, now, Input::Wake));
        let has_ended = counters.connections.count(Reason::IdleTimeout) > 0;
        assert!(
            sent == 0 || !has_ended && !is_over,
            "{sent} bytes when it was over"
        );
        got += sent;
    }
    assert!(got > asked && got <= 3 * asked, "{got} for {asked}");
}

#[test]
fn a_source_in_whose_name_much_comes_is_looked_at_no_more() {
    let (mut server, counters, certificate) = server();
    let first = beginning(&certificate);
    let remote = SocketAddr::from(([203, 0, 113, 7], 40_000));
    let mut sent = 0;
    for number in 0..12_000u32 {
        let mut junk = first[0].clone();
        junk[6..10].copy_from_slice(&number.to_be_bytes());
        sent += hand(&mut server, Mono(1_000_000_000), remote, &junk).len();
    }
    assert_eq!(sent, 0, "none of them is sealed as it should be");
    assert_eq!(counters.connections.count(Reason::RateLimited), 2_000);
    let other = SocketAddr::from(([203, 0, 113, 8], 40_000));
    let answered: usize = first
        .iter()
        .map(|bytes| hand(&mut server, Mono(1_000_000_000), other, bytes).len())
        .sum();
    assert!(answered > 0, "others are");
}
