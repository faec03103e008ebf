//! Random networks against a naive account that is made afterwards, with all cards on the table.

use super::*;
use halloo_base::Arrivals;
use proptest::prelude::*;

const INTERVAL: u64 = 10;
const LOST_AFTER: u64 = 50;

/// What the network does to a probe. Milliseconds.
#[derive(Clone, Debug)]
struct Fate {
    forward: Vec<u64>,
    backward: Vec<Vec<u64>>,
}

fn copies() -> impl Strategy<Value = Vec<u64>> {
    let delay = prop_oneof![6 => 1..4u64, 2 => 4..60u64, 1 => 60..200u64];
    prop_oneof![
        2 => Just(vec![]),
        8 => delay.clone().prop_map(|delay| vec![delay]),
        1 => prop::collection::vec(delay, 2..4),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    (copies(), prop::collection::vec(copies(), 3)).prop_map(|(forward, backward)| Fate { forward, backward })
}

#[derive(Clone, Copy, Debug)]
struct Delivery {
    at: u64,
    seq: u64,
    told: Reflection,
}

impl Delivery {
    fn arrivals(&self) -> Arrivals {
        self.told.arrivals.expect("every answer counts")
    }
}

/// What a reflector makes of the requests, and when each answer arrives.
fn deliveries(fates: &[Fate], origin: u32) -> Vec<Delivery> {
    let sent = fates.iter().enumerate().map(|(seq, fate)| (seq as u64, fate));
    let mut arrivals: Vec<_> = sent
        .flat_map(|(seq, fate)| {
            fate.forward
                .iter()
                .zip(&fate.backward)
                .map(move |(d, b)| (seq * INTERVAL + d, seq, b))
        })
        .collect();
    arrivals.sort_by_key(|&(at, seq, _)| (at, seq));
    let mut arrived = std::collections::BTreeSet::new();
    let mut answers = Vec::new();
    for (place, (at, seq, backward)) in arrivals.into_iter().enumerate() {
        arrived.insert(seq);
        let window_len = seq.min(63) as u32 + 1;
        let window = (0..u64::from(window_len))
            .filter(|back| arrived.contains(&(seq - back)))
            .fold(0, |w, b| w | 1 << b);
        let told = reflection(origin.wrapping_add(arrived.len() as u32), window, window_len);
        let told = Reflection {
            received_at: told.received_at.map(|at| at + Nanos(1_000 * place as i64)),
            ..told
        };
        answers.extend(backward.iter().map(|delay| Delivery {
            at: at + delay,
            seq,
            told,
        }));
    }
    answers.sort_by_key(|delivery| (delivery.at, delivery.seq));
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_account_is_that_of_the_naive_model(fates in prop::collection::vec(fate(), 1..100), spare in 0..80u64) {
        let end = fates.len() as u64 * INTERVAL - 1 + spare;
        let mut bench = start(options(INTERVAL));
        let heard: Vec<_> = deliveries(&fates, 0).into_iter().filter(|delivery| delivery.at <= end).collect();
        for delivery in &heard {
            bench.run_to(delivery.at);
            // A reflection without kernel stamps on our side settles late; the numbers must not depend on it.
            bench.hear(delivery.seq, Some(delivery.told));
            bench.summary();
        }
        bench.run_to(end);
        bench.give(Input::Stop);
        let summary = bench.summary();
        let counts = summary.counts;

        let sent = end / INTERVAL + 1;
        let mut told = [0u64; 3];
        let (mut answered, mut late, mut in_flight, mut reordered) = (0, 0, 0, 0);
        for seq in 0..sent {
            let first = heard.iter().position(|delivery| delivery.seq == seq);
            let age = |at: u64| at - seq * INTERVAL;
            let Some(first) = first else {
                let windows = heard.iter().filter(|d| d.seq > seq && d.seq - seq < u64::from(d.arrivals().window_len));
                let bits: Vec<_> = windows.map(|d| d.arrivals().window >> (d.seq - seq) & 1).collect();
                match (age(end) >= LOST_AFTER, bits.contains(&1), bits.is_empty()) {
                    (false, _, _) => in_flight += 1,
                    (true, true, _) => told[1] += 1,
                    (true, false, false) => told[0] += 1,
                    (true, false, true) => told[2] += 1,
                }
                continue;
            };
            answered += 1;
            late += u64::from(age(heard[first].at) > LOST_AFTER);
            reordered += u64::from(heard[..first].iter().any(|earlier| earlier.seq > seq));
        }
        prop_assert_eq!(counts.sent, sent);
        prop_assert_eq!((counts.answered, counts.late, counts.in_flight), (answered, late, in_flight));
        prop_assert_eq!([counts.lost_forward, counts.lost_backward, counts.lost_unknown], told);
        prop_assert_eq!((counts.reordered, counts.duplicates), (reordered, heard.len() as u64 - answered));
        prop_assert_eq!(counts.duplicates, counts.duplicates_forward + counts.duplicates_backward);
        prop_assert_eq!(summary.host.map_or(0, |host| host.count), answered);

        // Every probe is settled: once, or twice if it was given up before its answer was handled.
        for seq in 0..sent {
            let settled: Vec<_> = bench.settled().iter().filter(|e| e.seq.0 == seq).map(|e| e.verdict.name()).collect();
            prop_assert!(matches!(settled[..], ["answered" | "late" | "lost" | "in_flight"] | ["lost", "late" | "answered"]), "{settled:?}");
        }
    }
}
