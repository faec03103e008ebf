//! Joining, being told why not, and leaving.

use crate::common::{HALLOO, Net, PATIENCE, acquainted, halloo, said, tap, v4, v6};
use halloo_lab::{Child, program_or_skip};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where an edge answers questions.
fn socket(tap: &str) -> String {
    format!("/run/halloo/edge-{tap}.sock")
}

/// A line of /proc/PID/status.
fn of_process(child: &Child, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/status", child.pid())).expect("it runs");
    let line = text.lines().find(|line| line.starts_with(key));
    line.expect(key).to_owned()
}

/// Their folders in /proc.
fn threads(child: &Child) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{}/task", child.pid())).expect("it runs");
    entries.map(|entry| entry.expect("a thread").path()).collect()
}

#[test]
fn three_hosts_are_one_ethernet() {
    let Some(net) = Net::or_skip("three edges and a supernode") else {
        return;
    };
    let (supernode, edges) = net.full(&["a", "b", "c"], &[]);
    for edge in &edges {
        for place in 0..3 {
            edge.reaches(&v4(place));
            edge.reaches(&v6(place));
        }
    }

    let [a, b, _] = &edges[..] else { unreachable!() };
    let status = a.status();
    assert_eq!(status["type"], "edge_status");
    assert_eq!(status["community"], "lab");
    assert_eq!(status["supernodes"][0]["registered"], true, "{status:#}");
    // As many as there were when it came.
    assert_eq!(edges[2].status()["supernodes"][0]["members"], 3, "{status:#}");
    for name in ["b", "c"] {
        let peer = a.peer(name);
        assert_eq!(peer["up"], true, "{peer:#}");
        assert!(peer["cipher"].is_string(), "{peer:#}");
        assert!(peer["sent_frames"].as_u64() > Some(0), "{peer:#}");
        let paths = peer["paths"].as_array().expect("paths");
        let used = paths
            .iter()
            .find(|path| path["in_use"] == true)
            .expect("one is used");
        assert_eq!(used["relayed"], false, "{peer:#}");
    }
    let text = said(&halloo(&["edge", "status", &a.tap]));
    assert!(text.contains("registered") && text.contains("direct"), "{text}");
    // What came and went has a unit, and what came to nothing has a place of its own.
    assert!(
        text.lines()
            .any(|line| line.starts_with("b ") && line.ends_with('B')),
        "{text}"
    );
    let text = said(&halloo(&["edge", "status", &a.tap, "--counters"]));
    let (counted, dropped) = text.split_once("DROPPED, BY REASON").expect("both kinds");
    assert!(
        counted.contains("frames_to_peers") && !dropped.contains("frames"),
        "{text}"
    );

    // Nobody else asks it, and it can do nothing else.
    let mode = fs::metadata(socket(&a.tap))
        .expect("its socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let nobody = nix::unistd::User::from_name("nobody")
        .expect("users")
        .expect("nobody");
    for child in [&a.child, &supernode] {
        let uids = of_process(child, "Uid:");
        let all = uids
            .split_whitespace()
            .skip(1)
            .all(|uid| uid == nobody.uid.to_string());
        assert!(all, "{uids}");
        let capabilities = of_process(child, "CapEff:");
        assert!(capabilities.ends_with("0000000000000000"), "{capabilities}");
    }

    // The secret is where it was, and nowhere else.
    let secret = fs::read_to_string(net.path("secret")).expect("the secret");
    let secret = secret.trim();
    for place in ["cmdline", "environ"] {
        let octets = fs::read(format!("/proc/{}/{place}", a.child.pid())).expect("it runs");
        assert!(!String::from_utf8_lossy(&octets).contains(secret), "{place}");
    }
    for child in [&a.child, &b.child, &supernode] {
        assert!(!child.to_string().contains(secret), "{child}");
    }

    a.child.signal(Signal::SIGTERM);
    assert_eq!(a.child.wait(PATIENCE).code(), Some(0), "{}", a.child);
    assert!(!a.has_device());
    b.wait("a is gone");
    supernode.signal(Signal::SIGTERM);
    assert_eq!(supernode.wait(PATIENCE).code(), Some(0), "{supernode}");
}

#[test]
fn a_supernode_gives_addresses_away() {
    let Some(net) = Net::or_skip("addresses from the pool") else {
        return;
    };
    let hosts = ["a", "b", "c"].map(|name| net.host(name));
    let edges: Vec<_> = hosts
        .iter()
        .map(|link| net.edge(link.a().host(), &["--address", "auto"]))
        .collect();
    // One thread may give the device an address, and can do nothing else.
    let nobody = nix::unistd::User::from_name("nobody")
        .expect("users")
        .expect("nobody");
    let mut able = vec![];
    for thread in threads(&edges[0].child) {
        let text = fs::read_to_string(thread.join("status")).expect("a thread");
        assert!(text.contains(&format!("Uid:\t{}\t", nobody.uid)), "{text}");
        if !text.contains("CapPrm:\t0000000000000000") {
            assert!(
                text.contains("CapPrm:\t0000000000001000"),
                "only CAP_NET_ADMIN: {text}"
            );
            able.push(text.lines().next().unwrap_or_default().to_owned());
        }
    }
    assert_eq!(able, ["Name:\thalloo"], "the main thread");
    // However late it comes, it is taken: that none has come is said once, and ends nothing.
    edges[0].wait("no supernode has given an address yet");
    let supernode = net.supernode(&["--pool", "10.9.0.0/24"]);
    let addresses: Vec<String> = edges
        .iter()
        .map(|edge| {
            let line = edge.wait("the address is");
            let (_, address) = line.rsplit_once(' ').expect("a word");
            assert!(
                address.starts_with("10.9.0.") && address.ends_with("/24"),
                "{line}"
            );
            address.trim_end_matches("/24").to_owned()
        })
        .collect();
    acquainted(&edges);
    for edge in &edges {
        for address in &addresses {
            edge.reaches(address);
        }
        let address = edge.status()["address"].as_str().expect("one").to_owned();
        assert!(
            addresses.contains(&address.trim_end_matches("/24").to_owned()),
            "{address}"
        );
    }

    // It comes back with another network: they follow, and what they had is gone.
    supernode.signal(Signal::SIGTERM);
    supernode.wait(PATIENCE);
    let _supernode = net.supernode(&["--pool", "10.8.0.0/16"]);
    let others: Vec<String> = edges
        .iter()
        .map(|edge| {
            let line = edge.wait("the address is 10.8.");
            let (_, address) = line.rsplit_once(' ').expect("a word");
            address.trim_end_matches("/16").to_owned()
        })
        .collect();
    for (edge, before) in edges.iter().zip(&addresses) {
        others.iter().for_each(|address| edge.reaches(address));
        let shown = edge.host.must("ip", ["address", "show", "dev", &edge.tap]);
        assert!(shown.contains("10.8.") && !shown.contains(before), "{shown}");
    }
}

#[test]
fn an_address_that_the_device_cannot_be_given_ends_nothing() {
    let Some(net) = Net::or_skip("an address that is there already") else {
        return;
    };
    let edge = net.edge(net.host("a").a().host(), &["--address", "auto"]);
    for address in ["10.9.0.1/30", "10.9.0.2/30"] {
        let words = ["address", "add", address, "dev", &edge.tap];
        edge.host.must("ip", words);
    }
    let _supernode = net.supernode(&["--pool", "10.9.0.0/30"]);
    let words = edge.wait("the device did not get its address");
    assert!(words.contains("it has none"), "{words}");
    assert_eq!(edge.status()["supernodes"][0]["registered"], true);
}

#[test]
fn who_was_killed_comes_back() {
    let Some(net) = Net::or_skip("an edge that is killed") else {
        return;
    };
    net.key(&[net.path("b.key").to_str().expect("text")]);
    let key = net.path("b.key").display().to_string();
    let _supernode = net.supernode(&[]);
    let (a, b) = (net.host("a"), net.host("b"));
    let near = net.numbered(a.a().host(), 0, &[]);
    let far = net.numbered(b.a().host(), 1, &["--key-file", &key]);
    near.wait("b is there");
    near.reaches(&v4(1));

    far.child.signal(Signal::SIGKILL);
    far.child.wait(PATIENCE);
    assert!(
        !far.has_device(),
        "the kernel takes a device away with its process"
    );
    let asked = halloo(&["edge", "status", &far.tap]);
    assert_eq!(asked.status.code(), Some(1), "{asked:?}");
    assert!(said(&asked).contains("no edge answers"), "{asked:?}");

    // The same device name, and so the same socket, which the killed one left behind.
    let v4_address = format!("{}/24", v4(1));
    let args = ["--address", &v4_address, "--key-file", &key];
    let again = b
        .a()
        .host()
        .spawn(HALLOO, net.words(b.a().host(), &far.tap, &args));
    again.wait_for_line("a is there", PATIENCE);
    // Who was not killed has to find out that the other is somewhere else.
    let begun = std::time::Instant::now();
    near.host.must("ping", ["-n", "-c1", "-i0.1", "-w20", &v4(1)]);
    eprintln!("reached {:?} after the restart", begun.elapsed());
    near.reaches(&v4(1));
    let asked = halloo(&["edge", "status", &far.tap]);
    assert_eq!(asked.status.code(), Some(0), "{asked:?}");

    // What a dead one left behind goes when the next edge starts.
    again.signal(Signal::SIGKILL);
    again.wait(PATIENCE);
    let left = socket(&far.tap);
    let _next = net.edge(b.a().host(), &[]);
    assert!(!Path::new(&left).exists());
}

#[test]
fn another_secret_is_told() {
    let Some(net) = Net::or_skip("an edge with another secret") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let (a, b) = (net.host("a"), net.host("b"));
    let near = net.numbered(a.a().host(), 0, &[]);
    near.wait("registered with");
    let other = net.path("other").display().to_string();
    net.key(&["--secret", &other]);
    let far = net.numbered(b.a().host(), 1, &["--secret-file", &other]);
    let line = far.wait("registered with");
    assert!(
        line.contains("another secret") && line.contains("--secret-file"),
        "{line}"
    );
    let output = near.host.run("ping", ["-n", "-c1", "-W1", &v4(1)]);
    assert!(!output.status.success(), "{output:?}");
}

#[test]
fn ciphers_that_do_not_meet_are_told_on_both_sides() {
    let Some(net) = Net::or_skip("ciphers that do not meet") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let (a, b) = (net.host("a"), net.host("b"));
    let near = net.numbered(a.a().host(), 0, &["--cipher", "aes-256-gcm"]);
    let far = net.numbered(b.a().host(), 1, &["--cipher", "none"]);
    far.wait("in the clear");
    for (edge, other) in [(&near, "b"), (&far, "a")] {
        let line = edge.wait("efuse");
        assert!(line.contains(other), "who: {line}");
        assert!(line.contains("cipher"), "what: {line}");
        assert!(
            line.contains("aes-256-gcm") && line.contains("none"),
            "which: {line}"
        );
        let peer = edge.peer(other);
        assert_eq!(peer["up"], false, "{peer:#}");
        assert!(peer["refusal"].is_string(), "{peer:#}");
    }
}

#[test]
fn each_cipher_and_compression_carries() {
    let Some(net) = Net::or_skip("ciphers and compressions") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let (a, b) = (net.host("a"), net.host("b"));
    let ciphers = ["aes-256-gcm", "aes-128-gcm", "chacha20-poly1305", "mac", "none"];
    let compressions = ["none", "lz4", "zstd"];
    for cipher in ciphers {
        for compression in compressions {
            let args = ["--cipher", cipher, "--compress", compression];
            let edges = [
                net.numbered(a.a().host(), 0, &args),
                net.numbered(b.a().host(), 1, &args),
            ];
            acquainted(&edges);
            // What compresses well, and is longer than a datagram.
            let long = ["-n", "-c2", "-i0.1", "-W3", "-s", "8000", &v4(1)];
            edges[0].host.must("ping", long);
            let peer = edges[0].peer("b");
            assert_eq!(peer["cipher"], cipher, "{peer:#}");
            assert_eq!(peer["compression"], compression, "{peer:#}");
            for edge in &edges {
                edge.child.signal(Signal::SIGTERM);
                edge.child.wait(PATIENCE);
            }
        }
    }
}

#[test]
fn it_is_ready_once_it_is_registered() {
    let Some(net) = Net::or_skip("readiness") else {
        return;
    };
    let notify = net.path("notify");
    let heard = UnixDatagram::bind(&notify).expect("a socket");
    // Whom the edge becomes must reach it.
    fs::set_permissions(net.folder.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    fs::set_permissions(&notify, fs::Permissions::from_mode(0o666)).expect("ours");
    let link = net.host("a");
    let name = tap();
    let mut command = Command::new(HALLOO);
    command
        .args(net.words(link.a().host(), &name, &["--address", "192.168.77.1/24"]))
        .env("NOTIFY_SOCKET", &notify);
    let edge = link.a().host().spawn_command(command);
    edge.wait_for_line("is a port of", PATIENCE);
    heard.set_nonblocking(true).expect("it can be");
    let mut buffer = [0; 1024];
    assert!(heard.recv(&mut buffer).is_err(), "ready without a supernode");

    let _supernode = net.supernode(&[]);
    edge.wait_for_line("registered with", PATIENCE);
    heard.set_nonblocking(false).expect("it can be");
    heard.set_read_timeout(Some(PATIENCE)).expect("it can be");
    let len = heard.recv(&mut buffer).expect("a message");
    let text = String::from_utf8_lossy(&buffer[..len]);
    assert!(text.contains("READY=1"), "{text}");
    assert!(text.contains("lab"), "{text}");
}

#[test]
fn several_edges_live_on_one_host() {
    let Some(net) = Net::or_skip("two communities at one host") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let (a, b) = (net.host("a"), net.host("b"));
    let other = ["--community", "other"];
    let start = |link: &halloo_lab::Link, address: &str, args: &[&str]| {
        let (host, name) = (link.a().host(), tap());
        let mut words = net.words(host, &name, &["--address", address]);
        if !args.is_empty() {
            words[1..3].clone_from_slice(&other.map(str::to_owned));
        }
        let child = host.spawn(HALLOO, words);
        child.wait_for_line("is a port of", PATIENCE);
        (child, name)
    };
    let (first, name) = start(&a, "192.168.77.1/24", &[]);
    let (second, other_name) = start(&a, "192.168.78.1/24", &other);
    let (_third, _) = start(&b, "192.168.77.2/24", &[]);
    let (_fourth, _) = start(&b, "192.168.78.2/24", &other);
    first.wait_for_line("b is there", PATIENCE);
    second.wait_for_line("b is there", PATIENCE);
    for address in ["192.168.77.2", "192.168.78.2"] {
        a.a().host().must("ping", ["-n", "-c2", "-i0.1", "-W3", address]);
    }
    for name in [&name, &other_name] {
        assert!(Path::new(&socket(name)).exists());
    }
    let asked = halloo(&["edge", "status"]);
    assert_eq!(asked.status.code(), Some(2), "{asked:?}");
    let text = said(&asked);
    assert!(text.contains("say which") && text.contains(&name), "{text}");
}

#[test]
fn edges_of_two_namespaces_with_devices_of_one_name_answer_apart() {
    let Some(net) = Net::or_skip("one name in two namespaces") else {
        return;
    };
    let (a, b) = (net.host("a"), net.host("b"));
    let first = net.edge(a.a().host(), &[]);
    let start = |args: &[&str]| {
        let edge = b
            .a()
            .host()
            .spawn(HALLOO, net.words(b.a().host(), &first.tap, args));
        edge.wait_for_line("is a port of lab", PATIENCE);
        edge
    };
    let second = start(&[]);
    let line = second.wait_for_line("will not work", PATIENCE);
    for word in [socket(&first.tap).as_str(), "--tap", "--control"] {
        assert!(line.contains(word), "{line}");
    }
    second.signal(Signal::SIGTERM);
    second.wait(PATIENCE);
    assert_eq!(
        first.status()["type"],
        "edge_status",
        "its socket is where it was"
    );

    let path = net.path("control").display().to_string();
    let _second = start(&["--control", &path]);
    let asked = halloo(&["edge", "status", "--control", &path, "--json"]);
    assert!(said(&asked).contains("\"edge_status\""), "{asked:?}");
    assert_eq!(first.status()["type"], "edge_status");
    let mode = fs::metadata(&path).expect("its socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // Whoever says where must be able to have it there.
    let words = net.words(b.a().host(), &tap(), &["--control", &path]);
    let third = b.a().host().spawn(HALLOO, words);
    assert_eq!(third.wait(PATIENCE).code(), Some(2));
    let text = third.to_string();
    assert!(
        text.contains("--control") && text.contains("another edge"),
        "{text}"
    );
}

#[test]
fn who_is_not_root_answers_in_the_folder_of_its_own() {
    let Some(net) = Net::or_skip("an edge that is not root's") else {
        return;
    };
    let Some(setpriv) = program_or_skip("setpriv") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let link = net.host("a");
    let nobody = nix::unistd::User::from_name("nobody")
        .expect("users")
        .expect("nobody");
    let runtime = net.path("runtime");
    fs::create_dir(&runtime).expect("a folder");
    let secret = net.path("theirs");
    fs::copy(net.path("secret"), &secret).expect("a copy");
    for path in [&runtime, &secret] {
        chown(path, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).expect("root may");
    }
    // Not below the folder that only root may enter.
    fs::set_permissions(net.folder.path(), fs::Permissions::from_mode(0o711)).expect("ours");
    let name = tap();
    let secret = secret.display().to_string();
    let words = net.words(link.a().host(), &name, &["--secret-file", &secret, "--json"]);
    // A device that everybody may open, as on every distribution, but not in every container.
    let script = "mknod -m 666 \"$TUN\" c 10 200 && mount --bind \"$TUN\" /dev/net/tun && exec \"$@\"";
    let rights = ["--inh-caps=+net_admin", "--ambient-caps=+net_admin"];
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(setpriv)
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
        .args(rights)
        .args(["--", HALLOO])
        .args(words)
        .env("TUN", net.path("tun"))
        .env("XDG_RUNTIME_DIR", &runtime);
    let edge = link.a().host().spawn_command(command);
    edge.wait_for_line("\"type\":\"registered\"", PATIENCE);
    assert!(of_process(&edge, "CapEff:").ends_with("0000000000000000"));
    assert!(runtime.join(format!("halloo/edge-{name}.sock")).exists());
    let asked = Command::new(HALLOO)
        .args(["edge", "status", "--counters", &name])
        .env("XDG_RUNTIME_DIR", &runtime)
        .output()
        .expect("halloo runs");
    let text = said(&asked);
    assert_eq!(asked.status.code(), Some(0), "{text}");
    assert!(text.contains("COUNTERS") && text.contains("datagrams"), "{text}");

    // Nothing but objects, whatever it is asked.
    edge.signal(Signal::SIGUSR1);
    edge.wait_for_line("\"type\":\"edge_status\"", PATIENCE);
    for line in edge.stdout().lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(object["type"].is_string(), "{line}");
    }
}
