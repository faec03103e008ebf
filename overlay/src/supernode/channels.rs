//! Channels: pairs of members that a relay carries datagrams between, without keys and without looking inside.

use super::crowd::Crowd;
use crate::PublicKey;
use halloo_base::{Mono, Path, Rng};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

/// How much a relay carries.
#[derive(Clone, Copy, Debug)]
pub struct ChannelLimits {
    /// Channels at a time.
    pub channels: usize,
    /// Channels that one member may have opened.
    pub per_member: usize,
    /// Channels that members from one prefix of addresses may have opened, 24 bits of IPv4 or 48 of IPv6.
    pub per_prefix: usize,
    /// How long a channel lives that nobody opens again.
    pub lifetime: Duration,
}

impl Default for ChannelLimits {
    fn default() -> ChannelLimits {
        ChannelLimits {
            channels: 65_536,
            per_member: 1_024,
            // All hosts of a /24 may be carried to each other.
            per_prefix: 32_768,
            lifetime: Duration::from_secs(120),
        }
    }
}

/// Somebody at an end of a channel. The same key in two communities is two members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId<C> {
    /// The community.
    pub community: C,
    /// The member's key.
    pub key: PublicKey,
}

/// Where a datagram that came on a channel is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Onward {
    /// The way to the other member.
    pub path: Path,
    /// The number by which he knows the channel.
    pub number: u32,
}

/// Why there is no channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoChannel {
    /// The relay carries as many as it may.
    #[error("this relay has as many channels as it may")]
    Full,
    /// The member has as many as it may.
    #[error("this member has as many channels as it may")]
    TooMany,
    /// Members where this one is have as many as they may.
    #[error("members of your network have as many channels as they may")]
    Crowded,
}

#[derive(Debug)]
struct End<C> {
    member: MemberId<C>,
    path: Path,
    number: u32,
}

#[derive(Debug)]
struct Pair<C> {
    ends: [End<C>; 2],
    opener: MemberId<C>,
    /// Where the opener was then: it is that network's place which the channel takes.
    opened_from: IpAddr,
    expires: Mono,
}

/// All channels of a relay.
#[derive(Debug)]
pub struct Channels<C> {
    limits: ChannelLimits,
    pairs: HashMap<u64, Pair<C>>,
    /// Which pair and which of its ends a number belongs to.
    numbers: HashMap<u32, (u64, usize)>,
    by_pair: HashMap<(MemberId<C>, MemberId<C>), u64>,
    by_member: BTreeMap<MemberId<C>, BTreeSet<u64>>,
    opened: HashMap<MemberId<C>, usize>,
    crowd: Crowd,
    ends: BTreeSet<(Mono, u64)>,
    next: u64,
}

impl<C: Copy + Ord + std::hash::Hash> Channels<C> {
    /// None yet.
    pub fn new(limits: ChannelLimits) -> Channels<C> {
        Channels {
            limits,
            crowd: Crowd::new(limits.per_prefix),
            pairs: HashMap::new(),
            numbers: HashMap::new(),
            by_pair: HashMap::new(),
            by_member: BTreeMap::new(),
            opened: HashMap::new(),
            ends: BTreeSet::new(),
            next: 0,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// How long a channel lives after it was opened, or opened again.
    pub fn lifetime(&self) -> Duration {
        self.limits.lifetime
    }

    /// Opens a channel, or opens it again for longer. Returns the two numbers, the opener's first.
    ///
    /// # Errors
    /// If there are too many.
    pub fn open(
        &mut self,
        opener: (MemberId<C>, Path),
        other: (MemberId<C>, Path),
        rng: &mut Rng,
        now: Mono,
    ) -> Result<(u32, u32), NoChannel> {
        let expires = now + self.limits.lifetime;
        let names = sorted(opener.0, other.0);
        if let Some(&id) = self.by_pair.get(&names)
            && let Some(pair) = self.pairs.get_mut(&id)
        {
            self.ends.remove(&(pair.expires, id));
            pair.expires = expires;
            self.ends.insert((expires, id));
            for (member, path) in [opener, other] {
                for end in pair.ends.iter_mut().filter(|end| end.member == member) {
                    end.path = path;
                }
            }
            let [one, two] = [pair.ends[0].number, pair.ends[1].number];
            return Ok(if pair.ends[0].member == opener.0 {
                (one, two)
            } else {
                (two, one)
            });
        }
        if self.pairs.len() >= self.limits.channels {
            return Err(NoChannel::Full);
        }
        if self.opened.get(&opener.0).copied().unwrap_or(0) >= self.limits.per_member {
            return Err(NoChannel::TooMany);
        }
        let opened_from = opener.1.remote.ip();
        if !self.crowd.has_room(opened_from) {
            return Err(NoChannel::Crowded);
        }
        self.crowd.add(opened_from);
        let id = self.next;
        self.next += 1;
        let ends = [opener, other].map(|(member, path)| End {
            member,
            path,
            number: 0,
        });
        let mut pair = Pair {
            ends,
            opener: opener.0,
            opened_from,
            expires,
        };
        for (side, end) in pair.ends.iter_mut().enumerate() {
            end.number = self.free_number(rng);
            self.numbers.insert(end.number, (id, side));
            self.by_member.entry(end.member).or_default().insert(id);
        }
        let numbers = (pair.ends[0].number, pair.ends[1].number);
        *self.opened.entry(opener.0).or_default() += 1;
        self.by_pair.insert(names, id);
        self.ends.insert((expires, id));
        self.pairs.insert(id, pair);
        Ok(numbers)
    }

    /// Where what came from `from` with this number is to go. Nowhere, if the number is not the one of a member who is
    /// there.
    pub fn onward(&self, number: u32, from: &Path) -> Option<Onward> {
        let &(id, side) = self.numbers.get(&number)?;
        let pair = self.pairs.get(&id)?;
        let other = &pair.ends[1 - side];
        (pair.ends[side].path.remote == from.remote).then_some(Onward {
            path: other.path,
            number: other.number,
        })
    }

    /// A member is reached by another way now.
    pub fn moved(&mut self, member: MemberId<C>, path: Path) {
        for id in self.by_member.get(&member).into_iter().flatten() {
            if let Some(pair) = self.pairs.get_mut(id) {
                for end in pair.ends.iter_mut().filter(|end| end.member == member) {
                    end.path = path;
                }
            }
        }
    }

    /// A member has left: so have its channels.
    pub fn left(&mut self, member: MemberId<C>) {
        while let Some(&id) = self.by_member.get(&member).and_then(BTreeSet::first) {
            self.close(id);
        }
    }

    /// When the next channel ends.
    pub fn deadline(&self) -> Option<Mono> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// Ends the channels whose time has come.
    pub fn expire(&mut self, now: Mono) {
        while let Some(&(at, id)) = self.ends.first()
            && at <= now
        {
            self.close(id);
        }
    }

    fn close(&mut self, id: u64) {
        let Some(pair) = self.pairs.remove(&id) else {
            return;
        };
        self.ends.remove(&(pair.expires, id));
        self.crowd.remove(pair.opened_from);
        self.by_pair
            .remove(&sorted(pair.ends[0].member, pair.ends[1].member));
        for end in &pair.ends {
            self.numbers.remove(&end.number);
            if let Some(ids) = self.by_member.get_mut(&end.member) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.by_member.remove(&end.member);
                }
            }
        }
        if let Some(count) = self.opened.get_mut(&pair.opener) {
            *count -= 1;
            if *count == 0 {
                self.opened.remove(&pair.opener);
            }
        }
    }

    fn free_number(&self, rng: &mut Rng) -> u32 {
        loop {
            let number = rng.below(1 << 32) as u32;
            if number != 0 && !self.numbers.contains_key(&number) {
                return number;
            }
        }
    }
}

fn sorted<C: Ord>(one: MemberId<C>, two: MemberId<C>) -> (MemberId<C>, MemberId<C>) {
    if one <= two { (one, two) } else { (two, one) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halloo_base::LinkId;

    fn member(number: u8) -> MemberId<u8> {
        MemberId {
            community: 1,
            key: PublicKey([number; 32]),
        }
    }

    fn path(last: u8) -> Path {
        Path {
            link: LinkId::default(),
            local: "0.0.0.0:7654".parse().expect("an address"),
            remote: ([192, 0, 2, last], 7_654).into(),
        }
    }

    fn at(seconds: u64) -> Mono {
        Mono::default() + Duration::from_secs(seconds)
    }

    fn channels(limits: ChannelLimits) -> (Channels<u8>, Rng) {
        (Channels::new(limits), Rng::new(1))
    }

    #[test]
    fn what_one_sends_goes_to_the_other_and_to_nobody_else() {
        let (mut channels, mut rng) = channels(ChannelLimits::default());
        let [one, two] = [1, 2].map(|number| (member(number), path(number)));
        let (ours, theirs) = channels.open(one, two, &mut rng, at(0)).expect("room");
        let onward = |number, path| Some(Onward { number, path });
        assert_eq!(channels.onward(ours, &path(1)), onward(theirs, path(2)));
        assert_eq!(channels.onward(theirs, &path(2)), onward(ours, path(1)));
        assert_eq!(channels.onward(ours, &path(2)), None, "another's number");
        assert_eq!(channels.onward(ours, &path(9)), None, "a stranger");
        assert_eq!(channels.onward(ours ^ 1, &path(1)), None);
        let again = channels.open(two, one, &mut rng, at(60)).expect("room");
        assert_eq!((again, channels.len()), ((theirs, ours), 1));
    }

    #[test]
    fn a_member_may_move() {
        let (mut channels, mut rng) = channels(ChannelLimits::default());
        let (ours, theirs) = channels
            .open((member(1), path(1)), (member(2), path(2)), &mut rng, at(0))
            .expect("room");
        channels.moved(member(1), path(77));
        assert_eq!(channels.onward(ours, &path(1)), None);
        assert_eq!(
            channels.onward(theirs, &path(2)).map(|onward| onward.path),
            Some(path(77))
        );
    }

    #[test]
    fn channels_end_with_their_time_and_with_their_members() {
        let (mut channels, mut rng) = channels(ChannelLimits::default());
        let ends = |number| (member(number), path(number));
        channels.open(ends(1), ends(2), &mut rng, at(0)).expect("room");
        let (late, _) = channels.open(ends(1), ends(3), &mut rng, at(50)).expect("room");
        assert_eq!(channels.deadline(), Some(at(120)));
        channels.expire(at(120));
        assert_eq!(channels.len(), 1);
        assert!(channels.onward(late, &path(1)).is_some());
        channels.left(member(3));
        assert!(channels.is_empty() && channels.numbers.is_empty() && channels.opened.is_empty());
        assert!(
            channels.crowd.is_empty()
                && channels.by_member.is_empty()
                && channels.by_pair.is_empty()
                && channels.ends.is_empty()
        );
    }

    #[test]
    fn there_is_an_end_to_it() {
        let limits = ChannelLimits {
            channels: 3,
            per_member: 2,
            ..ChannelLimits::default()
        };
        let (mut channels, mut rng) = channels(limits);
        let mut open = |one, two| {
            let ends = |number| (member(number), path(number));
            channels.open(ends(one), ends(two), &mut rng, at(0)).map(|_| ())
        };
        assert_eq!((open(1, 2), open(1, 3)), (Ok(()), Ok(())));
        assert_eq!(open(1, 4), Err(NoChannel::TooMany));
        assert_eq!(open(2, 1), Ok(()), "it is there already");
        assert_eq!(open(4, 1), Ok(()), "it is his then");
        assert_eq!(open(5, 6), Err(NoChannel::Full));
    }

    #[test]
    fn members_of_one_network_leave_room_for_others() {
        let limits = ChannelLimits {
            per_prefix: 2,
            ..ChannelLimits::default()
        };
        let (mut channels, mut rng) = channels(limits);
        let far = |number| {
            let remote = ([198, 51, 100, number], 7_654).into();
            let path = Path {
                remote,
                ..path(number)
            };
            (member(number), path)
        };
        let near = |number| (member(number), path(number));
        let mut open = |one, other| channels.open(one, other, &mut rng, at(0)).map(|_| ());
        assert_eq!((open(near(1), near(2)), open(near(3), far(4))), (Ok(()), Ok(())));
        assert_eq!(open(near(5), far(6)), Err(NoChannel::Crowded));
        assert_eq!(open(near(2), near(1)), Ok(()), "it is there already");
        assert_eq!(open(far(6), near(5)), Ok(()), "it is the other's then");
        // Wherever who opened it is now, it takes the place that it took.
        channels.moved(member(1), far(1).1);
        channels.left(member(1));
        assert!(channels.open(near(7), near(8), &mut rng, at(0)).is_ok());
    }
}
