//! Machines, sockets and devices that come and go while the worker runs.
//!
//! All of it happens between two rounds, never while events of a round are looked at: so whatever an event names is there,
//! and neither a socket's place nor a machine's seat has to be asked for its generation on the way of a packet.

use super::control::{Attachment, AttachmentId, Command, GoneCounters};
use super::datagrams::UdpPort;
use super::machines::Seat;
use super::{Source, Worker};
use crate::udp::{UdpOptions, UdpSocket};
use halloo_base::{Endpoint, Input, LinkId, SocketId, SocketInput, UnreachableError};
use nix::net::if_::if_indextoname;
use rustix::event::epoll::{self, EventFlags};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

/// Changes that are made before traffic gets its turn.
const AT_ONCE: usize = 64;

/// UDP sockets that a machine may have while it opens more.
const MOST_SOCKETS: usize = 1_024;

/// What a machine wants done to its sockets.
pub(super) enum Wish {
    Open(SocketId, Endpoint),
    Close(SocketId),
}

impl Worker {
    /// Makes the changes that others have posted. Returns whether there were any.
    pub(super) fn obey(&mut self) -> bool {
        let Some((_, posted)) = &self.posts else {
            return false;
        };
        let commands: Vec<Command> = posted.try_iter().take(AT_ONCE).collect();
        if commands.len() == AT_ONCE {
            self.shared.ring();
        }
        let any = !commands.is_empty();
        for command in commands {
            match command {
                Command::Add {
                    id,
                    machine,
                    attachments,
                    streams,
                    sockets,
                } => {
                    let seat = self.machines.insert(id, machine);
                    if let Some(options) = streams {
                        self.streams.set_options(seat, options);
                    }
                    if let Some(options) = sockets {
                        self.sockets.insert(seat, options);
                    }
                    for (id, attachment) in attachments {
                        self.attach_or_count(id, attachment, Some(seat));
                    }
                    self.tell(seat, Input::Wake);
                }
                Command::Remove(id) => {
                    if let Some(seat) = self.machines.seat(id) {
                        self.remove(seat);
                    }
                }
                Command::Attach {
                    id,
                    owner,
                    attachment,
                } => {
                    let seat = self.machines.seat(owner);
                    self.attach_or_count(id, attachment, seat);
                }
                Command::Detach(id) => self.detach(id),
            }
        }
        any
    }

    fn attach_or_count(&mut self, id: AttachmentId, attachment: Attachment, owner: Option<Seat>) {
        let attached = owner.is_some_and(|seat| self.attach_to(id, attachment, seat).is_ok());
        if !attached {
            add(&self.shared.gone.refused, 1);
        }
    }

    /// Watches something for a machine.
    ///
    /// # Errors
    /// If the kernel refuses to watch it, which closes it.
    pub(super) fn attach_to(
        &mut self,
        id: AttachmentId,
        attachment: Attachment,
        owner: Seat,
    ) -> io::Result<()> {
        let watch = |source: Source, what: &dyn AsFd| {
            epoll::add(&self.epoll, what.as_fd(), source.pack(), EventFlags::IN)
        };
        let device = match attachment {
            Attachment::Udp(socket) => return self.attach_port(id, socket, owner),
            Attachment::Raw(socket) => return self.attach_port(id, socket.into_udp(), owner),
            Attachment::Icmp(socket) => return self.attach_port(id, socket.into_udp(), owner),
            Attachment::Tun(device) => device.into_queue(),
            Attachment::Tap(device) => device.into_queue(),
            Attachment::Packet(socket) => {
                watch(Source::Packets(self.devices.packets() as u32), &socket)?;
                self.devices.add_packets(socket, owner, id);
                return Ok(());
            }
            Attachment::Listener(listener) => {
                watch(Source::Listener(self.streams.listeners.len() as u32), &listener)?;
                self.streams.listeners.add(listener, owner, id);
                return Ok(());
            }
        };
        watch(Source::Tun(self.devices.tuns() as u32), &device)?;
        self.devices.add_tun(device, owner, id);
        Ok(())
    }

    fn attach_port(&mut self, id: AttachmentId, socket: UdpSocket, owner: Seat) -> io::Result<()> {
        let source = Source::Port(self.ports.len() as u32);
        epoll::add(&self.epoll, &socket, source.pack(), EventFlags::IN)?;
        self.ports.push(UdpPort::new(socket, owner, id));
        Ok(())
    }

    /// Closes an attachment, if it is still there.
    fn detach(&mut self, id: AttachmentId) {
        if let Some(place) = self.ports.iter().position(|port| port.id() == id) {
            self.close_port(place);
        } else if let Some(place) = self.devices.tun_place(|tun, _| tun == id) {
            self.devices.close_tun(&self.epoll, place);
        } else if let Some(place) = self.devices.packets_place(|packets, _| packets == id) {
            self.devices.close_packets(&self.epoll, place);
        } else if let Some(place) = self.streams.listeners.place(|listener, _| listener == id) {
            self.streams.listeners.close(&self.epoll, place);
        }
    }

    /// Closes a port. The last one takes its place.
    pub(super) fn close_port(&mut self, place: usize) {
        let port = self.ports.swap_remove(place);
        add(&self.shared.gone.departures, port.awaited() as u64);
        close(&self.epoll, port.socket());
        if let Some(moved) = self.ports.get(place) {
            watch_again(&self.epoll, moved.socket(), Source::Port(place as u32));
        }
    }

    /// Opens and closes the sockets that machines want, and tells what became of it. That may make them want more: what is
    /// left then waits for the next round, which begins at once.
    pub(super) fn grant(&mut self) {
        for _ in 0..AT_ONCE {
            let Some((seat, wish)) = self.wishes.pop_front() else {
                return;
            };
            match wish {
                Wish::Open(name, endpoint) => {
                    let outcome = match self.open(seat, name, endpoint) {
                        Ok(local) => SocketInput::Opened(local),
                        Err(errno) => SocketInput::Refused(UnreachableError(errno)),
                    };
                    self.tell(seat, Input::Socket(name, outcome));
                }
                Wish::Close(name) => {
                    if let Some(place) = self.named(seat, name) {
                        self.close_port(place);
                    }
                }
            }
        }
        if !self.wishes.is_empty() {
            self.shared.ring();
        }
    }

    fn named(&self, seat: Seat, name: SocketId) -> Option<usize> {
        let is_meant = |port: &UdpPort| port.owner() == seat && port.name() == Some(name);
        self.ports.iter().position(is_meant)
    }

    fn open(&mut self, owner: Seat, name: SocketId, endpoint: Endpoint) -> Result<SocketAddr, i32> {
        let errno = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
        if self.shared.only_socket.get().is_some() {
            return Err(libc::EOPNOTSUPP);
        }
        if self.named(owner, name).is_some() {
            return Err(libc::EEXIST);
        }
        let own = self.ports.iter().filter(|port| port.owner() == owner);
        if own.count() >= MOST_SOCKETS {
            return Err(libc::EMFILE);
        }
        let device = match endpoint.link {
            LinkId(0) => None,
            LinkId(link) => {
                let name = if_indextoname(link).map_err(|errno| errno as i32)?;
                // A number that no device has is told as an empty name, and no error.
                let name = name.into_string().ok().filter(|name| !name.is_empty());
                Some(name.ok_or(libc::ENODEV)?)
            }
        };
        let options = UdpOptions {
            local: endpoint.local,
            device,
            ..self.sockets.get(&owner).cloned().unwrap_or_default()
        };
        let socket = UdpSocket::bind(&options).map_err(errno)?;
        let local = socket.local_addr();
        let id = AttachmentId(self.shared.number());
        self.attach_port(id, socket, owner).map_err(errno)?;
        if let Some(port) = self.ports.pop() {
            self.ports.push(port.named(name));
        }
        Ok(local)
    }

    /// Tells a machine to stop, sends what it says to that, and closes all that it had.
    fn remove(&mut self, seat: Seat) {
        if !self.machines.finished(seat) {
            self.tell(seat, Input::Stop);
        }
        while let Some(place) = self.ports.iter().position(|port| port.owner() == seat) {
            self.close_port(place);
        }
        while let Some(place) = self.devices.tun_place(|_, owner| owner == seat) {
            self.devices.close_tun(&self.epoll, place);
        }
        while let Some(place) = self.devices.packets_place(|_, owner| owner == seat) {
            self.devices.close_packets(&self.epoll, place);
        }
        while let Some(place) = self.streams.listeners.place(|_, owner| owner == seat) {
            self.streams.listeners.close(&self.epoll, place);
        }
        self.wishes.retain(|(wishing, _)| *wishing != seat);
        self.sockets.remove(&seat);
        let (connections, bytes) = self.streams.forget(seat);
        let GoneCounters {
            connections: closed,
            bytes: unsent,
            ..
        } = &self.shared.gone;
        add(closed, connections);
        add(unsent, bytes);
        self.machines.remove(seat);
    }
}

/// Has no event told of a descriptor that is closed next. Without this a copy of it elsewhere, such as in a process that
/// was just started, would keep it watched.
pub(super) fn close(epoll: impl AsFd, what: impl AsFd) {
    let _ = epoll::delete(epoll, what);
}

/// Has the events of a descriptor told under its new place.
pub(super) fn watch_again(epoll: impl AsFd, what: impl AsFd, source: Source) {
    // Cannot fail for what is watched already: no memory is needed.
    let _ = epoll::modify(epoll, what, source.pack(), EventFlags::IN);
}

/// The worker alone counts; others read.
fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
