//! BLAKE2s (RFC 7693) and HKDF-SHA256 (RFC 5869) in the few shapes that the format has.

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use blake2::digest::consts::{U8, U16, U32};
use blake2::digest::{FixedOutput, Update};
use blake2::{Blake2s, Blake2sMac};
use zeroize::Zeroizing;

/// BLAKE2s-256 of the parts one after another.
pub(crate) fn hash256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Blake2s::<U32>::default();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize_fixed().into()
}

/// BLAKE2s-128 of the parts one after another.
pub(crate) fn hash128(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Blake2s::<U16>::default();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize_fixed().into()
}

/// BLAKE2s-64 of the parts one after another.
pub(crate) fn hash64(parts: &[&[u8]]) -> [u8; 8] {
    let mut hash = Blake2s::<U8>::default();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize_fixed().into()
}

/// BLAKE2s-128 with a key of 16 or 32 octets.
pub(crate) fn keyed<const N: usize>(key: &[u8; N], parts: &[&[u8]]) -> [u8; 16] {
    const { assert!(N == 16 || N == 32) };
    let mac = Blake2sMac::<U16>::new_with_salt_and_personal(Some(key), &[], &[]);
    // It takes any key of up to 32 octets.
    let mut mac = mac.unwrap_or_else(|_| unreachable!("a key of {N} octets"));
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize_fixed().into()
}

/// HKDF-SHA256 without a salt.
pub(crate) fn hkdf<const N: usize>(secret: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    let key = Salt::none(HKDF_SHA256).extract(secret);
    let filled = key
        .expand(info, Length(N))
        .and_then(|material| material.fill(&mut out[..]));
    // It fails past 255 x 32 octets only.
    filled.unwrap_or_else(|_| unreachable!("{N} octets of key"));
    out
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}
