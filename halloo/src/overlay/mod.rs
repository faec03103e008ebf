//! The overlay's commands.

pub(crate) mod keys;
