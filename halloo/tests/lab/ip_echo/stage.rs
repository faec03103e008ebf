//! A client, an echo host, and a cable between them.

use crate::asking::{HALLOO, PATIENCE};
use halloo_lab::{Child, End, Host, Lab, Link, Offload, Side, program_or_skip};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The addresses that are served (RFC 5737, RFC 3849). No kernel has them.
pub(super) const ECHO_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(203, 0, 113, 7), Ipv4Addr::new(203, 0, 113, 8)];
pub(super) const ECHO_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0, 0, 0, 0, 7),
    Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0, 0, 0, 0, 8),
];

/// Networks of strangers behind the client, a prefix of 24 and one of 64 bits: only they are limited by default.
pub(super) const STRANGERS_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 0);
pub(super) const STRANGERS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0);

/// How datagrams reach the echo host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By a TUN device, through the host's own stack, which forwards.
    Tun,
    /// In the interface's frames.
    Wire,
    /// As `Wire`, and what is plain is answered by the driver.
    Xdp,
}

/// Client and echo host with a cable between them. `link.a()` is the client.
pub(super) struct Stage {
    pub(super) link: Link,
    pub(super) server: Child,
    _lab: Lab,
}

impl Stage {
    /// An echo host on all of [`ECHO_V4`] and [`ECHO_V6`], with these arguments beside; or nothing where there are no
    /// labs.
    pub(super) fn or_skip(title: &str, way: Way, args: &[&str]) -> Option<Stage> {
        let lab = Lab::or_skip(title)?;
        let link = lab.link(&lab.host("client"), &host_for(&lab, "echo", way));
        routes_to_echo(link.a(), link.b(), way);
        for side in [Side::A, Side::B] {
            // Captures are to show what a real wire would.
            link.offload(side, Offload::Checksum, false);
        }
        let server = serve(link.b().host(), link.b().device(), way, args);
        Some(Stage {
            link,
            server,
            _lab: lab,
        })
    }

    pub(super) fn client(&self) -> &Host {
        self.link.a().host()
    }

    /// Stops the echo host and returns what it counted.
    pub(super) fn stop(&self) -> Counted {
        stop(&self.server)
    }
}

/// A host on which echo addresses can be served that way.
pub(super) fn host_for(lab: &Lab, name: &str, way: Way) -> Host {
    if way != Way::Tun {
        return lab.host(name);
    }
    let host = lab.router(name);
    // Loose source routes pass only through a host that was told to take them.
    for scope in ["all", "default"] {
        host.sysctl(&format!("net.ipv4.conf.{scope}.accept_source_route"), "1");
    }
    host
}

/// Routes the echo addresses to `far`, and strangers' networks back to `near`, on the same segment.
pub(super) fn routes_to_echo(near: &End, far: &End, way: Way) {
    for (prefix, via) in [
        ("203.0.113.0/24", IpAddr::from(far.v4())),
        ("2001:db8:e::/64", far.v6().into()),
    ] {
        match way {
            Way::Tun => near.host().route(prefix, via),
            // On the segment itself: somebody there says that he has the address.
            Way::Wire | Way::Xdp => {
                let family = if via.is_ipv4() { "-4" } else { "-6" };
                near.host()
                    .must("ip", [family, "route", "replace", prefix, "dev", near.device()]);
            }
        }
    }
    let strangers = [
        (format!("{STRANGERS_V4}/24"), IpAddr::from(near.v4())),
        (format!("{STRANGERS_V6}/64"), near.v6().into()),
    ];
    for (prefix, via) in strangers {
        far.host().route(&prefix, via);
        // The client's own stack would complain to the echo address about answers that are for nobody it knows.
        near.host().must("ip", ["route", "replace", "blackhole", &prefix]);
    }
}

/// Starts an echo host on the echo addresses, and returns when it answers.
pub(super) fn serve(host: &Host, device: &str, way: Way, args: &[&str]) -> Child {
    let addresses = ECHO_V4
        .map(IpAddr::from)
        .into_iter()
        .chain(ECHO_V6.map(IpAddr::from));
    serve_on(host, device, way, &addresses.collect::<Vec<_>>(), args)
}

/// As [`serve`], on these addresses.
pub(super) fn serve_on(host: &Host, device: &str, way: Way, addresses: &[IpAddr], args: &[&str]) -> Child {
    let served = addresses.iter().map(|address| match way {
        Way::Tun => address.to_string(),
        Way::Wire | Way::Xdp => format!("{address}@{device}"),
    });
    let driver = (way == Way::Xdp).then_some(device);
    serve_with(host, &served.collect::<Vec<_>>(), driver, args)
}

/// As [`serve`], on these addresses with their devices, and with this driver.
pub(super) fn serve_with(host: &Host, served: &[String], driver: Option<&str>, args: &[&str]) -> Child {
    let mut all = vec!["serve", "--json"];
    all.extend(served.iter().flat_map(|address| ["--ip-echo", address]));
    all.extend(driver.iter().flat_map(|device| ["--xdp", device]));
    let server = host.spawn(HALLOO, all.iter().chain(args));
    server.wait_for_line("\"protocol\":\"ip\"", PATIENCE);
    server
}

/// Stops an echo host and returns what it counted.
pub(super) fn stop(server: &Child) -> Counted {
    server.signal(Signal::SIGTERM);
    let status = server.wait(PATIENCE);
    assert!(status.success(), "{server}");
    Counted::read(&server.stdout())
}

/// What the IP echo counted in all, whoever answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) received: u64,
    pub(super) received_bytes: u64,
    pub(super) replied: u64,
    pub(super) replied_bytes: u64,
    /// How much of `replied` the driver did.
    pub(super) by_driver: u64,
    silent: BTreeMap<String, u64>,
}

impl Counted {
    fn read(text: &str) -> Counted {
        let mut counted = Counted::default();
        for line in text.lines() {
            let object: Value = serde_json::from_str(line).expect("each line is an object");
            let by_driver = object["protocol"] == "xdp" && object["service"] == "ip";
            if object["last"] == true && (object["protocol"] == "ip" || by_driver) {
                counted.add(&object, by_driver);
            }
        }
        counted
    }

    fn add(&mut self, object: &Value, by_driver: bool) {
        let of = |name: &str| object[name].as_u64().expect("a counter");
        self.received += of("received");
        self.received_bytes += of("received_bytes");
        self.replied += of("replied");
        self.replied_bytes += of("replied_bytes");
        self.by_driver += if by_driver { of("replied") } else { 0 };
        for (reason, count) in object["silent"].as_object().expect("counters") {
            *self.silent.entry(reason.clone()).or_default() += count.as_u64().expect("a counter");
        }
    }

    /// How many packets ended in silence for this reason.
    pub(super) fn silent(&self, reason: &str) -> u64 {
        self.silent.get(reason).copied().unwrap_or(0)
    }

    /// How many packets ended in silence, by reason. What the host's own stack tells groups by a new device is none of
    /// ours.
    pub(super) fn reasons(&self, way: Way) -> BTreeMap<String, u64> {
        let mut reasons = self.silent.clone();
        if way == Way::Tun {
            reasons.remove("not_unicast");
        }
        reasons
    }

    /// How many packets ended in silence at all.
    pub(super) fn refused(&self) -> u64 {
        self.silent.values().sum()
    }
}

/// The Python that has scapy: Debian's own, whatever other comes first in the path.
pub(super) fn python_with_scapy_or_skip() -> Option<PathBuf> {
    let scapy = program_or_skip("scapy")?;
    let script = std::fs::read_to_string(scapy).expect("it is a script");
    let interpreter = script
        .strip_prefix("#!")
        .and_then(|rest| rest.split_whitespace().next());
    Some(interpreter.expect("a script names its interpreter").into())
}

/// Writes a configuration file and returns its path.
pub(super) fn write_config(folder: &TempDir, text: &str) -> String {
    let file = folder.path().join("serve.toml");
    std::fs::write(&file, text).expect("written");
    file.to_str().expect("UTF-8").to_owned()
}

/// A Python file of this folder's peers.
pub(super) fn script(name: &str) -> String {
    format!("{}/tests/peers/ip_echo/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Fails if tshark finds a wrong checksum, or a packet that it cannot read, in a capture.
pub(super) fn assert_reads_well(file: &Path) {
    let Some(tshark) = program_or_skip("tshark") else {
        return;
    };
    let mut command = std::process::Command::new(tshark);
    command.arg("-r").arg(file);
    let mut wrong = vec!["_ws.malformed".to_owned()];
    for protocol in ["ip", "udp", "tcp"] {
        command.args(["-o", &format!("{protocol}.check_checksum:TRUE")]);
        wrong.push(format!("{protocol}.checksum.status == \"Bad\""));
    }
    let output = command
        .args(["-Y", &wrong.join(" || ")])
        .output()
        .expect("tshark runs");
    let complaints = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter(|line| !line.starts_with("Running as user"))
        .collect::<String>();
    assert!(output.status.success(), "{complaints}");
    let found = String::from_utf8_lossy(&output.stdout);
    assert_eq!(found, "", "{complaints}");
}
