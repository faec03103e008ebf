//! What is between a host and the Internet: whether there is a NAT, and how it behaves (RFC 4787).
//!
//! An [`Investigation`] asks echo hosts and STUN servers how they see it, and has an echo host send datagrams back, from
//! other ports and addresses and after long silences ([`Asker`](crate::echo::asker::Asker)). What it finds is a
//! [`Findings`], in which every row that is not known says why. `docs/nat.md` tells the method and its limits.

mod conclusions;
mod findings;
mod investigation;
mod query;
mod search;
mod task;
#[cfg(test)]
mod tests;

pub use findings::{Findings, Kind, Lack, Stage};
pub use investigation::{Investigation, InvestigationOptions, SOCKETS, Tell};
pub use search::Lifetime;
