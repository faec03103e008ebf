//! A member as its supernode has it: a session, and where it is.

use super::channels::MemberId;
use crate::crypto::{Local, Peer};
use crate::wire::{CommunityId, CommunityTag, feature};
use halloo_base::{Mono, Path};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Who has a session and does not register is let go after this.
const PATIENCE: Duration = Duration::from_secs(30);

/// A member, or somebody who is about to become one.
pub(super) struct Client {
    pub(super) peer: Peer,
    pub(super) member: MemberId<CommunityId>,
    pub(super) tag: CommunityTag,
    /// Whose place it takes.
    pub(super) came_from: IpAddr,
    /// Where it spoke from last, proved.
    pub(super) path: Path,
    /// The session, its way and the number of the latest datagram: only a later one says where it is now.
    latest: (u32, u8, u64),
    /// Where else it says it might be reached.
    pub(super) candidates: Vec<SocketAddr>,
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
    /// One whose initiations are taken if they are later than `latest`.
    pub(super) fn new(
        owner: u32,
        member: MemberId<CommunityId>,
        tag: CommunityTag,
        (path, latest): (Path, u64),
        now: Mono,
    ) -> Client {
        Client {
            peer: Peer::new(owner, member.key, crate::crypto::Role::Edge).after(latest),
            member,
            tag,
            came_from: path.remote.ip(),
            path,
            latest: (0, 0, 0),
            candidates: vec![],
            name: String::new(),
            registered: false,
            told_supernodes: false,
            lifetime: PATIENCE,
            expires: now + PATIENCE,
            due: None,
        }
    }

    /// Whether this is the latest of its datagrams. One that was overtaken by others says where it was.
    pub(super) fn is_latest(&mut self, receiver: u32, path: u8, counter: u64) -> bool {
        let (known, known_path, known_counter) = self.latest;
        let is = known != receiver || (known_path == path && counter >= known_counter) || path > known_path;
        if is {
            self.latest = (receiver, path, counter);
        }
        is
    }

    /// What it can do and wants, as it said when the session began that it has shown to be its own.
    pub(super) fn features(&self) -> u32 {
        self.peer.agreed().map_or(0, |agreed| agreed.features)
    }

    /// Where others might reach it: where it is seen, and where it says. Nowhere, if it wants no direct path.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses_and(&[])
    }

    /// The same, and these: what it says to one alone.
    pub(super) fn addresses_and(&self, more: &[SocketAddr]) -> Vec<SocketAddr> {
        if self.features() & feature::NO_DIRECT != 0 {
            return vec![];
        }
        let mut all = vec![self.path.remote];
        for candidate in self.candidates.iter().chain(more) {
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
