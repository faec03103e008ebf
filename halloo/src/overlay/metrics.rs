//! `--metrics`: how an edge or a supernode stands, for Prometheus and what reads the same (OpenMetrics 1.0).

#[cfg(test)]
mod tests;

use super::question::Question;
use super::report::named;
use anyhow::{Context, Result};
use halloo_overlay::edge::{EdgeStatus, PathStatus, PeerStatus, SupernodeStatus};
use halloo_overlay::supernode::SupernodeReport;
use halloo_overlay::switch::Reason;
use halloo_web::{Page, PageServer};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::net::{SocketAddr, TcpListener};

const PATH: &str = "/metrics";
const OPENMETRICS: &str = "application/openmetrics-text";
/// What a family's names begin with.
const EDGE: &str = "halloo_edge";
const SUPERNODE: &str = "halloo_supernode";

/// What is counted but not dropped, by its name in [`EdgeStatus::counters`]: the family, and its label.
type Shape = (&'static str, &'static str, Option<(&'static str, &'static str)>);
const EDGE_COUNTERS: &[Shape] = &[
    ("datagrams", "datagrams", None),
    ("frames_to_peers", "frames", Some(("direction", "to_peers"))),
    ("frames_from_peers", "frames", Some(("direction", "from_peers"))),
    ("relayed", "relayed_datagrams", None),
    ("relayed_bytes", "relayed_bytes", None),
    ("cookies", "cookies", None),
    ("segments", "segments", None),
    ("joined", "joined_frames", None),
    ("partial", "joined_frames_in_part", None),
    ("forwarded", "switched_frames", Some(("to", "one"))),
    ("flooded", "switched_frames", Some(("to", "all"))),
    ("learned", "addresses", Some(("change", "learned"))),
    ("moved", "addresses", Some(("change", "moved"))),
    ("flapping", "addresses", Some(("change", "flapping"))),
    ("table_full", "addresses", Some(("change", "not_learned"))),
];
const SUPERNODE_COUNTERS: &[Shape] = &[
    ("datagrams", "datagrams", None),
    ("relayed", "relayed_datagrams", None),
    ("relayed_bytes", "relayed_bytes", None),
    ("hellos", "hellos", None),
    ("cookies", "cookies", None),
    ("registrations", "registrations", None),
    ("expired", "expired_members", None),
];
/// What is dropped, by the same names; each is a reason.
const DROPPED: &[&str] = &[
    "malformed",
    "strangers",
    "handshakes_refused",
    "unknown_session",
    "replayed",
    "not_authentic",
    "bad_control",
    "no_room",
    "no_relay",
    "no_channel",
    "unwanted",
    "no_path",
    "not_a_frame",
    "not_cut",
    "too_long",
    "content_refused",
];
/// What a family is, in words.
const HELP: &[(&str, &str)] = &[
    ("datagrams", "Datagrams that came"),
    ("frames", "Ethernet frames, by the way that they went"),
    ("relayed_datagrams", "Datagrams carried for others"),
    ("relayed_bytes", "Bytes carried for others"),
    ("cookies", "Initiations that were asked for a cookie first"),
    ("segments", "Parts of super-frames that came"),
    ("joined_frames", "Super-frames put together again"),
    ("joined_frames_in_part", "... of which something was lost"),
    (
        "switched_frames",
        "Frames that the switch gave to one port or to all",
    ),
    (
        "addresses",
        "Ethernet addresses that the switch learned, saw move, or had no room for",
    ),
    ("hellos", "Edges that asked for the key"),
    ("registrations", "Registrations, renewed ones among them"),
    ("expired_members", "Members that were not heard of any more"),
];

type Labels = Vec<(&'static str, String)>;

/// Whether a counter of this name is of what came to nothing.
pub(super) fn is_dropped(name: &str) -> bool {
    DROPPED.contains(&name) || Reason::ALL.iter().any(|why| why.name() == name)
}

/// Opens the listener, while we still may.
///
/// # Errors
/// As the operating system says, with the flag's name.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .with_context(|| format!("--metrics {address}: cannot listen on this TCP address"))
}

/// What can be told in numbers.
pub(super) trait Told: Clone + fmt::Debug + Send + Sync + 'static {
    /// Writes all families.
    fn tell(&self, families: &mut Families<'_>) -> fmt::Result;
}

/// Answers with what the machine says when it is asked.
pub(super) fn serve<T: Told>(listener: TcpListener, question: Question<T>) -> std::io::Result<PageServer> {
    let write = move |accept: &str| page(question.ask().ok()?, accept).ok();
    PageServer::start(listener, PATH, Box::new(write))
}

fn page<T: Told>(told: T, accept: &str) -> Result<Page, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot(told)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(match accept.contains(OPENMETRICS) {
        true => Page {
            content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
            text,
        },
        false => Page {
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            text: plain(&text),
        },
    })
}

/// The same in the older text format, which not only old readers ask for: there a counter's family is called as its
/// samples are, and there is neither a unit nor an end.
fn plain(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let counters: BTreeSet<&str> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    for line in openmetrics.lines() {
        let mut words = line.splitn(4, ' ');
        let (mark, kind, name, rest) = (words.next(), words.next(), words.next(), words.next());
        match (mark, kind, name, rest) {
            (Some("#"), Some(kind @ ("HELP" | "TYPE")), Some(name), Some(rest))
                if counters.contains(name) =>
            {
                let _ = writeln!(text, "# {kind} {name}_total {rest}");
            }
            (Some("#"), Some("UNIT" | "EOF"), ..) => {}
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

#[derive(Debug)]
struct Snapshot<T>(T);

impl<T: Told> Collector for Snapshot<T> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.tell(&mut Families(encoder))
    }
}

/// Where families are written.
pub(super) struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn write(
        &mut self,
        (name, help, kind): (&str, &str, MetricType),
        samples: impl IntoIterator<Item = (Labels, impl EncodeMetric)>,
    ) -> fmt::Result {
        let mut seen = BTreeSet::new();
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, sample) in samples {
            if labels.is_empty() {
                return sample.encode(family);
            }
            // Two samples of the same labels would make the whole page unreadable.
            if seen.insert(labels.clone()) {
                sample.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let samples = samples
            .into_iter()
            .map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.write((name, help, MetricType::Gauge), samples)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let samples = samples
            .into_iter()
            .map(|(labels, value)| (labels, ConstCounter::new(value)));
        self.write((name, help, MetricType::Counter), samples)
    }

    /// A machine's own counters: each in the family of its shape, or else as a reason for which something was dropped.
    fn all_counters(
        &mut self,
        machine: &str,
        shapes: &[Shape],
        counted: &[(&'static str, u64)],
    ) -> fmt::Result {
        for (family, help) in HELP {
            let samples = counted.iter().filter_map(|&(name, count)| {
                let (.., label) = shapes
                    .iter()
                    .find(|shape| shape.0 == name && shape.1 == *family)?;
                let labels = label
                    .iter()
                    .map(|&(key, value)| (key, value.to_owned()))
                    .collect();
                Some((labels, count))
            });
            self.counters(&format!("{machine}_{family}"), help, samples)?;
        }
        let rest = |dropped: bool, label: &'static str| {
            let of_no_shape = move |(name, _): &&(&str, u64)| shapes.iter().all(|shape| shape.0 != *name);
            let counted = counted.iter().filter(of_no_shape);
            counted
                .filter(move |(name, _)| is_dropped(name) == dropped)
                .map(move |&(name, count)| (vec![(label, name.to_owned())], count))
        };
        let help = "Datagrams, messages and frames that came to nothing, by reason";
        self.counters(&format!("{machine}_dropped"), help, rest(true, "reason"))?;
        let help = "What else was counted, by name";
        self.counters(&format!("{machine}_events"), help, rest(false, "event"))
    }
}

fn number(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

fn seconds(span: halloo_base::Nanos) -> f64 {
    span.0 as f64 / 1e9
}

impl Told for EdgeStatus {
    fn tell(&self, families: &mut Families<'_>) -> fmt::Result {
        tell_supernodes(&self.supernodes, families)?;
        tell_peers(&self.peers, families)?;
        tell_paths(&self.peers, families)?;
        families.all_counters(EDGE, EDGE_COUNTERS, &self.counters)
    }
}

impl Told for SupernodeReport {
    fn tell(&self, families: &mut Families<'_>) -> fmt::Result {
        let gauges = [
            ("members", "Members of all communities", self.members),
            ("communities", "Communities that have members", self.communities),
            ("channels", "Pairs of members that it carries for", self.channels),
        ];
        for (name, help, count) in gauges {
            families.gauges(&format!("{SUPERNODE}_{name}"), help, [(vec![], count as f64)])?;
        }
        families.all_counters(SUPERNODE, SUPERNODE_COUNTERS, &self.counts.named())
    }
}

fn tell_supernodes(supernodes: &[SupernodeStatus], families: &mut Families<'_>) -> fmt::Result {
    let of = |value: fn(&SupernodeStatus) -> Option<f64>| {
        supernodes.iter().filter_map(move |supernode| {
            let labels = vec![("supernode", supernode.address.to_string())];
            Some((labels, value(supernode)?))
        })
    };
    families.gauges(
        "halloo_edge_supernode_registered",
        "Whether a supernode has this edge",
        of(|supernode| Some(number(supernode.registered))),
    )?;
    families.gauges(
        "halloo_edge_supernode_members",
        "Members of the community that a supernode knew when it registered this edge",
        of(|supernode| Some(f64::from(supernode.members))),
    )?;
    families.gauges(
        "halloo_edge_supernode_round_trip_seconds",
        "Smoothed round trip to a supernode",
        of(|supernode| supernode.round_trip.map(seconds)),
    )
}

fn tell_peers(peers: &[PeerStatus], families: &mut Families<'_>) -> fmt::Result {
    let of = |value: fn(&PeerStatus) -> Option<f64>| {
        peers
            .iter()
            .filter_map(move |peer| Some((labels(peer), value(peer)?)))
    };
    let both = |value: fn(&PeerStatus) -> [u64; 2]| {
        peers.iter().flat_map(move |peer| {
            let ways = ["to_peer", "from_peer"].into_iter().zip(value(peer));
            ways.map(|(way, count)| {
                let mut labels = labels(peer);
                labels.push(("direction", way.to_owned()));
                (labels, count)
            })
        })
    };
    let used = |peer: &PeerStatus| peer.paths.iter().find(|path| path.in_use).cloned();
    families.gauges(
        "halloo_edge_peers",
        "Peers that there is a session with",
        [(vec![], peers.iter().filter(|peer| peer.up).count() as f64)],
    )?;
    families.gauges(
        "halloo_edge_peer_up",
        "Whether there is a session with a peer",
        of(|peer| Some(number(peer.up))),
    )?;
    let direct = |peer: &PeerStatus| Some((labels(peer), number(!used(peer)?.relayed)));
    families.gauges(
        "halloo_edge_peer_direct",
        "Whether frames go to a peer itself, not by a relay",
        peers.iter().filter_map(direct),
    )?;
    families.gauges(
        "halloo_edge_peer_stations",
        "Ethernet addresses behind a peer",
        of(|peer| Some(f64::from(peer.stations))),
    )?;
    families.counters(
        "halloo_edge_peer_frames",
        "Ethernet frames to and from a peer",
        both(|peer| [peer.sent.0, peer.received.0]),
    )?;
    families.counters(
        "halloo_edge_peer_bytes",
        "Bytes of Ethernet frames to and from a peer",
        both(|peer| [peer.sent.1, peer.received.1]),
    )
}

fn tell_paths(peers: &[PeerStatus], families: &mut Families<'_>) -> fmt::Result {
    let of = |value: fn(&PathStatus) -> Option<f64>| {
        peers.iter().flat_map(move |peer| {
            peer.paths.iter().filter_map(move |path| {
                let mut labels = labels(peer);
                labels.push(("path", path.remote.to_string()));
                labels.push(("via", if path.relayed { "relay" } else { "direct" }.to_owned()));
                Some((labels, value(path)?))
            })
        })
    };
    families.gauges(
        "halloo_edge_peer_path_in_use",
        "Whether frames to a peer go by a path",
        of(|path| Some(number(path.in_use))),
    )?;
    families.gauges(
        "halloo_edge_peer_round_trip_seconds",
        "Smoothed round trip of a path's own echoes",
        of(|path| path.round_trip.map(seconds)),
    )?;
    families.gauges(
        "halloo_edge_peer_loss_ratio",
        "Share of a path's own echoes that was not answered, since it is known",
        of(|path| {
            let lost = path.asked.saturating_sub(path.answered);
            (path.asked > 0).then(|| lost as f64 / path.asked as f64)
        }),
    )?;
    families.gauges(
        "halloo_edge_peer_one_by_one",
        "Whether datagrams go by a path one by one, since several in one send are lost",
        of(|path| Some(number(path.alone))),
    )?;
    families.gauges(
        "halloo_edge_peer_mtu_bytes",
        "The longest IP packet that is known to pass by a path",
        of(|path| Some(f64::from(path.mtu))),
    )
}

/// A peer's labels: what it calls itself alone would not tell it from others.
fn labels(peer: &PeerStatus) -> Labels {
    vec![
        ("peer", peer.key.member_id().to_string()),
        ("name", named(&peer.name, &peer.key)),
    ]
}
