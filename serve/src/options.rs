//! What every set of options needs: a secret, and words for what is wrong with the rest.

use ipnet::IpNet;
use siphasher::sip::SipHasher13;
use std::fmt;
use std::hash::BuildHasher;
use std::ops::RangeInclusive;

/// Why a set of options cannot be served with. The field is named as it is in the options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A number is outside what makes sense.
    #[error("{field} is {value}, but must be {min} to {max}")]
    OutOfRange {
        /// The field, with the fields that hold it: `limits.all.burst`.
        field: &'static str,
        /// What it was set to.
        value: u64,
        /// The least that it may be.
        min: u64,
        /// The most that it may be.
        max: u64,
    },
    /// The access list says two things about the same prefix.
    #[error("access: {prefix} is both allowed and denied")]
    Contradiction {
        /// The prefix.
        prefix: IpNet,
    },
}

/// 128 random bits, drawn once at start, so that strangers cannot choose which of their addresses share a
/// place in a table. Its `Debug` output tells nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 16]);

impl Secret {
    /// The secret made of these bytes, which should come from the operating system's randomness.
    pub const fn new(bytes: [u8; 16]) -> Secret {
        Secret(bytes)
    }

    pub(crate) fn hasher(self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

impl BuildHasher for Secret {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        self.hasher()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

pub(crate) fn within(
    field: &'static str,
    value: impl Into<u64>,
    range: RangeInclusive<u64>,
) -> Result<(), OptionsError> {
    let value = value.into();
    if range.contains(&value) {
        return Ok(());
    }
    let (min, max) = range.into_inner();
    Err(OptionsError::OutOfRange {
        field,
        value,
        min,
        max,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", Secret::new([7; 16])), "Secret(..)");
    }

    #[test]
    fn a_range_error_names_the_field_and_the_range() {
        let error = within("limits.all.burst", 0u32, 1..=9).unwrap_err();
        assert_eq!(error.to_string(), "limits.all.burst is 0, but must be 1 to 9");
        assert_eq!(within("limits.all.burst", 9u32, 1..=9), Ok(()));
    }
}
