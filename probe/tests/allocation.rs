//! A session takes its memory when it is made: nothing is allocated or freed for a probe after that.

use halloo_base::{
    Arrivals, Clock, Cx, Datagram, Env, FollowUp, Heard, Input, Machine, Marks, Mono, Nanos, Offload, Outbox,
    Path, ProbeId, Prober, Reason, Reflection, Rng, Stamp, StampSource, TxTag, Wall,
};
use halloo_counting::{Counting, calls};
use halloo_probe::{DatagramSession, Event, SessionOptions, Sink};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[global_allocator]
static COUNTING: Counting = Counting;

struct Now(u64);

impl Now {
    fn kernel(&self, before: u64) -> Stamp {
        let mono = self.0 - before;
        Stamp {
            mono: Mono(mono),
            wall: Wall(1 << 60 | mono),
            source: StampSource::Kernel,
        }
    }
}

impl Clock for Now {
    fn stamp(&self) -> Stamp {
        Stamp {
            source: StampSource::User,
            ..self.kernel(0)
        }
    }
}

/// A payload is the number and, in an answer, what the responder counted.
struct Codec;

impl Prober for Codec {
    fn request(&mut self, _: &mut Env<'_>, id: ProbeId, buf: &mut [u8]) -> Option<usize> {
        buf.get_mut(..8)?.copy_from_slice(&id.0.to_be_bytes());
        Some(buf.len())
    }
    fn recognise(&mut self, rx: &Datagram<'_>) -> Result<Heard, Reason> {
        let seq = u64::from_be_bytes(*rx.payload.first_chunk().ok_or(Reason::Malformed)?);
        let follow_up = FollowUp {
            low_bits: (seq as u32).wrapping_sub(1),
            residence: Nanos(900),
        };
        let reflection = Reflection {
            received_at: Some(Wall(rx.at.wall.0 - 4_000)),
            residence: Some(Nanos(1_000)),
            kernel_stamped: true,
            follow_up: Some(follow_up),
            arrivals: Some(Arrivals {
                received: seq as u32 + 1,
                window: !0b110,
                window_len: 64,
            }),
            ..Reflection::default()
        };
        Ok(Heard {
            low_bits: seq & 0xffff_ffff,
            bits: 32,
            options: None,
            refusal: None,
            length: None,
            reflection: Some(reflection),
        })
    }
}

struct Tally(Arc<AtomicU64>);

impl Sink for Tally {
    fn record(&mut self, event: Event) {
        if matches!(event, Event::Settled(_)) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One in 19 is lost and one in 23 comes twice; a departure is told before or after its answer. With 64 in flight, and
/// for long enough that all that could grow has had its chance: the ring turns over several times.
fn run(options: SessionOptions, rounds: u64, outstanding: u64) -> u64 {
    let settled = Arc::new(AtomicU64::new(0));
    let path = options.path;
    let mut session = DatagramSession::new(options, Box::new(Codec), Box::new(Tally(settled.clone())))
        .expect("these options make a session");
    let mut out = Outbox::new();
    let mut rng = Rng::new(5);
    let mut now = Now(1_000_000_000);
    let mut give = |now: &Now, input: Input<'_>| {
        let env = Env {
            now: Mono(now.0),
            clock: now,
            rng: &mut rng,
        };
        session.handle(&mut Cx { env, out: &mut out }, input);
        out.clear();
    };
    give(&now, Input::Wake);
    let mut before = 0;
    for round in 0..rounds {
        // The outbox has grown to what a turn needs by then.
        if round == 100 {
            before = calls();
        }
        now.0 += 10_000;
        give(&now, Input::Wake);
        let Some(seq) = round.checked_sub(outstanding - 1) else {
            continue;
        };
        if seq % 2 == 0 {
            give(&now, Input::Departed(TxTag(seq), now.kernel(9_000)));
        }
        let mut payload = [0; 64];
        payload[..8].copy_from_slice(&seq.to_be_bytes());
        let copies = [u64::from(seq % 19 != 0), u64::from(seq % 23 == 0)].iter().sum();
        for _ in 0..copies {
            let marks = Marks {
                tos: 0,
                ttl: Some(64),
            };
            give(
                &now,
                Input::Datagram(Datagram {
                    path,
                    at: now.kernel(2_000),
                    marks,
                    payload: &payload,
                    offload: Offload::default(),
                }),
            );
        }
        if seq % 2 == 1 {
            give(&now, Input::Departed(TxTag(seq), now.kernel(9_000)));
        }
    }
    let made = calls() - before;
    assert!(
        settled.load(Ordering::Relaxed) > rounds / 2,
        "the session did its work"
    );
    made
}

fn options() -> SessionOptions {
    let path = Path {
        link: Default::default(),
        local: "192.0.2.1:40000".parse().expect("an address"),
        remote: "192.0.2.9:7777".parse().expect("an address"),
    };
    SessionOptions {
        lost_after: Duration::from_millis(5),
        ..SessionOptions::new(1, path)
    }
}

#[test]
fn a_paced_session_with_64_probes_in_flight_allocates_nothing() {
    let paced = SessionOptions {
        interval: Duration::from_micros(10),
        ..options()
    };
    assert_eq!(run(paced, 200_000, 64), 0);
}

#[test]
fn a_flood_with_64_probes_in_flight_allocates_nothing() {
    let flood = SessionOptions {
        interval: Duration::ZERO,
        ..options()
    };
    assert_eq!(run(flood, 200_000, 64), 0);
}
