//! What a program reads of a path.

use super::pmtu::{TCP, UDP, ip_header};
use super::{Errand, PathPrinter};
use crate::json::path as json;
use crate::json::{Error, Unreachable};
use crate::ping::json::{error, nanos, of};
use crate::ping::session::About;
use crate::screen::Screen;
use halloo_base::Nanos;
use halloo_probe::{Ended, MtuProbe, MtuReport, PathMtuState, SizeOutcome, SpreadReport};
use serde::Serialize;
use std::io;

/// Prints one object a line.
pub(super) struct JsonPath {
    screen: Screen,
    quiet: bool,
}

impl JsonPath {
    /// To `screen`; quietly: without single probes and ports.
    pub(super) fn new(screen: Screen, quiet: bool) -> JsonPath {
        JsonPath { screen, quiet }
    }

    fn print(&mut self, object: &impl Serialize) -> io::Result<()> {
        self.screen
            .line(serde_json::to_string(object).map_err(io::Error::from)?)?;
        self.screen.flush()
    }
}

impl PathPrinter for JsonPath {
    fn unusable(&mut self, target: &str, why: &anyhow::Error) -> io::Result<()> {
        let mut of = of(None, "error");
        of.target = Some(target.to_owned());
        self.print(&Error {
            of,
            ..error(None, "lookup", format!("{why:#}"))
        })
    }

    fn begin(&mut self, _about: &About, _errand: Errand, _most: Option<u16>) -> io::Result<()> {
        Ok(())
    }

    fn probe(&mut self, about: &About, probe: &MtuProbe) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        self.print(&mtu_probe(about, probe))
    }

    fn mtu(&mut self, about: &About, report: &MtuReport) -> io::Result<()> {
        self.print(&path_mtu(about, report))
    }

    fn spread(&mut self, about: &About, report: &SpreadReport) -> io::Result<()> {
        if !self.quiet && report.ended.is_some() {
            for place in 0..report.flows.len() {
                self.print(&flow(about, report, place))?;
            }
        }
        self.print(&spread(about, report))
    }
}

pub(super) fn mtu_probe(about: &About, probe: &MtuProbe) -> json::MtuProbe {
    let (outcome, rtt, reporter, mtu) = match probe.outcome {
        SizeOutcome::Answered(rtt) => ("answered", Some(rtt.0), None, None),
        SizeOutcome::Lost => ("lost", None, None, None),
        SizeOutcome::TooBig { reporter, mtu } => ("too_big", None, Some(reporter.to_string()), mtu),
        SizeOutcome::Unsendable => ("unsendable", None, None, None),
    };
    json::MtuProbe {
        of: of(Some(about), "mtu_probe"),
        seq: probe.seq.0 + 1,
        size: probe.size,
        outcome,
        rtt_ns: rtt,
        reporter,
        reporter_mtu: mtu,
    }
}

pub(super) fn path_mtu(about: &About, report: &MtuReport) -> json::PathMtu {
    let ip = ip_header(&about.remote);
    let less = |headers: u16| report.mtu.map(|mtu| mtu.saturating_sub(headers));
    json::PathMtu {
        of: of(Some(about), "path_mtu"),
        state: match report.state {
            PathMtuState::Base => "base",
            PathMtuState::Searching => "searching",
            PathMtuState::Complete => "complete",
            PathMtuState::Error => "error",
        },
        mtu: report.mtu,
        udp_payload: less(ip + UDP),
        tcp_mss: less(ip + TCP),
        is_link_mtu: report.is_most,
        arrived: report.arrived,
        sent: report.sent,
        answered: report.answered,
        too_big: report.too_big,
        told_mtu: report.told,
        error: report.error.map(|error| error.to_string()),
        elapsed_ns: nanos(report.elapsed),
    }
}

pub(super) fn flow(about: &About, report: &SpreadReport, place: usize) -> json::Flow {
    let flow = &report.flows[place];
    let span = |span: Nanos| span.0;
    let mut paths = report.verdict.paths.iter();
    json::Flow {
        of: of(Some(about), "flow"),
        port: flow.port,
        sent: flow.sent,
        answered: flow.answered,
        lost: flow.lost,
        shortest_ns: flow.shortest.map(span),
        median_ns: flow.median.map(span),
        bad: report.verdict.bad.contains(&place),
        path: paths
            .position(|path| path.flows.contains(&place))
            .map(|path| path + 1),
    }
}

pub(super) fn spread(about: &About, report: &SpreadReport) -> json::Spread {
    let verdict = &report.verdict;
    let ports = |flows: &[usize]| flows.iter().map(|&place| report.flows[place].port).collect();
    json::Spread {
        of: of(Some(about), "spread"),
        ended: match report.ended {
            None => "running",
            Some(Ended::Complete) => "complete",
            Some(Ended::Deadline) => "deadline",
            Some(Ended::Stopped) => "stopped",
            Some(Ended::Unsendable) => "unsendable",
        },
        ports: report.flows.len(),
        sent: report.sent,
        answered: report.answered,
        late: report.late,
        refused: report.refused,
        lost: report.lost,
        in_flight: report.in_flight,
        slots_missed: report.slots_missed,
        bad_ports: ports(&verdict.bad),
        dead: verdict.dead,
        bad_share: verdict.share,
        bad_share_low: verdict.share_between.0,
        bad_share_high: verdict.share_between.1,
        loss_elsewhere: verdict.loss_elsewhere,
        delay_paths: verdict
            .paths
            .iter()
            .map(|path| json::DelayPath {
                median_ns: path.delay.0,
                ports: ports(&path.flows),
            })
            .collect(),
        unreachable: report
            .unreachable
            .iter()
            .map(|(error, count)| Unreachable {
                error: error.to_string(),
                count: *count,
            })
            .collect(),
        elapsed_ns: nanos(report.elapsed),
    }
}
