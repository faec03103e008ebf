//! HTTP: what is asked, what is read, and what it means.

mod fields;
mod framing;
mod options;
mod prober;
mod properties;
mod request;
mod vectors;

use super::{Expect, HttpProber, HttpProberOptions};
use halloo_base::{
    Clock, Env, Finish, Heard, Mono, ProbeId, Progress, Reason, Refusal, Rng, Stamp, StampSource,
    StreamProber, Wall,
};

struct Standing;

impl Clock for Standing {
    fn stamp(&self) -> Stamp {
        Stamp {
            mono: Mono(1),
            wall: Wall(1),
            source: StampSource::User,
        }
    }
}

fn options() -> HttpProberOptions {
    HttpProberOptions::new("echo.example", "/")
}

fn expecting(expect: Expect) -> HttpProberOptions {
    HttpProberOptions { expect, ..options() }
}

/// Asks so many times more; returns what is sent.
fn ask(prober: &mut HttpProber, count: u64) -> Vec<u8> {
    let mut rng = Rng::new(1);
    let mut env = Env {
        now: Mono(1),
        clock: &Standing,
        rng: &mut rng,
    };
    let mut tx = Vec::new();
    for id in 0..count {
        prober.request(&mut env, ProbeId(id), &mut tx);
    }
    tx
}

/// A prober that has asked so many times.
fn asked(options: &HttpProberOptions, count: u64) -> HttpProber {
    let mut prober = HttpProber::new(options, 0);
    ask(&mut prober, count);
    prober
}

/// What a prober made of a stream.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Heard(Heard),
    /// The last one of the connection: nothing behind it is read.
    Last(Heard),
    Unused(Reason),
    Foreign(&'static str),
}

/// Hands a stream over in pieces of this length.
fn tell(prober: &mut HttpProber, stream: &[u8], piece: usize) -> Vec<Told> {
    let mut told = Vec::new();
    for mut rest in stream.chunks(piece) {
        while !rest.is_empty() {
            let used = match prober.receive(rest) {
                Progress::Partial(used) => {
                    assert_eq!(used, rest.len());
                    used
                }
                Progress::Unused(used, why) => {
                    told.push(Told::Unused(why));
                    used
                }
                Progress::Foreign(what) => {
                    told.push(Told::Foreign(what));
                    return told;
                }
                Progress::Heard(used, heard) if prober.is_done() => {
                    assert!((1..=rest.len()).contains(&used), "{used}");
                    told.push(Told::Last(heard));
                    return told;
                }
                Progress::Heard(used, heard) => {
                    told.push(Told::Heard(heard));
                    used
                }
            };
            assert!(used > 0, "it goes on");
            rest = &rest[used..];
        }
    }
    told
}

/// What is made of a stream, which must be the same however it is cut; and what of its end.
#[track_caller]
fn told_of(options: &HttpProberOptions, count: u64, stream: &[u8]) -> (Vec<Told>, Finish) {
    let in_pieces = |piece| {
        let mut prober = asked(options, count);
        let told = tell(&mut prober, stream, piece);
        (told, prober.finish())
    };
    let whole = in_pieces(stream.len().max(1));
    for piece in [1, 2, 3, 5, 17] {
        assert_eq!(in_pieces(piece), whole, "in pieces of {piece}");
    }
    whole
}

/// A good answer that tells nothing else.
fn good() -> Heard {
    Heard::plain(0, 0)
}

fn refused(code: u32, name: &'static str) -> Heard {
    Heard {
        refusal: Some(Refusal { code, name }),
        ..good()
    }
}
