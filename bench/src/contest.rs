//! Who competes in what, round by round.

use crate::EchoArguments;
use crate::arena::{Arena, Rank};
use crate::contender::{self, Contender, Wire};
use crate::machine;
use crate::report::{Against, Metric, Report, Target, Unit, Wanted, quantile};
use crate::tcp::Connections;
use crate::udp::TOLERATED;
use crate::{session, udp};
use anyhow::{Context, Result};
use clap::ValueEnum;
use halloo_lab::Hogs;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs;
use std::time::Duration;

/// Parts of the contest that can be run apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Datagrams a second from one source port, and what each costs.
    Udp,
    /// The same from 64 source ports.
    Udp64,
    /// Round trips of single datagrams.
    Rtt,
    /// Datagrams to oneself through an IP echo host.
    Ip,
    /// Exchanges over TCP connections.
    Tcp,
    /// 10,000 idle connections.
    Idle,
}

use Contender::{
    Halloo, HallooBusy, HallooIpXdp, HallooTun, HallooWire, HallooXdp, Plain, PlainTun, Socat, Sockperf,
    Tokio, Xinetd,
};

/// The order of the lines in a block.
const ORDER: &[Contender] = &[
    Halloo,
    HallooBusy,
    HallooXdp,
    HallooTun,
    HallooWire,
    HallooIpXdp,
    PlainTun,
    Plain,
    Sockperf,
    Xinetd,
    Socat,
    Tokio,
];

/// Datagrams a second at which processor time is compared.
const FIXED_RATE: f64 = 200_000.0;
/// The same through an IP echo host.
const IP_FIXED_RATE: f64 = 50_000.0;
/// What turns IP datagrams round.
const IP_HOSTS: [Contender; 4] = [HallooTun, HallooWire, HallooIpXdp, PlainTun];
const HOGS: usize = 4;
const MANY: usize = 10_000;

macro_rules! metrics {
    ($($name:ident = $key:literal, $title:literal, $unit:ident, $reference:ident;)+) => {
        $(const $name: Metric = Metric {
            key: $key,
            title: $title,
            unit: Unit::$unit,
            reference: Contender::$reference,
        };)+
        const METRICS: &[Metric] = &[$($name),+];
    };
}

metrics! {
    LOSS_FREE_1 = "udp-loss-free-1", "UDP echoes/s without loss, 1 source port", PerSecond, Plain;
    LOSS_FREE_64 = "udp-loss-free-64", "UDP echoes/s without loss, 64 source ports", PerSecond, Plain;
    CLOSED_1 = "udp-closed-1", "UDP echoes/s, 256 in flight, 1 source port", PerSecond, Plain;
    CLOSED_64 = "udp-closed-64", "UDP echoes/s, 256 in flight, 64 source ports", PerSecond, Plain;
    CPU_1 = "udp-cpu-1", "server CPU per datagram at 200 k/s, 1 source port", Nanos, Plain;
    CPU_64 = "udp-cpu-64", "server CPU per datagram at 200 k/s, 64 source ports", Nanos, Plain;
    RTT_50 = "rtt-p50", "round trip p50, 1 kHz", Micros, Sockperf;
    RTT_99 = "rtt-p99", "round trip p99, 1 kHz", Micros, Sockperf;
    RTT_999 = "rtt-p99.9", "round trip p99.9, 1 kHz", Micros, Sockperf;
    HOGGED_50 = "rtt-hogs-p50", "round trip p50, 1 kHz, 4 CPU hogs", Micros, Sockperf;
    HOGGED_99 = "rtt-hogs-p99", "round trip p99, 1 kHz, 4 CPU hogs", Micros, Sockperf;
    HOGGED_999 = "rtt-hogs-p99.9", "round trip p99.9, 1 kHz, 4 CPU hogs", Micros, Sockperf;
    WIRE_50 = "wire-p50", "halloo ping: wire p50", Micros, Halloo;
    WIRE_999 = "wire-p99.9", "halloo ping: wire p99.9", Micros, Halloo;
    HOST_50 = "host-p50", "halloo ping: host p50", Micros, Halloo;
    HOST_999 = "host-p99.9", "halloo ping: host p99.9", Micros, Halloo;
    WIRE_HOGGED_999 = "wire-hogs-p99.9", "halloo ping: wire p99.9, 4 CPU hogs", Micros, Halloo;
    HOST_HOGGED_999 = "host-hogs-p99.9", "halloo ping: host p99.9, 4 CPU hogs", Micros, Halloo;
    FLOOR = "floor", "datagrams/s one way, nobody answers: the generator's own limit", PerSecond, Plain;
    FLOOR_NANOS = "floor-ns", "the same, for each datagram", Nanos, Plain;
    IP_NANOS = "ip-ns", "IP echo without loss, for each datagram there and back", Nanos, PlainTun;
    IP_LOSS_FREE = "ip-loss-free", "IP echoes/s without loss", PerSecond, PlainTun;
    IP_CLOSED = "ip-closed", "IP echoes/s, 256 in flight", PerSecond, PlainTun;
    IP_CPU = "ip-cpu", "server CPU per IP datagram at 50 k/s", Nanos, PlainTun;
    IP_50 = "ip-rtt-p50", "IP echo round trip p50, 1 kHz", Micros, PlainTun;
    IP_99 = "ip-rtt-p99", "IP echo round trip p99, 1 kHz", Micros, PlainTun;
    IP_999 = "ip-rtt-p99.9", "IP echo round trip p99.9, 1 kHz", Micros, PlainTun;
    TCP_1 = "tcp-1", "TCP exchanges/s, 1 connection", PerSecond, Tokio;
    TCP_100 = "tcp-100", "TCP exchanges/s, 100 connections", PerSecond, Tokio;
    TCP_1000 = "tcp-1000", "TCP exchanges/s, 1,000 connections", PerSecond, Tokio;
    TCP_1_99 = "tcp-1-p99", "TCP exchange p99, 1 connection", Micros, Tokio;
    TCP_100_99 = "tcp-100-p99", "TCP exchange p99, 100 connections", Micros, Tokio;
    TCP_1000_99 = "tcp-1000-p99", "TCP exchange p99, 1,000 connections", Micros, Tokio;
    CONNECTED = "tcp-10000-connect", "10,000 connects at once, until each was answered", Seconds, Tokio;
    RESIDENT = "tcp-10000-memory", "resident memory with 10,000 idle connections", Bytes, Tokio;
}

/// What the project wants to reach.
const TARGETS: &[Target] = &[
    against(LOSS_FREE_1, Halloo, LOSS_FREE_1, Plain, Wanted::AtLeast(1.4)),
    against(LOSS_FREE_64, Halloo, LOSS_FREE_64, Plain, Wanted::AtLeast(1.4)),
    against(CPU_1, Halloo, CPU_1, Plain, Wanted::AtMost(0.7)),
    against(CPU_64, Halloo, CPU_64, Plain, Wanted::AtMost(0.7)),
    against(LOSS_FREE_64, HallooXdp, LOSS_FREE_64, Plain, Wanted::AtLeast(1.6)),
    against(
        LOSS_FREE_64,
        HallooXdp,
        LOSS_FREE_64,
        Halloo,
        Wanted::AtLeast(1.6),
    ),
    against(CPU_64, HallooXdp, CPU_64, Plain, Wanted::AtMost(0.7)),
    against(RTT_50, HallooXdp, RTT_50, Halloo, Wanted::AtMost(0.125)),
    against(
        IP_LOSS_FREE,
        HallooTun,
        IP_LOSS_FREE,
        PlainTun,
        Wanted::AtLeast(1.5),
    ),
    against(
        IP_LOSS_FREE,
        HallooIpXdp,
        IP_LOSS_FREE,
        HallooTun,
        Wanted::AtLeast(1.6),
    ),
    against(IP_50, HallooIpXdp, IP_50, HallooTun, Wanted::AtMost(0.125)),
    against(RTT_50, Halloo, RTT_50, Sockperf, Wanted::AtMost(1.0)),
    against(RTT_50, HallooBusy, RTT_50, Sockperf, Wanted::AtMost(0.25)),
    against(
        WIRE_HOGGED_999,
        Halloo,
        HOST_HOGGED_999,
        Halloo,
        Wanted::AtMost(0.02),
    ),
    against(TCP_100, Halloo, TCP_100, Xinetd, Wanted::AtLeast(1.8)),
    against(TCP_100, Halloo, TCP_100, Tokio, Wanted::AtLeast(1.0)),
    against(TCP_1000, Halloo, TCP_100, Halloo, Wanted::AtLeast(0.9)),
    itself(RESIDENT, Halloo, Wanted::AtMost(64.0 * 1024.0 * 1024.0)),
    itself(CONNECTED, Halloo, Wanted::AtMost(1.0)),
];

const fn against(metric: Metric, who: Contender, other: Metric, whose: Contender, wanted: Wanted) -> Target {
    Target {
        metric,
        contender: who,
        against: Against::Other(other, whose),
        wanted,
    }
}

const fn itself(metric: Metric, contender: Contender, wanted: Wanted) -> Target {
    Target {
        metric,
        contender,
        against: Against::Itself,
        wanted,
    }
}

/// How long things are run.
struct Effort {
    rounds: usize,
    /// One run at a rate.
    run: Duration,
    /// Steps of the search for the highest rate.
    steps: u32,
    /// Round trips of one series.
    trips: usize,
}

struct Contest {
    arena: Arena,
    effort: Effort,
    who: Vec<Contender>,
    report: Report,
}

/// Runs the contest and prints what came of it.
pub(crate) fn run(arguments: &EchoArguments) -> Result<()> {
    let effort = Effort {
        rounds: arguments.rounds.unwrap_or(if arguments.quick { 1 } else { 5 }),
        run: Duration::from_millis(if arguments.quick { 250 } else { 500 }),
        steps: if arguments.quick { 6 } else { 8 },
        trips: if arguments.quick { 1_000 } else { 4_000 },
    };
    // Both sides hold 10,000 connections; servers inherit it.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the number of open files")?;
    contender::build()?;
    let mut contest = Contest {
        arena: Arena::new()?,
        report: Report {
            machine: machine::describe(),
            ..Report::default()
        },
        effort,
        who: match &arguments.who[..] {
            [] => ORDER.to_vec(),
            chosen => chosen.to_vec(),
        },
    };
    let before = machine::stolen();
    let wanted = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    for round in 1..=contest.effort.rounds {
        eprintln!("round {round} of {}", contest.effort.rounds);
        if wanted(Part::Udp) || wanted(Part::Udp64) || wanted(Part::Ip) {
            contest.floor();
        }
        if wanted(Part::Udp) {
            contest.datagrams(Wire::Udp, 1, FIXED_RATE, [LOSS_FREE_1, CLOSED_1, CPU_1]);
        }
        if wanted(Part::Udp64) {
            contest.datagrams(Wire::Udp, 64, FIXED_RATE, [LOSS_FREE_64, CLOSED_64, CPU_64]);
        }
        if wanted(Part::Rtt) {
            contest.round_trips(Wire::Udp, Rank::First, [RTT_50, RTT_99, RTT_999]);
            contest.sessions(
                &[(WIRE_50, 0.5), (WIRE_999, 0.999)],
                &[(HOST_50, 0.5), (HOST_999, 0.999)],
            );
            let _hogs = Hogs::start(HOGS);
            contest.round_trips(Wire::Udp, Rank::Equal, [HOGGED_50, HOGGED_99, HOGGED_999]);
            contest.sessions(&[(WIRE_HOGGED_999, 0.999)], &[(HOST_HOGGED_999, 0.999)]);
        }
        if wanted(Part::Ip) {
            contest.datagrams(Wire::Ip, 1, IP_FIXED_RATE, [IP_LOSS_FREE, IP_CLOSED, IP_CPU]);
            contest.round_trips(Wire::Ip, Rank::First, [IP_50, IP_99, IP_999]);
        }
        if wanted(Part::Tcp) {
            contest.tcp(1, TCP_1, TCP_1_99);
            contest.tcp(100, TCP_100, TCP_100_99);
            contest.tcp(1_000, TCP_1000, TCP_1000_99);
        }
        if wanted(Part::Idle) {
            contest.idle();
        }
    }
    let after = machine::stolen();
    let share = (after.0 - before.0) as f64 / (after.1 - before.1).max(1) as f64;
    let mut report = contest.report;
    report.machine.push(format!(
        "{} rounds, contenders in turn; medians, least .. most, median of the ratios within rounds; {:.1} % stolen by the hypervisor",
        contest.effort.rounds,
        share * 100.0
    ));
    report.machine.push(format!(
        "loss-free: at most {:.2} % missing in {:?}, twice in a row to fail",
        TOLERATED * 100.0,
        contest.effort.run
    ));
    print!("{}{}", report.table(METRICS, ORDER), report.verdicts(TARGETS));
    if let Some(file) = &arguments.json {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

impl Contest {
    /// What the generator itself can do: datagrams that cross the wire and the stack behind it, and nobody answers.
    fn floor(&mut self) {
        let measured = self.arena.server().enter(|| {
            let sink = udp::Sink::new(self.arena.target())?;
            let rate = self.arena.generate(Rank::First, || {
                self.arena.generator(Wire::Udp, 1)?.flood(self.effort.run)
            })?;
            let arrived = sink.taken()? as f64 / self.effort.run.as_secs_f64();
            Ok(arrived.min(rate))
        });
        let rate = self.or_note(HallooXdp, measured.map(Some), None);
        self.report.add(FLOOR, Plain, rate);
        self.report.add(FLOOR_NANOS, Plain, rate.map(|rate| 1e9 / rate));
    }

    fn datagrams(&mut self, wire: Wire, ports: usize, fixed: f64, [peak, closed, cpu]: [Metric; 3]) {
        let who: &[Contender] = match wire {
            Wire::Ip => &IP_HOSTS,
            Wire::Udp | Wire::Tcp => &[Halloo, HallooXdp, Plain, Sockperf, Xinetd, Socat],
        };
        for contender in self.among(who) {
            let measured = self.measure_datagrams(contender, wire, ports, fixed, peak);
            let [rate, loop_rate, nanos] = self.or_note(contender, measured, [None; 3]);
            self.report.add(peak, contender, rate);
            self.report.add(closed, contender, loop_rate);
            self.report.add(cpu, contender, nanos);
            if wire == Wire::Ip {
                self.report.add(IP_NANOS, contender, rate.map(|rate| 1e9 / rate));
            }
        }
    }

    /// The loss-free rate, the closed loop's rate, and processor time per datagram at a fixed rate.
    fn measure_datagrams(
        &mut self,
        contender: Contender,
        wire: Wire,
        ports: usize,
        fixed: f64,
        metric: Metric,
    ) -> Result<[Option<f64>; 3]> {
        let running = contender.start(&self.arena, wire, Rank::First)?;
        let (run, steps) = (self.effort.run, self.effort.steps);
        let mut generator_limit = false;
        let result = self.arena.generate(Rank::First, || {
            let mut generator = self.arena.generator(wire, ports)?;
            generator.closed_loop(run / 4)?;
            let closed = generator.closed_loop(run)?;
            let peak = generator.peak(closed, run, steps)?;
            generator_limit = peak.generator_limit;
            let before = running.cpu_nanos()?;
            let outcome = generator.open_loop(fixed, run * 2)?;
            let used = running.cpu_nanos()? - before;
            let whole = outcome.received as f64 >= outcome.sent as f64 * 0.99;
            let nanos = whole.then(|| used as f64 / outcome.received as f64);
            Ok([Some(peak.rate), Some(closed), nanos])
        });
        if generator_limit {
            self.report.limit(metric, contender);
        }
        result
    }

    fn round_trips(&mut self, wire: Wire, rank: Rank, metrics: [Metric; 3]) {
        let who: &[Contender] = match wire {
            Wire::Ip => &IP_HOSTS,
            Wire::Udp | Wire::Tcp => &[Halloo, HallooBusy, HallooXdp, Plain, Sockperf, Xinetd],
        };
        for contender in self.among(who) {
            let measured = self.measure_round_trips(contender, wire, rank);
            let mut trips = self.or_note(contender, measured, vec![]);
            for (metric, share) in metrics.into_iter().zip([0.5, 0.99, 0.999]) {
                self.report.add(metric, contender, quantile(&mut trips, share));
            }
        }
    }

    fn measure_round_trips(&self, contender: Contender, wire: Wire, rank: Rank) -> Result<Vec<u64>> {
        let _running = contender.start(&self.arena, wire, rank)?;
        self.arena.generate(rank, || {
            let mut generator = self.arena.generator(wire, 1)?;
            generator.round_trips(udp::SLOT, 100)?;
            generator.round_trips(udp::SLOT, self.effort.trips)
        })
    }

    fn sessions(&mut self, wire: &[(Metric, f64)], host: &[(Metric, f64)]) {
        let measured = self.measure_session();
        let mut trips = self.or_note(Halloo, measured, session::Trips::default());
        if trips.lost > 0 {
            self.report
                .note(format!("halloo ping lost {} probes", trips.lost));
        }
        for &(metric, share) in wire {
            self.report.add(metric, Halloo, quantile(&mut trips.wire, share));
        }
        for &(metric, share) in host {
            self.report.add(metric, Halloo, quantile(&mut trips.host, share));
        }
    }

    /// A session that the scheduler may put on any core, as on a host where nobody pinned anything.
    fn measure_session(&self) -> Result<session::Trips> {
        let _running = Halloo.start(&self.arena, Wire::Udp, Rank::Equal)?;
        let (source, target) = (self.arena.client_ip(), self.arena.target());
        self.arena
            .generate_anywhere(|| session::run(source, target, udp::SLOT, self.effort.trips))
    }

    fn tcp(&mut self, connections: usize, rate: Metric, p99: Metric) {
        for contender in self.among(&[Halloo, Tokio, Xinetd, Socat]) {
            // Both start a process for each connection; that alone takes them longer than the contest.
            if connections > 100 && matches!(contender, Xinetd | Socat) {
                continue;
            }
            let measured = self.measure_tcp(contender, connections);
            let [per_second, trip] = self.or_note(contender, measured, [None; 2]);
            self.report.add(rate, contender, per_second);
            self.report.add(p99, contender, trip);
        }
    }

    fn measure_tcp(&self, contender: Contender, connections: usize) -> Result<[Option<f64>; 2]> {
        let _running = contender.start(&self.arena, Wire::Tcp, Rank::First)?;
        self.arena.generate(Rank::First, || {
            let (mut open, _) = Connections::open(self.arena.target(), connections, Duration::from_secs(15))?;
            let mut exchanges = open.exchange(self.effort.run / 2, self.effort.run * 2)?;
            Ok([Some(exchanges.per_second), quantile(&mut exchanges.trips, 0.99)])
        })
    }

    fn idle(&mut self) {
        for contender in self.among(&[Halloo, Tokio]) {
            let measured = self.measure_idle(contender);
            let [seconds, bytes] = self.or_note(contender, measured, [None; 2]);
            self.report.add(CONNECTED, contender, seconds);
            self.report.add(RESIDENT, contender, bytes);
        }
    }

    fn measure_idle(&self, contender: Contender) -> Result<[Option<f64>; 2]> {
        let running = contender.start(&self.arena, Wire::Tcp, Rank::First)?;
        self.arena.generate(Rank::First, || {
            let (_open, took) = Connections::open(self.arena.target(), MANY, Duration::from_secs(30))?;
            Ok([Some(took.as_secs_f64()), Some(running.resident()? as f64)])
        })
    }

    /// Those of them that take part.
    fn among(&self, candidates: &[Contender]) -> Vec<Contender> {
        let chosen = candidates.iter().filter(|candidate| self.who.contains(candidate));
        chosen.copied().collect()
    }

    /// A contender that fails loses this round only.
    fn or_note<T>(&mut self, contender: Contender, measured: Result<T>, otherwise: T) -> T {
        measured.unwrap_or_else(|error| {
            self.report.note(format!("{}: {error:#}", contender.name()));
            otherwise
        })
    }
}
