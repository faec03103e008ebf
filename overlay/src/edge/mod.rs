//! An edge: the end that has a TAP.

pub mod path;
