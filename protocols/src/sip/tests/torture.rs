//! What RFC 4475 asks of a parser, in messages of our own: which of them must be answered, and how.

use super::*;

/// A message, and what is answered to it.
struct Case {
    /// The section of RFC 4475 that has one like it.
    section: &'static str,
    request: String,
    expected: Result<u16, Reason>,
}

fn case(section: &'static str, expected: Result<u16, Reason>, request: &str) -> Case {
    Case {
        section,
        request: request.to_owned(),
        expected,
    }
}

/// The rest of a message whose first line and some header fields matter.
fn with(first: &str, method: &str, more: &str) -> String {
    format!(
        "{first}\nVia: SIP/2.0/UDP host.example.com;branch=z9hG4bKkdju43\nMax-Forwards: 70\nFrom: <sip:a@example.com>;tag=1\n\
         To: <sip:b@example.com>\nCall-ID: x.1@example.com\nCSeq: 8 {method}\n{more}\n"
    )
}

fn ask(more: &str) -> String {
    with("OPTIONS sip:b@example.com SIP/2.0", "OPTIONS", more)
}

fn instead(from: &str, to: &str) -> String {
    ask("").replacen(from, to, 1)
}

fn valid() -> Vec<Case> {
    vec![
        case(
            "3.1.1.1 folded lines, white space, compact names",
            Ok(405),
            "INVITE sip:vivian@chair.example.com;unknownparam SIP/2.0\nTO :\n sip:vivian@chair.example.com ;   tag    = 19\nfrom   : \"J Ros \\\\\\\"\"       <sip:jd@example.com>\n  ;\n  tag = 98\nMaX-fOrWaRdS: 0068\nCall-ID: fold.ndak@192.0.2.1\nContent-Length   : 0\ncseq: 0009\n  INVITE\nVia  : SIP  /   2.0\n /UDP\n    192.0.2.2;branch=390sk\ns :\nNewFangled:   newfangled value\n continued newfangled value\nUnknown: ;;,,;;,;\nContent-Type: application/sdp\nRoute:\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\nv:  SIP  / 2.0  / TCP     spindle.example.com   ;\n  branch  =   z9hG4bK9ikj8  ,\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\n z9hG4bK30239\nm:\"Quoted string \\\"\\\"\" <sip:jd@example.com> ; newparam =\n      newvalue ;\n  secondparam ; q = 0.33\n\n",
        ),
        case(
            "3.1.1.2 every character that a method, a URI or a name may have",
            Ok(405),
            "!odd-Method0123456789_*+`.%indeed'~ sip:1_un.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0\nVia: SIP/2.0/UDP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\nTo: \"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <sip:1_un.URI~(to-be!sure)@example.com>\nFrom: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"\u{43f}\u{440}\u{438}\";tag=_token~1'+`*%!-.\nCall-ID: odd.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\nCSeq: 139122385 !odd-Method0123456789_*+`.%indeed'~\nMax-Forwards: 255\nextensionHeader-!.%*+_`'~:\u{fe}\u{bd}\u{9d}\nContent-Length: 0\n\n",
        ),
        case(
            "3.1.1.5 a method is not unescaped",
            Ok(405),
            &with("RE%47IST%45R sip:b@example.com SIP/2.0", "RE%47IST%45R", ""),
        ),
        case(
            "3.1.1.6 no space between name and address",
            Ok(200),
            &instead(
                "From: <sip:a@example.com>",
                "From: caller<sip:caller@example.com>",
            ),
        ),
        case(
            "3.1.1.7 long values",
            Ok(200),
            &ask(&format!(
                "Unknown-{}: {}\n",
                "Long".repeat(40),
                "value ".repeat(200)
            )),
        ),
        case(
            "3.1.1.8 octets behind the end of the body",
            Ok(405),
            &(with(
                "REGISTER sip:example.com SIP/2.0",
                "REGISTER",
                "Content-Length: 0\n",
            ) + &ask("")),
        ),
        case(
            "3.1.1.9 semicolons in the user part",
            Ok(200),
            &instead("OPTIONS sip:b@", "OPTIONS sip:user;par=u%40example.net@"),
        ),
        case(
            "3.1.1.10 transports that nobody knows",
            Ok(200),
            &instead(
                "Via: SIP/2.0/UDP host.example.com;branch=z9hG4bKkdju43",
                "Via: SIP/2.0/UNKNOWN t5.example.com;branch=z9hG4bK5\nVia: SIP/2.0/SCTP t2.example.com;branch=z9hG4bK2\nVia: SIP/2.0/TLS t3.example.com;branch=z9hG4bK3",
            ),
        ),
        case(
            "3.1.1.12 an unusual reason phrase",
            Err(Reason::Loop),
            &with("SIP/2.0 200 = 2**3 * 5**2 \u{43d}\u{43e}", "OPTIONS", ""),
        ),
        case(
            "3.1.1.13 an empty reason phrase",
            Err(Reason::Loop),
            &with("SIP/2.0 100 ", "OPTIONS", ""),
        ),
    ]
}

fn invalid() -> Vec<Case> {
    vec![
        case(
            "3.1.2.1 separators without values",
            Err(Reason::Malformed),
            &instead("host.example.com;branch=z9hG4bKkdju43", "192.0.2.15;;,;,,"),
        ),
        case(
            "3.1.2.2 more body than there is",
            Ok(400),
            &ask("Content-Length: 9999\n"),
        ),
        case(
            "3.1.2.3 a negative length",
            Ok(400),
            &ask("Content-Length: -999\n"),
        ),
        case(
            "3.1.2.4 too large a number",
            Ok(400),
            &instead("CSeq: 8", "CSeq: 36893488147419103232"),
        ),
        case(
            "3.1.2.4 too many hops",
            Ok(400),
            &instead("Max-Forwards: 70", "Max-Forwards: 300"),
        ),
        case(
            "3.1.2.6 a quote without end",
            Ok(400),
            &instead("To: <", "To: \"Mr. J. User <"),
        ),
        case(
            "3.1.2.7 a URI in brackets",
            Ok(400),
            &instead("sip:b@example.com SIP", "<sip:b@example.com> SIP"),
        ),
        case(
            "3.1.2.8 white space in the URI",
            Ok(400),
            &instead("b@example.com SIP", "b@example.com; lr SIP"),
        ),
        case(
            "3.1.2.9 two spaces in the first line",
            Ok(400),
            &instead("OPTIONS sip", "OPTIONS  sip"),
        ),
        case(
            "3.1.2.10 white space at the end of the first line",
            Ok(400),
            &instead("SIP/2.0\n", "SIP/2.0  \n"),
        ),
        case(
            "3.1.2.11 escaped header fields in the URI, of a method that we refuse anyway",
            Ok(405),
            &with(
                "INVITE sip:b@example.com?Route=%3Csip:example.com%3E SIP/2.0",
                "INVITE",
                "",
            ),
        ),
        case(
            "3.1.2.12 a date of a zone that there is not, which nobody reads",
            Ok(200),
            &ask("Date: Fri, 01 Jan 2010 16:00:00 EST\n"),
        ),
        case(
            "3.1.2.14 spaces in an address",
            Ok(400),
            &instead("To: <sip:b@example.com>", "To: \"W, T\" < sip:b@example.com >"),
        ),
        case(
            "3.1.2.15 a comma in a name without quotes",
            Ok(400),
            &instead("From: <", "From: Bell, Alexander <"),
        ),
        case(
            "3.1.2.16 a version that is not ours",
            Ok(505),
            &ask("").replace("SIP/2.0", "SIP/7.0"),
        ),
        case("3.1.2.17 two methods", Ok(400), &instead("8 OPTIONS", "8 INVITE")),
        case(
            "3.1.2.18 two methods, one unknown",
            Ok(400),
            &with("NEWMETHOD sip:b@example.com SIP/2.0", "INVITE", ""),
        ),
        case(
            "3.1.2.19 too large a response",
            Err(Reason::Malformed),
            &with("SIP/2.0 4294967301 better not break", "OPTIONS", ""),
        ),
    ]
}

fn application() -> Vec<Case> {
    vec![
        case(
            "3.3.1 what must be there is not",
            Err(Reason::Malformed),
            "INVITE sip:b@example.com SIP/2.0\nCSeq: 193942 INVITE\nVia: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj\n\n",
        ),
        case(
            "3.3.2 a scheme that nobody knows",
            Ok(416),
            &instead("sip:b@example.com SIP", "nobodyKnows:opaque SIP"),
        ),
        case(
            "3.3.3 a scheme for something else",
            Ok(416),
            &instead("sip:b@example.com SIP", "soap.beep://192.0.2.103:3002 SIP"),
        ),
        case(
            "3.3.5 schemes that nobody knows elsewhere",
            Ok(200),
            &instead("To: <sip:b@example.com>", "To: isbn:2983792873"),
        ),
        case(
            "3.3.6 extensions that nobody knows",
            Ok(420),
            &ask("Require: nobodyHasThis, nobodyHasThisEither\nProxy-Require: noProxyHasThis\n"),
        ),
        case(
            "3.3.8 single values twice",
            Ok(400),
            &ask(
                "CSeq: 9 OPTIONS\nCall-ID: y\nMax-Forwards: 5\nTo: <sip:c@example.com>\nFrom: <sip:d@example.com>\n",
            ),
        ),
        case(
            "3.3.9 two lengths",
            Ok(400),
            &(ask("Content-Length: 2\nContent-Length: 3\n") + "body"),
        ),
        case(
            "3.3.10 a response by way of a broadcast",
            Err(Reason::Loop),
            &with("SIP/2.0 200 OK", "OPTIONS", "").replace("host.example.com", "255.255.255.255"),
        ),
        case(
            "3.3.11 no more hops",
            Ok(200),
            &instead("Max-Forwards: 70", "Max-Forwards: 0"),
        ),
        case(
            "3.3.15 content that we cannot read and need not",
            Ok(200),
            &(ask("Content-Type: text/x\nl: 4\n") + "body"),
        ),
        case(
            "3.4.1 as RFC 2543 had it: no tag, no branch, no hops",
            Ok(200),
            "OPTIONS sip:b@example.com SIP/2.0\nVia: SIP/2.0/UDP iftgw.example.com\nFrom: <sip:+1-303@iftgw.example.com;user=phone>\nTo: sip:+1-650@example.com;user=phone\nCall-ID: 1717@iftgw.example.com\nCSeq: 56 OPTIONS\n\n",
        ),
    ]
}

#[test]
fn each_message_is_answered_as_it_should_be() {
    for Case {
        section,
        request,
        expected,
    } in [valid(), invalid(), application()].into_iter().flatten()
    {
        assert_eq!(code(&request), expected, "{section}:\n{request}");
    }
}

#[test]
fn each_answer_is_as_sound_as_its_request_and_finds_its_way() {
    for Case {
        section,
        request,
        expected,
    } in [valid(), invalid(), application()].into_iter().flatten()
    {
        let request = wire(&request);
        let asked = Message::parse(&request);
        let Ok(reply) = answer_to(&request, HOME, Trust::Validated) else {
            assert!(expected.is_err(), "{section}");
            continue;
        };
        let (asked, told) = (
            asked.expect("answered"),
            Message::parse(&reply).expect("a message"),
        );
        let count = |message: &Message<'_>, name| message.fields.filter(|field| field.name == name).count();
        assert_eq!(count(&told, Name::Via), count(&asked, Name::Via), "{section}");
        for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
            assert_eq!(count(&told, name), 1, "{section}");
        }
        assert_eq!(count(&told, Name::Malformed), 0, "{section}");
        assert_eq!(told.body, b"", "{section}");
    }
}

#[test]
fn a_message_behind_another_s_end_is_not_a_second_one() {
    let double = wire(&(ask("l: 0\n") + &ask("")));
    let reply = answer_to(&double, HOME, Trust::Validated).expect("an answer");
    assert_eq!(text(&reply).matches("SIP/2.0 200 OK").count(), 1);
}
