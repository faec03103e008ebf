//! A member as its supernode has it: a session, and where it is.

use super::channels::MemberId;
use crate::crypto::{Local, Peer};
use crate::wire::{CommunityId, CommunityTag};
use halloo_base::{Mono, Path};
use std::net::SocketAddr;
use std::time::Duration;

/// Who has a session and does not register is let go after this.
const PATIENCE: Duration = Duration::from_secs(30);

/// A member, or somebody who is about to become one.
pub(super) struct Client {
    pub(super) peer: Peer,
    pub(super) member: MemberId<CommunityId>,
    pub(super) tag: CommunityTag,
    /// Where it spoke from last, proved.
    pub(super) path: Path,
    /// Where else it says it might be reached.
    pub(super) candidates: Vec<SocketAddr>,
    pub(super) features: u32,
    pub(super) name: String,
    pub(super) registered: bool,
    pub(super) told_supernodes: bool,
    pub(super) lifetime: Duration,
    /// When it is let go unless it is heard of.
    pub(super) expires: Mono,
    /// Its place in the order of deadlines.
    pub(super) due: Option<Mono>,
}

impl Client {
    pub(super) fn new(
        owner: u32,
        member: MemberId<CommunityId>,
        tag: CommunityTag,
        path: Path,
        now: Mono,
    ) -> Client {
        Client {
            peer: Peer::new(owner, member.key, crate::crypto::Role::Edge),
            member,
            tag,
            path,
            candidates: vec![],
            features: 0,
            name: String::new(),
            registered: false,
            told_supernodes: false,
            lifetime: PATIENCE,
            expires: now + PATIENCE,
            due: None,
        }
    }

    /// Where others might reach it: where it is seen, and where it says.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let mut all = vec![self.path.remote];
        for candidate in &self.candidates {
            if !all.contains(candidate) && all.len() < 16 {
                all.push(*candidate);
            }
        }
        all
    }

    pub(super) fn deadline(&self, local: &Local) -> Mono {
        let session = self.peer.deadline(local);
        session.map_or(self.expires, |at| at.min(self.expires))
    }
}
