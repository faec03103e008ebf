//! Whose answer it is, and what it shows of its way.

use super::*;

#[test]
fn numbers_of_few_bits_are_resolved_across_their_wrap() {
    let mut bench = start(options(1));
    for k in 0..600u64 {
        bench.run_to(k);
        bench.hear_as(Ok(Heard::plain(k & 0xff, 8)), way_back());
    }
    let counts = bench.summary().counts;
    assert_eq!(
        (counts.answered, counts.duplicates, counts.reordered),
        (600, 0, 0)
    );
}

#[test]
fn an_answer_without_a_number_is_to_the_oldest_in_flight() {
    let mut bench = start(options(10));
    bench.run_to(15);
    bench.hear_as(Ok(Heard::plain(0, 0)), way_back());
    bench.hear_as(Ok(Heard::plain(0, 0)), way_back());
    bench.hear_as(Ok(Heard::plain(0, 0)), way_back());
    let summary = bench.summary();
    assert_eq!((summary.counts.answered, summary.unused.foreign), (2, 1));
    assert_eq!(
        bench.exchanges().iter().map(|e| e.seq.0).collect::<Vec<_>>(),
        [0, 1]
    );
}

#[test]
fn only_the_path_that_was_asked_for_counts() {
    let pinned = Path {
        link: LinkId(3),
        local: "192.0.2.1:0".parse().unwrap(),
        ..path()
    };
    let port = Path {
        local: "0.0.0.0:40001".parse().unwrap(),
        ..path()
    };
    let scoped = |link: u32| Path {
        local: "[::]:0".parse().unwrap(),
        remote: std::net::SocketAddrV6::new("fe80::9".parse().unwrap(), 7777, 0, link).into(),
        ..path()
    };
    let mapped = Path {
        remote: "[::ffff:192.0.2.9]:7777".parse().unwrap(),
        ..way_back()
    };
    let table = [
        (path(), way_back(), true),
        (path(), mapped, true),
        (
            path(),
            Path {
                remote: "192.0.2.9:7778".parse().unwrap(),
                ..way_back()
            },
            false,
        ),
        (
            path(),
            Path {
                remote: "192.0.2.8:7777".parse().unwrap(),
                ..way_back()
            },
            false,
        ),
        (pinned, way_back(), true),
        (
            pinned,
            Path {
                link: LinkId(4),
                ..way_back()
            },
            false,
        ),
        (
            pinned,
            Path {
                local: "192.0.2.2:40000".parse().unwrap(),
                ..way_back()
            },
            false,
        ),
        (port, way_back(), false),
        (scoped(2), scoped(2), true),
        (scoped(2), scoped(3), false),
        (scoped(0), scoped(3), true),
    ];
    for (asked, heard, counts) in table {
        let mut bench = start(SessionOptions {
            path: asked,
            ..options(10)
        });
        bench.hear_as(Ok(Heard::plain(0, 64)), heard);
        let summary = bench.summary();
        assert_eq!(summary.counts.answered, u64::from(counts), "{heard}");
        assert_eq!(summary.unused.wrong_path, u64::from(!counts), "{heard}");
    }
}

#[test]
fn what_is_no_answer_is_counted_by_its_reason() {
    let mut bench = start(options(10));
    let reasons = [
        Reason::Malformed,
        Reason::BadAuth,
        Reason::Truncated,
        Reason::Denied,
        Reason::Foreign,
        Reason::Incomplete,
    ];
    for why in reasons {
        bench.hear_as(Err(why), way_back());
    }
    bench.hear(99, None);
    let unused = bench.summary().unused;
    assert_eq!(
        (unused.malformed, unused.bad_auth, unused.truncated, unused.other),
        (1, 1, 1, 1)
    );
    assert_eq!(unused.foreign, 2, "one was never asked");
}

#[test]
fn what_the_responder_and_the_headers_show_of_the_path_is_followed() {
    let mut bench = start(options(10));
    let seen = |port, ttl| Seen {
        addr: ([198, 51, 100, 1], port).into(),
        ttl: Some(ttl),
        tos: Some(0),
    };
    for (seq, seen) in [
        (0, seen(1, 60)),
        (1, seen(1, 60)),
        (2, seen(2, 60)),
        (3, seen(2, 59)),
    ] {
        bench.run_to(seq * 10 + 1);
        bench.hear(
            seq,
            Some(Reflection {
                seen: Some(seen),
                ..reflection(seq as u32 + 1, 1, 1)
            }),
        );
    }
    let observed = bench.summary().observed;
    assert_eq!(observed.seen, Some(seen(2, 59)));
    assert_eq!((observed.address_changes, observed.forward_mark_changes), (1, 1));
    assert_eq!(
        (
            observed.backward_mark_changes,
            observed.structured,
            observed.plain
        ),
        (0, 4, 0)
    );
}

#[test]
fn one_way_delay_is_told_once_the_responder_tells_its_times() {
    let mut bench = start(options(10));
    for seq in 0..20u64 {
        bench.run_to(seq * 10 + 4);
        let t2 = bench.stamp_at(bench.now - 3 * MS, StampSource::User).wall + Nanos(5_000_000_000);
        bench.depart(seq, 1_000 * MS + seq * 10 * MS);
        bench.hear(
            seq,
            Some(Reflection {
                received_at: Some(t2),
                ..reflection(seq as u32 + 1, 1, 1)
            }),
        );
    }
    bench.run_to(400);
    let one_way = bench.summary().one_way.expect("T1 to T4 are known");
    let wire = bench.summary().wire.expect("kernel stamps are there");
    assert_eq!(one_way.error, Nanos((wire.min.0 + 1) / 2 + 1));
    assert!(
        (one_way.offset - Nanos(5_000_000_000)).abs() <= one_way.error,
        "{:?}",
        one_way.offset
    );
    assert_eq!(one_way.forward.queueing.max, Nanos(0));
}

#[test]
fn links_are_told_on() {
    let mut bench = start(options(10));
    bench.give(Input::LinkChanged(LinkId(3), false));
    let told = |event: &Event| {
        matches!(
            event,
            Event::LinkChanged {
                session: 7,
                link: LinkId(3),
                up: false,
                ..
            }
        )
    };
    assert!(bench.events().iter().any(told));
}

#[test]
fn news_of_another_link_are_no_news_for_a_pinned_session() {
    let mut options = options(10);
    options.path.link = LinkId(4);
    let mut bench = start(options);
    bench.give(Input::LinkChanged(LinkId(3), false));
    bench.give(Input::LinkChanged(LinkId(4), true));
    let told = |event: &Event| match event {
        Event::LinkChanged { link, .. } => Some(*link),
        _ => None,
    };
    assert_eq!(
        bench.events().iter().filter_map(told).collect::<Vec<_>>(),
        [LinkId(4)]
    );
}
