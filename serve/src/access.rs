//! Who may ask at all.

use crate::OptionsError;
use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;

/// Prefixes that are allowed and prefixes that are denied. The longest prefix that holds an address decides;
/// an address that none holds is allowed.
///
/// So a list that only allows keeps nobody out: to serve `10.0.0.0/8` and nobody else, allow it and deny
/// `0.0.0.0/0` and `::/0`. IPv4 addresses in their IPv6 form (`::ffff:0:0/96`) count as IPv4, both here and
/// in what arrives.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AccessList {
    /// Prefixes that are answered.
    pub allow: Vec<IpNet>,
    /// Prefixes that are not.
    pub deny: Vec<IpNet>,
}

/// An access list made ready: per family, where along the address line the answer changes.
#[derive(Default)]
pub(crate) struct AccessTable {
    v4: Vec<Edge>,
    v6: Vec<Edge>,
}

/// From `from` up to the next edge, addresses are allowed or not. Of two with the same `from` the later holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edge {
    from: u128,
    allowed: bool,
}

#[derive(Clone, Copy)]
struct Span {
    first: u128,
    last: u128,
    allowed: bool,
}

impl AccessList {
    /// Checks that no prefix is both allowed and denied.
    ///
    /// # Errors
    /// [`OptionsError::Contradiction`] with the first such prefix.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.table().map(drop)
    }

    pub(crate) fn table(&self) -> Result<AccessTable, OptionsError> {
        let canonical = |prefixes: &[IpNet]| prefixes.iter().map(|&p| canonical(p)).collect::<Vec<_>>();
        let (mut allow, deny) = (canonical(&self.allow), canonical(&self.deny));
        allow.sort_unstable();
        if let Some(&prefix) = deny.iter().find(|prefix| allow.binary_search(prefix).is_ok()) {
            return Err(OptionsError::Contradiction { prefix });
        }
        let spans = |wanted: fn(&IpNet) -> bool| {
            let allowed = allow.iter().map(|prefix| (prefix, true));
            let denied = deny.iter().map(|prefix| (prefix, false));
            let both = allowed.chain(denied).filter(|(prefix, _)| wanted(prefix));
            both.map(|(prefix, allowed)| Span::of(prefix, allowed)).collect()
        };
        Ok(AccessTable {
            v4: edges(spans(|prefix| matches!(prefix, IpNet::V4(_)))),
            v6: edges(spans(|prefix| matches!(prefix, IpNet::V6(_)))),
        })
    }
}

impl AccessTable {
    /// Whether a canonical address is allowed.
    pub(crate) fn allows(&self, ip: IpAddr) -> bool {
        let (edges, at) = match ip {
            IpAddr::V4(ip) => (&self.v4, u128::from(ip.to_bits())),
            IpAddr::V6(ip) => (&self.v6, ip.to_bits()),
        };
        let next = edges.partition_point(|edge| edge.from <= at);
        next.checked_sub(1).is_none_or(|edge| edges[edge].allowed)
    }
}

impl Span {
    fn of(prefix: &IpNet, allowed: bool) -> Span {
        let bits = |ip| match ip {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        Span {
            first: bits(prefix.network()),
            last: bits(prefix.broadcast()),
            allowed,
        }
    }
}

/// Walks nested spans from the lowest address up, and notes each change of the answer.
fn edges(mut spans: Vec<Span>) -> Vec<Edge> {
    spans.sort_unstable_by_key(|span| (span.first, u128::MAX - span.last));
    let mut edges = Vec::new();
    let mut around: Vec<Span> = Vec::new();
    for span in spans {
        close(&mut edges, &mut around, Some(span.first));
        change(&mut edges, span.first, span.allowed);
        around.push(span);
    }
    close(&mut edges, &mut around, None);
    edges
}

/// Leaves every span that ends before `next` (all of them if there is no next).
fn close(edges: &mut Vec<Edge>, around: &mut Vec<Span>, next: Option<u128>) {
    while let Some(inner) = around.pop_if(|span| next.is_none_or(|next| span.last < next)) {
        // Behind the last address of all there is nothing left to decide.
        if let Some(from) = inner.last.checked_add(1) {
            change(edges, from, around.last().is_none_or(|outer| outer.allowed));
        }
    }
}

fn change(edges: &mut Vec<Edge>, from: u128, allowed: bool) {
    if edges.last().is_none_or(|edge| edge.allowed) != allowed {
        edges.push(Edge { from, allowed });
    }
}

fn canonical(prefix: IpNet) -> IpNet {
    let mapped = match prefix {
        IpNet::V6(prefix) if prefix.prefix_len() >= 96 => {
            let network = prefix.network().to_ipv4_mapped();
            network.and_then(|ip| Ipv4Net::new(ip, prefix.prefix_len() - 96).ok())
        }
        _ => None,
    };
    mapped.map_or(prefix, IpNet::V4).trunc()
}

#[cfg(test)]
mod tests;
