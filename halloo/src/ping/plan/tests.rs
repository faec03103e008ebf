use super::*;
use crate::cli::{Cli, Command};
use clap::Parser;

fn plan(words: &str) -> Result<Plan> {
    let line = format!("halloo ping {words}");
    match Cli::try_parse_from(line.split_whitespace())
        .expect("it parses")
        .command
    {
        Command::Ping(args) => Plan::ping(&args),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_option_that_no_target_heeds_is_refused() {
    let http = "for http:// and https:// alone, and no target is one";
    let tls = "for https://, sips:, sip+tls://, quic:// and udp+quic:// alone, and no target is one";
    for (words, wrong) in [
        (
            "--expect-status 200 udp://h",
            Some(format!("--expect-status: {http}")),
        ),
        ("--expect-body x quic://h", Some(format!("--expect-body: {http}"))),
        ("--method PUT tcp://h", Some(format!("--method: {http}"))),
        ("--header a:b tcp://h", Some(format!("--header: {http}"))),
        (
            "--no-keep-alive tcp://h",
            Some(format!("--no-keep-alive: {http}")),
        ),
        ("--insecure http://h", Some(format!("--insecure: {tls}"))),
        ("--insecure sip:h", Some(format!("--insecure: {tls}"))),
        ("--expect-status 200 --insecure udp://h https://h", None),
        ("--insecure sips:h", None),
        ("--insecure sip+tls://h", None),
        ("--insecure quic://h", None),
        ("--insecure udp+quic://h", None),
    ] {
        let said = plan(words).err().map(|error| error.to_string());
        assert_eq!(said, wrong, "{words}");
    }
}

#[test]
fn sizes_end_where_packets_do() {
    let table = [
        ("-s 65507 udp://192.0.2.1", None),
        (
            "-s 65508 udp://192.0.2.1:1",
            Some("--size 65508: at most 65507 bytes fit into a datagram over IPv4 (udp://192.0.2.1:1)"),
        ),
        (
            "-4 -s 65508 udp://h:1",
            Some("--size 65508: at most 65507 bytes fit into a datagram over IPv4 (udp://h:1)"),
        ),
        ("-s 65527 udp://h", None),
        ("-s 65527 udp://[2001:db8::1]", None),
        (
            "-s 65528 udp://h:1",
            Some("--size 65528: at most 65527 bytes fit into a datagram (udp://h:1)"),
        ),
        ("-s 1048576 tcp://h", None),
        (
            "-s 1048577 tcp://h:1",
            Some("--size 1048577: at most 1048576 bytes fit over TCP (tcp://h:1)"),
        ),
        ("-s 1048576 quic://h", None),
        (
            "-s 1048577 quic://h:1",
            Some("--size 1048577: at most 1048576 bytes fit over a QUIC stream (quic://h:1)"),
        ),
        (
            "-s 1400 udp+quic://h:1",
            Some("--size 1400: QUIC datagram echo has at most 1150 bytes (udp+quic://h:1)"),
        ),
        ("-s 65507 ip://192.0.2.1", None),
        (
            "-s 65508 ip://192.0.2.1",
            Some("--size 65508: at most 65507 bytes fit into an IPv4 datagram (ip://192.0.2.1)"),
        ),
        (
            "-s 65507 --record-route ip://192.0.2.1",
            Some("--size 65507: at most 65475 bytes fit into an IPv4 datagram (ip://192.0.2.1)"),
        ),
        ("-s 0 udp://h", None),
        ("-s 8 icmp://h", None),
        (
            "-s 7 icmp://h",
            Some("--size 7: ICMP echo needs at least 8 bytes for a probe (icmp://h)"),
        ),
        (
            "-s 65508 icmp://192.0.2.1",
            Some("--size 65508: at most 65507 bytes fit into a datagram over IPv4 (icmp://192.0.2.1)"),
        ),
        (
            "-s 0 tcp://h:1",
            Some("--size 0: TCP echo needs at least 1 byte for a probe (tcp://h:1)"),
        ),
        ("-s 24 stun://h", None),
        (
            "-s 21 stun://h",
            Some("--size 21: STUN has no probe of this size; the next are 20 and 24 (stun://h:3478)"),
        ),
    ];
    for (words, wrong) in table {
        assert_eq!(
            plan(words).err().map(|error| error.to_string()).as_deref(),
            wrong,
            "{words}"
        );
    }
}

#[test]
fn links_must_fit_the_family_and_differ() {
    let error = |words| {
        plan(words)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert!(error("-6 -I 192.0.2.1 h").starts_with("--link 192.0.2.1: not an address of the family"));
    assert_eq!(error("-I eth0 -I eth0 h"), "--link eth0 is given twice");
}

#[test]
fn only_udp_probes_are_signed() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), b"sixteen bytes...").expect("it can be written");
    let name = file.path().display();
    let error = |words: &str| {
        let plan = plan(&format!("--key-file {name} {words}"));
        plan.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let size = |words: &str| {
        plan(&format!("{words} udp://h"))
            .map(|plan| plan.size_to(&plan.targets[0]))
            .ok()
    };
    assert_eq!(
        error("tcp://h:1"),
        "--key-file: TCP echo cannot be signed; UDP echo, STAMP and QUIC datagram echo can (tcp://h:1)"
    );
    assert_eq!(
        error("udp+ip://h:1"),
        "--key-file: UDP to oneself cannot be signed; UDP echo, STAMP and QUIC datagram echo can (udp+ip://h:1)"
    );
    assert_eq!(
        error("-s 79 udp://h"),
        "--size 79: UDP echo needs at least 80 bytes for a signed probe (udp://h:7777)"
    );
    assert_eq!(size(&format!("--key-file {name}")), Some(80));
    assert_eq!(size(&format!("--key-file {name} -s 81")), Some(81));
    assert_eq!(size(""), Some(64));
}

#[test]
fn options_of_ipv4_go_with_ip_over_ipv4_alone() {
    let error = |words| plan(words).err().map(|error| format!("{error:#}"));
    let names = "--record-route, --timestamp-option and --source-route";
    let table = [
        ("--record-route ip://192.0.2.7", None),
        ("--timestamp-option=with-addresses ip://h", None),
        (
            "--record-route udp+ip://h:1",
            Some(format!("{names} go with ip:// targets alone (udp+ip://h:1)")),
        ),
        (
            "--source-route 192.0.2.1 ip://[2001:db8::7]",
            Some(format!(
                "{names} are options of IPv4; IPv6 has none like them (ip://[2001:db8::7])"
            )),
        ),
        (
            "-6 --timestamp-option ip://h",
            Some(format!(
                "{names} are options of IPv4; IPv6 has none like them (ip://h)"
            )),
        ),
        (
            "--source-route 192.0.2.1,192.0.2.2 --record-route --timestamp-option=times ip://h",
            None,
        ),
        (
            "--source-route 192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4,192.0.2.5,192.0.2.6,192.0.2.7,192.0.2.8 \
             --record-route ip://h",
            Some(
                "--record-route, --timestamp-option, --source-route: there is no room in an IPv4 header for all \
                 of these options; leave out one, or hops of the source route"
                    .to_owned(),
            ),
        ),
    ];
    for (words, why) in table {
        assert_eq!(error(words), why, "{words}");
    }
}

#[test]
fn what_has_to_come_back_whole_may_go_twice_as_far() {
    let ttl = |words| {
        let plan = plan(words).expect("a plan");
        plan.ttl_to(&plan.targets[0])
    };
    assert_eq!(ttl("ip://192.0.2.7"), Some(128));
    assert_eq!(ttl("tcp+ip://192.0.2.7"), Some(128));
    assert_eq!(ttl("--ttl 9 udp+ip://192.0.2.7"), Some(9));
    assert_eq!(ttl("udp://192.0.2.7"), None);
}

#[test]
fn a_face_is_for_names_that_have_no_host() {
    let face = |words: &str| {
        let plan = plan(words).map_err(|error| error.to_string())?;
        let faces = plan.targets.iter().map(|target| {
            let question = target.question.as_ref()?;
            question.face.as_ref().map(ToString::to_string)
        });
        Ok::<Vec<_>, String>(faces.collect())
    };
    let tcp = Some("tcp://h:6363".to_owned());
    assert_eq!(
        face("--face tcp://h ndn:/a ndn://h/b udp://h"),
        Ok(vec![tcp, None, None])
    );
    let error = face("--face tcp://h ndn://h/b").expect_err("it means nothing");
    assert!(error.starts_with("--face is the way"), "{error}");
    let error = plan("-s 8801 ndn:/a").err().map(|error| error.to_string());
    assert_eq!(
        error.as_deref(),
        Some("--size 8801: an NDN packet has at most 8800 bytes (ndn:/a)")
    );
}

#[test]
fn a_target_is_asked_once() {
    let error = |words| plan(words).err().map(|error| error.to_string());
    assert_eq!(
        error("h udp://h:7777").as_deref(),
        Some("udp://h:7777 is given twice")
    );
    assert_eq!(error("udp://h udp://h:7 tcp://h:7"), None);
}

#[test]
fn dscp_and_ecn_make_one_octet() {
    let tos = |words: &str| plan(words).expect("a plan").tos;
    assert_eq!(tos("--dscp ef --ecn ect0 h"), Some(0xba));
    assert_eq!(tos("--ecn ce h"), Some(3));
    assert_eq!(tos("--dscp 0 h"), Some(0));
    assert_eq!(tos("h"), None);
}
