//! An edge: the end that has a TAP.
