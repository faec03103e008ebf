//! A host that echoes what comes by QUIC.

mod caps;
mod options;
mod peer;

pub use options::{Admit, DatagramEcho, MakeResponder, QuicCounters, QuicServerOptions, Services};

use crate::ALPN;
use crate::hub::{self, Channel, Hub, OptionsError};
use crate::lent::{Bell, Lent, Loan, Wish};
use caps::Caps;
use halloo_base::{Cx, Datagram, Deadline, Input, Machine, Mono, Reason, Stamp, Trust, Verdict};
use peer::Peer;
use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::{
    ConnectionError, DatagramEvent, Dir, Event, Incoming, ServerConfig, StreamEvent, TimeSource, VarInt,
};
use rustls::quic::{ServerConnection, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Answers on QUIC connections: each bidirectional stream has a stream responder of its own, and one responder answers all
/// DATAGRAM frames (RFC 9221).
///
/// Its driver is that of a UDP socket. A stranger costs nothing that stays until he has sent a first datagram that is whole and
/// sealed; when many handshakes are under way, not before he has shown that he receives what is sent to his address (RFC 9000
/// section 8.1.2), and until then he is sent three times what he sent at most (section 8.1). It is finished when it was told to
/// stop, or to drain and nobody is left.
pub struct QuicServer {
    hub: Hub,
    options: QuicServerOptions,
    caps: Caps,
    admit: Admit,
    make: MakeResponder,
    datagrams: Option<DatagramEcho>,
    borrower: Option<Borrower>,
    counters: Arc<QuicCounters>,
    wall: Arc<WallTime>,
    peers: BTreeMap<usize, Peer>,
    timers: BTreeSet<(Mono, usize)>,
    /// How many are not connected yet.
    handshakes: usize,
    reply: Vec<u8>,
    draining: bool,
    stopped: bool,
}

/// Who answers connections of another protocol.
struct Borrower {
    alpn: Vec<u8>,
    take: Box<dyn FnMut(Lent) -> Result<(), Lent> + Send>,
    bell: Arc<Bell>,
}

/// The wall clock by which tokens grow old: that of the last datagram.
#[derive(Default)]
struct WallTime(AtomicU64);

impl TimeSource for WallTime {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

impl QuicServer {
    /// A server with the certificate of `tls` and these services. Any instant will do for `base`, which stands for the origin
    /// of [`Mono`].
    ///
    /// # Errors
    /// Options out of their range, or a configuration of TLS that QUIC cannot be spoken with.
    pub fn new(
        options: QuicServerOptions,
        tls: &rustls::ServerConfig,
        admit: Admit,
        services: Services,
        counters: Arc<QuicCounters>,
        base: Instant,
    ) -> Result<QuicServer, OptionsError> {
        options.check()?;
        let wall = Arc::<WallTime>::default();
        let time = Arc::clone(&wall);
        let config = server_config(&options, tls, &services, time)?;
        let borrower = services.lending.map(|lending| Borrower {
            alpn: lending.alpn,
            take: lending.take,
            bell: Arc::new(Bell::new(lending.ring)),
        });
        Ok(QuicServer {
            hub: Hub::new(base, options.tos, Some(config)),
            caps: Caps::new(options.connections, options.per_source),
            options,
            admit,
            make: services.make,
            datagrams: services.datagrams,
            borrower,
            counters,
            wall,
            peers: BTreeMap::new(),
            timers: BTreeSet::new(),
            handshakes: 0,
            reply: Vec::new(),
            draining: false,
            stopped: false,
        })
    }

    fn datagram(&mut self, cx: &mut Cx<'_>, rx: &Datagram<'_>) {
        self.wall.0.store(rx.at.wall.0, Ordering::Relaxed);
        // What has a long header may begin a connection, and to look into that takes keys (RFC 9001 section 5.2): a stranger's until
        // then. One with a short header is looked up.
        let is_long = rx.payload.first().is_some_and(|octet| octet & 0x80 != 0);
        if is_long && !self.admits(cx, rx, Trust::Stranger) {
            return;
        }
        let event = self.hub.receive(cx.env.now, rx);
        let owner = match &event {
            Some(DatagramEvent::ConnectionEvent(handle, _)) => self.peers.get(&handle.0),
            _ => None,
        };
        // A connection's number is read by who is on the way, and the source beside it may be anybody's.
        let trust = match owner.is_some_and(|peer| peer.is_at(rx.path.remote)) {
            true => Trust::Validated,
            false => Trust::Stranger,
        };
        if !is_long && !self.admits(cx, rx, trust) {
            return;
        }
        match event {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                if let Some(peer) = self.peers.get_mut(&handle.0) {
                    peer.channel.receive(event, rx.path);
                    self.settle(cx, handle.0, rx.at, Some(rx));
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => self.incoming(cx, incoming, rx),
            Some(DatagramEvent::Response(how)) => {
                // Another version, a connection that is gone.
                self.hub.answer(cx.out, rx.path, &how);
                self.counters.connections.silent(Reason::NotServed);
            }
            None => self.counters.connections.silent(Reason::Malformed),
        }
    }

    /// Whether it is looked at; counts it if not.
    fn admits(&mut self, cx: &Cx<'_>, rx: &Datagram<'_>, trust: Trust) -> bool {
        let packets = rx.offload.packets(rx.payload.len());
        let admitted = (self.admit)(cx.env.now, &rx.path, packets, trust);
        admitted
            .inspect_err(|why| self.counters.connections.silent(*why))
            .is_ok()
    }

    fn incoming(&mut self, cx: &mut Cx<'_>, incoming: Incoming, rx: &Datagram<'_>) {
        let counters = Arc::clone(&self.counters);
        let validated = incoming.remote_address_validated();
        let crowded = self.handshakes >= self.options.retry_above as usize;
        if !validated && (crowded || self.caps.is_half_held(rx.path.remote.ip())) {
            counters.connections.silent(Reason::Unvalidated);
            self.hub.buf.clear();
            // Who has not shown his address may be asked to.
            if let Ok(how) = self.hub.endpoint.retry(incoming, &mut self.hub.buf) {
                self.hub.answer(cx.out, rx.path, &how);
            }
            return;
        }
        let admitted = match self.draining {
            true => Err(Reason::NotServed),
            false => self.caps.admit(rx.path.remote.ip(), self.peers.len()),
        };
        let source = match admitted {
            Ok(source) => source,
            Err(why) => {
                counters.connections.receive(0);
                counters.connections.silent(why);
                self.hub.buf.clear();
                let how = self.hub.endpoint.refuse(incoming, &mut self.hub.buf);
                return self.hub.answer(cx.out, rx.path, &how);
            }
        };
        let now = self.hub.epoch.instant(cx.env.now);
        self.hub.buf.clear();
        match self.hub.endpoint.accept(incoming, now, &mut self.hub.buf, None) {
            Ok((handle, quic)) => {
                self.handshakes += 1;
                let channel = Channel::new(handle, quic, rx.path, cx.env.now);
                self.peers
                    .insert(handle.0, Peer::new(channel, source, cx.env.now));
                self.settle(cx, handle.0, rx.at, Some(rx));
            }
            Err(error) => {
                self.caps.release(source);
                counters.connections.receive(0);
                counters.connections.silent(Reason::Malformed);
                if let Some(how) = &error.response {
                    self.hub.answer(cx.out, rx.path, how);
                }
            }
        }
    }

    /// Takes what the library has to say of a connection, until there is no more.
    fn settle(&mut self, cx: &mut Cx<'_>, handle: usize, at: Stamp, rx: Option<&Datagram<'_>>) {
        let Some(mut peer) = self.peers.remove(&handle) else {
            return;
        };
        if let Some(timer) = peer.timer.take() {
            self.timers.remove(&(timer, handle));
        }
        let mut is_gone = false;
        loop {
            // It may be gone and have its last words left.
            is_gone |= !self.hub.settle(&mut peer.channel);
            let Some(event) = peer.channel.quic.poll() else {
                break;
            };
            self.event(cx, &mut peer, event, at, rx);
        }
        self.serve_loan(&mut peer, at);
        if is_gone {
            return self.over(&mut peer);
        }
        match peer.is_leaving {
            true => self.hub.leave(cx.out, cx.env.now, &mut peer.channel),
            false => self.hub.flush(cx.out, cx.env.now, &mut peer.channel, None),
        }
        let own = peer.ends_at(&self.options);
        peer.timer = [peer.channel.deadline, own].into_iter().flatten().min();
        self.timers.extend(peer.timer.map(|at| (at, handle)));
        self.peers.insert(handle, peer);
    }

    fn event(
        &mut self,
        cx: &mut Cx<'_>,
        peer: &mut Peer,
        event: Event,
        at: Stamp,
        rx: Option<&Datagram<'_>>,
    ) {
        match event {
            Event::HandshakeDataReady => {
                let own = self.borrower.as_ref().map(|borrower| &borrower.alpn);
                peer.is_lent = own.is_some() && peer.protocol().as_ref() == own;
                self.count(peer);
            }
            // It was given up meanwhile.
            Event::Connected if peer.over => {}
            Event::Connected => {
                self.handshakes -= usize::from(!std::mem::replace(&mut peer.connected, true));
                peer.channel.prove();
                peer.active = cx.env.now;
                match peer.is_lent {
                    true => self.lend(peer),
                    false => self.counters.connections.reply(0),
                }
            }
            Event::ConnectionLost { reason } => {
                match reason {
                    // We have given it up ourselves, and counted it.
                    _ if peer.over => {}
                    ConnectionError::TimedOut => self.counters.connections.silent(Reason::IdleTimeout),
                    ConnectionError::TransportError(_) => self.counters.connections.silent(Reason::Malformed),
                    _ => {}
                }
                if let Some(loan) = &peer.loan {
                    loan.end(Some(&reason));
                }
                self.over(peer);
            }
            Event::Stream(StreamEvent::Stopped { id, error_code }) if let Some(loan) = &peer.loan => {
                loan.stopped(id, error_code);
            }
            Event::DatagramReceived if peer.is_lent => {
                // Nobody was told that there is a use for them.
                while peer.channel.quic.datagrams().recv().is_some() {}
            }
            // They are looked at when all is known of them, and not before the handshake is complete.
            Event::Stream(_) if peer.is_lent => {}
            Event::Stream(StreamEvent::Opened { dir: Dir::Uni }) => {
                while let Some(id) = peer.channel.quic.streams().accept(Dir::Uni) {
                    let _ = peer.channel.quic.recv_stream(id).stop(VarInt::from_u32(0));
                }
            }
            Event::Stream(StreamEvent::Opened { dir: Dir::Bi }) => {
                while let Some(id) = peer.channel.quic.streams().accept(Dir::Bi) {
                    let responder = (self.make)(&peer.channel.path);
                    peer.open(id, responder);
                    self.serve(cx, peer, id, at);
                }
            }
            Event::Stream(StreamEvent::Readable { id } | StreamEvent::Writable { id }) => {
                self.serve(cx, peer, id, at);
            }
            Event::Stream(StreamEvent::Stopped { id, .. } | StreamEvent::Finished { id }) => {
                peer.drop_stream(id);
            }
            Event::DatagramReceived => {
                if let Some(rx) = rx {
                    self.echo(cx, peer, rx);
                }
            }
            _ => {}
        }
    }

    /// Counts a connection, once, as soon as it is known whose it is: who answers those that are lent counts them.
    fn count(&self, peer: &mut Peer) {
        if !std::mem::replace(&mut peer.counted, true) && !peer.is_lent {
            self.counters.connections.receive(0);
        }
    }

    /// Hands a connection to who answers its protocol.
    fn lend(&mut self, peer: &mut Peer) {
        let Some(borrower) = self.borrower.as_mut().filter(|_| peer.is_lent) else {
            return;
        };
        let (loan, lent) = Loan::new(&borrower.bell, peer.channel.handle.0, peer.channel.path);
        peer.loan = Some(loan);
        if (borrower.take)(lent).is_err() {
            // It was dropped, and is closed thereby.
            self.counters.connections.silent(Reason::TooManyConnections);
        }
    }

    /// Does what who answers a connection wants.
    fn serve_loan(&mut self, peer: &mut Peer, at: Stamp) {
        let Some(loan) = peer.loan.as_ref().filter(|_| !peer.over) else {
            return;
        };
        if let Wish::Close(code) = loan.serve(&mut peer.channel.quic, at) {
            peer.channel.farewell = code;
            self.over(peer);
            peer.is_leaving = true;
        }
    }

    fn serve(&mut self, cx: &mut Cx<'_>, peer: &mut Peer, id: quinn_proto::StreamId, at: Stamp) {
        let counters = &self.counters.connections;
        peer.serve(&mut cx.env, id, at, self.options.pending as usize, counters);
    }

    /// Answers what came in DATAGRAM frames of this datagram.
    fn echo(&mut self, cx: &mut Cx<'_>, peer: &mut Peer, rx: &Datagram<'_>) {
        let Some(echo) = &mut self.datagrams else { return };
        while let Some(payload) = peer.channel.quic.datagrams().recv() {
            peer.active = cx.env.now;
            let inner = Datagram {
                path: peer.channel.path,
                payload: &payload,
                ..*rx
            };
            let counters = &self.counters.datagrams;
            counters.receive(payload.len());
            let limit = echo.responder.reply_limit(&inner).unwrap_or(echo.limit);
            let limit = limit.longest(payload.len(), Trust::Validated);
            self.reply.clear();
            self.reply
                .extend_from_slice(payload.get(..limit).unwrap_or(&payload));
            self.reply.resize(limit, 0);
            let (len, tag) = match echo.responder.respond(&mut cx.env, &inner, &mut self.reply) {
                Verdict::Reply(len) => (len, None),
                Verdict::ReplyStamped(len, tag) => (len, Some(tag)),
                // A connection has one address.
                Verdict::ReplyFrom(..) => {
                    counters.silent(Reason::NotServed);
                    continue;
                }
                Verdict::Silent(why) => {
                    counters.silent(why);
                    continue;
                }
            };
            let sent = match self.reply.get(..len) {
                Some(reply) => peer.channel.send(reply, tag).map_err(|_| Reason::SendFailed),
                None => Err(Reason::ReplyTooLong),
            };
            match sent {
                Ok(()) => counters.reply(len),
                Err(why) => counters.silent(why),
            }
            // An answer's stamp is taken when it is made: it does not wait for the next one.
            self.hub.flush(cx.out, cx.env.now, &mut peer.channel, None);
        }
    }

    /// A connection is over; the library still keeps it for a while, and it counts for nobody.
    fn over(&mut self, peer: &mut Peer) {
        self.count(peer);
        if !std::mem::replace(&mut peer.over, true) {
            self.handshakes -= usize::from(!peer.connected);
            self.caps.release(peer.source);
        }
        if let Some(loan) = &peer.loan {
            loan.end(None);
        }
        peer.drop_streams();
    }

    fn wake(&mut self, cx: &mut Cx<'_>) {
        let touched = self.borrower.as_ref().map(|borrower| borrower.bell.touched());
        for handle in touched.into_iter().flatten() {
            let at = cx.env.clock.stamp();
            self.settle(cx, handle, at, None);
        }
        let due = self.timers.range(..=(cx.env.now, usize::MAX));
        let due: Vec<usize> = due.map(|(_, handle)| *handle).collect();
        for handle in due {
            if let Some(peer) = self.peers.get_mut(&handle) {
                peer.channel.wake(self.hub.epoch, cx.env.now);
                if peer.ends_at(&self.options).is_some_and(|at| at <= cx.env.now) {
                    self.counters.connections.silent(Reason::IdleTimeout);
                    if let Some(mut peer) = self.peers.remove(&handle) {
                        self.leave(cx, &mut peer);
                        self.peers.insert(handle, peer);
                    }
                }
            }
            let at = cx.env.clock.stamp();
            self.settle(cx, handle, at, None);
        }
    }

    /// Says goodbye, whatever was still to be said.
    fn leave(&mut self, cx: &mut Cx<'_>, peer: &mut Peer) {
        let is_known = peer.connected;
        self.over(peer);
        match is_known {
            true => self.hub.leave(cx.out, cx.env.now, &mut peer.channel),
            false => self.hub.abandon(cx.env.now, &mut peer.channel),
        }
    }

    fn stop(&mut self, cx: &mut Cx<'_>) {
        self.draining = true;
        let handles: Vec<usize> = self.peers.keys().copied().collect();
        for handle in handles {
            if let Some(mut peer) = self.peers.remove(&handle) {
                self.leave(cx, &mut peer);
                self.peers.insert(handle, peer);
            }
            let at = cx.env.clock.stamp();
            self.settle(cx, handle, at, None);
        }
    }
}

impl Machine for QuicServer {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if self.stopped {
            return;
        }
        match input {
            Input::Datagram(rx) => self.datagram(cx, &rx),
            Input::Wake => self.wake(cx),
            Input::Departed(tag, at) => {
                let tags = self.hub.departures.take(tag);
                if let Some(echo) = &mut self.datagrams {
                    tags.into_iter().for_each(|tag| echo.responder.departed(tag, at));
                }
            }
            Input::Drain => self.draining = true,
            Input::Stop => self.stop(cx),
            _ => {}
        }
        if self.draining && self.peers.values().all(Peer::is_gone) {
            self.stopped = true;
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        let (at, _) = self.timers.first().filter(|_| !self.stopped)?;
        Some(Deadline::new(*at, "QUIC timer"))
    }

    fn finished(&self) -> bool {
        self.stopped
    }
}

/// Streams of one direction that a client may have open: HTTP/3 needs three (RFC 9114 section 6.2), and some try whether one
/// more of an unknown kind does harm.
const UNI_STREAMS: u32 = 4;

fn server_config(
    options: &QuicServerOptions,
    tls: &rustls::ServerConfig,
    services: &Services,
    time: Arc<WallTime>,
) -> Result<ServerConfig, OptionsError> {
    let mut tls = tls.clone();
    let lending = services.lending.as_ref();
    let protocols = [Some(ALPN), lending.map(|lending| lending.alpn.as_slice())];
    tls.alpn_protocols = protocols.into_iter().flatten().map(<[u8]>::to_vec).collect();
    // All or nothing: QUIC has its own limit to early data (RFC 9001 section 4.6.1).
    tls.max_early_data_size = if options.early_data { u32::MAX } else { 0 };
    let tls = Arc::new(tls);
    let refuse = |error: &dyn std::fmt::Display| OptionsError::Tls(error.to_string());
    // The library does not expect this to fail later.
    ServerConnection::new(Arc::clone(&tls), Version::V1, vec![]).map_err(|error| refuse(&error))?;
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| refuse(&error))?;
    let mut transport = hub::transport(options.idle_timeout, options.mtu);
    let window = VarInt::from_u32(options.window);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(options.streams))
        .stream_receive_window(window)
        .receive_window(window)
        .send_window(u64::from(options.window));
    if lending.is_some() {
        transport.max_concurrent_uni_streams(VarInt::from_u32(UNI_STREAMS));
    }
    if services.datagrams.is_none() {
        transport.datagram_receive_buffer_size(None);
    }
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport))
        .time_source(time)
        .migration(options.migration);
    Ok(config)
}

#[cfg(test)]
mod tests;
