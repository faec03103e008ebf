//! Halloo's hands. Sockets that know when and where each datagram came from, and the [`Worker`] that drives
//! [`halloo_base::Machine`]s with them: epoll, batched system calls, one owner per socket, no locks.
//!
//! This is the only crate with unsafe code, all of it in one module of system calls.

mod clock;
mod links;
mod privileges;
pub mod route;
mod sys;
mod tcp;
mod udp;
mod worker;

pub use clock::SystemClock;
pub use privileges::drop_privileges;
pub use tcp::{ListenOptions, StreamOptions, TcpListener};
pub use udp::{UdpOptions, UdpSocket};
pub use worker::{MachineId, Remote, Worker, WorkerOptions};
