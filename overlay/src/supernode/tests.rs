//! Supernodes alone.
