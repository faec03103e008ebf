//! A server answers for years: no answer may allocate.

use halloo_base::{
    Clock, Datagram, Env, LinkId, Marks, Mono, Offload, Path, Responder, Rng, Stamp, StampSource, Verdict,
    Wall,
};
use halloo_counting::{Counting, allocations};
use halloo_protocols::ip_echo::{IcmpPolicy, IpEcho, IpEchoOptions, vectors};
use halloo_protocols::ndn::{
    Interest, LpPacket, NameBuf, PingServer, PingServerOptions, Signer, Verifier, tlv,
};
use halloo_protocols::sip::SipServer;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Standing;

impl Clock for Standing {
    fn stamp(&self) -> Stamp {
        AT
    }
}

const AT: Stamp = Stamp {
    mono: Mono(0),
    wall: Wall(0),
    source: StampSource::User,
};

/// Made for this test by `openssl genpkey -algorithm ed25519`.
const ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIGXFHiFX1zDHTfvh1KCga6+nkZxccgeLz0/TQ46yv0q1
-----END PRIVATE KEY-----
";

/// Made for this test by `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`.
const ECDSA: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgpt7UMGDoFJHdCxjy
7XINtq4B6SXqMCSaOSgXw5s/xGehRANCAASeO2k1hyjO9r1c+hJlkxqLv5u81a/J
kuuA/cVu2d1ZofEVvD2Pm3XqBaPZfKUjaFxQ/vCd3UbAVWgCnmQ7lHDV
-----END PRIVATE KEY-----
";

fn named(uri: &str) -> NameBuf {
    uri.parse().expect("a name")
}

fn probes() -> Vec<u8> {
    let name = named("/t/ping/18446744073709551614");
    let bare = tlv::written(|writer| Interest::new(name.as_name()).emit(writer)).expect("room");
    let lp = LpPacket {
        pit_token: Some(b"token"),
        fragment: Some(&bare),
        ..LpPacket::default()
    };
    let wrapped = tlv::written(|writer| lp.emit(writer)).expect("room");
    [bare, wrapped, b"\x05\x02no".to_vec()].concat()
}

#[test]
fn an_answer_allocates_nothing_whoever_signs_it() {
    let key_name = || named("/lab/KEY/1");
    let signers = [
        Signer::digest(),
        Signer::hmac(b"a secret", key_name()).expect("a secret"),
        Signer::from_pem(ED25519, key_name()).expect("a key"),
        Signer::from_pem(ECDSA, key_name()).expect("a key"),
    ];
    let stream = probes();
    for signer in signers {
        let mut server = PingServer::new(
            PingServerOptions {
                size: 1_000,
                signer: signer.clone(),
                ..PingServerOptions::new(named("/t"))
            },
            Box::new(()),
        )
        .expect("a server");
        let mut tx = Vec::with_capacity(10_000);
        let mut answer = || {
            tx.clear();
            server.answer_stream(AT, &stream, &mut tx, |_, _| {})
        };
        assert_eq!(answer(), Ok(stream.len()));
        let counted = allocations(|| {
            for _ in 0..10 {
                assert_eq!(answer(), Ok(stream.len()));
            }
        });
        assert_eq!(counted, 0, "{signer:?}");
        assert!(tx.len() > 2_000, "two answers of a thousand bytes each");
    }
}

#[test]
fn no_datagram_that_is_turned_round_or_refused_allocates() {
    let addresses = vectors::ADDRESSES.map(|text| text.parse().expect("an address"));
    let echo = |icmp| {
        IpEcho::new(&IpEchoOptions {
            addresses: addresses.to_vec(),
            icmp,
            on_link: true,
        })
    };
    let hosts = [echo(IcmpPolicy::Discard), echo(IcmpPolicy::Safe)];
    for row in vectors::rows() {
        for host in &hosts {
            let mut datagram = row.request.clone();
            let mut outcome = None;
            assert_eq!(
                allocations(|| outcome = Some(host.turn_round(&mut datagram))),
                0,
                "{}",
                row.name
            );
            assert!(outcome.is_some());
        }
    }
}

#[test]
fn no_sip_answer_allocates_nor_does_a_refusal() {
    let complete = "OPTIONS sip:e@x.net SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bK1, SIP/2.0/UDP i\r\n\
        Max-Forwards: 70\r\nFrom: <sip:me@x.org>;tag=4\r\nTo: <sip:e@x.net>\r\nCall-ID: 9@x\r\nCSeq: 7 OPTIONS\r\n\
        Timestamp: 54.5\r\n";
    let clock = Standing;
    let remote = "[2001:db8::1]:9".parse().expect("an address");
    let path = Path {
        link: LinkId(1),
        local: remote,
        remote,
    };
    let mut server = SipServer::new([1; 16]);
    for more in ["", "Require: 100rel\r\n", "no colon\r\n"] {
        let request = format!("{complete}{more}\r\n").into_bytes();
        let rx = Datagram {
            path,
            at: AT,
            marks: Marks::default(),
            payload: &request,
            offload: Offload::default(),
        };
        let mut reply = vec![0; request.len() + 1_000];
        let mut verdict = Verdict::Reply(0);
        let counted = allocations(|| {
            let mut env = Env {
                now: AT.mono,
                clock: &clock,
                rng: &mut Rng::new(1),
            };
            let _limit = server.reply_limit(&rx);
            verdict = server.respond(&mut env, &rx, &mut reply);
        });
        assert!(matches!(verdict, Verdict::Reply(200..)), "{verdict:?}");
        assert_eq!(counted, 0, "{more}");
    }
}

#[test]
fn the_counter_counts() {
    assert!(allocations(|| drop(Verifier::hmac(b"a secret"))) > 0);
}
