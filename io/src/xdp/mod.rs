//! Answers below the network stack: an XDP program on an interface that turns round what needs no more than a look.
//!
//! The program answers plain UDP echo, structured probes of 64 octets, and IP echo without options; all else it passes up,
//! so a host behaves the same with it and without. The guards are the same rules from the same data. It is attached by a
//! link that belongs to this process: when the process is gone, however it ended, so is the program. What it does and why
//! is in docs/decisions/0005-xdp.md; its source is `program/echo.c`.

#[cfg(all(feature = "xdp", target_os = "linux", target_endian = "little"))]
#[rustfmt::skip]
mod bytecode;
mod maps;

use crate::SystemClock;
use crate::route::{Link, LinkAddress, Netlink, NetlinkError};
use crate::sys::{link_xdp, load_xdp, test_run};
use halloo_base::{Clock, Snapshot};
use maps::{Maps, Plan, Service, Settings};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

/// XDP_FLAGS_* of linux/if_link.h.
const GENERIC: u32 = 1 << 1;
const NATIVE: u32 = 1 << 2;
/// Octets of an Ethernet header.
const ETHERNET: u32 = 14;
/// The instruction that loads 64 bits takes them for a map's descriptor when its source register says so.
const FROM_MAP: u64 = 1 << 12;

/// The program as it is loaded, once its maps are there.
struct Program {
    maps: &'static [Plan],
    /// Which instruction takes which map's descriptor.
    relocations: &'static [(usize, usize)],
    code: &'static [u64],
}

#[cfg(all(feature = "xdp", target_os = "linux", target_endian = "little"))]
static PROGRAM: Option<Program> = Some(Program {
    maps: &bytecode::MAPS,
    relocations: &bytecode::RELOCATIONS,
    code: &bytecode::CODE,
});
#[cfg(not(all(feature = "xdp", target_os = "linux", target_endian = "little")))]
static PROGRAM: Option<Program> = None;

/// Where the program sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum XdpMode {
    /// Native on real devices that can, generic on all others: virtual devices are slower with native programs, or need
    /// help from their other end.
    #[default]
    Auto,
    /// In the driver, before the kernel makes a packet of what arrived.
    Native,
    /// Behind the driver: works on every device.
    Generic,
}

/// What the program answers, and where.
#[derive(Clone, Debug, Default)]
pub struct XdpOptions {
    /// The interface.
    pub device: String,
    /// Where the program sits on it.
    pub mode: XdpMode,
    /// UDP sockets whose datagrams it may answer, as they are bound: a wildcard stands for all of `addresses`.
    pub udp: Vec<SocketAddr>,
    /// This host's addresses. Datagrams to any other go up.
    pub addresses: Vec<IpAddr>,
    /// IP echo addresses.
    pub echo: Vec<IpAddr>,
    /// Whether structured probes are answered too; not where a key has to sign.
    pub probes: bool,
    /// The least interval that probes are told, in units of 100 us; 0 for none.
    pub min_interval: u16,
    /// How many sessions of structured probes are remembered; the least recently used are forgotten.
    pub sessions: u32,
    /// Whom to answer, and how much.
    pub rules: XdpRules,
}

/// Whom to answer, and how much: the guards of `halloo-serve` as plain data.
#[derive(Clone, Debug, Default)]
pub struct XdpRules {
    /// Prefixes that are let in, and their lengths. The longest prefix decides.
    pub allow: Vec<(IpAddr, u8)>,
    /// Prefixes that are not.
    pub deny: Vec<(IpAddr, u8)>,
    /// Source ports that are not answered, because a service there would answer the answer.
    pub refused_ports: Vec<u16>,
    /// Ports that this host serves, not answered as source ports.
    pub own_ports: Vec<u16>,
    /// For each source that is not local; `None` for no limit.
    pub per_source: Option<XdpRate>,
    /// For each loopback, private or link-local source.
    pub per_local_source: Option<XdpRate>,
    /// For all sources together that are not local.
    pub all: Option<XdpRate>,
    /// How many sources are told apart.
    pub sources: u32,
}

/// A rate and the burst above it, in packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpRate {
    /// Packets a second.
    pub per_second: u32,
    /// Packets at once after a silence.
    pub burst: u32,
}

/// A program at work. Dropping it, or the end of the process, takes it away.
#[derive(Debug)]
pub struct Xdp {
    maps: Maps,
    options: XdpOptions,
    mac: [u8; 6],
    /// Octets of the longest frame on the wire.
    longest: u16,
    mode: XdpMode,
    listening: BTreeSet<SocketAddr>,
    program: OwnedFd,
    /// What keeps the program attached.
    _link: Option<OwnedFd>,
}

/// What the program did in one service; what it passed up is counted by whoever answered it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct XdpCounters {
    /// UDP echo.
    pub udp: Snapshot,
    /// IP echo.
    pub ip: Snapshot,
}

/// Why there is no program on an interface.
#[derive(Debug, thiserror::Error)]
pub enum XdpError {
    /// This build has no program in it.
    #[error("this halloo was built without the feature `xdp`, or for a machine that has none")]
    NotBuilt,
    /// The kernel does not tell its interfaces.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// No interface has this name.
    #[error("there is no interface `{0}`")]
    NoDevice(String),
    /// It carries no Ethernet frames.
    #[error("`{0}` has no MAC address: XDP echo needs an Ethernet interface")]
    NotEthernet(String),
    /// A map could not be made or filled.
    #[error("cannot set up the XDP map `{name}`{}", hint(.error))]
    Map {
        /// Its name.
        name: &'static str,
        /// What the kernel says.
        #[source]
        error: io::Error,
    },
    /// The kernel does not take the program.
    #[error("the kernel refuses the XDP program{}{}", hint(.error), last_words(.log))]
    Load {
        /// What the kernel says.
        #[source]
        error: io::Error,
        /// What its verifier says.
        log: String,
    },
    /// The interface does not take the program.
    #[error("cannot attach XDP to `{device}` in {mode} mode{}", hint(.error))]
    Attach {
        /// The interface.
        device: String,
        /// How it was tried.
        mode: XdpMode,
        /// What the kernel says.
        #[source]
        error: io::Error,
    },
}

impl Xdp {
    /// Loads the program and attaches it.
    ///
    /// # Errors
    /// What the kernel does not have or allow, or the interface cannot do.
    pub fn attach(options: &XdpOptions) -> Result<Xdp, XdpError> {
        let device = &options.device;
        let mut netlink = Netlink::open()?;
        let link = netlink.link(device)?;
        let link = link.ok_or_else(|| XdpError::NoDevice(device.clone()))?;
        let mac = link.mac.filter(|&mac| mac != [0; 6]);
        let mac = mac.ok_or_else(|| XdpError::NotEthernet(device.clone()))?;
        let mut xdp = Xdp::load(options, mac)?;
        let addresses = netlink.addresses()?;
        let broadcasts: Vec<_> = addresses.iter().filter_map(LinkAddress::broadcast).collect();
        xdp.set_broadcasts(&broadcasts)?;
        xdp.longest = u16::try_from(link.mtu + ETHERNET).unwrap_or(u16::MAX);
        let mut failure = None;
        for &mode in options.mode.attempts(&link) {
            // The program has to know before its first packet.
            xdp.mode = mode;
            xdp.set_clock()?;
            let flags = if mode == XdpMode::Native { NATIVE } else { GENERIC };
            match link_xdp(xdp.program.as_fd(), link.id.0, flags) {
                Ok(link) => {
                    xdp._link = Some(link);
                    return Ok(xdp);
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(XdpError::Attach {
            device: device.clone(),
            mode: xdp.mode,
            error: failure.expect("there is always one attempt"),
        })
    }

    /// Loads the program and attaches it to nothing: for [`Xdp::try_on`]. Frames are to be for this MAC address.
    ///
    /// # Errors
    /// What the kernel does not have or allow.
    #[doc(hidden)]
    pub fn load(options: &XdpOptions, mac: [u8; 6]) -> Result<Xdp, XdpError> {
        // Kernels before 5.11 count maps as locked memory; where it may not be raised, it may still do.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
        let parts = PROGRAM.as_ref().ok_or(XdpError::NotBuilt)?;
        let maps = Maps::create(parts.maps, options.rules.sources, options.sessions)?;
        let numbers = maps.numbers();
        let mut code = parts.code.to_vec();
        for &(at, map) in parts.relocations {
            code[at] |= FROM_MAP | u64::from(numbers[map]) << 32;
        }
        let program = load_xdp("halloo_echo", &code).map_err(|(error, log)| XdpError::Load { error, log })?;
        let mut xdp = Xdp {
            maps,
            options: options.clone(),
            mac,
            longest: u16::MAX,
            mode: match options.mode {
                XdpMode::Auto => XdpMode::Generic,
                mode => mode,
            },
            listening: BTreeSet::new(),
            program,
            _link: None,
        };
        xdp.maps.guard(&options.rules)?;
        for &address in &options.echo {
            xdp.maps.echo(address)?;
        }
        xdp.set_addresses(&options.addresses)?;
        xdp.set_clock()?;
        Ok(xdp)
    }

    /// How it is attached: native or generic.
    pub fn mode(&self) -> XdpMode {
        self.mode
    }

    /// The interface.
    pub fn device(&self) -> &str {
        &self.options.device
    }

    /// Tells the program this host's addresses, which may have changed.
    ///
    /// # Errors
    /// If the kernel takes no more of them.
    pub fn set_addresses(&mut self, addresses: &[IpAddr]) -> Result<(), XdpError> {
        let mut wanted = BTreeSet::new();
        for &socket in &self.options.udp {
            if !socket.ip().is_unspecified() {
                wanted.insert(socket);
                continue;
            }
            // An IPv6 wildcard takes IPv4 too, unless another socket has it: then that one names the same endpoints.
            let covered = addresses
                .iter()
                .filter(|address| address.is_ipv4() || socket.is_ipv6());
            wanted.extend(covered.map(|&address| SocketAddr::new(address, socket.port())));
        }
        for &gone in self.listening.difference(&wanted) {
            self.maps.listen(gone, false)?;
        }
        for &new in wanted.difference(&self.listening) {
            self.maps.listen(new, true)?;
        }
        self.listening = wanted;
        Ok(())
    }

    /// Tells the program directed broadcast addresses of this host's networks: what claims to come from one is left to
    /// user space. [`Xdp::attach`] does it once; none is forgotten.
    ///
    /// # Errors
    /// If the kernel takes no more of them.
    pub fn set_broadcasts(&self, broadcasts: &[Ipv4Addr]) -> Result<(), XdpError> {
        broadcasts
            .iter()
            .try_for_each(|&address| self.maps.doubt(address))
    }

    /// Tells the program what time it is: it reads the monotonic clock, and is told how far the wall clock is from that.
    /// The two drift together, so this is needed only after the wall clock was stepped; once a second is often enough.
    ///
    /// # Errors
    /// If the kernel refuses the write.
    pub fn set_clock(&self) -> Result<(), XdpError> {
        let now = SystemClock.stamp();
        let settings = Settings {
            wall_offset: now.wall.0.wrapping_sub(now.mono.0),
            mac: self.mac,
            min_interval: self.options.min_interval,
            longest: self.longest,
            probes: self.options.probes,
            native: self.mode == XdpMode::Native,
        };
        self.maps.set(&settings, &self.options.rules)
    }

    /// What it has done so far.
    ///
    /// # Errors
    /// If the kernel does not let this process read any more.
    pub fn counters(&self) -> io::Result<XdpCounters> {
        Ok(XdpCounters {
            udp: self.maps.counted(Service::Udp)?,
            ip: self.maps.counted(Service::Ip)?,
        })
    }

    /// What the program would make of a frame: the answer, or nothing where it drops the frame or passes it up.
    ///
    /// # Errors
    /// As the kernel says; most of all, no permission.
    #[doc(hidden)]
    pub fn try_on(&self, frame: &[u8]) -> io::Result<XdpOutcome> {
        let (verdict, frame) = test_run(self.program.as_fd(), frame)?;
        Ok(match verdict {
            1 => XdpOutcome::Dropped,
            3 => XdpOutcome::Answered(frame),
            _ => XdpOutcome::Passed,
        })
    }
}

/// What became of a frame.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XdpOutcome {
    /// Not answered, and counted.
    Dropped,
    /// Left to user space.
    Passed,
    /// Sent back like this.
    Answered(Vec<u8>),
}

impl XdpMode {
    /// What to try on a link, the best first.
    fn attempts(self, on: &Link) -> &'static [XdpMode] {
        match self {
            XdpMode::Auto if on.hardware => &[XdpMode::Native, XdpMode::Generic],
            XdpMode::Auto | XdpMode::Generic => &[XdpMode::Generic],
            XdpMode::Native => &[XdpMode::Native],
        }
    }
}

/// What would help against an error, where that is known.
fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => ": it takes root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN",
        Some(libc::EBUSY | libc::EEXIST) => ": another XDP program is there (`ip link show` tells)",
        Some(libc::EOPNOTSUPP) => ": its driver cannot; generic mode can",
        Some(libc::ENOSYS) => ": this kernel has no bpf(2)",
        _ => "",
    }
}

/// The end of the verifier's log says why.
fn last_words(log: &str) -> String {
    let lines: Vec<_> = log.lines().filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(4)..].join("; ");
    if last.is_empty() {
        last
    } else {
        format!(" ({last})")
    }
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            XdpMode::Auto => "auto",
            XdpMode::Native => "native",
            XdpMode::Generic => "generic",
        })
    }
}
