//! How an edge stands.

use super::association::Association;
use super::remote::Remote;
use super::{Edge, EdgePort, EdgeStatus, PeerStatus};
use crate::switch::Reason;

impl Edge {
    pub(super) fn status(&self) -> EdgeStatus {
        let table = self.carrier.switch.table();
        let mut peers: Vec<_> = self
            .remotes
            .iter()
            .enumerate()
            .filter_map(|(owner, remote)| {
                let remote: &Remote = remote.as_ref()?;
                let stations = table.count(EdgePort::Peer(owner as u32));
                let vtep = self.vtep_of(remote);
                Some(PeerStatus {
                    vtep,
                    ..remote.status(stations as u32)
                })
            })
            .collect();
        peers.sort_by_key(|peer| peer.key);
        let (frames, joined, switch) = (
            self.carrier.counts,
            self.carrier.joined(),
            self.carrier.switch.counts(),
        );
        let counts = self.counts;
        let dropped = Reason::ALL.iter().map(|&why| (why.name(), switch.dropped(why)));
        let mut counters = vec![
            ("datagrams", counts.datagrams),
            ("malformed", counts.malformed),
            ("strangers", counts.strangers),
            ("cookies", counts.cookies),
            ("handshakes_refused", counts.handshakes_refused),
            ("unknown_session", counts.unknown_session),
            ("replayed", counts.replayed),
            ("not_authentic", counts.not_authentic),
            ("bad_control", counts.bad_control),
            ("no_room", counts.no_room),
            ("initiations_withheld", self.own.budget.withheld),
            ("pings_withheld", self.own.budget.pings_withheld),
            ("no_relay", counts.no_relay),
            ("unwanted", counts.unwanted),
            ("wrong_port", self.ports.strays),
            ("relayed", counts.relayed),
            ("relayed_bytes", counts.relayed_bytes),
            ("frames_to_peers", frames.to_peers),
            ("frames_from_peers", frames.from_peers),
            ("no_path", frames.no_path),
            ("not_a_frame", frames.not_a_frame),
            ("not_cut", frames.not_cut),
            ("too_long", frames.too_long),
            ("content_refused", frames.refused),
            ("segments", joined.segments),
            ("joined", joined.joined),
            ("partial", joined.partial),
            ("forwarded", switch.forwarded),
            ("flooded", switch.flooded),
            ("learned", switch.learned),
            ("moved", switch.moved),
            ("flapping", switch.flapping),
            ("table_full", switch.full),
        ];
        counters.extend(dropped);
        EdgeStatus {
            supernodes: self.supernodes.iter().map(Association::status).collect(),
            peers,
            address: self.leases.prefix(),
            counters,
        }
    }
}
