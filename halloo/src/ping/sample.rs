//! A session in which everything is known, for tests of what is printed.

use super::About;
use crate::target::Target;
use halloo_base::{
    IpOptions, LinkId, Marks, Mono, Nanos, Path, ProbeId, Seen, Stamp, StampSource, UnreachableError, Wall,
};
use halloo_probe::{
    Budget, Counts, Ended, Exchange, Observed, OneWay, OneWayDelay, Opening, Residence, Sources, Statistic,
    Summary, Unused, Verdict,
};
use std::time::Duration;

/// 2026-05-01 12:30:45.123456789 UTC.
pub(super) const WALL: Wall = Wall(1_777_638_645_123_456_789);

pub(super) fn about() -> About {
    About {
        id: 1,
        target: Target::parse("udp://echo.example.net:7").expect("a target"),
        remote: "192.0.2.7:7".parse().expect("an address"),
        face: None,
        link: None,
        lookup: Some(Duration::from_micros(1_500)),
        size: 64,
        spacing: Duration::from_millis(200),
        lost_after: Duration::from_millis(500),
        count: 10,
        ttl: None,
        tos: 0,
        source_routed: false,
        signed: false,
        label: String::new(),
    }
}

pub(super) fn path() -> Path {
    Path {
        link: LinkId(0),
        local: "192.0.2.1:40000".parse().expect("an address"),
        remote: about().remote,
    }
}

fn seen() -> Seen {
    Seen {
        addr: path().local,
        ttl: Some(60),
        tos: Some(0xb8),
    }
}

pub(super) fn stamp(after: u64, source: StampSource) -> Stamp {
    Stamp {
        mono: Mono(1_000 + after),
        wall: Wall(WALL.0 + after),
        source,
    }
}

/// The answer to the third probe: 412,345 ns from program to program, 3,120 ns on the wire.
pub(super) fn exchange() -> Exchange {
    Exchange {
        session: 1,
        seq: ProbeId(2),
        verdict: Verdict::Answered,
        slot: Mono(900),
        t1: stamp(0, StampSource::User),
        t1_kernel: Some(stamp(50, StampSource::Kernel)),
        t2: Some(Wall(WALL.0 + 1_000)),
        t3: Some(Wall(WALL.0 + 2_000)),
        t2_kernel: true,
        clock_error: Some(Nanos(2_000)),
        residence: Some(Residence {
            span: Nanos(1_000),
            exact: true,
        }),
        t4: Some(stamp(412_345, StampSource::User)),
        t4_kernel: Some(stamp(4_170, StampSource::Kernel)),
        t4_first: Some(stamp(2_170, StampSource::Kernel)),
        opening: Some(Opening {
            connect: Nanos(350_000),
            secure: Some(Nanos(4_120_000)),
            done: Mono(800),
        }),
        first_byte: Some(Nanos(2_120)),
        total: Some(Nanos(4_882_345)),
        wire: Some(Nanos(3_120)),
        host: Some(Nanos(412_345)),
        intended: Some(Nanos(412_445)),
        slot_error: Nanos(100),
        clock_stepped: false,
        path: path(),
        marks: Some(Marks {
            tos: 0,
            ttl: Some(64),
        }),
        seen: Some(seen()),
        options: None,
        refusal: None,
        bytes: 64,
    }
}

/// The same answer, with every option that is known.
pub(super) fn with_options() -> Exchange {
    let source_route = [131, 7, 8, 192, 0, 2, 254];
    let record_route = [7, 11, 8, 192, 0, 2, 253, 0, 0, 0, 0];
    let time = 45_045_123_u32.to_be_bytes();
    let timestamps = [&[68, 12, 13, 0x21, 192, 0, 2, 7][..], &time].concat();
    let router_alert = [148, 4, 0, 0];
    let octets = [&source_route[..], &record_route, &timestamps, &router_alert].concat();
    Exchange {
        options: IpOptions::new(&octets),
        ..exchange()
    }
}

/// The same probe, never answered.
pub(super) fn unanswered(verdict: Verdict) -> Exchange {
    Exchange {
        verdict,
        t2: None,
        t3: None,
        residence: None,
        t4: None,
        t4_kernel: None,
        t4_first: None,
        opening: None,
        first_byte: None,
        total: None,
        wire: None,
        host: None,
        intended: None,
        marks: None,
        seen: None,
        ..exchange()
    }
}

fn statistic(base: i64) -> Statistic {
    Statistic {
        count: 9,
        sum: Nanos(base * 18),
        min: Nanos(base),
        mean: Nanos(base * 2),
        p50: Nanos(base * 2),
        p90: Nanos(base * 3),
        p99: Nanos(base * 4),
        p999: Nanos(base * 4),
        max: Nanos(base * 5),
        mdev: Nanos(base / 2),
    }
}

pub(super) fn summary() -> Summary {
    let spans = |base| Some(statistic(base));
    let way = |base| OneWayDelay {
        queueing: statistic(base),
        min: Nanos(base),
        relative_min: Nanos(base),
    };
    Summary {
        session: 1,
        ended: Some(Ended::Complete),
        path: path(),
        started: stamp(0, StampSource::User),
        elapsed: Duration::from_millis(1_801),
        count: 10,
        counts: Counts {
            sent: 10,
            answered: 9,
            lost_forward: 1,
            duplicates: 2,
            ..Counts::default()
        },
        unused: Unused {
            foreign: 3,
            ..Unused::default()
        },
        wire: spans(1_000),
        host: spans(100_000),
        intended: spans(110_000),
        ipdv: spans(500),
        one_way: Some(OneWay {
            forward: way(200),
            backward: way(300),
            offset: Nanos(-1_500),
            error: Nanos(500),
            claimed: Some(Nanos(3_000)),
            contradicted: false,
            skew_ppb: 1_200,
            remote_steps: 0,
        }),
        connect: spans(50_000),
        secure: spans(60_000),
        first_byte: spans(70_000),
        total: spans(80_000),
        budget: Budget {
            slot_error: spans(10),
            send_delay: spans(20),
            receive_delay: spans(30),
            residence: spans(40),
            residence_exact: 8,
        },
        sources: Sources {
            t1_kernel: 9,
            t2_kernel: 9,
            t4_kernel: 9,
            ..Sources::default()
        },
        observed: Observed {
            structured: 9,
            seen: Some(seen()),
            ttl_min: Some(64),
            ttl_max: Some(64),
            marks: exchange().marks,
            answer_tos: Some(0xb8),
            ..Observed::default()
        },
        unreachable: vec![(UnreachableError(111), 1)],
    }
}
