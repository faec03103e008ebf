//! Members that an authority vouches for, and who is none.

use crate::common::{Edge, Net, acquainted, halloo, said, v4};

/// Runs `halloo key`, which must succeed.
fn key(args: &[&str]) -> String {
    let output = halloo(&[&["key"], args].concat());
    assert_eq!(output.status.code(), Some(0), "{args:?} {}", said(&output));
    said(&output)
}

struct Town {
    net: Net,
}

impl Town {
    fn file(&self, name: &str) -> String {
        self.net.path(name).display().to_string()
    }

    /// A key, and a certificate for it by this authority.
    fn enrol(&self, ca: &str, name: &str, more: &[&str]) {
        let (own, certificate) = (
            self.file(&format!("{name}.key")),
            self.file(&format!("{name}.crt")),
        );
        key(&["new", &own]);
        let shown: serde_json::Value =
            serde_json::from_str(&key(&["show", "--json", &own])).expect("an object");
        let public = shown["fields"]["public_key"].as_str().expect("a key").to_owned();
        let ca = self.file(ca);
        let fixed = [
            "sign",
            "--ca",
            &ca,
            "--community",
            "lab",
            "--name",
            name,
            "--out",
            &certificate,
            &public,
        ];
        key(&[&fixed, more].concat());
    }

    fn edge(&self, ca: &str, name: &str, place: usize) -> Edge {
        self.edge_with(ca, name, place, &[])
    }

    fn edge_with(&self, ca: &str, name: &str, place: usize, more: &[&str]) -> Edge {
        let files =
            [format!("{name}.key"), format!("{name}.crt"), format!("{ca}.pub")].map(|name| self.file(&name));
        let args = [
            "--key-file",
            &files[0],
            "--certificate",
            &files[1],
            "--ca",
            &files[2],
        ];
        let args = [&args, more].concat();
        self.net.numbered(self.net.host(name).a().host(), place, &args)
    }
}

#[test]
fn only_who_is_vouched_for_is_a_member() {
    let Some(net) = Net::or_skip("certificates") else {
        return;
    };
    let town = Town { net };
    let _supernode = town.net.supernode(&[]);
    for ca in ["ca", "foreign"] {
        key(&["new", "--ca", &town.file(ca)]);
    }
    town.enrol("ca", "a", &[]);
    town.enrol("ca", "b", &[]);
    town.enrol("foreign", "c", &[]);
    let members = [town.edge("ca", "a", 0), town.edge("ca", "b", 1)];
    acquainted(&members);
    members[0].reaches(&v4(1));

    // The secret alone is not enough, nor is another authority's word.
    let foreign = town.edge("foreign", "c", 2);
    let plain = town.net.numbered(town.net.host("d").a().host(), 3, &[]);
    for (edge, name) in [(&foreign, "c"), (&plain, "d")] {
        let words = edge.wait("efuse");
        assert!(
            words.contains("certificate") || words.contains("authority"),
            "{words}"
        );
        let output = edge.host.run("ping", ["-n", "-c1", "-W1", &v4(0)]);
        assert!(!output.status.success(), "{name}: {output:?}");
    }
    members[0].reaches(&v4(1));
}

#[test]
fn a_certificate_binds_the_ethernet_address() {
    let Some(net) = Net::or_skip("a certificate for one MAC address") else {
        return;
    };
    let town = Town { net };
    let _supernode = town.net.supernode(&[]);
    key(&["new", "--ca", &town.file("ca")]);
    town.enrol("ca", "a", &[]);
    // Its device has another one.
    town.enrol("ca", "b", &["--mac", "02:00:00:00:00:0b"]);
    let edges = [town.edge("ca", "a", 0), town.edge("ca", "b", 1)];
    acquainted(&edges);
    let output = edges[1].host.run("ping", ["-n", "-c2", "-i0.2", "-W1", &v4(0)]);
    assert!(!output.status.success(), "{output:?}");

    // With the one that it may use it gets through.
    edges[1].host.must(
        "ip",
        ["link", "set", &edges[1].tap, "address", "02:00:00:00:00:0b"],
    );
    edges[1].reaches(&v4(0));
}

#[test]
fn a_certificate_that_is_taken_back_ends_a_membership_at_once() {
    let Some(net) = Net::or_skip("certificates that are taken back") else {
        return;
    };
    let town = Town { net };
    let _supernode = town.net.supernode(&[]);
    key(&["new", "--ca", &town.file("ca")]);
    for name in ["a", "b", "c", "gone"] {
        town.enrol("ca", name, &[]);
    }
    let (ca, list) = (town.file("ca"), town.file("revoked"));
    let revoke = |name: &str| {
        let certificate = town.file(&format!("{name}.crt"));
        key(&["revoke", "--ca", &ca, "--list", &list, &certificate]);
    };
    revoke("gone");
    let revoked = ["--revoked", list.as_str()];
    let edges = [
        town.edge_with("ca", "a", 0, &revoked),
        town.edge_with("ca", "b", 1, &revoked),
        town.edge("ca", "c", 2),
    ];
    acquainted(&edges);
    // Who was on it at the start is no member.
    let gone = town.edge("ca", "gone", 3);
    assert!(gone.wait("revoked").contains("certificate"));
    revoke("c");
    edges[2].wait("revoked");
    edges[0].wait("takes 2 certificates back");
    for other in &edges[..2] {
        other.wait("is gone");
        let output = other.host.run("ping", ["-n", "-c1", "-W1", &v4(2)]);
        assert!(!output.status.success(), "{output:?}");
    }
    edges[0].reaches(&v4(1));
}
