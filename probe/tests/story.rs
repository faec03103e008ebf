//! A session and a real reflector in a world whose every packet is on record.

use halloo_base::{Cx, Deadline, Input, LinkId, Machine, Nanos, Path, Responder, Transmit, Verdict};
use halloo_probe::{DatagramSession, Ended, Event, SessionOptions, Sink, Summary};
use halloo_protocols::ProberOptions;
use halloo_protocols::echo::{UdpEcho, UdpEchoOptions, UdpProber};
use halloo_sim::{Fate, HostOptions, Node, Quality, World, ms, secs, us};
use std::sync::{Arc, Mutex};

/// Answers all, guards nothing.
struct Reflector(UdpEcho);

impl Machine for Reflector {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Datagram(rx) => {
                let reply = cx.out.reserve(rx.payload.len(), rx.payload);
                let (len, tag) = match self.0.respond(&mut cx.env, &rx, reply) {
                    Verdict::Reply(len) => (len, None),
                    Verdict::ReplyStamped(len, tag) => (len, Some(tag)),
                    Verdict::ReplyFrom(..) => panic!("an answer from elsewhere"),
                    Verdict::Silent(_) => return,
                };
                cx.out.commit(
                    Transmit {
                        tag,
                        ..Transmit::to(rx.path)
                    },
                    len,
                );
            }
            Input::Departed(tag, at) => self.0.departed(tag, at),
            _ => {}
        }
    }
    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

/// Keeps the last summary.
#[derive(Clone, Default)]
struct Last(Arc<Mutex<Option<Summary>>>);

impl Sink for Last {
    fn record(&mut self, event: Event) {
        if let Event::Summary(summary) = event {
            *self.0.lock().expect("no test thread panics while it holds this") = Some(*summary);
        }
    }
}

struct Story {
    world: World,
    prober: Node,
    reflector: Node,
    last: Last,
}

impl Story {
    /// A thousand probes, 10 ms apart, to a reflector whose clock is 5 s ahead and runs 50 ppm too fast.
    fn new(there: Quality, back: Quality) -> Story {
        let mut world = World::new(20);
        let prober = world.host("prober", &["192.0.2.1"]);
        let busy = HostOptions {
            offset: Nanos(5_000_000_000),
            drift_ppm: 50.0,
            service: us(20),
            wakeup: us(50),
            ..HostOptions::default()
        };
        let reflector = world.host_with("reflector", &["192.0.2.9"], busy);
        let wire = world.join(prober, reflector, there);
        world.set_from(wire, reflector, back);
        let echo = UdpEcho::new(UdpEchoOptions::default(), [7; 32]);
        let server = world.add(reflector, Reflector(echo));
        world.udp(server, "0.0.0.0:7777");

        let path = Path {
            link: LinkId(0),
            local: "0.0.0.0:0".parse().expect("an address"),
            remote: "192.0.2.9:7777".parse().expect("an address"),
        };
        let options = SessionOptions {
            size: 112,
            interval: ms(10),
            count: 1_000,
            lost_after: ms(500),
            ..SessionOptions::new(1, path)
        };
        let codec = UdpProber::new(&ProberOptions {
            token: 99,
            size: options.size,
            ..ProberOptions::default()
        });
        let last = Last::default();
        let session = DatagramSession::new(options, Box::new(codec), Box::new(last.clone()));
        let session = world.add(prober, session.expect("these options make a session"));
        world.udp(session, "0.0.0.0:0");
        Story {
            world,
            prober,
            reflector,
            last,
        }
    }

    fn tell(&mut self) -> Summary {
        self.world.run_until(secs(11));
        let last = self
            .last
            .0
            .lock()
            .expect("no test thread panics while it holds this");
        let summary = last.clone().expect("the session has ended");
        assert_eq!(summary.ended, Some(Ended::Complete));
        summary
    }
}

#[test]
fn the_wire_is_as_long_as_it_is_however_slow_the_reflector_and_wrong_its_clock() {
    let mut story = Story::new(Quality::delay(ms(3)), Quality::delay(ms(1)));
    let summary = story.tell();
    assert!(summary.all_answered());
    let wire = summary.wire.expect("both kernels stamp");
    // The residence is measured by a clock that is 50 ppm too fast.
    assert!(
        (wire.max - Nanos(4_000_000)).abs() <= Nanos(10) && wire.mdev <= Nanos(10),
        "{wire:?}"
    );
    let host = summary.host.expect("all are answered");
    assert!(
        host.min >= Nanos(4_070_000),
        "the reflector's 70 us are in it: {host:?}"
    );
    assert!(summary.budget.residence_exact >= 998);
    let one_way = summary.one_way.expect("the reflector tells T2 and T3");
    assert!(one_way.forward.queueing.max <= Nanos(5), "{:?}", one_way.forward);
    assert!((one_way.skew_ppb - 50_000).abs() <= 10, "{}", one_way.skew_ppb);
    let ahead = Nanos(5_000_000_000 + 500_000);
    assert!(
        (one_way.offset - ahead).abs() <= one_way.error,
        "{:?}",
        one_way.offset
    );
}

#[test]
fn each_loss_is_laid_to_the_direction_that_lost_it() {
    let mut story = Story::new(Quality::delay(ms(3)).loss(0.05), Quality::delay(ms(1)).loss(0.02));
    let summary = story.tell();
    let lost = |from, to| story.world.trace().datagrams(from, to, Fate::Lost) as u64;
    let (there, back) = (
        lost(story.prober, story.reflector),
        lost(story.reflector, story.prober),
    );
    assert!(
        there > 20 && back > 5,
        "the world has its losses: {there} and {back}"
    );
    let counts = summary.counts;
    assert_eq!(
        (counts.lost_forward, counts.lost_backward, counts.lost_unknown),
        (there, back, 0)
    );
}

#[test]
fn clocks_that_step_and_a_host_that_stalls_are_told_and_spoil_nothing() {
    let mut story = Story::new(Quality::delay(ms(3)), Quality::delay(ms(1)));
    let (prober, reflector) = (story.prober, story.reflector);
    story
        .world
        .at(secs(3), move |world| world.step_clock(prober, Nanos(700_000_000)));
    story.world.at(secs(5), move |world| {
        world.step_clock(reflector, Nanos(-900_000_000));
    });
    story.world.at(secs(7), move |world| world.stall(prober, ms(105)));
    let summary = story.tell();
    assert_eq!(
        (summary.counts.clock_steps, summary.counts.clock_stepped_by),
        (1, Nanos(700_000_000))
    );
    assert_eq!(summary.one_way.map(|one_way| one_way.remote_steps), Some(1));
    assert_eq!(summary.counts.slots_missed, 10);
    let wire = summary.wire.expect("both kernels stamp");
    assert!((wire.max - Nanos(4_000_000)).abs() <= Nanos(10), "{wire:?}");
    assert_eq!(
        summary.intended.map(|intended| intended.max.0 / 1_000_000),
        Some(109),
        "105 of them asleep"
    );
}
