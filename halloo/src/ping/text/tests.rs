use super::*;
use crate::ping::sample;
use halloo_base::{Nanos, ProbeId, StampSource};
use halloo_probe::{Counts, Direction, Residence};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod http;

/// Somewhere to print to, and to read from.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("no writer panicked")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn printed(style: TextStyle, about: &About, events: &[Event]) -> String {
    let paper = Paper::default();
    let mut report = TextReport::new(Screen::pipe(paper.clone()), style);
    for event in events {
        report.event(about, event).expect("paper takes everything");
    }
    let bytes = paper.0.lock().expect("no writer panicked").clone();
    let text = String::from_utf8(bytes).expect("text");
    anstream::adapter::strip_str(&text).to_string()
}

fn line(event: Event) -> String {
    printed(TextStyle::default(), &sample::about(), &[event])
}

fn lost(cause: LossCause) -> Exchange {
    sample::unanswered(Verdict::Lost {
        direction: Direction::Unknown,
        cause,
    })
}

#[test]
fn an_answer_reads_like_ping_with_the_wire_beside_it() {
    let answer = sample::exchange();
    assert_eq!(
        line(Event::Exchange(answer)),
        "64 bytes from 192.0.2.7:7: seq=3 time=0.412 ms wire=3.12 us ttl=64\n"
    );
    let guessed = Residence {
        span: Nanos(1_000),
        exact: false,
    };
    let early = Exchange {
        residence: Some(guessed),
        ..answer
    };
    assert!(line(Event::Exchange(early)).contains(" wire<3.12 us "));
    let stepped = Exchange {
        verdict: Verdict::Duplicate,
        clock_stepped: true,
        ..answer
    };
    assert!(line(Event::Exchange(stepped)).ends_with(" (DUP!) (clock stepped)\n"));
    let late = Exchange {
        verdict: Verdict::Late,
        ..answer
    };
    assert!(line(Event::Exchange(late)).ends_with(" (late)\n"));
}

#[test]
fn an_answer_that_says_no_is_told_by_its_number_and_name() {
    let refused = Exchange {
        refusal: Some(Refusal {
            code: 150,
            name: "NoRoute",
        }),
        ..sample::exchange()
    };
    assert_eq!(
        line(Event::Exchange(refused)),
        "seq=3 answer says no: 150 NoRoute, time=0.412 ms\n"
    );
    let mut whole = sample::summary();
    whole.counts.refused = 2;
    let lines = summary::block(&sample::about(), &whole);
    let counts = anstream::adapter::strip_str(&lines[2]).to_string();
    assert!(
        counts.starts_with("10 packets transmitted, 9 received (2 refused), "),
        "{counts}"
    );
}

#[test]
fn what_comes_back_whole_tells_of_its_way_below() {
    let about = About {
        target: crate::target::Target::parse("ip://192.0.2.7").expect("a target"),
        remote: "192.0.2.7:0".parse().expect("an address"),
        ttl: Some(128),
        ..sample::about()
    };
    // A raw socket's answer is longer by its header.
    let answer = Exchange {
        bytes: 84,
        ..sample::with_options()
    };
    let text = printed(TextStyle::default(), &about, &[Event::Exchange(answer)]);
    let expected = "64 bytes from 192.0.2.7: seq=3 time=0.412 ms wire=3.12 us ttl=64 (64 taken)\n    \
                    by way of: 192.0.2.254\n    route back: 192.0.2.253\n    \
                    times: 192.0.2.7 12:30:45.123, no room for 2 hops more\n";
    assert_eq!(text, expected);
}

#[test]
fn where_there_are_no_ports_none_is_told() {
    let asked = |target: &str, remote: &str| {
        let about = About {
            target: crate::target::Target::parse(target).expect("a target"),
            remote: remote.parse().expect("an address"),
            ..sample::about()
        };
        let text = printed(
            TextStyle::default(),
            &about,
            &[Event::Exchange(sample::exchange())],
        );
        text.split(" seq=").next().map(str::to_owned)
    };
    let table = [
        ("icmp://192.0.2.7", "192.0.2.7:0", "64 bytes from 192.0.2.7:"),
        (
            "icmp://[2001:db8::7]",
            "[2001:db8::7]:0",
            "64 bytes from 2001:db8::7:",
        ),
        ("icmp://[fe80::7%eth0]", "[fe80::7%3]:0", "64 bytes from fe80::7:"),
        (
            "udp://192.0.2.7",
            "192.0.2.7:7777",
            "64 bytes from 192.0.2.7:7777:",
        ),
        (
            "udp://[fe80::7%eth0]:7",
            "[fe80::7%3]:7",
            "64 bytes from [fe80::7]:7:",
        ),
    ];
    for (target, remote, begin) in table {
        assert_eq!(asked(target, remote).as_deref(), Some(begin), "{target}");
    }
}

#[test]
fn a_loss_is_told_once() {
    assert_eq!(
        line(Event::Exchange(lost(LossCause::Timeout))),
        "no answer for seq=3 within 500 ms\n"
    );
    assert_eq!(line(Event::Settled(lost(LossCause::Timeout))), "");
    assert_eq!(
        line(Event::Exchange(lost(LossCause::Unreachable))),
        "",
        "its own line has said so"
    );
    let unreachable = Event::Unreachable {
        session: 1,
        at: halloo_base::Mono(0),
        path: sample::path(),
        seq: Some(ProbeId(2)),
        reporter: Some("192.0.2.254".parse().expect("an address")),
        error: UnreachableError(113),
    };
    assert_eq!(line(unreachable), "From 192.0.2.254: seq=3 No route to host\n");
}

#[test]
fn a_connection_tells_how_it_came_and_went() {
    let opened = Event::Opened {
        session: 1,
        path: sample::path(),
        at: sample::stamp(0, StampSource::User),
        connect: Nanos(350_000),
        secure: None,
    };
    assert_eq!(
        line(opened),
        "connected to 192.0.2.7:7 from 192.0.2.1:40000: connect 0.350 ms, lookup 1.500 ms\n"
    );
    let secured = Event::Opened {
        session: 1,
        path: sample::path(),
        at: sample::stamp(0, StampSource::User),
        connect: Nanos(350_000),
        secure: Some(Nanos(4_120_000)),
    };
    assert_eq!(
        line(secured),
        "connected to 192.0.2.7:7 from 192.0.2.1:40000: connect 0.350 ms, TLS 4.120 ms, lookup 1.500 ms\n"
    );
    let silent = Event::Broken {
        session: 1,
        at: halloo_base::Mono(0),
        why: Break::ConnectTimeout {
            after: Duration::from_secs(1),
            connected: true,
        },
        lost: 0,
        retry_in: Duration::from_millis(100),
    };
    assert_eq!(
        line(silent),
        "connected to 192.0.2.7:7, but TLS was not agreed on within 1 s; connecting again in 100 ms\n"
    );
    let broken = Event::Broken {
        session: 1,
        at: halloo_base::Mono(0),
        why: Break::Closed(CloseReason::Broken(UnreachableError(104))),
        lost: 2,
        retry_in: Duration::from_millis(100),
    };
    assert_eq!(
        line(broken),
        "the connection broke: Connection reset by peer, 2 probes lost; connecting again in 100 ms\n"
    );
}

#[test]
fn labels_and_the_time_of_day_stand_before_a_line() {
    let about = About {
        label: "eth0".into(),
        ..sample::about()
    };
    let style = TextStyle {
        print_time: true,
        ..TextStyle::default()
    };
    let text = printed(style, &about, &[Event::Exchange(sample::exchange())]);
    assert!(
        text.starts_with("[1777638645.123869] [eth0] 64 bytes from "),
        "{text}"
    );
}

#[test]
fn quiet_prints_no_events_and_a_flood_no_answers() {
    let events = [
        Event::Exchange(sample::exchange()),
        Event::Exchange(lost(LossCause::Timeout)),
    ];
    for style in [
        TextStyle {
            quiet: true,
            ..TextStyle::default()
        },
        TextStyle {
            flood: true,
            ..TextStyle::default()
        },
    ] {
        assert_eq!(printed(style, &sample::about(), &events), "");
    }
}

#[test]
fn a_summary_has_the_lines_of_ping_the_table_and_the_facts() {
    let block = summary::block(&sample::about(), &sample::summary()).join("\n");
    let text = anstream::adapter::strip_str(&block).to_string();
    let expected = "
--- udp://echo.example.net:7 statistics ---
10 packets transmitted, 9 received, +2 duplicates, 10% packet loss, time 1801ms
rtt min/avg/max/mdev = 0.100/0.200/0.500/0.050 ms

                min      avg      p50      p90      p99    p99.9      max     mdev
wire        1.00 us  2.00 us  2.00 us  3.00 us        -        -  5.00 us   500 ns
host         100 us   200 us   200 us   300 us        -        -   500 us  50.0 us
intended     110 us   220 us   220 us   330 us        -        -   550 us  55.0 us
ipdv         500 ns  1.00 us  1.00 us  1.50 us        -        -  2.50 us   250 ns
forward      200 ns   400 ns   400 ns   600 ns        -        -  1.00 us   100 ns
backward     300 ns   600 ns   600 ns   900 ns        -        -  1.50 us   150 ns

loss      1 on the way there
one-way   shortest 200 ns there, 300 ns back (± 500 ns); forward and backward are what comes on top
clocks    differ by -1.50 us (± 500 ns), both within 3.00 us of UTC by their own account
connect   lookup 1.500 ms
seen as   192.0.2.1:40000, ttl 60
budget    p50/max of slot 20 ns/50 ns, send 40 ns/100 ns, receive 60 ns/150 ns, residence 80 ns/200 ns
stamps    T1 kernel, T2 kernel, T4 kernel; the echo host tells its own
odd       3 answers to nothing asked
error     Connection refused, 1 time";
    assert_eq!(text, expected);
}

#[test]
fn a_summary_without_wire_times_says_why() {
    let plain = Summary {
        wire: None,
        sources: halloo_probe::Sources {
            t1_user: 9,
            t4_kernel: 9,
            ..Default::default()
        },
        ..sample::summary()
    };
    let text = summary::block(&sample::about(), &plain).join("\n");
    assert!(
        text.contains("no wire round trip: the kernel gave no departure stamps"),
        "{text}"
    );
}

#[test]
fn a_summary_of_nothing_but_upper_bounds_says_so() {
    let one = Summary {
        counts: halloo_probe::Counts {
            wire_guessed: 1,
            ..sample::summary().counts
        },
        budget: halloo_probe::Budget::default(),
        ..sample::summary()
    };
    let text = summary::block(&sample::about(), &one).join("\n");
    assert!(
        text.contains("; the echo host guesses its own: wire times are upper bounds"),
        "{text}"
    );
}

#[test]
fn drift_is_told_when_the_session_was_long_enough_to_see_it() {
    let long = Summary {
        elapsed: Duration::from_secs(10),
        ..sample::summary()
    };
    let text = summary::block(&sample::about(), &long).join("\n");
    assert!(
        text.contains(
            "differ by -1.50 us (± 500 ns), drift 1.2 ppm, both within 3.00 us of UTC by their own account"
        ),
        "{text}"
    );
}

#[test]
fn a_running_line_fits_on_one_line() {
    assert_eq!(
        summary::running_line(&sample::about(), &sample::summary()),
        "9/10 packets, 10% loss, min/avg/max/mdev = 0.100/0.200/0.500/0.050 ms"
    );
}

/// The summary with other counts.
fn counted(counts: Counts) -> Summary {
    Summary {
        counts,
        ..sample::summary()
    }
}

fn block(about: &About, summary: &Summary) -> String {
    let text = summary::block(about, summary).join("\n");
    anstream::adapter::strip_str(&text).to_string()
}

#[test]
fn loss_is_a_share_of_the_probes_whose_fate_is_known() {
    let table = [
        (
            Counts {
                sent: 10,
                answered: 4,
                lost_unknown: 1,
                in_flight: 5,
                ..Counts::default()
            },
            "10 packets transmitted, 4 received, 20% packet loss, time 1801ms, 5 still under way\n",
            "4/5 packets, 20% loss",
        ),
        (
            Counts {
                sent: 2,
                in_flight: 2,
                ..Counts::default()
            },
            "2 packets transmitted, 0 received, no answer yet, time 1801ms, 2 still under way\n",
            "0/0 packets, - loss",
        ),
        (
            Counts::default(),
            "0 packets transmitted, 0 received, - packet loss, time 1801ms\n",
            "0/0 packets, - loss",
        ),
        (
            Counts {
                sent: 2,
                unsent: 2,
                ..Counts::default()
            },
            "0 packets transmitted (2 due), 0 received, 100% packet loss, time 1801ms\n",
            "0/2 packets, 100% loss",
        ),
        (
            Counts {
                sent: 24,
                answered: 24,
                late: 12,
                reordered: 3,
                duplicates: 1,
                ..Counts::default()
            },
            "24 packets transmitted, 24 received (12 late, 3 reordered), +1 duplicate, 0% packet loss, time 1801ms\n",
            "24/24 packets, 0% loss",
        ),
    ];
    for (counts, line, running) in table {
        let summary = counted(counts);
        let text = block(&sample::about(), &summary);
        assert!(text.contains(line), "{text}");
        let text = summary::running_line(&sample::about(), &summary);
        assert!(text.starts_with(running), "{text}");
    }
}

#[test]
fn a_loss_stands_once_with_its_cause_beside_it() {
    let loss = |counts| {
        let text = block(&sample::about(), &counted(counts));
        text.lines()
            .find(|line| line.starts_with("loss"))
            .unwrap_or_default()
            .to_owned()
    };
    let back = Counts {
        lost_backward: 7,
        overrun: 7,
        ..Counts::default()
    };
    assert_eq!(
        loss(back),
        "loss      7 on the way back; of these 7 given up early"
    );
    let unknown = Counts {
        lost_unknown: 7,
        overrun: 7,
        ..Counts::default()
    };
    assert_eq!(loss(unknown), "loss      7 given up early");
}

#[test]
fn columns_without_enough_samples_are_empty_and_one_sample_makes_no_table() {
    let tail = |count| {
        let mut summary = sample::summary();
        for row in [&mut summary.host, &mut summary.wire].into_iter().flatten() {
            row.count = count;
        }
        let text = block(&sample::about(), &summary);
        text.lines().find(|line| line.starts_with("host")).map(|line| {
            line.split_whitespace()
                .skip(9)
                .take(4)
                .collect::<Vec<_>>()
                .join(" ")
        })
    };
    assert_eq!(tail(1), None);
    let mut one = sample::summary();
    one.host.iter_mut().for_each(|host| host.count = 1);
    let text = block(&sample::about(), &one);
    assert!(text.contains("\n\nwire      5.00 us\n"), "{text}");
    assert_eq!(tail(99).as_deref(), Some("- - 500 us"));
    assert_eq!(tail(100).as_deref(), Some("400 us - 500"));
    assert_eq!(tail(1000).as_deref(), Some("400 us 400 us"));
}

#[test]
fn it_is_said_from_how_many_answers_the_wire_times_are() {
    let all = Counts {
        sent: 20_000,
        answered: 20_000,
        ..Counts::default()
    };
    let text = block(&sample::about(), &counted(all));
    assert!(text.contains("; wire from 9 of 20000 answers\n"), "{text}");
}

#[test]
fn a_single_link_stands_in_the_title() {
    let about = About {
        link: Some(crate::cli::Link::Device("eth0".into())),
        ..sample::about()
    };
    let text = block(&about, &sample::summary());
    assert!(
        text.starts_with("\n--- udp://echo.example.net:7 from eth0 statistics ---\n"),
        "{text}"
    );
}

#[test]
fn an_address_that_had_no_room_is_told_how_to_be_had() {
    let mut summary = sample::summary();
    summary.observed.seen = summary.observed.seen.map(|seen| halloo_base::Seen {
        addr: "[::]:40000".parse().expect("an address"),
        ..seen
    });
    let text = block(&sample::about(), &summary);
    assert!(
        text.contains("port 40000 (the address needs -s 112), ttl"),
        "{text}"
    );
    let signed = About {
        signed: true,
        ..sample::about()
    };
    assert!(block(&signed, &summary).contains("needs -s 128)"));
}

#[test]
fn one_odd_thing_is_told_in_the_singular() {
    let mut summary = sample::summary();
    summary.unused.foreign = 1;
    let text = block(&sample::about(), &summary);
    assert!(text.contains("odd       1 answer to nothing asked\n"), "{text}");
}
