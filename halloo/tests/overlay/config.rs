//! What a configuration says, and what is said of one that is wrong.

use crate::common::{HALLOO, Net, PATIENCE, halloo, said, tap, v4};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

#[test]
fn a_file_says_it_all() {
    let Some(net) = Net::or_skip("edges from files") else {
        return;
    };
    let supernode = net.write(
        "supernode.toml",
        "[supernode]\nlisten = [\"[::]:7000\"]\npool = \"10.9.0.0/24\"\n",
    );
    let supernode = supernode.to_str().expect("text");
    assert_eq!(halloo(&["check", supernode]).status.code(), Some(0));
    let _supernode = net.supernode(&["--config", supernode]);
    let secret = net.path("secret").display().to_string();
    let address = net.supernode_address();
    let mut edges = vec![];
    for (place, name) in ["a", "b"].into_iter().enumerate() {
        let tap = tap();
        let text = format!(
            "[edge]\ncommunity = \"lab\"\nsecret_file = \"{secret}\"\nsupernodes = [\"{address}:7000\"]\n\
             addresses = [\"{}/24\", \"auto\"]\ntap = \"{tap}\"\nmac = \"02:00:00:00:00:0{place}\"\nmtu = 1400\n\
             cipher = \"chacha20-poly1305\"\ncompress = \"lz4\"\nname = \"{name}\"\nuser = \"daemon\"\n",
            v4(place)
        );
        let file = net.write(&format!("{name}.toml"), &text);
        let file = file.to_str().expect("text");
        let checked = halloo(&["check", file]);
        assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));
        let link = net.host(name);
        let child = link.a().host().spawn(HALLOO, ["edge", "--config", file]);
        child.wait_for_line("the address is 10.9.0.", PATIENCE);
        edges.push((child, tap, link));
    }
    let (child, tap, link) = &edges[0];
    child.wait_for_line("b is there", PATIENCE);
    link.a()
        .host()
        .must("ping", ["-n", "-c2", "-i0.1", "-W3", &v4(1)]);
    let device = link.a().host().must("ip", ["link", "show", tap]);
    assert!(
        device.contains("mtu 1400") && device.contains("02:00:00:00:00:00"),
        "{device}"
    );
    let status = said(&halloo(&["edge", "status", tap]));
    assert!(status.contains("chacha20-poly1305"), "{status}");
    let uids = fs::read_to_string(format!("/proc/{}/status", child.pid())).expect("it runs");
    let daemon = nix::unistd::User::from_name("daemon")
        .expect("users")
        .expect("daemon");
    assert!(uids.contains(&format!("Uid:\t{}\t", daemon.uid)), "{uids}");
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("edge.toml");
    let cases = [
        ("[edge]\nmtu = 100\n", "edge.mtu"),
        ("[edge]\nmtu = 9001\n", "edge.mtu"),
        ("[edge]\nflows = 0\n", "edge.flows"),
        ("[edge]\nflows = 9\n", "edge.flows"),
        ("[edge]\ncipher = \"rot13\"\n", "rot13"),
        ("[edge]\ncompress = \"best\"\n", "best"),
        ("[edge]\naddresses = [\"192.168.1.300/24\"]\n", "192.168.1.300"),
        ("[edge]\nmac = \"01:00:00:00:00:01\"\n", "01:00:00:00:00:01"),
        ("[edge]\nsupernodes = [\"host:0\"]\n", "host:0"),
        ("[edge]\ncolour = \"red\"\n", "colour"),
        ("[edge]\ncertificate = \"a.crt\"\n", "edge.certificate"),
        ("[edge]\nrevoked = \"list\"\n", "edge.revoked"),
        (
            "[edge]\nbridge = \"br0\"\naddresses = [\"10.0.0.1/24\"]\n",
            "edge.addresses",
        ),
        (
            "[edge]\nname = \"123456789012345678901234567890123\"\n",
            "edge.name",
        ),
        ("[edge]\ncommunity = \"a\\u0007b\"\n", "edge.community"),
        ("[supernode]\nmembers = 0\n", "supernode.members"),
        ("[supernode]\npeers = [\"host\"]\n", "supernode.peers"),
        ("[supernode]\ncommunities = [\"lab\"]\n", "supernode.communities"),
        ("[supernode]\npool = \"10.0.0.0/33\"\n", "supernode.pool"),
        ("[supernode]\npool = \"10.0.0.0/31\"\n", "supernode.pool"),
        ("[supernode]\npool = \"128.0.0.0/1\"\n", "supernode.pool"),
        ("[supernode]\npool = \"224.0.0.0/8\"\n", "supernode.pool"),
    ];
    for (text, named) in cases {
        fs::write(&file, text).expect("it can be written");
        let path = file.to_str().expect("text");
        let command = if text.starts_with("[edge]") {
            "edge"
        } else {
            "supernode"
        };
        for args in [vec!["check", path], vec![command, "--config", path]] {
            let output = halloo(&args);
            let words = said(&output);
            assert_eq!(output.status.code(), Some(2), "{args:?} {text}{words}");
            assert!(words.contains(named), "{args:?} {text}{words}");
        }
    }
}

#[test]
fn what_is_missing_is_named() {
    let cases: [(&[&str], &str); 4] = [
        (&[], "--community"),
        (&["--community", "lab"], "--secret-file"),
        (&["--community", "lab", "--secret-file", "s"], "--supernode"),
        (
            &[
                "--community",
                "lab",
                "--secret-file",
                "/nowhere",
                "--supernode",
                "127.0.0.1",
            ],
            "/nowhere",
        ),
    ];
    for (args, named) in cases {
        let output = halloo(&[&["edge"], args].concat());
        let words = said(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?} {words}");
        assert!(words.contains(named), "{args:?} {words}");
    }
}

#[test]
fn a_secret_that_others_may_read_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    fs::write(&secret, "open sesame open sesame\n").expect("it can be written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).expect("ours");
    let path = secret.to_str().expect("text");
    let output = halloo(&[
        "edge",
        "--community",
        "lab",
        "--supernode",
        "127.0.0.1",
        "--secret-file",
        path,
    ]);
    let words = said(&output);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains(path) && words.contains("chmod"), "{words}");
    assert!(!words.contains("sesame"), "{words}");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let folder = tempfile::tempdir().expect("a folder");
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd");
    // A template is read as one of its instances.
    for (name, copy) in [
        ("halloo-supernode.service", "halloo-supernode.service"),
        ("halloo-edge@.service", "halloo-edge@lab.service"),
    ] {
        let text = fs::read_to_string(units.join(name)).expect("the unit");
        let copy = folder.path().join(copy);
        // It is not installed where the unit says.
        fs::write(&copy, text.replace("/usr/bin/halloo", HALLOO)).expect("a copy");
        let mut verify = Command::new("systemd-analyze");
        verify
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(&copy);
        let Ok(output) = verify.output() else {
            eprintln!("SKIPPED: there is no systemd-analyze");
            return;
        };
        let words = said(&output);
        assert!(output.status.success() && !words.contains("halloo-"), "{words}");
    }
}
