//! First lines, header fields, and where a message ends.

use super::*;
use crate::sip::fields::Head;
use crate::sip::message::{Frame, frame};

#[test]
fn first_lines_are_requests_mistaken_requests_responses_or_not_sip() {
    let request = |uri: &'static [u8], is_2_0| {
        Some(Start::Request {
            method: b"OPTIONS",
            uri,
            is_2_0,
        })
    };
    let bad = |method: &'static [u8]| Some(Start::BadRequest { method });
    let response = |code| Some(Start::Response { code });
    let table: [(&str, Option<Start<'_>>); 34] = [
        ("OPTIONS sip:a SIP/2.0", request(b"sip:a", true)),
        ("OPTIONS sip:a sip/2.0", request(b"sip:a", true)),
        ("OPTIONS tel:+358-555 SIP/2.0", request(b"tel:+358-555", true)),
        ("OPTIONS sip:a SIP/7.0", request(b"sip:a", false)),
        ("OPTIONS sip:a SIP/2.01", request(b"sip:a", false)),
        (
            "options sip:a SIP/2.0",
            Some(Start::Request {
                method: b"options",
                uri: b"sip:a",
                is_2_0: true,
            }),
        ),
        ("OPTIONS  sip:a SIP/2.0", bad(b"OPTIONS")),
        ("OPTIONS sip:a  SIP/2.0", bad(b"OPTIONS")),
        ("OPTIONS sip:a SIP/2.0 ", bad(b"OPTIONS")),
        ("OPTIONS\tsip:a\tSIP/2.0", bad(b"OPTIONS")),
        ("OPTIONS <sip:a> SIP/2.0", bad(b"OPTIONS")),
        ("OPTIONS sip:a; lr SIP/2.0", bad(b"OPTIONS")),
        ("OPTIONS sip SIP/2.0", bad(b"OPTIONS")),
        ("OPTIONS sip: SIP/2.0", bad(b"OPTIONS")),
        ("OPTIONS SIP/2.0", bad(b"OPTIONS")),
        ("OPTIONS sip:a SIP/2.0 SIP/2.0", bad(b"OPTIONS")),
        ("OPTIONS sip:a", None),
        ("OPTIONS sip:a HTTP/1.1", None),
        ("OPTIONS sip:a SIP/2", None),
        ("OPTIONS sip:a SIP/.0", None),
        ("OPT(ONS sip:a SIP/2.0", None),
        (" OPTIONS sip:a SIP/2.0", None),
        ("SIP/2.0 200 OK", response(200)),
        ("sip/2.0 603 ", response(603)),
        ("SIP/2.0 100", response(100)),
        ("SIP/3.1 404 Who is that?", response(404)),
        ("SIP/2.0 99 Low", None),
        ("SIP/2.0 700 High", None),
        ("SIP/2.0 4294967301 better not break the receiver", None),
        ("SIP/2.0 2OO OK", None),
        ("SIP/2.0  200 OK", None),
        ("SIP/2.0", None),
        ("SIP", None),
        ("", None),
    ];
    for (line, expected) in table {
        let message = format!("{line}\r\nA: b\r\n\r\n");
        let start = Message::parse(message.as_bytes()).map(|message| message.start);
        // An empty line in front of all is passed over, and what follows is no first line either.
        assert_eq!(start, expected.ok_or(NotSip::StartLine), "{line}");
    }
}

#[test]
fn names_are_known_in_full_in_short_and_in_any_case() {
    let table = [
        ("Via", Name::Via),
        ("v", Name::Via),
        ("V", Name::Via),
        ("FROM", Name::From),
        ("f", Name::From),
        ("tO", Name::To),
        ("t", Name::To),
        ("call-id", Name::CallId),
        ("i", Name::CallId),
        ("cseq", Name::CSeq),
        ("c", Name::ContentType),
        ("content-type", Name::ContentType),
        ("l", Name::ContentLength),
        ("Content-Length", Name::ContentLength),
        ("m", Name::Contact),
        ("Contact", Name::Contact),
        ("k", Name::Supported),
        ("Supported", Name::Supported),
        ("s", Name::Subject),
        ("Subject", Name::Subject),
        ("Max-Forwards", Name::MaxForwards),
        ("TimeStamp", Name::Timestamp),
        ("Require", Name::Require),
        ("Vi", Name::Other),
        ("x", Name::Other),
        ("Via-", Name::Other),
    ];
    for (label, expected) in table {
        assert_eq!(Name::of(label.as_bytes()), expected, "{label}");
    }
}

#[test]
fn fields_are_cut_at_their_ends_and_folded_lines_stay_together() {
    let message = wire(
        "OPTIONS sip:a SIP/2.0\nv  :  SIP/2.0/UDP h \nTo:\n sip:a\n\t;tag=1\nEmpty:\nEmpty2:  \nno colon\n: no name\nb d: x\nLast:y\n\nbody: b\n",
    );
    let message = Message::parse(&message).expect("a message");
    let lossy = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let fields: Vec<_> = message
        .fields
        .map(|field| (field.name, lossy(field.lead), lossy(field.value)))
        .collect();
    let expected = [
        (Name::Via, "v  :  ", "SIP/2.0/UDP h"),
        (Name::To, "To:\r\n ", "sip:a\r\n\t;tag=1"),
        (Name::Other, "Empty:", ""),
        (Name::Other, "Empty2:", ""),
        (Name::Malformed, "", "no colon"),
        (Name::Malformed, "", ": no name"),
        (Name::Malformed, "", "b d: x"),
        (Name::Other, "Last:", "y"),
    ];
    let expected = expected.map(|(name, lead, value)| (name, lead.to_owned(), value.to_owned()));
    assert_eq!(fields, expected);
    assert_eq!(message.body, b"body: b\r\n");
    let lines: Vec<u8> = message
        .fields
        .flat_map(|field| field.line.iter().copied())
        .collect();
    assert!(
        lines.starts_with(b"v  : ") && lines.ends_with(b"Last:y\r\n"),
        "nothing is left out"
    );
}

#[test]
fn the_first_of_a_name_counts_and_a_second_is_told() {
    let message = wire("OPTIONS sip:a SIP/2.0\nTo: a\nt: b\nFrom: c\nX: 1\nX: 2\nl: 007\n\n");
    let head = Head::of(Message::parse(&message).expect("a message").fields);
    assert_eq!(head.value(Name::To), Some(&b"a"[..]));
    assert!(head.is_repeated(Name::To) && !head.is_repeated(Name::From));
    assert!(!head.is_repeated(Name::Other), "what nobody reads may come twice");
    assert_eq!(head.value(Name::Via), None);
    assert_eq!(head.content_length(), Ok(Some(7)));
    assert!(head.is_sound);
}

#[test]
fn no_part_of_a_message_is_one() {
    let whole = wire(&options("Content-Length: 4\n"));
    assert!(Message::parse(&whole).is_ok());
    for end in 0..whole.len() {
        let expected = if end == 0 {
            NotSip::Empty
        } else {
            NotSip::Unfinished
        };
        assert_eq!(Message::parse(&whole[..end]).err(), Some(expected), "{end}");
        assert_eq!(frame(&whole[..end], LONGEST), Frame::Partial, "{end}");
    }
}

#[test]
fn lines_end_with_both_of_crlf_and_blank_ones_before_are_passed_over() {
    for (bytes, expected) in [
        (&b"OPTIONS sip:a SIP/2.0\nTo: a\r\n\r\n"[..], NotSip::HalfLineEnd),
        (b"OPTIONS sip:a SIP/2.0\rTo: a\r\n\r\n", NotSip::HalfLineEnd),
        (b"OPTIONS sip:a SIP/2.0\r\nTo: a\n\r\n\r\n", NotSip::HalfLineEnd),
        (b"\nOPTIONS sip:a SIP/2.0\r\n\r\n", NotSip::HalfLineEnd),
        (b"OPTIONS sip:a SIP/2.0\n\n", NotSip::Unfinished),
        (b"OPTIONS sip:a SIP/2.0\r\n To: a\r\n\r\n", NotSip::StartLine),
        (b"\r\n\r\n\r\n", NotSip::Empty),
        (b"\0\0\0\0", NotSip::Unfinished),
    ] {
        assert_eq!(Message::parse(bytes).err(), Some(expected), "{:?}", text(bytes));
    }
    for (bytes, fields) in [
        (&b"OPTIONS sip:a SIP/2.0\r\n\r\n"[..], 0),
        (b"\r\n\r\nOPTIONS sip:a SIP/2.0\r\nTo: a\r\n\r\n", 1),
    ] {
        let message = Message::parse(bytes).expect("a message");
        assert_eq!(message.fields.count(), fields);
    }
}

#[test]
fn a_stream_is_cut_by_content_length_alone() {
    let head = |length: &str| wire(&format!("OPTIONS sip:a SIP/2.0\n{length}\n"));
    let with = |length: &str, behind: &str| [head(length), behind.as_bytes().to_vec()].concat();
    let long = head("l: 0\n").len();
    let table = [
        (with("l: 0\n", ""), Frame::Whole(long)),
        (with("l: 0\n", "next"), Frame::Whole(long)),
        (with("l: 4\n", "bodynext"), Frame::Whole(long + 4)),
        (with("l: 4\n", "bod"), Frame::Partial),
        (with("", "x"), Frame::Endless(long - 6)),
        (with("l: -1\n", "x"), Frame::Endless(long + 1)),
        (with("l: 1\nl: 1\n", "x"), Frame::Endless(long + 6)),
        (with("l: 4294967296\n", "x"), Frame::Endless(long + 9)),
        (with("l: 4294967295\n", "x"), Frame::TooLong(long + 9)),
        (with("l: 8200\n", "x"), Frame::TooLong(long + 3)),
        (with("l: 8200\n", &"x".repeat(9_000)), Frame::TooLong(long + 3)),
        (b"\r\n\r\n\r\nOPTI".to_vec(), Frame::Blank(6)),
        (b"\r".to_vec(), Frame::Partial),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), Frame::Lost),
        (vec![b'x'; LONGEST - 1], Frame::Partial),
        (vec![b'x'; LONGEST], Frame::Lost),
        (with(&format!("X: {}\n", "x".repeat(LONGEST)), ""), Frame::Lost),
    ];
    for (bytes, expected) in table {
        assert_eq!(frame(&bytes, LONGEST), expected, "{:.60}", text(&bytes));
    }
    for (length, expected) in [(8_158, Frame::Partial), (8_159, Frame::TooLong(34))] {
        let head = head(&format!("l: {length}\n"));
        assert_eq!(frame(&head, LONGEST), expected, "{length}");
    }
    assert_eq!(34 + 8_158, LONGEST);
}
