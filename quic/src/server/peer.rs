//! One connection of a server, and its streams.

use super::caps::Source;
use super::options::QuicServerOptions;
use crate::hub::Channel;
use crate::lent::Loan;
use halloo_base::{Counters, Env, Mono, Next, Reason, Stamp, StreamResponder};
use quinn_proto::crypto::rustls::HandshakeData;
use quinn_proto::{ReadError, StreamId, VarInt, WriteError};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// How much is read at once; what is answered to it waits until it has left.
const CHUNK: usize = 16 << 10;

/// A connection that somebody made to a server.
pub(super) struct Peer {
    pub(super) channel: Channel,
    pub(super) source: Source,
    /// Whether it was counted, or is somebody else's to count.
    pub(super) counted: bool,
    /// Whether the handshake is complete.
    pub(super) connected: bool,
    /// Whether it is over; the library still answers late datagrams for it.
    pub(super) over: bool,
    /// When it began, or last brought something to answer.
    pub(super) active: Mono,
    /// Whether its streams are answered elsewhere, and how they get there.
    pub(super) is_lent: bool,
    pub(super) loan: Option<Loan>,
    /// Whether it is to be closed once what was written has left.
    pub(super) is_leaving: bool,
    /// Where it stands among the timers.
    pub(super) timer: Option<Mono>,
    streams: BTreeMap<StreamId, Stream>,
}

struct Stream {
    /// `None` once everything has been said.
    responder: Option<Box<dyn StreamResponder>>,
    /// What was read and not used yet.
    rx: Vec<u8>,
    /// What is to be sent, from here on.
    tx: Vec<u8>,
    sent: usize,
    /// The peer has sent all.
    heard_all: bool,
}

/// Whether there may be more to do at once.
enum Step {
    Again,
    Wait,
    Gone,
}

impl Peer {
    pub(super) fn new(channel: Channel, source: Source, now: Mono) -> Peer {
        Peer {
            channel,
            source,
            counted: false,
            connected: false,
            over: false,
            active: now,
            is_lent: false,
            loan: None,
            is_leaving: false,
            timer: None,
            streams: BTreeMap::new(),
        }
    }

    /// When we end it ourselves.
    pub(super) fn ends_at(&self, options: &QuicServerOptions) -> Option<Mono> {
        let patience = if self.connected {
            options.idle_timeout
        } else {
            options.handshake_timeout
        };
        let is_ours = self.loan.is_none() && !self.over;
        Some(self.active + patience).filter(|_| is_ours)
    }

    /// Whether it has shown that it is there.
    pub(super) fn is_at(&self, remote: SocketAddr) -> bool {
        self.connected && !self.over && self.channel.is_proven(remote)
    }

    /// The protocol that was agreed on (RFC 7301), once it is.
    pub(super) fn protocol(&self) -> Option<Vec<u8>> {
        let data = self.channel.quic.crypto_session().handshake_data()?;
        data.downcast::<HandshakeData>().ok()?.protocol
    }

    pub(super) fn open(&mut self, id: StreamId, responder: Box<dyn StreamResponder>) {
        let stream = Stream {
            responder: Some(responder),
            rx: Vec::new(),
            tx: Vec::new(),
            sent: 0,
            heard_all: false,
        };
        self.streams.insert(id, stream);
    }

    /// Whether nothing more is to be said to it.
    pub(super) fn is_gone(&self) -> bool {
        self.over && self.channel.quic.is_closed()
    }

    pub(super) fn drop_streams(&mut self) {
        while let Some((id, _)) = self.streams.first_key_value() {
            self.drop_stream(*id);
        }
    }

    /// The peer has all of a stream, or wants no more of it.
    pub(super) fn drop_stream(&mut self, id: StreamId) {
        if self.streams.remove(&id).is_some_and(|stream| !stream.heard_all) {
            // It may be at its end already.
            let _ = self.channel.quic.recv_stream(id).stop(VarInt::from_u32(0));
        }
        let _ = self.channel.quic.send_stream(id).reset(VarInt::from_u32(0));
    }

    /// Answers on a stream for as long as there is something to answer and room for the answer.
    pub(super) fn serve(
        &mut self,
        env: &mut Env<'_>,
        id: StreamId,
        at: Stamp,
        pending: usize,
        counters: &Counters,
    ) {
        loop {
            match self.step(env, id, at, pending, counters) {
                Step::Again => {}
                Step::Wait => return,
                Step::Gone => return self.drop_stream(id),
            }
        }
    }

    fn step(
        &mut self,
        env: &mut Env<'_>,
        id: StreamId,
        at: Stamp,
        pending: usize,
        counters: &Counters,
    ) -> Step {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Step::Wait;
        };
        if let Some(unsent) = stream.tx.get(stream.sent..).filter(|unsent| !unsent.is_empty()) {
            return match self.channel.quic.send_stream(id).write(unsent) {
                Ok(taken) => {
                    stream.sent += taken;
                    counters.wrote(taken);
                    Step::Again
                }
                Err(WriteError::Blocked) => Step::Wait,
                Err(_) => Step::Gone,
            };
        }
        stream.tx.clear();
        stream.sent = 0;
        let Some(responder) = stream.responder.as_mut().filter(|_| !stream.heard_all) else {
            if stream.responder.take().is_some() && self.channel.quic.send_stream(id).finish().is_err() {
                return Step::Gone;
            }
            return Step::Wait;
        };
        let mut recv = self.channel.quic.recv_stream(id);
        let Ok(mut chunks) = recv.read(true) else {
            return Step::Gone;
        };
        let next = chunks.next(CHUNK);
        // All that is to be sent is, in the end.
        let _ = chunks.finalize();
        match next {
            Ok(Some(chunk)) => {
                self.active = env.now;
                counters.read(chunk.bytes.len());
                stream.rx.extend_from_slice(&chunk.bytes);
                let (used, next) = responder.respond(env, at, &stream.rx, &mut stream.tx);
                stream.rx.drain(..used.min(stream.rx.len()));
                if next == Next::Close {
                    stream.heard_all = true;
                    stream.rx.clear();
                    let _ = self.channel.quic.recv_stream(id).stop(VarInt::from_u32(0));
                } else if stream.rx.len() > pending {
                    counters.silent(Reason::Malformed);
                    return Step::Gone;
                }
                Step::Again
            }
            Ok(None) => {
                stream.heard_all = true;
                Step::Again
            }
            Err(ReadError::Blocked) => Step::Wait,
            Err(ReadError::Reset(_)) => Step::Gone,
        }
    }
}
