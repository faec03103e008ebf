//! The objects that `--json` prints, one a line. `docs/json.md` tells every field; a test compares.

pub(crate) mod path;

use serde::Serialize;

/// The version of all objects here.
pub(crate) const SCHEMA: &str = "halloo/1";

/// How every object begins.
#[derive(Serialize)]
pub(crate) struct Head {
    pub(crate) schema: &'static str,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
}

impl Head {
    pub(crate) fn new(kind: &'static str) -> Head {
        Head { schema: SCHEMA, kind }
    }
}

/// Which session an object of `halloo ping` is about.
#[derive(Serialize)]
pub(crate) struct Of {
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) session: Option<u32>,
    pub(crate) target: Option<String>,
    pub(crate) link: Option<String>,
}

/// A session begins; over TCP: a connection is up.
#[derive(Serialize)]
pub(crate) struct Start {
    #[serde(flatten)]
    pub(crate) of: Of,
    pub(crate) time_ns: u64,
    pub(crate) protocol: &'static str,
    pub(crate) remote: String,
    pub(crate) local: Option<String>,
    pub(crate) bytes: u32,
    pub(crate) interval_ns: u64,
    pub(crate) count: u64,
    pub(crate) timeout_ns: u64,
    pub(crate) lookup_ns: Option<u64>,
    pub(crate) connect_ns: Option<i64>,
    pub(crate) tls_ns: Option<i64>,
}

/// The handshake of a QUIC connection is complete.
#[derive(Serialize)]
pub(crate) struct Handshake {
    #[serde(flatten)]
    pub(crate) of: Of,
    pub(crate) time_ns: u64,
    pub(crate) handshake_ns: u64,
    pub(crate) resumed: Option<bool>,
    pub(crate) early_data: &'static str,
}

/// A QUIC connection has moved, and the host has seen that.
#[derive(Serialize)]
pub(crate) struct Moved {
    #[serde(flatten)]
    pub(crate) of: Of,
    pub(crate) time_ns: u64,
    pub(crate) local: String,
    pub(crate) seen_ns: u64,
}

/// One probe and what became of it.
#[derive(Serialize)]
pub(crate) struct Exchange {
    #[serde(flatten)]
    pub(crate) of: Of,
    pub(crate) seq: u64,
    pub(crate) verdict: &'static str,
    pub(crate) direction: Option<&'static str>,
    pub(crate) cause: Option<&'static str>,
    pub(crate) t1_ns: u64,
    pub(crate) t1_source: &'static str,
    pub(crate) t1_user_ns: u64,
    pub(crate) t2_ns: Option<u64>,
    pub(crate) t2_source: Option<&'static str>,
    pub(crate) t3_ns: Option<u64>,
    pub(crate) t4_ns: Option<u64>,
    pub(crate) t4_source: Option<&'static str>,
    pub(crate) t4_user_ns: Option<u64>,
    pub(crate) residence_ns: Option<i64>,
    pub(crate) residence_exact: Option<bool>,
    pub(crate) wire_ns: Option<i64>,
    pub(crate) host_ns: Option<i64>,
    pub(crate) intended_ns: Option<i64>,
    pub(crate) slot_error_ns: i64,
    pub(crate) clock_stepped: bool,
    pub(crate) ttl: Option<u8>,
    pub(crate) tos: Option<u8>,
    pub(crate) bytes: u32,
    pub(crate) connect_ns: Option<i64>,
    pub(crate) tls_ns: Option<i64>,
    pub(crate) t4_first_ns: Option<u64>,
    pub(crate) t4_first_source: Option<&'static str>,
    pub(crate) first_byte_ns: Option<i64>,
    pub(crate) total_ns: Option<i64>,
    pub(crate) seen_addr: Option<String>,
    pub(crate) seen_ttl: Option<u8>,
    pub(crate) seen_tos: Option<u8>,
    pub(crate) clock_error_ns: Option<i64>,
    pub(crate) sent_ttl: Option<u8>,
    pub(crate) sent_tos: u8,
    pub(crate) hops_taken: Option<u8>,
    pub(crate) options: Option<IpOptions>,
    pub(crate) refusal: Option<Refusal>,
}

/// The IPv4 options of an answer.
#[derive(Default, Serialize)]
pub(crate) struct IpOptions {
    pub(crate) recorded_route: Option<Vec<String>>,
    pub(crate) source_route: Option<Vec<String>>,
    pub(crate) timestamps: Option<Vec<HopTime>>,
    pub(crate) timestamps_missed: Option<u8>,
    pub(crate) others: Vec<u8>,
    pub(crate) broken: bool,
}

/// What one hop wrote into a timestamp option.
#[derive(Serialize)]
pub(crate) struct HopTime {
    pub(crate) address: Option<String>,
    pub(crate) ms: Option<u32>,
    pub(crate) raw: u32,
}

/// An answer that says no.
#[derive(Serialize)]
pub(crate) struct Refusal {
    pub(crate) code: u32,
    pub(crate) name: &'static str,
}

/// Something went wrong that is not one probe's loss.
#[derive(Serialize)]
pub(crate) struct Error {
    #[serde(flatten)]
    pub(crate) of: Of,
    pub(crate) time_ns: u64,
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    pub(crate) seq: Option<u64>,
    pub(crate) reporter: Option<String>,
    pub(crate) lost: Option<u64>,
    pub(crate) retry_in_ns: Option<u64>,
    pub(crate) step_ns: Option<i64>,
}

/// The end of a session.
#[derive(Serialize)]
pub(crate) struct Summary {
    #[serde(flatten)]
    pub(crate) of: Of,
    pub(crate) ended: &'static str,
    pub(crate) started_ns: u64,
    pub(crate) elapsed_ns: u64,
    pub(crate) lookup_ns: Option<u64>,
    pub(crate) counts: Counts,
    pub(crate) unused: Unused,
    pub(crate) wire: Option<Spans>,
    pub(crate) host: Option<Spans>,
    pub(crate) intended: Option<Spans>,
    pub(crate) ipdv: Option<Spans>,
    pub(crate) one_way: Option<OneWay>,
    pub(crate) connect: Option<Spans>,
    pub(crate) tls: Option<Spans>,
    pub(crate) first_byte: Option<Spans>,
    pub(crate) total: Option<Spans>,
    pub(crate) budget: Budget,
    pub(crate) stamps: Stamps,
    pub(crate) observed: Observed,
    pub(crate) unreachable: Vec<Unreachable>,
}

/// What became of the probes.
#[derive(Serialize)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) lost: u64,
    pub(crate) late: u64,
    pub(crate) refused: u64,
    pub(crate) in_flight: u64,
    pub(crate) lost_forward: u64,
    pub(crate) lost_backward: u64,
    pub(crate) lost_unknown: u64,
    pub(crate) unsent: u64,
    pub(crate) lost_connection: u64,
    pub(crate) overrun: u64,
    pub(crate) duplicates: u64,
    pub(crate) duplicates_forward: u64,
    pub(crate) duplicates_backward: u64,
    pub(crate) reordered: u64,
    pub(crate) reordered_forward: u64,
    pub(crate) reordered_backward: u64,
    pub(crate) slots_missed: u64,
    pub(crate) broken: u64,
    pub(crate) reconnects: u64,
    pub(crate) connect_failures: u64,
    pub(crate) clock_steps: u64,
    pub(crate) clock_stepped_by_ns: i64,
    pub(crate) wire_negative: u64,
    pub(crate) wire_guessed: u64,
    pub(crate) wire_spoilt: u64,
}

/// Arrivals that were no use.
#[derive(Serialize)]
pub(crate) struct Unused {
    pub(crate) foreign: u64,
    pub(crate) wrong_path: u64,
    pub(crate) malformed: u64,
    pub(crate) bad_auth: u64,
    pub(crate) truncated: u64,
    pub(crate) stale: u64,
    pub(crate) other: u64,
}

/// A distribution.
#[derive(Serialize)]
pub(crate) struct Spans {
    pub(crate) count: u64,
    pub(crate) min_ns: i64,
    pub(crate) mean_ns: i64,
    pub(crate) p50_ns: i64,
    pub(crate) p90_ns: i64,
    pub(crate) p99_ns: i64,
    pub(crate) p999_ns: i64,
    pub(crate) max_ns: i64,
    pub(crate) mdev_ns: i64,
}

/// The directions apart.
#[derive(Serialize)]
pub(crate) struct OneWay {
    pub(crate) forward_queueing: Spans,
    pub(crate) forward_min_ns: i64,
    pub(crate) forward_relative_min_ns: i64,
    pub(crate) backward_queueing: Spans,
    pub(crate) backward_min_ns: i64,
    pub(crate) backward_relative_min_ns: i64,
    pub(crate) offset_ns: i64,
    pub(crate) error_ns: i64,
    pub(crate) claimed_ns: Option<i64>,
    pub(crate) contradicted: bool,
    pub(crate) skew_ppb: i64,
    pub(crate) remote_steps: u64,
}

/// Where the measurement's own error comes from.
#[derive(Serialize)]
pub(crate) struct Budget {
    pub(crate) slot_error: Option<Spans>,
    pub(crate) send_delay: Option<Spans>,
    pub(crate) receive_delay: Option<Spans>,
    pub(crate) residence: Option<Spans>,
    pub(crate) residence_exact: u64,
}

/// Who took the stamps, in exchanges.
#[derive(Serialize)]
pub(crate) struct Stamps {
    pub(crate) t1_kernel: u64,
    pub(crate) t1_hardware: u64,
    pub(crate) t1_user: u64,
    pub(crate) t2_kernel: u64,
    pub(crate) t2_user: u64,
    pub(crate) t4_kernel: u64,
    pub(crate) t4_hardware: u64,
    pub(crate) t4_user: u64,
}

/// What was observed of the path.
#[derive(Serialize)]
pub(crate) struct Observed {
    pub(crate) structured: u64,
    pub(crate) plain: u64,
    pub(crate) seen_addr: Option<String>,
    pub(crate) seen_ttl: Option<u8>,
    pub(crate) seen_tos: Option<u8>,
    pub(crate) address_changes: u64,
    pub(crate) forward_mark_changes: u64,
    pub(crate) backward_mark_changes: u64,
    pub(crate) ttl_min: Option<u8>,
    pub(crate) ttl_max: Option<u8>,
    pub(crate) hops_taken_min: Option<u8>,
    pub(crate) hops_taken_max: Option<u8>,
    pub(crate) tos_rewritten: u64,
    pub(crate) tos: Option<u8>,
    pub(crate) answer_tos: Option<u8>,
    pub(crate) forward_marks: MarkCounts,
    pub(crate) backward_marks: MarkCounts,
}

/// What one way made of DSCP and ECN.
#[derive(Serialize)]
pub(crate) struct MarkCounts {
    pub(crate) known: u64,
    pub(crate) dscp_changed: u64,
    pub(crate) ect_cleared: u64,
    pub(crate) ce: u64,
}

/// Reports that probes do not get through.
#[derive(Serialize)]
pub(crate) struct Unreachable {
    pub(crate) error: String,
    pub(crate) count: u64,
}

/// An echo host promised to send datagrams.
#[derive(Serialize)]
pub(crate) struct PingbackStart {
    #[serde(flatten)]
    pub(crate) of: Of,
    pub(crate) time_ns: u64,
    pub(crate) remote: String,
    pub(crate) seen_addr: Option<String>,
    pub(crate) asked: u16,
    pub(crate) promised: u16,
    pub(crate) gap_ns: u64,
    pub(crate) silence_ns: u64,
    pub(crate) from: &'static str,
}

/// One of them came.
#[derive(Serialize)]
pub(crate) struct Pingback {
    #[serde(flatten)]
    pub(crate) of: Of,
    pub(crate) time_ns: u64,
    pub(crate) number: u16,
    pub(crate) from_addr: String,
    pub(crate) after_ns: Option<u64>,
    pub(crate) spacing_ns: Option<i64>,
    pub(crate) quiet_ns: u64,
}

/// What became of an ask for datagrams.
#[derive(Serialize)]
pub(crate) struct PingbackSummary {
    #[serde(flatten)]
    pub(crate) of: Of,
    pub(crate) time_ns: u64,
    pub(crate) ended: &'static str,
    pub(crate) asked: u16,
    pub(crate) promised: Option<u16>,
    pub(crate) came: u64,
    pub(crate) seen_addr: Option<String>,
    pub(crate) spacing_min_ns: Option<i64>,
    pub(crate) spacing_mean_ns: Option<i64>,
    pub(crate) spacing_max_ns: Option<i64>,
}

/// What `halloo nat` found out.
#[derive(Serialize)]
pub(crate) struct Nat {
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) time_ns: u64,
    pub(crate) hosts: Vec<String>,
    pub(crate) link: Option<String>,
    pub(crate) complete: bool,
    pub(crate) local: Option<String>,
    pub(crate) reflexive: Option<String>,
    pub(crate) translated: Option<bool>,
    pub(crate) mapping: Option<&'static str>,
    pub(crate) mapping_possible: Vec<&'static str>,
    pub(crate) filtering: Option<&'static str>,
    pub(crate) filtering_possible: Vec<&'static str>,
    pub(crate) ports_kept: u64,
    pub(crate) ports_seen: u64,
    pub(crate) hairpin: Option<bool>,
    pub(crate) lifetime_at_least_ns: Option<u64>,
    pub(crate) lifetime_below_ns: Option<u64>,
    pub(crate) inbound_refresh: Option<bool>,
    pub(crate) keep_alive_ns: Option<u64>,
    pub(crate) two_such_can_meet: Option<bool>,
    pub(crate) unknown: Vec<NatUnknown>,
}

/// Why something is not known, or not better.
#[derive(Serialize)]
pub(crate) struct NatUnknown {
    pub(crate) row: &'static str,
    pub(crate) why: &'static str,
}

/// A listener of `halloo serve`.
#[derive(Serialize)]
pub(crate) struct Listener {
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) protocol: &'static str,
    pub(crate) address: Option<String>,
    pub(crate) device: Option<String>,
    pub(crate) mode: Option<String>,
    pub(crate) serves: Vec<String>,
    pub(crate) dual_stack: bool,
    pub(crate) inherited: bool,
}

/// The counters of one listener of `halloo serve`.
#[derive(Serialize)]
pub(crate) struct ServeCounters {
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) time_ns: u64,
    pub(crate) protocol: &'static str,
    pub(crate) service: Option<&'static str>,
    pub(crate) device: Option<String>,
    pub(crate) last: bool,
    pub(crate) received: u64,
    pub(crate) received_bytes: u64,
    pub(crate) replied: u64,
    pub(crate) replied_bytes: u64,
    pub(crate) promised: u64,
    pub(crate) promised_bytes: u64,
    pub(crate) warned: u64,
    pub(crate) warned_bytes: u64,
    pub(crate) kinds: Option<std::collections::BTreeMap<&'static str, u64>>,
    pub(crate) statuses: Option<std::collections::BTreeMap<&'static str, u64>>,
    pub(crate) silent: std::collections::BTreeMap<&'static str, u64>,
}

/// Something that the operator of `halloo serve` should know.
#[derive(Serialize)]
pub(crate) struct Notice {
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) message: String,
}

/// `ndnpingserver` has all its sockets.
#[derive(Serialize)]
pub(crate) struct ServerStart {
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) time_ns: u64,
    pub(crate) prefix: String,
    pub(crate) face: Option<String>,
    pub(crate) listening: Vec<String>,
}

/// `ndnpingserver` has answered.
#[derive(Serialize)]
pub(crate) struct Interest<'a> {
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) time_ns: u64,
    pub(crate) name: &'a str,
}

/// All that `ndnpingserver` did.
#[derive(Serialize)]
pub(crate) struct Answers {
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) time_ns: u64,
    pub(crate) answered: u64,
    pub(crate) silent: std::collections::BTreeMap<&'static str, u64>,
}
