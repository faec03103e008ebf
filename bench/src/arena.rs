//! Where the contest takes place: two hosts, one wire, a core for each side.

use crate::contender::Wire;
use crate::udp::{Generator, Target};
use anyhow::Result;
use halloo_lab::{Host, Lab, Link, LinkPlan, Unavailable};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

/// The port of every server, one after the other.
pub(crate) const PORT: u16 = 7777;
/// The address that IP echo hosts turn datagrams round for: of a documentation network (RFC 5737).
pub(crate) const ECHO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
/// The generator's core.
const CLIENT_CORE: usize = 0;
/// The server's core.
pub(crate) const SERVER_CORE: usize = 1;

/// Who gets a core when others want it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Before everybody (SCHED_FIFO): what else this machine does shall not show.
    First,
    /// Like everybody: what load does is what is measured.
    Equal,
}

impl Rank {
    /// The arguments of chrt(1), before a process id or a command.
    pub(crate) fn chrt(self) -> [&'static str; 2] {
        match self {
            Rank::First => ["--fifo", "10"],
            Rank::Equal => ["--other", "0"],
        }
    }

    /// Gives it to the calling thread.
    fn take(self) {
        let thread = rustix::thread::gettid().to_string();
        let [policy, priority] = self.chrt();
        // Where it is refused the report still holds, with more noise.
        let _ = Command::new("chrt")
            .args([policy, "--pid", priority, &thread])
            .status();
    }
}

/// Two network namespaces joined by a veth pair, their neighbours known, their TCP alike.
pub(crate) struct Arena {
    client: Host,
    server: Host,
    link: Link,
    /// Removes it all when the contest is over.
    _lab: Lab,
}

impl Arena {
    pub(crate) fn new() -> std::result::Result<Arena, Unavailable> {
        let lab = Lab::new("halloo beside its peers")?;
        let (client, server) = (lab.host("client"), lab.host("server"));
        let plan = LinkPlan {
            known_neighbours: true,
            ..LinkPlan::default()
        };
        let link = lab.link_with(&client, &server, &plan);
        for end in [link.a(), link.b()] {
            // Whatever this machine's default is, comparisons are made with the same for all. The sysctl of a
            // namespace cannot choose an algorithm that the machine reserves for root; a route can.
            let [a, b, c, _] = end.v4().octets();
            let network = format!("{a}.{b}.{c}.0/24");
            let route = [
                "route",
                "change",
                &network,
                "dev",
                end.device(),
                "proto",
                "kernel",
                "scope",
                "link",
            ];
            end.host().must("ip", route.iter().chain(&["congctl", "cubic"]));
            end.host().sysctl("net.ipv4.ip_local_port_range", "10000 65000");
        }
        let echo = format!("{ECHO}/32");
        let gateway = link.b().v4().to_string();
        client.must("ip", ["route", "add", &echo, "via", &gateway]);
        Ok(Arena {
            client,
            server,
            link,
            _lab: lab,
        })
    }

    pub(crate) fn server(&self) -> &Host {
        &self.server
    }

    /// A datagram generator; call it inside [`Arena::generate`].
    pub(crate) fn generator(&self, wire: Wire, ports: usize) -> Result<Generator> {
        let target = match wire {
            Wire::Ip => Target::Oneself(ECHO),
            Wire::Udp | Wire::Tcp => Target::Server,
        };
        Generator::new(self.link.a(), self.link.b(), target, ports)
    }

    /// The server's device.
    pub(crate) fn device(&self) -> &str {
        self.link.b().device()
    }

    /// Where the server in turn listens.
    pub(crate) fn target(&self) -> SocketAddr {
        SocketAddr::new(self.server_ip(), PORT)
    }

    pub(crate) fn server_ip(&self) -> IpAddr {
        self.link.b().v4().into()
    }

    pub(crate) fn client_ip(&self) -> IpAddr {
        self.link.a().v4().into()
    }

    /// Runs a generator on its host and its core.
    pub(crate) fn generate<R: Send>(&self, rank: Rank, work: impl FnOnce() -> R + Send) -> R {
        self.client.enter(|| {
            pin(CLIENT_CORE);
            rank.take();
            work()
        })
    }

    /// Runs something on the client's host that the scheduler may put anywhere.
    pub(crate) fn generate_anywhere<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.client.enter(work)
    }
}

/// Binds the calling thread to a core. On a machine without it the thread stays where it is.
fn pin(core: usize) {
    let mut cores = CpuSet::new();
    if cores.set(core).is_ok() {
        // A container may refuse; the report then still holds, with more noise.
        let _ = sched_setaffinity(Pid::from_raw(0), &cores);
    }
}
