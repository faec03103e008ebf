//! What is printed of a path where everything is known.

use super::of;
use crate::json::{Unreachable, path};
use crate::ping::{About, sample};

fn about() -> About {
    About {
        link: Some(crate::cli::Link::Device("eth0".into())),
        ..sample::about()
    }
}

pub(super) fn mtu_probe() -> path::MtuProbe {
    path::MtuProbe {
        of: of(Some(&about()), "mtu_probe"),
        seq: 1,
        size: 1_500,
        outcome: "too_big",
        rtt_ns: Some(1),
        reporter: Some("192.0.2.1".into()),
        reporter_mtu: Some(1_400),
    }
}

pub(super) fn path_mtu() -> path::PathMtu {
    path::PathMtu {
        of: of(Some(&about()), "path_mtu"),
        state: "complete",
        mtu: Some(1_400),
        udp_payload: Some(1_372),
        tcp_mss: Some(1_360),
        is_link_mtu: false,
        arrived: Some(1_400),
        sent: 9,
        answered: 3,
        too_big: 1,
        told_mtu: Some(1_400),
        error: Some("Connection refused".into()),
        elapsed_ns: 1,
    }
}

pub(super) fn flow() -> path::Flow {
    path::Flow {
        of: of(Some(&about()), "flow"),
        port: 40_000,
        sent: 1,
        answered: 1,
        lost: 0,
        shortest_ns: Some(1),
        median_ns: Some(1),
        bad: false,
        path: Some(1),
    }
}

pub(super) fn spread() -> path::Spread {
    path::Spread {
        of: of(Some(&about()), "spread"),
        ended: "complete",
        ports: 2,
        sent: 1,
        answered: 1,
        late: 0,
        refused: 0,
        lost: 0,
        in_flight: 0,
        slots_missed: 0,
        bad_ports: vec![40_000],
        dead: 1,
        bad_share: 0.5,
        bad_share_low: 0.1,
        bad_share_high: 0.9,
        loss_elsewhere: 0.0,
        delay_paths: vec![path::DelayPath {
            median_ns: 1,
            ports: vec![40_001],
        }],
        unreachable: vec![Unreachable {
            error: "Connection refused".into(),
            count: 1,
        }],
        elapsed_ns: 1,
    }
}
