//! What holds for any bytes.

use super::prober::{ask, prober};
use super::*;
use crate::sip::message::frame;
use halloo_base::Prober;
use proptest::prelude::*;

const PIECES: &[&str] = &[
    "OPTIONS sip:echo@example.net SIP/2.0\r\n",
    "INVITE x:y SIP/2.0\r\n",
    "SIP/2.0 200 OK\r\n",
    "Via: SIP/2.0/UDP h;rport\r\n",
    "v:SIP/2.0/UDP [::1]:9;branch=z9hG4bK1,",
    "SIP/2.0/TCP a",
    ";received=1.2.3.4",
    "From: <sip:a@b>;tag=1\r\n",
    "t: \"x\" <sip:a@b>",
    "To: <sip:a@b>\r\n",
    "Call-ID: 1@2\r\n",
    "CSeq: 1 OPTIONS\r\n",
    "Max-Forwards: 70\r\n",
    "Timestamp: 1 2.5\r\n",
    "Require: a, b\r\n",
    "l: 0\r\n",
    "Content-Length: 3\r\n",
    "\r\n",
    "\r\n ",
    ";",
    "\"",
    "<",
    ">",
    ",",
    "=",
    " ",
    "\r",
    "\n",
];

/// Pieces of messages, good and bad, that put together are more than noise.
fn piece() -> impl Strategy<Value = String> {
    let other = "[ -~]{0,12}";
    prop_oneof![4 => proptest::sample::select(PIECES).prop_map(str::to_owned), 1 => other]
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let pieces = proptest::collection::vec(piece(), 0..24);
    prop_oneof![
        3 => pieces.prop_map(|pieces| pieces.concat().into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
    ]
}

/// A complete request with values of any kind that the grammar allows.
fn complete() -> impl Strategy<Value = (String, &'static str)> {
    let vias = proptest::sample::select(
        &[
            "h",
            "h:5060;rport",
            "192.0.2.33;rport;branch=z9hG4bK1",
            "[::1];received=::2;rport",
        ][..],
    );
    let names = proptest::sample::select(
        &[
            ("Via", "From", "To", "Call-ID"),
            ("v", "f", "t", "i"),
            ("VIA ", "FROM", "To\t", "call-id"),
        ][..],
    );
    let homes = proptest::sample::select(&[HOME, LONGEST_HOME, "[::1]:9"][..]);
    let tag = proptest::sample::select(&["", ";tag=1", ";x=\"y\" ; TAG = z"][..]);
    let uri = "sip:[a-z0-9]{1,20}";
    (vias, names, homes, tag, uri, "[!-~]{1,30}", 0..1_u32 << 31, "[ -~]{0,40}").prop_map(
        |(via, (v, f, t, i), home, tag, uri, call_id, number, more)| {
            let text = format!(
                "OPTIONS {uri} SIP/2.0\r\n{v}:SIP/2.0/UDP {via}\r\n{f}:<{uri}>{tag}\r\nMax-Forwards:0\r\n{t}:<{uri}>{tag}\r\n{i}:{call_id}\r\n\
                 CSeq:{number} OPTIONS\r\n{v}:SIP/2.0/UDP other\r\nX:{more}\r\n\r\n"
            );
            (text, home)
        },
    )
}

proptest! {
    #[test]
    fn no_bytes_make_a_panic_and_what_is_answered_is_answered_once(bytes in message()) {
        let _any = frame(&bytes, LONGEST);
        let mut prober = prober();
        ask(&mut prober, 0, 512).expect("possible");
        let _none = prober.recognise(&datagram(HOME, 1, &bytes));
        let _none = prober.quoted(&bytes);
        for trust in [Trust::Stranger, Trust::Validated] {
            let Ok(reply) = answer_to(&bytes, HOME, trust) else { continue };
            prop_assert_eq!(answer_to(&reply, HOME, Trust::Validated), Err(Reason::Loop));
            let message = Message::parse(&reply).expect("an answer is a message");
            prop_assert_eq!(message.body, b"");
        }
    }

    #[test]
    fn every_complete_request_has_an_answer_within_the_limits((request, home) in complete()) {
        let request = request.into_bytes();
        let least = answer_to(&request, home, Trust::Stranger).expect("an answer");
        prop_assert!(least.starts_with(b"SIP/2.0 200 OK\r\n"));
        let all = answer_to(&request, home, Trust::Validated).expect("an answer");
        prop_assert!(text(&all).contains("\nAccept-Language: en\n"), "room for all");
        let told = Message::parse(&least).expect("a message").fields;
        let asked = Message::parse(&request).expect("a message").fields;
        for name in [Name::From, Name::CallId, Name::CSeq] {
            let line = |fields: Fields<'_>| fields.clone().find(|field| field.name == name).map(|field| field.line.to_vec());
            prop_assert_eq!(line(told), line(asked), "unchanged");
        }
        let vias = |fields: Fields<'_>| fields.filter(|field| field.name == Name::Via).count();
        prop_assert_eq!(vias(told), 2);
    }

    #[test]
    fn fields_put_together_again_are_the_message(bytes in message()) {
        let Ok(message) = Message::parse(&bytes) else { return Ok(()) };
        let lines: Vec<u8> = message.fields.flat_map(|field| field.line.to_vec()).collect();
        let end = bytes.len() - message.body.len() - 2;
        prop_assert_eq!(&lines[..], &bytes[end - lines.len()..end]);
        for field in message.fields.filter(|field| field.name != Name::Malformed) {
            let (lead, value) = (field.lead.len(), field.value.len());
            prop_assert_eq!(&field.line[..lead], field.lead);
            prop_assert_eq!(&field.line[lead..lead + value], field.value);
            prop_assert!(field.line.ends_with(b"\r\n") && lead + value <= field.line.len() - 2);
        }
    }
}
