//! Keys and what they do: the secret, Noise, sealing and opening, the window against repetition, cookies.

mod certificate;
mod community;
mod entropy;
mod gate;
mod hash;
mod identity;
mod keys;
mod noise;
mod numbers;
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
pub use numbers::Numbers;
pub use text::{Kind, TextError};
pub use window::{Seen, Window};

/// What this end is.
pub struct Local {
    mac1: [u8; 32],
}

impl Local {
    pub(crate) fn own_mac1_key(&self) -> &[u8; 32] {
        &self.mac1
    }
}
