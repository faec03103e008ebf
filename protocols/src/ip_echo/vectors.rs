//! The table of what an IP echo host makes of datagrams, for whoever wants to hold an echo host to it.

use super::IcmpPolicy;

/// The table: `vectors.txt` beside this file, whose head says how to read it.
const TABLE: &str = include_str!("vectors.txt");

/// The echo addresses of the table.
pub const ADDRESSES: [&str; 3] = ["192.0.2.7", "192.0.2.8", "2001:db8::7"];

/// One datagram, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What is special about it.
    pub name: &'static str,
    /// The policy that it is for.
    pub icmp: IcmpPolicy,
    /// What arrives: a whole IP datagram, and what the link put behind it.
    pub request: Vec<u8>,
    /// What is sent back, or the name of the reason for silence.
    pub outcome: Result<Vec<u8>, &'static str>,
}

/// All rows.
///
/// # Panics
/// If the table is not as its head says.
pub fn rows() -> Vec<Row> {
    let mut lines = TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '[']));
    let mut rows = vec![];
    while let Some(name) = lines.next() {
        let request = lines.next().map(str::trim).and_then(hex);
        let outcome = lines.next().and_then(|line| line.trim().strip_prefix("-> "));
        let (Some(request), Some(outcome)) = (request, outcome) else {
            panic!("the row {name:?} is not whole");
        };
        rows.push(Row {
            name,
            icmp: match name.strip_prefix("safe: ") {
                Some(_) => IcmpPolicy::Safe,
                None => IcmpPolicy::Discard,
            },
            request,
            outcome: hex(outcome).ok_or(outcome),
        });
    }
    rows
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let octet = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(octet).collect()
}
