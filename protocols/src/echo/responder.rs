//! Answers datagrams: probes with stamps, everything else byte for byte.

use super::Key;
use super::cookie::Cookies;
use super::pingback::{Outcome, PingbackOptions, Waiting};
use super::sessions::Sessions;
use super::wire::{self, Flags, Pingback, Probe, TAG, Wide};
use halloo_base::{
    ClockQuality, Datagram, Deadline, Env, KnownQuality, Path, Reason, Responder, Stamp, StampSource, Trust,
    TxTag, Verdict,
};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU8;
use std::time::Duration;

/// How a [`UdpEcho`] answers.
#[derive(Clone, Debug)]
pub struct UdpEchoOptions {
    /// With a key, probes are answered only if they are signed with it; plain datagrams are echoed as ever.
    pub key: Option<Key>,
    /// Answer nothing that is not signed with the key, plain datagrams included.
    pub require_key: bool,
    /// How many sessions are remembered; rounded up, about 140 bytes each, allocated at once.
    pub sessions: usize,
    /// The least interval between requests that requesters are asked to keep; told in steps of 100 us, up to
    /// 6.5535 s. It is advice: the limiter is the server's.
    pub min_interval: Duration,
    /// Which of the operator's hosts this is, told in wide replies; 0 for none.
    pub server_id: u32,
    /// How much is sent later to those who ask for it and have proved where they are; `None` for nothing.
    pub pingback: Option<PingbackOptions>,
}

impl Default for UdpEchoOptions {
    fn default() -> UdpEchoOptions {
        UdpEchoOptions {
            key: None,
            require_key: false,
            sessions: 4096,
            min_interval: Duration::ZERO,
            server_id: 0,
            pingback: Some(PingbackOptions::default()),
        }
    }
}

/// The UDP echo host: RFC 862, and the structured probe of `docs/wire/probe.md`.
pub struct UdpEcho {
    options: UdpEchoOptions,
    min_interval: u16,
    quality: KnownQuality,
    waiting: Option<Waiting>,
    sessions: Sessions,
    cookies: Cookies,
    /// The datagram that [`Responder::trust`] last found rightly signed, so that the tag is computed once.
    proven: Cell<Option<Identity>>,
}

/// What tells one received datagram from every other, without reading it all again.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    path: Path,
    at: Stamp,
    buffer: usize,
    len: usize,
    tag: [u8; TAG],
}

/// What a datagram is to this host.
enum Kind {
    Probe(Probe),
    Plain,
    Refused(Reason),
}

impl UdpEcho {
    /// An echo host. `secret` keys its cookies and its session table: fresh random bytes for each start.
    pub fn new(options: UdpEchoOptions, secret: [u8; 32]) -> UdpEcho {
        let (mut for_sessions, mut for_cookies) = ([0; 16], [0; 16]);
        for_sessions.copy_from_slice(&secret[..16]);
        for_cookies.copy_from_slice(&secret[16..]);
        UdpEcho {
            min_interval: in_wire_units(options.min_interval),
            quality: KnownQuality::default(),
            waiting: options.pingback.clone().map(Waiting::new),
            sessions: Sessions::new(options.sessions, for_sessions),
            cookies: Cookies::new(for_cookies),
            proven: Cell::new(None),
            options,
        }
    }

    /// `proven` is a datagram whose tag is known to be right.
    fn kind(&self, rx: &Datagram<'_>, proven: Option<Identity>) -> Kind {
        if wire::is_reply(rx.payload) {
            return Kind::Refused(Reason::Loop);
        }
        match (&self.options.key, Probe::parse(rx.payload)) {
            (None, _) if self.options.require_key => Kind::Refused(Reason::BadAuth),
            (None, Ok(probe)) if !probe.flags.authenticated => Kind::Probe(probe),
            // A host without the key is to an authenticated probe what any echo host is.
            (None, _) => Kind::Plain,
            (Some(key), Ok(probe)) if is_signed(key, &probe, rx, proven) => Kind::Probe(probe),
            (Some(_), Err(_)) if !self.options.require_key && !wire::has_magic(rx.payload) => Kind::Plain,
            (Some(_), _) => Kind::Refused(Reason::BadAuth),
        }
    }

    fn has_cookie(&self, env: &Env<'_>, probe: &Probe, from: SocketAddr) -> bool {
        probe
            .wide
            .is_some_and(|wide| self.cookies.accepts(env.now, from, wide.cookie))
    }

    fn answer(&mut self, env: &Env<'_>, rx: &Datagram<'_>, request: &Probe, reply: &mut [u8]) -> Verdict {
        let remote = rx.path.remote;
        let cookie_accepted = self.has_cookie(env, request, remote);
        let seen = self.sessions.observe(request.token, request.seq);
        let ip = remote.ip().to_canonical();
        let mut probe = Probe {
            flags: Flags {
                reply: true,
                kernel_stamp: rx.at.source != StampSource::User,
                authenticated: request.flags.authenticated,
                cookie_accepted,
                pingback: request.flags.pingback,
            },
            received: seen.received,
            t2: rx.at.wall,
            follow_up: self.sessions.follow_up(seen.slot, request.seq),
            window: seen.window as u32,
            window_len: if request.wide.is_some() {
                seen.window_len
            } else {
                seen.window_len.min(32)
            },
            ttl: rx.marks.ttl.and_then(NonZeroU8::new),
            tos: rx.marks.tos,
            port: remote.port(),
            min_interval: self.min_interval,
            ipv4: match ip {
                IpAddr::V4(addr) => addr,
                IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
            },
            wide: request.wide.map(|_| Wide {
                cookie: self.cookies.fresh(env.now, remote),
                window: (seen.window >> 32) as u64,
                addr: match ip {
                    IpAddr::V4(addr) => addr.to_ipv6_mapped(),
                    IpAddr::V6(addr) => addr,
                },
                t3: rx.at.wall,
                server_id: self.options.server_id,
                clock_error: 0,
            }),
            pingback: request.pingback.map(|ask| match &mut self.waiting {
                Some(waiting) => waiting.promise(env.now, rx.path, request, ask, cookie_accepted),
                None => Pingback {
                    count: 0,
                    outcome: Outcome::NotOffered,
                    ..ask
                },
            }),
            ..*request
        };
        let tag = if seen.duplicate {
            None
        } else {
            self.sessions.await_departure(seen.slot, request.seq, rx.at)
        };

        if let Some(wide) = &mut probe.wide {
            let quality = self.quality.at(env.now, env.clock);
            wide.clock_error = quality.map_or(0, clock_error);
        }
        // Last, so that all work above is inside the residence. A kernel stamp, moved to the monotonic clock, can
        // lie a little after this one.
        let now = env.clock.stamp();
        probe.residence = u32::try_from((now.mono - rx.at.mono).0.max(0)).ok();
        if let Some(wide) = &mut probe.wide {
            wide.t3 = now.wall;
        }
        let len = rx.payload.len();
        let written = probe.emit(reply).is_ok() && self.sign(&probe, reply, len);
        match tag {
            _ if !written => Verdict::Silent(Reason::Truncated),
            Some(tag) => Verdict::ReplyStamped(len, tag),
            None => Verdict::Reply(len),
        }
    }

    fn sign(&self, probe: &Probe, reply: &mut [u8], len: usize) -> bool {
        match (&self.options.key, reply.get_mut(..len)) {
            (_, None) => false,
            (Some(key), Some(datagram)) if probe.flags.authenticated => key.sign(datagram, probe.length),
            (_, Some(_)) => true,
        }
    }
}

/// The error as the wire has it: in whole microseconds, rounded up; 0 would say that it is not known.
fn clock_error(quality: ClockQuality) -> u32 {
    let micros = quality.error.0.max(1).unsigned_abs().div_ceil(1_000);
    u32::try_from(micros).unwrap_or(u32::MAX)
}

impl Responder for UdpEcho {
    fn respond(&mut self, env: &mut Env<'_>, rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict {
        match self.kind(rx, self.proven.take()) {
            // The reply starts as a copy of the request: there is nothing to do.
            Kind::Plain => Verdict::Reply(rx.payload.len()),
            Kind::Probe(probe) => self.answer(env, rx, &probe, reply),
            Kind::Refused(why) => Verdict::Silent(why),
        }
    }

    fn trust(&self, env: &Env<'_>, rx: &Datagram<'_>) -> Trust {
        self.proven.set(None);
        let Kind::Probe(probe) = self.kind(rx, None) else {
            return Trust::Stranger;
        };
        if probe.flags.authenticated {
            self.proven.set(Identity::of(&probe, rx));
            Trust::Validated
        } else if self.has_cookie(env, &probe, rx.path.remote) {
            Trust::Validated
        } else {
            Trust::Stranger
        }
    }

    fn due(&self) -> Option<Deadline> {
        let at = self.waiting.as_ref()?.due()?;
        Some(Deadline::new(at, "pingback"))
    }

    fn send_due(&mut self, env: &mut Env<'_>, room: &mut [u8]) -> Option<(Path, usize)> {
        let key = self.options.key.as_ref();
        self.waiting.as_mut()?.send_due(env.now, key, room)
    }

    fn departed(&mut self, tag: TxTag, at: Stamp) {
        self.sessions.departed(tag, at);
    }
}

impl Identity {
    fn of(probe: &Probe, rx: &Datagram<'_>) -> Option<Identity> {
        let signed = rx.payload.get(..usize::from(probe.length))?;
        Some(Identity {
            path: rx.path,
            at: rx.at,
            buffer: rx.payload.as_ptr().addr(),
            len: rx.payload.len(),
            tag: *signed.last_chunk()?,
        })
    }
}

fn is_signed(key: &Key, probe: &Probe, rx: &Datagram<'_>, proven: Option<Identity>) -> bool {
    let known = || proven.is_some() && proven == Identity::of(probe, rx);
    probe.flags.authenticated && (known() || key.verify(rx.payload, probe.length))
}

/// A least interval as probes tell it, in units of 100 us up to 65,535: rounded up, so that a requester who keeps to it is
/// never too fast.
pub fn in_wire_units(interval: Duration) -> u16 {
    u16::try_from(interval.as_nanos().div_ceil(100_000)).unwrap_or(u16::MAX)
}
