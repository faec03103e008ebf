//! The TCP prober under every way of cutting a stream.

use crate::feed::Feed;
use crate::surroundings::with_env;
use halloo_base::{Mono, ProbeId, Progress, StreamProber, StreamResponder};
use halloo_protocols::ProberOptions;
use halloo_protocols::echo::{TcpEcho, TcpProber};

/// First the request size, how many there are, and the damage to their echo; then the lengths of the pieces that it
/// arrives in, the last of them repeated.
pub(crate) fn tcp_prober(data: &[u8]) {
    let mut feed = Feed::new(data);
    let size = usize::from(feed.number() % 300).max(1);
    let count = u64::from(feed.octet() % 32);
    let mut prober = TcpProber::new(&ProberOptions {
        token: 99,
        size,
        ..ProberOptions::default()
    });
    let mut stream = echoed(&mut prober, count);
    let whole = stream.clone();
    feed.damage(&mut stream);
    let intact = stream == whole;

    let mut heard = 0;
    let mut waiting = 0;
    let mut rest = &stream[..];
    let mut piece_len = 1;
    while !rest.is_empty() {
        if !feed.is_empty() {
            piece_len = usize::from(feed.octet()).max(1);
        }
        let (mut piece, later) = rest.split_at(piece_len.min(rest.len()));
        rest = later;
        while !piece.is_empty() {
            match prober.receive(piece) {
                Progress::Partial(used) => {
                    assert_eq!(used, piece.len());
                    waiting += used;
                    assert!(waiting < size, "a whole answer was not noticed");
                    piece = &[];
                }
                Progress::Heard(used, answer) => {
                    assert_eq!(waiting + used, size, "an answer is as long as its request");
                    waiting = 0;
                    let expected = heard & ((1 << answer.bits) - 1);
                    assert!(!intact || answer.low_bits == expected, "answers are in order");
                    heard += 1;
                    piece = &piece[used..];
                }
                Progress::Unused(..) => panic!("an echo has nothing between its answers"),
                Progress::Foreign(_) => {
                    assert!(!intact, "our own bytes are not foreign");
                    return;
                }
            }
        }
    }
    assert_eq!((heard, waiting), (count, 0));
}

fn echoed(prober: &mut TcpProber, count: u64) -> Vec<u8> {
    with_env(Mono(1_000), |env| {
        let (mut sent, mut back) = (Vec::new(), Vec::new());
        for id in 0..count {
            prober.request(env, ProbeId(id), &mut sent);
        }
        let at = env.clock.stamp();
        let (used, _) = TcpEcho.respond(env, at, &sent, &mut back);
        assert_eq!((used, &back), (sent.len(), &sent));
        back
    })
}
