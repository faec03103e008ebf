use super::*;
use crate::ping::sample;
use halloo_base::{Nanos, ProbeId, UnreachableError};
use halloo_probe::{DelayPath, FlowReport, SpreadVerdict};
use std::time::Duration;

fn plain(lines: &[String]) -> String {
    anstream::adapter::strip_str(&lines.join("\n")).to_string()
}

fn found() -> MtuReport {
    MtuReport {
        mtu: Some(1_400),
        state: PathMtuState::Complete,
        is_most: false,
        arrived: Some(1_400),
        sent: 24,
        answered: 4,
        too_big: 0,
        told: None,
        error: None,
        elapsed: Duration::from_millis(4_120),
    }
}

#[test]
fn a_path_mtu_comes_with_what_fits_and_with_what_is_wrong() {
    let about = sample::about();
    let lines = plain(&mtu_lines(&about, &found()));
    let expected = "path MTU  1400 bytes, there and back\n\
                    fits      1372 bytes of UDP payload, TCP MSS 1360\n\
                    probes    24 sent, 4 answered, in 4.1 s\n\
                    note      no router said what is too big: TCP and others that rely on it will hang on this path (a black hole)";
    assert_eq!(lines, expected);
    let told = MtuReport {
        too_big: 3,
        told: Some(1_400),
        ..found()
    };
    let lines = plain(&mtu_lines(&about, &told));
    assert!(
        lines.ends_with("in 4.1 s; 3 ICMP messages said too big, the last that 1400 fit"),
        "{lines}"
    );
    let narrow_back = MtuReport {
        arrived: Some(9_000),
        ..found()
    };
    let lines = plain(&mtu_lines(&about, &narrow_back));
    assert!(
        lines.contains("\nways      9000 bytes and perhaps more arrive there; the way back carries 1400\n"),
        "{lines}"
    );
    assert!(
        !lines.contains("black hole"),
        "it would speak to the host, not to us: {lines}"
    );
    let all = MtuReport {
        mtu: Some(1_500),
        is_most: true,
        arrived: None,
        ..found()
    };
    let lines = plain(&mtu_lines(&about, &all));
    assert!(
        lines.contains("\nlink      this host's own link carries no more\n"),
        "{lines}"
    );
    let nothing = MtuReport {
        mtu: None,
        state: PathMtuState::Error,
        error: Some(UnreachableError(111)),
        ..found()
    };
    let lines = plain(&mtu_lines(&about, &nothing));
    assert!(
        lines.starts_with("path MTU  unknown: nothing was answered\n"),
        "{lines}"
    );
    assert!(lines.ends_with("\nerror     Connection refused"), "{lines}");
}

#[test]
fn over_ipv6_less_fits() {
    let mut about = sample::about();
    about.remote = "[2001:db8::7]:7".parse().expect("an address");
    let lines = plain(&mtu_lines(&about, &found()));
    assert!(
        lines.contains("\nfits      1352 bytes of UDP payload, TCP MSS 1340\n"),
        "{lines}"
    );
}

#[test]
fn probes_are_told_line_by_line() {
    let line = |outcome| {
        let line = probe_line(&MtuProbe {
            seq: ProbeId(0),
            size: 1_500,
            outcome,
        });
        plain(&[line])
    };
    let reporter = "192.0.2.1".parse().expect("an address");
    assert_eq!(
        line(SizeOutcome::Answered(Nanos(1_230_000))),
        "1500 bytes: answered, time=1.23 ms"
    );
    assert_eq!(line(SizeOutcome::Lost), "1500 bytes: no answer");
    let mtu = Some(1_400);
    assert_eq!(
        line(SizeOutcome::TooBig { reporter, mtu }),
        "1500 bytes: 192.0.2.1 says too big, 1400 fit"
    );
    assert_eq!(
        line(SizeOutcome::Unsendable),
        "1500 bytes: more than this host's link carries"
    );
}

/// Sixty-four ports, the first `bad` of which lose everything.
fn swept(bad: u16) -> SpreadReport {
    let flow = |number: u16| FlowReport {
        port: 40_000 + number,
        sent: 20,
        answered: if number < bad { 0 } else { 20 },
        lost: if number < bad { 20 } else { 0 },
        shortest: None,
        median: None,
    };
    SpreadReport {
        ended: Some(Ended::Complete),
        flows: (0..64).map(flow).collect(),
        verdict: SpreadVerdict {
            bad: (0..usize::from(bad)).collect(),
            dead: bad.into(),
            share: f64::from(bad) / 64.0,
            share_between: (0.054, 0.209),
            loss_elsewhere: 0.0,
            paths: vec![],
        },
        sent: 1_280,
        answered: 1_280 - 20 * u64::from(bad),
        late: 0,
        refused: 0,
        lost: 20 * u64::from(bad),
        in_flight: 0,
        slots_missed: 0,
        unreachable: vec![],
        elapsed: Duration::from_millis(12_801),
    }
}

#[test]
fn the_bad_share_is_named() {
    let mut report = swept(7);
    report.verdict.paths = [(1_100_000, 33), (4_300_000, 24)]
        .map(|(delay, flows)| DelayPath {
            delay: Nanos(delay),
            flows: (0..flows).collect(),
        })
        .into();
    let expected = "1280 packets transmitted, 1140 received, 10.9% packet loss, time 12801ms\n\
                    bad       7 of 64 source ports lose everything: about 11 % of flows (5 to 21 %)\n\
                    ports     40000, 40001, 40002, 40003, 40004, 40005, 40006\n\
                    paths     2 by delay: 1.10 ms (33 ports), 4.30 ms (24 ports)";
    assert_eq!(plain(&spread_lines(&report)), expected);
    report.verdict.dead = 3;
    report.verdict.loss_elsewhere = 0.012;
    let lines = plain(&spread_lines(&report));
    assert!(
        lines.contains("7 of 64 source ports lose more than the others (1.20 %), 3 of them everything: "),
        "{lines}"
    );
}

#[test]
fn where_no_port_is_bad_that_is_told() {
    let lines = plain(&spread_lines(&swept(0)));
    assert!(
        lines.ends_with("\nbad       none: no port loses more than chance would have it"),
        "{lines}"
    );
    let mut nothing = swept(64);
    nothing.verdict = SpreadVerdict::default();
    nothing.unreachable = vec![(UnreachableError(111), 3)];
    let lines = plain(&spread_lines(&nothing));
    assert!(
        lines.contains("bad       nothing was answered, over any port\n"),
        "{lines}"
    );
    assert!(
        lines.ends_with("error     Connection refused, 3 times"),
        "{lines}"
    );
}
