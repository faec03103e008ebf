//! Asks OPTIONS (RFC 3261 section 11.1), and understands what comes back.

use super::fields::{Head, Name};
use super::message::{Message, NotSip, Start};
use super::status::reason_phrase;
use super::values::{Timestamp, Via, address, cseq_method};
use crate::ProberOptions;
use halloo_base::{Datagram, Env, Heard, Nanos, ProbeId, Prober, Reason, Reflection, Refusal, Seen, Wall};
use std::net::SocketAddr;

/// Who does not know its own address has a name under `.invalid` (RFC 2606 section 2) in its place, as SIP's clients in
/// browsers do (RFC 7118), and asks for `rport` (RFC 3581): a server looks at neither then.
const NOBODY: &str = "halloo.invalid";

/// With it, every branch is unique (RFC 3261 section 8.1.1.7).
const MAGIC_COOKIE: &str = "z9hG4bK";

/// What all requests have. Behind each piece stands what differs: host, transport, branch, tag, host, Call-ID, stamp,
/// padding, nothing. A host has the scheme before it.
const PIECES: [&str; 9] = [
    "OPTIONS ",
    " SIP/2.0\r\nVia: SIP/2.0/",
    " halloo.invalid;rport;branch=z9hG4bK",
    "\r\nMax-Forwards: 70\r\nFrom: <sip:halloo@halloo.invalid>;tag=",
    "\r\nTo: <",
    ">\r\nCall-ID: ",
    "@halloo.invalid\r\nCSeq: 1 OPTIONS\r\nTimestamp: ",
    "\r\nAccept: application/sdp\r\nUser-Agent: halloo",
    "\r\nContent-Length: 0\r\n\r\n",
];

/// Hexadecimal digits of a token or number.
const DIGITS: usize = 16;

/// Seconds and nanoseconds.
const STAMP: usize = "1700000000.000000000".len();

/// How a request goes, and how it names whom it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Udp,
    Tcp,
    /// Under TLS.
    Tls,
    /// Under TLS, by whomever it is handed on too (RFC 3261 section 19.1).
    Sips,
}

impl Way {
    /// As a Via has it (RFC 3261 section 25.1); all are three letters.
    fn transport(self) -> &'static str {
        match self {
            Way::Udp => "UDP",
            Way::Tcp => "TCP",
            Way::Tls | Way::Sips => "TLS",
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Way::Sips => "sips:",
            _ => "sip:",
        }
    }
}

/// How many bytes a request has at least, to a host that is written with so many. The `s` of `sips` is as long as one
/// letter more of it.
pub const fn bare_len(authority: usize) -> usize {
    let mut len = 2 * ("sip:".len() + authority) + "UDP".len() + 5 * DIGITS + STAMP;
    let mut at = 0;
    while at < PIECES.len() {
        len += PIECES[at].len();
        at += 1;
    }
    len
}

/// Asks by datagrams. Each request is a transaction of its own: the branch of its Via and its Call-ID hold the session's
/// token and the probe's number. It is sent once.
///
/// A larger size than [`bare_len`] is reached by a long name of who asks (User-Agent).
pub struct SipProber {
    /// A request, but for what differs from probe to probe.
    template: Vec<u8>,
    /// Where the probe's number stands.
    numbers: [usize; 2],
    stamp: usize,
    /// What the branches of all requests begin with.
    branch: String,
    asked: u64,
}

impl SipProber {
    /// A prober for one session. It makes no request if `options.size` is less than [`bare_len`]. An authority that no
    /// URI can have as its host is replaced.
    pub fn new(options: &ProberOptions) -> SipProber {
        SipProber::by(Way::Udp, options)
    }

    pub(super) fn by(way: Way, options: &ProberOptions) -> SipProber {
        let host = Some(&options.authority[..]).filter(|authority| is_host(authority));
        let host = host.unwrap_or(NOBODY);
        let token = format!("{:016x}", options.token);
        let (scheme, transport) = (way.scheme(), way.transport());
        let bare = bare_len(host.len() + scheme.len() - "sip:".len());
        let padding = ".".repeat(options.size.saturating_sub(bare));
        let number = "0".repeat(DIGITS);
        let stamp = "0".repeat(STAMP);
        let values: [&[&str]; PIECES.len()] = [
            &[scheme, host],
            &[transport],
            &[&token, &number],
            &[&token],
            &[scheme, host],
            &[&token, &number],
            &[&stamp],
            &[&padding],
            &[],
        ];
        let mut template = String::with_capacity(bare + padding.len());
        // Where the values behind each piece end.
        let mut ends = [0; PIECES.len()];
        for ((piece, values), end) in PIECES.iter().zip(values).zip(&mut ends) {
            template.push_str(piece);
            template.extend(values.iter().copied());
            *end = template.len();
        }
        SipProber {
            numbers: [ends[2] - DIGITS, ends[5] - DIGITS],
            stamp: ends[6] - STAMP,
            branch: format!("{MAGIC_COOKIE}{token}"),
            template: template.into_bytes(),
            asked: 0,
        }
    }

    /// How many bytes each request has.
    pub(super) fn len(&self) -> usize {
        self.template.len()
    }

    /// How many were asked.
    pub(super) fn asked(&self) -> u64 {
        self.asked
    }

    /// Writes the request `id` over `buf`, which is as long as requests are.
    pub(super) fn write(&mut self, env: &Env<'_>, id: ProbeId, buf: &mut [u8]) {
        buf.copy_from_slice(&self.template);
        for at in self.numbers {
            write_hex(id.0, &mut buf[at..at + DIGITS]);
        }
        self.asked = self.asked.max(id.0.saturating_add(1));
        let now = env.clock.stamp().wall;
        write_stamp(now, &mut buf[self.stamp..self.stamp + STAMP]);
    }

    /// Which probe this message answers.
    pub(super) fn hear(&self, message: &Message<'_>) -> Result<Heard, Reason> {
        let Start::Response { code } = message.start else {
            return Err(Reason::Foreign);
        };
        let head = Head::of(message.fields);
        let value = |name| head.value(name).ok_or(Reason::Malformed);
        let via = Via::parse(value(Name::Via)?).ok_or(Reason::Malformed)?;
        // More than ours: it is for somebody behind us (RFC 3261 section 8.1.3.3).
        let is_ours = via.others.is_empty() && !head.is_repeated(Name::Via);
        let is_ours = is_ours && cseq_method(value(Name::CSeq)?) == Some(b"OPTIONS");
        let id = via
            .branch
            .filter(|_| is_ours)
            .and_then(|branch| self.id_of(branch));
        let id = id.ok_or(Reason::Foreign)?;
        let length = head.content_length().map_err(|_| Reason::Malformed)?;
        if length.is_some_and(|length| length > message.body.len()) {
            return Err(Reason::Malformed);
        }
        let refusal = match code {
            // It is being worked on: the answer is still to come.
            ..200 => return Err(Reason::Incomplete),
            200..300 => None,
            _ => Some(Refusal {
                code: u32::from(code),
                name: reason_phrase(code),
            }),
        };
        Ok(Heard {
            refusal,
            reflection: reflection(&head, &via),
            ..Heard::plain(id, 64)
        })
    }

    /// The number in a branch of this session's.
    fn id_of(&self, branch: &[u8]) -> Option<u64> {
        let id = read_hex(branch.strip_prefix(self.branch.as_bytes())?)?;
        (id < self.asked).then_some(id)
    }
}

impl Prober for SipProber {
    fn request(&mut self, env: &mut Env<'_>, id: ProbeId, buf: &mut [u8]) -> Option<usize> {
        if buf.len() != self.len() {
            return None;
        }
        self.write(env, id, buf);
        Some(buf.len())
    }

    fn recognise(&mut self, rx: &Datagram<'_>) -> Result<Heard, Reason> {
        let message = Message::parse(rx.payload).map_err(|why| match why {
            NotSip::Empty | NotSip::Unfinished => Reason::Incomplete,
            NotSip::HalfLineEnd | NotSip::StartLine => Reason::Malformed,
        })?;
        self.hear(&message)
    }

    fn quoted(&self, payload: &[u8]) -> Option<Heard> {
        let (before, behind) = payload.split_at_checked(self.numbers[0])?;
        let number = behind.get(..DIGITS)?;
        let id = read_hex(number).filter(|&id| id < self.asked)?;
        self.template.starts_with(before).then(|| Heard::plain(id, 64))
    }
}

/// What an answer tells: how long the request stayed there, and from where it came.
fn reflection(head: &Head<'_>, via: &Via<'_>) -> Option<Reflection> {
    let residence = head.value(Name::Timestamp).and_then(Timestamp::parse);
    let residence: Option<Nanos> = residence.and_then(|stamp| stamp.delay);
    let seen = via.received.and_then(address).zip(via.rport.flatten());
    let seen = seen.map(|(ip, port)| Seen {
        addr: SocketAddr::new(ip.to_canonical(), port),
        ttl: None,
        tos: None,
    });
    let told = residence.is_some() || seen.is_some();
    told.then(|| Reflection {
        residence,
        seen,
        ..Reflection::default()
    })
}

/// Whether this can stand behind `sip:` as host and port.
fn is_host(text: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    !text.is_empty() && text.bytes().all(may_stand)
}

/// Writes `number` in as many hexadecimal digits as there are places.
fn write_hex(number: u64, places: &mut [u8]) {
    let mut rest = number;
    for place in places.iter_mut().rev() {
        *place = b"0123456789abcdef"[(rest % 16) as usize];
        rest /= 16;
    }
}

/// The number in 16 hexadecimal digits, written as we write them.
fn read_hex(digits: &[u8]) -> Option<u64> {
    let is_ours = |&byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let digits = Some(digits).filter(|digits| digits.len() == DIGITS && digits.iter().all(is_ours))?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Writes seconds and nanoseconds.
fn write_stamp(at: Wall, places: &mut [u8]) {
    let mut rest = at.0;
    for (behind, place) in places.iter_mut().rev().enumerate() {
        if behind == 9 {
            *place = b'.';
        } else {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
}
