//! Edges and supernodes in a simulated world.

#[allow(dead_code, reason = "each story uses what it needs of the town")]
mod town;

use halloo_overlay::Mac;
use halloo_overlay::edge::EdgeEvent;
use halloo_overlay::supernode::SupernodeOptions;
use halloo_sim::secs;
use town::{Flat, Town, frame, mac};

fn flat(plan: Vec<(std::time::Duration, Vec<u8>)>) -> Flat {
    Flat {
        plan,
        ..Flat::default()
    }
}

#[test]
fn three_edges_meet_and_a_broadcast_reaches_each_once() {
    let mut town = Town::new(1);
    town.supernode(SupernodeOptions::default());
    town.edge(flat(vec![
        (secs(5), frame(0, Mac::BROADCAST, b"hear me")),
        (secs(7), frame(0, mac(1), b"only you")),
    ]));
    town.edge(flat(vec![(secs(6), frame(1, mac(0), b"heard"))]));
    town.edge(flat(vec![]));
    town.world.run_until(secs(8));
    assert_eq!(
        town.heard(1),
        [
            frame(0, Mac::BROADCAST, b"hear me"),
            frame(0, mac(1), b"only you")
        ]
    );
    assert_eq!(town.heard(2), [frame(0, Mac::BROADCAST, b"hear me")]);
    assert_eq!(town.heard(0), [frame(1, mac(0), b"heard")]);
    let direct = |event: &EdgeEvent| matches!(event, EdgeEvent::PathChanged { relayed: false, .. });
    assert!(town.events(0).iter().any(direct));
}
