//! Answers pings (ndnping protocol, version 1).

use super::data::MetaInfo;
use super::keys::Signer;
use super::lp::{Content, LONGEST_TOKEN, Packet};
use super::name::{Component, Name, NameBuf};
use super::tlv::{self, LONGEST_PACKET, NoRoom, Writer, element_len, written};
use super::types;
use halloo_base::{
    Datagram, Env, Next, Reason, ReplyLimit, Responder, Stamp, StreamResponder, Trust, Verdict,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The component between prefix and number.
pub const PING: &[u8] = b"ping";

/// How a [`PingServer`] answers.
#[derive(Clone, Debug)]
pub struct PingServerOptions {
    /// It answers every Interest under this name and one component `ping` behind it.
    pub prefix: NameBuf,
    /// How many bytes the content of each Data has: so many letters `a`. A stranger, whose address may be forged, gets no
    /// more of them than its Interest is long.
    pub size: usize,
    /// For how long a cache may call the Data fresh; zero for not at all. Default: 1 s.
    pub freshness: Duration,
    /// Who signs. Default: a mere digest.
    pub signer: Signer,
    /// It falls silent after so many answers; `None` for never.
    pub most: Option<u64>,
}

impl PingServerOptions {
    /// The defaults, for this prefix.
    pub fn new(prefix: NameBuf) -> PingServerOptions {
        PingServerOptions {
            prefix,
            size: 0,
            freshness: Duration::from_secs(1),
            signer: Signer::digest(),
            most: None,
        }
    }
}

/// Why options make no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PingServerError {
    /// No probe could be answered.
    #[error(
        "content of {size} bytes makes packets longer than the {LONGEST_PACKET} that NDN allows; \
         at most {most} bytes fit under this prefix"
    )]
    TooLong {
        /// What was asked for.
        size: usize,
        /// What would be possible.
        most: usize,
    },
    /// Not even empty content fits.
    #[error("the prefix is too long: no probe under it could be answered")]
    LongPrefix,
}

/// Told of each packet that a [`PingServer`] has looked at, on the thread that answers: it must not block.
pub trait PingSink: Send {
    /// An Interest for `name` that arrived at `at` is answered.
    fn answered(&mut self, at: Stamp, name: Name<'_>);

    /// A packet on a connection is not answered. (For datagrams the server's machine counts this.)
    fn silent(&mut self, _why: Reason) {}
}

/// Nobody wants to know.
impl PingSink for () {
    fn answered(&mut self, _at: Stamp, _name: Name<'_>) {}
}

/// Answers every Interest under its prefix with Data of the same name, on datagrams and on connections.
///
/// An Interest in fragments is not answered here: the answer might be many times longer than the fragment that
/// completes it, and that may have been sent in somebody else's name.
pub struct PingServer {
    recipe: Arc<Recipe>,
    sink: Box<dyn PingSink>,
}

/// All that answers have in common.
struct Recipe {
    /// With `ping`.
    prefix: NameBuf,
    body: Body,
    signer: Signer,
    left: Option<AtomicU64>,
}

/// What stands in every Data between name and signature.
struct Body {
    meta: Vec<u8>,
    /// As much as there is room for is used.
    content: Vec<u8>,
    info: Vec<u8>,
}

/// An answer, written.
struct Answered<'a> {
    len: usize,
    name: Name<'a>,
}

impl PingServer {
    /// A server that tells `sink` what it answers.
    ///
    /// # Errors
    /// If a probe with the longest number, by whoever marks it with the longest token, could not be answered.
    pub fn new(options: PingServerOptions, sink: Box<dyn PingSink>) -> Result<PingServer, PingServerError> {
        let PingServerOptions {
            prefix,
            size,
            freshness,
            signer,
            most,
        } = options;
        let prefix = prefix.with(PING);
        let empty = longest_reply(&prefix, &signer, freshness, 0).ok_or(PingServerError::LongPrefix)?;
        let too_long = PingServerError::TooLong {
            size,
            most: (0..=LONGEST_PACKET - empty)
                .rev()
                .find(|&size| longest_reply(&prefix, &signer, freshness, size).is_some())
                .unwrap_or(0),
        };
        if size > LONGEST_PACKET || longest_reply(&prefix, &signer, freshness, size).is_none() {
            return Err(too_long);
        }
        let recipe = Recipe {
            body: Body::new(&signer, freshness, size).ok_or(too_long)?,
            prefix,
            signer,
            left: most.map(AtomicU64::new),
        };
        Ok(PingServer {
            recipe: Arc::new(recipe),
            sink,
        })
    }

    /// The same server for one more connection. Their answers count together.
    #[must_use]
    pub fn sibling(&self, sink: Box<dyn PingSink>) -> PingServer {
        PingServer {
            recipe: Arc::clone(&self.recipe),
            sink,
        }
    }

    /// The prefix that it answers for, `ping` included: what is to be registered at a forwarder.
    pub fn prefix(&self) -> Name<'_> {
        self.recipe.prefix.as_name()
    }

    /// How much longer than its Interest a Data is at most: the name comes back, and what the format wants beside it;
    /// content only for who is known.
    pub fn reply_limit(&self) -> ReplyLimit {
        let Recipe { body, signer, .. } = &*self.recipe;
        // Three lengths, of Data, LpPacket and Fragment, may grow from one byte to three.
        let signature = element_len(types::SIGNATURE_VALUE, signer.longest());
        let more = |content| body.len(content) + signature + 3 * 2;
        match body.content.len() {
            0 => ReplyLimit::Extra(more(0)),
            whole => ReplyLimit::Graded {
                stranger: more(0),
                validated: more(whole),
            },
        }
    }

    /// The room that an answer to a packet of `len` bytes needs at most.
    pub fn room(&self, len: usize) -> usize {
        self.reply_limit().longest(len, Trust::Validated)
    }

    /// Whether it has given as many answers as it was to give.
    pub fn is_done(&self) -> bool {
        let left = self.recipe.left.as_ref();
        left.is_some_and(|left| left.load(Ordering::Relaxed) == 0)
    }

    /// Answers the packet `wire` in `reply`; returns how long the answer is. Where `reply` is shorter than
    /// [`PingServer::room`], the asker is a stranger: the answer has as much content as leaves it no longer than `wire`, or
    /// none at all.
    ///
    /// # Errors
    /// Why there is none.
    pub fn answer(&mut self, at: Stamp, wire: &[u8], reply: &mut [u8]) -> Result<usize, Reason> {
        let answered = self.recipe.answer(wire, reply)?;
        self.sink.answered(at, answered.name);
        Ok(answered.len)
    }

    /// Answers every whole packet in `rx` behind what `tx` holds. Returns how many bytes of `rx` were used.
    ///
    /// # Errors
    /// If nobody can tell where the next packet begins: the connection is of no more use.
    pub fn answer_stream(
        &mut self,
        at: Stamp,
        rx: &[u8],
        tx: &mut Vec<u8>,
        mut count: impl FnMut(usize, Result<usize, Reason>),
    ) -> Result<usize, tlv::Malformed> {
        let mut used = 0;
        while let Some(len) = tlv::measure(&rx[used..])? {
            let Some(wire) = rx.get(used..used + len) else {
                break;
            };
            used += len;
            let start = tx.len();
            tx.resize(start + self.room(len), 0);
            let answered = self.answer(at, wire, &mut tx[start..]);
            tx.truncate(start + answered.unwrap_or(0));
            if let Err(why) = answered {
                self.sink.silent(why);
            }
            count(len, answered);
        }
        Ok(used)
    }
}

impl Recipe {
    fn answer<'a>(&self, wire: &'a [u8], reply: &mut [u8]) -> Result<Answered<'a>, Reason> {
        let packet = Packet::parse(wire).map_err(|_| Reason::Malformed)?;
        let name = match packet.content {
            Content::Interest(interest) => interest.name,
            Content::Data(_) | Content::Nack(..) => return Err(Reason::Loop),
            Content::Fragment(_) | Content::Idle => return Err(Reason::Incomplete),
        };
        if !self.serves(name, packet.pit_token) || !self.take_one() {
            return Err(Reason::NotServed);
        }
        let len = self.emit(name, packet.pit_token, wire.len(), reply);
        let len = len.map_err(|NoRoom| Reason::ReplyTooLong)?;
        Ok(Answered { len, name })
    }

    /// Who asks for the digest of a Data must have seen it: a fresh one cannot be it. And a name may be so long that
    /// no Data has room for it.
    fn serves(&self, name: Name<'_>, pit_token: Option<&[u8]>) -> bool {
        let asks_for_digest = |last: Component<'_>| u32::from(last.kind) == types::IMPLICIT_DIGEST;
        let lengths = self.lengths(name, pit_token, self.signer.longest(), self.body.content.len());
        self.prefix.as_name().is_prefix_of(name)
            && !name.last().is_some_and(asks_for_digest)
            && lengths.whole <= LONGEST_PACKET
    }

    fn take_one(&self) -> bool {
        let Some(left) = &self.left else { return true };
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
    }

    fn lengths(&self, name: Name<'_>, pit_token: Option<&[u8]>, signature: usize, content: usize) -> Lengths {
        Lengths::of(
            name,
            self.body.len(content),
            signature,
            pit_token.map(<[u8]>::len),
        )
    }

    /// How many bytes of content the answer to a packet of `asked` bytes has, where there is `room`.
    fn content(&self, name: Name<'_>, pit_token: Option<&[u8]>, asked: usize, room: usize) -> usize {
        let whole = |content| {
            let lengths = self.lengths(name, pit_token, self.signer.longest(), content);
            lengths.whole
        };
        let all = self.body.content.len();
        if whole(all) <= room {
            return all;
        }
        let most = asked.min(room);
        let mut content = most.saturating_sub(whole(0)).min(all);
        // Lengths of lengths grow with it: by a few bytes at most.
        while content > 0 && whole(content) > most {
            content -= 1;
        }
        content
    }

    /// Writes the Data of this name. All lengths are known before the first byte: nothing is moved or allocated.
    fn emit(
        &self,
        name: Name<'_>,
        pit_token: Option<&[u8]>,
        asked: usize,
        reply: &mut [u8],
    ) -> Result<usize, NoRoom> {
        let content = self.content(name, pit_token, asked, reply.len());
        let mut content_header = [0; 10];
        let mut writer = Writer::new(&mut content_header);
        writer.header(types::CONTENT, content);
        let content_header_len = writer.finish()?;
        let body = [
            &self.body.meta[..],
            &content_header[..content_header_len],
            &self.body.content[..content],
            &self.body.info,
        ];
        let mut name_header = [0; 10];
        let mut writer = Writer::new(&mut name_header);
        writer.header(types::NAME, name.value().len());
        let name_header_len = writer.finish()?;
        let name_header = &name_header[..name_header_len];
        let [meta, header, letters, info] = body;
        let signature = self
            .signer
            .sign(&[name_header, name.value(), meta, header, letters, info]);
        let signature = signature.as_bytes();
        let lengths = self.lengths(name, pit_token, signature.len(), content);
        let mut writer = Writer::new(reply);
        if let Some(token) = pit_token {
            writer.header(types::LP_PACKET, lengths.lp_value);
            writer.element(types::LP_PIT_TOKEN, token);
            writer.header(types::LP_FRAGMENT, element_len(types::DATA, lengths.data_value));
        }
        writer.header(types::DATA, lengths.data_value);
        writer.bytes(name_header);
        writer.bytes(name.value());
        body.iter().for_each(|part| writer.bytes(part));
        writer.element(types::SIGNATURE_VALUE, signature);
        writer.finish()
    }
}

/// How long the parts of an answer are.
struct Lengths {
    data_value: usize,
    /// What a link header has to hold, where there is one.
    lp_value: usize,
    whole: usize,
}

impl Lengths {
    fn of(name: Name<'_>, body: usize, signature: usize, pit_token: Option<usize>) -> Lengths {
        let data_value = name.encoded_len() + body + element_len(types::SIGNATURE_VALUE, signature);
        let data = element_len(types::DATA, data_value);
        let token = pit_token.map_or(0, |len| element_len(types::LP_PIT_TOKEN, len));
        let lp_value = token + element_len(types::LP_FRAGMENT, data);
        Lengths {
            data_value,
            lp_value,
            whole: pit_token.map_or(data, |_| element_len(types::LP_PACKET, lp_value)),
        }
    }
}

impl Body {
    /// `None` if it is too long for any packet.
    fn new(signer: &Signer, freshness: Duration, size: usize) -> Option<Body> {
        let meta = MetaInfo {
            freshness: Some(freshness).filter(|period| period.as_millis() > 0),
            ..MetaInfo::default()
        };
        let body = Body {
            meta: written(|writer| meta.emit(writer)).ok()?,
            content: vec![b'a'; size.min(LONGEST_PACKET)],
            info: written(|writer| signer.info().emit(types::SIGNATURE_INFO, writer)).ok()?,
        };
        (size <= LONGEST_PACKET).then_some(body)
    }

    /// How long it is with so many bytes of content.
    fn len(&self, content: usize) -> usize {
        self.meta.len() + element_len(types::CONTENT, content) + self.info.len()
    }
}

/// The length of the answer to a probe with the longest number and token; `None` if it is longer than any packet.
fn longest_reply(prefix: &NameBuf, signer: &Signer, freshness: Duration, size: usize) -> Option<usize> {
    let name = prefix.clone().with(u64::MAX.to_string().as_bytes());
    let body = Body::new(signer, freshness, size)?.len(size);
    let lengths = Lengths::of(name.as_name(), body, signer.longest(), Some(LONGEST_TOKEN));
    Some(lengths.whole).filter(|&whole| whole <= LONGEST_PACKET)
}

impl Responder for PingServer {
    fn respond(&mut self, _env: &mut Env<'_>, rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict {
        match self.answer(rx.at, rx.payload, reply) {
            Ok(len) => Verdict::Reply(len),
            Err(why) => Verdict::Silent(why),
        }
    }
}

impl StreamResponder for PingServer {
    fn respond(&mut self, _env: &mut Env<'_>, at: Stamp, rx: &[u8], tx: &mut Vec<u8>) -> (usize, Next) {
        match self.answer_stream(at, rx, tx, |_, _| {}) {
            Ok(used) => (used, Next::Continue),
            Err(_) => (rx.len(), Next::Close),
        }
    }
}
