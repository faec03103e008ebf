//! What follows from a community's name and secret.

use super::hash::{hash64, hash128, hash256, hkdf};
use crate::PublicKey;
use crate::wire::{CommunityId, CommunityTag};
use argon2::{Algorithm, Argon2, Params, Version};
use std::fmt;
use zeroize::Zeroizing;

/// A community as its members know it.
#[derive(Clone)]
pub struct Community {
    name: String,
    psk: Zeroizing<[u8; 32]>,
    id: CommunityId,
    tag: CommunityTag,
}

/// Why there is no such community.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommunityError {
    /// 1 to 32 octets.
    #[error("a community's name has 1 to 32 octets and no control characters")]
    Name,
    /// 8 octets at least: shorter ones are found by trying.
    #[error("a community's secret has at least 8 octets")]
    Secret,
    /// Argon2 takes 64 MiB.
    #[error("no memory to compute the community's keys (64 MiB are needed)")]
    Memory,
}

/// Argon2id's cost: KiB of memory, passes, lanes (RFC 9106 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost(u32, u32);

impl Cost {
    /// What the format says: 64 MiB, three passes.
    pub const FORMAT: Cost = Cost(65_536, 3);
    /// Next to nothing, for tests of other things. Communities of another cost are other communities.
    pub const TEST: Cost = Cost(8, 1);
}

impl Community {
    /// Computes the keys. With [`Cost::FORMAT`] this takes a large part of a second: once at start.
    ///
    /// # Errors
    /// If the name or the secret is too short or too long, or there is no memory.
    pub fn new(name: &str, secret: &[u8], cost: Cost) -> Result<Community, CommunityError> {
        if !(1..=32).contains(&name.len()) || name.chars().any(char::is_control) {
            return Err(CommunityError::Name);
        }
        if secret.len() < 8 {
            return Err(CommunityError::Secret);
        }
        let salt = hash128(&[b"halloo overlay 1", name.as_bytes()]);
        let mut master = Zeroizing::new([0; 32]);
        Params::new(cost.0, cost.1, 1, Some(32))
            .and_then(|params| {
                let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                argon.hash_password_into(secret, &salt, &mut master[..])
            })
            .map_err(|_| CommunityError::Memory)?;
        Ok(Community {
            name: name.to_owned(),
            psk: hkdf(&master[..], &[b"halloo overlay psk"]),
            id: CommunityId(*hkdf(&master[..], &[b"halloo overlay community"])),
            tag: Community::tag_of(name),
        })
    }

    /// What a name alone gives.
    pub fn tag_of(name: &str) -> CommunityTag {
        CommunityTag(hash64(&[name.as_bytes()]))
    }

    /// The name that people gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// By what a supernode tells it from others.
    pub fn id(&self) -> CommunityId {
        self.id
    }

    /// What its name alone gives.
    pub fn tag(&self) -> CommunityTag {
        self.tag
    }

    /// The number of its network where VXLAN carries it: 24 bits (RFC 7348 section 5), the same at all members. 0 and the
    /// highest are left to others.
    pub fn vni(&self) -> u32 {
        let [a, b, c, ..] = hash64(&[b"halloo overlay vni", &self.id.0]);
        u32::from_be_bytes([0, a, b, c]).clamp(1, 0x00ff_fffe)
    }

    pub(crate) fn psk(&self) -> &[u8; 32] {
        &self.psk
    }
}

impl fmt::Debug for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Community({:?})", self.name)
    }
}

/// The key of `mac1` in what is for the owner of `key`.
pub(crate) fn mac1_key(key: &PublicKey, community: Option<&Community>) -> [u8; 32] {
    let psk = community.map_or(&[][..], |community| &community.psk[..]);
    hash256(&[b"mac1", &key.0, psk])
}
