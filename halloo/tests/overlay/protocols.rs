//! Protocols that need a LAN, spoken across the overlay by the programs that everybody uses for them.

use crate::common::{Edge, Net, PATIENCE, beside, peer_or_skip, v4};
use halloo_lab::{Child, Host, program_or_skip};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian's packages put such programs.
const PLACES: [&str; 2] = ["usr/sbin", "usr/lib/frr"];

/// A program of Debian's that is unpacked and not installed: it would take something over.
fn daemon_or_skip(name: &str) -> Option<PathBuf> {
    let root = peer_or_skip("lan", "installed")?.parent()?.to_owned();
    let found = PLACES
        .iter()
        .map(|place| root.join(place).join(name))
        .find(|path| path.exists());
    match found {
        Some(path) => Some(path),
        None => peer_or_skip("lan", name),
    }
}

/// Runs it with its own libraries, a /run of its own that has these folders, and the groups that it asks for.
fn daemon(host: &Host, program: &Path, folders: &str, args: &[&str]) -> Child {
    let root = program
        .ancestors()
        .find(|folder| folder.join("installed").exists());
    let lib = root.expect("it lies in the folder of peers").join("usr/lib");
    let machine = fs::read_dir(&lib)
        .expect("libraries")
        .flatten()
        .map(|entry| entry.path());
    let machine = machine.filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    let libraries: Vec<String> = machine
        .flat_map(|path| [path.clone(), path.join("frr")])
        .map(|path| path.display().to_string())
        .collect();
    let script = "mount -t tmpfs tmpfs /run && (cd /run && mkdir -p $FOLDERS) \
                  && (cat /etc/group && echo frr:x:64999:root && echo frrvty:x:64998:root && echo avahi:x:64997:) > /run/group \
                  && (cat /etc/passwd && echo avahi:x:64997:64997::/:/bin/false) > /run/passwd \
                  && mount --bind /run/group /etc/group && mount --bind /run/passwd /etc/passwd && exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(program)
        .args(args)
        .env("FOLDERS", folders)
        .env("LD_LIBRARY_PATH", libraries.join(":"));
    host.spawn_command(command)
}

fn three(net: &Net) -> (Child, Vec<Edge>) {
    net.full(&["a", "b", "c"], &[])
}

#[test]
fn vrrp_moves_the_address_to_who_is_left() {
    let Some(net) = Net::or_skip("keepalived over edges") else {
        return;
    };
    let Some(keepalived) = daemon_or_skip("keepalived") else {
        return;
    };
    let (_supernode, edges) = three(&net);
    let virtual_address = "192.168.77.100";
    let router = |edge: &Edge, priority: u8| {
        let text = format!(
            "global_defs {{\n    vrrp_version 3\n}}\nvrrp_instance lan {{\n    state BACKUP\n    interface {}\n    \
             virtual_router_id 51\n    priority {priority}\n    advert_int 0.2\n    virtual_ipaddress {{\n        \
             {virtual_address}/24\n    }}\n}}\n",
            edge.tap
        );
        let file = net.write(&format!("vrrp-{priority}.conf"), &text);
        let file = file.to_str().expect("text");
        let args = ["--dont-fork", "--log-console", "--vrrp", "--use-file", file];
        daemon(&edge.host, &keepalived, ".", &args)
    };
    let [first, second, client] = &edges[..] else {
        unreachable!()
    };
    let one = router(first, 200);
    one.wait_for_line("Entering MASTER STATE", PATIENCE);
    let two = router(second, 100);
    two.wait_for_line("Entering BACKUP STATE", PATIENCE);
    client.reaches(virtual_address);
    let has_it = |edge: &Edge| {
        edge.host
            .must("ip", ["addr", "show", &edge.tap])
            .contains(virtual_address)
    };
    assert!(has_it(first) && !has_it(second));

    // The host is gone with its device. The client has the dead one's address in its ARP table, until it is told.
    first.child.signal(Signal::SIGKILL);
    two.wait_for_line("Entering MASTER STATE", PATIENCE);
    client.host.must("ping", ["-n", "-c1", "-w20", virtual_address]);
    assert!(has_it(second));
}

#[test]
fn dhcp_gives_a_lease() {
    let Some(net) = Net::or_skip("dnsmasq over edges") else {
        return;
    };
    let (Some(dnsmasq), Some(busybox)) = (daemon_or_skip("dnsmasq"), program_or_skip("busybox")) else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let server = net.numbered(net.host("a").a().host(), 0, &[]);
    let client = net.edge(net.host("b").a().host(), &[]);
    client.wait("a is there");
    server.wait("b is there");
    let leases = net.path("leases").display().to_string();
    let interface = format!("--interface={}", server.tap);
    let leases = format!("--dhcp-leasefile={leases}");
    let args = [
        "--keep-in-foreground",
        "--log-facility=-",
        "--conf-file=/dev/null",
        "--port=0",
        "--user=root",
        "--bind-interfaces",
        "--dhcp-range=192.168.77.50,192.168.77.60,1h",
        "--log-dhcp",
        "--dhcp-authoritative",
        "--no-ping",
        &interface,
        &leases,
    ];
    let serving = daemon(&server.host, &dnsmasq, ".", &args);
    serving.wait_for_line("DHCP, sockets bound", PATIENCE);
    let script = net.write(
        "lease",
        "#!/bin/sh\nif [ \"$1\" = bound ]; then ip addr add \"$ip/24\" dev \"$interface\"; fi\n",
    );
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("ours");
    let script = script.to_str().expect("text");
    let asking = [
        "udhcpc",
        "-f",
        "-n",
        "-q",
        "-t10",
        "-T1",
        "-i",
        &client.tap,
        "-s",
        script,
    ];
    let output = client.host.run(busybox, asking);
    assert!(output.status.success(), "{output:?} {serving}");
    let device = client.host.must("ip", ["addr", "show", &client.tap]);
    assert!(
        device.contains("192.168.77.5") || device.contains("192.168.77.60"),
        "{device}"
    );
    client.reaches(&v4(0));
}

#[test]
fn ospf_routers_become_adjacent_and_route() {
    let Some(net) = Net::or_skip("frr over edges") else {
        return;
    };
    let (Some(zebra), Some(ospfd)) = (daemon_or_skip("zebra"), daemon_or_skip("ospfd")) else {
        return;
    };
    let (_supernode, edges) = net.full(&["a", "b"], &[]);
    let mut running = vec![];
    let mut routes = vec![];
    for (place, edge) in edges.iter().enumerate() {
        let own = format!("10.77.0.{}", place + 1);
        edge.host
            .must("ip", ["addr", "add", &format!("{own}/32"), "dev", "lo"]);
        routes.push(edge.host.spawn("ip", ["monitor", "route"]));
        let tap = &edge.tap;
        let text = format!(
            "log stdout debugging\ninterface {tap}\n ip ospf hello-interval 1\n ip ospf dead-interval 4\nrouter ospf\n \
             ospf router-id {own}\n log-adjacency-changes detail\n network 192.168.77.0/24 area 0\n \
             network {own}/32 area 0\n"
        );
        let file = net.write(&format!("ospf-{place}.conf"), &text);
        let folder = net.path(&format!("frr-{place}"));
        fs::create_dir(&folder).expect("a folder");
        let at = |name: &str| folder.join(name).display().to_string();
        let (socket, vty) = (at("zserv"), at(""));
        let pids = [at("zebra.pid"), at("ospfd.pid")];
        let common = |pid| {
            vec![
                "-u",
                "root",
                "-g",
                "root",
                "-P",
                "0",
                "-z",
                &socket,
                "--vty_socket",
                &vty,
                "-i",
                pid,
            ]
        };
        let nothing = ["-f", "/dev/null", "--log", "stdout"];
        let first = daemon(
            &edge.host,
            &zebra,
            "frr",
            &[&common(&pids[0])[..], &nothing].concat(),
        );
        // Only then has ospfd somebody to ask.
        let ready = Path::new(&socket);
        wait_until(|| ready.exists(), &first);
        let file = file.display().to_string();
        let second = daemon(
            &edge.host,
            &ospfd,
            "frr",
            &[&common(&pids[1])[..], &["-f", &file]].concat(),
        );
        running.push((first, second));
    }
    for (_, ospfd) in &running {
        ospfd.wait_for_line("-> Full", PATIENCE);
    }
    for (place, routes) in routes.iter().enumerate() {
        routes.wait_for_line(&format!("10.77.0.{}", 2 - place), PATIENCE);
    }
    edges[0].reaches("10.77.0.2");
    edges[1].reaches("10.77.0.1");
}

/// What a program that says nothing makes.
fn wait_until(done: impl Fn() -> bool, child: &Child) {
    let begun = std::time::Instant::now();
    while !done() {
        assert!(child.is_running() && begun.elapsed() < PATIENCE, "{child}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn mdns_names_are_found() {
    let Some(net) = Net::or_skip("avahi over edges") else {
        return;
    };
    let Some(avahi) = daemon_or_skip("avahi-daemon") else {
        return;
    };
    let (_supernode, edges) = net.full(&["a", "b"], &[]);
    let text = format!(
        "[server]\nhost-name=press-a\nuse-ipv4=yes\nuse-ipv6=no\nallow-interfaces={}\nenable-dbus=no\n\
         [publish]\npublish-workstation=no\n[reflector]\n[rlimits]\n",
        edges[0].tap
    );
    let file = net.write("avahi.conf", &text);
    let file = file.to_str().expect("text");
    let args = ["--no-drop-root", "--no-chroot", "--no-rlimits", "--file", file];
    let announcing = daemon(&edges[0].host, &avahi, "avahi-daemon", &args);
    announcing.wait_for_line("Server startup complete", PATIENCE);
    let asking = [&beside("mdns.py"), &edges[1].tap, &v4(1), "press-a.local"];
    let answer = edges[1].host.must("python3", asking);
    assert_eq!(answer.trim(), v4(0), "{announcing}");
}

#[test]
fn ptp_finds_its_master_and_measures_the_way() {
    let Some(net) = Net::or_skip("linuxptp over edges") else {
        return;
    };
    let Some(ptp4l) = daemon_or_skip("ptp4l") else {
        return;
    };
    let (_supernode, edges) = net.full(&["a", "b"], &[]);
    // Over Ethernet itself and over UDP; nobody touches the clock.
    for transport in ["-2", "-4"] {
        let start = |edge: &Edge, more: &[&str]| {
            let common = [
                "-S",
                "-m",
                transport,
                "-i",
                &edge.tap,
                "--free_running=1",
                "--logSyncInterval=-3",
                "--logMinDelayReqInterval=-3",
                "--logAnnounceInterval=-2",
                "--summary_interval=-1",
            ];
            let args = [&common, more].concat();
            daemon(&edge.host, &ptp4l, ".", &args)
        };
        let _master = start(&edges[0], &["--priority1=1"]);
        let slave = start(&edges[1], &["--slaveOnly=1"]);
        slave.wait_for_line(" delay ", PATIENCE);
    }
}
