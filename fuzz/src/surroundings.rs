//! What a responder or prober needs around it: a clock, a sender, a key.

use halloo_base::{Clock, Datagram, Env, LinkId, Marks, Mono, Offload, Path, Rng, Stamp, StampSource, Wall};
use halloo_protocols::echo::Key;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

const WALL_AHEAD: u64 = 1_700_000_000_000_000_000;

struct Standing(Mono);

impl Clock for Standing {
    fn stamp(&self) -> Stamp {
        stamp(self.0, StampSource::User)
    }
}

pub(crate) fn stamp(mono: Mono, source: StampSource) -> Stamp {
    Stamp {
        mono,
        wall: Wall(mono.0.wrapping_add(WALL_AHEAD)),
        source,
    }
}

/// Calls `f` when it is `now`.
pub(crate) fn with_env<T>(now: Mono, f: impl FnOnce(&mut Env<'_>) -> T) -> T {
    let mut rng = Rng::new(0);
    f(&mut Env {
        now,
        clock: &Standing(now),
        rng: &mut rng,
    })
}

/// A datagram that arrived at `at` from one of a few senders.
pub(crate) fn datagram(sender: u8, at: Mono, payload: &[u8]) -> Datagram<'_> {
    let port = 40_000 + u16::from(sender >> 2);
    let remote = match sender % 3 {
        0 => SocketAddr::from((Ipv4Addr::new(192, 0, 2, 33), port)),
        1 => SocketAddr::from((Ipv4Addr::new(192, 0, 2, 33).to_ipv6_mapped(), port)),
        _ => SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5), port)),
    };
    let source = if sender & 0x80 == 0 {
        StampSource::Kernel
    } else {
        StampSource::User
    };
    Datagram {
        path: Path {
            link: LinkId(2),
            local: SocketAddr::from((Ipv6Addr::LOCALHOST, 7777)),
            remote,
        },
        at: stamp(at, source),
        marks: Marks {
            tos: sender,
            ttl: Some(sender).filter(|&ttl| ttl > 1),
        },
        payload,
        offload: Offload::default(),
    }
}

/// The key that both sides hold in these stories.
pub(crate) fn key() -> Key {
    Key::new(b"a key that every fuzzer knows").expect("it is longer than 16 bytes")
}
