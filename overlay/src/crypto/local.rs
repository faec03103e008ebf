//! What this end is, and what it takes.

use super::certificate::{Authority, Certificate};
use super::community::{Community, mac1_key};
use super::identity::Identity;
use crate::{Cipher, Compression, PublicKey};
use std::time::Duration;

/// What an end of a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A member of a community.
    Edge,
    /// Who introduces members.
    Supernode,
}

/// What this end takes, and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The most wanted first. `None` and `Mac` are agreed only where both ends list them.
    pub ciphers: Vec<Cipher>,
    /// The most wanted first.
    pub compressions: Vec<Compression>,
    /// The longest frame in octets.
    pub frame: u16,
    /// For people; at most 32 octets.
    pub name: String,
    /// Bits of TLV 130.
    pub features: u32,
    /// For people; at most 32 octets.
    pub software: String,
}

/// When what is done. Only tests have reason to change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Who began a session follows it up after this.
    pub rekey: Duration,
    /// The other end does so after this, should the first have failed to.
    pub rekey_other: Duration,
    /// ... or after as many datagrams.
    pub rekey_datagrams: u64,
    /// An old session is taken until nothing has come by it for this long.
    pub linger: Duration,
    /// Nothing is sent or taken by a session that is older.
    pub expire: Duration,
    /// An initiation that nobody answers is given up after this.
    pub give_up: Duration,
}

impl Default for Timers {
    fn default() -> Timers {
        Timers {
            rekey: Duration::from_secs(120),
            rekey_other: Duration::from_secs(150),
            rekey_datagrams: 1 << 32,
            linger: Duration::from_secs(20),
            expire: Duration::from_secs(180),
            give_up: Duration::from_secs(90),
        }
    }
}

/// This end: who it is, in which role, what it takes and whom.
pub struct Local {
    identity: Identity,
    role: Role,
    community: Option<Community>,
    /// What it takes.
    pub offer: Offer,
    /// What it shows.
    pub certificate: Option<Certificate>,
    /// Whose certificates it wants to see; without one the community's secret is enough.
    pub authority: Option<Authority>,
    /// When what is done.
    pub timers: Timers,
    mac1_with_edges: [u8; 32],
    mac1_with_supernodes: [u8; 32],
}

impl Local {
    /// An edge of a community.
    pub fn edge(identity: Identity, community: Community, offer: Offer) -> Local {
        Local::new(identity, Role::Edge, Some(community), offer)
    }

    /// A supernode, of whatever communities come.
    pub fn supernode(identity: Identity, offer: Offer) -> Local {
        Local::new(identity, Role::Supernode, None, offer)
    }

    fn new(identity: Identity, role: Role, community: Option<Community>, offer: Offer) -> Local {
        let public = identity.public();
        Local {
            mac1_with_edges: mac1_key(&public, community.as_ref()),
            mac1_with_supernodes: mac1_key(&public, None),
            identity,
            role,
            community,
            offer,
            certificate: None,
            authority: None,
            timers: Timers::default(),
        }
    }

    /// Its key, as others know it.
    pub fn public(&self) -> PublicKey {
        self.identity.public()
    }

    /// Edge or supernode.
    pub fn role(&self) -> Role {
        self.role
    }

    /// An edge's community.
    pub fn community(&self) -> Option<&Community> {
        self.community.as_ref()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whose secret a handshake takes whose responder has this role: none with a supernode.
    pub(crate) fn community_with(&self, responder: Role) -> Option<&Community> {
        match responder {
            Role::Edge => self.community.as_ref(),
            Role::Supernode => None,
        }
    }

    /// The key of `mac1` in what comes to this end in a handshake whose responder has this role.
    pub(crate) fn mac1_key(&self, responder: Role) -> &[u8; 32] {
        match responder {
            Role::Edge => &self.mac1_with_edges,
            Role::Supernode => &self.mac1_with_supernodes,
        }
    }
}
