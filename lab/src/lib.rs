//! Real kernel networking for tests and benches: hosts are network namespaces, links are veth pairs.
//!
//! ```no_run
//! use halloo_lab::{Direction, Fate, Lab, Traffic};
//!
//! let Some(lab) = Lab::or_skip("half of the datagrams are lost") else { return };
//! let (near, far) = (lab.host("near"), lab.host("far"));
//! let link = lab.link(&near, &far);
//! link.fate(Direction::AToB, Traffic::Udp, Fate::Lose(0.5));
//! let target = link.b().v4().to_string();
//! assert!(near.run("ping", ["-c1", &target]).status.success());
//! ```
//!
//! Everything that a lab makes goes away with it, also when the test panics; what a killed process left behind is
//! removed by the next lab. Set-up calls panic with the command that failed and what it said: a test can do
//! nothing better about it. Only [`Lab::new`] returns an error, because a machine may be unable to hold labs at all.
//!
//! Root is needed. `HALLOO_LAB=require` turns "skipped" into "failed", which is what continuous integration wants.
#![forbid(unsafe_code)]

mod capture;
mod child;
mod clock;
mod command;
mod fate;
mod hogs;
mod host;
mod impairer;
mod lab;
mod link;
mod nat;
pub mod ndn;
mod netlink;
mod packet_socket;
mod program;
mod station;
mod switch;

pub use capture::{Capture, Ip, Packet, Tcp, Udp};
pub use child::Child;
pub use clock::ClockStep;
pub use fate::{Fate, Rate, Traffic};
pub use hogs::Hogs;
pub use host::Host;
pub use impairer::{Counts, Impairer, Impairment, Reorder};
pub use lab::{Lab, Unavailable};
pub use link::{Direction, End, Link, LinkPlan, Offload, Side};
pub use nat::Nat;
pub use program::{MissingProgram, program, program_or_skip};
pub use station::Station;
pub use switch::Switch;
