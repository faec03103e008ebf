//! Asks a reflector: the Session-Sender.

use super::request::Template;
use super::timestamp::{ErrorEstimate, Format, Timestamp};
use super::tlv::{self, ClassOfService, Tlv, Tlvs};
use super::wire::{self, HMAC, Mode, Reply, Request};
use crate::ProberOptions;
use crate::echo::Key;
use halloo_base::{
    Arrivals, Datagram, Env, FollowUp, Heard, Nanos, ProbeId, Prober, Reason, Reflection, Seen, Wall,
};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Of so many requests the time of departure is remembered; a power of two.
const REMEMBERED: usize = 1024;
/// Of so many answers it is remembered which they were; a power of two.
const ANSWERS: usize = 64;
/// What a TTL is told as that is not known, by who tells it at all.
const UNKNOWN_TTL: u8 = 255;

/// The Session-Sender of STAMP.
///
/// With a key its packets are authenticated. What room there is behind the base packet it uses for TLVs, as many as fit
/// of: class of service (8 bytes), timestamp information (8), follow-up telemetry (20), location (28), with a key the
/// HMAC over them (20); padding fills the rest. It asks for answers of DSCP 0. One to three bytes behind the base packet
/// hold no TLV and are zeros.
///
/// An answer has the number and T1 of a request of this session, and its session identifier or, from reflectors that know
/// none, 0. Of requests more than 1,024 ago T1 is forgotten: the identifier and an earlier time must
/// do.
pub struct StampProber(Sender);

/// The Session-Sender of TWAMP Light: requests of 41 bytes and more, padded with zeros. A key is not used.
pub struct TwampProber(Sender);

struct Sender {
    mode: Mode,
    key: Option<Key>,
    /// 0 for none.
    ssid: u16,
    /// `None` where requests of the session's size cannot be.
    template: Option<Template>,
    /// By the low bits of their numbers.
    sent: Vec<Sent>,
    /// By the low bits of the reflector's numbers.
    answers: [Answered; ANSWERS],
    /// Whether the reflector was seen to count for itself.
    is_stateful: bool,
}

/// A request on its way. T1 is never zero; an empty place has zero.
#[derive(Clone, Copy, Default)]
struct Sent {
    number: u32,
    timestamp: Timestamp,
}

/// An answer that a later one may tell more about.
#[derive(Clone, Copy, Default)]
struct Answered {
    reflector_number: u32,
    number: u32,
    received_at: Option<Wall>,
    /// T3 as it was told.
    left: Timestamp,
}

/// What the TLVs of an answer say.
#[derive(Default)]
struct Told {
    hardware_stamped: bool,
    tos: Option<u8>,
    source: Option<SocketAddr>,
    departure: Option<(u32, Timestamp)>,
}

impl StampProber {
    /// A prober for one session. Its identifier is drawn from the token.
    pub fn new(options: &ProberOptions) -> StampProber {
        let mode = match options.key {
            Some(_) => Mode::Authenticated,
            None => Mode::Open,
        };
        // 0 would mean that there is none (RFC 8972 section 3).
        let ssid = (options.token as u16).max(1);
        let template = Template::stamp(mode, options.size, options.token, options.tos);
        StampProber(Sender::new(mode, options.key.clone(), ssid, template))
    }
}

impl TwampProber {
    /// A prober for one session.
    pub fn new(options: &ProberOptions) -> TwampProber {
        let template = Template::twamp(options.size);
        TwampProber(Sender::new(Mode::Open, None, 0, template))
    }
}

impl Sender {
    fn new(mode: Mode, key: Option<Key>, ssid: u16, template: Option<Template>) -> Sender {
        Sender {
            mode,
            key,
            ssid,
            template,
            sent: vec![Sent::default(); REMEMBERED],
            answers: [Answered::default(); ANSWERS],
            is_stateful: false,
        }
    }

    fn request(&mut self, env: &Env<'_>, number: u32, buf: &mut [u8]) -> Option<usize> {
        let template = self.template.as_ref().filter(|made| made.len() == buf.len())?;
        template.write(self.key.as_ref(), number, buf);
        let timestamp = Timestamp::new(env.clock.stamp().wall, Format::Ntp);
        let request = Request {
            sequence_number: number,
            timestamp,
            error_estimate: ErrorEstimate::UNKNOWN,
            ssid: self.ssid,
        };
        request.emit(self.mode, buf).ok()?;
        if let Some(key) = &self.key {
            wire::sign(key, buf).then_some(())?;
        }
        self.sent[number as usize % REMEMBERED] = Sent { number, timestamp };
        Some(buf.len())
    }

    fn recognise(&mut self, rx: &Datagram<'_>) -> Result<Heard, Reason> {
        let reply = Reply::parse(rx.payload, self.mode).ok_or(Reason::Malformed)?;
        if let Some(key) = &self.key
            && !wire::is_signed(key, rx.payload)
        {
            return Err(Reason::BadAuth);
        }
        if !self.is_answer(&reply) {
            return Err(Reason::Foreign);
        }
        self.is_stateful |= reply.sequence_number != reply.sender_sequence_number;
        let told = match self.ssid {
            // A TWAMP reflector has padding there.
            0 => Told::default(),
            _ => self.read_tlvs(&reply, rx.payload),
        };
        let follow_up = told
            .departure
            .and_then(|departure| self.follow_up(departure, reply.error_estimate.format()));
        self.remember(&reply);
        Ok(Heard {
            reflection: Some(Reflection {
                received_at: reply.received_at(),
                residence: residence(reply.received_at(), reply.sent_at()),
                kernel_stamped: told.hardware_stamped,
                clock_error: reply.error_estimate.bound(),
                follow_up,
                arrivals: self.is_stateful.then(|| Arrivals {
                    received: reply.sequence_number.wrapping_add(1),
                    window: 1,
                    window_len: 1,
                }),
                seen: seen(&reply, &told),
            }),
            ..Heard::plain(u64::from(reply.sender_sequence_number), u32::BITS)
        })
    }

    fn is_answer(&self, reply: &Reply) -> bool {
        let is_ours = self.ssid != 0 && reply.ssid == self.ssid;
        let may_be_ours = is_ours || self.ssid == 0 || reply.ssid == 0;
        match self.sent_as(reply.sender_sequence_number) {
            Some(sent) => may_be_ours && sent == reply.sender_timestamp,
            None => is_ours && self.may_be_forgotten(reply),
        }
    }

    /// T1 of a request, if it is remembered.
    fn sent_as(&self, number: u32) -> Option<Timestamp> {
        let sent = self.sent[number as usize % REMEMBERED];
        (sent.number == number && sent.timestamp != Timestamp::NONE).then_some(sent.timestamp)
    }

    /// Whether an answer may be to a request whose place a later one has taken, which left after it.
    fn may_be_forgotten(&self, reply: &Reply) -> bool {
        let number = reply.sender_sequence_number;
        let later = self.sent[number as usize % REMEMBERED];
        let ahead = later.number.wrapping_sub(number);
        let (left, left_later) = (
            reply.sender_timestamp.wall(Format::Ntp),
            later.timestamp.wall(Format::Ntp),
        );
        ahead != 0 && ahead <= i32::MAX as u32 && left.is_some() && left < left_later
    }

    fn remember(&mut self, reply: &Reply) {
        self.answers[reply.sequence_number as usize % ANSWERS] = Answered {
            reflector_number: reply.sequence_number,
            number: reply.sender_sequence_number,
            received_at: reply.received_at(),
            left: reply.timestamp,
        };
    }

    /// What the departure of an earlier answer says of it, if that answer has come. A reflector that knows no better tells
    /// its T3 again, which is nothing new.
    fn follow_up(&self, (reflector_number, left): (u32, Timestamp), format: Format) -> Option<FollowUp> {
        let answered = self.answers[reflector_number as usize % ANSWERS];
        let residence = residence(answered.received_at, left.wall(format))?;
        let is_new = answered.reflector_number == reflector_number && answered.left != left;
        is_new.then_some(FollowUp {
            low_bits: answered.number,
            residence,
        })
    }

    /// What the TLVs say, as far as they may be believed (RFC 8972 sections 4 and 4.8).
    fn read_tlvs(&self, reply: &Reply, datagram: &[u8]) -> Told {
        let mut told = Told::default();
        let area = datagram.get(self.mode.base()..).unwrap_or_default();
        let whole = || Tlvs::new(area).filter_map(Result::ok);
        let is_damaged = whole().any(|tlv| tlv.flags & tlv::INTEGRITY != 0);
        if is_damaged || !self.is_protected(reply.sequence_number, area) {
            return told;
        }
        for tlv in whole().take_while(|tlv| tlv.flags & tlv::MALFORMED == 0) {
            if tlv.flags & tlv::UNRECOGNISED == 0 {
                told.take(&tlv);
            }
        }
        told
    }

    /// Whether there is no key, or the TLVs have a right HMAC.
    fn is_protected(&self, number: u32, area: &[u8]) -> bool {
        let Some(key) = &self.key else { return true };
        let hmac = Tlvs::new(area)
            .filter_map(Result::ok)
            .find(|tlv| tlv.kind == tlv::HMAC_TLV);
        hmac.is_some_and(|hmac| {
            let tag: Option<&[u8; HMAC]> = hmac.value.try_into().ok();
            let parts = [&number.to_be_bytes()[..], &area[..hmac.at]];
            tag.is_some_and(|tag| key.verify_tag(&parts, tag))
        })
    }

    fn quoted(&self, payload: &[u8]) -> Option<Heard> {
        let (number, timestamp) = Request::quoted(payload, self.mode)?;
        let is_ours = self.sent_as(number) == Some(timestamp);
        is_ours.then(|| Heard::plain(u64::from(number), u32::BITS))
    }
}

impl Told {
    fn take(&mut self, tlv: &Tlv<'_>) {
        match tlv.kind {
            tlv::TIMESTAMP_INFORMATION => {
                self.hardware_stamped = tlv.value.get(1) == Some(&tlv::HARDWARE_ASSIST);
            }
            tlv::CLASS_OF_SERVICE => {
                let value: Option<&[u8; tlv::CLASS_OF_SERVICE_LEN]> = tlv.value.try_into().ok();
                self.tos = value.map(|value| ClassOfService::parse(value).seen_tos);
            }
            tlv::LOCATION => self.source = source(tlv.value),
            tlv::FOLLOW_UP_TELEMETRY => self.departure = departure(tlv.value),
            _ => {}
        }
    }
}

/// From where a request came, if both address and port are told.
fn source(location: &[u8]) -> Option<SocketAddr> {
    let (&[_, _, high, low], inner) = location.split_first_chunk()?;
    let port = u16::from_be_bytes([high, low]);
    let ip = Tlvs::new(inner)
        .filter_map(Result::ok)
        .filter(|inner| matches!(inner.kind, tlv::SOURCE_IPV4 | tlv::SOURCE_IPV6))
        .find_map(|inner| tlv::address(inner.kind, inner.value))?;
    (port != 0 && !ip.is_unspecified()).then(|| SocketAddr::new(ip.to_canonical(), port))
}

/// Which answer left when, if that is told.
fn departure(follow_up: &[u8]) -> Option<(u32, Timestamp)> {
    let (number, rest) = follow_up.split_first_chunk()?;
    let left = Timestamp(u64::from_be_bytes(*rest.first_chunk()?));
    (left != Timestamp::NONE).then_some((u32::from_be_bytes(*number), left))
}

/// From arrival to departure, if both are told and in this order.
fn residence(arrived: Option<Wall>, left: Option<Wall>) -> Option<Nanos> {
    let span = left? - arrived?;
    (span >= Nanos::ZERO).then_some(span)
}

/// How the reflector saw us. Without a location that is neither address nor port: they read as unspecified then.
fn seen(reply: &Reply, told: &Told) -> Option<Seen> {
    let ttl = Some(reply.sender_ttl).filter(|&ttl| ttl != 0 && ttl != UNKNOWN_TTL);
    let is_told = ttl.is_some() || told.source.is_some() || told.tos.is_some();
    is_told.then(|| Seen {
        addr: told
            .source
            .unwrap_or(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0)),
        ttl,
        tos: told.tos,
    })
}

impl Prober for StampProber {
    fn request(&mut self, env: &mut Env<'_>, id: ProbeId, buf: &mut [u8]) -> Option<usize> {
        self.0.request(env, id.0 as u32, buf)
    }

    fn recognise(&mut self, rx: &Datagram<'_>) -> Result<Heard, Reason> {
        self.0.recognise(rx)
    }

    fn quoted(&self, payload: &[u8]) -> Option<Heard> {
        self.0.quoted(payload)
    }
}

impl Prober for TwampProber {
    fn request(&mut self, env: &mut Env<'_>, id: ProbeId, buf: &mut [u8]) -> Option<usize> {
        self.0.request(env, id.0 as u32, buf)
    }

    fn recognise(&mut self, rx: &Datagram<'_>) -> Result<Heard, Reason> {
        self.0.recognise(rx)
    }

    fn quoted(&self, payload: &[u8]) -> Option<Heard> {
        self.0.quoted(payload)
    }
}
