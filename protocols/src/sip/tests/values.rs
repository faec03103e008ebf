//! What stands in header fields.

use crate::sip::values::{Timestamp, Via, cseq_method, has_tag, is_call_id, is_uri, number, scheme, tokens};
use halloo_base::Nanos;

#[test]
fn the_first_via_tells_who_sent_it_and_by_which_number() {
    // What is read: host, branch, rport, received, what follows.
    type Read = (
        &'static str,
        Option<&'static str>,
        Option<Option<u16>>,
        Option<&'static str>,
        &'static str,
    );
    let table: [(&str, Option<Read>); 35] = [
        (
            "SIP/2.0/UDP h;branch=z9hG4bK1",
            Some(("h", Some("z9hG4bK1"), None, None, "")),
        ),
        ("SIP/2.0/UDP h", Some(("h", None, None, None, ""))),
        (
            "SIP/2.0/UDP h:5060 ; Branch = b ; RPORT",
            Some(("h", Some("b"), Some(None), None, "")),
        ),
        (
            "SIP / 2.0\r\n / TCP   h : 5060;branch\r\n =\r\n\tb",
            Some(("h", Some("b"), None, None, "")),
        ),
        (
            "SIP/2.0/UDP [2001:db8::9:1];branch=b",
            Some(("2001:db8::9:1", Some("b"), None, None, "")),
        ),
        (
            "SIP/2.0/UDP [2001:db8::9]:7;rport=9;branch=b",
            Some(("2001:db8::9", Some("b"), Some(Some(9)), None, "")),
        ),
        (
            "SIP/2.0/UDP h;received=192.0.2.1;rport=65535",
            Some(("h", None, Some(Some(65_535)), Some("192.0.2.1"), "")),
        ),
        (
            "SIP/2.0/UDP h;received=2001:db8::1",
            Some(("h", None, None, Some("2001:db8::1"), "")),
        ),
        (
            "SIP/2.0/UDP h;received=[2001:db8::1]",
            Some(("h", None, None, Some("[2001:db8::1]"), "")),
        ),
        (
            "SIP/2.0/UDP h;branch=b , SIP/2.0/TCP i",
            Some(("h", Some("b"), None, None, ", SIP/2.0/TCP i")),
        ),
        ("SIP/2.0/UDP h,x", Some(("h", None, None, None, ",x"))),
        (
            "SIP/7.0/UNKNOWN h;x=\"a;b,c\\\"d\";branch=b",
            Some(("h", Some("b"), None, None, "")),
        ),
        (
            "SIP/2.0/UDP h;maddr=224.2.0.1;ttl=16",
            Some(("h", None, None, None, "")),
        ),
        (
            "SIP/2.0/UDP _my-host.example.",
            Some(("_my-host.example.", None, None, None, "")),
        ),
        ("", None),
        ("SIP/2.0/UDP", None),
        ("SIP/2.0/UDP ", None),
        ("SIP/2.0/UDPh", None),
        ("SIP/2.0/UDP[::1]", None),
        ("SIP/2.0/UDP h i", None),
        ("SIP/2.0/UDP h;branch=b (it is me)", None),
        ("SIP/2.0/UDP h/i;branch=b", None),
        ("SIP/2.0 UDP h", None),
        ("SIP/2.0/UDP h;;branch=b", None),
        ("SIP/2.0/UDP h;;,;,,", None),
        ("SIP/2.0/UDP h;branch", None),
        ("SIP/2.0/UDP h;branch=", None),
        ("SIP/2.0/UDP h;branch=a b", None),
        ("SIP/2.0/UDP h;branch=a;branch=b", None),
        ("SIP/2.0/UDP h;rport;rport", None),
        ("SIP/2.0/UDP h;rport=65536", None),
        ("SIP/2.0/UDP h:65536", None),
        ("SIP/2.0/UDP h:;branch=b", None),
        ("SIP/2.0/UDP [2001:db8::9;branch=b", None),
        ("SIP/2.0/UDP h;x=\"a;branch=b", None),
    ];
    for (value, expected) in table {
        let via = Via::parse(value.as_bytes());
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let read = via.map(|via| {
            let (branch, received) = (via.branch.map(lossy), via.received.map(lossy));
            (lossy(via.host), branch, via.rport, received, lossy(via.others))
        });
        let expected = expected.map(|(host, branch, rport, received, others)| {
            let (branch, received) = (branch.map(str::to_owned), received.map(str::to_owned));
            (host.to_owned(), branch, rport, received, others.to_owned())
        });
        assert_eq!(read, expected, "{value}");
    }
}

#[test]
fn an_address_has_a_tag_or_has_none_or_is_no_address() {
    let table = [
        ("<sip:a@b>", Some(false)),
        ("<sip:a@b>;tag=1", Some(true)),
        ("<sip:a@b> ; x = \"y;tag=2\" ; TAG = 1", Some(true)),
        ("sip:a@b", Some(false)),
        ("sip:a@b;tag=1", Some(true)),
        ("sip:a@b ;\r\n tag\r\n =\r\n 1", Some(true)),
        ("<sip:a@b;tag=1>", Some(false)),
        ("A. G. Bell <sip:a@b>;tag=1", Some(true)),
        ("caller<sip:a@b>;tag=323", Some(true)),
        ("\"Bell, \\\"A\\\" <x>\" <sip:a@b>;tag=1", Some(true)),
        ("\"\"<sip:a@b>", Some(false)),
        ("J\u{f6}rg <sip:a@b>", Some(false)),
        ("<tel:+358-555>;tag=1", Some(true)),
        ("<sip:a,b;c@d?e=f>", Some(false)),
        ("", None),
        ("a@b", None),
        ("<a@b>", None),
        ("<sip:a@b", None),
        ("< sip:a@b >;tag=1", None),
        ("sip:a@b <sip:c>", None),
        ("sip:a@b c", None),
        ("Bell, Alexander <sip:a@b>;tag=43", None),
        ("\"Joe <sip:a@b>", None),
        ("\"Joe\\\" <sip:a@b>", None),
        ("\"Joe\" x <sip:a@b>", None),
        ("<sip:a@b>, <sip:c@d>", None),
        ("sip:a@b,sip:c@d", None),
        ("<sip:a@b>;tag=", None),
        ("<sip:a@b>;", None),
        ("<sip:a@b>;=1", None),
        ("<sip:a@b>x", None),
    ];
    for (value, expected) in table {
        assert_eq!(has_tag(value.as_bytes()).ok(), expected, "{value}");
    }
}

#[test]
fn a_sequence_number_is_below_2_to_31_and_has_a_method() {
    let table = [
        ("7 OPTIONS", Some("OPTIONS")),
        ("0009\r\n INVITE", Some("INVITE")),
        ("2147483647 X", Some("X")),
        ("2147483648 OPTIONS", None),
        ("36893488147419103232 OPTIONS", None),
        ("-1 OPTIONS", None),
        ("OPTIONS", None),
        ("7", None),
        ("7 ", None),
        (" 7 OPTIONS", None),
        ("7 OPT IONS", None),
    ];
    for (value, expected) in table {
        assert_eq!(
            cseq_method(value.as_bytes()),
            expected.map(str::as_bytes),
            "{value}"
        );
    }
}

#[test]
fn numbers_are_digits_up_to_the_most() {
    let table = [
        ("0", 255, Some(0)),
        ("000000000000000255", 255, Some(255)),
        ("256", 255, None),
        ("4294967295", u32::MAX, Some(u32::MAX)),
        ("4294967296", u32::MAX, None),
        ("99999999999999999999999999", u32::MAX, None),
        ("", 255, None),
        ("+1", 255, None),
        ("1 ", 255, None),
    ];
    for (digits, most, expected) in table {
        assert_eq!(number(digits.as_bytes(), most), expected, "{digits}");
    }
}

#[test]
fn timestamps_have_a_time_and_perhaps_a_delay() {
    let table = [
        ("54", Some(("54", None))),
        ("54.", Some(("54.", None))),
        ("54.21 0.5", Some(("54.21", Some(500_000_000)))),
        ("54 .25", Some(("54", Some(250_000_000)))),
        ("54\r\n  12.", Some(("54", Some(12_000_000_000)))),
        ("1 0.0000000019", Some(("1", Some(1)))),
        ("1 9223372036.854775807", Some(("1", Some(i64::MAX)))),
        ("1 9223372036.854775808", None),
        ("", None),
        (".5", None),
        ("x", None),
        ("-1", None),
        ("1 .", None),
        ("1 -1", None),
        ("1 1 1", None),
    ];
    for (value, expected) in table {
        let read = Timestamp::parse(value.as_bytes());
        let read = read.map(|stamp| (stamp.sent, stamp.delay));
        let expected = expected.map(|(sent, delay)| (sent.as_bytes(), delay.map(Nanos)));
        assert_eq!(read, expected, "{value}");
    }
}

#[test]
fn uris_have_a_scheme_and_no_white_space() {
    for (uri, expected) in [
        ("sip:a", Some("sip")),
        ("SIPS:a@b;lr?c=%00", Some("SIPS")),
        ("soap.beep://192.0.2.103:3002", Some("soap.beep")),
        (
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com",
            Some("sip"),
        ),
        ("sip", None),
        ("1ip:a", None),
        (":a", None),
        ("s ip:a", None),
    ] {
        assert_eq!(scheme(uri.as_bytes()), expected.map(str::as_bytes), "{uri}");
        assert_eq!(is_uri(uri.as_bytes()), expected.is_some(), "{uri}");
    }
    for uri in [
        "sip:",
        "sip:a b",
        "sip:<a>",
        "sip:a\"",
        "sip:\u{f6}",
        "sip:a\r\n b",
    ] {
        assert!(!is_uri(uri.as_bytes()), "{uri}");
    }
}

#[test]
fn lists_and_call_ids_are_words() {
    let names = |list: &'static str| tokens(list.as_bytes()).collect::<Result<Vec<_>, _>>().ok();
    assert_eq!(names("a"), Some(vec![&b"a"[..]]));
    assert_eq!(names("100rel ,\r\n path"), Some(vec![&b"100rel"[..], b"path"]));
    for list in ["", "a,", ",a", "a b", "a;b"] {
        assert_eq!(names(list), None, "{list}");
    }
    for (value, expected) in [
        ("1@b", true),
        ("<{\"x\"}>", true),
        ("", false),
        ("a b", false),
        ("a\tb", false),
    ] {
        assert_eq!(is_call_id(value.as_bytes()), expected, "{value}");
    }
}
