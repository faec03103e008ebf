//! Ethernet frames and super-frames, cut to fit a path and joined again.
//!
//! A device hands over frames with what it left to do ([`Offload`](halloo_base::Offload)). The way there: small ones are
//! gathered with [`append_frame`], long ones and super-frames go through a [`Cutter`], and either may be made shorter by a
//! [`Compressor`]. The way back: [`Decompressor`], [`Joiner`] with a [`Reassembler`] for each peer, and where the device
//! takes nothing that is left to do, a [`Finisher`].
//!
//! Cutting and joining copy each payload once and read it never; nothing is allocated once every buffer has been used.

mod checksum;
mod compress;
mod content;
mod cut;
mod ethernet;
mod finish;
mod flow;
mod fragments;
mod join;
mod layers;
mod refused;
mod sender;
#[cfg(test)]
mod tests;

pub use compress::{Compressor, Decompressor, LONGEST_CONTENT, Probe};
pub use content::{Body, Fragment, Frames, Segment, append_frame};
pub use cut::{Cut, Cutter, LEAST_ROOM, is_whole};
pub use ethernet::{Ethernet, SHORTEST_FRAME, Tag};
pub use finish::{Finisher, Unfinished};
pub use flow::flow_hash;
pub use fragments::{FragmentCounts, Reassembler};
pub use join::{JoinCounts, Joined, Joiner};
pub use layers::LONGEST_FRAME;
pub(crate) use layers::spares_sender;
pub use refused::{CutError, Refused};
pub use sender::{Sender, follows_from, sender};
