//! `halloo demo`: an echo host and its probers in one process, on loopback.

use crate::cli::{DemoArgs, Interval, NdnService};
use crate::config::Config;
use crate::format::{file_time, percent};
use crate::ndn::Question;
use crate::ping::{self, About, JsonReport, Outcome, Plan, Report};
use crate::screen::{BAD, DIM, GOOD, STRONG, Screen, Styled};
use crate::serve::{Devices, EchoHost, Listeners, Ndn, open_own};
use crate::signals::Signals;
use crate::target::{self, Host, Target};
use anyhow::{Context, Result, bail};
use halloo_base::{Clock, Nanos, Transport};
use halloo_io::SystemClock;
use halloo_probe::{Event, Statistic, Summary};
use halloo_protocols::echo::UDP;
use halloo_protocols::ip_echo::{self, EXPERIMENTAL};
use halloo_protocols::ndn::{NDN, NDN_TCP, NameBuf};
use halloo_protocols::{Protocol, by_scheme};
use halloo_protocols::{icmp, quic, sip, stamp};
use halloo_tls::Trust;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// A hundred probes a second for three seconds, in each session.
const INTERVAL: Duration = Duration::from_millis(10);
const PROBES: u64 = 300;
const LOST_AFTER: Duration = Duration::from_secs(1);
/// Whatever happens, it ends.
const DEADLINE: Duration = Duration::from_secs(10);
/// Whose NDN pings are answered.
const PREFIX: &str = "/halloo/demo";
const REDRAW: Duration = Duration::from_millis(200);
/// Least width of the column of targets.
const TARGET: usize = 24;

/// Answers and asks, shows it, and keeps the result.
pub(crate) fn run(args: &DemoArgs) -> Result<ExitCode> {
    let signals = Signals::watch(thread::current()).context("cannot watch for signals")?;
    let mut screen = Screen::stdout();
    screen.line(format_args!(
        "{} answers and asks, here within one process.",
        Styled(STRONG, "halloo")
    ))?;
    screen.line("")?;
    let listeners = with_names(listeners(&mut screen)?)?;
    let (devices, echo) = echo_devices(&mut screen)?;
    let targets = targets(&listeners, &echo, &mut screen)?;
    let listeners = listeners.with_devices(devices);
    let mut config = Config::default();
    config.echo(&echo);
    let host = EchoHost::start(&config, None, listeners)?;
    let folder = folder(&args.dir)?;
    let plan = Plan {
        interval: Interval::Every(INTERVAL),
        count: PROBES,
        lost_after: LOST_AFTER,
        deadline: Some(DEADLINE),
        log_dir: Some(folder.clone()),
        csv_wide: Some(folder.join("exchanges.csv")),
        // It is our own, made a moment ago.
        trust: Trust::Anyone,
        ..Plan::of(targets)
    };
    let json = File::create(folder.join("exchanges.jsonl")).context("cannot write the JSON file")?;
    let mut report = DemoReport {
        screen,
        rows: vec![],
        json: JsonReport::new(Screen::file(json), false),
        seconds: INTERVAL.as_secs_f64() * PROBES as f64,
    };
    let outcome = ping::run(&plan, &mut report, &signals);
    let stopped = host.stop();
    let outcome = outcome?;
    stopped.context("the echo host failed")?;
    report.conclude(&outcome, &folder)?;
    Ok(if outcome.all_answered() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(crate::FAILED)
    })
}

/// An echo host's sockets on free ports of both loopback addresses, or of the one that there is.
fn listeners(screen: &mut Screen) -> Result<Listeners> {
    let v4 = Listeners::loopback(Ipv4Addr::LOCALHOST.into()).context("cannot listen on 127.0.0.1")?;
    match Listeners::loopback(Ipv6Addr::LOCALHOST.into()) {
        Ok(v6) => Ok(v4.join(v6)),
        Err(error) => {
            screen.line(Styled(
                DIM,
                format_args!("No IPv6 here ([::1]: {error}); going on with IPv4."),
            ))?;
            Ok(v4)
        }
    }
}

/// The same with an NDN ping server on free ports of the same addresses.
fn with_names(listeners: Listeners) -> Result<Listeners> {
    let prefix: NameBuf = PREFIX.parse()?;
    let addresses = listeners.addresses().filter(|(scheme, _)| *scheme == UDP.scheme);
    let services = addresses.map(|(_, address)| NdnService {
        prefix: prefix.clone(),
        address: Some(SocketAddr::new(address.ip(), 0)),
    });
    let services: Vec<_> = services.collect();
    let ndn = Ndn::open(&Config::default(), &services, &listeners.udp_ports())?;
    Ok(listeners.with_ndn(ndn))
}

/// An IP echo host on addresses that no host has, where this host lets us.
fn echo_devices(screen: &mut Screen) -> io::Result<(Devices, Vec<IpAddr>)> {
    match open_own() {
        Ok(opened) => Ok(opened),
        Err(error) => {
            screen.line(Styled(DIM, format_args!("No IP echo host: {error:#}.")))?;
            Ok((Devices::default(), vec![]))
        }
    }
}

/// Every protocol that this build can ask, at every address that answers it.
fn targets(listeners: &Listeners, echo: &[IpAddr], screen: &mut Screen) -> Result<Vec<Target>> {
    let mut answered: Vec<(&str, SocketAddr)> = listeners.addresses().collect();
    answered.extend(listeners.ndn_addresses());
    // A STAMP reflector answers TWAMP's senders too, and the kernel whoever pings.
    let also: Vec<_> = answered
        .iter()
        .filter_map(|&(scheme, address)| match scheme {
            scheme if scheme == stamp::STAMP.scheme => Some((stamp::TWAMP.scheme, address)),
            scheme if scheme == sip::SIPS.scheme => Some((sip::SIP_TLS.scheme, address)),
            scheme if scheme == quic::QUIC.scheme => Some((quic::QUIC_DATAGRAM.scheme, address)),
            scheme if scheme == UDP.scheme => Some((icmp::ICMP.scheme, SocketAddr::new(address.ip(), 0))),
            _ => None,
        })
        .collect();
    answered.extend(also);
    for &ip in echo {
        // One asks from the port that one asks: it has to be free.
        let free = UdpSocket::bind((ip_of_any(ip), 0)).and_then(|socket| socket.local_addr());
        let port = free.context("no port is free")?.port();
        answered.extend([
            (ip_echo::IP.scheme, SocketAddr::new(ip, 0)),
            (ip_echo::UDP_SELF.scheme, SocketAddr::new(ip, port)),
            (ip_echo::TCP_SELF.scheme, SocketAddr::new(ip, port)),
        ]);
    }
    let mut targets = vec![];
    for protocol in halloo_protocols::ALL
        .iter()
        .filter(|protocol| protocol.prober.is_some())
    {
        let mut alone = true;
        for (_, address) in answered.iter().filter(|(scheme, _)| *scheme == protocol.scheme) {
            let host = match address.ip() {
                IpAddr::V4(ip) => Host::V4(ip),
                IpAddr::V6(ip) => Host::V6(ip, None),
            };
            // The table is walked, so the protocol is in it.
            let protocol = by_scheme(protocol.scheme).unwrap_or(protocol);
            targets.push(Target {
                protocol,
                host,
                port: address.port(),
                ip_protocol: (protocol.transport == Transport::Ip).then_some(EXPERIMENTAL),
                question: question(protocol)?,
                path: target::is_web(protocol.scheme).then(|| "/".to_owned()),
            });
            alone = false;
        }
        if alone {
            screen.line(Styled(
                DIM,
                format_args!("{}: nothing to ask here.", protocol.name),
            ))?;
        }
    }
    Ok(targets)
}

/// The wildcard address of the same family.
fn ip_of_any(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// What is asked for where names are asked for.
fn question(protocol: &Protocol) -> Result<Option<Question>> {
    let is_named = [NDN.scheme, NDN_TCP.scheme].contains(&protocol.scheme);
    let prefix = is_named.then(|| PREFIX.parse()).transpose()?;
    Ok(prefix.map(Question::new))
}

/// A new folder for the results.
fn folder(parent: &Path) -> Result<PathBuf> {
    let stamp = file_time(SystemClock.stamp().wall);
    for number in 1..100 {
        let suffix = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let folder = parent.join(format!("halloo-demo-{stamp}{suffix}"));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot make {}", folder.display())),
        }
    }
    bail!("cannot find a free name for the results in {}", parent.display())
}

/// A table that grows while it is looked at, and JSON lines beside it.
struct DemoReport {
    screen: Screen,
    rows: Vec<(About, Option<Summary>)>,
    json: JsonReport,
    seconds: f64,
}

impl DemoReport {
    fn update(&mut self, about: &About, summary: &Summary) {
        if let Some((_, row)) = self.rows.iter_mut().find(|(row, _)| row.id == about.id) {
            *row = Some(summary.clone());
        }
    }

    fn table(&self) -> Vec<String> {
        let longest = self
            .rows
            .iter()
            .map(|(about, _)| about.target.to_string().len() + 1);
        let width = longest.max().unwrap_or(0).max(TARGET);
        let mut lines = vec![Styled(DIM, header(width)).to_string()];
        lines.extend(
            self.rows
                .iter()
                .map(|(about, summary)| row(width, about, summary.as_ref())),
        );
        lines
    }

    /// The result, what it means, and where it is kept.
    fn conclude(&mut self, outcome: &Outcome, folder: &Path) -> Result<()> {
        self.json.flush()?;
        self.screen.clear_live()?;
        for line in self.table() {
            self.screen.line(line)?;
        }
        let explained = [
            (
                "wire",
                "from kernel to kernel, less the time in the echo host: what the network takes",
            ),
            (
                "host",
                "from program to program: what an application sees, both hosts' delays included",
            ),
            (
                "intended",
                "from the moment at which a probe was due: no stall of the prober can hide",
            ),
        ];
        self.screen.line("")?;
        for (name, meaning) in explained {
            self.screen.line(format_args!(
                "{}  {}",
                Styled(STRONG, format_args!("{name:>8}")),
                meaning
            ))?;
        }
        self.screen.line(format_args!(
            "{:>8}  TCP, IP echo, ICMP, NDN, STUN and QUIC streams tell no times of the other side: it is in their wire times",
            ""
        ))?;
        let (lost, answered, sent) = outcome
            .sessions
            .iter()
            .filter_map(|(_, last)| last.as_ref())
            .map(|last| last.counts)
            .fold((0, 0, 0), |(lost, answered, sent), counts| {
                (
                    lost + counts.lost(),
                    answered + counts.answered,
                    sent + counts.sent,
                )
            });
        self.screen.line("")?;
        match outcome.all_answered() {
            true => self
                .screen
                .line(Styled(GOOD, format_args!("All {sent} probes were answered.")))?,
            false => self.screen.line(Styled(
                BAD,
                format_args!(
                    "{lost} of {sent} probes were not answered ({}%).",
                    percent(lost, lost + answered)
                ),
            ))?,
        }
        self.screen.line("")?;
        self.screen.line(format_args!(
            "Results are in {}:",
            Styled(STRONG, folder.display())
        ))?;
        let kinds = [
            ("exchanges.csv", "every exchange with all its stamps"),
            (
                "exchanges.jsonl",
                "the same and the summaries, as `halloo ping --json` prints them",
            ),
            ("echo_client_*.log", "what happened in each session, for people"),
            (
                "echo_client_*_timings.csv",
                "send time, receive time and round trip of each probe",
            ),
        ];
        for (name, what) in kinds {
            self.screen
                .line(format_args!("  {name:<26} {}", Styled(DIM, what)))?;
        }
        self.screen.line("")?;
        self.screen.line(format_args!(
            "Next: {} on one host, {} on another.",
            Styled(STRONG, "halloo serve"),
            Styled(STRONG, "halloo ping HOST")
        ))?;
        Ok(())
    }
}

impl Report for DemoReport {
    fn wants_probes(&self) -> bool {
        true
    }

    fn wants_running(&self) -> Option<Duration> {
        self.screen.is_terminal().then_some(REDRAW)
    }

    fn unusable(&mut self, target: &str, why: &anyhow::Error) -> io::Result<()> {
        crate::complain(format_args!("halloo: {target}: {why:#}"));
        Ok(())
    }

    fn start(&mut self, sessions: &[&About]) -> io::Result<()> {
        self.rows = sessions.iter().map(|about| ((*about).clone(), None)).collect();
        self.screen.line(format_args!(
            "Asking in {} sessions on this machine, {} probes each, one every {} ms, for {} s ...",
            sessions.len(),
            PROBES,
            INTERVAL.as_millis(),
            self.seconds
        ))?;
        self.screen.line("")?;
        let table = self.table();
        self.screen.live(&table)?;
        self.json.start(sessions)
    }

    fn event(&mut self, about: &About, event: &Event) -> io::Result<()> {
        if let Event::Summary(running) = event {
            self.update(about, running);
            let table = self.table();
            return self.screen.live(&table);
        }
        self.json.event(about, event)
    }

    fn problem(&mut self, about: Option<&About>, what: &str) -> io::Result<()> {
        self.screen.clear_live()?;
        crate::complain(format_args!("halloo: {what}"));
        self.json.problem(about, what)
    }

    fn end(&mut self, about: &About, summary: &Summary) -> io::Result<()> {
        self.update(about, summary);
        self.json.end(about, summary)
    }
}

fn header(width: usize) -> String {
    format!(
        "{:<width$}{:>6}{:>6}{:>6}  {:>9}{:>9}  {:>9}{:>9}  {:>12}",
        "target", "sent", "back", "lost", "wire p50", "p99", "host p50", "p99", "intended p99"
    )
}

fn row(width: usize, about: &About, summary: Option<&Summary>) -> String {
    let target = format!("{:<width$}", about.target.to_string());
    let Some(summary) = summary else { return target };
    let counts = &summary.counts;
    let cell = |statistic: &Option<Statistic>, of: fn(&Statistic) -> Nanos| {
        statistic
            .as_ref()
            .map_or_else(|| "-".to_owned(), |statistic| of(statistic).to_string())
    };
    let lost = format!("{:>6}", counts.lost());
    let lost = if counts.lost() > 0 {
        Styled(BAD, lost).to_string()
    } else {
        lost
    };
    format!(
        "{target}{:>6}{:>6}{lost}  {:>9}{:>9}  {:>9}{:>9}  {:>12}",
        counts.sent,
        counts.answered,
        cell(&summary.wire, |statistic| statistic.p50),
        cell(&summary.wire, |statistic| statistic.p99),
        cell(&summary.host, |statistic| statistic.p50),
        cell(&summary.host, |statistic| statistic.p99),
        cell(&summary.intended, |statistic| statistic.p99),
    )
}
