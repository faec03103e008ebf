//! What an answer says beside having come: no, or what the path did to it.

use super::{counted, start};
use crate::testing::way_back;
use crate::{Event, SessionOptions, Verdict};
use halloo_base::{Datagram, Heard, Input, IpOptions, Marks, Offload, Refusal, StampSource};

const NO: Refusal = Refusal {
    code: 150,
    name: "NoRoute",
};

fn refused(seq: u64) -> Heard {
    Heard {
        refusal: Some(NO),
        ..Heard::plain(seq, 64)
    }
}

#[test]
fn a_refusal_is_an_answer_and_no_success() {
    let mut bench = start(counted(2));
    bench.depart(0, bench.now + 1);
    bench.run_to(1);
    bench.hear_as(Ok(refused(0)), way_back());
    bench.run_to(11);
    bench.depart(1, bench.now - 1);
    bench.hear(1, None);
    let told = bench.exchanges();
    assert_eq!((told[0].verdict, told[0].refusal), (Verdict::Answered, Some(NO)));
    assert_eq!((told[1].verdict, told[1].refusal), (Verdict::Answered, None));
    bench.run_to(500);
    let summary = bench.summary();
    assert_eq!((summary.counts.answered, summary.counts.refused), (2, 1));
    assert!(!summary.all_answered());
    assert_eq!((summary.observed.plain, summary.observed.structured), (1, 0));
}

#[test]
fn the_round_trip_of_a_refusal_is_told_and_measures_no_path() {
    let mut bench = start(counted(3));
    for seq in 0..3 {
        bench.run_to(10 * seq + 1);
        bench.depart(seq, bench.now - 1);
        bench.run_to(10 * seq + 2);
        if seq == 1 {
            bench.hear_as(Ok(refused(seq)), way_back());
        } else {
            bench.hear(seq, None);
        }
    }
    bench.run_to(500);
    assert!(
        bench
            .settled()
            .iter()
            .all(|one| one.host.is_some() && one.wire.is_some())
    );
    let summary = bench.summary();
    let counts = [summary.host, summary.wire, summary.intended].map(|row| row.map(|row| row.count));
    assert_eq!(counts, [Some(2); 3]);
    assert_eq!(summary.ipdv, None, "neither neighbour has one to compare with");
    assert_eq!(summary.sources.t1_kernel, 2);
}

#[test]
fn options_are_handed_on_with_their_answer() {
    let options = IpOptions::new(&[7, 7, 8, 192, 0, 2, 1, 0]);
    let mut bench = start(counted(1));
    bench.run_to(1);
    bench.hear_as(
        Ok(Heard {
            options,
            ..Heard::plain(0, 64)
        }),
        way_back(),
    );
    assert_eq!(bench.exchanges()[0].options, options);
    let settled = |event: &Event| matches!(event, Event::Settled(one) if one.options == options);
    bench.run_to(500);
    assert!(bench.events().iter().any(settled));
}

#[test]
fn the_reach_of_ttls_and_a_rewritten_tos_are_observed() {
    let mut bench = start(SessionOptions {
        tos: Some(0xb8),
        ..counted(3)
    });
    for (seq, (ttl, tos)) in [(122, 0xb8), (118, 0xb8), (120, 0)].into_iter().enumerate() {
        bench.run_to(10 * seq as u64 + 1);
        bench.script(Ok(Heard::plain(seq as u64, 64)));
        let at = bench.stamp_at(bench.now, StampSource::Kernel);
        bench.give(Input::Datagram(Datagram {
            path: way_back(),
            at,
            marks: Marks { tos, ttl: Some(ttl) },
            payload: &[0; 64],
            offload: Offload::default(),
        }));
    }
    let observed = bench.summary().observed;
    assert_eq!((observed.ttl_min, observed.ttl_max), (Some(118), Some(122)));
    assert_eq!(observed.tos_rewritten, 1);
}
