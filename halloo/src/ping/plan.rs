//! What a command line asks for, checked.

use super::quic::QuicPlan;
use crate::cli::{EchoClientArgs, HttpArgs, Interval, Link, PingArgs, TimestampOption};
use crate::key;
use crate::target::{Host, Target};
use anyhow::{Context, Result, bail, ensure};
use halloo_base::Transport;
use halloo_probe::SessionOptions;
use halloo_protocols::echo::Key;
use halloo_protocols::http::{Expect, HTTPS, HttpProberOptions};
use halloo_protocols::ip_echo::{self, Asked};
use halloo_protocols::ndn::LONGEST_PACKET;
use halloo_protocols::{ALL, RequestSize, by_scheme, sip};
use halloo_tls::Trust;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Octets of the longest IPv4 datagram, and of a header without options (RFC 791).
const LONGEST_IPV4: usize = 65_535;
const IPV4_HEADER: usize = 20;

/// One run of probes: what to ask, how, and where to tell.
pub(crate) struct Plan {
    pub(crate) targets: Vec<Target>,
    pub(crate) links: Vec<Link>,
    pub(crate) family: Family,
    /// Bytes of each probe; `None` for as many as the protocol usually has.
    pub(crate) size: Option<u32>,
    pub(crate) interval: Interval,
    pub(crate) count: u64,
    pub(crate) lost_after: Duration,
    pub(crate) deadline: Option<Duration>,
    pub(crate) tos: Option<u8>,
    pub(crate) ttl: Option<u8>,
    pub(crate) dont_fragment: bool,
    /// What routers on the way are asked for, as octets of IPv4 options; mostly nothing.
    pub(crate) ip_options: Vec<u8>,
    /// Whether they say by which routers to go.
    pub(crate) source_routed: bool,
    pub(crate) window: u32,
    pub(crate) key: Option<Key>,
    /// What HTTP targets are asked, and what a good answer is; host and path are each target's own.
    pub(crate) http: HttpProberOptions,
    /// Whom to believe under TLS.
    pub(crate) trust: Trust,
    pub(crate) quic: QuicPlan,
    pub(crate) log_dir: Option<PathBuf>,
    pub(crate) csv_wide: Option<PathBuf>,
    /// The command line, for logs.
    pub(crate) command: String,
}

/// Which addresses may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Any,
    V4,
    V6,
}

impl Family {
    /// What -4 and -6 say.
    pub(crate) fn of(ipv4: bool, ipv6: bool) -> Family {
        match (ipv4, ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        }
    }

    /// Whether the address is of this family.
    pub(crate) fn has(self, address: &SocketAddr) -> bool {
        match self {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        }
    }
}

impl Plan {
    /// The plan of `halloo ping`.
    ///
    /// # Errors
    /// What is wrong with it, naming the option.
    pub(crate) fn ping(args: &PingArgs) -> Result<Plan> {
        let key = args.key_file.as_deref().map(key::read).transpose()?;
        let ip_options = ip_options(args)?;
        let plan = Plan {
            targets: targets(args)?,
            links: args.links.clone(),
            family: match Family::of(args.ipv4, args.ipv6) {
                // A name is then looked up as what can carry them.
                Family::Any if !ip_options.is_empty() => Family::V4,
                family => family,
            },
            size: args.size,
            interval: args.interval,
            count: args.count,
            lost_after: args.timeout,
            deadline: args.deadline,
            tos: tos(args),
            ttl: args.ttl,
            dont_fragment: args.df,
            ip_options,
            source_routed: !args.source_route.is_empty(),
            window: args.window,
            key,
            http: http_options(&args.http),
            quic: QuicPlan {
                zero_rtt: args.quic.zero_rtt,
                migrate: args.quic.migrate,
            },
            trust: match (args.http.pin, args.http.insecure) {
                (Some(pin), _) => Trust::Pinned(pin),
                (None, true) => Trust::Anyone,
                (None, false) => Trust::System,
            },
            log_dir: args.log_dir.clone(),
            csv_wide: args.csv_wide.clone(),
            command: command_line(),
        };
        check_heeded(&args.http, &plan.targets)?;
        plan.checked()
    }

    /// The plan of `halloo echo-client`.
    ///
    /// # Errors
    /// What is wrong with it, naming the option.
    pub(crate) fn echo_client(args: &EchoClientArgs) -> Result<Plan> {
        let tcp = by_scheme("tcp").context("this build has no TCP echo")?;
        let plan = Plan {
            size: Some(args.size),
            interval: args.frequency,
            count: args.count,
            lost_after: args.timeout,
            log_dir: Some(args.log_dir.clone()),
            ..Plan::of(vec![Target::new(tcp, &args.host, args.port)?])
        };
        plan.checked()
    }

    /// A probe a second to each target, without end, written nowhere.
    pub(crate) fn of(targets: Vec<Target>) -> Plan {
        Plan {
            targets,
            links: vec![],
            family: Family::Any,
            size: None,
            interval: Interval::Every(Duration::from_secs(1)),
            count: 0,
            lost_after: Duration::from_secs(5),
            deadline: None,
            tos: None,
            ttl: None,
            dont_fragment: false,
            ip_options: vec![],
            source_routed: false,
            window: 64,
            key: None,
            http: HttpProberOptions::new("", "/"),
            trust: Trust::System,
            quic: QuicPlan::default(),
            log_dir: None,
            csv_wide: None,
            command: command_line(),
        }
    }

    /// Time between probes; nothing in a flood.
    pub(crate) fn spacing(&self) -> Duration {
        match self.interval {
            Interval::Flood => Duration::ZERO,
            Interval::Every(interval) => interval,
        }
    }

    /// Bytes of each probe to this target.
    pub(crate) fn size_to(&self, target: &Target) -> u32 {
        let RequestSize { usual, signed, .. } = target.protocol.size;
        let usual = signed.filter(|_| self.key.is_some()).unwrap_or(usual);
        // A request of SIP's names its host several times.
        let sips = usize::from(target.protocol.scheme == sip::SIPS.scheme);
        let usual = match sip::is_sip(target.protocol) {
            true => usual.max(sip::bare_len(target.authority().len() + sips)),
            false => usual,
        };
        self.size.unwrap_or(usual as u32)
    }

    /// What this target is asked, if it speaks HTTP.
    pub(crate) fn http_to(&self, target: &Target) -> Option<HttpProberOptions> {
        let path = target.path.as_ref()?;
        Some(HttpProberOptions {
            authority: target.authority(),
            path_and_query: path.clone(),
            ..self.http.clone()
        })
    }

    /// TTL or hop limit of probes to this target; `None` leaves it to the system.
    pub(crate) fn ttl_to(&self, target: &Target) -> Option<u8> {
        self.ttl.or(target.is_ip_echo().then_some(ip_echo::TTL))
    }

    /// Whether probes go as fast as answers come.
    pub(crate) fn is_flood(&self) -> bool {
        self.interval == Interval::Flood
    }

    fn checked(self) -> Result<Plan> {
        for (index, target) in self.targets.iter().enumerate() {
            ensure!(
                self.key.is_none() || target.protocol.size.signed.is_some(),
                "--key-file: {} cannot be signed; {} can ({target})",
                target.protocol.name,
                signed_protocols()
            );
            self.check_size(target)?;
            if let Some(http) = self.http_to(target) {
                http.check(self.size_to(target) as usize)
                    .with_context(|| target.to_string())?;
            }
            self.check_ip_options(target)?;
            let is_quic = target.protocol.transport == Transport::Quic;
            let of_quic = [
                ("--zero-rtt", self.quic.zero_rtt),
                ("--migrate", self.quic.migrate.is_some()),
            ];
            let given = of_quic.iter().find(|(_, given)| *given);
            if let Some((option, _)) = given.filter(|_| !is_quic) {
                bail!("{option}: for quic:// and udp+quic:// alone, not for {target}");
            }
            ensure!(
                !self.targets[..index].iter().any(|other| other.is(target)),
                "{target} is given twice"
            );
        }
        for link in &self.links {
            let wrong = match (self.family, link.source()) {
                (Family::V4, Some(ip)) => ip.is_ipv6(),
                (Family::V6, Some(ip)) => ip.is_ipv4(),
                _ => false,
            };
            ensure!(
                !wrong,
                "--link {link}: not an address of the family that -4 or -6 asks for"
            );
        }
        for (index, link) in self.links.iter().enumerate() {
            ensure!(
                !self.links[..index].contains(link),
                "--link {link} is given twice"
            );
        }
        Ok(self)
    }

    /// Whether it is known that the target is asked over IPv4.
    fn is_v4(&self, target: &Target) -> bool {
        self.family == Family::V4 || matches!(target.host, Host::V4(_))
    }

    fn check_ip_options(&self, target: &Target) -> Result<()> {
        if self.ip_options.is_empty() {
            return Ok(());
        }
        ensure!(
            target.protocol.transport == Transport::Ip,
            "--record-route, --timestamp-option and --source-route go with ip:// targets alone ({target})"
        );
        ensure!(
            self.family == Family::V4 && !matches!(target.host, Host::V6(..)),
            "--record-route, --timestamp-option and --source-route are options of IPv4; IPv6 has none like them ({target})"
        );
        Ok(())
    }

    fn check_size(&self, target: &Target) -> Result<()> {
        if let Some(size) = target.question.as_ref().and_then(|question| question.size) {
            ensure!(
                size <= LONGEST_PACKET,
                "--size {size}: an NDN packet has at most {LONGEST_PACKET} bytes ({target})"
            );
        }
        if target.question.is_some() {
            return Ok(());
        }
        let size = self.size_to(target) as usize;
        let name = target.protocol.name;
        let RequestSize {
            least, signed, most, ..
        } = target.protocol.size;
        let (least, kind) = match signed.filter(|_| self.key.is_some()) {
            Some(signed) => (signed, "a signed probe"),
            None => (least, "a probe"),
        };
        ensure!(
            size >= least,
            "--size {size}: {name} needs at least {least} byte{} for {kind} ({target})",
            if least == 1 { "" } else { "s" }
        );
        ensure!(
            size <= most,
            "--size {size}: {name} has at most {most} bytes ({target})"
        );
        if let Some((below, above)) = target.protocol.size.beside(size) {
            bail!(
                "--size {size}: {name} has no probe of this size; the next are {below} and {above} ({target})"
            );
        }
        let (longest, over) = match target.protocol.transport {
            Transport::Tcp => (SessionOptions::LONGEST_STREAM, "over TCP"),
            // DATAGRAM frames are bounded above, as their protocol wants it.
            Transport::Quic => (SessionOptions::LONGEST_STREAM, "over a QUIC stream"),
            Transport::Ip if self.is_v4(target) => {
                let longest = LONGEST_IPV4 - IPV4_HEADER - self.ip_options.len();
                (longest.min(SessionOptions::LONGEST_V4), "into an IPv4 datagram")
            }
            // A name may turn out to be either; the session will know.
            _ if self.is_v4(target) => (SessionOptions::LONGEST_V4, "into a datagram over IPv4"),
            _ => (SessionOptions::LONGEST_V6, "into a datagram"),
        };
        if size > longest {
            bail!("--size {size}: at most {longest} bytes fit {over} ({target})");
        }
        Ok(())
    }
}

/// The protocols whose probes can be signed, for people.
fn signed_protocols() -> String {
    let signed = ALL.iter().filter(|protocol| protocol.size.signed.is_some());
    let names: Vec<_> = signed.map(|protocol| protocol.name).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// Refuses options that no target heeds.
fn check_heeded(args: &HttpArgs, targets: &[Target]) -> Result<()> {
    let is_http = |target: &Target| target.path.is_some();
    let is_secured = |target: &Target| {
        let protocol = target.protocol;
        protocol.transport == Transport::Quic || protocol.scheme == HTTPS.scheme || sip::is_secured(protocol)
    };
    let (of_http, of_tls) = (
        "http:// and https://",
        "https://, sips:, sip+tls://, quic:// and udp+quic://",
    );
    let (http, tls) = (targets.iter().any(is_http), targets.iter().any(is_secured));
    let options = [
        ("--expect-status", args.expect_status.is_some(), http, of_http),
        ("--expect-body", args.expect_body.is_some(), http, of_http),
        ("--method", args.method.is_some(), http, of_http),
        ("--header", !args.header.is_empty(), http, of_http),
        ("--no-keep-alive", args.no_keep_alive, http, of_http),
        ("--pin", args.pin.is_some(), tls, of_tls),
        ("--insecure", args.insecure, tls, of_tls),
    ];
    for (option, given, heeded, kinds) in options {
        ensure!(
            !given || heeded,
            "{option}: for {kinds} alone, and no target is one"
        );
    }
    Ok(())
}

/// What the command line says of all HTTP targets.
fn http_options(args: &HttpArgs) -> HttpProberOptions {
    HttpProberOptions {
        method: args.method.clone(),
        headers: args.header.clone(),
        expect: Expect {
            status: args.expect_status.clone(),
            body_contains: args.expect_body.clone(),
            body_equals: None,
        },
        keep_alive: !args.no_keep_alive,
        ..HttpProberOptions::new("", "/")
    }
}

/// The targets, those that are asked by name with what is said about all of them.
fn targets(args: &PingArgs) -> Result<Vec<Target>> {
    let mut targets = args.targets.clone();
    let mut by_forwarder = false;
    for target in &mut targets {
        let is_ours = target.host == Host::Forwarder;
        by_forwarder |= is_ours;
        if let Some(question) = &mut target.question {
            question.face = args.face.clone().filter(|_| is_ours);
            question.size = args.size.map(|size| size as usize);
        }
    }
    ensure!(
        args.face.is_none() || by_forwarder,
        "--face is the way to names of the form ndn:/NAME, and there is none"
    );
    Ok(targets)
}

/// The options that are asked for, in their octets.
fn ip_options(args: &PingArgs) -> Result<Vec<u8>> {
    let asked = Asked {
        source_route: args.source_route.clone(),
        record_route: args.record_route,
        timestamps: args
            .timestamp_option
            .map(|form| form == TimestampOption::WithAddresses),
    };
    asked
        .octets()
        .context("--record-route, --timestamp-option, --source-route")
}

/// The octet of all probes, if anything is said about it.
fn tos(args: &PingArgs) -> Option<u8> {
    let (dscp, ecn) = (
        args.dscp.map(crate::cli::Dscp::tos),
        args.path.ecn.map(|ecn| ecn.0),
    );
    dscp.or(ecn)?;
    Some(dscp.unwrap_or(0) | ecn.unwrap_or(0))
}

fn command_line() -> String {
    let words: Vec<_> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests;
