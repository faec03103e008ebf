//! A supernode: introduces edges to each other, and relays where they cannot meet.
