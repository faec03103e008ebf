//! The structured probe, version 1: one layout for request and reply. `docs/wire/probe.md` is its specification;
//! a test reads the examples out of that document.

use super::pingback::Outcome;
use halloo_base::Wall;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::time::Duration;

/// The first four bytes of every probe. The document tells why these.
pub const MAGIC: [u8; 4] = [0xf7, b'h', b'l', b'o'];
/// The version that this code speaks.
pub const VERSION: u8 = 1;
/// Length of the base section, in bytes.
pub const BASE: usize = 64;
/// Length of the base section and the wide section together, in bytes.
pub const WIDE: usize = 112;
/// Length of the base, the wide and the pingback section together, in bytes.
pub const PINGBACK: usize = WIDE + PINGBACK_SECTION;
/// Length of the HMAC tag, in bytes.
pub const TAG: usize = 16;
/// How many requests, the newest included, the window of a wide reply covers.
pub const WINDOW: u8 = 96;

/// So much of a probe tells whose it is and which.
const NUMBERED: usize = 20;
const VERSION_AT: usize = 4;
const FLAGS_AT: usize = 5;
const REPLY: u8 = 0x80;
const KERNEL_STAMP: u8 = 0x40;
const AUTHENTICATED: u8 = 0x20;
const COOKIE_ACCEPTED: u8 = 0x10;
const ASKS_BACK: u8 = 0x08;
const OTHER_PORT: u8 = 0x01;
const OTHER_ADDRESS: u8 = 0x02;
const UNKNOWN_RESIDENCE: u32 = u32::MAX;

/// The fields of one probe. A request leaves everything at zero that is not marked as set by the requester.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The bytes that belong to the probe, tag included; what follows is padding. Set by the requester: at least
    /// [`BASE`], [`WIDE`] with a wide section, each [`TAG`] more if authenticated.
    pub length: u16,
    /// The flags octet.
    pub flags: Flags,
    /// The session, drawn at random by the requester; it stays when a NAT changes the address.
    pub token: u64,
    /// The low 32 bits of the request's number in its session. Set by the requester.
    pub seq: u32,
    /// Distinct requests of this session that the responder has received so far, this one included, modulo 2^32.
    pub received: u32,
    /// When the request departed, as the requester knew while it wrote this. Set by the requester.
    pub t1: Wall,
    /// When the request arrived.
    pub t2: Wall,
    /// T3 minus T2 in nanoseconds on the responder's monotonic clock; `None` if unknown or 2^32 - 1 and more.
    pub residence: Option<u32>,
    /// The exact residence of an earlier answer.
    pub follow_up: Option<FollowUp>,
    /// Bit 0 is this request, bit `n` says that the request `n` before it has arrived.
    pub window: u32,
    /// How many bits of `window` and [`Wide::window`] together mean anything: 0 (the responder keeps no sessions)
    /// to [`WINDOW`].
    pub window_len: u8,
    /// TTL or hop limit of the request on arrival.
    pub ttl: Option<NonZeroU8>,
    /// TOS or traffic class octet of the request on arrival.
    pub tos: u8,
    /// The requester's port as the responder saw it.
    pub port: u16,
    /// The least interval between requests that the responder asks for, in units of 100 us; 0 for none.
    pub min_interval: u16,
    /// The requester's IPv4 address as the responder saw it; unspecified for IPv6.
    pub ipv4: Ipv4Addr,
    /// What follows where the requester made room for it.
    pub wide: Option<Wide>,
    /// What is to be sent later, behind the wide section.
    pub pingback: Option<Pingback>,
}

/// The flags octet; three of its bits are reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags {
    /// R: this is an answer. It is never answered.
    pub reply: bool,
    /// K: T2 is the stamp of the kernel or the interface.
    pub kernel_stamp: bool,
    /// H: the last 16 bytes of the probe are a tag. Set by the requester.
    pub authenticated: bool,
    /// C: the request's cookie was right.
    pub cookie_accepted: bool,
    /// P: there is a pingback section; in a reply without one, this is what was asked for by it. Set by the requester.
    pub pingback: bool,
}

/// The exact residence of an earlier answer, known only after it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowUp {
    /// This `seq` minus the earlier answer's.
    pub distance: NonZeroU8,
    /// Kernel departure minus kernel arrival, in nanoseconds.
    pub residence: u32,
}

/// The wide section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wide {
    /// In a reply a fresh cookie for this address and port; in a request the last one received, or 0.
    pub cookie: u64,
    /// Bits 32 to 95 of the window.
    pub window: u64,
    /// The requester's address as the responder saw it, IPv4 as `::ffff:a.b.c.d`.
    pub addr: Ipv6Addr,
    /// When the answer departed, as the responder knew while it wrote this.
    pub t3: Wall,
    /// Which of the operator's hosts answered; 0 where it has no number.
    pub server_id: u32,
    /// How far the responder's wall clock may be from UTC, in microseconds; 0 where it does not claim to know.
    pub clock_error: u32,
}

/// The pingback section: what a requester wants to be sent later, and what it is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pingback {
    /// How many datagrams.
    pub count: u16,
    /// Whether from the responder's other port.
    pub other_port: bool,
    /// Whether from its other address.
    pub other_address: bool,
    /// What became of the request. A request says [`Outcome::Granted`].
    pub outcome: Outcome,
    /// The time between two of them: whole microseconds, up to 71 minutes.
    pub gap: Duration,
    /// The time before the first: whole milliseconds, up to 49 days.
    pub silence: Duration,
}

/// Why bytes are not a probe that this version understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProbe {
    /// They do not begin with the magic and five more octets.
    #[error("not a probe")]
    Magic,
    /// Another version.
    #[error("probe of version {0}")]
    Version(u8),
    /// Too short for what the length field or the flags promise.
    #[error("probe cut short or of wrong length")]
    Length,
}

/// The buffer, or the value's `length`, is too short for the sections of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a probe of this length has no room for its sections")]
pub struct Unfit;

/// Whether a datagram begins with the magic, whatever follows.
pub fn has_magic(datagram: &[u8]) -> bool {
    datagram.starts_with(&MAGIC)
}

/// Whether a datagram is an answer of halloo's, in any version: the place of the R flag is fixed for all.
pub fn is_reply(datagram: &[u8]) -> bool {
    has_magic(datagram) && datagram.get(FLAGS_AT).is_some_and(|flags| flags & REPLY != 0)
}

/// The token and the number of a request of this version, of which no more than the beginning is there.
pub fn quoted_request(start: &[u8]) -> Option<(u64, u32)> {
    let head: &[u8; NUMBERED] = start.first_chunk()?;
    let is_request = has_magic(head) && head[VERSION_AT] == VERSION && !is_reply(head);
    is_request.then(|| {
        (
            u64::from_be_bytes(take(head, 8)),
            u32::from_be_bytes(take(head, 16)),
        )
    })
}

impl Probe {
    /// A request; everything that the responder sets is zero.
    pub fn request(token: u64, seq: u32, wide: bool, authenticated: bool) -> Probe {
        let sections = if wide { WIDE } else { BASE };
        let length = sections + if authenticated { TAG } else { 0 };
        Probe {
            length: length as u16,
            flags: Flags {
                authenticated,
                ..Flags::default()
            },
            token,
            seq,
            received: 0,
            t1: Wall(0),
            t2: Wall(0),
            residence: Some(0),
            follow_up: None,
            window: 0,
            window_len: 0,
            ttl: None,
            tos: 0,
            port: 0,
            min_interval: 0,
            ipv4: Ipv4Addr::UNSPECIFIED,
            wide: wide.then_some(Wide::EMPTY),
            pingback: None,
        }
    }

    /// The same request with a pingback section. It has a wide section, whose cookie tells that it may ask for that.
    #[must_use]
    pub fn asking_back(self, ask: Pingback) -> Probe {
        let tag = if self.flags.authenticated { TAG } else { 0 };
        Probe {
            length: (PINGBACK + tag) as u16,
            flags: Flags {
                pingback: true,
                ..self.flags
            },
            wide: self.wide.or(Some(Wide::EMPTY)),
            pingback: Some(ask),
            ..self
        }
    }

    /// Reads the probe at the start of a datagram. Padding, reserved bits and sections of later revisions are
    /// ignored; the tag is not checked (see [`Key::verify`](super::Key::verify)).
    ///
    /// # Errors
    /// [`NotProbe`] says what is missing.
    pub fn parse(datagram: &[u8]) -> Result<Probe, NotProbe> {
        if !has_magic(datagram) {
            return Err(NotProbe::Magic);
        }
        match datagram.get(VERSION_AT) {
            Some(&VERSION) => {}
            Some(&other) => return Err(NotProbe::Version(other)),
            None => return Err(NotProbe::Magic),
        }
        let base: &[u8; BASE] = datagram.first_chunk().ok_or(NotProbe::Length)?;
        let flags = Flags::parse(base[FLAGS_AT]);
        let length = u16::from_be_bytes(take(base, 6));
        let sections = flags.sections(length).ok_or(NotProbe::Length)?;
        if usize::from(length) > datagram.len() {
            return Err(NotProbe::Length);
        }
        let wide = (sections >= WIDE).then(|| datagram.get(BASE..)?.first_chunk().map(Wide::parse));
        let residence = u32::from_be_bytes(take(base, 40));
        let follow_up_residence = u32::from_be_bytes(take(base, 44));
        Ok(Probe {
            length,
            flags,
            token: u64::from_be_bytes(take(base, 8)),
            seq: u32::from_be_bytes(take(base, 16)),
            received: u32::from_be_bytes(take(base, 20)),
            t1: Wall(u64::from_be_bytes(take(base, 24))),
            t2: Wall(u64::from_be_bytes(take(base, 32))),
            residence: (residence != UNKNOWN_RESIDENCE).then_some(residence),
            follow_up: NonZeroU8::new(base[52]).map(|distance| FollowUp {
                distance,
                residence: follow_up_residence,
            }),
            window: u32::from_be_bytes(take(base, 48)),
            ttl: NonZeroU8::new(base[53]),
            tos: base[54],
            window_len: base[55],
            port: u16::from_be_bytes(take(base, 56)),
            min_interval: u16::from_be_bytes(take(base, 58)),
            ipv4: Ipv4Addr::from(take::<4, BASE>(base, 60)),
            wide: wide.flatten(),
            pingback: (flags.pingback && sections >= PINGBACK)
                .then(|| datagram.get(WIDE..)?.first_chunk().map(Pingback::parse))
                .flatten(),
        })
    }

    /// Writes the sections over the start of `datagram`; padding, the tag and sections of later revisions stay
    /// as they are.
    ///
    /// # Errors
    /// [`Unfit`] if `length` or `datagram` is too short; nothing is written then.
    pub fn emit(&self, datagram: &mut [u8]) -> Result<(), Unfit> {
        let sections = self.flags.sections(self.length).ok_or(Unfit)?;
        if datagram.len() < usize::from(self.length)
            || (self.wide.is_some() && sections < WIDE)
            || (self.pingback.is_some() && sections < PINGBACK)
        {
            return Err(Unfit);
        }
        let (base, rest) = datagram.split_first_chunk_mut::<BASE>().ok_or(Unfit)?;
        put(base, 0, MAGIC);
        base[VERSION_AT] = VERSION;
        base[FLAGS_AT] = self.flags.emit();
        put(base, 6, self.length.to_be_bytes());
        put(base, 8, self.token.to_be_bytes());
        put(base, 16, self.seq.to_be_bytes());
        put(base, 20, self.received.to_be_bytes());
        put(base, 24, self.t1.0.to_be_bytes());
        put(base, 32, self.t2.0.to_be_bytes());
        put(
            base,
            40,
            self.residence.unwrap_or(UNKNOWN_RESIDENCE).to_be_bytes(),
        );
        put(base, 44, self.follow_up.map_or(0, |f| f.residence).to_be_bytes());
        put(base, 48, self.window.to_be_bytes());
        base[52] = self.follow_up.map_or(0, |f| f.distance.get());
        base[53] = self.ttl.map_or(0, NonZeroU8::get);
        base[54] = self.tos;
        base[55] = self.window_len;
        put(base, 56, self.port.to_be_bytes());
        put(base, 58, self.min_interval.to_be_bytes());
        put(base, 60, self.ipv4.octets());
        if let (Some(wide), Some(section)) = (&self.wide, rest.first_chunk_mut()) {
            wide.emit(section);
        }
        if let (Some(pingback), Some(section)) = (
            &self.pingback,
            rest.get_mut(WIDE_SECTION..).and_then(<[u8]>::first_chunk_mut),
        ) {
            pingback.emit(section);
        }
        Ok(())
    }
}

const WIDE_SECTION: usize = WIDE - BASE;

impl Wide {
    /// A wide section that says nothing.
    pub const EMPTY: Wide = Wide {
        cookie: 0,
        window: 0,
        addr: Ipv6Addr::UNSPECIFIED,
        t3: Wall(0),
        server_id: 0,
        clock_error: 0,
    };

    fn parse(section: &[u8; WIDE_SECTION]) -> Wide {
        Wide {
            cookie: u64::from_be_bytes(take(section, 0)),
            window: u64::from_be_bytes(take(section, 8)),
            addr: Ipv6Addr::from(take::<16, WIDE_SECTION>(section, 16)),
            t3: Wall(u64::from_be_bytes(take(section, 32))),
            server_id: u32::from_be_bytes(take(section, 40)),
            clock_error: u32::from_be_bytes(take(section, 44)),
        }
    }

    fn emit(&self, section: &mut [u8; WIDE_SECTION]) {
        put(section, 0, self.cookie.to_be_bytes());
        put(section, 8, self.window.to_be_bytes());
        put(section, 16, self.addr.octets());
        put(section, 32, self.t3.0.to_be_bytes());
        put(section, 40, self.server_id.to_be_bytes());
        put(section, 44, self.clock_error.to_be_bytes());
    }
}

const PINGBACK_SECTION: usize = 16;

impl Pingback {
    fn parse(section: &[u8; PINGBACK_SECTION]) -> Pingback {
        Pingback {
            count: u16::from_be_bytes(take(section, 0)),
            other_port: section[2] & OTHER_PORT != 0,
            other_address: section[2] & OTHER_ADDRESS != 0,
            outcome: match section[3] {
                0 => Outcome::Granted,
                1 => Outcome::Unproven,
                2 => Outcome::Busy,
                3 => Outcome::NoOther,
                _ => Outcome::NotOffered,
            },
            gap: Duration::from_micros(u32::from_be_bytes(take(section, 4)).into()),
            silence: Duration::from_millis(u32::from_be_bytes(take(section, 8)).into()),
        }
    }

    fn emit(&self, section: &mut [u8; PINGBACK_SECTION]) {
        let bit = |set: bool, mask: u8| if set { mask } else { 0 };
        put(section, 0, self.count.to_be_bytes());
        section[2] = bit(self.other_port, OTHER_PORT) | bit(self.other_address, OTHER_ADDRESS);
        section[3] = match self.outcome {
            Outcome::Granted => 0,
            Outcome::Unproven => 1,
            Outcome::Busy => 2,
            Outcome::NoOther => 3,
            Outcome::NotOffered => 4,
        };
        let whole = |number: u128| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
        put(section, 4, whole(self.gap.as_micros()));
        put(section, 8, whole(self.silence.as_millis()));
        put(section, 12, [0; 4]);
    }
}

impl Flags {
    fn parse(octet: u8) -> Flags {
        Flags {
            reply: octet & REPLY != 0,
            kernel_stamp: octet & KERNEL_STAMP != 0,
            authenticated: octet & AUTHENTICATED != 0,
            cookie_accepted: octet & COOKIE_ACCEPTED != 0,
            pingback: octet & ASKS_BACK != 0,
        }
    }

    fn emit(self) -> u8 {
        let bit = |set: bool, mask: u8| if set { mask } else { 0 };
        bit(self.reply, REPLY)
            | bit(self.kernel_stamp, KERNEL_STAMP)
            | bit(self.authenticated, AUTHENTICATED)
            | bit(self.cookie_accepted, COOKIE_ACCEPTED)
            | bit(self.pingback, ASKS_BACK)
    }

    /// How many of a probe's `length` bytes hold sections, if that is enough for the base section.
    fn sections(self, length: u16) -> Option<usize> {
        let tag = if self.authenticated { TAG } else { 0 };
        usize::from(length)
            .checked_sub(tag)
            .filter(|&sections| sections >= BASE)
    }
}

/// The `N` bytes at a fixed offset of a section. Every caller passes constants that fit the section.
fn take<const N: usize, const LEN: usize>(section: &[u8; LEN], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&section[at..at + N]);
    bytes
}

/// Writes bytes at a fixed offset of a section. Every caller passes constants that fit the section.
fn put<const N: usize, const LEN: usize>(section: &mut [u8; LEN], at: usize, bytes: [u8; N]) {
    section[at..at + N].copy_from_slice(&bytes);
}
