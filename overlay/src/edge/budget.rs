//! How many initiations and pings go to where nobody has answered yet.
//!
//! Where a peer might be, a supernode says, or a peer. It may be anybody's address; so an edge must not be made to send
//! much there.

use halloo_base::Mono;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Initiations and pings at once, and a second from then on, to all places together.
const ALL: (u64, u64) = (2_048, 64);
/// The same to one address, or to one network of IPv6 (64 bits).
const PLACE: (u64, u64) = (64, 4);
/// Places that are watched at a time. One more has to wait until one of them has been left alone for a while.
const MOST_PLACES: usize = 4_096;
/// The longest that anybody saves up for.
const LONGEST: Duration = Duration::from_secs(PLACE.0 / PLACE.1);
/// Where there is no room it is looked for this often.
const SWEEP: Duration = Duration::from_secs(1);
const SECOND: u64 = 1_000_000_000;

/// What may still be sent where nobody has answered yet.
pub(super) struct Budget {
    all: Purse,
    places: BTreeMap<IpAddr, Purse>,
    /// When those that have rested were forgotten last.
    swept: Mono,
    /// Initiations that were not sent for want of it.
    pub(super) withheld: u64,
    /// And pings.
    pub(super) pings_withheld: u64,
}

/// Initiations and pings, each as much as a second has ns.
#[derive(Clone, Copy)]
struct Purse {
    left: u64,
    filled: Mono,
}

impl Purse {
    fn new((most, _): (u64, u64), now: Mono) -> Purse {
        Purse {
            left: most * SECOND,
            filled: now,
        }
    }

    fn fill(&mut self, (most, rate): (u64, u64), now: Mono) {
        let passed = now.since(self.filled).min(LONGEST);
        self.filled = now;
        self.left = (most * SECOND).min(self.left + passed.as_nanos() as u64 * rate);
    }
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            all: Purse::new(ALL, Mono(0)),
            places: BTreeMap::new(),
            swept: Mono(0),
            withheld: 0,
            pings_withheld: 0,
        }
    }
}

impl Budget {
    /// Whether one more initiation may go to this address.
    pub(super) fn pay(&mut self, to: IpAddr, now: Mono) -> bool {
        let paid = self.try_pay(place(to), now);
        self.withheld += u64::from(!paid);
        paid
    }

    /// Whether one more ping may go to this address.
    pub(super) fn pay_ping(&mut self, to: IpAddr, now: Mono) -> bool {
        let paid = self.try_pay(place(to), now);
        self.pings_withheld += u64::from(!paid);
        paid
    }

    fn try_pay(&mut self, place: IpAddr, now: Mono) -> bool {
        if self.places.len() >= MOST_PLACES && !self.places.contains_key(&place) {
            // Those that have all that they may have need not be remembered.
            if now.since(self.swept) >= SWEEP {
                self.swept = now;
                self.places.retain(|_, purse| now.since(purse.filled) < LONGEST);
            }
            if self.places.len() >= MOST_PLACES {
                return false;
            }
        }
        let of_place = self.places.entry(place).or_insert(Purse::new(PLACE, now));
        of_place.fill(PLACE, now);
        self.all.fill(ALL, now);
        if of_place.left < SECOND || self.all.left < SECOND {
            return false;
        }
        of_place.left -= SECOND;
        self.all.left -= SECOND;
        true
    }
}

/// Whoever has one address of an IPv6 network has all of it.
fn place(to: IpAddr) -> IpAddr {
    match to.to_canonical() {
        IpAddr::V4(to) => to.into(),
        IpAddr::V6(to) => Ipv6Addr::from(u128::from(to) >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * SECOND)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_place_gets_a_few_and_then_some_a_second() {
        for (one, same, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
        ] {
            let mut budget = Budget::default();
            let mut pays = |to: &str, now| (0..1_000).filter(|_| budget.pay(ip(to), now)).count() as u64;
            assert_eq!(pays(one, at(1)), PLACE.0);
            assert_eq!(pays(same, at(1)), 0);
            assert_eq!(pays(other, at(1)), PLACE.0);
            assert_eq!(pays(same, at(11)), 10 * PLACE.1);
            assert_eq!(pays(one, at(100_000)), PLACE.0, "it is not saved up for ever");
            assert_eq!(budget.withheld, 3_000 + 2_000 - 3 * PLACE.0 - 10 * PLACE.1);
        }
    }

    #[test]
    fn many_places_get_no_more_than_all_may() {
        let mut budget = Budget::default();
        let mut places = (0..u32::MAX).map(|number| IpAddr::from(number.to_be_bytes()));
        let mut pays = |now| {
            let some = places.by_ref().take(20_000);
            some.filter(|&to| budget.pay(to, now)).count() as u64
        };
        assert_eq!(pays(at(1)), ALL.0);
        assert_eq!(pays(at(2)), 0, "so many places are not remembered");
        assert_eq!(pays(at(2) + LONGEST), ALL.1 * LONGEST.as_secs());
        assert!(budget.places.len() <= MOST_PLACES);
    }
}
