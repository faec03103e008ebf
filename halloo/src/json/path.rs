//! What `halloo ping --pmtu` and `--spread` print.

use super::Of;
use serde::Serialize;

/// One probe of a search for the path MTU.
#[derive(Serialize)]
pub(crate) struct MtuProbe {
    #[serde(flatten)]
    pub(crate) of: Of,
    pub(crate) seq: u64,
    pub(crate) size: u16,
    pub(crate) outcome: &'static str,
    pub(crate) rtt_ns: Option<i64>,
    pub(crate) reporter: Option<String>,
    pub(crate) reporter_mtu: Option<u32>,
}

/// What a search for the path MTU found.
#[derive(Serialize)]
pub(crate) struct PathMtu {
    #[serde(flatten)]
    pub(crate) of: Of,
    pub(crate) state: &'static str,
    pub(crate) mtu: Option<u16>,
    pub(crate) udp_payload: Option<u16>,
    pub(crate) tcp_mss: Option<u16>,
    pub(crate) is_link_mtu: bool,
    pub(crate) arrived: Option<u16>,
    pub(crate) sent: u32,
    pub(crate) answered: u32,
    pub(crate) too_big: u32,
    pub(crate) told_mtu: Option<u32>,
    pub(crate) error: Option<String>,
    pub(crate) elapsed_ns: u64,
}

/// What became of one source port.
#[derive(Serialize)]
pub(crate) struct Flow {
    #[serde(flatten)]
    pub(crate) of: Of,
    pub(crate) port: u16,
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) lost: u64,
    pub(crate) shortest_ns: Option<i64>,
    pub(crate) median_ns: Option<i64>,
    pub(crate) bad: bool,
    pub(crate) path: Option<usize>,
}

/// What all source ports show together.
#[derive(Serialize)]
pub(crate) struct Spread {
    #[serde(flatten)]
    pub(crate) of: Of,
    pub(crate) ended: &'static str,
    pub(crate) ports: usize,
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) late: u64,
    pub(crate) refused: u64,
    pub(crate) lost: u64,
    pub(crate) in_flight: u64,
    pub(crate) slots_missed: u64,
    pub(crate) bad_ports: Vec<u16>,
    pub(crate) dead: usize,
    pub(crate) bad_share: f64,
    pub(crate) bad_share_low: f64,
    pub(crate) bad_share_high: f64,
    pub(crate) loss_elsewhere: f64,
    pub(crate) delay_paths: Vec<DelayPath>,
    pub(crate) unreachable: Vec<super::Unreachable>,
    pub(crate) elapsed_ns: u64,
}

/// Source ports of about one delay.
#[derive(Serialize)]
pub(crate) struct DelayPath {
    pub(crate) median_ns: i64,
    pub(crate) ports: Vec<u16>,
}
