//! A supernode: introduces edges to each other, and relays where they cannot meet.

pub mod channels;
pub mod pool;
pub mod registry;
