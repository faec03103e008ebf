//! Answers Binding requests.

use super::wire::{ATTRIBUTE, Change, Class, IPV4_ADDRESS, IPV6_ADDRESS, Message, Unfit, Writer};
use super::wire::{BINDING, attribute};
use halloo_base::{Datagram, Env, Reason, ReplyLimit, Responder, Verdict};
use std::net::SocketAddr;

/// How a [`StunServer`] answers. The default has one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StunServerOptions {
    /// The server's other address with its other port, where another `StunServer` answers (RFC 5780 section 6): told
    /// in answers over the same family.
    pub other: Option<SocketAddr>,
}

impl StunServerOptions {
    /// How long answers may be so that all of them fits: XOR-MAPPED-ADDRESS, 24 bytes for IPv6, and where there is
    /// another address MAPPED-ADDRESS, RESPONSE-ORIGIN and OTHER-ADDRESS of its family (RFC 5780 section 6.1).
    ///
    /// Under a shorter limit answers leave out what does not fit.
    pub fn reply_limit(&self) -> ReplyLimit {
        ReplyLimit::Extra(match self.other {
            None => IPV6_ADDRESS,
            Some(other) if other.ip().to_canonical().is_ipv4() => 4 * IPV4_ADDRESS,
            Some(_) => 4 * IPV6_ADDRESS,
        })
    }
}

/// A basic STUN server (RFC 8489 section 12): tells each client its address as seen from here, remembers nothing, and asks
/// nobody who he is.
///
/// It answers Binding requests alone, never indications and never answers. A request from a client of RFC 3489, which
/// has no cookie, is answered with MAPPED-ADDRESS if it asks for nothing else; if it does, it is not answered, for it
/// asks to have the answer sent elsewhere. An answer is sent on the path of its request, so no CHANGE-REQUEST is
/// granted: it is an unknown attribute to this server, as RFC 5780 section 6.1 wants it without another address. PADDING
/// is answered with PADDING up to the length of the request and no further.
#[derive(Debug)]
pub struct StunServer {
    options: StunServerOptions,
}

impl StunServer {
    /// A server.
    pub fn new(options: StunServerOptions) -> StunServer {
        StunServer { options }
    }

    fn answer(&self, rx: &Datagram<'_>, reply: &mut [u8]) -> Result<usize, Reason> {
        let request = Message::parse(rx.payload)?;
        match request.class {
            Class::Request if request.method == BINDING => {}
            Class::Request | Class::Indication => return Err(Reason::NotServed),
            Class::Success | Class::Error => return Err(Reason::Loop),
        }
        let is_classic = !request.transaction.has_cookie();
        let other = self
            .options
            .other
            .filter(|other| !is_classic && is_same_family(*other, rx.path.remote));
        let unknown = request
            .attributes()
            .filter(|&(kind, value)| !is_served(kind, value, is_classic, other.is_some()))
            .map(|(kind, _)| kind);
        let written = if unknown.clone().next().is_none() {
            success(&request, rx, other, reply)
        } else if is_classic {
            return Err(Reason::NotServed);
        } else {
            refusal(&request, unknown, reply)
        };
        written.map_err(|Unfit| Reason::Truncated)
    }
}

impl Responder for StunServer {
    fn respond(&mut self, _env: &mut Env<'_>, rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict {
        match self.answer(rx, reply) {
            Ok(len) => Verdict::Reply(len),
            Err(why) => Verdict::Silent(why),
        }
    }

    fn reply_limit(&self, _rx: &Datagram<'_>) -> Option<ReplyLimit> {
        Some(self.options.reply_limit())
    }
}

fn is_same_family(a: SocketAddr, b: SocketAddr) -> bool {
    a.ip().to_canonical().is_ipv4() == b.ip().to_canonical().is_ipv4()
}

/// Whether a request with this attribute can be answered as if it were understood.
fn is_served(kind: u16, value: &[u8], is_classic: bool, has_other: bool) -> bool {
    match kind {
        attribute::CHANGE_REQUEST if is_classic || has_other => {
            Change::parse(value) == Some(Change::default())
        }
        attribute::PADDING => !is_classic,
        _ => !attribute::is_required(kind) || attribute::is_known(kind),
    }
}

fn success(
    request: &Message<'_>,
    rx: &Datagram<'_>,
    other: Option<SocketAddr>,
    reply: &mut [u8],
) -> Result<usize, Unfit> {
    let is_classic = !request.transaction.has_cookie();
    let mapped = if is_classic {
        attribute::MAPPED_ADDRESS
    } else {
        attribute::XOR_MAPPED_ADDRESS
    };
    let fingerprint = request.is_fingerprinted && !is_classic;
    let mut answer = Writer::new(reply, Class::Success, request.transaction, fingerprint)?;
    answer.address(mapped, rx.path.remote)?;
    if let Some(other) = other {
        // What has no room is left out, the most wanted last.
        let _ = answer.address(attribute::OTHER_ADDRESS, other);
        if !rx.path.local.ip().to_canonical().is_unspecified() {
            let _ = answer.address(attribute::RESPONSE_ORIGIN, rx.path.local);
        }
        let _ = answer.address(attribute::MAPPED_ADDRESS, rx.path.remote);
    }
    if request.attribute(attribute::PADDING).is_some() {
        let room = rx.payload.len().saturating_sub(answer.whole_len() + ATTRIBUTE);
        let _ = answer.attribute(attribute::PADDING, room, |_| ());
    }
    Ok(answer.finish())
}

/// 420, with the types that are to blame (RFC 8489 section 6.3.1). Without a reason phrase, which is for people and would
/// make it longer than the request.
fn refusal(
    request: &Message<'_>,
    unknown: impl Iterator<Item = u16> + Clone,
    reply: &mut [u8],
) -> Result<usize, Unfit> {
    const UNKNOWN_ATTRIBUTE: [u8; 4] = [0, 0, 4, 20];
    let fingerprint = request.is_fingerprinted;
    let mut answer = Writer::new(reply, Class::Error, request.transaction, fingerprint)?;
    answer.attribute(attribute::ERROR_CODE, UNKNOWN_ATTRIBUTE.len(), |to| {
        to.copy_from_slice(&UNKNOWN_ATTRIBUTE);
    })?;
    let length = 2 * unknown.clone().count();
    answer.attribute(attribute::UNKNOWN_ATTRIBUTES, length, |to| {
        for (place, kind) in to.chunks_exact_mut(2).zip(unknown) {
            place.copy_from_slice(&kind.to_be_bytes());
        }
    })?;
    Ok(answer.finish())
}
