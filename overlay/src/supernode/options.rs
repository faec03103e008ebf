//! What a supernode is told when it is made, and what it tells.

use super::channels::ChannelLimits;
use super::registry::RegistryLimits;
use crate::PublicKey;
use crate::wire::{CommunityId, Prefix, SupernodeAt};

/// How a supernode is made. Who it is is in [`Local`](crate::crypto::Local).
#[derive(Clone, Debug)]
pub struct SupernodeOptions {
    /// How many members it takes.
    pub registry: RegistryLimits,
    /// How much it carries.
    pub channels: ChannelLimits,
    /// The network that members get addresses of, each community for itself.
    pub pool: Option<Prefix>,
    /// Others, of which the members are told.
    pub supernodes: Vec<SupernodeAt>,
    /// These communities only; all without any.
    pub communities: Vec<CommunityId>,
    /// Whether it carries for members that cannot meet.
    pub relay: bool,
    /// Members that may come from one prefix of addresses, 24 bits of IPv4 or 48 of IPv6.
    pub per_prefix: usize,
    /// Communities that those may be in.
    pub communities_per_prefix: usize,
}

impl Default for SupernodeOptions {
    fn default() -> SupernodeOptions {
        SupernodeOptions {
            registry: RegistryLimits::default(),
            channels: ChannelLimits::default(),
            pool: None,
            supernodes: vec![],
            communities: vec![],
            relay: true,
            per_prefix: 10_000,
            communities_per_prefix: 1_024,
        }
    }
}

/// What came, and has become of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SupernodeCounts {
    /// Datagrams.
    pub datagrams: u64,
    /// ... that were none of the format.
    pub malformed: u64,
    /// Edges that asked for the key.
    pub hellos: u64,
    /// Initiations of those who do not know the key.
    pub strangers: u64,
    /// Initiations that were asked for a cookie first.
    pub cookies: u64,
    /// Handshakes that came to nothing.
    pub handshakes_refused: u64,
    /// Datagrams of no session.
    pub unknown_session: u64,
    /// Datagrams that were changed, repeated, or are for nobody here.
    pub not_authentic: u64,
    /// Control messages that are not understood, or not for a supernode.
    pub bad_control: u64,
    /// Registrations, those that were renewed among them.
    pub registrations: u64,
    /// Members that were not heard of any more.
    pub expired: u64,
    /// Datagrams carried from one member to another.
    pub relayed: u64,
    /// Their octets.
    pub relayed_bytes: u64,
    /// Datagrams of a channel that is not there, or is another's.
    pub no_channel: u64,
}

/// How a supernode stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupernodeReport {
    /// Who it is.
    pub key: PublicKey,
    /// Communities that have members.
    pub communities: usize,
    /// Members of all of them.
    pub members: usize,
    /// Pairs of members that it carries for.
    pub channels: usize,
    /// What came, and has become of it.
    pub counts: SupernodeCounts,
}

impl SupernodeCounts {
    /// All of them by name.
    pub fn named(&self) -> [(&'static str, u64); 14] {
        [
            ("datagrams", self.datagrams),
            ("malformed", self.malformed),
            ("hellos", self.hellos),
            ("strangers", self.strangers),
            ("cookies", self.cookies),
            ("handshakes_refused", self.handshakes_refused),
            ("unknown_session", self.unknown_session),
            ("not_authentic", self.not_authentic),
            ("bad_control", self.bad_control),
            ("registrations", self.registrations),
            ("expired", self.expired),
            ("relayed", self.relayed),
            ("relayed_bytes", self.relayed_bytes),
            ("no_channel", self.no_channel),
        ]
    }
}

/// Who hears it.
pub trait SupernodeObserver: Send {
    /// Somebody asked how it stands.
    fn report(&mut self, report: SupernodeReport);
}
