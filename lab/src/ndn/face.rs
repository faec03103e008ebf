//! Neighbours of the forwarder, each at the end of its own connection.

use super::lp::{Header, Reassembler, fragments};
use super::tables::FaceId;
use super::tlv::{Front, LONGEST_PACKET, element, front, integer_element, nested};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// Bytes that may wait for a neighbour who does not read.
const MOST_WAITING: usize = 4 << 20;

/// A neighbour.
#[derive(Debug)]
pub(super) struct Face {
    pub(super) id: FaceId,
    wire: Wire,
    pub(super) is_local: bool,
    pub(super) remote: String,
    pub(super) local: String,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    pub(super) reassembler: Reassembler,
    sequence: u64,
    pub(super) traffic: Traffic,
}

#[derive(Debug)]
pub(super) enum Wire {
    Unix(UnixStream),
    Tcp(TcpStream),
    /// All such neighbours share the forwarder's one socket.
    Udp(SocketAddr),
}

/// Packets of one neighbour, by kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) interests: [u64; 2],
    pub(super) data: [u64; 2],
    pub(super) nacks: [u64; 2],
    pub(super) bytes: [u64; 2],
}

/// The places in [`Traffic`]'s pairs.
pub(super) const IN: usize = 0;
pub(super) const OUT: usize = 1;

/// What came of reading.
pub(super) struct Taken {
    pub(super) packets: Vec<Vec<u8>>,
    /// The connection has ended, or what came can be no packet.
    pub(super) is_over: bool,
}

impl Face {
    pub(super) fn new(id: FaceId, wire: Wire) -> Face {
        let (remote, local, is_local) = match &wire {
            Wire::Unix(stream) => (format!("fd://{id}"), local_path(stream).unwrap_or_default(), true),
            Wire::Tcp(stream) => {
                let ends = [stream.peer_addr(), stream.local_addr()];
                let is_local = ends
                    .iter()
                    .all(|end| end.as_ref().is_ok_and(|end| end.ip().is_loopback()));
                let [remote, local] = ends.map(|end| end.map(|end| uri("tcp", end)).unwrap_or_default());
                (remote, local, is_local)
            }
            Wire::Udp(remote) => (uri("udp", *remote), String::new(), false),
        };
        Face {
            id,
            wire,
            is_local,
            remote,
            local,
            inbox: Vec::new(),
            outbox: Vec::new(),
            reassembler: Reassembler::default(),
            // As NFD's first fragment on a face: the next one has 0.
            sequence: u64::MAX,
            traffic: Traffic::default(),
        }
    }

    /// What to wait on; nothing where the forwarder's own socket serves it.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.wire {
            Wire::Unix(stream) => Some(stream.as_fd()),
            Wire::Tcp(stream) => Some(stream.as_fd()),
            Wire::Udp(_) => None,
        }
    }

    pub(super) fn udp(&self) -> Option<SocketAddr> {
        match self.wire {
            Wire::Udp(remote) => Some(remote),
            _ => None,
        }
    }

    pub(super) fn has_to_write(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Reads what has come on a stream.
    pub(super) fn receive(&mut self) -> Taken {
        let mut buffer = [0; 65_536];
        let read = match &mut self.wire {
            Wire::Unix(stream) => stream.read(&mut buffer),
            Wire::Tcp(stream) => stream.read(&mut buffer),
            Wire::Udp(_) => Err(ErrorKind::WouldBlock.into()),
        };
        let mut taken = Taken {
            packets: Vec::new(),
            is_over: false,
        };
        match read {
            Ok(len @ 1..) => self.inbox.extend(&buffer[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Ok(_) | Err(_) => taken.is_over = true,
        }
        let mut at = 0;
        loop {
            match front(&self.inbox[at..]) {
                Front::Whole(len) => {
                    taken.packets.push(self.inbox[at..at + len].to_vec());
                    at += len;
                }
                Front::Partial => break,
                Front::Hopeless => {
                    taken.is_over = true;
                    break;
                }
            }
        }
        self.inbox.drain(..at);
        taken.is_over |= self.inbox.len() >= LONGEST_PACKET;
        taken
    }

    /// Sends a packet behind its link header, in parts where the link is a datagram's and the packet longer than `mtu`.
    /// False if there was no room.
    pub(super) fn send(
        &mut self,
        header: &Header,
        packet: &[u8],
        mtu: Option<usize>,
        udp: Option<&UdpSocket>,
    ) -> bool {
        match (mtu, self.udp()) {
            (Some(mtu), Some(_)) => {
                let parts = fragments(header, packet, mtu, &mut self.sequence);
                parts.iter().all(|part| self.send_raw(part, udp))
            }
            _ => self.send_raw(&header.wrap(packet), udp),
        }
    }

    /// Sends bytes as they are. False if there was no room.
    pub(super) fn send_raw(&mut self, bytes: &[u8], udp: Option<&UdpSocket>) -> bool {
        self.traffic.bytes[OUT] += bytes.len() as u64;
        if let Wire::Udp(remote) = self.wire {
            return udp.is_some_and(|socket| socket.send_to(bytes, remote).is_ok());
        }
        if self.outbox.len() + bytes.len() > MOST_WAITING {
            return false;
        }
        self.outbox.extend(bytes);
        self.flush();
        true
    }

    /// Writes what waits, as far as the neighbour takes it. A broken connection shows when it is read.
    pub(super) fn flush(&mut self) {
        while !self.outbox.is_empty() {
            let written = match &mut self.wire {
                Wire::Unix(stream) => stream.write(&self.outbox),
                Wire::Tcp(stream) => stream.write(&self.outbox),
                Wire::Udp(_) => return,
            };
            match written {
                Ok(len @ 1..) => drop(self.outbox.drain(..len)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => {
                    self.outbox.clear();
                    return;
                }
            }
        }
    }

    /// As `faces/list` tells it.
    pub(super) fn status(&self, mtu: Option<usize>) -> Vec<u8> {
        let Traffic {
            interests,
            data,
            nacks,
            bytes,
        } = self.traffic;
        let on_demand = 1;
        let mut fields = vec![
            integer_element(105, self.id),
            element(114, self.remote.as_bytes()),
            element(129, self.local.as_bytes()),
            integer_element(132, u64::from(self.is_local)),
            integer_element(133, on_demand),
            integer_element(134, 0),
        ];
        fields.extend(mtu.map(|mtu| integer_element(137, mtu as u64)));
        let counters = [
            (144, interests[IN]),
            (145, data[IN]),
            (151, nacks[IN]),
            (146, interests[OUT]),
            (147, data[OUT]),
            (152, nacks[OUT]),
            (148, bytes[IN]),
            (149, bytes[OUT]),
            (108, 0),
        ];
        fields.extend(counters.map(|(kind, count)| integer_element(kind, count)));
        nested(128, &fields)
    }
}

/// An address as NFD writes it: `udp4://127.0.0.1:6363`.
fn uri(scheme: &str, address: SocketAddr) -> String {
    let family = if address.is_ipv4() { 4 } else { 6 };
    format!("{scheme}{family}://{address}")
}

fn local_path(stream: &UnixStream) -> Option<String> {
    let address = stream.local_addr().ok()?;
    Some(format!("unix://{}", address.as_pathname()?.display()))
}
