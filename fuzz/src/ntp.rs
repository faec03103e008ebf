//! The NTP server and the NTP prober, and what may come to them.

use crate::feed::Feed;
use crate::surroundings::{datagram, with_env};
use halloo_base::{Leap, Mono, Nanos, ProbeId, Prober, Reason, Responder, Verdict, Wall};
use halloo_protocols::ProberOptions;
use halloo_protocols::ntp::wire::{Packet, Tail, mode};
use halloo_protocols::ntp::{ClockCell, ClockSource, ClockState, NtpProber, NtpServer, NtpServerOptions};
use std::sync::Arc;
use std::time::Duration;

/// First what the server knows of its clock (an octet of leap indicator and switches, stratum, precision, delay and
/// dispersion in milliseconds, the reference's age in seconds), then for each datagram the sender, the time since the one
/// before in milliseconds, its length and its bytes.
pub(crate) fn server(data: &[u8]) {
    let mut feed = Feed::new(data);
    let state = clock(&mut feed);
    let cell = Arc::new(ClockCell::new(state));
    let clock = ClockSource::Told(Arc::clone(&cell));
    let mut server = NtpServer::new(NtpServerOptions { clock });
    let mut now = Mono(1_000);
    while !feed.is_empty() {
        let sender = feed.octet();
        now += Duration::from_millis(u64::from(feed.number()));
        let len = usize::from(feed.octet());
        let payload = feed.bytes(len);
        let rx = datagram(sender, now, payload);
        let mut reply = payload.to_vec();
        let residence = Duration::from_micros(u64::from(sender));
        let verdict = with_env(now + residence, |env| server.respond(env, &rx, &mut reply));
        match verdict {
            Verdict::Reply(len) => check_answer(payload, &reply[..len], &state, rx.at.wall),
            Verdict::Silent(why) => check_silence(payload, why),
            Verdict::ReplyStamped(..) | Verdict::ReplyFrom(..) => {
                panic!("no stamp and no other way is wanted")
            }
        }
        let mut kiss = payload.to_vec();
        let warned = with_env(now + residence, |env| server.warn(env, &rx, &mut kiss));
        assert_eq!(warned.is_some(), matches!(verdict, Verdict::Reply(_)));
        if let Some(kiss) = warned.and_then(|len| kiss.get(..len)) {
            check_kiss(payload, kiss);
        }
    }
}

fn clock(feed: &mut Feed<'_>) -> ClockState {
    let how = feed.octet();
    let millis = |number: u16| Nanos(i64::from(number) * 1_000_000);
    ClockState {
        leap: [Some(Leap::None), Some(Leap::Insert), Some(Leap::Delete), None][usize::from(how & 3)],
        stratum: feed.octet(),
        precision: i8::from_be_bytes([feed.octet()]),
        root_delay: millis(feed.number()),
        root_dispersion: millis(feed.number()),
        reference_id: *b"FUZZ",
        // At times after what will arrive.
        reference_at: (how & 4 != 0).then_some(Wall(
            1_700_000_030_000_000_000 - u64::from(feed.octet()) * 1_000_000_000,
        )),
        as_of: Mono(0),
    }
}

fn check_answer(asked: &[u8], answer: &[u8], state: &ClockState, arrived: Wall) {
    assert!(answer.len() == 48 && answer.len() <= asked.len());
    let asked = Packet::parse(asked).expect("only whole headers are answered");
    let told = Packet::parse(answer).expect("an answer is whole");
    assert!(asked.mode == mode::CLIENT && (1..=4).contains(&asked.version));
    assert_eq!(
        (told.mode, told.version, told.poll),
        (mode::SERVER, asked.version, asked.poll)
    );
    assert_eq!(told.origin, asked.transmit, "the origin is copied bit for bit");
    assert_eq!(told.receive.wall_near(arrived), Some(arrived));
    assert!(told.transmit.since(told.receive) >= Nanos::ZERO);
    assert!(
        told.reference.0 == 0 || told.receive.since(told.reference) >= Nanos::ZERO,
        "a clock that was set in the future"
    );
    assert_eq!(told.is_synchronised(), state.is_synchronised());
    if told.is_synchronised() {
        assert!(told.root_delay.nanos() >= state.root_delay);
        assert!(told.root_dispersion.nanos() >= state.root_dispersion);
    } else {
        assert_eq!((told.leap, told.stratum, told.kiss_code()), (3, 16, None));
    }
}

fn check_kiss(asked: &[u8], kiss: &[u8]) {
    assert!(kiss.len() == 48 && kiss.len() <= asked.len());
    let asked = Packet::parse(asked).expect("only whole headers are answered");
    let told = Packet::parse(kiss).expect("a kiss is whole");
    assert_eq!(
        (told.mode, told.version, told.kiss_code()),
        (mode::SERVER, asked.version, Some(*b"RATE"))
    );
    assert!(told.origin == asked.transmit && !told.is_synchronised());
}

fn check_silence(payload: &[u8], why: Reason) {
    let read = Packet::parse(payload);
    let tail = read.and_then(|read| Tail::parse(payload, read.version));
    match why {
        Reason::Malformed => assert_eq!(tail, None),
        Reason::BadAuth => assert_eq!(tail, Some(Tail::Signed)),
        Reason::Loop => assert!(read.is_some_and(|read| matches!(read.mode, 2 | 4))),
        Reason::NotServed => assert!(read.is_some_and(|read| {
            let is_known = (1..=4).contains(&read.version);
            read.mode != mode::CLIENT || !is_known
        })),
        other => panic!("{other:?} is no reason for an NTP server"),
    }
}

/// First the number of the request, then for each datagram an octet that says what it is made of (noise, the request's
/// echo, a server's answer, the same from a clock that is right), its damage, and for noise its bytes.
pub(crate) fn prober(data: &[u8]) {
    let mut feed = Feed::new(data);
    let id = ProbeId(u64::from(feed.number()) << 24 | u64::from(feed.number()));
    let session = |token| {
        NtpProber::new(&ProberOptions {
            token,
            size: 48,
            ..ProberOptions::default()
        })
    };
    let (mut ours, mut theirs) = (session(7), session(8));
    let mut request = [0; 48];
    let asked = with_env(Mono(1_000), |env| ours.request(env, id, &mut request));
    assert_eq!(asked, Some(48));
    let quoted = ours.quoted(&request).and_then(|heard| heard.resolve(id));
    assert_eq!(quoted, Some(id));
    let good = ClockState {
        leap: Some(Leap::None),
        stratum: 1,
        ..ClockState::default()
    };
    let answers = [ClockState::default(), good].map(|state| answer_to(&request, state));

    while !feed.is_empty() {
        let how = feed.octet();
        let mut back = match how & 3 {
            0 => {
                let len = usize::from(feed.octet());
                feed.bytes(len).to_vec()
            }
            1 => request.to_vec(),
            2 => answers[0].to_vec(),
            _ => answers[1].to_vec(),
        };
        feed.damage(&mut back);
        let rx = datagram(0, Mono(9_000), &back);
        let heard = ours.recognise(&rx);
        if answers.iter().any(|answer| answer[..] == back) {
            let told = heard.expect("an answer").reflection.expect("stamps");
            assert_eq!(told.clock_error.is_some(), answers[1][..] == back);
        }
        if back == request {
            assert_eq!(heard, Err(Reason::Foreign), "a request is no answer");
        }
        let _nothing_of_it = ours.quoted(&back);
        assert!(theirs.recognise(&rx).is_err(), "another session's answer counted");
        if let Ok(heard) = heard {
            assert_eq!((heard.bits, heard.resolve(id)), (32, Some(id)));
            let told = heard.reflection.unwrap_or_default();
            assert!(told.residence.is_none_or(|span| span >= Nanos::ZERO));
            assert!(told.clock_error.is_none_or(|error| error >= Nanos::ZERO));
        }
    }
}

fn answer_to(request: &[u8; 48], state: ClockState) -> [u8; 48] {
    let clock = ClockSource::Told(Arc::new(ClockCell::new(state)));
    let mut server = NtpServer::new(NtpServerOptions { clock });
    let mut reply = *request;
    let rx = datagram(0, Mono(4_000), request);
    let verdict = with_env(Mono(5_000), |env| server.respond(env, &rx, &mut reply));
    assert_eq!(verdict, Verdict::Reply(48));
    reply
}
