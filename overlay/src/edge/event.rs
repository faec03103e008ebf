//! What an edge tells of itself.

use super::lease::BadAddress;
use super::options::SupernodePlace;
use super::path::Health;
use crate::crypto::{CertificateError, Refusal};
use crate::vxlan::{Member, Unreachable};
use crate::wire::Prefix;
use crate::{Cipher, Compression, Mac, PublicKey};
use halloo_base::{Nanos, UnreachableError};
use std::net::SocketAddr;

/// Something that happened, for a journal.
#[derive(Clone, Debug, PartialEq)]
pub enum EdgeEvent {
    /// A supernode has taken us in.
    Registered {
        /// Where it is.
        supernode: SocketAddr,
        /// Who it is.
        key: PublicKey,
        /// Our address as it sees it.
        seen: Option<SocketAddr>,
        /// Members of the community.
        members: u32,
        /// Communities of the same name with another secret.
        strangers: u16,
    },
    /// A supernode gave us an address, or another one than before, or says that one of our own is ours.
    Address(Prefix),
    /// A supernode gave us an address that is none for a host; what we had before we have still.
    AddressRefused {
        /// Where the supernode is.
        supernode: SocketAddr,
        /// What it gave.
        address: Prefix,
        /// Why it is not taken.
        why: BadAddress,
    },
    /// A supernode does not answer any more.
    SupernodeLost(SocketAddr),
    /// A supernode, or a peer, will not have to do with us, or we not with it.
    Refused {
        /// Who.
        key: PublicKey,
        /// Its name, where it is known.
        name: String,
        /// Whether we refused it, not it us.
        by_us: bool,
        /// Why.
        refusal: Refusal,
    },
    /// There is a session with a peer.
    PeerUp {
        /// Who.
        key: PublicKey,
        /// Its name.
        name: String,
        /// How frames are kept.
        cipher: Cipher,
        /// How frames are made shorter.
        compression: Compression,
    },
    /// A peer is reached by another way now.
    PathChanged {
        /// Who.
        key: PublicKey,
        /// Its name.
        name: String,
        /// The way's far end.
        remote: SocketAddr,
        /// Whether a relay stands in between.
        relayed: bool,
        /// The round trip, if it is known.
        round_trip: Option<Nanos>,
    },
    /// The kernel reaches a peer by VXLAN now, or it does not, and why.
    Vtep {
        /// Who.
        key: PublicKey,
        /// Its name.
        name: String,
        /// Its end of the tunnel.
        vtep: Result<SocketAddr, Unreachable>,
    },
    /// A list of certificates that hold no longer was taken.
    Revoked {
        /// How many there are.
        serials: usize,
    },
    /// It was not taken; the one before holds.
    RevocationRefused(CertificateError),
    /// There are not as many UDP ports as flows were wanted; frames go by those that there are.
    PortsRefused(UnreachableError),
    /// There is no session with a peer any more.
    PeerDown {
        /// Who.
        key: PublicKey,
        /// Its name.
        name: String,
    },
}

/// One way to a peer, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct PathStatus {
    /// Its far end.
    pub remote: SocketAddr,
    /// Whether a relay stands in between.
    pub relayed: bool,
    /// Whether frames go by it.
    pub in_use: bool,
    /// Whether it works.
    pub health: Health,
    /// The smoothed round trip.
    pub round_trip: Option<Nanos>,
    /// The shortest.
    pub least: Option<Nanos>,
    /// Questions asked.
    pub asked: u64,
    /// Questions answered.
    pub answered: u64,
    /// The longest IP packet that is known to pass.
    pub mtu: u16,
    /// Whether datagrams go by it one by one, since several in one send are lost.
    pub alone: bool,
}

/// A peer, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerStatus {
    /// Who.
    pub key: PublicKey,
    /// Its name.
    pub name: String,
    /// Whether there is a session.
    pub up: bool,
    /// Pairs of UDP ports by which frames go to it: one, and subflows that carry.
    pub flows: u8,
    /// How frames are kept.
    pub cipher: Option<Cipher>,
    /// How frames are made shorter.
    pub compression: Option<Compression>,
    /// Its software.
    pub software: String,
    /// Why there is none, if it or we refused.
    pub refusal: Option<Refusal>,
    /// Ways to it.
    pub paths: Vec<PathStatus>,
    /// Stations behind it.
    pub stations: u32,
    /// Where the kernel reaches it by VXLAN, or why it does not; nothing where the edge carries frames itself.
    pub vtep: Option<Result<SocketAddr, Unreachable>>,
    /// Frames and their octets, there and back.
    pub sent: (u64, u64),
    /// The same from it.
    pub received: (u64, u64),
}

/// A supernode, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct SupernodeStatus {
    /// Where.
    pub address: SocketAddr,
    /// Who, once that is known.
    pub key: Option<PublicKey>,
    /// Whether we are registered with it.
    pub registered: bool,
    /// The smoothed round trip.
    pub round_trip: Option<Nanos>,
    /// Our address as it sees it.
    pub seen: Option<SocketAddr>,
    /// Members that it knows of, us among them; 0 while we are not registered.
    pub members: u32,
}

/// All of it, as it is now.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct EdgeStatus {
    /// Supernodes, in the order of their configuration.
    pub supernodes: Vec<SupernodeStatus>,
    /// Peers, by key.
    pub peers: Vec<PeerStatus>,
    /// Our address, where a supernode gave it.
    pub address: Option<Prefix>,
    /// Counters by name, in a fixed order.
    pub counters: Vec<(&'static str, u64)>,
}

/// What has changed around an edge, and is for it to follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Where the supernodes of its configuration are now; nothing if that is not known.
    pub supernodes: Vec<SupernodePlace>,
    /// Where peers might reach it now.
    pub candidates: Vec<SocketAddr>,
    /// The longest IP packet that its own links carry now.
    pub link_mtu: u16,
    /// The stations behind it, the device's own aside, where the kernel carries the frames and knows them.
    pub stations: Vec<Mac>,
    /// A list of certificates that hold no longer, as octets, if there is another one than before.
    pub revoked: Option<Vec<u8>>,
}

/// Who hears it.
pub trait Observer: Send {
    /// What has changed since it was asked last. It is asked with every report.
    fn news(&mut self) -> Option<News> {
        None
    }
    /// How the kernel is to reach the members has changed; these are all with whom there is a session.
    fn members(&mut self, members: Vec<Member>) {
        let _ = members;
    }
    /// Something happened.
    fn event(&mut self, event: EdgeEvent);
    /// Somebody asked how it stands.
    fn status(&mut self, status: EdgeStatus);
}
