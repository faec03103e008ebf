//! Devices in network namespaces: what is sent to an address that only a test machine has comes back from it.
//!
//! Needs root; says loudly when it did not run.

mod changes;
mod icmp;
mod packet;
mod raw;
mod route;
mod talk;
mod tap;
mod tun;
mod vxlan;

use halloo_base::{Cx, Deadline, Frame, Input, Machine, Offload, Transmit};
use halloo_io::{Remote, Worker, WorkerOptions};
use halloo_lab::Host;
use std::net::{IpAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is sent from a port to an address that swaps addresses comes back to that port.
const PORT: u16 = 4_000;

/// What a [`Swap`] saw of a packet.
#[derive(Clone, Copy, Debug)]
struct Saw {
    len: usize,
    kind: u16,
    offload: Offload,
}

/// Sends every datagram back with its addresses swapped, which leaves all checksums right; frames too, and says where
/// its IPv4 addresses are.
struct Swap {
    mac: [u8; 6],
    saw: Sender<Saw>,
}

impl Swap {
    fn new(mac: [u8; 6]) -> (Swap, Receiver<Saw>) {
        let (saw, seen) = channel();
        (Swap { mac, saw }, seen)
    }

    fn frame(&self, cx: &mut Cx<'_>, rx: &Frame<'_>) {
        let kind = u16::from_be_bytes([rx.bytes[12], rx.bytes[13]]);
        let len = rx.bytes.len();
        // The test may have seen enough.
        let _ = self.saw.send(Saw {
            len,
            kind,
            offload: rx.offload,
        });
        let reply = cx.out.reserve(len, rx.bytes);
        reply.copy_within(6..12, 0);
        reply[6..12].copy_from_slice(&self.mac);
        match kind {
            0x0806 => {
                let asked: [u8; 4] = rx.bytes[38..42].try_into().expect("four bytes");
                reply[21] = 2;
                reply.copy_within(22..32, 32);
                reply[22..28].copy_from_slice(&self.mac);
                reply[28..32].copy_from_slice(&asked);
            }
            _ => swap_addresses(&mut reply[14..]),
        }
        cx.out.commit_frame(rx.link, rx.offload, len);
    }
}

impl Machine for Swap {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Datagram(rx) => {
                let len = rx.payload.len();
                let _ = self.saw.send(Saw {
                    len,
                    kind: 0,
                    offload: rx.offload,
                });
                swap_addresses(cx.out.reserve(len, rx.payload));
                let how = Transmit {
                    offload: rx.offload,
                    ..Transmit::to(rx.path)
                };
                cx.out.commit(how, len);
            }
            Input::Frame(rx) => self.frame(cx, &rx),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

fn swap_addresses(packet: &mut [u8]) {
    let (from, len) = if packet[0] >> 4 == 4 { (12, 4) } else { (8, 16) };
    let (left, right) = packet[from..from + 2 * len].split_at_mut(len);
    left.swap_with_slice(right);
}

/// A worker that runs on a host until it is dropped.
struct Running {
    remote: Remote,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn on(host: &Host, furnish: impl FnOnce(&mut Worker) + Send + 'static) -> Running {
        let mut worker = host.enter(|| {
            let mut worker = Worker::new(WorkerOptions::default()).expect("a worker");
            furnish(&mut worker);
            worker
        });
        Running {
            remote: worker.remote(),
            thread: Some(host.thread(move || worker.run().expect("runs until it is stopped"))),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.remote.stop();
        let ended = self.thread.take().expect("taken only here").join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

/// Waits until a host's address is one that it hears: the kernel gives an IPv6 address its route a moment after the
/// address itself.
fn settle(host: &Host, address: IpAddr) {
    let address = address.to_string();
    host.must("ping", ["-c1", "-w5", "-i0.2", &address]);
}

/// A UDP socket on a host that can hear itself.
fn own_port(host: &Host, local: IpAddr) -> UdpSocket {
    host.enter(|| {
        let socket = UdpSocket::bind((local, PORT)).expect("a free port");
        socket.set_read_timeout(Some(PATIENCE)).expect("it can");
        socket
    })
}

/// Sends datagrams of `size` bytes, `count` of them in one piece, to `echo`, and hears each of them again.
fn converse(socket: &UdpSocket, echo: IpAddr, size: usize, count: usize) {
    use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
    let sent: Vec<u8> = (0..size * count).map(|at| (at / size + at) as u8).collect();
    let segment = if count > 1 { size as i32 } else { 0 };
    setsockopt(socket, UdpGsoSegment, &segment).expect("this kernel cuts UDP");
    socket.send_to(&sent, (echo, PORT)).expect("sent");
    for (number, expected) in sent.chunks(size).enumerate() {
        let mut heard = [0; 2_048];
        let (len, from) = socket
            .recv_from(&mut heard)
            .unwrap_or_else(|error| panic!("datagram {number} of {count} from {echo}: {error}"));
        assert_eq!((from, len), ((echo, PORT).into(), size), "datagram {number}");
        assert_eq!(heard[..len], *expected, "datagram {number}");
    }
}
