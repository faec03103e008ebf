use super::*;

#[test]
fn intervals_are_seconds_or_carry_a_unit() {
    let table = [
        ("1.0", 1_000_000_000),
        ("1", 1_000_000_000),
        ("0.2", 200_000_000),
        ("200ms", 200_000_000),
        ("10us", 10_000),
        ("0.00001", 10_000),
        (".5", 500_000_000),
        ("1.5s", 1_500_000_000),
        ("10m", 600_000_000_000),
        ("1h", 3_600_000_000_000),
        ("86400", 86_400_000_000_000),
    ];
    for (text, nanos) in table {
        assert_eq!(
            parse_interval(text),
            Ok(Interval::Every(Duration::from_nanos(nanos))),
            "{text}"
        );
    }
    for text in ["0", "0.0", "0ms"] {
        assert_eq!(parse_interval(text), Ok(Interval::Flood), "{text}");
    }
}

#[test]
fn a_wrong_span_says_what_would_be_right() {
    let wanted = "must be seconds (0.2) or a number with a unit: 50us, 200ms, 1.5s, 10m, 1h";
    for text in [
        "", "fast", "-1", "+1", "1e3", "1 s", "nan", "inf", "1d", "1.2.3", ".", "ms",
    ] {
        assert_eq!(parse_interval(text), Err(wanted.into()), "{text}");
    }
    assert_eq!(parse_span("0"), Err("must be more than 0".into()));
    assert_eq!(parse_span("25h"), Err("must not be more than a day".into()));
    assert_eq!(
        parse_interval("5us"),
        Err("less than 10 microseconds; use 0 to ask as fast as answers come".into())
    );
}

#[test]
fn code_points_have_numbers_and_names() {
    let table = [
        ("0", 0),
        ("46", 46),
        ("63", 63),
        ("ef", 46),
        ("EF", 46),
        ("af41", 34),
        ("cs1", 8),
        ("le", 1),
        ("va", 44),
    ];
    for (text, value) in table {
        assert_eq!(parse_dscp(text), Ok(Dscp(value)), "{text}");
    }
    for text in ["64", "-1", "af44", "", "cs8"] {
        let error = parse_dscp(text).expect_err(text);
        assert!(error.starts_with("must be 0 to 63, or a name: "), "{error}");
    }
    assert_eq!(Dscp(46).tos(), 0xb8);
    assert_eq!(
        [0, 1, 8, 46, 47].map(|dscp| Dscp(dscp).to_string()),
        ["CS0", "LE", "CS1", "EF", "47"]
    );
}

#[test]
fn ecn_is_read_by_name_and_by_number() {
    // RFC 3168 section 5: ECT(1) is 01, ECT(0) is 10.
    for (text, value, name) in [
        ("not-ect", 0, "Not-ECT"),
        ("ECT1", 1, "ECT(1)"),
        ("ect0", 2, "ECT(0)"),
        ("ce", 3, "CE"),
    ] {
        assert_eq!(parse_ecn(text), Ok(Ecn(value)), "{text}");
        assert_eq!(parse_ecn(&value.to_string()), Ok(Ecn(value)));
        assert_eq!(Ecn(value).name(), name);
    }
    for text in ["4", "-1", "ect", ""] {
        assert!(parse_ecn(text).is_err(), "{text}");
    }
}

#[test]
fn assured_forwarding_follows_its_formula() {
    // RFC 2597 section 6: class c, drop precedence d is c * 8 + d * 2.
    for class in 1..=4u8 {
        for drop in 1..=3u8 {
            assert_eq!(
                parse_dscp(&format!("af{class}{drop}")),
                Ok(Dscp(class * 8 + drop * 2))
            );
        }
    }
}

#[test]
fn a_link_is_a_device_or_a_source_address() {
    assert_eq!(parse_link("eth0"), Ok(Link::Device("eth0".into())));
    assert_eq!(parse_link("vlan.10"), Ok(Link::Device("vlan.10".into())));
    assert_eq!(
        parse_link("192.0.2.1"),
        Ok(Link::Source("192.0.2.1".parse().expect("an address")))
    );
    assert_eq!(
        parse_link("::1"),
        Ok(Link::Source("::1".parse().expect("an address")))
    );
    for text in [
        "",
        "a/b",
        "a b",
        "a-name-that-is-too-long",
        "0.0.0.0",
        "ff02::1",
        "eth0:1",
    ] {
        assert!(parse_link(text).is_err(), "{text}");
    }
}

#[test]
fn a_hop_is_one_ipv4_router() {
    assert_eq!(parse_hop("192.0.2.1"), Ok(Ipv4Addr::new(192, 0, 2, 1)));
    let wrong = [
        ("router", "`router` is not an IPv4 address"),
        ("", "`` is not an IPv4 address"),
        (
            "2001:db8::1",
            "2001:db8::1 is an IPv6 address; only IPv4 has source routes (RFC 5095)",
        ),
        ("0.0.0.0", "0.0.0.0 is not the address of a router"),
        ("224.0.0.5", "224.0.0.5 is not the address of a router"),
    ];
    for (text, why) in wrong {
        assert_eq!(parse_hop(text), Err(why.into()), "{text}");
    }
}

#[test]
fn a_listener_is_a_port_or_an_address_with_one() {
    let table = [
        ("7777", "[::]:7777"),
        (":7777", "[::]:7777"),
        ("0", "[::]:0"),
        ("0.0.0.0:7", "0.0.0.0:7"),
        ("[::]:7", "[::]:7"),
        ("[2001:db8::7]:7777", "[2001:db8::7]:7777"),
        ("127.0.0.1:0", "127.0.0.1:0"),
    ];
    for (text, expected) in table {
        assert_eq!(
            parse_listen(text).map(|addr| addr.to_string()),
            Ok(expected.into()),
            "{text}"
        );
    }
    let forms = "use PORT, ADDRESS:PORT or [ADDRESS]:PORT (7777, 192.0.2.7:7777, [::]:7777)";
    let wrong = [
        ("", forms.to_owned()),
        ("localhost:7", forms.into()),
        ("70000", "port 70000 is above 65535".into()),
        ("192.0.2.7", format!("a port is missing; {forms}")),
        ("::1", format!("a port is missing; {forms}")),
        (
            "224.0.0.1:7",
            "224.0.0.1 is a multicast address; an echo host answers on unicast addresses".into(),
        ),
    ];
    for (text, expected) in wrong {
        assert_eq!(parse_listen(text), Err(expected), "{text}");
    }
}
