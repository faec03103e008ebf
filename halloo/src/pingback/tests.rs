use super::report::{Report, spacing, verdict};
use super::*;
use halloo_base::{Clock, Datagram, Env, LinkId, Marks, Mono, Offload, Rng, Stamp, StampSource, Wall};
use halloo_protocols::echo::asker::{REQUEST, Source};
use halloo_protocols::echo::pingback::Outcome;
use halloo_protocols::echo::wire::{Pingback, Probe};
use std::io::Write;
use std::sync::{Arc, Mutex};

const MS: u64 = 1_000_000;

struct At(u64);

impl Clock for At {
    fn stamp(&self) -> Stamp {
        Stamp {
            mono: Mono(self.0),
            wall: Wall(self.0),
            source: StampSource::Kernel,
        }
    }
}

fn about() -> About {
    About {
        id: 1,
        target: Target::parse("udp://192.0.2.7").expect("a target"),
        link: None,
        path: Path {
            link: LinkId(0),
            local: "0.0.0.0:4000".parse().expect("an address"),
            remote: "192.0.2.7:7777".parse().expect("an address"),
        },
        ask: Ask {
            count: 3,
            gap: Duration::from_millis(100),
            silence: Duration::from_secs(2),
            from: Source::Same,
        },
        alone: true,
    }
}

/// An asker that has asked twice, was answered so, and got the datagrams that came at these times.
fn asker(outcome: Outcome, times_ms: &[u64]) -> Asker {
    let about = about();
    let mut asker = Asker::new(AskerOptions {
        token: 9,
        key: None,
        path: about.path,
        ask: about.ask,
        patience: Duration::from_secs(1),
        lost_after: Duration::from_secs(1),
        tries: 5,
    });
    let send = |asker: &mut Asker, at: u64| {
        let mut env = Env {
            now: Mono(at),
            clock: &At(at),
            rng: &mut Rng::new(1),
        };
        asker.send(&mut env, &mut [0; REQUEST]).expect("it asks");
    };
    let hear = |asker: &mut Asker, at: u64, probe: &Probe| {
        let mut bytes = vec![0; usize::from(probe.length)];
        probe.emit(&mut bytes).expect("room");
        let rx = Datagram {
            path: about.path,
            at: At(at).stamp(),
            marks: Marks::default(),
            payload: &bytes,
            offload: Offload::default(),
        };
        asker.hear(&rx).expect("it is its own");
    };
    for (seq, outcome) in [Outcome::Unproven, outcome].into_iter().enumerate() {
        send(&mut asker, seq as u64 * MS);
        let mut reply = Probe::request(9, seq as u32, true, false).asking_back(Pingback {
            count: if outcome == Outcome::Granted { 3 } else { 0 },
            other_port: false,
            other_address: false,
            outcome,
            gap: about.ask.gap,
            silence: about.ask.silence,
        });
        reply.flags.reply = true;
        reply.wide.as_mut().expect("there").cookie = 5;
        hear(&mut asker, seq as u64 * MS + MS / 2, &reply);
    }
    for (index, at) in times_ms.iter().enumerate() {
        let mut probe = Probe::request(9, 1, false, false);
        probe.flags.reply = true;
        probe.flags.pingback = true;
        probe.received = index as u32 + 1;
        hear(&mut asker, at * MS, &probe);
    }
    asker
}

#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("alone").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_came_is_told_in_words_and_times() {
    let asker = asker(Outcome::Granted, &[2_001, 2_101, 2_203]);
    let pipe = Pipe::default();
    let mut report = Report::new(Screen::pipe(pipe.clone()), false, false);
    report.start(&about()).expect("it prints");
    report
        .moment(&about(), &Moment::Granted, &asker)
        .expect("it prints");
    for arrival in asker.arrivals() {
        report
            .moment(&about(), &Moment::Arrived(*arrival), &asker)
            .expect("it prints");
    }
    report
        .moment(&about(), &Moment::Ended, &asker)
        .expect("it prints");
    let text = String::from_utf8(pipe.0.lock().expect("alone").clone()).expect("text");
    let plain = anstream::adapter::strip_str(&text).to_string();
    assert_eq!(
        plain,
        "PINGBACK udp://192.0.2.7:7777 (192.0.2.7): 3 datagrams 100 ms apart after 2 s of silence, from the same port.\n\
         promised: 3, 100 ms apart, after 2 s\n\
         1 of 3 from 192.0.2.7:7777 after 2000.000 ms\n\
         2 of 3 from 192.0.2.7:7777 after 2100.000 ms, 100.000 ms after the one before\n\
         3 of 3 from 192.0.2.7:7777 after 2202.000 ms, 102.000 ms after the one before\n\
         \n\
         --- udp://192.0.2.7:7777 pingback ---\n\
         3 of 3 came\n\
         spacing min/avg/max = 100.000/101.000/102.000 ms\n"
    );
}

#[test]
fn each_end_has_its_sentence() {
    let table = [
        (
            asker(Outcome::Granted, &[2_001]),
            "1 of 3 came, stopped before the last could come",
        ),
        (
            asker(Outcome::NoOther, &[]),
            "192.0.2.7:7777 sends nothing: it has no such other end",
        ),
        (
            asker(Outcome::NotOffered, &[]),
            "192.0.2.7:7777 sends nothing: it does not offer that",
        ),
    ];
    for (asker, sentence) in table {
        assert_eq!(verdict(&about(), &asker), sentence);
    }
    assert!(spacing(&asker(Outcome::Granted, &[2_001])).is_none());
}

#[test]
fn an_end_that_comes_with_the_drivers_own_is_not_missed() {
    let ended = |times_ms: &[u64]| Told {
        session: 0,
        moment: Moment::Ended,
        asker: asker(Outcome::Granted, times_ms),
    };
    let table = [
        (vec![], 0, true),
        (vec![ended(&[2_001])], 1, false),
        (vec![ended(&[])], 1, true),
    ];
    for (last_words, ends, fails) in table {
        let (sender, told) = mpsc::channel();
        let mut last_words = last_words.into_iter();
        let is_over = || {
            // Said while somebody asks whether there is more to come.
            last_words
                .by_ref()
                .for_each(|told| sender.send(told).expect("heard"));
            true
        };
        let mut printed = 0;
        let failed = follow(&told, 1, is_over, |_| {
            printed += 1;
            Ok(())
        });
        assert_eq!((printed, failed.expect("it prints")), (ends, fails));
    }
}
