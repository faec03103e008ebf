//! Listening TCP sockets of a worker.

use super::Source;
use super::changes::{close, watch_again};
use super::control::AttachmentId;
use super::machines::Seat;
use crate::tcp::TcpListener;
use std::os::fd::OwnedFd;

/// All listeners of a worker, each in a place that the kernel's events name.
#[derive(Default)]
pub(super) struct Listeners(Vec<Listener>);

struct Listener {
    socket: TcpListener,
    owner: Seat,
    id: AttachmentId,
}

impl Listeners {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, socket: TcpListener, owner: Seat, id: AttachmentId) {
        self.0.push(Listener { socket, owner, id });
    }

    pub(super) fn at(&self, place: usize) -> (&TcpListener, Seat) {
        let Listener { socket, owner, .. } = &self.0[place];
        (socket, *owner)
    }

    /// The place of the first one that is wanted, by its id and its owner.
    pub(super) fn place(&self, wanted: impl Fn(AttachmentId, Seat) -> bool) -> Option<usize> {
        let wanted = |listener: &Listener| wanted(listener.id, listener.owner);
        self.0.iter().position(wanted)
    }

    /// Closes one. The last one takes its place.
    pub(super) fn close(&mut self, epoll: &OwnedFd, place: usize) {
        close(epoll, &self.0.swap_remove(place).socket);
        if let Some(moved) = self.0.get(place) {
            watch_again(epoll, &moved.socket, Source::Listener(place as u32));
        }
    }
}
