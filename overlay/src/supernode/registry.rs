//! Who is a member of which community, and what has changed since somebody last asked.

use crate::PublicKey;
use crate::wire::{Bookmark, CommunityId, CommunityTag};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

/// How much a registry holds.
#[derive(Clone, Copy, Debug)]
pub struct RegistryLimits {
    /// Members of all communities together.
    pub members: usize,
    /// Members of one community.
    pub per_community: usize,
    /// Communities.
    pub communities: usize,
    /// How many departures a community remembers, for members that ask what has changed.
    pub departures: usize,
}

impl Default for RegistryLimits {
    fn default() -> RegistryLimits {
        RegistryLimits {
            members: 20_000,
            per_community: 5_000,
            communities: 4_096,
            departures: 1_024,
        }
    }
}

/// What a member tells of itself, and what the others are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Feature bits (`docs/wire/overlay.md`).
    pub features: u32,
    /// Where it might be reached, the address that it registers from first.
    pub candidates: Vec<SocketAddr>,
    /// Its name, for people.
    pub name: String,
}

/// A member: what the others are told, and since which version.
#[derive(Clone, Debug)]
struct Member {
    profile: Profile,
    version: u32,
}

/// Why somebody is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The whole registry is full.
    #[error("this supernode has as many members as it may")]
    Registry,
    /// The community is full.
    #[error("the community has as many members as it may")]
    Community,
    /// There may be no more communities.
    #[error("this supernode has as many communities as it may")]
    Communities,
}

/// A change of a community since a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Somebody came, or tells something else of itself now.
    Member(&'a PublicKey, &'a Profile),
    /// Somebody left.
    Gone(&'a PublicKey),
}

/// What [`Registry::changes`] tells.
#[derive(Debug)]
pub struct Changes<'a> {
    /// What changed, oldest first.
    pub changes: Vec<Change<'a>>,
    /// Where to go on.
    pub next: Bookmark,
    /// How many more there are behind these, at least.
    pub more: usize,
    /// The list begins anew: whoever is not in it is gone. So it is where the bookmark is too old, or from another life
    /// of this supernode.
    pub anew: bool,
}

/// All members of all communities. When they leave is for others to know.
#[derive(Debug)]
pub struct Registry {
    limits: RegistryLimits,
    communities: HashMap<CommunityId, Community>,
    /// How many communities there are of each name.
    names: HashMap<CommunityTag, usize>,
    members: usize,
}

#[derive(Debug)]
struct Community {
    tag: CommunityTag,
    members: HashMap<PublicKey, Member>,
    /// The same by the version of their last change.
    by_version: BTreeMap<u32, PublicKey>,
    departures: BTreeMap<u32, PublicKey>,
    /// The same by who left: somebody who comes and goes is in it once, or not at all.
    left: HashMap<PublicKey, u32>,
    /// What has left before this is forgotten.
    forgotten: u32,
    version: u32,
}

impl Registry {
    /// An empty registry.
    pub fn new(limits: RegistryLimits) -> Registry {
        Registry {
            limits,
            communities: HashMap::new(),
            names: HashMap::new(),
            members: 0,
        }
    }

    /// Members of all communities.
    pub fn len(&self) -> usize {
        self.members
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.members == 0
    }

    /// How many communities there are.
    pub fn communities(&self) -> usize {
        self.communities.len()
    }

    /// How many members a community has.
    pub fn members(&self, community: CommunityId) -> usize {
        self.communities
            .get(&community)
            .map_or(0, |found| found.members.len())
    }

    /// How many communities have this name and another secret.
    pub fn namesakes(&self, community: CommunityId, tag: CommunityTag) -> usize {
        let all = self.names.get(&tag).copied().unwrap_or(0);
        let own = self
            .communities
            .get(&community)
            .is_some_and(|found| found.tag == tag);
        all - usize::from(own)
    }

    /// The members of a community.
    pub fn keys(&self, community: CommunityId) -> impl Iterator<Item = &PublicKey> {
        let found = self.communities.get(&community);
        found.into_iter().flat_map(|found| found.by_version.values())
    }

    /// Whether the others are told just this of a member.
    pub fn is_told(&self, community: CommunityId, key: &PublicKey, profile: &Profile) -> bool {
        let found = self.communities.get(&community);
        let member = found.and_then(|found| found.members.get(key));
        member.is_some_and(|member| member.profile == *profile)
    }

    /// Takes somebody in, or hears again of a member. Returns whether the others have something new to hear.
    ///
    /// # Errors
    /// If there is no more room; a member is never turned out for another.
    pub fn register(
        &mut self,
        community: CommunityId,
        tag: CommunityTag,
        key: PublicKey,
        profile: Profile,
    ) -> Result<bool, Full> {
        if let Some(found) = self.communities.get_mut(&community)
            && let Some(member) = found.members.get_mut(&key)
        {
            if member.profile == profile {
                return Ok(false);
            }
            member.profile = profile;
            found.by_version.remove(&member.version);
            found.version += 1;
            member.version = found.version;
            found.by_version.insert(found.version, key);
            return Ok(true);
        }
        if self.members >= self.limits.members {
            return Err(Full::Registry);
        }
        if !self.communities.contains_key(&community) {
            if self.communities.len() >= self.limits.communities {
                return Err(Full::Communities);
            }
            *self.names.entry(tag).or_default() += 1;
        }
        let found = self.communities.entry(community).or_insert_with(|| Community {
            tag,
            members: HashMap::new(),
            by_version: BTreeMap::new(),
            departures: BTreeMap::new(),
            left: HashMap::new(),
            forgotten: 0,
            version: 0,
        });
        if found.members.len() >= self.limits.per_community {
            return Err(Full::Community);
        }
        if let Some(version) = found.left.remove(&key) {
            found.departures.remove(&version);
        }
        found.version += 1;
        found.by_version.insert(found.version, key);
        let member = Member {
            profile,
            version: found.version,
        };
        found.members.insert(key, member);
        self.members += 1;
        Ok(true)
    }

    /// A member leaves.
    pub fn remove(&mut self, community: CommunityId, key: &PublicKey) -> bool {
        let Some(found) = self.communities.get_mut(&community) else {
            return false;
        };
        let Some(member) = found.members.remove(key) else {
            return false;
        };
        self.members -= 1;
        found.by_version.remove(&member.version);
        if found.members.is_empty() {
            let tag = found.tag;
            self.communities.remove(&community);
            if let Some(count) = self.names.get_mut(&tag) {
                *count -= 1;
                if *count == 0 {
                    self.names.remove(&tag);
                }
            }
            return true;
        }
        found.version += 1;
        found.departures.insert(found.version, *key);
        found.left.insert(*key, found.version);
        while found.departures.len() > self.limits.departures {
            if let Some((version, key)) = found.departures.pop_first() {
                found.left.remove(&key);
                found.forgotten = version;
            }
        }
        true
    }

    /// What changed in a community since a bookmark, at most `most` of it.
    pub fn changes(&self, community: CommunityId, from: Bookmark, most: usize) -> Changes<'_> {
        let Some(found) = self.communities.get(&community) else {
            return Changes {
                changes: vec![],
                next: Bookmark::default(),
                more: 0,
                anew: true,
            };
        };
        let known = found.forgotten.max(1)..=found.version;
        let anew = !known.contains(&from.begun) || from.cursor > found.version;
        let from = match anew {
            true => Bookmark {
                cursor: 0,
                begun: found.version,
            },
            false => from,
        };
        let members = found.by_version.range((Excluded(from.cursor), Unbounded));
        let left_after = from.cursor.max(from.begun);
        let departures = found.departures.range((Excluded(left_after), Unbounded));
        // One more than fit of each: to count all that follow would cost more than to tell of these.
        let looked = most.saturating_add(1);
        let mut listed: Vec<(u32, bool, &PublicKey)> = members
            .map(|(version, key)| (*version, true, key))
            .take(looked)
            .chain(
                departures
                    .map(|(version, key)| (*version, false, key))
                    .take(looked),
            )
            .collect();
        listed.sort_unstable();
        let more = listed.len().saturating_sub(most);
        listed.truncate(most);
        let next = match listed.last() {
            Some((version, ..)) if more > 0 => Bookmark {
                cursor: *version,
                ..from
            },
            _ => Bookmark {
                cursor: found.version,
                begun: found.version,
            },
        };
        let changes = listed
            .into_iter()
            .filter_map(|(_, here, key)| match here {
                true => Some(Change::Member(key, &found.members.get(key)?.profile)),
                false => Some(Change::Gone(key)),
            })
            .collect();
        Changes {
            changes,
            next,
            more,
            anew,
        }
    }

    /// How long a registration lives that was asked for so long.
    pub fn lifetime(asked: Duration) -> Duration {
        asked.clamp(Duration::from_secs(20), Duration::from_secs(600))
    }
}

#[cfg(test)]
mod tests;
