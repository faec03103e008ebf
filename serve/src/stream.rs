//! Stream responders, one per accepted connection, and what keeps their number and cost within bounds.
//!
//! # Back-pressure
//! This machine answers at once whatever it is handed, so it holds nothing that waits to be sent: unsent
//! bytes lie in the driver. The driver's part of the contract is to stop reading a connection while more
//! than a little of what was written to it is unsent, and to go on when that has gone. A peer that sends
//! but does not read is then stopped by TCP itself, and ends by the idle timeout.

use crate::address::Source;
use crate::buffers::Buffers;
use crate::caps::Caps;
use crate::connections::{Connection, Connections, Slot};
use crate::guards::AddressGuard;
use crate::options::within;
use crate::{AccessList, Broadcast, OptionsError, Secret};
use halloo_base::{
    CloseReason, ConnId, Counters, Cx, Deadline, Input, Machine, Mono, Next, Path, Reason, Stamp,
    StreamInput, StreamResponder,
};
use std::sync::Arc;
use std::time::Duration;

/// Makes the responder of a new connection between the two ends of this path.
pub type MakeResponder = Box<dyn FnMut(&Path) -> Box<dyn StreamResponder> + Send>;

/// The rules of a stream server. The default is fit for the open Internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamServerOptions {
    /// Who may connect. Default: everybody.
    pub access: AccessList,
    /// Directed broadcast addresses of this host's networks, refused as sources. Default: none.
    pub broadcasts: Vec<Broadcast>,
    /// Connections at once, 1 to 1,000,000. Default: 16,384.
    pub connections: u32,
    /// Connections at once from one public source, an IPv4 address or an IPv6 /64; 1 or more, `None` for no
    /// cap. Default: 1,024.
    pub per_source: Option<u32>,
    /// The same for one loopback, private or link-local source. Default: none.
    pub per_local_source: Option<u32>,
    /// A connection whose peer sends nothing for this long is dropped; zero for never. Default: 10 minutes.
    pub idle_timeout: Duration,
    /// The most bytes of an unfinished request that are kept for one connection; a peer that sends more is
    /// dropped as malformed. All connections together may hold `connections` times as much. 0 to
    /// 16,777,216. Default: 4,096.
    pub pending: u32,
    /// Keys the tables of connections and sources.
    pub secret: Secret,
}

impl StreamServerOptions {
    /// The defaults, with this secret.
    pub fn new(secret: Secret) -> StreamServerOptions {
        StreamServerOptions {
            access: AccessList::default(),
            broadcasts: Vec::new(),
            connections: 16_384,
            per_source: Some(1_024),
            per_local_source: None,
            idle_timeout: Duration::from_secs(600),
            pending: 4_096,
            secret,
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of its range, or the prefix that is both allowed and denied.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.access.check()?;
        let some = 1..=u64::from(u32::MAX);
        within("connections", self.connections, 1..=1_000_000)?;
        within("per_source", self.per_source.unwrap_or(1), some.clone())?;
        within("per_local_source", self.per_local_source.unwrap_or(1), some)?;
        within("pending", self.pending, 0..=16_777_216)
    }
}

/// Answers on accepted connections.
///
/// Of its counters, `received` are connections accepted, `replied` those admitted; the bytes are those read
/// and written. It is finished when it was told to stop.
pub struct StreamServer {
    addresses: AddressGuard,
    caps: Caps,
    idle_timeout: Duration,
    buffers: Buffers,
    connections: Connections,
    make: MakeResponder,
    counters: Arc<Counters>,
    stopped: bool,
}

impl StreamServer {
    /// A server that asks `make` for the responder of each connection and counts in `counters`.
    ///
    /// # Errors
    /// What [`StreamServerOptions::check`] finds wrong.
    pub fn new(
        options: StreamServerOptions,
        make: MakeResponder,
        counters: Arc<Counters>,
    ) -> Result<StreamServer, OptionsError> {
        options.check()?;
        let StreamServerOptions {
            access,
            broadcasts,
            connections,
            per_source,
            per_local_source,
            idle_timeout,
            pending,
            secret,
        } = options;
        Ok(StreamServer {
            addresses: AddressGuard::new(&access, &broadcasts)?,
            caps: Caps::new(connections, per_source, per_local_source, secret),
            idle_timeout,
            buffers: Buffers::new(pending as usize),
            connections: Connections::new(secret),
            make,
            counters,
            stopped: false,
        })
    }

    fn stream(&mut self, cx: &mut Cx<'_>, id: ConnId, input: &StreamInput<'_>) {
        match input {
            StreamInput::Opened { path, .. } if id.is_accepted() => self.opened(cx, id, path),
            StreamInput::Data { bytes, at } => self.data(cx, id, bytes, *at),
            StreamInput::Finished => self.finished_by_peer(cx, id),
            StreamInput::Closed(why) => self.closed(id, *why),
            _ => {}
        }
    }

    fn opened(&mut self, cx: &mut Cx<'_>, id: ConnId, path: &Path) {
        self.counters.receive(0);
        match self.admit(path) {
            Ok(source) => {
                self.counters.reply(0);
                self.connections.insert(Connection {
                    id,
                    responder: Some((self.make)(path)),
                    pending: Vec::new(),
                    source,
                    active: cx.now(),
                });
            }
            Err(why) => {
                self.counters.silent(why);
                cx.out.abort(id);
            }
        }
    }

    fn admit(&mut self, path: &Path) -> Result<Option<Source>, Reason> {
        let remote = self.addresses.admit(path)?;
        self.caps.admit(remote, self.connections.len())
    }

    fn data(&mut self, cx: &mut Cx<'_>, id: ConnId, bytes: &[u8], at: Stamp) {
        // What was read together with the input that made us drop the connection may still come.
        let Some(slot) = self.connections.find(id) else {
            return;
        };
        self.counters.read(bytes.len());
        let connection = self.connections.at(slot);
        // To trickle bytes after we have finished keeps no connection alive.
        let Some(responder) = connection.responder.as_mut() else {
            return;
        };
        let (tx, next, kept) =
            self.buffers
                .answer(&mut **responder, &mut cx.env, at, &mut connection.pending, bytes);
        if !tx.is_empty() {
            self.counters.wrote(tx.len());
            cx.out.write(id, None, tx);
        }
        self.connections.touch(slot, cx.now());
        match (next, kept) {
            (Next::Close, _) => self.finish(cx, slot),
            (Next::Continue, Ok(())) => {}
            (Next::Continue, Err(why)) => self.drop_for(cx, id, why),
        }
    }

    /// Everything that could be answered has been; half a request never will be.
    fn finished_by_peer(&mut self, cx: &mut Cx<'_>, id: ConnId) {
        if let Some(slot) = self.connections.find(id) {
            self.connections.touch(slot, cx.now());
            self.finish(cx, slot);
        }
    }

    fn finish(&mut self, cx: &mut Cx<'_>, slot: Slot) {
        let connection = self.connections.at(slot);
        if connection.responder.take().is_some() {
            cx.out.finish(connection.id);
            self.buffers.reclaim(&mut connection.pending);
        }
    }

    fn drop_for(&mut self, cx: &mut Cx<'_>, id: ConnId, why: Reason) {
        self.counters.silent(why);
        cx.out.abort(id);
        self.forget(id);
    }

    /// It is gone. Where that is for what its peer said or left unsaid before it was secured, that is counted.
    fn closed(&mut self, id: ConnId, why: CloseReason) {
        let silent = match why {
            CloseReason::Insecure(_) => Some(Reason::Malformed),
            CloseReason::HandshakeTimeout => Some(Reason::IdleTimeout),
            _ => None,
        };
        if let Some(why) = silent.filter(|_| self.connections.find(id).is_some()) {
            self.counters.silent(why);
        }
        self.forget(id);
    }

    fn forget(&mut self, id: ConnId) {
        if let Some(mut connection) = self.connections.remove(id) {
            self.buffers.reclaim(&mut connection.pending);
            self.caps.release(connection.source);
        }
    }

    fn drop_idle(&mut self, cx: &mut Cx<'_>) {
        while let Some((id, at)) = self.next_idle()
            && at <= cx.now()
        {
            self.drop_for(cx, id, Reason::IdleTimeout);
        }
    }

    /// The next connection that will have been idle for too long, and when.
    fn next_idle(&self) -> Option<(ConnId, Mono)> {
        let oldest = self
            .connections
            .oldest()
            .filter(|_| !self.idle_timeout.is_zero())?;
        Some((oldest.id, oldest.active + self.idle_timeout))
    }

    /// Ends every connection: what the kernel has taken of the answers still goes out.
    fn stop(&mut self, cx: &mut Cx<'_>) {
        while let Some(oldest) = self.connections.oldest() {
            let (id, open) = (oldest.id, oldest.responder.is_some());
            if open {
                cx.out.finish(id);
            }
            self.forget(id);
        }
        self.stopped = true;
    }
}

impl Machine for StreamServer {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if self.stopped {
            return;
        }
        match input {
            Input::Stream(id, input) => self.stream(cx, id, &input),
            Input::Wake => self.drop_idle(cx),
            Input::Stop => self.stop(cx),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.next_idle()
            .map(|(_, at)| Deadline::new(at, "idle connection"))
    }

    fn finished(&self) -> bool {
        self.stopped
    }
}

#[cfg(test)]
mod tests;
