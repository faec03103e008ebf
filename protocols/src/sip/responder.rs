//! Answers requests, each by itself (a stateless UAS: RFC 3261 section 8.2.7).

use super::fields::{Head, Name};
use super::message::{Message, NotSip, Start};
use super::reply::{OPTIONAL, Reply, STRANGER, Status, Writer};
use super::stream::SipConnection;
use super::values::{Via, cseq_method, has_tag, is_call_id, number, scheme, tokens};
use halloo_base::{Datagram, Env, Nanos, Path, Reason, ReplyLimit, Responder, Stamp, Verdict};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::SocketAddr;

/// Answers OPTIONS with 200 OK, whoever it is for, and refuses everything else as far as that needs an answer.
///
/// * Answers go by the path that the request came by, as if `rport` had been asked for always (RFC 3581): never to a
///   port or `maddr` that a Via names. That is what reaches a client behind an address translator, and nobody else.
/// * A response is never answered, nor are ACK and CANCEL (RFC 3261 section 8.2.7). So no two servers talk for ever.
/// * What has no Via, From, To, Call-ID or CSeq is not answered: nobody could tell what the answer is to.
/// * Max-Forwards is not counted down: the request ends here. Bodies are not looked at. A To with a tag is answered like
///   one without, although there is no dialog (RFC 3261 section 12.2.2 leaves it open).
/// * Strangers' answers hold what they must hold; what else RFC 3261 wants of them (Content-Length, Timestamp, Allow,
///   Accept, Supported, Accept-Encoding, Accept-Language) comes in this order as long as the answer is no longer than
///   its request. With room for more than [`STRANGER`] bytes beside the request, all of it comes.
#[derive(Clone)]
pub struct SipServer {
    tags: [u8; 16],
}

/// What brought a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    Datagram,
    /// The message has its Content-Length, or it is an error.
    Stream,
    /// The same, and the message is longer than we take.
    TooLong,
}

impl SipServer {
    /// A server that derives the tags of To from `secret`: fresh random bytes for each start, the same ones for all
    /// servers that answer at one address.
    pub fn new(secret: [u8; 16]) -> SipServer {
        SipServer { tags: secret }
    }

    /// The server's end of one connection on this path.
    pub fn connection(&self, path: &Path) -> SipConnection {
        SipConnection::new(self.clone(), path.remote)
    }

    /// Answers the message `wire`, which arrived at `at` from `remote`, in `room`; returns how long the answer is. What
    /// need not be in it is there only as far as it has no more than `most` bytes.
    pub(super) fn answer(
        &self,
        env: &Env<'_>,
        (at, remote): (Stamp, SocketAddr),
        (wire, carrier): (&[u8], Carrier),
        (room, most): (&mut [u8], usize),
    ) -> Result<usize, Reason> {
        let reply = self.decide(wire, remote, carrier)?;
        let mut out = Writer::new(room);
        // A kernel stamp, moved to the monotonic clock, can lie a little after ours.
        let delay = || Some(Nanos((env.clock.stamp().mono - at.mono).0.max(0)));
        reply.emit(&mut out, most, delay);
        out.finish().ok_or(reply.status.otherwise())
    }

    /// What is answered, if anything is.
    fn decide<'a>(&self, wire: &'a [u8], remote: SocketAddr, carrier: Carrier) -> Result<Reply<'a>, Reason> {
        let message = Message::parse(wire).map_err(|why| match why {
            NotSip::Empty | NotSip::Unfinished => Reason::Incomplete,
            NotSip::HalfLineEnd | NotSip::StartLine => Reason::Malformed,
        })?;
        let (Start::Request { method, .. } | Start::BadRequest { method }) = message.start else {
            return Err(Reason::Loop);
        };
        if matches!(method, b"ACK" | b"CANCEL") {
            return Err(Reason::NotServed);
        }
        let head = Head::of(message.fields);
        let value = |name| head.value(name).ok_or(Reason::Malformed);
        let top = Via::parse(value(Name::Via)?).ok_or(Reason::Malformed)?;
        let call_id = value(Name::CallId)?;
        value(Name::From)?;
        value(Name::CSeq)?;
        let has_tag = has_tag(value(Name::To)?).unwrap_or(false);
        Ok(Reply {
            status: status(&message, &head, carrier),
            fields: message.fields,
            top,
            remote,
            tag: (!has_tag).then(|| self.tag(call_id)),
            on_stream: carrier != Carrier::Datagram,
            head,
        })
    }

    /// The same for the same request sent again, without remembering it.
    fn tag(&self, call_id: &[u8]) -> u32 {
        let mut hasher = SipHasher24::new_with_key(&self.tags);
        hasher.write(call_id);
        hasher.finish() as u32
    }
}

impl Responder for SipServer {
    fn respond(&mut self, env: &mut Env<'_>, rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict {
        let asked = rx.payload.len();
        let is_known = reply.len() > asked + STRANGER;
        let most = if is_known { reply.len() } else { asked };
        let from = (rx.at, rx.path.remote);
        match self.answer(env, from, (rx.payload, Carrier::Datagram), (reply, most)) {
            Ok(len) => Verdict::Reply(len),
            Err(why) => Verdict::Silent(why),
        }
    }

    /// A request that is longer than all that there is to say needs no other limit than an echo does.
    fn reply_limit(&self, rx: &Datagram<'_>) -> Option<ReplyLimit> {
        let reply = self.decide(rx.payload, rx.path.remote, Carrier::Datagram).ok()?;
        (reply.full_len() <= rx.payload.len()).then_some(ReplyLimit::SameAsRequest)
    }
}

/// The checks of RFC 3261 section 8.2, in their order.
fn status(message: &Message<'_>, head: &Head<'_>, carrier: Carrier) -> Status {
    let Start::Request { method, uri, is_2_0 } = message.start else {
        return Status::BadRequest;
    };
    if !is_2_0 {
        return Status::VersionNotSupported;
    }
    if carrier == Carrier::TooLong {
        return Status::MessageTooLarge;
    }
    if !is_sound(message, head, method, carrier) {
        return Status::BadRequest;
    }
    if method != b"OPTIONS" {
        return Status::MethodNotAllowed;
    }
    let is_sip = |scheme: &[u8]| scheme.eq_ignore_ascii_case(b"sip") || scheme.eq_ignore_ascii_case(b"sips");
    if !scheme(uri).is_some_and(is_sip) {
        return Status::UnsupportedUriScheme;
    }
    if head.field(Name::Require).is_some() {
        return Status::BadExtension;
    }
    Status::Ok
}

/// Whether the header fields are there as often as they may be and hold what they should.
fn is_sound(message: &Message<'_>, head: &Head<'_>, method: &[u8], carrier: Carrier) -> bool {
    const SINGLE: [Name; 5] = [Name::From, Name::To, Name::CallId, Name::CSeq, Name::MaxForwards];
    let is = |name, check: &dyn Fn(&[u8]) -> bool| head.value(name).is_some_and(check);
    let is_whole = match (head.content_length(), carrier) {
        (Ok(Some(length)), Carrier::Datagram) => length <= message.body.len(),
        (Ok(None), Carrier::Datagram) | (Ok(Some(_)), _) => true,
        (Ok(None), _) | (Err(_), _) => false,
    };
    let mut required = message.fields.filter(|field| field.name == Name::Require);
    head.is_sound
        && is_whole
        && !SINGLE.iter().any(|&name| head.is_repeated(name))
        && is(Name::From, &|from| has_tag(from).is_ok())
        && is(Name::To, &|to| has_tag(to).is_ok())
        && is(Name::CallId, &is_call_id)
        && is(Name::CSeq, &|cseq| cseq_method(cseq) == Some(method))
        && head
            .value(Name::MaxForwards)
            .is_none_or(|hops| number(hops, 255).is_some())
        && required.all(|field| tokens(field.value).all(|name| name.is_ok()))
}

impl std::fmt::Debug for SipServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SipServer").finish_non_exhaustive()
    }
}

/// Room for any answer to a message of `len` bytes whose sender is known.
pub(super) fn room(len: usize) -> usize {
    len + STRANGER + OPTIONAL
}
