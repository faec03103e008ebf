//! A machine whose streams are sealed.

use halloo_base::{
    CloseReason, ConnId, Cx, Deadline, Input, Machine, Mono, Outbox, Output, Path, Stamp, StreamInput, TxTag,
};
use rustls::pki_types::ServerName;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, Error, ServerConfig, ServerConnection,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

/// How long who connects to us has for the handshake.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// Which end of its connections a machine is.
#[derive(Clone, Debug)]
pub enum Side {
    /// It connects to the host of this name.
    Client(Arc<ClientConfig>, ServerName<'static>),
    /// It is connected to.
    Server(Arc<ServerConfig>),
}

/// A machine that speaks streams, behind TLS.
///
/// A client is told that a connection is there ([`StreamInput::Connected`]), and that it is open when it is sealed. A server
/// is told that at once, so that it can count and end connections that never get so far; those that take longer than
/// [`HANDSHAKE_WITHIN`] for it are ended here. What never becomes a message for the machine is no sign of life to it.
pub struct Sealed<M> {
    machine: M,
    side: Side,
    /// Each connection that is there.
    channels: BTreeMap<ConnId, Channel>,
    /// Those that others opened and that are not secured yet, and until when they have to be.
    greeting: BTreeSet<(Mono, ConnId)>,
    out: Outbox,
    /// What was opened, and what is to leave; kept for their memory.
    opened: Vec<u8>,
    sealed: Vec<u8>,
}

struct Channel {
    tls: Connection,
    path: Path,
    /// Until when it has to be secured, if somebody else opened it and it is not.
    secured_by: Option<Mono>,
    /// Whether the machine knows of it.
    told: bool,
    /// Whether the machine has nothing more to say.
    finishing: bool,
    /// Whether the peer has said so.
    finished: bool,
}

impl<M: Machine> Sealed<M> {
    /// Puts TLS around a machine.
    pub fn new(machine: M, side: Side) -> Sealed<M> {
        Sealed {
            machine,
            side,
            channels: BTreeMap::new(),
            greeting: BTreeSet::new(),
            out: Outbox::new(),
            opened: vec![],
            sealed: vec![],
        }
    }

    fn opened(&mut self, cx: &mut Cx<'_>, id: ConnId, path: Path, at: Stamp) {
        let tls = match &self.side {
            Side::Client(config, name) => {
                ClientConnection::new(Arc::clone(config), name.clone()).map(Connection::from)
            }
            Side::Server(config) => ServerConnection::new(Arc::clone(config)).map(Connection::from),
        };
        let is_server = matches!(self.side, Side::Server(_));
        match tls {
            Ok(tls) => {
                let secured_by = is_server.then(|| cx.env.now + HANDSHAKE_WITHIN);
                self.greeting.extend(secured_by.map(|by| (by, id)));
                let channel = Channel {
                    tls,
                    path,
                    secured_by,
                    told: is_server,
                    finishing: false,
                    finished: false,
                };
                self.channels.insert(id, channel);
                let told = match is_server {
                    true => StreamInput::Opened { path, at },
                    false => StreamInput::Connected { at },
                };
                self.tell(cx, Input::Stream(id, told));
                self.flush(cx, id, None);
            }
            Err(error) => {
                cx.out.abort(id);
                self.tell(cx, Input::Stream(id, StreamInput::Closed(refusal(&error))));
            }
        }
    }

    /// Bytes that arrived on the wire.
    fn arrived(&mut self, cx: &mut Cx<'_>, id: ConnId, mut bytes: &[u8], at: Stamp) {
        while !bytes.is_empty() {
            let Some(channel) = self.channels.get_mut(&id) else {
                return;
            };
            // Reading from a slice does not fail; what is over its bound is taken in the next round.
            let taken = channel.tls.read_tls(&mut bytes).unwrap_or(0);
            let processed = channel.tls.process_new_packets();
            // The alert that says why, too.
            self.flush(cx, id, None);
            if let Err(error) = processed {
                return self.broken(cx, id, refusal(&error));
            }
            self.hand_over(cx, id, at);
            if taken == 0 {
                return;
            }
        }
    }

    /// Tells the machine what has come of it.
    fn hand_over(&mut self, cx: &mut Cx<'_>, id: ConnId, at: Stamp) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.tls.is_handshaking() {
            return;
        }
        if let Some(by) = channel.secured_by.take() {
            self.greeting.remove(&(by, id));
        }
        if !std::mem::replace(&mut channel.told, true) {
            let path = channel.path;
            self.tell(cx, Input::Stream(id, StreamInput::Opened { path, at }));
        }
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let mut opened = std::mem::take(&mut self.opened);
        opened.clear();
        // It ends in "would block", or in the peer's close; both are asked for below.
        let _ = channel.tls.reader().read_to_end(&mut opened);
        if !opened.is_empty() {
            let bytes = &opened;
            self.tell(cx, Input::Stream(id, StreamInput::Data { bytes, at }));
        }
        self.opened = opened;
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let state = channel.tls.process_new_packets();
        if state.is_ok_and(|state| state.peer_has_closed()) && !std::mem::replace(&mut channel.finished, true)
        {
            self.tell(cx, Input::Stream(id, StreamInput::Finished));
        }
    }

    /// The peer sends no more. Without its own word under the seal somebody else may have cut the stream (RFC 8446
    /// section 6.1); as most programs do, we take it as its end all the same.
    fn finished_by_peer(&mut self, cx: &mut Cx<'_>, id: ConnId) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.tls.is_handshaking() {
            let why = match self.side {
                Side::Client(..) => CloseReason::Insecure("the other side ended it before TLS was agreed on"),
                // Somebody looked whether we are there.
                Side::Server(_) => CloseReason::Done,
            };
            return self.broken(cx, id, why);
        }
        if !std::mem::replace(&mut channel.finished, true) {
            self.tell(cx, Input::Stream(id, StreamInput::Finished));
        }
    }

    fn broken(&mut self, cx: &mut Cx<'_>, id: ConnId, why: CloseReason) {
        self.forget(id);
        // The alert was written before. Nobody waits for who does not understand it.
        cx.out.abort(id);
        self.tell(cx, Input::Stream(id, StreamInput::Closed(why)));
    }

    /// Whether it was there.
    fn forget(&mut self, id: ConnId) -> bool {
        let gone = self.channels.remove(&id);
        if let Some(by) = gone.as_ref().and_then(|channel| channel.secured_by) {
            self.greeting.remove(&(by, id));
        }
        gone.is_some()
    }

    /// Ends those that take too long to agree on TLS.
    fn end_slow(&mut self, cx: &mut Cx<'_>) {
        while let Some(&(by, id)) = self.greeting.first()
            && by <= cx.env.now
        {
            self.broken(cx, id, CloseReason::HandshakeTimeout);
        }
    }

    /// Tells the machine, and seals what it wants to say.
    fn tell(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        let mut out = std::mem::take(&mut self.out);
        self.machine.handle(&mut cx.with(&mut out), input);
        for output in out.iter() {
            match output {
                Output::Connect(id, path) => cx.out.connect(id, path),
                Output::Write(id, tag, bytes) => self.write(cx, id, tag, bytes),
                Output::Finish(id) => self.finish(cx, id),
                Output::Abort(id) => {
                    self.forget(id);
                    cx.out.abort(id);
                }
                // Streams alone are sealed.
                Output::Datagram(how, bytes) => cx.out.datagram(how, bytes),
                Output::Open(id, endpoint) => cx.out.open(id, endpoint),
                Output::Close(id) => cx.out.close(id),
                Output::Frame(..) => {}
            }
        }
        out.clear();
        self.out = out;
    }

    fn write(&mut self, cx: &mut Cx<'_>, id: ConnId, tag: Option<TxTag>, bytes: &[u8]) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        // There is no limit to what it takes: the driver has one.
        channel.tls.set_buffer_limit(None);
        let _ = channel.tls.writer().write_all(bytes);
        self.flush(cx, id, tag);
    }

    fn finish(&mut self, cx: &mut Cx<'_>, id: ConnId) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if !std::mem::replace(&mut channel.finishing, true) {
            channel.tls.send_close_notify();
        }
        self.flush(cx, id, None);
        cx.out.finish(id);
    }

    /// Writes what is to leave.
    fn flush(&mut self, cx: &mut Cx<'_>, id: ConnId, tag: Option<TxTag>) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        self.sealed.clear();
        while channel.tls.wants_write() {
            // Writing to memory does not fail.
            if channel.tls.write_tls(&mut self.sealed).unwrap_or(0) == 0 {
                break;
            }
        }
        if !self.sealed.is_empty() {
            cx.out.write(id, tag, &self.sealed);
        }
    }
}

impl<M: Machine> Machine for Sealed<M> {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Stream(id, StreamInput::Opened { path, at }) => self.opened(cx, id, path, at),
            Input::Stream(id, StreamInput::Data { bytes, at }) => self.arrived(cx, id, bytes, at),
            Input::Stream(id, StreamInput::Finished) => self.finished_by_peer(cx, id),
            Input::Stream(id, StreamInput::Closed(why)) => {
                // One that we have ended ourselves is news to nobody.
                let known = self.forget(id);
                if known || matches!(why, CloseReason::ConnectFailed(_)) {
                    self.tell(cx, Input::Stream(id, StreamInput::Closed(why)));
                }
            }
            other => self.tell(cx, other),
        }
        self.end_slow(cx);
    }

    fn deadline(&self) -> Option<Deadline> {
        let greeting = self.greeting.first();
        let greeting = greeting.map(|&(by, _)| Deadline::new(by, "handshake"));
        Deadline::earlier(self.machine.deadline(), greeting)
    }

    fn finished(&self) -> bool {
        self.machine.finished()
    }
}

/// Why there is no TLS, in words for whom it concerns.
fn refusal(error: &Error) -> CloseReason {
    CloseReason::Insecure(match error {
        Error::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer => {
                "the certificate is signed by nobody whom this host knows (--pin FINGERPRINT, --insecure)"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the certificate is for another name"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the certificate is not valid yet"
            }
            CertificateError::Revoked => "the certificate was revoked",
            CertificateError::ApplicationVerificationFailure => {
                "the certificate is not the one that is pinned"
            }
            _ => "the certificate is not acceptable",
        },
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => "the other side does not speak TLS",
        Error::PeerIncompatible(_) => "the other side has no version or cipher of TLS in common with us",
        Error::NoApplicationProtocol => "the other side does not speak this protocol under TLS",
        Error::AlertReceived(_) => "the other side refuses TLS with us",
        Error::DecryptError => "what came under TLS was damaged on the way",
        _ => "TLS failed",
    })
}

#[cfg(test)]
mod tests;
