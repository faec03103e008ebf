//! What the server answers, to whom, and how long it is.

use super::*;
use crate::sip::values::Via;
use halloo_base::ReplyLimit;

#[test]
fn a_known_sender_is_told_everything_and_the_vias_come_back_in_order() {
    // The tag is the low half of SipHash-2-4, computed apart from this code.
    let request = "OPTIONS sip:carol@chicago.example SIP/2.0\n\
        Via: SIP/2.0/UDP pc33.atlanta.example:5070 ;branch=z9hG4bKhjhs8ass877 ;rport ;x=y , SIP/2.0/TCP second\n\
        Max-Forwards: 70\n\
        t: <sip:carol@chicago.example>\n\
        Via: SIP/2.0/UDP third;received=1.2.3.4;rport\n\
        From: Alice <sip:alice@atlanta.example>;tag=1928301774\n\
        v: SIP/2.0/UDP fourth\n\
        Call-ID: a84b4c76e66710\n\
        CSeq: 63104 OPTIONS\n\
        Timestamp :  54.5\n\
        Contact: <sip:alice@pc33.atlanta.example>\n\
        Accept: application/sdp\n\
        Content-Length: 0\n\n";
    let expected = "SIP/2.0 200 OK\n\
        Via: SIP/2.0/UDP pc33.atlanta.example:5070;branch=z9hG4bKhjhs8ass877;rport=40000;x=y;received=192.0.2.33, SIP/2.0/TCP second\n\
        t: <sip:carol@chicago.example>;tag=2f579c31\n\
        Via: SIP/2.0/UDP third;received=1.2.3.4;rport\n\
        From: Alice <sip:alice@atlanta.example>;tag=1928301774\n\
        v: SIP/2.0/UDP fourth\n\
        Call-ID: a84b4c76e66710\n\
        CSeq: 63104 OPTIONS\n\
        Content-Length: 0\n\
        Allow: OPTIONS\n\
        Accept: application/sdp\n\
        Supported:\n\
        Accept-Encoding: identity\n\
        Accept-Language: en\n\
        Timestamp :  54.5 0.000012000\n\n";
    assert_eq!(answer(request, Trust::Validated).as_deref(), Ok(expected));
}

#[test]
fn the_top_via_tells_where_the_request_came_from() {
    let table = [
        ("192.0.2.33", HOME, "192.0.2.33"),
        ("192.0.2.33;branch=b", HOME, "192.0.2.33;branch=b"),
        (
            "192.0.2.33:5060;rport",
            HOME,
            "192.0.2.33:5060;rport=40000;received=192.0.2.33",
        ),
        (
            "192.0.2.34;branch=b",
            HOME,
            "192.0.2.34;branch=b;received=192.0.2.33",
        ),
        ("a.example", HOME, "a.example;received=192.0.2.33"),
        ("a.example;rport=9", HOME, "a.example;rport=9;received=192.0.2.33"),
        (
            "a.example;RPort;branch=b",
            HOME,
            "a.example;RPort=40000;branch=b;received=192.0.2.33",
        ),
        (
            "a.example;received=10.0.0.1;branch=b",
            HOME,
            "a.example;branch=b;received=192.0.2.33",
        ),
        ("192.0.2.33;received=10.0.0.1", HOME, "192.0.2.33"),
        (
            "192.0.2.33;rport",
            "[::ffff:192.0.2.33]:7",
            "192.0.2.33;rport=7;received=192.0.2.33",
        ),
        ("[::ffff:192.0.2.33]", HOME, "[::ffff:192.0.2.33]"),
        (
            "[2001:DB8::1]:5060;branch=b",
            "[2001:db8::1]:9",
            "[2001:DB8::1]:5060;branch=b",
        ),
        (
            "[2001:db8::2]",
            "[2001:db8::1]:9",
            "[2001:db8::2];received=2001:db8::1",
        ),
        (
            "a.example;maddr=224.2.0.1",
            HOME,
            "a.example;maddr=224.2.0.1;received=192.0.2.33",
        ),
    ];
    for (top, remote, expected) in table {
        let request = options("").replace("192.0.2.33:40000;rport;branch=z9hG4bK1", top);
        let reply = answer_to(&wire(&request), remote, Trust::Validated).expect("an answer");
        let via = format!("\nVia: SIP/2.0/UDP {expected}\n");
        assert!(text(&reply).contains(&via), "{top}: {}", text(&reply));
    }
}

#[test]
fn to_gets_a_tag_that_follows_from_the_call_unless_it_has_one() {
    let tag = |request: &str, server: &mut SipServer| {
        let request = wire(request);
        let mut reply = vec![0; 2_000];
        let rx = datagram(HOME, 5, &request);
        let verdict = with_env(6, |env| server.respond(env, &rx, &mut reply));
        assert!(matches!(verdict, Verdict::Reply(_)), "{verdict:?}");
        let reply = text(&reply);
        let (_, behind) = reply.split_once("To: <sip:echo@example.net>").expect("as it was");
        behind.split_once('\n').expect("a line").0.to_owned()
    };
    let (mut one, mut same, mut other) = (server(), server(), SipServer::new([8; 16]));
    let asked = options("");
    let given = tag(&asked, &mut one);
    let (name, digits) = given.split_at(5);
    assert!(name == ";tag=" && digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(tag(&asked, &mut one), given, "sent again");
    assert_eq!(
        tag(&asked, &mut same),
        given,
        "another server of the same address"
    );
    assert_ne!(tag(&asked, &mut other), given, "nobody else can tell");
    assert_ne!(tag(&asked.replace("99@", "98@"), &mut one), given, "another call");
    let tagged = asked.replace("To: <sip:echo@example.net>", "To: <sip:echo@example.net> ; Tag=x");
    assert_eq!(tag(&tagged, &mut one), " ; Tag=x", "unchanged");
}

/// The shortest request that is complete, from the longest address, with everything that lengthens the answer.
fn shortest() -> String {
    "OPTIONS sip:h SIP/2.0\nv:SIP/2.0/UDP h;rport\nMax-Forwards:0\nf:a:b\nt:a:b\ni:1\nCSeq:1 OPTIONS\n\n"
        .to_owned()
}

#[test]
fn the_least_answer_is_as_much_longer_as_the_table_says_and_no_less_would_do() {
    let request = wire(&shortest());
    let reply = answer_to(&request, LONGEST_HOME, Trust::Stranger).expect("an answer");
    assert_eq!(reply.len(), request.len() + STRANGER);
    assert_eq!(STRANGER, 45);
    let lines = "SIP/2.0 200 OK\nv:SIP/2.0/UDP h;rport=65535;received=2001:1db8:1111:2222:3333:4444:5555:6666\nf:a:b\n\
        t:a:b;tag=090511f4\ni:1\nCSeq:1 OPTIONS\n\n";
    assert_eq!(text(&reply), lines);

    let mut short = vec![0; request.len() + STRANGER - 1];
    let rx = datagram(LONGEST_HOME, 5, &request);
    let verdict = with_env(6, |env| server().respond(env, &rx, &mut short));
    assert_eq!(
        verdict,
        Verdict::Silent(Reason::Malformed),
        "one byte less is no room"
    );
}

#[test]
fn a_known_sender_has_room_for_all_whatever_he_asked() {
    for asked in [shortest(), shortest().replace("\n\n", "\nTimestamp:0\n\n")] {
        let request = wire(&asked);
        let reply = answer_to(&request, LONGEST_HOME, Trust::Validated).expect("an answer");
        let left = request.len() + STRANGER + OPTIONAL - reply.len();
        let unused = if asked.contains("Timestamp") {
            0
        } else {
            " 0.000000000".len()
        };
        assert_eq!(left, unused, "{}", text(&reply));
        assert!(text(&reply).contains("Accept-Language: en\n"));
    }
}

#[test]
fn a_stranger_gets_the_rest_only_as_far_as_the_request_was_as_long() {
    let stamped = |pad: usize| options(&format!("Timestamp: 1\nX: {}\n", "x".repeat(pad)));
    let mut seen = Vec::new();
    for pad in 0..300 {
        let request = wire(&stamped(pad));
        let reply = answer_to(&request, HOME, Trust::Stranger).expect("an answer");
        let optional = text(&reply)
            .split_once("CSeq: 7 OPTIONS\n")
            .expect("the last that must be")
            .1
            .to_owned();
        assert!(reply.len() <= request.len() || optional == "\n", "{pad}");
        if seen.last() != Some(&optional) {
            seen.push(optional);
        }
    }
    assert_eq!(
        seen.first().map(String::as_str),
        Some("Content-Length: 0\n\n"),
        "most requests have so much that is not repeated"
    );
    let all = "Content-Length: 0\nAllow: OPTIONS\nAccept: application/sdp\nSupported:\nAccept-Encoding: identity\n\
        Accept-Language: en\nTimestamp: 1 0.000012000\n\n";
    assert_eq!(seen.last().map(String::as_str), Some(all));
}

#[test]
fn a_request_as_long_as_all_that_there_is_to_say_is_limited_like_an_echo() {
    for pad in 0..300 {
        let request = wire(&options(&format!("Timestamp: 1\nX: {}\n", "x".repeat(pad))));
        let all = answer_to(&request, HOME, Trust::Validated)
            .expect("an answer")
            .len();
        let limit = server().reply_limit(&datagram(HOME, 5, &request));
        let expected = (all <= request.len()).then_some(ReplyLimit::SameAsRequest);
        assert_eq!(limit, expected, "{all} to {}", request.len());
    }
    for silent in ["", "SIP/2.0 200 OK\n\n", "OPTIONS sip:a SIP/2.0\n\n"] {
        assert_eq!(
            server().reply_limit(&datagram(HOME, 5, &wire(silent))),
            None,
            "{silent}"
        );
    }
}

#[test]
fn our_time_is_told_behind_the_timestamp_if_it_can_be() {
    let told = |stamp: &str, arrived: u64, now: u64| {
        let request = wire(&options(&format!("Timestamp: {stamp}\n")));
        let mut reply = vec![0; 2_000];
        let rx = datagram(HOME, arrived, &request);
        let verdict = with_env(now, |env| server().respond(env, &rx, &mut reply));
        assert!(matches!(verdict, Verdict::Reply(_)), "{verdict:?}");
        let reply = text(&reply);
        reply
            .split_once("Timestamp: ")
            .map(|(_, behind)| behind.split_once('\n').expect("a line").0.to_owned())
    };
    let table = [
        ("54", 1_000, 13_345, Some("54 0.000012345")),
        ("1.5 7.25", 0, 1_234_567_890, Some("1.5 1.234567890")),
        ("54", 2_000, 1_000, Some("54 0.000000000")),
        ("54", 0, 9_999_999_999, Some("54 9.999999999")),
        ("54", 0, 10_000_000_000, Some("54")),
        ("soon", 0, 1, None),
    ];
    for (stamp, arrived, now, expected) in table {
        assert_eq!(told(stamp, arrived, now).as_deref(), expected, "{stamp}");
    }
}

#[test]
fn what_is_refused_is_refused_by_its_number() {
    let line = |from: &str, to: &str| options("").replacen(from, to, 1);
    let table = [
        (
            line("CSeq: 7 OPTIONS", "CSeq: 7 INVITE").replacen("OPTIONS", "INVITE", 1),
            Ok(405),
        ),
        (
            line("CSeq: 7 OPTIONS", "CSeq: 7 REGISTER").replacen("OPTIONS", "REGISTER", 1),
            Ok(405),
        ),
        (
            line("CSeq: 7 OPTIONS", "CSeq: 7 options").replacen("OPTIONS", "options", 1),
            Ok(405),
        ),
        (line("sip:echo@example.net", "tel:+358555"), Ok(416)),
        (line("sip:echo@example.net", "SIPS:echo@example.net"), Ok(200)),
        (line("sip:echo@example.net", "Sip:echo@example.net"), Ok(200)),
        (line("SIP/2.0", "SIP/3.0"), Ok(505)),
        (options("Require: 100rel\n"), Ok(420)),
        (options("Require: 100rel,\n"), Ok(400)),
        (options("Proxy-Require: path\n"), Ok(200)),
        (line("Max-Forwards: 70", "Max-Forwards: 0"), Ok(200)),
        (line("Max-Forwards: 70\n", ""), Ok(200)),
        (line("Max-Forwards: 70", "Max-Forwards: 256"), Ok(400)),
        (
            line("Max-Forwards: 70", "Max-Forwards: 7\nMax-Forwards: 7"),
            Ok(400),
        ),
        (options("no colon\n"), Ok(400)),
        (options("t: <sip:x>\n"), Ok(400)),
        (line("CSeq: 7", "CSeq: 2147483648"), Ok(400)),
        (
            line("From: <sip:me@example.org>", "From: <sip:me@example.org"),
            Ok(400),
        ),
        (line("To: <", "To: \"<"), Ok(400)),
        (line("Call-ID: 99", "Call-ID: 99 "), Ok(400)),
        (options("Content-Length: 1\n"), Ok(400)),
        (options("Content-Length: 1\n") + "more", Ok(200)),
        (options("Content-Length: x\n"), Ok(400)),
        (line("OPTIONS ", "OPTIONS  "), Ok(400)),
        (line("To:", "Too:"), Err(Reason::Malformed)),
        (line("From:", "X:"), Err(Reason::Malformed)),
        (line("Call-ID:", "X:"), Err(Reason::Malformed)),
        (line("CSeq:", "X:"), Err(Reason::Malformed)),
        (line("Via:", "X:"), Err(Reason::Malformed)),
        (line("rport;", ";"), Err(Reason::Malformed)),
        (line("OPTIONS", "ACK"), Err(Reason::NotServed)),
        (line("OPTIONS", "CANCEL"), Err(Reason::NotServed)),
        (line("OPTIONS ", "ACK  "), Err(Reason::NotServed)),
        (
            line("OPTIONS sip:echo@example.net SIP/2.0", "SIP/2.0 200 OK"),
            Err(Reason::Loop),
        ),
        (
            line("OPTIONS sip:echo@example.net SIP/2.0", "SIP/2.0 100"),
            Err(Reason::Loop),
        ),
        (
            line("OPTIONS sip:echo@example.net SIP/2.0", "SIP/7.0 200 OK"),
            Err(Reason::Loop),
        ),
        (line("SIP/2.0", "HTTP/1.1"), Err(Reason::Malformed)),
        ("\n\n".to_owned(), Err(Reason::Incomplete)),
        ("\0".to_owned(), Err(Reason::Incomplete)),
        (options("").trim_end().to_owned(), Err(Reason::Incomplete)),
    ];
    for (request, expected) in table {
        assert_eq!(code(&request), expected, "{request}");
    }
}

#[test]
fn a_refusal_says_what_would_be_right() {
    let invite = options("").replace("OPTIONS", "INVITE");
    let reply = answer(&invite, Trust::Validated).expect("an answer");
    assert!(reply.starts_with("SIP/2.0 405 Method Not Allowed\n"));
    assert!(
        reply.ends_with("CSeq: 7 INVITE\nAllow: OPTIONS\nContent-Length: 0\n\n"),
        "{reply}"
    );

    let required = options("Require: 100rel , path\nSubject: x\nREQUIRE: gruu\n");
    let reply = answer(&required, Trust::Validated).expect("an answer");
    assert!(reply.starts_with("SIP/2.0 420 Bad Extension\n"));
    assert!(reply.contains("\nUnsupported: 100rel, path, gruu\n"), "{reply}");

    let doubled = options("From: <sip:you@example.org>\ni: 2\nCSeq: 8 OPTIONS\n");
    let reply = answer(&doubled, Trust::Validated).expect("an answer");
    assert!(reply.starts_with("SIP/2.0 400 Bad Request\n"));
    assert_eq!(
        reply.matches("CSeq").count() + reply.matches("From").count(),
        2,
        "the first of each"
    );
}

#[test]
fn a_field_that_comes_twice_with_one_text_is_two_fields() {
    let via = "Via: SIP/2.0/UDP 192.0.2.33:40000;rport;branch=z9hG4bK1\n";
    let reply = answer(&options(via), Trust::Validated).expect("an answer");
    assert!(
        reply.contains("received=192.0.2.33\n") && reply.contains(via),
        "{reply}"
    );
    assert_eq!(
        reply.matches("received").count(),
        1,
        "only the first is ours to change"
    );

    let doubled = options("From: <sip:me@example.org>;tag=4711\nTo: <sip:echo@example.net>\n");
    let reply = answer(&doubled, Trust::Validated).expect("an answer");
    assert!(reply.starts_with("SIP/2.0 400 Bad Request\n"));
    assert_eq!(reply.matches("\nFrom: ").count(), 1);
    assert_eq!(reply.matches("\nTo: ").count(), 1);
}

#[test]
fn a_stranger_is_refused_only_where_that_is_hardly_longer() {
    for (request, is_told) in [
        (shortest(), false),
        (options("Contact: <sip:me@192.0.2.33:40000>\n"), true),
    ] {
        let request = wire(&request.replace("OPTIONS", "INVITE"));
        let refused = |trust| answer_to(&request, LONGEST_HOME, trust);
        assert!(refused(Trust::Validated).is_ok());
        match refused(Trust::Stranger) {
            Ok(reply) => assert!(is_told && reply.len() <= request.len() + STRANGER),
            Err(why) => assert_eq!((why, is_told), (Reason::NotServed, false)),
        }
    }
}

#[test]
fn no_answer_is_answered() {
    for request in [
        options(""),
        options("Require: x\n"),
        options("").replace("OPTIONS", "INVITE"),
    ] {
        let reply = answer_to(&wire(&request), HOME, Trust::Validated).expect("an answer");
        assert_eq!(answer_to(&reply, HOME, Trust::Validated), Err(Reason::Loop));
    }
}

#[test]
fn an_answer_s_first_via_is_the_request_s() {
    let reply = answer_to(&wire(&options("")), HOME, Trust::Stranger).expect("an answer");
    let reply = Message::parse(&reply).expect("a message");
    let first = reply
        .fields
        .clone()
        .find(|field| field.name == Name::Via)
        .expect("one");
    let via = Via::parse(first.value).expect("a via");
    assert_eq!(via.branch, Some(&b"z9hG4bK1"[..]));
    assert_eq!(via.rport, Some(Some(40_000)));
    assert_eq!(via.received, Some(&b"192.0.2.33"[..]));
}
