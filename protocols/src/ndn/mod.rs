//! Named Data Networking (NDN packet format 0.3, NDNLPv2) and its ping (ndnping protocol, version 1).
//!
//! Packets are read strictly, and no bytes make the reading panic; what was read borrows from the bytes it was read
//! from. [`Packet::parse`] is the way in: a packet bare or in a link header. [`PingServer`] answers, on datagrams, on
//! connections, and as [`ServerFace`] behind a forwarder, where [`Registration`] keeps its prefix known; [`PingProber`]
//! and [`PingStreamProber`] ask. [`Signer`] and [`Verifier`] are the keys, [`control`] and [`status`] the forwarder's
//! management.

pub mod control;
mod data;
mod face;
mod fragments;
mod interest;
mod keys;
mod lp;
mod name;
mod prober;
mod protocol;
mod registration;
mod server;
mod signature;
pub mod status;
#[cfg(test)]
mod tests;
pub mod tlv;
pub mod types;
mod uri;

pub use data::{ContentType, Data, MetaInfo, Unsigned};
pub use face::{FaceBreak, FaceEvent, FaceSink, Insist, ServerFace};
pub use fragments::{MOST_FRAGMENTS, Reassembler, fragments};
pub use interest::{DEFAULT_LIFETIME, Interest, InterestSignature, Names, Parameters, SigningMoment};
pub use keys::{KeyError, SignatureValue, Signer, Unverified, Verifier};
pub use lp::{Content, LpPacket, NackReason, Packet};
pub use name::{Component, Components, Name, NameBuf};
pub use prober::{PingProber, PingProberOptions, PingStreamProber};
pub use protocol::{NDN, NDN_TCP};
pub use registration::{Registered, Registration, RegistrationError};
pub use server::{PING, PingServer, PingServerError, PingServerOptions, PingSink};
pub use signature::{KeyLocator, SignatureInfo, SignatureType};
pub use tlv::{LONGEST_PACKET, Malformed};
pub use uri::{UriError, UriForm};

use sha2::{Digest, Sha256};

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    parts
        .iter()
        .fold(Sha256::new(), Digest::chain_update)
        .finalize()
        .into()
}
