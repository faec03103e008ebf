//! A world without a kernel: hosts, wires, NATs, streams and frames in virtual time, all from one seed.
//!
//! A [`World`] drives [`Machine`](halloo_base::Machine)s exactly as `halloo-io` does, and a machine cannot tell
//! the difference: several inputs that arrived together, then its outbox, then its deadline. But time is
//! virtual, so an hour passes in milliseconds; the clocks of hosts drift, step and cost time to read; wires lose,
//! delay and reorder; and the same seed tells the same story again.
//!
//! ```
//! use halloo_base::{Cx, Deadline, Input, Machine, Transmit};
//! use halloo_sim::{Fate, Quality, World, ms, secs};
//!
//! /// Sends every datagram back by the path it came.
//! struct Echo;
//! impl Machine for Echo {
//!     fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
//!         if let Input::Datagram(rx) = input {
//!             cx.out.datagram(Transmit::to(rx.path), rx.payload);
//!         }
//!     }
//!     fn deadline(&self) -> Option<Deadline> {
//!         None
//!     }
//! }
//! # struct Ask;
//! # impl Machine for Ask {
//! #     fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
//! #         let local = "0.0.0.0:0".parse().expect("an address");
//! #         let remote = "192.0.2.2:7".parse().expect("an address");
//! #         let path = halloo_base::Path { link: Default::default(), local, remote };
//! #         if let Input::Wake = input { cx.out.datagram(Transmit::to(path), b"halloo"); }
//! #     }
//! #     fn deadline(&self) -> Option<Deadline> { None }
//! # }
//!
//! let mut world = World::new(7);
//! let here = world.host("here", &["192.0.2.1"]);
//! let there = world.host("there", &["192.0.2.2"]);
//! let wire = world.join(here, there, Quality::delay(ms(5)));
//! let echo = world.add(there, Echo);
//! world.udp(echo, "0.0.0.0:7");
//! let ask = world.add(here, Ask); // sends one datagram to 192.0.2.2:7
//! world.udp(ask, "0.0.0.0:0");
//! world.at(ms(8), move |world| world.cut(wire)); // its echo is on the wire then
//! world.run_until(secs(1));
//! assert_eq!(world.trace().datagrams(here, there, Fate::Delivered), 1);
//! assert_eq!(world.trace().datagrams(there, here, Fate::Cut), 1);
//! ```
//!
//! What is simulated, and how far:
//!
//! - **Hosts** ([`HostOptions`]) have clocks with offset, drift, steps and a cost per reading; one core that may
//!   be slow, late or stalled; sockets with finite buffers; several links with addresses and routes of their own.
//! - **Wires** ([`Quality`]) treat each direction apart, and can be changed, cut and mended while a story runs.
//! - **NATs** ([`NatOptions`]) behave as RFC 4787 names it; [`can_meet`] says which pairs of them a pair of
//!   hosts can get through.
//! - **Streams** are reliable and in order over the same wires: what is lost is sent again after the
//!   retransmission timeout, so loss shows as delay. There is no congestion control.
//! - **Frames** travel on segments ([`Joint`]), a hub or a learning switch.
//! - **The trace** ([`Trace`]) has what became of every packet. A story that fails prints its seed and its end.
//!
//! A machine that is finished has left the world: its sockets and connections are closed. In `halloo-io` they
//! stay until the last machine of the worker has finished.
#![forbid(unsafe_code)]

mod clock;
mod drive;
mod errno;
mod ethernet;
mod event;
mod host;
mod nat;
mod network;
mod packet;
mod quality;
mod stream;
mod time;
mod trace;
mod world;

pub use ethernet::{Joint, SegmentId};
pub use halloo_base::{Dependence, can_meet};
pub use host::HostOptions;
pub use nat::NatOptions;
pub use quality::{Jitter, Loss, Quality};
pub use time::{ms, ns, secs, us};
pub use trace::{Fate, Kind, Packet, Trace};
pub use world::{Handle, MachineId, Node, Wire, World};
