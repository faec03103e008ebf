//! The Debian packages that tests and benches use: one table, and their installation.

use crate::command::{found, quietly};
use crate::report::Ending;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

/// A program that something here runs, and the package that has it.
pub(crate) struct Package {
    /// Debian's name.
    pub(crate) name: &'static str,
    /// The program whose presence tells that the package is there.
    pub(crate) program: &'static str,
    /// What it is for.
    pub(crate) why: &'static str,
}

/// What the tests run.
pub(crate) const FOR_TESTS: &[Package] = &[
    Package {
        name: "iproute2",
        program: "ip",
        why: "namespaces, veth links, addresses and tbf rates in the lab",
    },
    Package {
        name: "systemd",
        program: "systemd-analyze",
        why: "the reader of our units",
    },
    Package {
        name: "nftables",
        program: "nft",
        why: "loss in the lab",
    },
    Package {
        name: "ethtool",
        program: "ethtool",
        why: "offloads off on the lab's links",
    },
    Package {
        name: "iputils-ping",
        program: "ping",
        why: "a bound that round trips are held against",
    },
    Package {
        name: "fping",
        program: "fping",
        why: "another one, for ICMP echo",
    },
    Package {
        name: "sockperf",
        program: "sockperf",
        why: "a client that others wrote",
    },
    Package {
        name: "socat",
        program: "socat",
        why: "a client and a server that others wrote",
    },
    Package {
        name: "netcat-openbsd",
        program: "nc",
        why: "a client that others wrote",
    },
    Package {
        name: "xinetd",
        program: "xinetd",
        why: "an echo server that others wrote, TCP and UDP",
    },
    Package {
        name: "tshark",
        program: "tshark",
        why: "a reader of captures that others wrote",
    },
    Package {
        name: "python3",
        program: "python3",
        why: "the plain socket client of the first echo client's shape",
    },
    Package {
        name: "python3-scapy",
        program: "scapy",
        why: "requests to the IP echo host, and the judge of its answers",
    },
    Package {
        name: "hping3",
        program: "hping3",
        why: "a client of the IP echo host that others wrote",
    },
    Package {
        name: "nmap",
        program: "nping",
        why: "a client of the IP echo host that others wrote",
    },
    Package {
        name: "traceroute",
        program: "traceroute",
        why: "a client of the IP echo host that others wrote",
    },
    Package {
        name: "curl",
        program: "curl",
        why: "a client of the HTTP echo host that others wrote",
    },
    Package {
        name: "nginx",
        program: "nginx",
        why: "a server of HTTP that others wrote",
    },
    Package {
        name: "wrk",
        program: "wrk",
        why: "many requests to the HTTP echo host at once",
    },
    Package {
        name: "nghttp2-client",
        program: "nghttp",
        why: "clients of HTTP/2 that others wrote",
    },
    Package {
        name: "python3-websocket",
        program: "wsdump",
        why: "a client of WebSocket that others wrote",
    },
    Package {
        name: "openssl",
        program: "openssl",
        why: "certificates, and a client of TLS that others wrote",
    },
    Package {
        name: "coturn",
        program: "turnutils_stunclient",
        why: "STUN clients and a STUN server that others wrote",
    },
    Package {
        name: "prometheus",
        program: "promtool",
        why: "the judge of our metrics",
    },
    Package {
        name: "sipsak",
        program: "sipsak",
        why: "a SIP client that others wrote",
    },
    Package {
        name: "sip-tester",
        program: "sipp",
        why: "a SIP client and server that others wrote",
    },
    Package {
        name: "ngtcp2-client",
        program: "gtlsclient",
        why: "an HTTP/3 client that others wrote",
    },
    Package {
        name: "clang-14",
        program: "clang-14",
        why: "compiles the XDP program, to compare it with the bytecode",
    },
    Package {
        name: "python3-pip",
        program: "pip3",
        why: "python-ndn and aioquic, an NDN and a QUIC client and server that others wrote",
    },
    Package {
        name: "nodejs",
        program: "node",
        why: "NDNts, another one",
    },
    Package {
        name: "npm",
        program: "npm",
        why: "the same",
    },
    Package {
        name: "qemu-system-x86",
        program: "qemu-system-x86_64",
        why: "guests with the kernel's own TIPC, which the overlay joins",
    },
    Package {
        name: "busybox-static",
        program: "busybox",
        why: "what runs in these guests, and a DHCP client that others wrote",
    },
    Package {
        name: "gcc",
        program: "gcc",
        why: "compiles the program that these guests talk to each other with",
    },
];

/// What a build for fuzzing needs.
pub(crate) const FOR_FUZZ: &[Package] = &[Package {
    name: "g++",
    program: "c++",
    why: "libFuzzer is C++",
}];

/// What the benches run.
pub(crate) const FOR_BENCH: &[Package] = &[
    Package {
        name: "iproute2",
        program: "ip",
        why: "two namespaces and a veth link",
    },
    Package {
        name: "sockperf",
        program: "sockperf",
        why: "a peer",
    },
    Package {
        name: "socat",
        program: "socat",
        why: "a peer",
    },
    Package {
        name: "xinetd",
        program: "xinetd",
        why: "a peer",
    },
];

/// What the bench of the overlay runs.
pub(crate) const FOR_OVERLAY_BENCH: &[Package] = &[
    Package {
        name: "iproute2",
        program: "ip",
        why: "two namespaces, a veth link and VXLAN",
    },
    Package {
        name: "nftables",
        program: "nft",
        why: "loss on that link",
    },
    Package {
        name: "ethtool",
        program: "ethtool",
        why: "offloads off on that link",
    },
    Package {
        name: "iperf3",
        program: "iperf3",
        why: "TCP",
    },
    Package {
        name: "netcat-openbsd",
        program: "nc",
        why: "a file",
    },
    Package {
        name: "iputils-ping",
        program: "ping",
        why: "round trips",
    },
    Package {
        name: "gcc",
        program: "gcc",
        why: "compiles the program that measures ZeroMQ",
    },
    Package {
        name: "libzmq3-dev",
        // Its header, as seen from a folder of programs.
        program: "../include/zmq.h",
        why: "ZeroMQ",
    },
    Package {
        name: "openssl",
        program: "openssl",
        why: "OpenVPN's certificates",
    },
    Package {
        name: "openvpn",
        program: "openvpn",
        why: "a peer",
    },
    Package {
        name: "tinc",
        program: "tincd",
        why: "a peer",
    },
    Package {
        name: "fastd",
        program: "fastd",
        why: "a peer",
    },
    Package {
        name: "n2n",
        program: "supernode",
        why: "a peer",
    },
    Package {
        name: "wireguard-go",
        program: "wireguard-go",
        why: "a peer, of IP only",
    },
    Package {
        name: "wireguard-tools",
        program: "wg",
        why: "sets it up",
    },
];

/// Whether this process may install packages and make namespaces.
pub(crate) fn is_root() -> bool {
    // The owner of this folder is the effective user of this process.
    std::fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

/// Installs what is missing of `table`, where it may.
pub(crate) fn ensure(table: &[Package]) -> Ending {
    let missing = missing(table);
    if missing.is_empty() {
        return Ending::passed(format!("{} programs present", table.len()));
    }
    let names: Vec<_> = missing.iter().map(|package| package.name).collect();
    if !is_root() {
        return Ending::NotRun(format!(
            "not root, so these were not installed:{}\n  apt-get install --no-install-recommends {}",
            reasons(&missing),
            names.join(" ")
        ));
    }
    if !found("apt-get") {
        return Ending::NotRun(format!("no apt-get here; please install:{}", reasons(&missing)));
    }
    install(&names)
}

fn install(names: &[&str]) -> Ending {
    let update = quietly(apt_get(&["update"]));
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(names);
    let install = quietly(apt_get(&arguments));
    if install.success {
        Ending::passed(format!("installed {}", names.join(", ")))
    } else {
        Ending::Failed(update.output + &install.output)
    }
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .arg("--quiet")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn missing(table: &[Package]) -> Vec<&Package> {
    table.iter().filter(|package| !found(package.program)).collect()
}

fn reasons(missing: &[&Package]) -> String {
    missing
        .iter()
        .map(|package| format!("\n  {} ({})", package.name, package.why))
        .collect()
}
