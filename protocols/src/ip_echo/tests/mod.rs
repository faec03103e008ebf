//! The table of datagrams, and what holds for all of them.

mod options;
mod prober;
mod properties;
mod vectors;

use super::vectors::ADDRESSES;
use super::{IcmpPolicy, IpEcho, IpEchoOptions};

pub(super) const SOURCE: &str = "198.51.100.9";

/// The echo host of the table.
pub(super) fn host(icmp: IcmpPolicy) -> IpEcho {
    IpEcho::new(&IpEchoOptions {
        addresses: ADDRESSES.map(|text| text.parse().expect("an address")).to_vec(),
        icmp,
        on_link: false,
    })
}
