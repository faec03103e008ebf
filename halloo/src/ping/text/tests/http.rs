//! Where a request of HTTP spent its time.

use super::*;

fn about() -> About {
    About {
        target: crate::target::Target::parse("https://echo.example.net/get").expect("a target"),
        remote: "192.0.2.7:443".parse().expect("an address"),
        ..sample::about()
    }
}

fn told(exchange: Exchange) -> String {
    printed(TextStyle::default(), &about(), &[Event::Exchange(exchange)])
}

#[test]
fn the_first_on_a_connection_tells_what_that_took() {
    let first = Exchange {
        marks: None,
        ..sample::exchange()
    };
    assert_eq!(
        told(first),
        "64 bytes from 192.0.2.7:443: seq=3 time=0.412 ms wire=3.12 us connect=0.350 ms tls=4.120 ms \
         first=0.002 ms total=4.882 ms\n"
    );
    let no = Refusal {
        code: 404,
        name: "Not Found",
    };
    let refused = Exchange {
        refusal: Some(no),
        ..first
    };
    assert_eq!(
        told(refused),
        "seq=3 answer says no: 404 Not Found, time=0.412 ms connect=0.350 ms tls=4.120 ms first=0.002 ms \
         total=4.882 ms\n"
    );
    let next = Exchange {
        opening: None,
        total: first.host,
        ..first
    };
    assert_eq!(
        told(next),
        "64 bytes from 192.0.2.7:443: seq=3 time=0.412 ms wire=3.12 us first=0.002 ms\n"
    );
}

#[test]
fn the_summary_has_every_part_in_a_row_or_on_the_line_of_the_connection() {
    let lines = summary::block(&about(), &sample::summary());
    let lines: Vec<_> = lines
        .iter()
        .map(|line| anstream::adapter::strip_str(line).to_string())
        .collect();
    let begins = |start: &str| lines.iter().any(|line| line.starts_with(start));
    assert!(begins("first       70.0 us"), "{lines:#?}");
    assert!(begins("total       80.0 us"), "{lines:#?}");
    assert!(
        begins(
            "connect   lookup 1.500 ms, 9 connects, min/avg/max 0.050/0.100/0.250 ms, TLS 0.060/0.120/0.300 ms"
        ),
        "{lines:#?}"
    );
    let mut alone = sample::summary();
    let rows = [&mut alone.host, &mut alone.first_byte, &mut alone.total];
    rows.into_iter().flatten().for_each(|row| row.count = 1);
    let lines = summary::block(&about(), &alone);
    assert!(
        lines
            .iter()
            .any(|line| line.contains("first") && line.ends_with("350 us")),
        "{lines:#?}"
    );
}
