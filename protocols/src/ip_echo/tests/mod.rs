//! The table of datagrams, and what holds for all of them.

mod options;
mod prober;
mod properties;
mod vectors;

use super::{IcmpPolicy, IpEcho, IpEchoOptions};

pub(super) const SOURCE: &str = "198.51.100.9";

/// The echo host of the table.
pub(super) fn host(icmp: IcmpPolicy) -> IpEcho {
    let addresses = ["192.0.2.7", "192.0.2.8", "2001:db8::7"];
    IpEcho::new(&IpEchoOptions {
        addresses: addresses.map(|text| text.parse().expect("an address")).to_vec(),
        icmp,
        on_link: false,
    })
}

/// A row of `vectors.txt`.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) icmp: IcmpPolicy,
    pub(super) request: Vec<u8>,
    /// The answer, or the name of the reason for silence.
    pub(super) expected: Result<Vec<u8>, String>,
}

/// All rows.
pub(super) fn rows() -> Vec<Row> {
    let text = include_str!("../vectors.txt");
    let mut lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '[']));
    let mut rows = vec![];
    while let Some(name) = lines.next() {
        let request = lines.next().expect("what arrives").trim();
        let answer = lines.next().and_then(|line| line.trim().strip_prefix("-> "));
        let answer = answer.expect("what becomes of it");
        rows.push(Row {
            name: name.to_owned(),
            icmp: if name.starts_with("safe:") {
                IcmpPolicy::Safe
            } else {
                IcmpPolicy::Discard
            },
            request: hex(request).expect("hexadecimal digits"),
            expected: hex(answer).ok_or_else(|| answer.to_owned()),
        });
    }
    rows
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let octet = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(octet).collect()
}
