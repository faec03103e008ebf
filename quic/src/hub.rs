//! The library's endpoint and connections, with time, paths and stamps as this house has them.

use crate::client::Moving;
use crate::departures::Departures;
use bytes::BytesMut;
use halloo_base::{Datagram, Mono, Outbox, Path, Transmit, TxTag, canonical};
use quinn_proto::{
    Connection, ConnectionEvent, ConnectionHandle, DatagramEvent, EcnCodepoint, Endpoint, EndpointConfig,
    IdleTimeout, SendDatagramError, ServerConfig, TransportConfig, VarInt,
};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why there is no QUIC with such options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// A number is outside what makes sense.
    #[error("{field} is {value}, but must be {min} to {max}")]
    OutOfRange {
        /// The field as it is named in the options.
        field: &'static str,
        /// What it was set to; times are in milliseconds.
        value: u64,
        /// The least that it may be.
        min: u64,
        /// The most that it may be.
        max: u64,
    },
    /// The configuration of TLS cannot be used for QUIC, for this reason.
    #[error("QUIC needs TLS 1.3 with AES-128-GCM: {0}")]
    Tls(String),
}

pub(crate) fn within(
    field: &'static str,
    value: impl Into<u64>,
    range: RangeInclusive<u64>,
) -> Result<(), OptionsError> {
    let value = value.into();
    if range.contains(&value) {
        return Ok(());
    }
    let (min, max) = range.into_inner();
    Err(OptionsError::OutOfRange {
        field,
        value,
        min,
        max,
    })
}

/// Checks a time: 1 ms to a day.
pub(crate) fn within_a_day(field: &'static str, value: Duration) -> Result<(), OptionsError> {
    let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    within(field, millis, 1..=86_400_000)
}

/// What both sides' connections have in common. The options were checked.
pub(crate) fn transport(idle_timeout: Duration, mtu: u16) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(IdleTimeout::try_from(idle_timeout).ok())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .initial_mtu(mtu)
        .mtu_discovery_config(None)
        .enable_segmentation_offload(false)
        .datagram_receive_buffer_size(Some(65_536))
        .datagram_send_buffer_size(65_536);
    config
}

/// Time as the library has it. Its instants are only compared with each other, so any may stand for the origin.
#[derive(Clone, Copy)]
pub(crate) struct Epoch(Instant);

impl Epoch {
    pub(crate) fn instant(self, at: Mono) -> Instant {
        self.0 + Duration::from_nanos(at.0)
    }

    fn mono(self, at: Instant) -> Mono {
        Mono(0) + at.saturating_duration_since(self.0)
    }
}

/// An endpoint, and what all its connections share.
pub(crate) struct Hub {
    pub(crate) endpoint: Endpoint,
    pub(crate) epoch: Epoch,
    /// What leaves without a mark of its own has this one (the ECN bits are the library's).
    tos: Option<u8>,
    pub(crate) departures: Departures,
    /// The datagram that is to leave; kept for its memory.
    pub(crate) buf: Vec<u8>,
    held: Vec<u8>,
}

impl Hub {
    pub(crate) fn new(base: Instant, tos: Option<u8>, server: Option<ServerConfig>) -> Hub {
        let config = Arc::new(EndpointConfig::default());
        Hub {
            endpoint: Endpoint::new(config, server.map(Arc::new), false, None),
            epoch: Epoch(base),
            tos,
            departures: Departures::default(),
            buf: Vec::new(),
            held: Vec::new(),
        }
    }

    /// What a datagram means to the endpoint; nothing, where it is nobody's. An answer that needs no connection is in `buf`.
    pub(crate) fn receive(&mut self, now: Mono, rx: &Datagram<'_>) -> Option<DatagramEvent> {
        self.buf.clear();
        self.endpoint.handle(
            self.epoch.instant(now),
            canonical(rx.path.remote),
            local_ip(&rx.path),
            EcnCodepoint::from_bits(rx.marks.tos),
            BytesMut::from(rx.payload),
            &mut self.buf,
        )
    }

    /// Sends what the endpoint has written, on the path that its cause came by.
    pub(crate) fn answer(&mut self, out: &mut Outbox, path: Path, how: &quinn_proto::Transmit) {
        let bytes = self.buf.get(..how.size).unwrap_or(&self.buf);
        let transmit = Transmit {
            tos: self.tos,
            ..Transmit::to(path)
        };
        out.datagram(transmit, bytes);
    }

    /// Lets an endpoint and its connection talk to each other. False if the connection is gone for good.
    pub(crate) fn settle(&mut self, channel: &mut Channel) -> bool {
        while let Some(event) = channel.quic.poll_endpoint_events() {
            let is_last = event.is_drained();
            if let Some(event) = self.endpoint.handle_event(channel.handle, event) {
                channel.quic.handle_event(event);
            }
            if is_last {
                return false;
            }
        }
        true
    }

    /// Sends what may be sent now. The tag is that of what was just written to a stream, and is given to the last datagram if
    /// all of it has left.
    pub(crate) fn flush(
        &mut self,
        out: &mut Outbox,
        now: Mono,
        channel: &mut Channel,
        write: Option<&Written>,
    ) {
        let at = self.epoch.instant(now);
        let mut sent = 0;
        let mut last: Option<Leaving> = None;
        let mut before = channel.quic.stats().frame_tx;
        self.buf.clear();
        while let Some(how) = channel.quic.poll_transmit(at, 1, &mut self.buf) {
            if let Some(last) = last.take() {
                self.depart(out, last);
            }
            if let Some(Move::Underway(since, _)) = &mut channel.moving {
                since.get_or_insert(now);
            }
            let after = channel.quic.stats().frame_tx;
            let datagrams = after.datagram - before.datagram;
            channel.proven_by(how.destination, after.path_challenge > before.path_challenge);
            if after.stream > before.stream {
                sent += how.size.saturating_sub(LEAST_OVERHEAD);
            }
            last = Some(Leaving {
                path: channel.path_to(how.destination),
                tos: mark(self.tos, how.ecn),
                size: how.size,
                tags: (0..datagrams)
                    .filter_map(|_| channel.tags.pop_front().flatten())
                    .collect(),
                has_stream: after.stream > before.stream,
            });
            before = after;
            std::mem::swap(&mut self.buf, &mut self.held);
            self.buf.clear();
        }
        if let Some(mut last) = last {
            if let Some(write) = write
                && last.has_stream
                && sent >= write.bytes
            {
                last.tags.extend(write.tag);
            }
            self.depart(out, last);
        }
        let timer = channel.quic.poll_timeout().map(|at| self.epoch.mono(at));
        let leave = channel.leaves_by.filter(|_| !channel.quic.is_closed());
        channel.deadline = [timer, leave, channel.moves_at()].into_iter().flatten().min();
        if leave.is_some_and(|by| by <= now || !channel.has_more()) {
            channel.quic.close(at, channel.farewell, bytes::Bytes::new());
            self.flush(out, now, channel, None);
        }
    }

    /// Says goodbye, now or a little later: the library lets its last word wait behind what may not leave yet, and hears no
    /// acknowledgement after it. So what may not leave yet leaves first, for as long as a second.
    pub(crate) fn leave(&mut self, out: &mut Outbox, now: Mono, channel: &mut Channel) {
        if !channel.quic.is_closed() {
            let patience = if channel.quic.is_handshaking() {
                Duration::ZERO
            } else {
                LEAVE_WITHIN
            };
            channel.leaves_by.get_or_insert(now + patience);
        }
        self.flush(out, now, channel, None);
    }

    /// Ends a connection without a word: to somebody who has not shown that he is there the last one could be one too many
    /// (RFC 9000 section 8.1), and the library counts it not.
    pub(crate) fn abandon(&mut self, now: Mono, channel: &mut Channel) {
        let at = self.epoch.instant(now);
        channel.quic.close(at, channel.farewell, bytes::Bytes::new());
        self.buf.clear();
        while channel.quic.poll_transmit(at, 1, &mut self.buf).is_some() {
            self.buf.clear();
        }
        channel.deadline = channel.quic.poll_timeout().map(|at| self.epoch.mono(at));
    }

    fn depart(&mut self, out: &mut Outbox, last: Leaving) {
        let transmit = Transmit {
            tos: last.tos,
            tag: self.departures.tag(last.tags),
            ..Transmit::to(last.path)
        };
        out.datagram(transmit, self.held.get(..last.size).unwrap_or(&self.held));
    }
}

/// What a packet of a connection has beside a frame's data, at least: flags and packet number, frame type, tag (RFC 9000
/// section 17.3.1, RFC 9001 section 5.3).
const LEAST_OVERHEAD: usize = 1 + 1 + 1 + 16;

/// How long a connection that is to end waits until it may say so.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// A datagram in `held` that leaves when it is known whether another one follows.
struct Leaving {
    path: Path,
    tos: Option<u8>,
    size: usize,
    tags: Vec<TxTag>,
    has_stream: bool,
}

/// What was written to a stream just now.
pub(crate) struct Written {
    /// The name by which its departure is told.
    pub(crate) tag: Option<TxTag>,
    /// How many bytes.
    pub(crate) bytes: usize,
}

/// A connection of the library, and the ways to its other end.
pub(crate) struct Channel {
    pub(crate) handle: ConnectionHandle,
    pub(crate) quic: Connection,
    /// The path in use, as its last datagram came by it.
    pub(crate) path: Path,
    /// The one in use before, which is asked once more when the other end has moved (RFC 9000 section 9.3.3).
    previous: Option<Path>,
    /// Where the other end has shown that it is; nothing before the handshake is complete.
    proven: Option<SocketAddr>,
    /// For each DATAGRAM frame that waits to leave, the name by which its departure is told.
    tags: VecDeque<Option<TxTag>>,
    /// When it wants to be woken.
    pub(crate) deadline: Option<Mono>,
    /// Until when it is to have ended, and the code to end it with.
    leaves_by: Option<Mono>,
    pub(crate) farewell: VarInt,
    /// When it was made.
    begun: Mono,
    /// Whether it is to move, or is just moving.
    moving: Option<Move>,
}

enum Move {
    /// To this port, then.
    Due(Mono, u16),
    /// Since its first datagram left, if one has; so many questions about the path were answered before.
    Underway(Option<Mono>, u64),
}

impl Channel {
    pub(crate) fn new(handle: ConnectionHandle, quic: Connection, path: Path, now: Mono) -> Channel {
        Channel {
            handle,
            quic,
            path,
            previous: None,
            proven: None,
            tags: VecDeque::new(),
            deadline: None,
            leaves_by: None,
            farewell: VarInt::from_u32(0),
            begun: now,
            moving: None,
        }
    }

    /// Takes what the endpoint has for it, which came by this path.
    pub(crate) fn receive(&mut self, event: ConnectionEvent, path: Path) {
        self.quic.handle_event(event);
        let remote = self.quic.remote_address();
        // A client that has moved may still be sent something to where it was.
        if remote != canonical(path.remote) || path.local.port() != self.path.local.port() {
            return;
        }
        if remote != canonical(self.path.remote) {
            self.previous = Some(self.path);
        }
        self.path = path;
    }

    /// The handshake is complete, and so it is where it says that it is (RFC 9000 section 8.1).
    pub(crate) fn prove(&mut self) {
        self.proven = Some(self.quic.remote_address());
    }

    /// Something leaves for there. On a path that is not validated yet the library lets nothing leave without a challenge (RFC
    /// 9000 section 8.2); where that fails it goes back to one that is. So what leaves without says that this one is.
    fn proven_by(&mut self, destination: SocketAddr, is_challenge: bool) {
        let is_in_use = destination == self.quic.remote_address() && !self.quic.is_closed();
        if self.proven.is_some() && is_in_use && !is_challenge {
            self.proven = Some(destination);
        }
    }

    /// Whether the other end has shown that it is there, and is still believed to be.
    pub(crate) fn is_proven(&self, remote: SocketAddr) -> bool {
        self.proven == Some(canonical(remote))
    }

    /// Lets its time pass; false if there was nothing to do yet.
    pub(crate) fn wake(&mut self, epoch: Epoch, now: Mono) -> bool {
        let is_due = self.deadline.is_some_and(|at| at <= now);
        if is_due {
            self.quic.handle_timeout(epoch.instant(now));
        }
        if let Some(Move::Due(at, port)) = self.moving
            && at <= now
        {
            self.path.local.set_port(port);
            self.quic.local_address_changed();
            self.moving = Some(Move::Underway(None, self.quic.stats().frame_tx.path_response));
        }
        is_due
    }

    /// Puts a DATAGRAM frame into the queue (RFC 9221 section 5).
    pub(crate) fn send(&mut self, bytes: &[u8], tag: Option<TxTag>) -> Result<(), SendDatagramError> {
        // To drop an older one for it would take the tag of another.
        let copy = bytes::Bytes::copy_from_slice(bytes);
        self.quic.datagrams().send(copy, false)?;
        self.tags.push_back(tag);
        Ok(())
    }

    /// The handshake is complete: how long it took. From now on it is to move.
    pub(crate) fn connected(&mut self, at: Mono, moving: Option<Moving>) -> Duration {
        self.moving = moving.map(|moving| Move::Due(at + moving.after, moving.port));
        at.since(self.begun)
    }

    /// How long it took until the other end was seen where it has gone to; once.
    pub(crate) fn moved(&mut self, at: Mono) -> Option<Duration> {
        let Some(Move::Underway(Some(since), before)) = self.moving else {
            return None;
        };
        let is_seen = self.quic.stats().frame_tx.path_response > before;
        is_seen.then(|| {
            self.moving = None;
            at.since(since)
        })
    }

    /// When it is to move.
    fn moves_at(&self) -> Option<Mono> {
        match self.moving {
            Some(Move::Due(at, _)) => Some(at).filter(|_| !self.quic.is_closed()),
            _ => None,
        }
    }

    /// Whether something waits to leave that has to be acknowledged or is a DATAGRAM frame.
    fn has_more(&self) -> bool {
        self.quic.has_pending_retransmits() || !self.tags.is_empty()
    }

    fn path_to(&self, destination: SocketAddr) -> Path {
        let known = [Some(self.path), self.previous];
        let known = known.into_iter().flatten();
        let mut known = known.filter(|path| canonical(path.remote) == destination);
        known.next().unwrap_or(Path {
            remote: destination,
            ..self.path
        })
    }
}

fn local_ip(path: &Path) -> Option<IpAddr> {
    Some(path.local.ip().to_canonical()).filter(|ip| !ip.is_unspecified())
}

/// The octet to send with: ours, with the library's ECN bits (RFC 9000 section 13.4).
fn mark(tos: Option<u8>, ecn: Option<EcnCodepoint>) -> Option<u8> {
    match ecn {
        Some(ecn) => Some(tos.unwrap_or(0) & 0xfc | ecn as u8),
        None => tos,
    }
}
