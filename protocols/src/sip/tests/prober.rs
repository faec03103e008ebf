//! The prober: what it asks, and which answers it takes.

use super::*;
use crate::ProberOptions;
use halloo_base::{Heard, Nanos, ProbeId, Prober, Reflection, Refusal, Seen, StreamProber};

const TOKEN: u64 = 0x0123_4567_89ab_cdef;

fn of(authority: &str, size: usize) -> ProberOptions {
    ProberOptions {
        token: TOKEN,
        size,
        authority: authority.to_owned(),
        ..ProberOptions::default()
    }
}

pub(super) fn prober() -> SipProber {
    SipProber::new(&of("echo.example.net", 512))
}

/// The request `id`, made when the wall clock is 250 ms into its story.
pub(super) fn ask(prober: &mut SipProber, id: u64, size: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0xee; size];
    let len = with_env(250_000_000, |env| prober.request(env, ProbeId(id), &mut bytes))?;
    assert_eq!(len, size, "requests have the size of the session");
    Some(bytes)
}

fn hear(prober: &mut SipProber, answer: &[u8]) -> Result<Heard, Reason> {
    prober.recognise(&datagram(HOME, 1_000, answer))
}

#[test]
fn a_request_is_complete_and_differs_from_the_next_in_its_numbers_alone() {
    let mut prober = SipProber::new(&of("echo.example.net:5070", bare_len(21)));
    let asked = ask(&mut prober, 0xbeef, bare_len(21)).expect("possible");
    let expected = "OPTIONS sip:echo.example.net:5070 SIP/2.0\n\
        Via: SIP/2.0/UDP halloo.invalid;rport;branch=z9hG4bK0123456789abcdef000000000000beef\n\
        Max-Forwards: 70\n\
        From: <sip:halloo@halloo.invalid>;tag=0123456789abcdef\n\
        To: <sip:echo.example.net:5070>\n\
        Call-ID: 0123456789abcdef000000000000beef@halloo.invalid\n\
        CSeq: 1 OPTIONS\n\
        Timestamp: 1700000000.250000000\n\
        Accept: application/sdp\n\
        User-Agent: halloo\n\
        Content-Length: 0\n\n";
    assert_eq!(text(&asked), expected);
    let next = ask(&mut prober, u64::MAX, bare_len(21)).expect("possible");
    let expected = expected.replace("000000000000beef", "ffffffffffffffff");
    assert_eq!(text(&next), expected);
    assert_eq!(code(&text(&asked)), Ok(200));
}

#[test]
fn a_request_names_what_carries_it_and_under_tls_its_uri_as_it_was_written() {
    type Make = fn(&ProberOptions) -> SipStreamProber;
    let ways: [(Make, &str, &str, usize); 3] = [
        (SipStreamProber::new, "sip:", "TCP", 0),
        (SipStreamProber::secured, "sip:", "TLS", 0),
        (SipStreamProber::sips, "sips:", "TLS", 1),
    ];
    for (make, scheme, transport, more) in ways {
        for size in [0, 512] {
            let mut asked = vec![];
            let mut prober = make(&of("echo.example.net", size));
            with_env(1, |env| prober.request(env, ProbeId(1), &mut asked));
            assert_eq!(asked.len(), size.max(bare_len(16 + more)));
            let text = text(&asked);
            assert!(
                text.starts_with(&format!("OPTIONS {scheme}echo.example.net SIP/2.0\n")),
                "{text}"
            );
            assert!(
                text.contains(&format!("\nVia: SIP/2.0/{transport} halloo.invalid;rport;")),
                "{text}"
            );
            assert!(
                text.contains(&format!("\nTo: <{scheme}echo.example.net>\n")),
                "{text}"
            );
            assert_eq!(code(&text), Ok(200));
        }
    }
}

#[test]
fn a_request_has_any_size_from_the_bare_one_up() {
    for authority in [
        "h",
        "192.0.2.1",
        "[2001:db8::1]:65535",
        "a.much.longer.name.example.net",
    ] {
        let bare = bare_len(authority.len());
        for size in [bare, bare + 1, bare + 2, 512, 1_200, LONGEST] {
            let mut prober = SipProber::new(&of(authority, size));
            let asked = ask(&mut prober, 1, size).expect("possible");
            assert_eq!(code(&text(&asked)), Ok(200), "{}", text(&asked));
            let mut longer = vec![0; size + 1];
            let made = with_env(1, |env| prober.request(env, ProbeId(1), &mut longer));
            assert_eq!(made, None, "one size per session");
        }
        for size in [0, bare - 1] {
            assert_eq!(ask(&mut SipProber::new(&of(authority, size)), 1, size), None);
        }
    }
    assert_eq!(SIP.size.least, bare_len("h".len()));
}

#[test]
fn no_authority_breaks_a_request() {
    for authority in ["", "a b", "a\r\nX: y", "a>;b", "a@b", "h\u{f6}st", "a;b"] {
        let mut prober = SipProber::new(&of(authority, 512));
        let asked = text(&ask(&mut prober, 1, 512).expect("possible"));
        assert!(
            asked.starts_with("OPTIONS sip:halloo.invalid SIP/2.0\n"),
            "{asked}"
        );
        assert_eq!(code(&asked), Ok(200), "{authority}");
    }
}

#[test]
fn our_own_server_tells_its_time_and_whom_it_saw_even_strangers() {
    for (remote, addr) in [
        (HOME, HOME),
        ("[::ffff:192.0.2.33]:7", "192.0.2.33:7"),
        (LONGEST_HOME, LONGEST_HOME),
    ] {
        let mut prober = prober();
        let asked = ask(&mut prober, 5, 512).expect("possible");
        let answer = answer_to(&asked, remote, Trust::Stranger).expect("an answer");
        assert!(answer.len() <= asked.len());
        let expected = Reflection {
            residence: Some(Nanos(12_000)),
            seen: Some(Seen {
                addr: addr.parse().expect("an address"),
                ttl: None,
                tos: None,
            }),
            ..Reflection::default()
        };
        let expected = Heard {
            reflection: Some(expected),
            ..Heard::plain(5, 64)
        };
        assert_eq!(hear(&mut prober, &answer), Ok(expected));
        assert_eq!(
            server().reply_limit(&datagram(remote, 1, &asked)),
            Some(halloo_base::ReplyLimit::SameAsRequest),
            "the usual size is long enough for everything"
        );
    }
}

/// What comes back to the request 5, made of these header fields.
fn response(first: &str, via: &str, more: &str) -> Vec<u8> {
    wire(&format!(
        "{first}\nVia: {via}\nFrom: <sip:x>\nTo: <sip:y>;tag=1\nCall-ID: z\nCSeq: 1 OPTIONS\n{more}\n"
    ))
}

const OURS: &str = "SIP/2.0/UDP halloo.invalid;branch=z9hG4bK0123456789abcdef0000000000000005";

#[test]
fn an_answer_is_known_by_its_branch() {
    let refused = |code, name| {
        Ok(Heard {
            refusal: Some(Refusal { code, name }),
            ..Heard::plain(5, 64)
        })
    };
    let other = |from: &str, to: &str| OURS.replace(from, to);
    let plain_of = |id| Ok(Heard::plain(id, 64));
    let plain = || plain_of(5);
    let ours = |first: &str| response(first, OURS, "");
    let by = |via: &str| response("SIP/2.0 200 OK", via, "");
    let with = |more: &str| response("SIP/2.0 200 OK", OURS, more);
    let table = [
        (ours("SIP/2.0 200 OK"), plain()),
        (ours("SIP/2.0 299 "), plain()),
        (ours("SIP/2.0 404 Nobody is here"), refused(404, "Not Found")),
        (ours("SIP/2.0 302"), refused(302, "Moved Temporarily")),
        (ours("SIP/2.0 403 Forbidden"), refused(403, "Forbidden")),
        (ours("SIP/2.0 503 Busy"), refused(503, "Service Unavailable")),
        (ours("SIP/2.0 699 ?"), refused(699, "Global Failure")),
        (ours("SIP/2.0 100 Trying"), Err(Reason::Incomplete)),
        (ours("SIP/2.0 183 Session Progress"), Err(Reason::Incomplete)),
        (ours("OPTIONS sip:x SIP/2.0"), Err(Reason::Foreign)),
        (ours("HTTP/1.1 200 OK"), Err(Reason::Malformed)),
        (by(&other("z9hG4bK", "z9hG4bk")), Err(Reason::Foreign)),
        (by(&other("cdef", "cdee")), Err(Reason::Foreign)),
        (by(&other("05", "06")), Err(Reason::Foreign)),
        (by(&other("0005", "000005")), Err(Reason::Foreign)),
        (
            by(&other("0000000000000005", "+000000000000005")),
            Err(Reason::Foreign),
        ),
        (by("SIP/2.0/UDP halloo.invalid"), Err(Reason::Foreign)),
        (by("SIP/2.0/UDP"), Err(Reason::Malformed)),
        (by(&format!("{OURS}, SIP/2.0/UDP other")), Err(Reason::Foreign)),
        (with("v: SIP/2.0/UDP other\n"), Err(Reason::Foreign)),
        (with("Content-Length: 4\n"), Err(Reason::Malformed)),
        (with("Content-Length: x\n"), Err(Reason::Malformed)),
        ([with("Content-Length: 4\n"), b"body".to_vec()].concat(), plain()),
        ([with(""), b"body".to_vec()].concat(), plain()),
        (b"\r\n".to_vec(), Err(Reason::Incomplete)),
        (b"".to_vec(), Err(Reason::Incomplete)),
    ];
    for (bytes, expected) in table {
        let mut prober = prober();
        ask(&mut prober, 5, 512).expect("possible");
        assert_eq!(hear(&mut prober, &bytes), expected, "{}", text(&bytes));
    }
    for (number, expected) in [("00a", plain_of(10)), ("00A", Err(Reason::Foreign))] {
        let mut prober = prober();
        ask(&mut prober, 10, 512).expect("possible");
        let bytes = by(&other("005", number));
        assert_eq!(hear(&mut prober, &bytes), expected, "{number}");
    }
    let invited = text(&ours("SIP/2.0 200 OK")).replace("1 OPTIONS", "1 INVITE");
    let mut prober = prober();
    assert_eq!(
        hear(&mut prober, &ours("SIP/2.0 200 OK")),
        Err(Reason::Foreign),
        "nothing was asked"
    );
    ask(&mut prober, 5, 512).expect("possible");
    assert_eq!(hear(&mut prober, &wire(&invited)), Err(Reason::Foreign));
    let nameless = text(&ours("SIP/2.0 200 OK")).replace("CSeq", "X");
    assert_eq!(hear(&mut prober, &wire(&nameless)), Err(Reason::Malformed));
}

#[test]
fn what_is_told_is_told_and_what_is_not_is_not_made_up() {
    let told = |params: &str, stamp: &str| {
        let mut prober = prober();
        ask(&mut prober, 5, 512).expect("possible");
        let stamp = if stamp.is_empty() {
            String::new()
        } else {
            format!("Timestamp: {stamp}\n")
        };
        let bytes = response("SIP/2.0 200 OK", &format!("{OURS}{params}"), &stamp);
        let heard = hear(&mut prober, &bytes).expect("an answer");
        heard
            .reflection
            .map(|told| (told.residence, told.seen.map(|seen| seen.addr.to_string())))
    };
    let at = |addr: &str| Some(addr.to_owned());
    let table = [
        ("", "", None),
        (";rport=7", "", None),
        (";received=192.0.2.1", "", None),
        (";received=192.0.2.1;rport", "", None),
        (";received=me;rport=7", "", None),
        (";received=192.0.2.1;rport=7", "", Some((None, at("192.0.2.1:7")))),
        (
            ";received=::ffff:192.0.2.1;rport=7",
            "",
            Some((None, at("192.0.2.1:7"))),
        ),
        (
            ";rport=7;received=[2001:db8::1]",
            "",
            Some((None, at("[2001:db8::1]:7"))),
        ),
        ("", "1700000000.250000000", None),
        ("", "1700000000.25 0.5", Some((Some(Nanos(500_000_000)), None))),
        ("", "1700000000.25 -0.5", None),
    ];
    for (params, stamp, expected) in table {
        assert_eq!(told(params, stamp), expected, "{params} {stamp}");
    }
}

#[test]
fn a_quoted_request_is_known_by_its_beginning() {
    let mut prober = prober();
    let asked = ask(&mut prober, 5, 512).expect("possible");
    let shown = text(&asked);
    let end = shown.find("\nMax-Forwards").expect("the line behind") + 1;
    assert_eq!(prober.quoted(&asked[..end]), Some(Heard::plain(5, 64)));
    assert_eq!(prober.quoted(&asked), Some(Heard::plain(5, 64)));
    assert_eq!(prober.quoted(&asked[..end - 1]), None);
    assert_eq!(prober.quoted(&[]), None);
    for at in [0, 14, end - 40] {
        let mut other = asked.clone();
        other[at] ^= 1;
        assert_eq!(prober.quoted(&other), None, "octet {at}");
    }
    let later = text(&asked).replace("0005", "0006");
    assert_eq!(prober.quoted(&wire(&later)), None, "never asked");
}
