//! The program's maps, filled and read in the form that `program/maps.h` gives them.

use super::{XdpError, XdpRate, XdpRules};
use crate::sys::{BpfMap, Shape};
use halloo_base::{Reason, Snapshot};
use std::fs;
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

const PERCPU_ARRAY: u32 = 6;
const SECOND: u64 = 1_000_000_000;

/// The counters of one service that are no reasons, in their order.
const PLAIN_COUNTERS: usize = 4;
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
pub(super) struct Maps {
    maps: Vec<(&'static str, BpfMap)>,
    processors: usize,
}

/// What the program reads with every packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) wall_offset: u64,
    pub(super) mac: [u8; 6],
    pub(super) min_interval: u16,
    pub(super) probes: bool,
}

impl Maps {
    /// Makes the maps of `plans`, empty.
    pub(super) fn create(plans: &[Plan], sources: u32, sessions: u32) -> Result<Maps, XdpError> {
        let processors = possible_processors();
        let mut maps = vec![];
        for plan in plans {
            let entries = match plan.name {
                "sources" => sources,
                "sessions" => sessions,
                _ => plan.entries,
            };
            let value = match plan.kind {
                PERCPU_ARRAY => plan.value.next_multiple_of(8) as usize * processors,
                _ => plan.value as usize,
            };
            let shape = Shape {
                kind: plan.kind,
                key: plan.key as usize,
                value,
                entries: entries.max(1),
                flags: plan.flags,
            };
            let map = BpfMap::create(plan.name, shape, plan.value).map_err(|error| XdpError::Map {
                name: plan.name,
                error,
            })?;
            maps.push((plan.name, map));
        }
        Ok(Maps { maps, processors })
    }

    /// The numbers by which instructions refer to them, in the order of the plans.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.maps.iter().map(|(_, map)| map.number()).collect()
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
        bytes.extend(u32::from(settings.probes).to_ne_bytes());
        bytes.extend([0; 4]);
        self.update("settings", &0u32.to_ne_bytes(), &bytes)
    }

    /// Writes who is let in, and which source ports are not answered.
    pub(super) fn guard(&self, rules: &XdpRules) -> Result<(), XdpError> {
        // IPv6 prefixes say nothing about IPv4, which lives in a corner of the same numbers.
        let every_v4 = (IpAddr::from(Ipv4Addr::UNSPECIFIED), 0);
        let prefixes = [&every_v4]
            .into_iter()
            .chain(&rules.allow)
            .map(|prefix| (prefix, 1u32));
        for (&(address, bits), allowed) in prefixes.chain(rules.deny.iter().map(|prefix| (prefix, 0))) {
            let bits = match address {
                IpAddr::V4(_) => 96 + u32::from(bits),
                IpAddr::V6(_) => u32::from(bits),
            };
            let key = [&bits.to_ne_bytes()[..], &mapped(address)].concat();
            self.update("access", &key, &allowed.to_ne_bytes())?;
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
        let size = PLAIN_COUNTERS + REASONS.len();
        let mut counts = vec![0u64; size];
        for (place, count) in counts.iter_mut().enumerate() {
            let key = (service as usize * size + place) as u32;
            let mut values = vec![0; 8 * self.processors];
            self.of("counters").lookup(&key.to_ne_bytes(), &mut values)?;
            // The process may not read a value half written: 64 bits are written at once.
            let each = values.as_chunks::<8>().0.iter();
            *count = each.map(|octets| u64::from_ne_bytes(*octets)).sum();
        }
        let silent = REASONS.into_iter().zip(counts[PLAIN_COUNTERS..].iter().copied());
        Ok(Snapshot {
            received: counts[0],
            received_bytes: counts[1],
            replied: counts[2],
            replied_bytes: counts[3],
            silent: silent.filter(|&(_, count)| count > 0).collect(),
        })
    }

    fn update(&self, name: &'static str, key: &[u8], value: &[u8]) -> Result<(), XdpError> {
        let map = self.of(name);
        map.update(key, value)
            .map_err(|error| XdpError::Map { name, error })
    }

    /// The map of this name, which is one of the program's.
    fn of(&self, name: &str) -> &BpfMap {
        let found = self.maps.iter().find(|(known, _)| *known == name);
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

/// How many processors the kernel has made room for, whether they are there or not.
fn possible_processors() -> usize {
    let text = fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = text
        .trim()
        .rsplit([',', '-'])
        .next()
        .and_then(|last| last.parse::<usize>().ok());
    last.map_or(1, |last| last + 1)
}
