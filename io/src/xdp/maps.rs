//! The program's maps, filled and read in the form that `program/maps.h` gives them.

use super::{XdpError, XdpRate, XdpRules};
use crate::sys::{BpfMap, Shape};
use halloo_base::{Reason, Snapshot};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A map as the program's source describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) kind: u32,
    pub(super) key: u32,
    pub(super) value: u32,
    /// 0 where the process decides.
    pub(super) entries: u32,
    pub(super) flags: u32,
}

const SECOND: u64 = 1_000_000_000;

/// What the program is to make of a source (`access` in program/maps.h).
const DENIED: u32 = 0;
const ALLOWED: u32 = 1;
const ODD: u32 = 2;

/// `flags` of the settings.
const ANSWERS_PROBES: u32 = 1;
const IS_NATIVE: u32 = 2;

/// Numbers in the counters of one service.
const COUNTED: usize = 9;
/// The reasons that can end a packet in the program, in the order of their counters.
const REASONS: [Reason; 5] = [
    Reason::Denied,
    Reason::ReflectionPort,
    Reason::OwnPort,
    Reason::RateLimited,
    Reason::RateLimitedAll,
];

/// The two services that the program keeps apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Udp,
    Ip,
}

/// All maps of one program.
#[derive(Debug)]
pub(super) struct Maps(Vec<(&'static str, BpfMap)>);

/// What the program reads with every packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) wall_offset: u64,
    pub(super) mac: [u8; 6],
    pub(super) min_interval: u16,
    /// Octets of the longest frame on the wire.
    pub(super) longest: u16,
    pub(super) probes: bool,
    pub(super) native: bool,
}

impl Maps {
    /// Makes the maps of `plans`, empty.
    pub(super) fn create(plans: &[Plan], sources: u32, sessions: u32) -> Result<Maps, XdpError> {
        let mut maps = vec![];
        for plan in plans {
            let entries = match plan.name {
                "sources" => sources,
                "sessions" => sessions,
                _ => plan.entries,
            };
            let shape = Shape {
                kind: plan.kind,
                key: plan.key,
                value: plan.value,
                entries: entries.max(1),
                flags: plan.flags,
            };
            let map = BpfMap::create(plan.name, shape).map_err(|error| XdpError::Map {
                name: plan.name,
                error,
            })?;
            maps.push((plan.name, map));
        }
        Ok(Maps(maps))
    }

    /// The numbers by which instructions refer to them, in the order of the plans.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.0.iter().map(|(_, map)| map.number()).collect()
    }

    /// Writes the settings, with the paces of the rules.
    pub(super) fn set(&self, settings: &Settings, rules: &XdpRules) -> Result<(), XdpError> {
        let mut bytes = vec![];
        bytes.extend(settings.wall_offset.to_ne_bytes());
        for rate in [rules.per_source, rules.per_local_source, rules.all] {
            let (interval, depth) = rate.map_or((0, 0), pace);
            bytes.extend(interval.to_ne_bytes());
            bytes.extend(depth.to_ne_bytes());
        }
        bytes.extend(settings.mac);
        bytes.extend(settings.min_interval.to_ne_bytes());
        bytes.extend(settings.longest.to_ne_bytes());
        bytes.extend([0; 2]);
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        let flags = flag(settings.probes, ANSWERS_PROBES) | flag(settings.native, IS_NATIVE);
        bytes.extend(flags.to_ne_bytes());
        self.update("settings", &0u32.to_ne_bytes(), &bytes)
    }

    /// Writes who is let in, and which source ports are not answered.
    pub(super) fn guard(&self, rules: &XdpRules) -> Result<(), XdpError> {
        // IPv6 prefixes say nothing about IPv4, which lives in a corner of the same numbers.
        self.judge(Ipv4Addr::UNSPECIFIED.into(), 0, ALLOWED)?;
        for &(address, bits) in &rules.allow {
            self.judge(address, bits, ALLOWED)?;
        }
        for &(address, bits) in &rules.deny {
            self.judge(address, bits, DENIED)?;
        }
        let mut words = [0u32; 4096];
        let refused = rules.refused_ports.iter().map(|&port| (port, 1));
        for (port, bit) in refused.chain(rules.own_ports.iter().map(|&port| (port, 2))) {
            words[usize::from(port >> 4)] |= bit << ((port & 15) * 2);
        }
        for (key, word) in (0u32..).zip(words).filter(|&(_, word)| word != 0) {
            self.update("ports", &key.to_ne_bytes(), &word.to_ne_bytes())?;
        }
        Ok(())
    }

    /// Leaves this source to user space, whatever the rules say.
    pub(super) fn doubt(&self, source: Ipv4Addr) -> Result<(), XdpError> {
        self.judge(source.into(), 32, ODD)
    }

    fn judge(&self, address: IpAddr, bits: u8, judgement: u32) -> Result<(), XdpError> {
        let bits = match address {
            IpAddr::V4(_) => 96 + bits,
            IpAddr::V6(_) => bits,
        };
        let key = [&u32::from(bits).to_ne_bytes()[..], &mapped(address)].concat();
        self.update("access", &key, &judgement.to_ne_bytes())
    }

    /// Says whether UDP to this address and port is answered.
    pub(super) fn listen(&self, at: SocketAddr, answered: bool) -> Result<(), XdpError> {
        let mut key = mapped(at.ip()).to_vec();
        key.extend(at.port().to_be_bytes());
        key.extend([0; 2]);
        if answered {
            self.update("listeners", &key, &1u32.to_ne_bytes())
        } else {
            self.of("listeners").delete(&key).map_err(|error| XdpError::Map {
                name: "listeners",
                error,
            })
        }
    }

    /// Serves an IP echo address.
    pub(super) fn echo(&self, address: IpAddr) -> Result<(), XdpError> {
        self.update("echo_addresses", &mapped(address), &1u32.to_ne_bytes())
    }

    /// What one service has counted, on all processors together.
    pub(super) fn counted(&self, service: Service) -> io::Result<Snapshot> {
        let key = (service as u32).to_ne_bytes();
        let values = self.of("counters").lookup(&key)?.unwrap_or_default();
        let mut counts = [0; COUNTED];
        for (place, octets) in values.as_chunks::<8>().0.iter().enumerate() {
            counts[place % COUNTED] += u64::from_ne_bytes(*octets);
        }
        let [received, received_bytes, replied_bytes, replied, refused @ ..] = counts;
        let silent = REASONS.into_iter().zip(refused);
        Ok(Snapshot {
            received,
            received_bytes,
            replied,
            replied_bytes,
            silent: silent.filter(|&(_, count)| count > 0).collect(),
            ..Snapshot::default()
        })
    }

    fn update(&self, name: &'static str, key: &[u8], value: &[u8]) -> Result<(), XdpError> {
        let map = self.of(name);
        map.update(key, value)
            .map_err(|error| XdpError::Map { name, error })
    }

    /// The map of this name, which is one of the program's.
    fn of(&self, name: &str) -> &BpfMap {
        let found = self.0.iter().find(|(known, _)| *known == name);
        &found.expect("every name here is a map of the program").1
    }
}

/// What one packet costs and what a full bucket holds, in nanoseconds.
fn pace(rate: XdpRate) -> (u64, u64) {
    let interval = SECOND.div_ceil(u64::from(rate.per_second.max(1)));
    (interval, interval.saturating_mul(u64::from(rate.burst.max(1))))
}

fn mapped(address: IpAddr) -> [u8; 16] {
    let address: Ipv6Addr = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    address.octets()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_never_above_its_rate() {
        let pace = |per_second, burst| pace(XdpRate { per_second, burst });
        assert_eq!(pace(1_000, 10), (1_000_000, 10_000_000));
        assert_eq!(pace(3, 1), (333_333_334, 333_333_334));
        assert_eq!(pace(100_000_000, u32::MAX), (10, 42_949_672_950));
        // None of one of them would be no limit.
        assert_eq!(pace(0, 0), (SECOND, SECOND));
    }
}
