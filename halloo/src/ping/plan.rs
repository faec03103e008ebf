//! What a command line asks for, checked.

use crate::cli::{EchoClientArgs, HttpArgs, Interval, Link, PingArgs, TimestampOption};
use crate::key;
use crate::target::{Host, Target};
use anyhow::{Context, Result, bail, ensure};
use halloo_base::Transport;
use halloo_probe::SessionOptions;
use halloo_protocols::echo::Key;
use halloo_protocols::http::{Expect, HttpProberOptions};
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
            family: match (args.ipv4, args.ipv6) {
                (true, _) => Family::V4,
                (_, true) => Family::V6,
                // A name is then looked up as what can carry them.
                _ if !ip_options.is_empty() => Family::V4,
                _ => Family::Any,
            },
            size: args.size,
            interval: args.interval,
            count: args.count,
            lost_after: args.timeout,
            deadline: args.deadline,
            tos: args.dscp.map(crate::cli::Dscp::tos),
            ttl: args.ttl,
            dont_fragment: args.df,
            ip_options,
            source_routed: !args.source_route.is_empty(),
            window: args.window,
            key,
            http: http_options(&args.http),
            trust: match (args.http.pin, args.http.insecure) {
                (Some(pin), _) => Trust::Pinned(pin),
                (None, true) => Trust::Anyone,
                (None, false) => Trust::System,
            },
            log_dir: args.log_dir.clone(),
            csv_wide: args.csv_wide.clone(),
            command: command_line(),
        };
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
        let is_sip = [sip::SIP.scheme, sip::SIP_TCP.scheme].contains(&target.protocol.scheme);
        let usual = match is_sip {
            true => usual.max(sip::bare_len(target.authority().len())),
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
        let (longest, over) = match target.protocol.transport {
            Transport::Tcp => (SessionOptions::LONGEST_STREAM, "over TCP"),
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

fn command_line() -> String {
    let words: Vec<_> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn plan(words: &str) -> Result<Plan> {
        let line = format!("halloo ping {words}");
        match Cli::try_parse_from(line.split_whitespace())
            .expect("it parses")
            .command
        {
            Command::Ping(args) => Plan::ping(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sizes_end_where_packets_do() {
        let table = [
            ("-s 65507 udp://192.0.2.1", None),
            (
                "-s 65508 udp://192.0.2.1:1",
                Some("--size 65508: at most 65507 bytes fit into a datagram over IPv4 (udp://192.0.2.1:1)"),
            ),
            (
                "-4 -s 65508 udp://h:1",
                Some("--size 65508: at most 65507 bytes fit into a datagram over IPv4 (udp://h:1)"),
            ),
            ("-s 65527 udp://h", None),
            ("-s 65527 udp://[2001:db8::1]", None),
            (
                "-s 65528 udp://h:1",
                Some("--size 65528: at most 65527 bytes fit into a datagram (udp://h:1)"),
            ),
            ("-s 1048576 tcp://h", None),
            (
                "-s 1048577 tcp://h:1",
                Some("--size 1048577: at most 1048576 bytes fit over TCP (tcp://h:1)"),
            ),
            ("-s 65507 ip://192.0.2.1", None),
            (
                "-s 65508 ip://192.0.2.1",
                Some("--size 65508: at most 65507 bytes fit into an IPv4 datagram (ip://192.0.2.1)"),
            ),
            (
                "-s 65507 --record-route ip://192.0.2.1",
                Some("--size 65507: at most 65475 bytes fit into an IPv4 datagram (ip://192.0.2.1)"),
            ),
            ("-s 0 udp://h", None),
            ("-s 8 icmp://h", None),
            (
                "-s 7 icmp://h",
                Some("--size 7: ICMP echo needs at least 8 bytes for a probe (icmp://h)"),
            ),
            (
                "-s 65508 icmp://192.0.2.1",
                Some("--size 65508: at most 65507 bytes fit into a datagram over IPv4 (icmp://192.0.2.1)"),
            ),
            (
                "-s 0 tcp://h:1",
                Some("--size 0: TCP echo needs at least 1 byte for a probe (tcp://h:1)"),
            ),
        ];
        for (words, wrong) in table {
            assert_eq!(
                plan(words).err().map(|error| error.to_string()).as_deref(),
                wrong,
                "{words}"
            );
        }
    }

    #[test]
    fn links_must_fit_the_family_and_differ() {
        let error = |words| {
            plan(words)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert!(error("-6 -I 192.0.2.1 h").starts_with("--link 192.0.2.1: not an address of the family"));
        assert_eq!(error("-I eth0 -I eth0 h"), "--link eth0 is given twice");
    }

    #[test]
    fn only_udp_probes_are_signed() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), b"sixteen bytes...").expect("it can be written");
        let name = file.path().display();
        let error = |words: &str| {
            let plan = plan(&format!("--key-file {name} {words}"));
            plan.err().map(|error| error.to_string()).unwrap_or_default()
        };
        let size = |words: &str| {
            plan(&format!("{words} udp://h"))
                .map(|plan| plan.size_to(&plan.targets[0]))
                .ok()
        };
        assert_eq!(
            error("tcp://h:1"),
            "--key-file: TCP echo cannot be signed; UDP echo, STAMP and QUIC datagram echo can (tcp://h:1)"
        );
        assert_eq!(
            error("udp+ip://h:1"),
            "--key-file: UDP to oneself cannot be signed; UDP echo, STAMP and QUIC datagram echo can (udp+ip://h:1)"
        );
        assert_eq!(
            error("-s 79 udp://h"),
            "--size 79: UDP echo needs at least 80 bytes for a signed probe (udp://h:7777)"
        );
        assert_eq!(size(&format!("--key-file {name}")), Some(80));
        assert_eq!(size(&format!("--key-file {name} -s 81")), Some(81));
        assert_eq!(size(""), Some(64));
    }

    #[test]
    fn options_of_ipv4_go_with_ip_over_ipv4_alone() {
        let error = |words| plan(words).err().map(|error| format!("{error:#}"));
        let names = "--record-route, --timestamp-option and --source-route";
        let table = [
            ("--record-route ip://192.0.2.7", None),
            ("--timestamp-option=with-addresses ip://h", None),
            (
                "--record-route udp+ip://h:1",
                Some(format!("{names} go with ip:// targets alone (udp+ip://h:1)")),
            ),
            (
                "--source-route 192.0.2.1 ip://[2001:db8::7]",
                Some(format!(
                    "{names} are options of IPv4; IPv6 has none like them (ip://[2001:db8::7])"
                )),
            ),
            (
                "-6 --timestamp-option ip://h",
                Some(format!(
                    "{names} are options of IPv4; IPv6 has none like them (ip://h)"
                )),
            ),
            (
                "--source-route 192.0.2.1,192.0.2.2 --record-route --timestamp-option=times ip://h",
                None,
            ),
            (
                "--source-route 192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4,192.0.2.5,192.0.2.6,192.0.2.7,192.0.2.8 \
                 --record-route ip://h",
                Some(
                    "--record-route, --timestamp-option, --source-route: there is no room in an IPv4 header for all \
                     of these options; leave out one, or hops of the source route"
                        .to_owned(),
                ),
            ),
        ];
        for (words, why) in table {
            assert_eq!(error(words), why, "{words}");
        }
    }

    #[test]
    fn what_has_to_come_back_whole_may_go_twice_as_far() {
        let ttl = |words| {
            let plan = plan(words).expect("a plan");
            plan.ttl_to(&plan.targets[0])
        };
        assert_eq!(ttl("ip://192.0.2.7"), Some(128));
        assert_eq!(ttl("tcp+ip://192.0.2.7"), Some(128));
        assert_eq!(ttl("--ttl 9 udp+ip://192.0.2.7"), Some(9));
        assert_eq!(ttl("udp://192.0.2.7"), None);
    }

    #[test]
    fn a_face_is_for_names_that_have_no_host() {
        let face = |words: &str| {
            let plan = plan(words).map_err(|error| error.to_string())?;
            let faces = plan.targets.iter().map(|target| {
                let question = target.question.as_ref()?;
                question.face.as_ref().map(ToString::to_string)
            });
            Ok::<Vec<_>, String>(faces.collect())
        };
        let tcp = Some("tcp://h:6363".to_owned());
        assert_eq!(
            face("--face tcp://h ndn:/a ndn://h/b udp://h"),
            Ok(vec![tcp, None, None])
        );
        let error = face("--face tcp://h ndn://h/b").expect_err("it means nothing");
        assert!(error.starts_with("--face is the way"), "{error}");
        let error = plan("-s 8801 ndn:/a").err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("--size 8801: an NDN packet has at most 8800 bytes (ndn:/a)")
        );
    }

    #[test]
    fn a_target_is_asked_once() {
        let error = |words| plan(words).err().map(|error| error.to_string());
        assert_eq!(
            error("h udp://h:7777").as_deref(),
            Some("udp://h:7777 is given twice")
        );
        assert_eq!(error("udp://h udp://h:7 tcp://h:7"), None);
    }
}
