//! What fields tell: times of our own hosts and of others, and where a redirect leads.

use super::{Told, good, options, told_of};
use crate::http::fields::leads_elsewhere;
use halloo_base::{Heard, Nanos, Reflection, Wall};

fn reflection(fields: &str) -> Option<Reflection> {
    let answer = format!("HTTP/1.1 204 x\r\n{fields}\r\n");
    let told = told_of(&options(), 1, answer.as_bytes()).0;
    let [Told::Heard(heard)] = told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(
        heard,
        Heard {
            reflection: heard.reflection,
            ..good()
        }
    );
    heard.reflection
}

fn told(t2: Option<u64>, residence: Option<i64>) -> Option<Reflection> {
    Some(Reflection {
        received_at: t2.map(Wall),
        residence: residence.map(Nanos),
        ..Reflection::default()
    })
}

#[test]
fn a_host_of_ours_tells_its_times_in_nanoseconds() {
    let t2 = 1_700_000_000_123_456_789;
    for (fields, expected) in [
        ("", None),
        (
            "X-Echo-T2: 1700000000123456789\r\nX-Echo-T3: 1700000000123457000\r\n",
            told(Some(t2), Some(211)),
        ),
        (
            "x-echo-t3: 1700000000123456789\r\nx-echo-t2: 1700000000123456789\r\n",
            told(Some(t2), Some(0)),
        ),
        ("X-Echo-T2: 1700000000123456789\r\n", told(Some(t2), None)),
        // A clock that was stepped meanwhile.
        (
            "X-Echo-T2: 1700000000123456789\r\nX-Echo-T3: 5\r\n",
            told(Some(t2), None),
        ),
        ("X-Echo-T3: 1700000000123456789\r\n", None),
        ("X-Echo-T2: soon\r\nX-Echo-T3: 7\r\n", None),
        ("X-Echo-T2: 18446744073709551616\r\n", None),
        ("X-Echo-T2: -1\r\n", None),
        // Whoever stands between adds his own behind it.
        (
            "X-Echo-T2: 5\r\nX-Echo-T2: 6\r\nX-Echo-T3: 9\r\n",
            told(Some(5), Some(4)),
        ),
        (
            "X-Echo-T2: 5\r\nX-Echo-T3: 9\r\nServer-Timing: proc;dur=1\r\n",
            told(Some(5), Some(4)),
        ),
        (
            "Server-Timing: proc;dur=1\r\nX-Echo-T2: 5\r\n",
            told(Some(5), Some(1_000_000)),
        ),
    ] {
        assert_eq!(reflection(fields), expected, "{fields}");
    }
}

#[test]
fn other_servers_tell_how_long_they_worked_in_milliseconds() {
    for (value, nanos) in [
        ("proc;dur=1", Some(1_000_000)),
        ("proc;dur=0", Some(0)),
        ("proc;dur=53.2", Some(53_200_000)),
        ("proc;dur=0.000001", Some(1)),
        ("proc;dur=0.0000019", Some(1)),
        ("proc;dur=\"1.5\"", Some(1_500_000)),
        ("proc ; dur = 2", Some(2_000_000)),
        ("proc;DUR=2", Some(2_000_000)),
        ("proc;desc=\"a;dur=9\";dur=2", Some(2_000_000)),
        ("recv;dur=9, proc;dur=2", Some(2_000_000)),
        ("recv;desc=\"a\\\", proc;dur=9\", proc;dur=2", Some(2_000_000)),
        ("cache;dur=9", None),
        ("Proc;dur=9", None),
        ("proc", None),
        ("proc;dur", None),
        ("proc;dur=", None),
        ("proc;dur=.", None),
        ("proc;dur=1.", None),
        ("proc;dur=-1", None),
        ("proc;dur=1e3", None),
        ("proc;dur=1.5.5", None),
        ("proc;dur=1.5x", None),
        ("proc;dur=9223372036854", Some(9_223_372_036_854_000_000)),
        ("proc;dur=9223372036855", None),
        ("proc;dur=99999999999999999999", None),
    ] {
        let expected = nanos.and_then(|nanos| told(None, Some(nanos)));
        assert_eq!(
            reflection(&format!("Server-Timing: {value}\r\n")),
            expected,
            "{value}"
        );
    }
    let two = "Server-Timing: recv;dur=1\r\nServer-Timing: proc;dur=3\r\n";
    assert_eq!(reflection(two), told(None, Some(3_000_000)));
}

#[test]
fn another_host_is_known_however_a_location_names_it() {
    for (location, own, elsewhere) in [
        ("/login", "h.example", false),
        ("login?to=http://other.example", "h.example", false),
        ("", "h.example", false),
        ("?a:b//c", "h.example", false),
        ("http://h.example/", "h.example", false),
        ("HTTPS://H.Example:8443", "h.example:80", false),
        ("//h.example/x", "h.example", false),
        ("http://h.example./", "h.example", false),
        ("http://[2001:db8::7]:80/", "[2001:db8::7]", false),
        (" http://h.example ", "h.example", false),
        ("mailto:a@other.example", "h.example", false),
        ("http://other.example/", "h.example", true),
        ("http://h.example.other.example/", "h.example", true),
        ("http://h.example@other.example/", "h.example", true),
        ("http://other.example\\@h.example/", "h.example", true),
        ("http:\\\\other.example/", "h.example", true),
        ("http://other.example?h.example", "h.example", true),
        ("http://other.example#h.example", "h.example", true),
        ("//other.example", "h.example", true),
        ("http://[2001:db8::8]/", "[2001:db8::7]", true),
        ("http:///", "h.example", true),
        ("http://192.0.2.1:8002/?mac=", "192.0.2.7", true),
    ] {
        assert_eq!(
            leads_elsewhere(location.as_bytes(), own),
            elsewhere,
            "{location} from {own}"
        );
    }
}
