//! A million datagrams of noise, and a million that are nearly right, from sources that did not send them.

use crate::bench::{Bench, START, hex};
use crate::forgery::{Forger, VICTIM};
use crate::table::{Dialect, TABLE, all_ports};
use halloo_base::{Path, Reason, ReplyLimit, Trust};
use halloo_serve::REFLECTION_PORTS;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const SEED: u64 = 0x5eed_ab05_e000_0001;
/// Of noise for each protocol; it costs little.
const NOISE: u32 = 1_000_000;
/// Of datagrams that have to be read. What is not optimised shares a million among all protocols.
const ALTERED: u32 = if cfg!(debug_assertions) {
    1_000_000 / TABLE.len() as u32
} else {
    1_000_000
};
/// Of requests with nothing in them that they can do without.
const SHORT: u32 = 60_000;
/// 200,000 in a second.
const INTERVAL: Duration = Duration::from_micros(5);

#[test]
fn noise_in_the_names_of_others_hurts_nobody() {
    for (nth, dialect) in TABLE.iter().enumerate() {
        let mut attack = Attack::new(dialect, SEED + nth as u64);
        for _ in 0..NOISE {
            attack.send(|forger, port| (forger.path(port), forger.noise()));
        }
        attack.check();
    }
}

#[test]
fn nearly_right_requests_in_the_names_of_others_hurt_nobody() {
    for (nth, dialect) in TABLE.iter().enumerate() {
        let mut attack = Attack::new(dialect, SEED + 0x100 + nth as u64);
        for _ in 0..ALTERED {
            attack.send(|forger, port| (forger.path(port), forger.altered()));
        }
        let all = attack.check();
        assert!(
            all.strangers.answers > 1_000,
            "{}: {all:?}",
            dialect.protocol.name
        );
        assert!(all.victim.answers > 100, "{}: {all:?}", dialect.protocol.name);
    }
}

#[test]
fn who_may_get_more_than_he_asked_with_is_answered_as_seldom_as_the_stricter_bucket_says() {
    for (nth, dialect) in TABLE.iter().enumerate() {
        let mut attack = Attack::new(dialect, SEED + 0x200 + nth as u64);
        for _ in 0..SHORT {
            attack.send(|forger, port| (forger.path_from_anybody(port), forger.shortest()));
        }
        let all = attack.check();
        let may_be_longer = attack.bench.reply_limit != ReplyLimit::SameAsRequest;
        // 0.3 s.
        let answers = if may_be_longer {
            12_999..=13_000
        } else {
            60_000..=60_000
        };
        let name = dialect.protocol.name;
        assert!(answers.contains(&all.strangers.answers), "{name}: {all:?}");
    }
}

/// What went in and came out.
#[derive(Debug, Default)]
struct All {
    /// From everybody, and to everybody.
    bytes_in: u64,
    bytes_out: u64,
    /// To addresses outside our own networks.
    strangers: Answers,
    /// To one of them.
    victim: Answers,
}

#[derive(Debug, Default)]
struct Answers {
    answers: u64,
    /// How many were longer than what was answered.
    longer: u64,
    bytes_in: u64,
    bytes_out: u64,
}

/// Printed only if something fails while it is looked at.
struct Witness<'a> {
    dialect: &'a Dialect,
    seed: u64,
    nth: u32,
    path: Path,
    payload: &'a [u8],
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Witness {
                dialect,
                seed,
                nth,
                path,
                payload,
            } = self;
            let (name, bytes) = (dialect.protocol.name, hex(payload));
            eprintln!("{name}, seed {seed:#x}, datagram {nth}, {path}: {bytes}");
        }
    }
}

/// A server, who attacks it, and what came of it so far.
struct Attack {
    dialect: &'static Dialect,
    seed: u64,
    own_ports: Vec<u16>,
    bench: Bench,
    forger: Forger,
    sent: u32,
    all: All,
}

impl Attack {
    fn new(dialect: &'static Dialect, seed: u64) -> Attack {
        let own_ports = all_ports(true);
        Attack {
            dialect,
            seed,
            bench: Bench::new(dialect, &own_ports),
            own_ports,
            forger: Forger::new(dialect, seed),
            sent: 0,
            all: All::default(),
        }
    }

    /// Sends one datagram and looks at what comes of it.
    fn send(&mut self, make: impl FnOnce(&mut Forger, u16) -> (Path, &[u8])) {
        let Attack {
            dialect,
            own_ports,
            bench,
            all,
            ..
        } = self;
        self.sent += 1;
        let now = START + INTERVAL * self.sent;
        let ports = dialect.ports;
        let (path, payload) = make(&mut self.forger, ports[self.sent as usize % ports.len()]);
        let _witness = Witness {
            dialect,
            seed: self.seed,
            nth: self.sent,
            path,
            payload,
        };
        let limit = bench.reply_limit;
        let mut answered = None;
        bench.hand(now, path, payload, |to, answer| {
            assert!(answered.is_none(), "one datagram is answered by one at most");
            assert_eq!(to, path, "an answer goes to where its request came from");
            assert!(!is_refused(dialect, own_ports, path), "it may not be answered");
            check_answer(dialect, limit, path, payload, answer);
            answered = Some(answer.len());
        });
        bench.wake(now, |_, _| panic!("something is sent that nobody asked for"));
        all.count(path.remote.ip().to_canonical(), payload.len(), answered);
    }

    /// Compares what was sent with the buckets of [`halloo_serve::Limits`].
    #[track_caller]
    fn check(&self) -> &All {
        let name = self.dialect.protocol.name;
        let all = &self.all;
        let limit = self.bench.reply_limit;
        let lasted = (INTERVAL * self.sent).as_secs_f64();
        let most = |burst: f64, per_second: f64| (burst + per_second * lasted) as u64 + 1;
        let (even, even_each) = (most(200e3, 200e3), most(10e3, 2e3));
        let (longer, longer_each) = (most(10e3, 10e3), most(500.0, 100.0));
        let parties = [
            ("strangers", &all.strangers, even, longer),
            ("victim", &all.victim, even_each, longer_each),
        ];
        for (who, answers, even, longer) in parties {
            assert!(answers.longer <= longer, "{name}, {who}: {all:?}");
            // Requests that are long enough have a bucket of their own.
            assert!(answers.answers <= even + longer, "{name}, {who}: {all:?}");
            let more = longer * limit.longest(0, Trust::Stranger) as u64;
            assert!(
                answers.bytes_out <= answers.bytes_in + more,
                "{name}, {who}: {all:?}"
            );
        }
        if limit == ReplyLimit::SameAsRequest {
            assert!(all.victim.answers <= even_each, "{name}: {all:?}");
            assert!(all.bytes_out <= all.bytes_in, "{name}: {all:?}");
        }
        let too_long = self.bench.count(Reason::ReplyTooLong);
        assert_eq!(too_long, 0, "{name}: a responder asks for more than its limit");
        all
    }
}

fn check_answer(dialect: &Dialect, limit: ReplyLimit, path: Path, request: &[u8], answer: &[u8]) {
    assert!(!(dialect.marks.is_answer)(request), "an answer is answered");
    let trust = match is_of_our_own(path.remote.ip().to_canonical()) {
        true => Trust::Validated,
        false => Trust::Stranger,
    };
    assert!(answer.len() <= limit.longest(request.len(), trust));
    if answer.len() > request.len() {
        assert_ne!(limit, ReplyLimit::SameAsRequest);
        assert!(
            (dialect.marks.is_request)(request),
            "what is no request gets more than it brought"
        );
    }
}

/// Whether a datagram by this way must not be answered, whatever it is.
pub(crate) fn is_refused(dialect: &Dialect, own_ports: &[u16], path: Path) -> bool {
    let (local, remote) = (path.local.ip().to_canonical(), path.remote.ip().to_canonical());
    let is_group = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => {
            let last = ip.octets()[3] == 255 && ip.octets()[..3] == [192, 0, 2];
            ip.is_multicast() || ip.is_broadcast() || last
        }
        IpAddr::V6(ip) => ip.is_multicast(),
    };
    let is_nobody = match remote {
        IpAddr::V4(ip) => ip.octets()[0] == 0 || ip.octets()[0] >= 224,
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    let strays = remote.is_loopback() && !local.is_loopback() && !local.is_unspecified();
    let port = path.remote.port();
    let is_usual = dialect.peer_port() == Some(port);
    let is_peer = is_usual || dialect.one_port && port == path.local.port();
    let is_listed = REFLECTION_PORTS.iter().any(|&(listed, _)| listed == port);
    let is_own = port == path.local.port() || own_ports.contains(&port);
    let itself = SocketAddr::new(local, path.local.port()) == SocketAddr::new(remote, port);
    is_group(local)
        || is_group(remote)
        || is_nobody
        || strays
        || itself
        || port < 1_024 && !is_usual
        || !is_peer && (is_listed || is_own)
}

/// Loopback, private and link-local addresses: an answer stays in our own networks, and no bucket is kept for it.
fn is_of_our_own(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unique_local(),
    }
}

impl All {
    fn count(&mut self, remote: IpAddr, request: usize, answer: Option<usize>) {
        self.bytes_in += request as u64;
        let Some(answer) = answer else { return };
        self.bytes_out += answer as u64;
        if !is_of_our_own(remote) {
            self.strangers.count(request, answer);
        }
        if remote == IpAddr::from(VICTIM) {
            self.victim.count(request, answer);
        }
    }
}

impl Answers {
    fn count(&mut self, request: usize, answer: usize) {
        self.answers += 1;
        self.longer += u64::from(answer > request);
        self.bytes_in += request as u64;
        self.bytes_out += answer as u64;
    }
}
