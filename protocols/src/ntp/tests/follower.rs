//! Whom this host's clock is learnt from.

use super::*;
use crate::ntp::{ClockCell, ClockSource, NtpFollower};
use halloo_base::{Cx, Input, Machine, Outbox, Output};
use std::sync::Arc;

/// A follower, what it sends, and a server that tells of the same clock.
struct Story {
    host: Host,
    follower: NtpFollower,
    cell: Arc<ClockCell>,
    told: Arc<ClockCell>,
    server: NtpServer,
}

fn path() -> Path {
    Path {
        link: LinkId(1),
        local: "127.0.0.1:40000".parse().expect("an address"),
        remote: "127.0.0.1:123".parse().expect("an address"),
    }
}

impl Story {
    fn new() -> Story {
        let cell = Arc::new(ClockCell::default());
        let told = Arc::new(ClockCell::new(good()));
        Story {
            host: Host::at(NOON),
            follower: NtpFollower::new(path(), 7, Arc::clone(&cell)),
            cell,
            server: NtpServer::new(NtpServerOptions {
                clock: ClockSource::Told(Arc::clone(&told)),
            }),
            told,
        }
    }

    fn give(&mut self, input: Input<'_>) -> Vec<Vec<u8>> {
        let mut out = Outbox::new();
        let follower = &mut self.follower;
        self.host.with_env(|env| {
            let env = Env {
                now: env.now,
                clock: env.clock,
                rng: &mut *env.rng,
            };
            follower.handle(&mut Cx { env, out: &mut out }, input);
        });
        let sent = out.iter().map(|output| match output {
            Output::Datagram(how, bytes) => {
                assert_eq!(how.path, path());
                bytes.to_vec()
            }
            other => panic!("{other:?}"),
        });
        sent.collect()
    }

    /// Its next questions, when it wants to ask.
    fn questions(&mut self) -> Vec<Vec<u8>> {
        let at = self.follower.deadline().expect("it goes on").at;
        let now = self.host.now().mono;
        self.host.pass(at.since(now).as_nanos() as u64);
        self.give(Input::Wake)
    }

    fn answer(&mut self, question: &[u8]) -> Vec<u8> {
        self.host.hear(&mut self.server, question).expect("an answer")
    }

    fn hear(&mut self, answer: &[u8], from: Path) {
        let rx = Datagram {
            path: from,
            ..arrived(self.host.now(), answer)
        };
        assert!(self.give(Input::Datagram(rx)).is_empty(), "nothing is answered");
    }

    /// What a server would say that has the clock from the follower.
    fn claimed(&mut self) -> Packet {
        let clock = ClockSource::Told(Arc::clone(&self.cell));
        let mut ours = NtpServer::new(NtpServerOptions { clock });
        let answer = self.host.hear(&mut ours, &request().emit()).expect("an answer");
        Packet::parse(&answer).expect("whole")
    }

    fn exchange(&mut self) {
        let [question] = &self.questions()[..] else {
            panic!("one question");
        };
        let answer = self.answer(question);
        self.hear(&answer, path());
    }
}

#[test]
fn what_it_says_is_claimed() {
    let mut story = Story::new();
    assert!(!story.claimed().is_synchronised(), "nobody was asked yet");
    story.exchange();
    let claimed = story.claimed();
    assert_eq!(
        (claimed.leap, claimed.stratum, claimed.reference_id),
        (0, 2, [192, 0, 2, 33])
    );
    assert_eq!(claimed.root_delay.nanos(), Nanos(250_000_000));
    let grown = claimed.root_dispersion.nanos() - Nanos(62_500_000);
    assert!((0..50_000).contains(&grown.0), "{grown}");
    // Leap seconds are passed on, and so is that it does not know any more.
    for (leap, indicator) in [(Some(Leap::Insert), 1), (Some(Leap::Delete), 2), (None, 3)] {
        let now = story.host.now().mono;
        story.told.set(ClockState {
            leap,
            as_of: now,
            ..good()
        });
        story.exchange();
        assert_eq!(story.claimed().leap, indicator);
    }
}

#[test]
fn it_is_asked_every_16_seconds_and_forgotten_after_64() {
    let mut story = Story::new();
    story.exchange();
    let heard = story.host.now().mono;
    for nth in 1..=3 {
        assert_eq!(story.questions().len(), 1);
        let passed = story.host.now().mono.since(heard).as_secs_f64();
        assert!((passed - 16.0 * f64::from(nth)).abs() < 0.01, "{passed}");
        assert!(story.claimed().is_synchronised(), "{passed}");
    }
    while story.host.now().mono.since(heard).as_secs() < 64 {
        story.questions();
    }
    assert!(!story.claimed().is_synchronised());
    story.exchange();
    assert!(story.claimed().is_synchronised(), "it is back");
}

#[test]
fn only_an_answer_to_the_last_question_from_whom_was_asked_counts() {
    let mut story = Story::new();
    let first = story.questions().remove(0);
    let first = story.answer(&first);
    let question = story.questions().remove(0);
    let answer = story.answer(&question);
    let elsewhere = Path {
        remote: "127.0.0.1:124".parse().expect("an address"),
        ..path()
    };
    let mut foreign = answer.clone();
    foreign[24] ^= 1;
    let mut kiss = answer.clone();
    kiss[1] = 0;
    kiss[12..16].copy_from_slice(b"RATE");
    for (bytes, from) in [
        (&first, path()),
        (&question, path()),
        (&foreign, path()),
        (&kiss, path()),
        (&answer, elsewhere),
    ] {
        story.hear(bytes, from);
        assert!(!story.claimed().is_synchronised(), "{bytes:?} from {from}");
    }
    story.hear(&answer, path());
    assert!(story.claimed().is_synchronised());
}

#[test]
fn another_clock_is_not_ours() {
    for (apart, is_ours) in [(900_000_000, true), (1_100_000_000, false)] {
        let mut story = Story::new();
        let question = story.questions().remove(0);
        let mut answer = Packet::parse(&story.answer(&question)).expect("whole");
        answer.receive = Timestamp::new(Wall(story.host.now().wall.0 - apart));
        story.hear(&answer.emit(), path());
        assert_eq!(story.claimed().is_synchronised(), is_ours, "{apart} ns");
    }
}

#[test]
fn who_is_told_to_stop_stops() {
    let mut story = Story::new();
    story.give(Input::Stop);
    assert!(story.follower.finished() && story.follower.deadline().is_none());
    assert!(story.give(Input::Wake).is_empty());
}
