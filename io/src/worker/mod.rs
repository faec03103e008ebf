//! The driver: one thread, its sockets, and the machines that they belong to.

mod changes;
mod control;
mod datagrams;
mod departures;
mod devices;
mod letters;
mod listeners;
mod machines;
mod streams;

pub use control::{Attachment, AttachmentId, Control, Gone, Joined, Newcomer, PostError, Remote};
pub use machines::MachineId;

use crate::SystemClock;
use crate::icmp::IcmpSocket;
use crate::links::LinkMonitor;
use crate::packet::PacketSocket;
use crate::raw::RawSocket;
use crate::sys::Events;
use crate::tcp::{StreamOptions, TcpListener};
use crate::tuntap::{TapDevice, TunDevice};
use crate::udp::{UdpOptions, UdpSocket};
use changes::Wish;
use control::{Command, MOST_POSTED, Shared};
use datagrams::{Courier, UdpPort};
use devices::Devices;
use halloo_base::{Deadline, Input, Machine, Output, Part, Rng};
use machines::{Machines, Seat};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use streams::Streams;

/// How far ahead of an exact deadline the timer is asked to fire; the rest is spun away.
const SPIN: Duration = Duration::from_micros(60);
/// Deadlines nearer than this are waited for to the nanosecond.
const NEAR: Duration = Duration::from_millis(100);
/// Rounds of busy polling between two looks at everything else.
const BUSY_ROUNDS: u32 = 64;
/// Rounds of asking for more within one drain.
const ATTEMPTS: u32 = 16;
/// Wakes in a row for a deadline that does not move: only a machine gone mad needs so many.
const RESTLESS: u32 = 100_000;

/// Settings of a [`Worker`].
#[derive(Clone, Debug, Default)]
pub struct WorkerOptions {
    /// Never sleep: ask the UDP sockets again and again. Burns a core for the shortest round trip.
    pub busy_poll: bool,
    /// This worker only answers: it may wait inside its only socket, which saves each answer a system call. A report
    /// that is asked for then comes with the next datagram, and no machine is given sockets that it asks for.
    pub answers_only: bool,
    /// Seed of the machines' randomness.
    pub seed: u64,
}

/// Owns sockets and machines and brings them together until all machines have finished or it is stopped.
pub struct Worker {
    options: WorkerOptions,
    epoll: OwnedFd,
    shared: Arc<Shared>,
    machines: Machines,
    ports: Vec<UdpPort>,
    courier: Courier,
    devices: Devices,
    streams: Streams,
    links: Option<LinkMonitor>,
    /// Changes that others post, once anybody may.
    posts: Option<(SyncSender<Command>, Receiver<Command>)>,
    /// The bell has rung since posted changes were looked for.
    rung: bool,
    /// Sockets that machines want opened and closed before the next round.
    wishes: VecDeque<(Seat, Wish)>,
    /// How those are made.
    sockets: HashMap<Seat, UdpOptions>,
}

/// What an epoll event is about, packed into its 64 bits of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Bell,
    Links,
    Port(u32),
    Listener(u32),
    Conn { slot: u32, generation: u32 },
    Tun(u32),
    Packets(u32),
}

impl Worker {
    /// A worker without machines.
    ///
    /// # Errors
    /// If the kernel gives no epoll instance or eventfd.
    pub fn new(options: WorkerOptions) -> io::Result<Worker> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &bell, Source::Bell.pack(), EventFlags::IN)?;
        let rng = Rng::new(options.seed);
        Ok(Worker {
            options,
            epoll,
            shared: Arc::new(Shared::new(bell)),
            machines: Machines::new(rng),
            ports: vec![],
            courier: Courier::new(),
            devices: Devices::new(),
            streams: Streams::new(),
            links: None,
            posts: None,
            rung: true,
            wishes: VecDeque::new(),
            sockets: HashMap::new(),
        })
    }

    /// Takes a machine in. It is first handled (with [`Input::Wake`]) when the worker runs.
    pub fn add(&mut self, machine: Box<dyn Machine>) -> MachineId {
        let id = MachineId(self.shared.number());
        self.machines.insert(id, machine);
        id
    }

    /// Gives a machine something to read from, and to send by.
    ///
    /// # Errors
    /// If the kernel refuses to watch it, or the machine is another worker's.
    pub fn attach(
        &mut self,
        attachment: impl Into<Attachment>,
        owner: MachineId,
    ) -> io::Result<AttachmentId> {
        let id = AttachmentId(self.shared.number());
        let seat = self.machines.seat(owner).ok_or_else(no_machine)?;
        self.attach_to(id, attachment.into(), seat)?;
        Ok(id)
    }

    /// Gives a machine a UDP socket. What the machine sends leaves by that of its sockets that covers the
    /// path's local address.
    ///
    /// # Errors
    /// As [`Worker::attach`].
    pub fn udp(&mut self, socket: UdpSocket, owner: MachineId) -> io::Result<()> {
        self.attach(socket, owner).map(|_| ())
    }

    /// Gives a machine a raw socket. What the machine sends with port 0 at both ends leaves by that of its sockets that
    /// covers the path's local address.
    ///
    /// # Errors
    /// As [`Worker::attach`].
    pub fn raw(&mut self, socket: RawSocket, owner: MachineId) -> io::Result<()> {
        self.attach(socket, owner).map(|_| ())
    }

    /// Gives a machine a socket for ICMP echo. What the machine sends with port 0 at both ends leaves by that of its sockets
    /// that covers the path's local address.
    ///
    /// # Errors
    /// As [`Worker::attach`].
    pub fn icmp(&mut self, socket: IcmpSocket, owner: MachineId) -> io::Result<()> {
        self.attach(socket, owner).map(|_| ())
    }

    /// Gives a machine a TUN device: its datagrams are [`Input::Datagram`]s on the device's link, and what the machine
    /// sends on that link, with port 0 at the far end, is written to it.
    ///
    /// # Errors
    /// As [`Worker::attach`].
    pub fn tun(&mut self, device: TunDevice, owner: MachineId) -> io::Result<()> {
        self.attach(device, owner).map(|_| ())
    }

    /// Gives a machine a TAP device: its frames are [`Input::Frame`]s on the device's link, and what the machine sends
    /// on that link is written to it.
    ///
    /// # Errors
    /// As [`Worker::attach`].
    pub fn tap(&mut self, device: TapDevice, owner: MachineId) -> io::Result<()> {
        self.attach(device, owner).map(|_| ())
    }

    /// Gives a machine a packet socket: its frames are [`Input::Frame`]s, and the machine's frames on that link are sent
    /// by it.
    ///
    /// # Errors
    /// As [`Worker::attach`].
    pub fn packet(&mut self, socket: PacketSocket, owner: MachineId) -> io::Result<()> {
        self.attach(socket, owner).map(|_| ())
    }

    /// Gives a machine a listening TCP socket.
    ///
    /// # Errors
    /// As [`Worker::attach`].
    pub fn listen(&mut self, listener: TcpListener, owner: MachineId) -> io::Result<()> {
        self.attach(listener, owner).map(|_| ())
    }

    /// Says how the connections are made that a machine asks for.
    pub fn streams(&mut self, options: StreamOptions, owner: MachineId) {
        if let Some(seat) = self.machines.seat(owner) {
            self.streams.set_options(seat, options);
        }
    }

    /// Says how the UDP sockets are made that a machine opens ([`Outbox::open`](halloo_base::Outbox::open)); their address and
    /// device are the machine's choice. Default: [`UdpOptions::default`].
    pub fn sockets(&mut self, options: UdpOptions, owner: MachineId) {
        if let Some(seat) = self.machines.seat(owner) {
            self.sockets.insert(seat, options);
        }
    }

    /// Tells every machine when a link comes up or goes down ([`Input::LinkChanged`]).
    ///
    /// # Errors
    /// If the kernel gives no netlink socket.
    pub fn watch_links(&mut self) -> io::Result<()> {
        let monitor = LinkMonitor::new()?;
        epoll::add(&self.epoll, &monitor, Source::Links.pack(), EventFlags::IN)?;
        self.links = Some(monitor);
        Ok(())
    }

    /// A handle for other threads.
    pub fn remote(&self) -> Remote {
        Remote {
            shared: Arc::clone(&self.shared),
        }
    }

    /// A handle for other threads that may add and remove machines and what they read from. To be had before the worker
    /// runs.
    pub fn control(&mut self) -> Control {
        let (post, _) = self.posts.get_or_insert_with(|| sync_channel(MOST_POSTED));
        Control::new(Arc::clone(&self.shared), post.clone())
    }

    /// Runs until every machine has finished and no [`Control`] is left, or [`Remote::stop`] is called.
    ///
    /// # Errors
    /// Only if the kernel fails at waiting itself, or somebody removed a TUN device; what fails on a socket goes to its
    /// machine.
    pub fn run(&mut self) -> io::Result<()> {
        // Timers are otherwise rounded up by 50 us.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let mut events = Events::new();
        if self.options.answers_only
            && self.ports.len() == 1
            && self.streams.are_none()
            && self.devices.are_none()
            && self.links.is_none()
            && self.posts.is_none()
        {
            let copy = self.ports[0].copy_of_socket()?;
            // Set before the first look at `stop`, so that a stop finds either the look or the socket.
            let _ = self.shared.only_socket.set(copy);
        }
        let mut restless = 0;
        self.tell_all(|| Input::Wake);
        loop {
            if self.shared.stop.load(Ordering::Acquire) {
                self.tell_all(|| Input::Stop);
                return Ok(());
            }
            if self.shared.drain.swap(false, Ordering::AcqRel) {
                self.tell_all(|| Input::Drain);
            }
            if self.shared.report.swap(false, Ordering::AcqRel) {
                self.tell_all(|| Input::Report);
            }
            if self.shared.wake.swap(false, Ordering::AcqRel) {
                self.tell_all(|| Input::Wake);
            }
            if std::mem::take(&mut self.rung) {
                self.obey();
            }
            let stuck = self.wake_due();
            self.grant();
            if self.machines.all_finished() && self.is_left_alone() {
                // Whoever dropped the last control may have posted before.
                if !self.obey() {
                    return Ok(());
                }
                continue;
            }
            self.wait(&mut events, self.machines.earliest())?;
            restless = if stuck { restless + 1 } else { 0 };
            if restless > RESTLESS {
                let why = self
                    .machines
                    .earliest()
                    .map_or("nothing", |deadline| deadline.why);
                return Err(io::Error::other(format!(
                    "a machine wants to be woken without end, for {why}"
                )));
            }
            while let Some((data, flags)) = events.next() {
                self.handle_event(Source::unpack(data), EventFlags::from_bits_retain(flags))?;
            }
        }
    }

    /// Wakes every machine whose deadline has come. Returns whether one wants to be woken at once again, for a
    /// deadline that is no later than the one it was woken for.
    fn wake_due(&mut self) -> bool {
        let now = SystemClock::mono();
        let mut stuck = false;
        for seat in self.machines.seats() {
            let Some(due) = self.machines.deadline(seat).filter(|due| due.at <= now) else {
                continue;
            };
            self.tell(seat, Input::Wake);
            self.read_departures(seat);
            self.drain(seat);
            let next = self.machines.deadline(seat);
            stuck |= next.is_some_and(|next| next.at <= due.at);
        }
        stuck
    }

    /// Sleeps until something happens or the deadline comes; the last microseconds before an exact deadline
    /// are spent asking, not sleeping.
    fn wait(&mut self, events: &mut Events, deadline: Option<Deadline>) -> io::Result<()> {
        events.clear();
        if self.options.busy_poll {
            for _ in 0..BUSY_ROUNDS {
                self.receive_all()?;
                if deadline.is_some_and(|deadline| deadline.at <= SystemClock::mono()) {
                    break;
                }
            }
            return self.poll(events, Some(Duration::ZERO));
        }
        let Some(deadline) = deadline else {
            if self.shared.only_socket.get().is_some() {
                self.wait_inside();
                return Ok(());
            }
            return self.poll(events, None);
        };
        let left = deadline.at.since(SystemClock::mono());
        if !deadline.exact {
            return self.poll(events, Some(left));
        }
        if left > SPIN {
            return self.poll(events, Some(left - SPIN));
        }
        while events.is_empty() && deadline.at > SystemClock::mono() {
            self.poll(events, Some(Duration::ZERO))?;
        }
        Ok(())
    }

    /// Waits for events, at most so long and perhaps less: the caller looks at the clock anyway.
    ///
    /// Where epoll_pwait2(2) is missing the kernel counts in milliseconds. So the last stretch before a deadline is then
    /// waited for by ppoll(2) on the epoll descriptor, one call more where a deadline is near and none where traffic alone
    /// wakes.
    fn poll(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        if events.wait(&self.epoll, timeout)? {
            return Ok(());
        }
        let mut timeout = timeout;
        if let Some(near) = timeout.filter(|left| !left.is_zero() && *left < NEAR) {
            let waited = rustix::event::poll(
                &mut [PollFd::new(&self.epoll, PollFlags::IN)],
                Some(&timespec(near)),
            );
            match waited {
                Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(()),
                Ok(_) => timeout = Some(Duration::ZERO),
                Err(error) => return Err(error.into()),
            }
        }
        // Milliseconds are rounded up: stop short of the deadline and come again.
        let timeout = timeout.map(|left| if left < NEAR { left } else { left - NEAR / 2 });
        events.wait_coarsely(&self.epoll, timeout)
    }

    fn handle_event(&mut self, source: Source, flags: EventFlags) -> io::Result<()> {
        match source {
            Source::Bell => {
                let mut count = [0u8; 8];
                let _ = rustix::io::read(&self.shared.bell, &mut count);
                self.rung = true;
            }
            Source::Links => self.read_links(),
            Source::Port(port) => self.receive(port as usize, flags.contains(EventFlags::ERR)),
            Source::Listener(listener) => self.accept(listener as usize),
            Source::Conn { slot, generation } => self.stream_event(slot, generation, flags),
            Source::Tun(place) => return self.receive_tun(place as usize),
            Source::Packets(place) => self.receive_frames(place as usize),
        }
        Ok(())
    }

    fn read_links(&mut self) {
        let Some(mut monitor) = self.links.take() else {
            return;
        };
        monitor.read(|link, up| self.tell_all(|| Input::LinkChanged(link, up)));
        self.links = Some(monitor);
    }

    fn receive_all(&mut self) -> io::Result<()> {
        for port in 0..self.ports.len() {
            self.receive(port, false);
        }
        self.receive_from_devices()
    }

    /// Whether nobody can change what this worker has.
    fn is_left_alone(&self) -> bool {
        self.shared.controls.load(Ordering::Acquire) == 0
    }

    fn tell(&mut self, machine: Seat, input: Input<'_>) {
        let now = self.machines.now();
        self.machines.handle(machine, now, input);
        self.drain(machine);
    }

    fn tell_all<'a>(&mut self, input: impl Fn() -> Input<'a>) {
        for seat in self.machines.seats() {
            self.tell(seat, input());
        }
    }

    /// Does what a machine asked for. What fails is told to it, which may make it ask for more; a machine that
    /// answers every failure with another attempt is not heard for ever.
    fn drain(&mut self, machine: Seat) {
        for _ in 0..ATTEMPTS {
            if self.machines.outbox.is_empty() {
                return;
            }
            let spare = std::mem::take(&mut self.machines.spare);
            let mut outbox = std::mem::replace(&mut self.machines.outbox, spare);
            self.courier
                .send(&outbox, machine, &mut self.ports, &self.devices);
            self.devices.send(&outbox, machine);
            for part in outbox.parts() {
                let Part::Other(output) = part else { continue };
                match output {
                    // The courier and the devices have taken them.
                    Output::Datagram(..) | Output::Frame(..) => {}
                    Output::Connect(conn, path) => self.connect(machine, conn, path),
                    Output::Write(conn, tag, bytes) => self.write(machine, conn, tag, bytes),
                    Output::Finish(conn) => self.finish(machine, conn),
                    Output::Abort(conn) => self.abort(machine, conn),
                    Output::Open(socket, endpoint) => {
                        self.wishes.push_back((machine, Wish::Open(socket, endpoint)));
                    }
                    Output::Close(socket) => self.wishes.push_back((machine, Wish::Close(socket))),
                }
            }
            outbox.clear();
            self.machines.spare = outbox;
            self.report_failures(machine);
            self.report_device_failures(machine);
        }
        self.machines.outbox.clear();
    }
}

fn no_machine() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the machine is not of this worker")
}

fn timespec(span: Duration) -> Timespec {
    Timespec {
        tv_sec: span.as_secs().min(86_400) as i64,
        tv_nsec: i64::from(span.subsec_nanos()),
    }
}

impl Source {
    const KIND: u32 = 61;

    fn pack(self) -> EventData {
        let (kind, value) = match self {
            Source::Bell => (0, 0),
            Source::Port(port) => (1, u64::from(port)),
            Source::Listener(listener) => (2, u64::from(listener)),
            Source::Conn { slot, generation } => (3, u64::from(generation) << 32 | u64::from(slot)),
            Source::Links => (4, 0),
            Source::Tun(place) => (5, u64::from(place)),
            Source::Packets(place) => (6, u64::from(place)),
        };
        EventData::new_u64(kind << Source::KIND | value)
    }

    fn unpack(data: u64) -> Source {
        let value = data & ((1 << Source::KIND) - 1);
        match data >> Source::KIND {
            0 => Source::Bell,
            1 => Source::Port(value as u32),
            2 => Source::Listener(value as u32),
            4 => Source::Links,
            5 => Source::Tun(value as u32),
            6 => Source::Packets(value as u32),
            _ => Source::Conn {
                slot: value as u32,
                generation: (value >> 32) as u32,
            },
        }
    }
}
