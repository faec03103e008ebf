//! What became of it all: what stations heard, what edges and supernodes say.

use crate::station::{mac, words};
use crate::town::Town;
use halloo_overlay::edge::{EdgeEvent, EdgeStatus, PeerStatus};
use halloo_overlay::supernode::SupernodeReport;
use halloo_sim::us;

impl Town {
    /// The numbers of the frames of a flow as they came, in order.
    pub(crate) fn came(&self, at: usize, name: &str) -> Vec<u32> {
        let heard = &self.world.machine(self.edges[at].station).heard;
        heard
            .iter()
            .filter_map(|(_, frame)| words(frame)?.strip_prefix(name)?.trim().parse().ok())
            .collect()
    }

    /// All of a flow has come, once, in order.
    pub(crate) fn all_came(&self, from: usize, to: usize, count: u32) {
        let came = self.came(to, &format!("{from}-{to} "));
        let wanted: Vec<u32> = (0..count).collect();
        let missing = || {
            wanted
                .iter()
                .filter(|number| !came.contains(number))
                .collect::<Vec<_>>()
        };
        assert!(
            came == wanted,
            "from {from} to {to}: {} came, missing {:?}",
            came.len(),
            missing()
        );
    }

    /// Nothing came twice, nothing came back, and what came is in order.
    pub(crate) fn is_sound(&self, at: usize) {
        let mut last = std::collections::HashMap::new();
        for (_, frame) in &self.world.machine(self.edges[at].station).heard {
            let Some((name, number)) = words(frame).and_then(|words| words.split_once(' ')) else {
                continue;
            };
            assert_ne!(frame[6..12], mac(at).0, "came back to {at}: {name} {number}");
            let number: u32 = number.parse().expect("a number");
            if let Some(before) = last.insert(name.to_owned(), number) {
                assert!(before < number, "{name} at {at}: {number} after {before}");
            }
        }
    }

    pub(crate) fn heard(&self, number: usize) -> Vec<Vec<u8>> {
        let heard = &self.world.machine(self.edges[number].station).heard;
        heard.iter().map(|(_, frame)| frame.clone()).collect()
    }

    pub(crate) fn events(&self, number: usize) -> Vec<EdgeEvent> {
        self.edges[number].events.lock().expect("nobody panicked").clone()
    }

    pub(crate) fn status(&mut self, number: usize) -> EdgeStatus {
        self.world.report(self.edges[number].edge);
        self.world.run_for(us(10));
        let status = self.edges[number].status.lock().expect("nobody panicked").take();
        status.expect("an edge tells how it stands")
    }

    /// What an edge says of another.
    pub(crate) fn peer(&mut self, of: usize, other: usize) -> Option<PeerStatus> {
        let key = self.edges[other].key;
        self.status(of).peers.into_iter().find(|peer| peer.key == key)
    }

    /// Whether frames go directly from one to the other.
    pub(crate) fn is_direct(&mut self, of: usize, other: usize) -> Option<bool> {
        let peer = self.peer(of, other)?;
        peer.paths
            .iter()
            .find(|path| path.in_use)
            .map(|path| !path.relayed)
    }

    pub(crate) fn count(&mut self, number: usize, name: &str) -> u64 {
        let counters = self.status(number).counters;
        let found = counters.iter().find(|(known, _)| *known == name);
        found
            .unwrap_or_else(|| panic!("no counter {name}: {counters:?}"))
            .1
    }

    pub(crate) fn report(&mut self, number: usize) -> SupernodeReport {
        self.world.report(self.supernodes[number].machine);
        self.world.run_for(us(10));
        let report = self.supernodes[number]
            .report
            .lock()
            .expect("nobody panicked")
            .take();
        report.expect("a supernode tells how it stands")
    }

    /// How many sessions there are with others, of all edges, and how many there are to be.
    pub(crate) fn meetings(&mut self) -> (usize, usize) {
        let all = self.edges.len();
        let up = (0..all)
            .map(|number| self.status(number).peers.iter().filter(|peer| peer.up).count())
            .sum();
        (up, all * (all - 1))
    }
}
