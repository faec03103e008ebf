//! Who competes: one table. How each is started stands in `recipe`.

use super::recipe::Recipe;
use std::ops::BitOr;

/// One overlay with one choice of its settings, or what it is held against.
#[derive(Debug)]
pub(crate) struct Contender {
    /// The name in tables and on the command line.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What it does to frames, for people.
    pub(crate) cipher: &'static str,
    /// Whether nobody on the way can read them.
    pub(crate) secret: bool,
    /// The longest payload of a frame inside.
    pub(crate) mtu: u32,
    /// What is measured of it.
    pub(crate) tests: Tests,
    pub(crate) recipe: Recipe,
}

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The kernel's: no process to take the time of.
    Kernel,
    /// Written by others, carries frames.
    Peer,
    /// Written by others, carries IP only: for reference.
    Layer3,
    /// Halloo.
    Own,
}

/// A set of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tests(u8);

impl Tests {
    pub(crate) const TCP: Tests = Tests(1);
    pub(crate) const FILE: Tests = Tests(2);
    pub(crate) const ZMQ: Tests = Tests(4);
    pub(crate) const UDP: Tests = Tests(8);
    pub(crate) const TRIPS: Tests = Tests(16);
    pub(crate) const ALL: Tests = Tests(31);
    pub(crate) const NONE: Tests = Tests(0);

    pub(crate) fn has(self, other: Tests) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those that both have.
    pub(crate) fn and(self, other: Tests) -> Tests {
        Tests(self.0 & other.0)
    }
}

impl BitOr for Tests {
    type Output = Tests;

    fn bitor(self, other: Tests) -> Tests {
        Tests(self.0 | other.0)
    }
}

/// Those whose MTU does not fit the wire: a class of their own, so not everything is asked of them.
const BULK: Tests = Tests(1 | 2 | 4);

impl Contender {
    /// Whether its frames are longer than those of the wire beneath, so that this must cut its datagrams.
    pub(crate) fn is_tuned(&self) -> bool {
        self.mtu > 1500
    }
}

const fn kernel(name: &'static str, mtu: u32, recipe: Recipe) -> Contender {
    Contender {
        name,
        kind: Kind::Kernel,
        cipher: "-",
        secret: false,
        mtu,
        tests: Tests::ALL,
        recipe,
    }
}

const fn peer(name: &'static str, cipher: &'static str, mtu: u32, recipe: Recipe) -> Contender {
    Contender {
        name,
        kind: Kind::Peer,
        cipher,
        secret: cipher.as_bytes()[0] != b'-',
        mtu,
        tests: if mtu > 1500 { BULK } else { Tests::ALL },
        recipe,
    }
}

const fn own(name: &'static str, cipher: &'static str, secret: bool, words: &'static str) -> Contender {
    Contender {
        name,
        kind: Kind::Own,
        cipher,
        secret,
        mtu: 1500,
        tests: Tests::ALL,
        recipe: Recipe::Halloo(words),
    }
}

/// Our edge where the kernel carries the frames.
pub(crate) const KERNEL: &str = "halloo-kernel";

/// Everybody, in the order of the tables.
pub(crate) const ALL: &[Contender] = &[
    kernel("veth", 1500, Recipe::Veth),
    kernel("vxlan", 1450, Recipe::Vxlan),
    own("halloo-none", "-", false, "--cipher none"),
    own("halloo-mac", "mac", false, "--cipher mac"),
    own("halloo-aes", "AES-256-GCM", true, "--cipher aes-256-gcm"),
    own(
        "halloo-chacha",
        "ChaCha20-Poly1305",
        true,
        "--cipher chacha20-poly1305",
    ),
    own(
        "halloo-lz4",
        "AES-256-GCM, LZ4",
        true,
        "--cipher aes-256-gcm --compress lz4",
    ),
    Contender {
        // Less than the wire by what VXLAN puts before each frame.
        mtu: 1450,
        ..own(KERNEL, "-", false, "--cipher none --data-plane kernel")
    },
    peer("openvpn", "-", 1500, Recipe::OpenVpn("none")),
    peer("openvpn-aes", "AES-256-GCM", 1500, Recipe::OpenVpn("AES-256-GCM")),
    peer("tinc", "AES-256-CBC, SHA-256", 1500, Recipe::Tinc(true)),
    peer("tinc-none", "-", 1500, Recipe::Tinc(false)),
    peer("fastd", "-", 1426, Recipe::Fastd("null")),
    peer("fastd-aes", "AES-128-GCM", 1426, Recipe::Fastd("aes128-gcm")),
    peer("n2n", "Twofish", 1400, Recipe::N2n),
    peer("vpncloud", "-", 1400, Recipe::VpnCloud("plain")),
    peer("vpncloud-aes", "AES-128-GCM", 1400, Recipe::VpnCloud("aes128")),
    peer("openvpn-9000", "-", 9000, Recipe::OpenVpn("none")),
    peer(
        "openvpn-aes-9000",
        "AES-256-GCM",
        9000,
        Recipe::OpenVpn("AES-256-GCM"),
    ),
    peer("fastd-9000", "-", 9000, Recipe::Fastd("null")),
    peer("fastd-aes-9000", "AES-128-GCM", 9000, Recipe::Fastd("aes128-gcm")),
    peer("vpncloud-9000", "-", 9000, Recipe::VpnCloud("plain")),
    peer(
        "vpncloud-aes-9000",
        "AES-128-GCM",
        9000,
        Recipe::VpnCloud("aes128"),
    ),
    Contender {
        name: "wireguard-go",
        kind: Kind::Layer3,
        cipher: "ChaCha20-Poly1305",
        secret: true,
        mtu: 1420,
        tests: Tests::TCP,
        recipe: Recipe::WireGuard,
    },
];

/// The one of that name.
pub(crate) fn named(name: &str) -> Option<&'static Contender> {
    ALL.iter().find(|contender| contender.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_fit_the_tables() {
        for (place, contender) in ALL.iter().enumerate() {
            assert!(contender.name.len() <= 18, "{}", contender.name);
            assert!(ALL[..place].iter().all(|other| other.name != contender.name));
        }
    }

    #[test]
    fn what_is_in_the_clear_does_not_count_as_secret() {
        assert!(!named("openvpn").unwrap().secret);
        assert!(named("openvpn-aes").unwrap().secret);
        assert!(!named("halloo-mac").unwrap().secret);
        assert!(named("nobody").is_none());
    }

    #[test]
    fn a_set_of_tests_has_what_was_put_in() {
        let some = Tests::TCP | Tests::UDP;
        assert!(some.has(Tests::TCP) && some.has(Tests::UDP) && !some.has(Tests::ZMQ));
        assert_eq!(some.and(Tests::UDP | Tests::ZMQ), Tests::UDP);
        assert!(Tests::ALL.has(Tests::TRIPS | Tests::FILE | BULK));
    }
}
