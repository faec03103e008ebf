//! A world without a kernel.
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
pub use host::HostOptions;
pub use nat::{Dependence, NatOptions, can_meet};
pub use quality::{Jitter, Loss, Quality};
pub use time::{ms, ns, secs, us};
pub use trace::{Fate, Kind, Packet, Trace};
pub use world::{Handle, MachineId, Node, Wire, World};
