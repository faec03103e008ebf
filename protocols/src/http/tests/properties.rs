//! What holds for any answers, however they are cut, and for any bytes.

use super::{Told, asked, expecting, good, refused, tell};
use crate::http::{Expect, HttpProberOptions};
use halloo_base::StreamProber;
use proptest::collection::vec;
use proptest::prelude::*;

/// How an answer is written.
#[derive(Clone, Debug)]
enum Written {
    Length,
    /// In chunks of so many bytes.
    Chunks(usize),
}

#[derive(Clone, Debug)]
struct Answer {
    status: u16,
    body: Vec<u8>,
    written: Written,
    interim: bool,
    fields: Vec<(String, String)>,
}

fn answer() -> impl Strategy<Value = Answer> {
    let written = prop_oneof![Just(Written::Length), (1..9_usize).prop_map(Written::Chunks)];
    let fields = vec(("X-[A-Za-z0-9-]{0,8}", "[ -~]{0,20}"), 0..4);
    let status = prop_oneof![Just(200), Just(404), Just(500)];
    (status, vec(any::<u8>(), 0..40), written, any::<bool>(), fields).prop_map(
        |(status, body, written, interim, fields)| Answer {
            status,
            body,
            written,
            interim,
            fields,
        },
    )
}

/// The answer in its bytes; made from the grammar of RFC 9112, not by what reads it.
fn emit(answer: &Answer) -> Vec<u8> {
    let interim = if answer.interim {
        "HTTP/1.1 102 Processing\r\n\r\n"
    } else {
        ""
    };
    let mut head = format!("{interim}HTTP/1.1 {} Any Words\r\n", answer.status);
    for (name, value) in &answer.fields {
        head += &format!("{name}: {value}\r\n");
    }
    match answer.written {
        Written::Length => {
            head += &format!("Content-Length: {}\r\n\r\n", answer.body.len());
            [head.as_bytes(), &answer.body].concat()
        }
        Written::Chunks(size) => {
            let mut bytes = (head + "Transfer-Encoding: chunked\r\n\r\n").into_bytes();
            for chunk in answer.body.chunks(size) {
                bytes.extend(format!("{:X}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
            bytes
        }
    }
}

fn contains(body: &[u8], part: &str) -> bool {
    part.is_empty() || body.windows(part.len()).any(|window| window == part.as_bytes())
}

proptest! {
    #[test]
    fn what_was_written_is_read_whatever_it_is_and_however_it_is_cut(
        answers in vec(answer(), 0..6), part in "[ab]{0,3}", piece in 1..60_usize
    ) {
        let options = expecting(Expect { body_contains: Some(part.clone()), ..Expect::default() });
        let stream: Vec<u8> = answers.iter().flat_map(emit).collect();
        let mut prober = asked(&options, answers.len() as u64);
        let expected: Vec<_> = answers
            .iter()
            .map(|answer| match answer.status {
                404 => refused(404, "Not Found"),
                500 => refused(500, "Internal Server Error"),
                _ if contains(&answer.body, &part) => good(),
                _ => refused(200, "UnexpectedBody"),
            })
            .map(Told::Heard)
            .collect();
        prop_assert_eq!(tell(&mut prober, &stream, piece), expected);
    }

    #[test]
    fn a_part_is_found_where_it_is_and_nowhere_else(body in "[ab]{0,40}", part in "[ab]{0,6}", piece in 1..60_usize) {
        let options = expecting(Expect { body_contains: Some(part.clone()), ..Expect::default() });
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let expected = if body.contains(&part) { good() } else { refused(200, "UnexpectedBody") };
        let mut prober = asked(&options, 1);
        prop_assert_eq!(tell(&mut prober, answer.as_bytes(), piece), [Told::Heard(expected)]);
    }

    #[test]
    fn any_bytes_are_read_the_same_however_they_are_cut(
        begin in prop_oneof![Just(""), Just("HTTP/1.1 200 OK\r\n"), Just("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")],
        bytes in vec(prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n:; 0159afHTP/."[..])], 0..80),
        piece in 1..20_usize
    ) {
        let options = HttpProberOptions { body_limit: 50, ..super::options() };
        let stream = [begin.as_bytes(), &bytes].concat();
        let read = |piece| {
            let mut prober = asked(&options, 3);
            let told = tell(&mut prober, &stream, piece);
            (told, prober.is_done(), prober.finish())
        };
        prop_assert_eq!(read(piece), read(stream.len().max(1)));
    }
}
