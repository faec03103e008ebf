//! Halloo's hands. Sockets that know when and where each datagram came from, and the [`Worker`] that drives
//! [`halloo_base::Machine`]s with them: epoll, batched system calls, one owner per socket, no locks.
//!
//! This is the only crate with unsafe code, all of it in one module of system calls.

mod clock;
mod discipline;
mod filter;
mod icmp;
mod links;
mod offload;
mod packet;
mod privileges;
mod raw;
pub mod route;
mod sys;
mod tcp;
mod tuntap;
mod udp;
mod worker;
mod xdp;

pub use clock::SystemClock;
pub use icmp::IcmpSocket;
pub use packet::{PacketOptions, PacketSocket};
pub use privileges::{drop_privileges, drop_privileges_but_network, give_up_capabilities, powerless};
pub use raw::{RawOptions, RawSocket};
pub use tcp::{ListenOptions, StreamOptions, TcpListener};
pub use tuntap::{TapDevice, TapOptions, TunDevice, TunOptions};
pub use udp::{UdpOptions, UdpSocket};
pub use worker::{
    Attachment, AttachmentId, Control, Gone, Joined, MachineId, Newcomer, PostError, Remote, Worker,
    WorkerOptions,
};
pub use xdp::{Xdp, XdpCounters, XdpError, XdpMode, XdpOptions, XdpOutcome, XdpRate, XdpRules};
