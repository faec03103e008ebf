//! Answers Binding requests.

use super::Places;
use super::wire::{ATTRIBUTE, Change, Class, IPV4_ADDRESS, IPV6_ADDRESS, Message, Unfit, Writer};
use super::wire::{BINDING, attribute};
use halloo_base::{Datagram, Env, Reason, ReplyLimit, Responder, Verdict};
use std::net::{IpAddr, SocketAddr};

/// How a [`StunServer`] answers. The default has one address.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StunServerOptions {
    /// Where this server is at two addresses and two ports, for each family that it is (RFC 5780 section 6).
    pub places: Vec<Places>,
}

/// What a request that came to one of four [`Places`] learns of the others.
#[derive(Clone, Copy)]
struct Elsewhere {
    /// The other address with the other port.
    other: SocketAddr,
    /// Where the answer is to come from, if not from where it was asked.
    from: Option<SocketAddr>,
}

/// A basic STUN server (RFC 8489 section 12): tells each client its address as seen from here, remembers nothing, and asks
/// nobody who he is.
///
/// It answers Binding requests alone, never indications and never answers. A request from a client of RFC 3489, which
/// has no cookie, is answered with MAPPED-ADDRESS if it asks for nothing else; if it does, it is not answered, for it
/// asks to have the answer sent elsewhere. A CHANGE-REQUEST is granted where the request came to one of its
/// [`Places`]: the answer leaves from another one, and goes to who asked. Elsewhere it is an unknown attribute to this
/// server, as RFC 5780 section 6.1 wants it without another address. PADDING is answered with PADDING up to the length of the
/// request and no further.
#[derive(Debug)]
pub struct StunServer {
    options: StunServerOptions,
}

impl StunServer {
    /// A server.
    pub fn new(options: StunServerOptions) -> StunServer {
        StunServer { options }
    }

    /// Writes the answer; says how long it is, and where it is to come from if not from where it was asked.
    fn answer(&self, rx: &Datagram<'_>, reply: &mut [u8]) -> Result<(usize, Option<SocketAddr>), Reason> {
        let request = Message::parse(rx.payload)?;
        match request.class {
            Class::Request if request.method == BINDING => {}
            Class::Request | Class::Indication => return Err(Reason::NotServed),
            Class::Success | Class::Error => return Err(Reason::Loop),
        }
        let is_classic = !request.transaction.has_cookie();
        let change = request
            .attribute(attribute::CHANGE_REQUEST)
            .map_or(Some(Change::default()), Change::parse);
        let elsewhere = change
            .filter(|_| !is_classic)
            .and_then(|change| self.elsewhere(rx, change));
        let unknown = request
            .attributes()
            .filter(|&(kind, value)| !is_served(kind, value, is_classic, elsewhere.is_some()))
            .map(|(kind, _)| kind);
        let is_understood = unknown.clone().next().is_none();
        let written = if is_understood {
            success(&request, rx, elsewhere, reply)
        } else if is_classic {
            return Err(Reason::NotServed);
        } else {
            refusal(&request, unknown, reply)
        };
        let from = elsewhere.filter(|_| is_understood).and_then(|places| places.from);
        written.map(|len| (len, from)).map_err(|Unfit| Reason::Truncated)
    }

    fn elsewhere(&self, rx: &Datagram<'_>, change: Change) -> Option<Elsewhere> {
        let both = Change { ip: true, port: true };
        self.options.places.iter().find_map(|places| {
            Some(Elsewhere {
                other: places.changed(rx.path.local, both)?,
                from: places
                    .changed(rx.path.local, change)
                    .filter(|_| !change.is_none()),
            })
        })
    }
}

impl Responder for StunServer {
    fn respond(&mut self, _env: &mut Env<'_>, rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict {
        match self.answer(rx, reply) {
            Ok((len, None)) => Verdict::Reply(len),
            Ok((len, Some(from))) => Verdict::ReplyFrom(len, from),
            Err(why) => Verdict::Silent(why),
        }
    }

    /// As much as all of it needs: XOR-MAPPED-ADDRESS, 24 bytes for IPv6; where there are other places, MAPPED-ADDRESS,
    /// RESPONSE-ORIGIN and OTHER-ADDRESS too (RFC 5780 section 6.1), all of one family. Under a shorter limit answers leave
    /// out what does not fit.
    fn reply_limit(&self, rx: &Datagram<'_>) -> Option<ReplyLimit> {
        let address = match rx.path.local.ip().to_canonical() {
            IpAddr::V4(_) => IPV4_ADDRESS,
            IpAddr::V6(_) => IPV6_ADDRESS,
        };
        Some(ReplyLimit::Extra(match self.elsewhere(rx, Change::default()) {
            Some(_) => 4 * address,
            None => IPV6_ADDRESS,
        }))
    }
}

/// Whether a request with this attribute can be answered as if it were understood.
fn is_served(kind: u16, value: &[u8], is_classic: bool, has_other: bool) -> bool {
    match kind {
        attribute::CHANGE_REQUEST if is_classic => Change::parse(value).is_some_and(Change::is_none),
        attribute::CHANGE_REQUEST => has_other && Change::parse(value).is_some(),
        attribute::PADDING => !is_classic,
        _ => !attribute::is_required(kind) || attribute::is_known(kind),
    }
}

fn success(
    request: &Message<'_>,
    rx: &Datagram<'_>,
    elsewhere: Option<Elsewhere>,
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
    if let Some(Elsewhere { other, from }) = elsewhere {
        // What has no room is left out, the most wanted last.
        let _ = answer.address(attribute::OTHER_ADDRESS, other);
        let _ = answer.address(attribute::RESPONSE_ORIGIN, from.unwrap_or(rx.path.local));
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
