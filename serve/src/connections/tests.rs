use super::*;
use crate::harness::SECRET;
use proptest::prelude::*;

fn connection(id: u64, at: u64) -> Connection {
    Connection {
        id: ConnId(id),
        responder: None,
        pending: Vec::new(),
        source: None,
        active: Mono(at),
    }
}

#[test]
fn an_idle_connection_costs_little() {
    assert!(size_of::<Entry>() <= 96, "{}", size_of::<Entry>());
}

#[test]
fn slots_are_used_again() {
    let mut connections = Connections::new(SECRET);
    for id in 0..10_000 {
        connections.insert(connection(id, id));
        if id >= 3 {
            assert!(connections.remove(ConnId(id - 3)).is_some());
        }
    }
    assert_eq!((connections.len(), connections.entries.len()), (3, 4));
    for round in 1..10 {
        while let Some(id) = connections.oldest().map(|oldest| oldest.id) {
            connections.remove(id);
        }
        (0..4).for_each(|n| connections.insert(connection(round * 100_000 + n, n)));
    }
    assert_eq!((connections.len(), connections.entries.len()), (4, 4));
}

proptest! {
    /// The slab and its list behave as a plain list that is searched from end to end.
    #[test]
    fn the_order_of_activity_is_kept(steps in prop::collection::vec((0u8..3, 0u64..12), 0..200)) {
        let mut connections = Connections::new(SECRET);
        let mut model: Vec<u64> = Vec::new();
        for (now, (step, id)) in steps.into_iter().enumerate() {
            let now = now as u64;
            let known = model.iter().position(|&other| other == id);
            match (step, known) {
                (0, None) => {
                    connections.insert(connection(id, now));
                    model.push(id);
                }
                (1, Some(at)) => {
                    let slot = connections.find(ConnId(id)).expect("the model knows it");
                    connections.touch(slot, Mono(now));
                    model.remove(at);
                    model.push(id);
                    prop_assert_eq!(connections.at(slot).active, Mono(now));
                }
                (2, known) => {
                    let removed = connections.remove(ConnId(id)).map(|connection| connection.id);
                    prop_assert_eq!(removed, known.map(|at| ConnId(model.remove(at))));
                }
                _ => {}
            }
            prop_assert_eq!(connections.oldest().map(|oldest| oldest.id.0), model.first().copied());
            prop_assert_eq!(connections.len(), model.len());
        }
        while let Some(id) = connections.oldest().map(|oldest| oldest.id) {
            prop_assert_eq!(id.0, model.remove(0));
            connections.remove(id);
        }
        prop_assert!(model.is_empty());
    }
}
