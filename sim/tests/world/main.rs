//! Stories about the world itself, told with a machine that only follows a plan.

mod frames;
mod hosts;
mod nats;
mod network;
mod scribe;
mod sockets;
mod streams;

use halloo_sim::{Node, Quality, World};

/// Two hosts and the wire between them.
fn pair(seed: u64, quality: Quality) -> (World, Node, Node, halloo_sim::Wire) {
    let mut world = World::new(seed);
    let a = world.host("a", &["192.0.2.1", "2001:db8::1"]);
    let b = world.host("b", &["192.0.2.2", "2001:db8::2"]);
    let wire = world.join(a, b, quality);
    (world, a, b, wire)
}
