//! What other threads may do to a running worker: end it, ask for reports, and change what it has.

use super::machines::MachineId;
use crate::icmp::IcmpSocket;
use crate::packet::PacketSocket;
use crate::raw::RawSocket;
use crate::tcp::{StreamOptions, TcpListener};
use crate::tuntap::{TapDevice, TunDevice};
use crate::udp::{UdpOptions, UdpSocket};
use halloo_base::Machine;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, OnceLock};

/// What worker and handles share. The worker looks at flags between two rounds; none of them is looked at for a packet.
pub(super) struct Shared {
    pub(super) stop: AtomicBool,
    pub(super) drain: AtomicBool,
    pub(super) report: AtomicBool,
    pub(super) wake: AtomicBool,
    pub(super) bell: OwnedFd,
    /// The socket that the worker waits inside, where it has no other: shut to wake it.
    pub(super) only_socket: OnceLock<OwnedFd>,
    /// How many [`Control`]s there are.
    pub(super) controls: AtomicUsize,
    /// The next machine's or attachment's number.
    next: AtomicU64,
    pub(super) gone: GoneCounters,
}

#[derive(Default)]
pub(super) struct GoneCounters {
    pub(super) refused: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) departures: AtomicU64,
}

/// Reaches a running worker from another thread.
#[derive(Clone)]
pub struct Remote {
    pub(super) shared: Arc<Shared>,
}

/// Adds machines, sockets and devices to a running worker, and takes them away again. Any thread may have one; the worker
/// does not end while there is one, even without machines, unless [`Remote::stop`] says so.
///
/// What is posted is done in its order between two rounds of the worker's work, so nothing of it costs a packet anything.
pub struct Control {
    shared: Arc<Shared>,
    post: SyncSender<Command>,
}

/// A socket, listener or device within its worker. No other one of that worker ever has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttachmentId(pub(super) u64);

/// Something that a worker reads from for a machine.
#[non_exhaustive]
#[derive(Debug)]
pub enum Attachment {
    /// As [`Worker::udp`](crate::Worker::udp).
    Udp(UdpSocket),
    /// As [`Worker::raw`](crate::Worker::raw).
    Raw(RawSocket),
    /// As [`Worker::icmp`](crate::Worker::icmp).
    Icmp(IcmpSocket),
    /// As [`Worker::tun`](crate::Worker::tun).
    Tun(TunDevice),
    /// As [`Worker::tap`](crate::Worker::tap).
    Tap(TapDevice),
    /// As [`Worker::packet`](crate::Worker::packet).
    Packet(PacketSocket),
    /// As [`Worker::listen`](crate::Worker::listen).
    Listener(TcpListener),
}

/// A machine that is to join, with all that it has before it is handled first.
pub struct Newcomer {
    machine: Box<dyn Machine>,
    attachments: Vec<Attachment>,
    streams: Option<StreamOptions>,
    sockets: Option<UdpOptions>,
}

/// What joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The machine.
    pub machine: MachineId,
    /// Its attachments, in the order in which they were given.
    pub attachments: Vec<AttachmentId>,
}

/// What was lost by changes of a worker, since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Gone {
    /// Attachments that were closed at once: the kernel would not watch them, or their machine was gone.
    pub refused: u64,
    /// Connections that were closed because their machine was removed.
    pub connections: u64,
    /// Bytes that waited for the peers of those.
    pub bytes: u64,
    /// Departure stamps that were awaited from sockets that were taken away.
    pub departures: u64,
}

/// Why a change was not posted. What was to be added is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// As many changes as may wait do.
    #[error("the worker has more than {MOST_POSTED} changes to make")]
    Full,
    /// There is no worker any more.
    #[error("the worker has ended")]
    Ended,
}

/// Changes that may wait; the next one is refused.
pub(super) const MOST_POSTED: usize = 1_024;

pub(super) enum Command {
    Add {
        id: MachineId,
        machine: Box<dyn Machine>,
        attachments: Vec<(AttachmentId, Attachment)>,
        streams: Option<StreamOptions>,
        sockets: Option<UdpOptions>,
    },
    Remove(MachineId),
    Attach {
        id: AttachmentId,
        owner: MachineId,
        attachment: Attachment,
    },
    Detach(AttachmentId),
}

impl Shared {
    pub(super) fn new(bell: OwnedFd) -> Shared {
        Shared {
            stop: AtomicBool::new(false),
            drain: AtomicBool::new(false),
            report: AtomicBool::new(false),
            wake: AtomicBool::new(false),
            bell,
            only_socket: OnceLock::new(),
            controls: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            gone: GoneCounters::default(),
        }
    }

    /// A number that nothing else of this worker has or had.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn ring(&self) {
        // Fails only when the counter is full, and then the bell is ringing already.
        let _ = rustix::io::write(self.bell.as_fd(), &1u64.to_ne_bytes());
    }
}

impl Remote {
    /// Tells every machine to stop, then [`Worker::run`](crate::Worker::run) returns.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.ring();
        if let Some(socket) = self.shared.only_socket.get() {
            // Says "not connected", and wakes who waits inside all the same.
            let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Read);
        }
    }

    /// Tells every machine to begin nothing new; [`Worker::run`](crate::Worker::run) returns when all have come to their ends.
    pub fn drain(&self) {
        self.shared.drain.store(true, Ordering::Release);
        self.shared.ring();
    }

    /// Tells every machine to report.
    pub fn report(&self) {
        self.shared.report.store(true, Ordering::Release);
        self.shared.ring();
    }

    /// Wakes every machine, whether its deadline has come or not. Not for a worker that only answers: it may wait inside its
    /// socket.
    pub fn wake(&self) {
        if !self.shared.wake.swap(true, Ordering::AcqRel) {
            self.shared.ring();
        }
    }
}

impl Control {
    pub(super) fn new(shared: Arc<Shared>, post: SyncSender<Command>) -> Control {
        shared.controls.fetch_add(1, Ordering::Relaxed);
        Control { shared, post }
    }

    /// Adds a machine. It is first handled (with [`Input::Wake`](halloo_base::Input::Wake)) when it has its attachments.
    ///
    /// # Errors
    /// If the worker has too much to do, or is no more.
    pub fn add(&self, newcomer: Newcomer) -> Result<Joined, PostError> {
        let id = MachineId(self.shared.number());
        let number = |attachment| (AttachmentId(self.shared.number()), attachment);
        let attachments: Vec<_> = newcomer.attachments.into_iter().map(number).collect();
        let joined = Joined {
            machine: id,
            attachments: attachments.iter().map(|(id, _)| *id).collect(),
        };
        self.post(Command::Add {
            id,
            machine: newcomer.machine,
            attachments,
            streams: newcomer.streams,
            sockets: newcomer.sockets,
        })?;
        Ok(joined)
    }

    /// Removes a machine: it is told to stop ([`Input::Stop`](halloo_base::Input::Stop)), what it then says is sent, and all
    /// that it had is closed. Nothing happens if it is gone already.
    ///
    /// # Errors
    /// As [`Control::add`].
    pub fn remove(&self, machine: MachineId) -> Result<(), PostError> {
        self.post(Command::Remove(machine))
    }

    /// Gives a machine something more to read from.
    ///
    /// # Errors
    /// As [`Control::add`].
    pub fn attach(
        &self,
        attachment: impl Into<Attachment>,
        owner: MachineId,
    ) -> Result<AttachmentId, PostError> {
        let id = AttachmentId(self.shared.number());
        self.post(Command::Attach {
            id,
            owner,
            attachment: attachment.into(),
        })?;
        Ok(id)
    }

    /// Takes an attachment away and closes it. Connections that a listener accepted stay. Nothing happens if it is gone
    /// already.
    ///
    /// # Errors
    /// As [`Control::add`].
    pub fn detach(&self, attachment: AttachmentId) -> Result<(), PostError> {
        self.post(Command::Detach(attachment))
    }

    /// What was lost by changes so far.
    pub fn gone(&self) -> Gone {
        let GoneCounters {
            refused,
            connections,
            bytes,
            departures,
        } = &self.shared.gone;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Gone {
            refused: load(refused),
            connections: load(connections),
            bytes: load(bytes),
            departures: load(departures),
        }
    }

    fn post(&self, command: Command) -> Result<(), PostError> {
        self.post.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => PostError::Full,
            TrySendError::Disconnected(_) => PostError::Ended,
        })?;
        self.shared.ring();
        Ok(())
    }
}

impl Clone for Control {
    fn clone(&self) -> Control {
        Control::new(Arc::clone(&self.shared), self.post.clone())
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.shared.controls.fetch_sub(1, Ordering::Release);
        // Without machines the worker waits for nothing else.
        self.shared.ring();
    }
}

impl Newcomer {
    /// This machine, with nothing.
    pub fn new(machine: Box<dyn Machine>) -> Newcomer {
        Newcomer {
            machine,
            attachments: vec![],
            streams: None,
            sockets: None,
        }
    }

    /// With this to read from.
    #[must_use]
    pub fn with(mut self, attachment: impl Into<Attachment>) -> Newcomer {
        self.attachments.push(attachment.into());
        self
    }

    /// With connections that are made like this, as [`Worker::streams`](crate::Worker::streams).
    #[must_use]
    pub fn connecting(mut self, options: StreamOptions) -> Newcomer {
        self.streams = Some(options);
        self
    }

    /// With UDP sockets of its own that are made like this, as [`Worker::sockets`](crate::Worker::sockets).
    #[must_use]
    pub fn opening(mut self, options: UdpOptions) -> Newcomer {
        self.sockets = Some(options);
        self
    }
}

macro_rules! attachments {
    ($($kind:ident($what:ty),)+) => {
        $(impl From<$what> for Attachment {
            fn from(what: $what) -> Attachment {
                Attachment::$kind(what)
            }
        })+
    };
}

attachments! {
    Udp(UdpSocket),
    Raw(RawSocket),
    Icmp(IcmpSocket),
    Tun(TunDevice),
    Tap(TapDevice),
    Packet(PacketSocket),
    Listener(TcpListener),
}
