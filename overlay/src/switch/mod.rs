//! Which frame goes where: the MAC table and the rules of flooding.
//!
//! An edge's switch has local ports (its device, and whatever is bridged behind it) and a port for each peer. Edges are a
//! full mesh, so what came from a peer goes to local ports only: nothing is carried from one peer to another, and no loop
//! can be made of peers alone.

mod flood;
mod step;
mod table;
#[cfg(test)]
mod tests;

pub use flood::{Class, Flood};
pub use step::{Passing, Step, Then};
pub use table::{Learned, MacTable, TableKey, TableOptions};

use crate::Mac;
use crate::frame::Ethernet;
use halloo_base::Mono;
use std::hash::Hash;

/// A port of the switch: a small value that names it.
pub trait Port: Copy + Eq + Hash {
    /// Whether it leads to another edge.
    fn is_peer(self) -> bool;
}

/// Who may have which address: what the certificate of a member says.
pub trait Claims<P> {
    /// Whether a station with this address may be behind this port.
    fn may_claim(&self, port: P, mac: Mac) -> bool;

    /// Whether a frame from behind this port may say what it says of its sender's addresses of IP.
    fn may_say(&self, _port: P, _frame: &Ethernet<'_>) -> bool {
        true
    }
}

/// Everybody may have any address that is not ours.
impl<P> Claims<P> for () {
    fn may_claim(&self, _port: P, _mac: Mac) -> bool {
        true
    }
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward<P> {
    /// To one port.
    To(P),
    /// To every port but the one that it came by. From a peer: to local ports only.
    Flood(Scope),
    /// Nowhere; it has been counted.
    Drop(Reason),
}

/// How far a frame is flooded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To all peers and the other local ports: it came by a local port.
    All,
    /// To local ports: it came from a peer.
    Local,
}

/// Why a frame went nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Reason {
    /// Its source is a group, which no station is.
    GroupSource,
    /// A peer sent it with an address of ours: it came back, or somebody pretends.
    OwnSource,
    /// The member may not have its source address.
    NotClaimed,
    /// The member may not have an address of IP that it says is its sender's.
    AddressNotClaimed,
    /// Its destination is behind the port that it came by.
    SamePort,
    /// From one peer to another: the other gets it from the first.
    SplitHorizon,
    /// Destinations of its class are not flooded.
    NotFlooded,
    /// A step stopped it.
    Stopped,
}

impl Reason {
    /// Every reason, in the order of their counters.
    pub const ALL: &'static [Reason] = &[
        Reason::GroupSource,
        Reason::OwnSource,
        Reason::NotClaimed,
        Reason::AddressNotClaimed,
        Reason::SamePort,
        Reason::SplitHorizon,
        Reason::NotFlooded,
        Reason::Stopped,
    ];

    /// The counter's name in every output.
    pub fn name(self) -> &'static str {
        match self {
            Reason::GroupSource => "group_source",
            Reason::OwnSource => "own_source",
            Reason::NotClaimed => "not_claimed",
            Reason::AddressNotClaimed => "address_not_claimed",
            Reason::SamePort => "same_port",
            Reason::SplitHorizon => "split_horizon",
            Reason::NotFlooded => "not_flooded",
            Reason::Stopped => "stopped",
        }
    }
}

/// What a switch has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SwitchCounts {
    /// Frames to one port.
    pub forwarded: u64,
    /// Frames flooded.
    pub flooded: u64,
    /// Stations learned.
    pub learned: u64,
    /// Stations that moved to another port.
    pub moved: u64,
    /// Moves of stations that move again and again.
    pub flapping: u64,
    /// Frames from stations that there was no room to learn; they were carried.
    pub full: u64,
    dropped: [u64; Reason::ALL.len()],
}

impl SwitchCounts {
    /// Frames that went nowhere for this reason.
    pub fn dropped(&self, why: Reason) -> u64 {
        self.dropped[why as usize]
    }
}

/// Decides for each frame where it goes, and learns from it.
#[derive(Debug)]
pub struct Switch<P, S = ()> {
    table: MacTable<P>,
    flood: Flood,
    own: Vec<(Mac, P)>,
    step: S,
    counts: SwitchCounts,
}

impl<P: Port, S: Step<P>> Switch<P, S> {
    /// A switch that knows nobody. `step` sees each frame before it is forwarded.
    pub fn new(options: TableOptions, key: TableKey, flood: Flood, step: S) -> Switch<P, S> {
        Switch {
            table: MacTable::new(options, key),
            flood,
            own: Vec::new(),
            step,
            counts: SwitchCounts::default(),
        }
    }

    /// Says that an address is ours, in every VLAN, at this local port. It is never learned elsewhere, and a peer that sends
    /// with it is not heard.
    pub fn own(&mut self, mac: Mac, port: P) {
        self.own.retain(|(known, _)| *known != mac);
        self.own.push((mac, port));
    }

    /// The stations that it knows.
    pub fn table(&self) -> &MacTable<P> {
        &self.table
    }

    /// The same, to forget some.
    pub fn table_mut(&mut self) -> &mut MacTable<P> {
        &mut self.table
    }

    /// What it has done.
    pub fn counts(&self) -> SwitchCounts {
        self.counts
    }

    /// Clears away a few old entries; once a second is often enough.
    pub fn age(&mut self, now: Mono) {
        self.table.age(now);
    }

    /// Where a frame that came by `from` goes. Its source is learned, if `claims` lets the port have it.
    pub fn forward(
        &mut self,
        now: Mono,
        from: P,
        frame: &Ethernet<'_>,
        claims: &impl Claims<P>,
    ) -> Forward<P> {
        match self.decide(now, from, frame, claims) {
            Ok(forward) => {
                match forward {
                    Forward::To(_) => self.counts.forwarded += 1,
                    Forward::Flood(_) => self.counts.flooded += 1,
                    Forward::Drop(_) => {}
                }
                forward
            }
            Err(why) => {
                self.counts.dropped[why as usize] += 1;
                Forward::Drop(why)
            }
        }
    }

    fn decide(
        &mut self,
        now: Mono,
        from: P,
        frame: &Ethernet<'_>,
        claims: &impl Claims<P>,
    ) -> Result<Forward<P>, Reason> {
        let (source, vlan) = (frame.source(), frame.vlan());
        let own_source = self.own_port(source);
        if source.is_group() {
            return Err(Reason::GroupSource);
        }
        if own_source.is_some() && from.is_peer() {
            return Err(Reason::OwnSource);
        }
        if !claims.may_claim(from, source) {
            return Err(Reason::NotClaimed);
        }
        if !claims.may_say(from, frame) {
            return Err(Reason::AddressNotClaimed);
        }
        let class = Class::of(frame.destination());
        // What goes no further than its own link teaches nothing about who is behind it.
        if class != Class::Unicast && !self.flood.floods(class) {
            return Err(Reason::NotFlooded);
        }
        if own_source.is_none() && source != Mac([0; 6]) {
            self.learn(now, from, source, vlan);
        }
        let to = match class {
            Class::Unicast => self.find(now, frame.destination(), vlan),
            _ => None,
        };
        let passing = Passing {
            now,
            from,
            frame: *frame,
            vlan,
            class,
            to,
        };
        match self.step.pass(&passing) {
            Then::Pass => {}
            Then::Stop => return Err(Reason::Stopped),
        }
        match to {
            Some(port) if port == from => Err(Reason::SamePort),
            Some(port) if port.is_peer() && from.is_peer() => Err(Reason::SplitHorizon),
            Some(port) => Ok(Forward::To(port)),
            None if !self.flood.floods(class) => Err(Reason::NotFlooded),
            None if from.is_peer() => Ok(Forward::Flood(Scope::Local)),
            None => Ok(Forward::Flood(Scope::All)),
        }
    }

    /// A peer says that a station is at its own. That is not believed of a group, of an address of ours, or of one that the
    /// peer may not claim. One that is known elsewhere stays there, unless it is said to have moved.
    pub fn announced(&mut self, now: Mono, from: P, mac: Mac, moved: bool, claims: &impl Claims<P>) {
        let may_be = !mac.is_group() && mac != Mac([0; 6]) && self.own_port(mac).is_none();
        if !may_be || !claims.may_claim(from, mac) {
            self.counts.dropped[Reason::NotClaimed as usize] += 1;
        } else if moved || self.table.find(now, mac, 0).is_none_or(|known| known == from) {
            self.learn(now, from, mac, 0);
        }
    }

    fn learn(&mut self, now: Mono, from: P, source: Mac, vlan: u16) {
        match self.table.learn(now, source, vlan, from) {
            Learned::Known => {}
            Learned::New => self.counts.learned += 1,
            Learned::Moved { flapping, .. } => {
                self.counts.moved += 1;
                self.counts.flapping += u64::from(flapping);
            }
            Learned::PortFull | Learned::TableFull => self.counts.full += 1,
        }
    }

    fn find(&self, now: Mono, mac: Mac, vlan: u16) -> Option<P> {
        self.own_port(mac).or_else(|| self.table.find(now, mac, vlan))
    }

    /// There are one or two of them, so a look at each is quicker than a hash.
    fn own_port(&self, mac: Mac) -> Option<P> {
        self.own
            .iter()
            .find(|(known, _)| *known == mac)
            .map(|(_, port)| *port)
    }
}
