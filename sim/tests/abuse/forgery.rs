//! Datagrams as an attacker would make them, and whom he would have them come from. All from one seed.

use crate::bench::{Asker, Bench, START, addr, path};
use crate::table::{BROADCAST, Dialect, TABLE, all_ports};
use halloo_base::{Path, Rng};
use halloo_serve::REFLECTION_PORTS;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The host that is asked.
pub(crate) const HOST: &str = "192.0.2.1";
/// Whom most of the forged datagrams are to hurt.
pub(crate) const VICTIM: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
/// The attacker's own address, where he may learn what he can.
pub(crate) const ATTACKER: &str = "198.51.100.66:40000";

/// Datagrams of one protocol, from which others are made.
pub(crate) struct Seeds {
    pub(crate) requests: Vec<Vec<u8>>,
    /// Those that say of themselves that they are answers.
    pub(crate) answers: Vec<Vec<u8>>,
}

impl Seeds {
    /// What its own probers ask, and what a host answers them.
    pub(crate) fn of(dialect: &Dialect) -> Seeds {
        let mut seeds = Seeds {
            requests: vec![],
            answers: vec![],
        };
        let local = SocketAddr::new(host(), dialect.ports[0]);
        let sizes = dialect
            .askers
            .iter()
            .flat_map(|&(protocol, sizes)| sizes.iter().map(move |&size| (protocol, size)));
        for (nth, (protocol, size)) in sizes.enumerate() {
            let mut bench = Bench::new(dialect, &[]);
            let mut asker = Asker::new(
                protocol,
                0xfeed_0000 + nth as u64,
                size,
                path(local, addr(ATTACKER)),
            );
            for id in 0..4 {
                let exchange = asker.exchange(&mut bench, START, id);
                let (request, answer) = exchange.expect("an honest question is answered");
                assert!((dialect.marks.is_request)(&request) && !(dialect.marks.is_answer)(&request));
                seeds.requests.push(request);
                if (dialect.marks.is_answer)(&answer) {
                    seeds.answers.push(answer);
                }
            }
        }
        assert!(!seeds.answers.is_empty(), "{}", dialect.protocol.name);
        seeds
    }
}

/// Makes forged datagrams for one dialect.
pub(crate) struct Forger {
    pub(crate) rng: Rng,
    seeds: Seeds,
    own_ports: Vec<u16>,
    /// What others speak.
    foreign: Vec<Vec<u8>>,
    noise: Vec<u8>,
    bytes: Vec<u8>,
}

impl Forger {
    pub(crate) fn new(dialect: &Dialect, seed: u64) -> Forger {
        let others = TABLE.iter().filter(|other| !std::ptr::eq(*other, dialect));
        let mut rng = Rng::new(seed);
        let noise = (0..8_192).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
        Forger {
            seeds: Seeds::of(dialect),
            foreign: others
                .map(Seeds::of)
                .flat_map(|seeds| seeds.requests.into_iter().chain(seeds.answers))
                .collect(),
            own_ports: all_ports(true),
            rng,
            noise,
            bytes: vec![],
        }
    }

    /// Random bytes, mostly few.
    pub(crate) fn noise(&mut self) -> &[u8] {
        let most = if self.rng.chance(0.1) { 1_472 } else { 128 };
        let len = self.rng.below(most) as usize;
        let fresh = self.rng.next_u64().to_le_bytes();
        let start = self.rng.below((self.noise.len() - len) as u64) as usize;
        self.bytes.clear();
        self.bytes.extend_from_slice(&self.noise[start..start + len]);
        self.bytes
            .iter_mut()
            .zip(fresh)
            .for_each(|(byte, new)| *byte = new);
        &self.bytes
    }

    /// The shortest request that there is.
    pub(crate) fn shortest(&self) -> &[u8] {
        let shortest = self.seeds.requests.iter().min_by_key(|request| request.len());
        shortest.expect("somebody asks")
    }

    /// A request, or at times an answer, with up to four alterations.
    pub(crate) fn altered(&mut self) -> &[u8] {
        let seeds = if self.rng.chance(0.2) {
            &self.seeds.answers
        } else {
            &self.seeds.requests
        };
        self.bytes
            .clone_from(&seeds[self.rng.below(seeds.len() as u64) as usize]);
        for _ in 0..self.rng.below(5) {
            self.alter();
        }
        // Nobody's datagram is longer.
        self.bytes.truncate(65_000);
        &self.bytes
    }

    fn alter(&mut self) {
        let len = self.bytes.len();
        let at = self.rng.below(len as u64) as usize;
        match self.rng.below(9) {
            0..=2 if len > 0 => self.bytes[at] ^= 1 << self.rng.below(8),
            3 if len > 0 => self.bytes[at] = self.rng.next_u64() as u8,
            4 if len > 0 => {
                const TELLING: [u8; 12] = *b"\0\xff\x01\x7f\x80\r\n \t:;,";
                self.bytes[at] = TELLING[self.rng.below(TELLING.len() as u64) as usize];
            }
            5 => self.bytes.truncate(at),
            6 => {
                let more = 1 + self.rng.below(64) as usize;
                let zeros = self.rng.chance(0.5);
                let noise = self.noise.iter().skip(at).take(more);
                self.bytes.extend(noise.map(|&byte| if zeros { 0 } else { byte }));
            }
            // A part of it once more, or of another, somewhere.
            7 => {
                let from = self.rng.below(len as u64) as usize;
                let part = self.bytes[from..].iter().take(1 + self.rng.below(80) as usize);
                let part: Vec<u8> = part.copied().collect();
                self.bytes.splice(at..at, part);
            }
            _ => {
                let of_kin = self.rng.chance(0.7);
                let others = if of_kin {
                    &self.seeds.requests
                } else {
                    &self.foreign
                };
                let other = &others[self.rng.below(others.len() as u64) as usize];
                let from = self.rng.below(other.len() as u64) as usize;
                self.bytes.truncate(at);
                self.bytes.extend_from_slice(&other[from..]);
            }
        }
    }

    /// Where a datagram for this port of the host pretends to come from, and what address it was sent to.
    pub(crate) fn path(&mut self, port: u16) -> Path {
        let local = match self.rng.below(40) {
            0 => "224.0.0.1".parse().expect("an address"),
            1 => Ipv4Addr::BROADCAST.into(),
            2 => BROADCAST.parse().expect("an address"),
            3 => "ff02::1".parse().expect("an address"),
            4 => "2001:db8::1".parse().expect("an address"),
            5 => Ipv6Addr::UNSPECIFIED.into(),
            _ => host(),
        };
        let remote = SocketAddr::new(self.address(), self.port(port));
        path(SocketAddr::new(local, port), remote)
    }

    /// The same from some public address, as honest people ask.
    pub(crate) fn path_from_anybody(&mut self, port: u16) -> Path {
        let ip = Ipv4Addr::from_bits(0x2000_0000 | self.rng.next_u64() as u32 >> 4);
        let remote = (ip, 40_000 + self.rng.below(6_000) as u16);
        path(SocketAddr::new(host(), port), remote.into())
    }

    fn address(&mut self) -> IpAddr {
        let bits = self.rng.next_u64();
        let low = bits as u32;
        let in_net = |first: u8, second: u8| {
            IpAddr::from(Ipv4Addr::from_bits(
                low >> 16 | u32::from(first) << 24 | u32::from(second) << 16,
            ))
        };
        let v6 = |head: u128| IpAddr::from(Ipv6Addr::from_bits(head << 112 | u128::from(bits)));
        match self.rng.below(24) {
            0..=5 => VICTIM.into(),
            6 => in_net(127, 0),
            7 => in_net(224 + (low >> 28) as u8 % 16, low as u8),
            8 => in_net(240 + (low >> 28) as u8, low as u8),
            9 => in_net(0, low as u8),
            10 => BROADCAST.parse().expect("an address"),
            11 => Ipv4Addr::BROADCAST.into(),
            12 => in_net(10, 0),
            13 => in_net(192, 168),
            14 => host(),
            15 => v6(0xff02),
            16 => v6(0xfe80),
            17 => v6(0x2001),
            18 => Ipv6Addr::LOCALHOST.into(),
            19 => Ipv6Addr::UNSPECIFIED.into(),
            20 => Ipv4Addr::from_bits(low).to_ipv6_mapped().into(),
            _ => Ipv4Addr::from_bits(low).into(),
        }
    }

    fn port(&mut self, own: u16) -> u16 {
        let mut one_of = |ports: &[u16]| ports[self.rng.below(ports.len() as u64) as usize];
        match one_of(&[0, 1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 5]) {
            0 => own,
            1 => one_of(&self.own_ports),
            2 => one_of(&[0, 7, 13, 17, 19, 53, 69, 123, 161, 389, 520, 862, 1_023]),
            3 => self.rng.below(1_024) as u16,
            4 => REFLECTION_PORTS[self.rng.below(REFLECTION_PORTS.len() as u64) as usize].0,
            _ => 1_024 + self.rng.below(64_512) as u16,
        }
    }
}

pub(crate) fn host() -> IpAddr {
    HOST.parse().expect("an address")
}
