//! Keys and what they do: the secret, Noise, sealing and opening, the window against repetition, cookies.

mod attempt;
mod certificate;
mod community;
mod entropy;
mod gate;
mod hash;
mod identity;
mod keys;
mod latest;
mod local;
mod noise;
mod numbers;
mod peer;
mod request;
mod session;
mod step;
#[cfg(test)]
mod tests;
mod text;
mod window;

pub use certificate::{
    Authority, AuthorityKey, Certificate, CertificateError, emit_revocation_text, parse_revocation_text,
    read_revocation,
};
pub use community::{Community, CommunityError, Cost};
pub use entropy::{Entropy, Replayed};
pub use gate::{Admission, Gate};
pub use identity::{Identity, MemberId};
pub use keys::{Class, MOST_DATAGRAMS, OpenError, Opened, Opener, SealError, Sealer};
pub use latest::Latest;
pub use local::{Local, Offer, Role, Timers};
pub use numbers::Numbers;
pub use peer::Peer;
pub use request::{Agreed, HandshakeError, Refusal, Request};
pub use step::{Context, Event, Step};
pub use text::{Kind, TextError};
pub use window::{Seen, Window};
