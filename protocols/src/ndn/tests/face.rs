//! A ping server behind a forwarder that comes and goes.

use super::registration::{nack, registration, response, time_of};
use super::*;
use crate::ndn::control::{Command, Verb};
use halloo_base::{
    CloseReason, ConnId, Counters, Cx, Input, Machine, Outbox, Output, Reason, StreamInput, UnreachableError,
};
use std::sync::{Arc, Mutex};

const MILLI: u64 = 1_000_000;

#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<FaceEvent>>>);

impl FaceSink for Diary {
    fn event(&mut self, event: FaceEvent) {
        self.0.lock().expect("one thread").push(event);
    }
}

/// What the machine did, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Did {
    Connect(u64),
    Write(u64, Vec<u8>),
    Finish(u64),
    Abort(u64),
}

/// The machine, and what stands around it.
struct Stage {
    face: ServerFace,
    diary: Diary,
    counters: Arc<Counters>,
    rng: Rng,
    now: u64,
}

impl Stage {
    fn new(insist: Insist, most: Option<u64>) -> Stage {
        let options = PingServerOptions {
            most,
            ..PingServerOptions::new(named("/t"))
        };
        let server = PingServer::new(options, Box::new(())).expect("a server");
        let (diary, counters) = (Diary::default(), Arc::new(Counters::default()));
        let face = ServerFace::new(
            server,
            registration(),
            datagram(0, b"").path,
            insist,
            Box::new(diary.clone()),
            Arc::clone(&counters),
        );
        Stage {
            face,
            diary,
            counters,
            rng: Rng::new(7),
            now: 0,
        }
    }

    fn handle(&mut self, input: Input<'_>) -> Vec<Did> {
        let mut out = Outbox::new();
        let clock = StandingClock(self.now);
        let env = Env {
            now: Mono(self.now),
            clock: &clock,
            rng: &mut self.rng,
        };
        self.face.handle(&mut Cx { env, out: &mut out }, input);
        out.iter()
            .map(|output| match output {
                Output::Connect(id, _) => Did::Connect(id.0),
                Output::Write(id, _, bytes) => Did::Write(id.0, bytes.to_vec()),
                Output::Finish(id) => Did::Finish(id.0),
                Output::Abort(id) => Did::Abort(id.0),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn stream(&mut self, id: u64, input: StreamInput<'_>) -> Vec<Did> {
        self.handle(Input::Stream(ConnId(id), input))
    }

    fn data(&mut self, id: u64, bytes: &[u8]) -> Vec<Did> {
        let at = stamp(self.now);
        self.stream(id, StreamInput::Data { bytes, at })
    }

    /// Wakes the machine when it wants to be.
    fn wait(&mut self) -> Vec<Did> {
        let deadline = self.face.deadline().expect("something to wait for");
        self.now = self.now.max(deadline.at.0);
        self.handle(Input::Wake)
    }

    /// Opens the connection; returns the order.
    fn open(&mut self, id: u64) -> Vec<u8> {
        let (at, path) = (stamp(self.now), datagram(0, b"").path);
        match &self.stream(id, StreamInput::Opened { path, at })[..] {
            [Did::Write(to, order)] if *to == id => order.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn close(&mut self, id: u64) -> Vec<Did> {
        let why = CloseReason::Broken(UnreachableError(104));
        self.stream(id, StreamInput::Closed(why))
    }

    fn registered(insist: Insist, most: Option<u64>) -> Stage {
        let mut stage = Stage::new(insist, most);
        assert_eq!(stage.wait(), [Did::Connect(0)]);
        let order = stage.open(0);
        let answer = response(&order, 200, "OK", Some(259));
        assert_eq!(stage.data(0, &answer), []);
        stage.events();
        stage
    }

    fn events(&self) -> Vec<FaceEvent> {
        std::mem::take(&mut *self.diary.0.lock().expect("one thread"))
    }
}

fn asking(uri: &str) -> Vec<u8> {
    let name = named(uri);
    tlv::written(|writer| Interest::new(name.as_name()).emit(writer)).expect("room")
}

fn names_in(mut written: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(len) = tlv::measure(written).expect("packets") {
        names.push(Data::parse(&written[..len]).expect("Data").name.to_string());
        written = &written[len..];
    }
    names
}

#[test]
fn it_connects_registers_and_answers() {
    let mut stage = Stage::new(Insist::OnceUp, None);
    assert_eq!(stage.wait(), [Did::Connect(0)]);
    let order = stage.open(0);
    // An Interest may come before the answer to the order: the forwarder's route is live first.
    let first = [
        asking("/t/ping/1"),
        response(&order, 200, "OK", Some(259)),
        asking("/t/ping/2"),
    ]
    .concat();
    let did = stage.data(0, &first);
    let [Did::Write(0, written)] = &did[..] else {
        panic!("{did:?}");
    };
    assert_eq!(names_in(written), ["/t/ping/1", "/t/ping/2"]);
    let at = stamp(0);
    let face_id = Some(259);
    assert_eq!(
        stage.events(),
        [FaceEvent::Opened { at }, FaceEvent::Registered { face_id }]
    );
    assert_eq!(stage.face.deadline(), None, "nothing to wait for but Interests");
    let told = stage.counters.snapshot();
    assert_eq!((told.received, told.replied), (2, 2));
}

#[test]
fn what_comes_in_pieces_is_answered_when_it_is_whole() {
    let mut stage = Stage::registered(Insist::OnceUp, None);
    let stream = [asking("/t/ping/1"), vector("V2"), asking("/t/ping/2")].concat();
    let mut written = Vec::new();
    for byte in stream.chunks(1) {
        for did in stage.data(0, byte) {
            match did {
                Did::Write(0, bytes) => written.extend(bytes),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(names_in(&written), ["/t/ping/1", "/t/ping/2"]);
    assert_eq!(stage.counters.count(Reason::Loop), 1);
}

#[test]
fn a_hostile_packet_is_counted_and_the_next_one_answered() {
    let mut stage = Stage::registered(Insist::OnceUp, None);
    let mut damaged = Interest::new(named("/t/ping/7").as_name())
        .with_parameters(b"p", None)
        .expect("room");
    *damaged.last_mut().expect("bytes") ^= 1;
    let stream = [
        damaged,
        hex("05fd0005 0703080141"),
        hex("0500"),
        asking("/t/ping/2"),
    ]
    .concat();
    let did = stage.data(0, &stream);
    let [Did::Write(0, written)] = &did[..] else {
        panic!("{did:?}");
    };
    assert_eq!(names_in(written), ["/t/ping/2"]);
    assert_eq!(stage.counters.count(Reason::Malformed), 3);
}

#[test]
fn a_403_is_asked_again_on_the_same_connection() {
    let mut stage = Stage::new(Insist::Never, None);
    stage.wait();
    let order = stage.open(0);
    let turned_down = response(&order, 403, "authorization rejected", None);
    assert_eq!(stage.data(0, &turned_down), []);
    let did = stage.wait();
    let [Did::Write(0, again)] = &did[..] else {
        panic!("{did:?}");
    };
    assert!(time_of(again) > time_of(&order));
    stage.data(0, &response(again, 200, "OK", None));
    assert_eq!(
        stage.events().last(),
        Some(&FaceEvent::Registered { face_id: None })
    );
}

#[test]
fn when_the_forwarder_comes_back_the_prefix_is_registered_again() {
    let mut stage = Stage::registered(Insist::OnceUp, None);
    // Half a packet is forgotten with its connection.
    stage.data(0, &asking("/t/ping/1")[..5]);
    assert_eq!(stage.close(0), []);
    let steps = [100, 200, 400, 800, 1_600, 3_200].into_iter().chain([5_000; 14]);
    for (attempt, step) in steps.enumerate() {
        let id = attempt as u64 + 1;
        let before = stage.now;
        assert_eq!(stage.wait(), [Did::Connect(id)]);
        let waited = stage.now - before;
        assert!(
            (step / 2 * MILLI..=step * MILLI).contains(&waited),
            "{waited} at {step} ms"
        );
        let why = CloseReason::ConnectFailed(UnreachableError(111));
        stage.stream(id, StreamInput::Closed(why));
    }
    assert_eq!(stage.wait(), [Did::Connect(21)]);
    let order = stage.open(21);
    let first = [response(&order, 200, "OK", Some(300)), asking("/t/ping/2")].concat();
    let did = stage.data(21, &first);
    let [Did::Write(21, written)] = &did[..] else {
        panic!("{did:?}");
    };
    assert_eq!(names_in(written), ["/t/ping/2"]);
    stage.close(21);
    let before = stage.now;
    stage.wait();
    assert!(stage.now - before <= 100 * MILLI, "the waits start over");
}

#[test]
fn the_peers_end_of_the_stream_is_the_end_of_the_connection() {
    let mut stage = Stage::registered(Insist::OnceUp, None);
    assert_eq!(stage.stream(0, StreamInput::Finished), [Did::Abort(0)]);
    assert!(matches!(
        stage.events()[..],
        [FaceEvent::Broken {
            why: FaceBreak::Finished,
            retry_in: Some(_)
        }]
    ));
    // What the dropped connection still had to say means nothing.
    assert_eq!(stage.data(0, &asking("/t/ping/1")), []);
}

#[test]
fn a_stream_without_sense_is_dropped() {
    let mut stage = Stage::registered(Insist::OnceUp, None);
    let did = stage.data(0, &[asking("/t/ping/1"), hex("05fdffff")].concat());
    assert!(matches!(&did[..], [Did::Write(0, _), Did::Abort(0)]), "{did:?}");
    assert!(matches!(
        stage.events()[..],
        [FaceEvent::Broken {
            why: FaceBreak::Foreign,
            ..
        }]
    ));
}

#[test]
fn how_the_first_failure_ends_is_a_matter_of_insistence() {
    for (insist, ends) in [
        (Insist::OnceUp, true),
        (Insist::Never, true),
        (Insist::Always, false),
    ] {
        let mut stage = Stage::new(insist, None);
        stage.wait();
        let refused = CloseReason::ConnectFailed(UnreachableError(111));
        assert_eq!(stage.stream(0, StreamInput::Closed(refused)), []);
        assert_eq!(stage.face.finished(), ends, "{insist:?}");

        let mut stage = Stage::new(insist, None);
        stage.wait();
        let order = stage.open(0);
        let no = response(&order, 414, "Route prefix cannot exceed 32 components", None);
        // What was answered before the refusal has no connection any more.
        let no = [asking("/t/ping/1"), no].concat();
        assert_eq!(stage.data(0, &no), [Did::Abort(0)]);
        assert_eq!(stage.face.finished(), ends, "{insist:?}");
        let FaceEvent::Failed { why, retry_in } = &stage.events()[1] else {
            panic!("no failure was told");
        };
        assert_eq!(why.to_string(), "Route prefix cannot exceed 32 components");
        assert_eq!(retry_in.is_none(), ends);

        let mut stage = Stage::registered(insist, None);
        stage.close(0);
        assert_eq!(stage.face.finished(), insist == Insist::Never, "{insist:?}");
    }
}

#[test]
fn an_attempt_that_takes_too_long_is_given_up() {
    let mut stage = Stage::new(Insist::Always, None);
    assert_eq!(stage.wait(), [Did::Connect(0)]);
    assert_eq!(stage.wait(), [Did::Abort(0)]);
    assert_eq!(stage.now, 4_000 * MILLI);
    assert_eq!(stage.wait(), [Did::Connect(1)]);
}

#[test]
fn a_forwarder_that_takes_no_orders_is_left() {
    let mut stage = Stage::new(Insist::Never, None);
    stage.wait();
    let mut order = stage.open(0);
    let ended = loop {
        let did = stage.data(0, &nack(&order));
        if !did.is_empty() {
            break did;
        }
        match &stage.wait()[..] {
            [Did::Write(0, again)] => order = again.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ended, [Did::Abort(0)]);
    let why = RegistrationError::Nack("NoRoute");
    let retry_in = None;
    assert_eq!(stage.events().last(), Some(&FaceEvent::Failed { why, retry_in }));
}

#[test]
fn told_to_stop_it_takes_its_registration_back() {
    let mut stage = Stage::registered(Insist::OnceUp, None);
    let did = stage.handle(Input::Stop);
    let [Did::Write(0, order), Did::Finish(0)] = &did[..] else {
        panic!("{did:?}");
    };
    let interest = Interest::parse(order).expect("an Interest");
    let command = Command::of(&interest).expect("an order");
    assert_eq!(command.verb, Verb::Unregister);
    assert_eq!(stage.events(), [FaceEvent::Ended]);
    assert!(stage.face.finished());
    assert_eq!(stage.data(0, &asking("/t/ping/1")), []);
    let mut waiting = Stage::new(Insist::Always, None);
    assert_eq!(waiting.handle(Input::Stop), []);
    assert!(waiting.face.finished());
}

#[test]
fn after_as_many_answers_as_were_asked_for_it_ends_by_itself() {
    let mut stage = Stage::registered(Insist::OnceUp, Some(2));
    let three = [asking("/t/ping/1"), asking("/t/ping/2"), asking("/t/ping/3")].concat();
    let did = stage.data(0, &three);
    let [Did::Write(0, written), Did::Write(0, _order), Did::Finish(0)] = &did[..] else {
        panic!("{did:?}");
    };
    assert_eq!(names_in(written), ["/t/ping/1", "/t/ping/2"]);
    assert!(stage.face.finished());
    assert_eq!(stage.events(), [FaceEvent::Ended]);
}
