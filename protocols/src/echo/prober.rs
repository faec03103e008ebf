//! Asks an echo host over UDP, and understands what comes back.

use super::Key;
use super::payload::Payload;
use super::wire::{BASE, NotProbe, Probe, TAG, WIDE, WINDOW, quoted_request};
use crate::ProberOptions;
use halloo_base::{
    Arrivals, Datagram, Env, FollowUp, Heard, Nanos, ProbeId, Prober, Reason, Reflection, Seen,
};
use std::net::{IpAddr, SocketAddr};

/// Makes structured probes where the size allows (64 bytes; 112 for the wide section; 16 more with a key), plain
/// numbered payloads below, and recognises their answers.
///
/// Where the peer does not know the structured probe, its byte-for-byte echo counts as a plain answer; with a key it
/// does not count.
pub struct UdpProber {
    key: Option<Key>,
    token: u64,
    payload: Payload,
    form: Form,
    cookie: Cookie,
}

/// What requests of the session's size look like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Structured {
        wide: bool,
    },
    Plain,
    /// Too small for the tag that the key asks for.
    Impossible,
}

/// The newest cookie received, and with which answer.
#[derive(Clone, Copy, Default)]
struct Cookie {
    value: u64,
    seq: u32,
}

impl UdpProber {
    /// A prober for one session.
    pub fn new(options: &ProberOptions) -> UdpProber {
        let tag = if options.key.is_some() { TAG } else { 0 };
        let form = match options.size {
            size if size >= WIDE + tag => Form::Structured { wide: true },
            size if size >= BASE + tag => Form::Structured { wide: false },
            _ if options.key.is_some() => Form::Impossible,
            _ => Form::Plain,
        };
        UdpProber {
            key: options.key.clone(),
            token: options.token,
            payload: Payload::new(options.token, options.size),
            form,
            cookie: Cookie::default(),
        }
    }

    fn blank(&self, seq: u32, wide: bool) -> Probe {
        Probe::request(self.token, seq, wide, self.key.is_some())
    }

    fn structured(&self, env: &Env<'_>, seq: u32, wide: bool, buf: &mut [u8]) -> Option<usize> {
        let mut probe = self.blank(seq, wide);
        if let Some(wide) = &mut probe.wide {
            wide.cookie = self.cookie.value;
        }
        buf.copy_from_slice(self.payload.from(0));
        probe.t1 = env.clock.stamp().wall;
        probe.emit(buf).ok()?;
        let signed = self.key.as_ref().is_none_or(|key| key.sign(buf, probe.length));
        signed.then_some(buf.len())
    }

    fn hear_structured(&mut self, rx: &Datagram<'_>, wide: bool) -> Result<Heard, Reason> {
        let probe = Probe::parse(rx.payload).map_err(|why| match why {
            NotProbe::Magic => Reason::Foreign,
            NotProbe::Version(_) | NotProbe::Length => Reason::Malformed,
        })?;
        if probe.token != self.token {
            return Err(Reason::Foreign);
        }
        self.check_key(rx.payload, &probe)?;
        let blank = self.blank(probe.seq, wide);
        let padding = self.payload.from(usize::from(blank.length));
        let shape = rx.payload.len() == self.payload.size()
            && probe.length == blank.length
            && rx.payload.ends_with(padding);
        if !shape {
            return Err(Reason::Malformed);
        }
        if probe.flags.reply {
            self.keep_cookie(&probe);
            return Ok(reflected(&probe));
        }
        // An echo of the request: nothing in it may have changed.
        let mut sent = blank;
        sent.t1 = probe.t1;
        if let (Some(sent), Some(echoed)) = (&mut sent.wide, &probe.wide) {
            sent.cookie = echoed.cookie;
        }
        if sent == probe {
            Ok(Heard::plain(u64::from(probe.seq), 32))
        } else {
            Err(Reason::Malformed)
        }
    }

    /// With a key, only an answer that the other holder of the key made counts: an echo of our own tag does not.
    fn check_key(&self, datagram: &[u8], probe: &Probe) -> Result<(), Reason> {
        let Some(key) = &self.key else { return Ok(()) };
        let claimed = probe.flags.reply && probe.flags.authenticated;
        if claimed && key.verify(datagram, probe.length) {
            Ok(())
        } else {
            Err(Reason::BadAuth)
        }
    }

    fn keep_cookie(&mut self, reply: &Probe) {
        let Some(wide) = reply.wide.filter(|wide| wide.cookie != 0) else {
            return;
        };
        let ahead = reply.seq.wrapping_sub(self.cookie.seq);
        if self.cookie.value == 0 || ahead <= i32::MAX as u32 {
            self.cookie = Cookie {
                value: wide.cookie,
                seq: reply.seq,
            };
        }
    }
}

impl Prober for UdpProber {
    fn request(&mut self, env: &mut Env<'_>, id: ProbeId, buf: &mut [u8]) -> Option<usize> {
        if buf.len() != self.payload.size() {
            return None;
        }
        match self.form {
            Form::Structured { wide } => self.structured(env, id.0 as u32, wide, buf),
            Form::Plain => {
                self.payload.write(id, buf);
                Some(buf.len())
            }
            Form::Impossible => None,
        }
    }

    fn recognise(&mut self, rx: &Datagram<'_>) -> Result<Heard, Reason> {
        match self.form {
            Form::Structured { wide } => self.hear_structured(rx, wide),
            Form::Plain if rx.payload.len() != self.payload.size() => Err(Reason::Foreign),
            Form::Plain => self.payload.read(rx.payload).ok_or(Reason::Malformed),
            Form::Impossible => Err(Reason::Foreign),
        }
    }

    fn quoted(&self, payload: &[u8]) -> Option<Heard> {
        match self.form {
            Form::Structured { .. } => {
                let (token, seq) = quoted_request(payload)?;
                (token == self.token).then(|| Heard::plain(u64::from(seq), 32))
            }
            Form::Plain => self.payload.read_start(payload),
            Form::Impossible => None,
        }
    }
}

/// What a structured answer says.
fn reflected(reply: &Probe) -> Heard {
    let older = reply.wide.map_or(0, |wide| wide.window);
    let covered = if reply.wide.is_some() { WINDOW } else { 32 };
    let window = u64::from(reply.window) | older << 32;
    let window_len = u32::from(reply.window_len.min(covered)).min(u64::BITS);
    Heard {
        low_bits: u64::from(reply.seq),
        bits: 32,
        options: None,
        refusal: None,
        length: None,
        reflection: Some(Reflection {
            received_at: Some(reply.t2),
            residence: reply.residence.map(|ns| Nanos(i64::from(ns))),
            kernel_stamped: reply.flags.kernel_stamp,
            clock_error: clock_error(reply),
            follow_up: reply.follow_up.map(|told| FollowUp {
                low_bits: reply.seq.wrapping_sub(u32::from(told.distance.get())),
                residence: Nanos(i64::from(told.residence)),
            }),
            arrivals: Some(Arrivals {
                received: reply.received,
                window,
                window_len,
            }),
            seen: seen(reply),
        }),
    }
}

/// How far the responder's clock may be off, if it says so.
fn clock_error(reply: &Probe) -> Option<Nanos> {
    let micros = reply.wide?.clock_error;
    (micros > 0).then(|| Nanos(i64::from(micros) * 1_000))
}

/// How the responder saw us. A base reply has no room for an IPv6 address: it reads as unspecified then.
fn seen(reply: &Probe) -> Option<Seen> {
    let ip = match reply.wide {
        Some(wide) => IpAddr::V6(wide.addr).to_canonical(),
        None if reply.ipv4.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        None => IpAddr::V4(reply.ipv4),
    };
    let told = reply.port != 0;
    told.then(|| Seen {
        addr: SocketAddr::new(ip, reply.port),
        ttl: reply.ttl.map(std::num::NonZeroU8::get),
        tos: Some(reply.tos),
    })
}
