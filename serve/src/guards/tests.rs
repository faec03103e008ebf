use super::*;
use crate::harness::path;

fn addresses(guards: &Guards, local: &str, remote: &str) -> Result<(), Reason> {
    let guard = AddressGuard::new(&guards.access, &guards.broadcasts).expect("options in range");
    guard.admit(&path(local, remote)).map(drop)
}

fn ports(guards: &Guards, local: u16, remote: u16) -> Result<(), Reason> {
    let at = |host: &str, port| format!("{host}:{port}");
    PortGuard::new(guards).admit(&path(&at("192.0.2.1", local), &at("198.51.100.1", remote)))
}

#[test]
fn addresses_that_nobody_may_be_answered_from_or_at() {
    let guards = Guards {
        access: AccessList {
            allow: vec!["203.0.113.7/32".parse().expect("a prefix")],
            deny: vec!["203.0.113.0/24".parse().expect("a prefix")],
        },
        broadcasts: vec![
            Broadcast {
                link: LinkId(3),
                address: Ipv4Addr::new(192, 0, 2, 255),
            },
            Broadcast {
                link: LinkId(4),
                address: Ipv4Addr::new(192, 0, 2, 127),
            },
            Broadcast {
                link: LinkId(0),
                address: Ipv4Addr::new(192, 0, 2, 63),
            },
        ],
        ..Guards::default()
    };
    let table = [
        ("192.0.2.1:7777", "198.51.100.1:4000", Ok(())),
        ("[2001:db8::1]:7777", "[2001:db8::2]:4000", Ok(())),
        ("192.0.2.1:7777", "10.0.0.1:4000", Ok(())),
        ("0.0.0.0:7777", "198.51.100.1:4000", Ok(())),
        ("[::]:7777", "[::ffff:198.51.100.1]:4000", Ok(())),
        // Destinations.
        ("224.0.0.1:7777", "198.51.100.1:4000", Err(Reason::NotUnicast)),
        (
            "255.255.255.255:7777",
            "198.51.100.1:4000",
            Err(Reason::NotUnicast),
        ),
        ("[ff02::1]:7777", "[2001:db8::2]:4000", Err(Reason::NotUnicast)),
        (
            "[::ffff:239.0.0.1]:7777",
            "[::ffff:198.51.100.1]:4000",
            Err(Reason::NotUnicast),
        ),
        ("192.0.2.255:7777", "198.51.100.1:4000", Err(Reason::NotUnicast)),
        (
            "[::ffff:192.0.2.255]:7777",
            "[::ffff:198.51.100.1]:4000",
            Err(Reason::NotUnicast),
        ),
        ("192.0.2.127:7777", "198.51.100.1:4000", Ok(())),
        ("192.0.2.63:7777", "198.51.100.1:4000", Err(Reason::NotUnicast)),
        // Sources.
        ("192.0.2.1:7777", "0.0.0.0:4000", Err(Reason::BogonSource)),
        ("192.0.2.1:7777", "0.1.2.3:4000", Err(Reason::BogonSource)),
        ("192.0.2.1:7777", "224.0.0.1:4000", Err(Reason::BogonSource)),
        ("192.0.2.1:7777", "240.0.0.1:4000", Err(Reason::BogonSource)),
        ("192.0.2.1:7777", "255.255.255.255:4000", Err(Reason::BogonSource)),
        ("192.0.2.1:7777", "192.0.2.255:4000", Err(Reason::BogonSource)),
        ("[2001:db8::1]:7777", "[::]:4000", Err(Reason::BogonSource)),
        ("[2001:db8::1]:7777", "[ff02::1]:4000", Err(Reason::BogonSource)),
        (
            "[2001:db8::1]:7777",
            "[::ffff:0.1.2.3]:4000",
            Err(Reason::BogonSource),
        ),
        (
            "[::ffff:192.0.2.1]:7777",
            "[::ffff:224.1.2.3]:4000",
            Err(Reason::BogonSource),
        ),
        // Loopback, in its place and strayed.
        ("127.0.0.1:7777", "127.0.0.1:4000", Ok(())),
        ("127.0.0.1:7777", "127.9.9.9:4000", Ok(())),
        ("[::1]:7777", "[::1]:4000", Ok(())),
        ("0.0.0.0:7777", "127.0.0.1:4000", Ok(())),
        ("[::]:7777", "[::ffff:127.0.0.1]:4000", Ok(())),
        ("192.0.2.1:7777", "127.0.0.1:4000", Err(Reason::BogonSource)),
        ("[2001:db8::1]:7777", "[::1]:4000", Err(Reason::BogonSource)),
        (
            "[::ffff:192.0.2.1]:7777",
            "[::ffff:127.0.0.1]:4000",
            Err(Reason::BogonSource),
        ),
        // From ourselves to ourselves.
        ("192.0.2.1:7777", "192.0.2.1:7777", Err(Reason::BogonSource)),
        (
            "[::ffff:192.0.2.1]:7777",
            "192.0.2.1:7777",
            Err(Reason::BogonSource),
        ),
        ("192.0.2.1:7777", "192.0.2.1:4000", Ok(())),
        // The access list.
        ("192.0.2.1:7777", "203.0.113.1:4000", Err(Reason::Denied)),
        (
            "[::ffff:192.0.2.1]:7777",
            "[::ffff:203.0.113.1]:4000",
            Err(Reason::Denied),
        ),
        ("192.0.2.1:7777", "203.0.113.7:4000", Ok(())),
    ];
    for (local, remote, expected) in table {
        assert_eq!(
            addresses(&guards, local, remote),
            expected,
            "{local} from {remote}"
        );
    }
}

#[test]
fn ports_that_would_answer_an_answer() {
    let default = Guards::default();
    let own = Guards {
        own_ports: vec![7, 8862],
        ..Guards::default()
    };
    let one_port = Guards {
        one_port: true,
        own_ports: vec![7],
        ..Guards::default()
    };
    let peer_port = Guards {
        peer_port: Some(123),
        own_ports: vec![7, 123],
        ..Guards::default()
    };
    let lenient = Guards {
        refuse_low_ports: false,
        reflection_ports: vec![4000],
        ..Guards::default()
    };
    let table = [
        (&default, 7777, 40_000, Ok(())),
        (&default, 7777, 1024, Ok(())),
        (&default, 7777, 65_535, Ok(())),
        (&default, 7777, 0, Err(Reason::BogonSource)),
        (&default, 7777, 1, Err(Reason::ReflectionPort)),
        (&default, 7777, 7, Err(Reason::ReflectionPort)),
        (&default, 7777, 53, Err(Reason::ReflectionPort)),
        (&default, 7777, 1023, Err(Reason::ReflectionPort)),
        (&default, 7777, 1900, Err(Reason::ReflectionPort)),
        (&default, 7777, 5353, Err(Reason::ReflectionPort)),
        (&default, 7777, 11_211, Err(Reason::ReflectionPort)),
        (&default, 7777, 17_185, Err(Reason::ReflectionPort)),
        (&default, 7777, 27_960, Err(Reason::ReflectionPort)),
        (&default, 7777, 7777, Err(Reason::OwnPort)),
        (&default, 7777, 8862, Ok(())),
        (&own, 7777, 8862, Err(Reason::OwnPort)),
        (&own, 7777, 7, Err(Reason::OwnPort)),
        (&own, 7777, 7777, Err(Reason::OwnPort)),
        (&one_port, 6363, 6363, Ok(())),
        (&one_port, 6363, 7, Err(Reason::OwnPort)),
        (&one_port, 53, 53, Err(Reason::ReflectionPort)),
        (&one_port, 5060, 5060, Ok(())),
        (&one_port, 6363, 5060, Err(Reason::ReflectionPort)),
        (&peer_port, 123, 123, Ok(())),
        (&peer_port, 4123, 123, Ok(())),
        (&peer_port, 4123, 4123, Err(Reason::OwnPort)),
        (&peer_port, 123, 7, Err(Reason::OwnPort)),
        (&peer_port, 123, 53, Err(Reason::ReflectionPort)),
        (&peer_port, 123, 0, Err(Reason::BogonSource)),
        (&default, 862, 7777, Err(Reason::ReflectionPort)),
        (&lenient, 7777, 53, Ok(())),
        (&lenient, 7777, 1900, Ok(())),
        (&lenient, 7777, 4000, Err(Reason::ReflectionPort)),
        (&lenient, 7777, 0, Err(Reason::BogonSource)),
    ];
    for (guards, local, remote, expected) in table {
        assert_eq!(ports(guards, local, remote), expected, "{local} from {remote}");
    }
}

#[test]
fn the_default_is_what_the_documentation_says() {
    let guards = Guards::default();
    assert!(guards.refuse_low_ports && guards.own_ports.is_empty() && guards.broadcasts.is_empty());
    assert_eq!(guards.access, AccessList::default());
    assert!(
        REFLECTION_PORTS
            .iter()
            .all(|(port, _)| guards.reflection_ports.contains(port))
    );
    assert_eq!(guards.check(), Ok(()));
}

#[test]
fn a_bad_limit_or_access_list_is_found_from_here() {
    let mut guards = Guards::default();
    guards.limits.sources = 0;
    assert!(guards.check().is_err());
    let mut guards = Guards::default();
    guards.access.allow.push("10.0.0.0/8".parse().expect("a prefix"));
    guards.access.deny.push("10.0.0.0/8".parse().expect("a prefix"));
    assert!(guards.check().is_err());
}
