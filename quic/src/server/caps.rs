//! How many connections there may be, and from whom.

use halloo_base::Reason;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Who counts as one: an IPv4 address, or the upper 64 bits of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    V4(u32),
    V6(u64),
}

impl Source {
    fn of(ip: IpAddr) -> Source {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Source::V4(ip.to_bits()),
            IpAddr::V6(ip) => Source::V6((ip.to_bits() >> 64) as u64),
        }
    }
}

/// The caps and who holds how much of them.
pub(super) struct Caps {
    all: usize,
    per_source: Option<u32>,
    held: BTreeMap<Source, u32>,
}

impl Caps {
    pub(super) fn new(all: u32, per_source: Option<u32>) -> Caps {
        Caps {
            all: all as usize,
            per_source,
            held: BTreeMap::new(),
        }
    }

    /// Whether this source holds half of what it may: another one might be filling its share in its name.
    pub(super) fn is_half_held(&self, ip: IpAddr) -> bool {
        let held = self.held.get(&Source::of(ip)).copied().unwrap_or(0);
        self.per_source.is_some_and(|cap| held >= cap.div_ceil(2))
    }

    /// Counts one connection more; `open` are there already.
    pub(super) fn admit(&mut self, ip: IpAddr, open: usize) -> Result<Source, Reason> {
        if open >= self.all {
            return Err(Reason::TooManyConnections);
        }
        let source = Source::of(ip);
        let held = self.held.entry(source).or_default();
        if self.per_source.is_some_and(|cap| *held >= cap) {
            return Err(Reason::TooManyFromSource);
        }
        *held += 1;
        Ok(source)
    }

    pub(super) fn release(&mut self, source: Source) {
        if let Some(held) = self.held.get_mut(&source) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_share_and_all_together_have_theirs() {
        let mut caps = Caps::new(4, Some(2));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let one = caps.admit(ip("192.0.2.1"), 0).unwrap();
        assert!(caps.is_half_held(ip("::ffff:192.0.2.1")));
        caps.admit(ip("::ffff:192.0.2.1"), 1).unwrap();
        assert_eq!(caps.admit(ip("192.0.2.1"), 2), Err(Reason::TooManyFromSource));
        assert!(caps.admit(ip("2001:db8::1"), 2).is_ok());
        assert!(caps.admit(ip("2001:db8::2"), 3).is_ok());
        assert_eq!(
            caps.admit(ip("2001:db8:0:1::"), 4),
            Err(Reason::TooManyConnections)
        );
        assert_eq!(caps.admit(ip("2001:db8::3"), 3), Err(Reason::TooManyFromSource));
        caps.release(one);
        assert!(caps.admit(ip("192.0.2.1"), 3).is_ok());
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let mut caps = Caps::new(4, Some(2));
        let source = caps.admit([192, 0, 2, 1].into(), 0).unwrap();
        caps.release(source);
        assert!(caps.held.is_empty());
    }
}
