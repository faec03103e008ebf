//! The ping server: what it answers, and what it does not.

use super::*;
use halloo_base::{Next, Reason, ReplyLimit, Responder, StreamResponder, Trust, Verdict};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Writes down what it is told.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("one thread"))
    }
}

impl PingSink for Diary {
    fn answered(&mut self, _at: halloo_base::Stamp, name: Name<'_>) {
        self.0.lock().expect("one thread").push(name.to_string());
    }

    fn silent(&mut self, why: Reason) {
        self.0.lock().expect("one thread").push(why.name().to_owned());
    }
}

fn options(prefix: &str) -> PingServerOptions {
    PingServerOptions::new(named(prefix))
}

fn server(options: PingServerOptions) -> PingServer {
    PingServer::new(options, Box::new(())).expect("options that make a server")
}

/// What the server answers to a datagram.
fn answer(server: &mut PingServer, wire: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut reply = wire.to_vec();
    reply.resize(server.room(wire.len()), 0);
    match with_env(1, |env| {
        Responder::respond(server, env, &datagram(1, wire), &mut reply)
    }) {
        Verdict::Reply(len) => Ok(reply[..len].to_vec()),
        Verdict::Silent(why) => Err(why),
        Verdict::ReplyStamped(..) | Verdict::ReplyFrom(..) => panic!("nobody needs the stamp"),
    }
}

fn asking(uri: &str) -> Vec<u8> {
    let name = named(uri);
    tlv::written(|writer| Interest::new(name.as_name()).emit(writer)).expect("room")
}

fn wrapped(token: &[u8], wire: &[u8]) -> Vec<u8> {
    let lp = LpPacket {
        pit_token: Some(token).filter(|token| !token.is_empty()),
        fragment: Some(wire),
        ..LpPacket::default()
    };
    tlv::written(|writer| lp.emit(writer)).expect("room")
}

#[test]
fn captured_probes_get_the_captured_answers() {
    let mut default = server(options("/edu/arizona"));
    assert_eq!(answer(&mut default, &vector("V1")), Ok(vector("V2")));
    let mut sized = server(PingServerOptions {
        size: 10,
        freshness: Duration::ZERO,
        ..options("/sz")
    });
    assert_eq!(answer(&mut sized, &asking("/sz/ping/1")), Ok(vector("V4")));
    let mut tokened = server(options("/t"));
    let asked = vector("V19");
    let given = answer(&mut tokened, &asked).expect("an answer");
    let expected = vector("V20");
    assert_eq!(given, expected);
}

#[test]
fn every_name_under_the_prefix_is_answered_with_data_of_that_name() {
    let mut server = server(options("/t"));
    for uri in [
        "/t/ping",
        "/t/ping/7",
        "/t/ping/seq=4660",
        "/t/ping/client/18446744073709551615",
        "/t/ping/no/number",
        "/t/ping/...",
        "/t/ping/v=1/32=x/seg=0",
    ] {
        let wire = answer(&mut server, &asking(uri)).expect(uri);
        let data = Data::parse(&wire).expect("Data");
        assert_eq!(data.name, named(uri).as_name());
        assert_eq!(data.verify(&Verifier::digest()), Ok(()));
    }
    let name = named("/t/ping/7");
    let carrying = Interest::new(name.as_name())
        .with_parameters(b"with parameters", None)
        .expect("room");
    let wire = answer(&mut server, &carrying).expect("an answer");
    let asked = Interest::parse(&carrying).expect("an Interest");
    assert!(asked.matches(&Data::parse(&wire).expect("Data")));
}

#[test]
fn what_is_not_answered_is_counted_under_its_reason() {
    let mut server = server(options("/edu/arizona"));
    let mut damaged = Interest::new(named("/edu/arizona/ping/7").as_name())
        .with_parameters(b"p", None)
        .expect("room");
    *damaged.last_mut().expect("bytes") ^= 1;
    let digest = format!("/edu/arizona/ping/7/sha256digest={}", "00".repeat(32));
    let long = asking(&format!("/edu/arizona/ping/{}", "x".repeat(8_745)));
    assert!(long.len() <= LONGEST_PACKET);
    let table = [
        (vector("V2"), Reason::Loop),
        (vector("V6"), Reason::Loop),
        (vector("fragment-interest-0"), Reason::Incomplete),
        (hex("6400"), Reason::Incomplete),
        (asking("/edu/ping/7"), Reason::NotServed),
        (asking("/edu/arizona"), Reason::NotServed),
        (asking("/edu/arizona/pingu/7"), Reason::NotServed),
        (asking("/edu/arizona/32=ping/7"), Reason::NotServed),
        (asking(&digest), Reason::NotServed),
        (long, Reason::NotServed),
        (damaged, Reason::Malformed),
        (hex(""), Reason::Malformed),
        (hex("05fd0005 0703080141"), Reason::Malformed),
        (b"hello".to_vec(), Reason::Malformed),
    ];
    for (wire, why) in table {
        assert_eq!(answer(&mut server, &wire), Err(why), "{wire:02x?}");
    }
}

#[test]
fn the_limit_is_what_the_longest_growth_needs_and_no_more() {
    assert_eq!(server(options("/t")).reply_limit(), ReplyLimit::Extra(53));
    let mut slack = usize::MAX;
    for size in [0, 1, 252, 253, 1_000] {
        let mut server = server(PingServerOptions {
            size,
            ..options("/t")
        });
        for length in (1..260).chain([2_000]) {
            let bare = asking(&format!("/t/ping/{}", "x".repeat(length)));
            for wire in [bare.clone(), wrapped(b"", &bare), wrapped(&[7; 32], &bare)] {
                let given = answer(&mut server, &wire).expect("an answer that fits");
                slack = slack.min(server.room(wire.len()) - given.len());
            }
        }
    }
    assert_eq!(slack, 0, "some answer needs all of it");
}

#[test]
fn a_stranger_gets_no_more_content_than_its_interest_is_long() {
    let bare = asking("/t/ping/9");
    let least = answer(&mut server(options("/t")), &bare)
        .expect("an answer")
        .len();
    let mut generous = server(PingServerOptions {
        size: 4_000,
        ..options("/t")
    });
    let limit = generous.reply_limit();
    let whole = answer(&mut generous, &bare).expect("an answer").len();
    assert_eq!(whole, least + 4_000 + 2 + 2, "two lengths need three bytes");
    let mut seen = vec![];
    for padding in (0..600).chain([3_000, 4_200, 6_000]) {
        // A field that nobody has to know (NDNLPv2) makes the packet longer.
        let mut wire = wrapped(b"", &bare);
        if padding >= 4 {
            let header = crate::ndn::tlv::written(|writer| {
                writer.element(
                    super::types::LP_PACKET,
                    &[
                        crate::ndn::tlv::written(|writer| writer.element(804, &vec![0; padding]))
                            .expect("room"),
                        crate::ndn::tlv::written(|writer| writer.element(super::types::LP_FRAGMENT, &bare))
                            .expect("room"),
                    ]
                    .concat(),
                );
            });
            wire = header.expect("room");
        }
        let mut reply = wire.clone();
        reply.resize(limit.longest(wire.len(), Trust::Stranger), 0);
        let len = generous.answer(stamp(1), &wire, &mut reply).expect("an answer");
        assert!(len <= least.max(wire.len()), "{len} for {}", wire.len());
        assert!(
            len == whole || len + 8 >= least.max(wire.len()),
            "{len} for {}",
            wire.len()
        );
        let Ok(Content::Data(data)) = Packet::parse(&reply[..len]).map(|packet| packet.content) else {
            panic!("an answer is Data");
        };
        assert_eq!(data.verify(&Verifier::digest()), Ok(()));
        seen.push(len);
    }
    assert_eq!((seen.first(), seen.last()), (Some(&least), Some(&whole)));
}

#[test]
fn content_that_no_packet_has_room_for_is_refused_at_once() {
    let most = match PingServer::new(
        PingServerOptions {
            size: 8_800,
            ..options("/edu/arizona")
        },
        Box::new(()),
    ) {
        Err(PingServerError::TooLong { size: 8_800, most }) => most,
        other => panic!("{:?}", other.err()),
    };
    let with = |size| {
        let options = PingServerOptions {
            size,
            ..options("/edu/arizona")
        };
        PingServer::new(options, Box::new(()))
    };
    assert!(with(most + 1).is_err());
    let mut server = with(most).expect("the most that fits");
    let probe = asking("/edu/arizona/ping/18446744073709551615");
    let given = answer(&mut server, &wrapped(&[7; 32], &probe)).expect("an answer");
    assert_eq!(given.len(), LONGEST_PACKET);
    let told = with(most + 1).err().expect("refused").to_string();
    assert_eq!(
        told,
        format!(
            "content of {} bytes makes packets longer than the 8800 that NDN allows; \
             at most {most} bytes fit under this prefix",
            most + 1
        )
    );
    let prefix = format!("/{}", "x".repeat(8_700));
    let long = PingServer::new(options(&prefix), Box::new(()));
    assert_eq!(long.err(), Some(PingServerError::LongPrefix));
    assert!(with(usize::MAX).is_err());
}

#[test]
fn after_as_many_answers_as_were_asked_for_there_are_no_more() {
    let mut server = server(PingServerOptions {
        most: Some(2),
        ..options("/t")
    });
    let mut sibling = server.sibling(Box::new(()));
    assert!(answer(&mut server, &asking("/other/ping/1")).is_err());
    assert!(answer(&mut server, &asking("/t/ping/1")).is_ok());
    assert!(!server.is_done());
    assert!(answer(&mut sibling, &asking("/t/ping/2")).is_ok());
    assert!(server.is_done());
    assert_eq!(answer(&mut server, &asking("/t/ping/3")), Err(Reason::NotServed));
}

#[test]
fn a_stream_is_answered_alike_however_it_is_cut() {
    let diary = Diary::default();
    let packets = [
        asking("/t/ping/1"),
        vector("V2"),
        wrapped(b"token", &asking("/t/ping/seq=2")),
        hex("05fd0005 0703080141"),
        hex("0802aabb"),
        asking("/t/ping/3"),
    ];
    let stream = packets.concat();
    let mut whole = Vec::new();
    for piece in [1, 2, 3, 7, 64, stream.len()] {
        let mut server = PingServer::new(options("/t"), Box::new(diary.clone())).expect("a server");
        let (mut waiting, mut tx) = (Vec::new(), Vec::new());
        for bytes in stream.chunks(piece) {
            waiting.extend_from_slice(bytes);
            let at = stamp(1);
            let (used, next) = with_env(1, |env| {
                StreamResponder::respond(&mut server, env, at, &waiting, &mut tx)
            });
            assert_eq!(next, Next::Continue);
            waiting.drain(..used);
        }
        assert!(waiting.is_empty());
        let expected = [
            "/t/ping/1",
            "loop",
            "/t/ping/seq=2",
            "malformed",
            "malformed",
            "/t/ping/3",
        ];
        assert_eq!(diary.take(), expected, "in pieces of {piece}");
        if whole.is_empty() {
            whole = tx.clone();
        }
        assert_eq!(tx, whole);
    }
    let mut names = Vec::new();
    let mut rest = &whole[..];
    while let Some(len) = tlv::measure(rest).expect("packets") {
        if let Content::Data(data) = Packet::parse(&rest[..len]).expect("a packet").content {
            names.push(data.name.to_string());
        }
        rest = &rest[len..];
    }
    assert_eq!(names, ["/t/ping/1", "/t/ping/seq=2", "/t/ping/3"]);
}

#[test]
fn a_stream_that_cannot_be_followed_is_closed() {
    let mut server = server(options("/t"));
    let mut tx = Vec::new();
    let rx = [asking("/t/ping/1"), hex("05fdffff")].concat();
    let at = stamp(1);
    let (used, next) = with_env(1, |env| {
        StreamResponder::respond(&mut server, env, at, &rx, &mut tx)
    });
    assert_eq!((used, next), (rx.len(), Next::Close));
    assert!(!tx.is_empty(), "what was asked before is answered");
}

#[test]
fn every_kind_of_key_signs_answers_that_verify() {
    for (signer, verifier) in keys::pairs() {
        let mut server = server(PingServerOptions {
            signer,
            ..options("/t")
        });
        let given = answer(&mut server, &asking("/t/ping/1")).expect("an answer");
        let data = Data::parse(&given).expect("Data");
        assert_eq!(data.verify(&verifier), Ok(()));
    }
}
