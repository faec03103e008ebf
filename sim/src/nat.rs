//! Network address translators as RFC 4787 describes them, without any network around them.

use halloo_base::{Dependence, Rng};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How a NAT behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatOptions {
    /// When an inside endpoint gets the same outside endpoint again (RFC 4787 section 4.1).
    pub mapping: Dependence,
    /// Who may send to an outside endpoint (RFC 4787 section 5).
    pub filtering: Dependence,
    /// How long a mapping lives without being used from the inside (RFC 4787 REQ-5: two minutes or more).
    pub lifetime: Duration,
    /// Whether packets from the outside keep a mapping alive too (RFC 4787 REQ-6 leaves it open).
    pub refreshed_from_outside: bool,
    /// Whether the outside port is the inside port while that is free (RFC 4787 section 4.2.1).
    pub port_preservation: bool,
    /// Whether inside hosts reach each other by their outside endpoints (RFC 4787 REQ-9).
    pub hairpin: bool,
}

impl Default for NatOptions {
    /// What RFC 4787 asks for: endpoint-independent mapping, address-dependent filtering, hairpinning.
    fn default() -> NatOptions {
        NatOptions {
            mapping: Dependence::EndpointIndependent,
            filtering: Dependence::AddressDependent,
            lifetime: Duration::from_secs(120),
            refreshed_from_outside: false,
            port_preservation: true,
            hairpin: true,
        }
    }
}

impl NatOptions {
    /// A NAT with this mapping and filtering, and the defaults for the rest.
    pub fn new(mapping: Dependence, filtering: Dependence) -> NatOptions {
        NatOptions {
            mapping,
            filtering,
            ..NatOptions::default()
        }
    }
}

/// What is translated; the two have separate port spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Udp,
    Tcp,
}

#[derive(Debug)]
struct Mapping {
    carrier: Carrier,
    inside: SocketAddr,
    /// The remote that the mapping was made for; what of it counts depends on `NatOptions::mapping`.
    made_for: SocketAddr,
    outside: u16,
    /// Every remote that the inside has sent to through this mapping.
    sent_to: Vec<SocketAddr>,
    used: u64,
}

/// The translation table of one NAT.
#[derive(Debug)]
pub(crate) struct Nat {
    options: NatOptions,
    address: IpAddr,
    mappings: Vec<Mapping>,
    rng: Rng,
}

impl Nat {
    pub(crate) fn new(options: NatOptions, address: IpAddr, rng: Rng) -> Nat {
        Nat {
            options,
            address,
            mappings: Vec::new(),
            rng,
        }
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    pub(crate) fn hairpins(&self) -> bool {
        self.options.hairpin
    }

    /// Forgets everything, as a reboot does.
    pub(crate) fn restart(&mut self) {
        self.mappings.clear();
    }

    /// The source that a packet from `inside` to `remote` leaves with.
    pub(crate) fn outbound(
        &mut self,
        now: u64,
        carrier: Carrier,
        inside: SocketAddr,
        remote: SocketAddr,
    ) -> SocketAddr {
        self.expire(now);
        let found = self.find(carrier, inside, remote);
        let index = found.unwrap_or_else(|| {
            let outside = self.free_port(carrier, inside.port());
            self.mappings.push(Mapping {
                carrier,
                inside,
                made_for: remote,
                outside,
                sent_to: Vec::new(),
                used: now,
            });
            self.mappings.len() - 1
        });
        let mapping = &mut self.mappings[index];
        mapping.used = now;
        if !mapping.sent_to.contains(&remote) {
            mapping.sent_to.push(remote);
        }
        SocketAddr::new(self.address, mapping.outside)
    }

    /// Where a packet from `remote` to the outside port goes, if it is let in.
    pub(crate) fn inbound(
        &mut self,
        now: u64,
        carrier: Carrier,
        remote: SocketAddr,
        port: u16,
    ) -> Option<SocketAddr> {
        self.expire(now);
        let filtering = self.options.filtering;
        let refresh = self.options.refreshed_from_outside;
        let mapping = self
            .mappings
            .iter_mut()
            .find(|mapping| mapping.carrier == carrier && mapping.outside == port)?;
        let admitted = mapping.sent_to.iter().any(|&sent| same(filtering, sent, remote));
        if !admitted {
            return None;
        }
        if refresh {
            mapping.used = now;
        }
        Some(mapping.inside)
    }

    /// Whose outside endpoint this port is: for ICMP errors, which no filter looks at.
    pub(crate) fn owner(&self, carrier: Carrier, port: u16) -> Option<SocketAddr> {
        let mapping = self
            .mappings
            .iter()
            .find(|mapping| mapping.carrier == carrier && mapping.outside == port)?;
        Some(mapping.inside)
    }

    /// The outside endpoint that `inside` has towards `remote`, if there is one.
    pub(crate) fn outside(
        &self,
        carrier: Carrier,
        inside: SocketAddr,
        remote: SocketAddr,
    ) -> Option<SocketAddr> {
        let index = self.find(carrier, inside, remote)?;
        Some(SocketAddr::new(self.address, self.mappings[index].outside))
    }

    fn find(&self, carrier: Carrier, inside: SocketAddr, remote: SocketAddr) -> Option<usize> {
        self.mappings.iter().position(|mapping| {
            mapping.carrier == carrier
                && mapping.inside == inside
                && same(self.options.mapping, mapping.made_for, remote)
        })
    }

    fn expire(&mut self, now: u64) {
        let lifetime = crate::time::nanos(self.options.lifetime);
        self.mappings
            .retain(|mapping| now.saturating_sub(mapping.used) < lifetime);
    }

    fn free_port(&mut self, carrier: Carrier, wish: u16) -> u16 {
        let taken = |port: u16| {
            self.mappings
                .iter()
                .any(|mapping| mapping.carrier == carrier && mapping.outside == port)
        };
        if self.options.port_preservation && !taken(wish) {
            return wish;
        }
        loop {
            let port = 1_024 + self.rng.below(64_512) as u16;
            if !taken(port) {
                return port;
            }
        }
    }
}

fn same(dependence: Dependence, a: SocketAddr, b: SocketAddr) -> bool {
    match dependence {
        Dependence::EndpointIndependent => true,
        Dependence::AddressDependent => a.ip() == b.ip(),
        Dependence::AddressAndPortDependent => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn nat(options: NatOptions) -> Nat {
        Nat::new(options, at("203.0.113.1:0").ip(), Rng::new(1))
    }

    #[test]
    fn mappings_depend_on_exactly_what_they_say() {
        let inside = at("10.0.0.2:5000");
        let remotes = [at("192.0.2.1:1"), at("192.0.2.1:2"), at("192.0.2.9:1")];
        let table = [
            (EndpointIndependent, [true, true]),
            (AddressDependent, [true, false]),
            (AddressAndPortDependent, [false, false]),
        ];
        for (mapping, expected) in table {
            let mut nat = nat(NatOptions::new(mapping, EndpointIndependent));
            let outside = remotes.map(|remote| nat.outbound(0, Carrier::Udp, inside, remote));
            let reused = [outside[1] == outside[0], outside[2] == outside[0]];
            assert_eq!(reused, expected, "{mapping:?}");
            let again = remotes.map(|remote| nat.outbound(1, Carrier::Udp, inside, remote));
            assert_eq!(again, outside, "{mapping:?}");
        }
    }

    #[test]
    fn filters_admit_exactly_whom_they_say() {
        let inside = at("10.0.0.2:5000");
        let senders = [at("192.0.2.1:1"), at("192.0.2.1:2"), at("192.0.2.9:1")];
        let table = [
            (EndpointIndependent, [true, true, true]),
            (AddressDependent, [true, true, false]),
            (AddressAndPortDependent, [true, false, false]),
        ];
        for (filtering, expected) in table {
            let mut nat = nat(NatOptions::new(EndpointIndependent, filtering));
            let outside = nat.outbound(0, Carrier::Udp, inside, senders[0]);
            let admitted = senders.map(|from| nat.inbound(1, Carrier::Udp, from, outside.port()));
            assert_eq!(
                admitted,
                expected.map(|admitted| admitted.then_some(inside)),
                "{filtering:?}"
            );
        }
    }

    #[test]
    fn a_mapping_lives_from_its_last_use_on_the_inside() {
        let (inside, remote) = (at("10.0.0.2:5000"), at("192.0.2.1:1"));
        let second = 1_000_000_000;
        for refreshed_from_outside in [false, true] {
            let mut nat = nat(NatOptions {
                lifetime: Duration::from_secs(30),
                refreshed_from_outside,
                ..NatOptions::default()
            });
            let port = nat.outbound(0, Carrier::Udp, inside, remote).port();
            assert!(nat.inbound(29 * second, Carrier::Udp, remote, port).is_some());
            let later = nat.inbound(31 * second, Carrier::Udp, remote, port);
            assert_eq!(later.is_some(), refreshed_from_outside);
        }
    }

    #[test]
    fn use_from_the_inside_keeps_a_mapping_alive() {
        let (inside, remote) = (at("10.0.0.2:5000"), at("192.0.2.1:1"));
        let mut nat = nat(NatOptions::default());
        for minute in 0..10 {
            nat.outbound(minute * 60_000_000_000, Carrier::Udp, inside, remote);
        }
        let after = 9 * 60_000_000_000 + 119_000_000_000;
        assert_eq!(nat.inbound(after, Carrier::Udp, remote, 5000), Some(inside));
    }

    #[test]
    fn ports_are_preserved_while_they_are_free_and_never_shared() {
        let remote = at("192.0.2.1:1");
        let mut nat = nat(NatOptions::default());
        let first = nat.outbound(0, Carrier::Udp, at("10.0.0.2:5000"), remote);
        let second = nat.outbound(0, Carrier::Udp, at("10.0.0.3:5000"), remote);
        let other_carrier = nat.outbound(0, Carrier::Tcp, at("10.0.0.3:5000"), remote);
        assert_eq!(first.port(), 5000);
        assert_ne!(second.port(), 5000);
        assert_eq!(other_carrier.port(), 5000);
        assert_eq!(nat.owner(Carrier::Udp, second.port()), Some(at("10.0.0.3:5000")));
    }
}
