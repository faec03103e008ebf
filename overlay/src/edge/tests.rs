//! Edges alone.
