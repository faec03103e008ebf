//! A member as its supernode has it: a session, and where it is.

use super::channels::MemberId;
use super::place::Question;
use super::registry::Profile;
use crate::crypto::{Local, Peer};
use crate::wire::{CommunityId, CommunityTag, feature};
use halloo_base::{Mono, Path};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Who has a session and does not register is let go after this.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many changes of what a member tells of itself are told at once ...
const CHANGES: u32 = 4;
/// ... and another each time that this has passed.
const CHANGES_AGAIN: Duration = Duration::from_secs(30);

/// A member, or somebody who is about to become one.
pub(super) struct Client {
    pub(super) peer: Peer,
    pub(super) member: MemberId<CommunityId>,
    pub(super) tag: CommunityTag,
    /// Whose place it takes.
    pub(super) came_from: IpAddr,
    /// Where it is: there it had a cookie, or was asked and answered. Nothing but that question goes anywhere else.
    pub(super) path: Path,
    /// Where the initiation came from that was answered last.
    pub(super) begun_from: Option<Path>,
    /// What it was asked elsewhere, and when it last was.
    pub(super) question: Option<Question>,
    pub(super) asked: Option<Mono>,
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
    /// Changes that may be told now, and when there will be one more.
    changes: u32,
    changes_at: Mono,
    /// When to tell of a change that had to wait.
    pub(super) publish_at: Option<Mono>,
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
            begun_from: None,
            question: None,
            asked: None,
            latest: (0, 0, 0),
            candidates: vec![],
            name: String::new(),
            registered: false,
            told_supernodes: false,
            lifetime: PATIENCE,
            expires: now + PATIENCE,
            changes: CHANGES,
            changes_at: now,
            publish_at: None,
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

    /// What the others are told of it.
    pub(super) fn profile(&self) -> Profile {
        Profile {
            features: self.features(),
            candidates: self.addresses(),
            name: self.name.clone(),
        }
    }

    /// Whether a change may be told now. If not, it is told as soon as one may.
    pub(super) fn may_change(&mut self, now: Mono) -> bool {
        while self.changes < CHANGES && self.changes_at <= now {
            self.changes += 1;
            self.changes_at += CHANGES_AGAIN;
        }
        if self.changes == CHANGES {
            self.changes_at = now + CHANGES_AGAIN;
        }
        let may = self.changes > 0;
        self.changes = self.changes.saturating_sub(1);
        self.publish_at = (!may).then_some(self.changes_at);
        may
    }

    pub(super) fn deadline(&self, local: &Local) -> Mono {
        let others = [self.peer.deadline(local), self.publish_at];
        others.into_iter().flatten().fold(self.expires, Mono::min)
    }
}
