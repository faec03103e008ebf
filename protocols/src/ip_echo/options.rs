//! IPv4 options: read one by one, made for a request, turned round for an echo (RFC 791 section 3.1, RFC 2075).

use super::ipv4;
use halloo_base::{IpOptions, Reason};
use std::fmt;
use std::net::Ipv4Addr;

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE: u8 = 131;
const STRICT: u8 = 137;

/// Octets of type, length and pointer before a route's addresses. A pointer counts from 1, so the first is 4.
const ROUTE_HEAD: usize = 3;
/// The same with the octet of overflow and flags before the timestamps; the first pointer is 5.
const TIMESTAMP_HEAD: usize = 4;
/// Options fill a header up to 60 octets.
const MOST: usize = 40;
/// As many addresses fit behind a no-operation and a route's head.
const MOST_HOPS: usize = 9;

/// Flags of a timestamp option.
const WITH_ADDRESSES: u8 = 1;
const PRESPECIFIED: u8 = 3;

/// One option: its type, and all its octets.
struct RawOption {
    kind: u8,
    at: usize,
    len: usize,
}

/// The options one by one; `Err` once, at the first that does not hold together.
struct Walk<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Iterator for Walk<'_> {
    type Item = Result<RawOption, Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.octets.get(self.at) == Some(&NO_OPERATION) {
            self.at += 1;
        }
        let at = self.at;
        let kind = *self.octets.get(at).filter(|&&kind| kind != END)?;
        let len = self.octets.get(at + 1).map_or(0, |&len| usize::from(len));
        if len < 2 || at + len > self.octets.len() {
            self.at = self.octets.len();
            return Some(Err(Reason::BadOption));
        }
        self.at += len;
        Some(Ok(RawOption { kind, at, len }))
    }
}

fn walk(octets: &[u8]) -> Walk<'_> {
    Walk { octets, at: 0 }
}

/// The places of a route's addresses that were passed already, or an error for a pointer that points nowhere.
fn route_pointer(option: &[u8]) -> Result<usize, Reason> {
    pointer(option, ROUTE_HEAD, 4)
}

/// Octets behind the head of `option` that its pointer has passed: whole entries, and never more than there are.
///
/// Room for half an entry stays empty: who asks for times and addresses in all 40 octets leaves some.
fn pointer(option: &[u8], head: usize, entry: usize) -> Result<usize, Reason> {
    let room = option.len().checked_sub(head).ok_or(Reason::BadOption)?;
    let passed = usize::from(option[2])
        .checked_sub(head + 1)
        .ok_or(Reason::BadOption)?;
    // Anything beyond the last entry means that there is no room left.
    let passed = passed.min(room - room % entry);
    if room % 4 == 0 && passed % entry == 0 {
        Ok(passed)
    } else {
        Err(Reason::BadOption)
    }
}

/// Turns the options of a datagram round that came from `source` to `echo`, one of `own`, as if it had begun at the
/// echo host. Returns where it goes first, if not to its source: the last hop of the route that it came by.
///
/// # Errors
/// [`Reason::IncompleteSourceRoute`] for a route that does not end here, [`Reason::BadOption`] for anything that does
/// not hold together: such a datagram is not echoed.
pub(super) fn turn_round(
    octets: &mut [u8],
    source: Ipv4Addr,
    echo: Ipv4Addr,
    own: &[Ipv4Addr],
) -> Result<Option<Ipv4Addr>, Reason> {
    let mut first_hop = None;
    let mut routes = 0;
    let mut at = 0;
    while let Some(option) = (Walk { octets, at }).next() {
        let RawOption { kind, at: start, len } = option?;
        let bytes = &mut octets[start..start + len];
        match kind {
            LOOSE | STRICT => {
                routes += 1;
                first_hop = reverse(bytes, source, own)?;
            }
            RECORD_ROUTE => forget_route(bytes)?,
            TIMESTAMP => keep_own_timestamp(bytes, source, echo)?,
            _ => {}
        }
        at = start + len;
    }
    // At most one (RFC 1122 section 3.2.1.8).
    if routes > 1 {
        Err(Reason::BadOption)
    } else {
        Ok(first_hop)
    }
}

/// The recorded hops, backwards, become the route; its end is who sent the datagram.
fn reverse(option: &mut [u8], source: Ipv4Addr, own: &[Ipv4Addr]) -> Result<Option<Ipv4Addr>, Reason> {
    let passed = route_pointer(option)?;
    let (head, hops) = option.split_at_mut(ROUTE_HEAD);
    if passed < hops.len() {
        return Err(Reason::IncompleteSourceRoute);
    }
    let honest = |hop: &[u8]| {
        let hop = Ipv4Addr::new(hop[0], hop[1], hop[2], hop[3]);
        ipv4::is_host(hop) && !own.contains(&hop)
    };
    if !hops.chunks_exact(4).all(honest) {
        return Err(Reason::BadOption);
    }
    head[2] = ROUTE_HEAD as u8 + 1;
    // Addresses backwards: the whole turned round, and then each address turned back.
    hops.reverse();
    hops.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    let Some(first) = hops.first_chunk::<4>().copied() else {
        return Ok(None);
    };
    // The first goes into the header's destination, the rest moves up, and the sender comes last.
    hops.copy_within(4.., 0);
    let last = hops.len() - 4;
    hops[last..].copy_from_slice(&source.octets());
    Ok(Some(first.into()))
}

/// What was recorded on the way here is not part of a way that begins here.
fn forget_route(option: &mut [u8]) -> Result<(), Reason> {
    route_pointer(option)?;
    option[2] = ROUTE_HEAD as u8 + 1;
    option[ROUTE_HEAD..].fill(0);
    Ok(())
}

/// If the sender put its own time in first, the option looks as if the echo host had: its address in the sender's place,
/// and nothing behind it. Otherwise it stays as it is.
fn keep_own_timestamp(option: &mut [u8], source: Ipv4Addr, echo: Ipv4Addr) -> Result<(), Reason> {
    let flags = *option.get(3).ok_or(Reason::BadOption)? & 0x0f;
    let entry = match flags {
        WITH_ADDRESSES | PRESPECIFIED => 8,
        0 => 4,
        _ => return Err(Reason::BadOption),
    };
    let passed = pointer(option, TIMESTAMP_HEAD, entry)?;
    let (head, entries) = option.split_at_mut(TIMESTAMP_HEAD);
    let is_own = entry == 8 && passed > 0 && entries.starts_with(&source.octets());
    if !is_own {
        return Ok(());
    }
    head[2] = (TIMESTAMP_HEAD + 1 + entry) as u8;
    head[3] = flags;
    let (own, later) = entries.split_at_mut(entry);
    own[..4].copy_from_slice(&echo.octets());
    for later in later.chunks_mut(entry) {
        // Prespecified addresses are a question, not an answer: they stay.
        let kept = if flags == PRESPECIFIED { 4 } else { 0 };
        later[kept..].fill(0);
    }
    Ok(())
}

/// What an option says, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Described {
    /// Addresses, those that were passed first (RFC 791: record route, loose and strict source route).
    Route {
        /// Which of the three.
        kind: RouteKind,
        /// The addresses that the pointer has passed.
        passed: Vec<Ipv4Addr>,
        /// The addresses that it has not: what a source route still goes to, or the room of a record.
        ahead: Vec<Ipv4Addr>,
    },
    /// Times, each of the hop that put it in.
    Timestamps {
        /// Entries that were filled in: the address where the option has them, and the time.
        entries: Vec<(Option<Ipv4Addr>, HopTime)>,
        /// How many hops found no room (0 to 15).
        overflow: u8,
    },
    /// Another option, by its type octet.
    Other(u8),
    /// The rest does not hold together.
    Broken,
}

/// What a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Hops write their addresses into it.
    Record,
    /// These hops are to be passed, with others between them.
    Loose,
    /// These hops are to be passed and no others.
    Strict,
}

/// A timestamp as a hop wrote it: milliseconds since midnight UT, or with the highest bit anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HopTime(pub u32);

/// What the options of an answer say, in their order; no-operations and the end are left out. Any octets are fine.
pub fn describe(options: &IpOptions) -> Vec<Described> {
    let octets = options.octets();
    let one = |option: Result<RawOption, Reason>| {
        let RawOption { kind, at, len } = option.ok()?;
        let bytes = &octets[at..at + len];
        match kind {
            RECORD_ROUTE => describe_route(RouteKind::Record, bytes),
            LOOSE => describe_route(RouteKind::Loose, bytes),
            STRICT => describe_route(RouteKind::Strict, bytes),
            TIMESTAMP => describe_timestamps(bytes),
            kind => Some(Described::Other(kind)),
        }
    };
    walk(octets)
        .map(|option| one(option).unwrap_or(Described::Broken))
        .collect()
}

fn describe_route(kind: RouteKind, option: &[u8]) -> Option<Described> {
    let passed = route_pointer(option).ok()?;
    let (passed, ahead) = option[ROUTE_HEAD..].split_at(passed);
    let addresses = |octets: &[u8]| {
        let hops = octets.chunks_exact(4);
        hops.map(|hop| Ipv4Addr::new(hop[0], hop[1], hop[2], hop[3]))
            .collect()
    };
    Some(Described::Route {
        kind,
        passed: addresses(passed),
        ahead: addresses(ahead),
    })
}

fn describe_timestamps(option: &[u8]) -> Option<Described> {
    let state = *option.get(3)?;
    let has_addresses = matches!(state & 0x0f, WITH_ADDRESSES | PRESPECIFIED);
    let size = if has_addresses { 8 } else { 4 };
    let passed = pointer(option, TIMESTAMP_HEAD, size).ok()?;
    let time = |octets: &[u8]| HopTime(octets.iter().fold(0, |time, &octet| time << 8 | u32::from(octet)));
    let entry = |entry: &[u8]| {
        let address = has_addresses.then(|| Ipv4Addr::new(entry[0], entry[1], entry[2], entry[3]));
        (address, time(&entry[size - 4..]))
    };
    let filled = &option[TIMESTAMP_HEAD..TIMESTAMP_HEAD + passed];
    Some(Described::Timestamps {
        entries: filled.chunks_exact(size).map(entry).collect(),
        overflow: state >> 4,
    })
}

impl HopTime {
    /// Milliseconds since midnight UT, if that is what it is.
    pub fn since_midnight(self) -> Option<u32> {
        (self.0 < 86_400_000).then_some(self.0)
    }
}

impl fmt::Display for HopTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.since_midnight() {
            Some(ms) => {
                let (seconds, ms) = (ms / 1_000, ms % 1_000);
                let (minutes, seconds) = (seconds / 60, seconds % 60);
                write!(f, "{:02}:{:02}:{seconds:02}.{ms:03}", minutes / 60, minutes % 60)
            }
            None => write!(f, "{:#010x}", self.0),
        }
    }
}

/// What a request asks of the hops on its way, as octets of IP options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Hops to pass, with others between them, before the echo address; empty for none.
    pub source_route: Vec<Ipv4Addr>,
    /// Hops are to write down their addresses.
    pub record_route: bool,
    /// Hops are to write down the time; `Some(true)` with their addresses.
    pub timestamps: Option<bool>,
}

/// Why options cannot be asked for together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskedError {
    /// A header has room for 40 octets.
    #[error("a source route has room for {MOST_HOPS} hops, and {0} are named")]
    TooManyHops(usize),
    /// What is left for one of them would hold nothing.
    #[error(
        "there is no room in an IPv4 header for all of these options; leave out one, or hops of the source route"
    )]
    NoRoom,
}

impl Asked {
    /// The octets as setsockopt(2) IP_OPTIONS takes them, padded to whole words: empty if nothing is asked. A source
    /// route names the hops only there: the kernel puts the first into the header and the destination last.
    ///
    /// What has no length of its own takes what room is left: a record before timestamps, half each.
    ///
    /// # Errors
    /// If they do not fit together.
    pub fn octets(&self) -> Result<Vec<u8>, AskedError> {
        let mut octets = vec![];
        if !self.source_route.is_empty() {
            if self.source_route.len() > MOST_HOPS {
                return Err(AskedError::TooManyHops(self.source_route.len()));
            }
            let route: Vec<u8> = self.source_route.iter().flat_map(Ipv4Addr::octets).collect();
            octets.extend([NO_OPERATION, LOOSE, (ROUTE_HEAD + route.len()) as u8, 4]);
            octets.extend(route);
        }
        let left = MOST - octets.len();
        let for_record = match (self.record_route, self.timestamps) {
            (false, _) => 0,
            (true, None) => left,
            (true, Some(_)) => left / 2,
        };
        if self.record_route {
            let slots = room_for(for_record, ROUTE_HEAD + 1, 4)?;
            octets.extend([NO_OPERATION, RECORD_ROUTE, (ROUTE_HEAD + slots) as u8, 4]);
            octets.extend(vec![0; slots]);
        }
        if let Some(with_addresses) = self.timestamps {
            let entry = if with_addresses { 8 } else { 4 };
            let slots = room_for(MOST - octets.len(), TIMESTAMP_HEAD, entry)?;
            let flags = if with_addresses { WITH_ADDRESSES } else { 0 };
            octets.extend([TIMESTAMP, (TIMESTAMP_HEAD + slots) as u8, 5, flags]);
            octets.extend(vec![0; slots]);
        }
        Ok(octets)
    }
}

/// Octets for whole entries behind a head.
fn room_for(room: usize, head: usize, entry: usize) -> Result<usize, AskedError> {
    match room.checked_sub(head).map(|room| room - room % entry) {
        Some(slots @ 1..) => Ok(slots),
        _ => Err(AskedError::NoRoom),
    }
}
