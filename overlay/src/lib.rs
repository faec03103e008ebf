//! A layer-2 network across networks that have none.
//!
//! Edges carry Ethernet frames to each other; supernodes introduce them, and relay where they cannot meet. This crate
//! is pure: it is told what arrived and when, and says what is to be sent. What is on the wire is written down in
//! `docs/wire/overlay.md`.
#![forbid(unsafe_code)]

pub mod crypto;
pub mod edge;
pub mod frame;
mod id;
pub mod supernode;
pub mod switch;
pub mod vxlan;
mod way;
pub mod wire;

pub use id::{Cipher, Compression, Mac, PublicKey};
pub use way::Way;
