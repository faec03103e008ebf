use super::*;

fn port_of(scheme: &str) -> u16 {
    by_scheme(scheme)
        .and_then(|protocol| protocol.default_port)
        .expect("a usual port")
}

#[test]
fn every_form_is_understood() {
    let (udp, tcp) = (port_of("udp"), port_of("tcp"));
    let table = [
        ("echo.example.net", format!("udp://echo.example.net:{udp}")),
        ("echo.example.net:9", "udp://echo.example.net:9".into()),
        ("udp://echo", format!("udp://echo:{udp}")),
        ("UDP://echo/", format!("udp://echo:{udp}")),
        ("tcp://192.0.2.7", format!("tcp://192.0.2.7:{tcp}")),
        ("tcp://192.0.2.7:65535", "tcp://192.0.2.7:65535".into()),
        ("::1", format!("udp://[::1]:{udp}")),
        ("[::1]", format!("udp://[::1]:{udp}")),
        ("[::1]:7", "udp://[::1]:7".into()),
        ("tcp://[2001:DB8::7]:7", "tcp://[2001:db8::7]:7".into()),
        ("fe80::1%eth0", format!("udp://[fe80::1%eth0]:{udp}")),
        ("udp://[fe80::1%eth0]:7", "udp://[fe80::1%eth0]:7".into()),
        ("::ffff:192.0.2.1", format!("udp://192.0.2.1:{udp}")),
        ("host_1.local.", format!("udp://host_1.local.:{udp}")),
        ("bücher.example", format!("udp://bücher.example:{udp}")),
        ("ip://192.0.2.7", "ip://192.0.2.7".into()),
        ("IP://192.0.2.7/?protocol=253", "ip://192.0.2.7".into()),
        ("ip://echo?protocol=47", "ip://echo?protocol=47".into()),
        (
            "ip://[2001:db8::7]?protocol=254",
            "ip://[2001:db8::7]?protocol=254".into(),
        ),
        ("ip://2001:db8::7", "ip://[2001:db8::7]".into()),
        ("ip://fe80::1%eth0", "ip://[fe80::1%eth0]".into()),
        ("icmp://192.0.2.7", "icmp://192.0.2.7".into()),
        ("ICMP://Host.example/", "icmp://Host.example".into()),
        ("icmp://2001:DB8::7", "icmp://[2001:db8::7]".into()),
        ("icmp://[fe80::1%eth0]", "icmp://[fe80::1%eth0]".into()),
        ("udp+ip://192.0.2.7:9", "udp+ip://192.0.2.7:9".into()),
        ("ndn:/edu/arizona", "ndn:/edu/arizona".into()),
        ("NDN:/seq=7/%41/", "ndn:/seq=7/A".into()),
        ("ndn:/", "ndn:/".into()),
        (
            "ndn://192.0.2.7/edu",
            format!("ndn://192.0.2.7:{}/edu", port_of("ndn")),
        ),
        (
            "ndn+tcp://[2001:db8::7]:7/a/b",
            "ndn+tcp://[2001:db8::7]:7/a/b".into(),
        ),
        ("ndn:7", "udp://ndn:7".into()),
        ("sip:pbx.example", "sip:pbx.example:5060".into()),
        ("sip:pbx.example;transport=udp", "sip:pbx.example:5060".into()),
        (
            "sip:pbx.example:5070;Transport=TCP",
            "sip+tcp://pbx.example:5070".into(),
        ),
        (
            "sip:pbx.example;transport=tls",
            "sip+tls://pbx.example:5061".into(),
        ),
        (
            "sip:[2001:db8::7]:5070;transport=tls",
            "sip+tls://[2001:db8::7]:5070".into(),
        ),
        ("SIPS:pbx.example", "sips:pbx.example:5061".into()),
        ("sips:192.0.2.7:5062;transport=tcp", "sips:192.0.2.7:5062".into()),
        ("sip+tls://pbx.example", "sip+tls://pbx.example:5061".into()),
        ("sips:5061", "udp://sips:5061".into()),
        (
            "tcp+ip://[2001:db8::7]",
            format!("tcp+ip://[2001:db8::7]:{}", port_of("tcp+ip")),
        ),
    ];
    for (text, expected) in table {
        let target = Target::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(target.to_string(), expected, "{text}");
    }
}

#[test]
fn a_wrong_target_is_told_in_words() {
    let (known, udp) = (known_schemes(), port_of("udp"));
    let table = [
        ("", "a host is missing".to_owned()),
        ("udp://", "a host is missing".into()),
        ("udp://:7", "a host is missing".into()),
        (
            "gopher://x",
            format!("unknown protocol `gopher`; this halloo knows {known}"),
        ),
        ("x:0", "`0` is not a port; ports are 1 to 65535".into()),
        ("x:65536", "`65536` is not a port; ports are 1 to 65535".into()),
        ("x:+7", "`+7` is not a port; ports are 1 to 65535".into()),
        ("x:", "`` is not a port; ports are 1 to 65535".into()),
        (
            "stun:example.net",
            "`example.net` is not a port; to ask STUN, write stun://HOST[:3478]".into(),
        ),
        (
            "sip:",
            "`` is not a port; to ask SIP OPTIONS, write sip:HOST[:5060][;transport=tcp|tls]".into(),
        ),
        (
            "sip:x;lr",
            "`;lr` means nothing here; of a SIP URI's parameters halloo knows ;transport=udp, tcp or tls".into(),
        ),
        (
            "sip:x;transport=tcp;lr",
            "`;transport=tcp;lr` means nothing here; of a SIP URI's parameters halloo knows ;transport=udp, tcp or tls"
                .into(),
        ),
        (
            "sip+tcp://x;transport=tls",
            "`;transport=tls` means nothing here; of a SIP URI's parameters halloo knows ;transport=udp, tcp or tls"
                .into(),
        ),
        (
            "sip:x;transport=sctp",
            "halloo does not ask SIP over `sctp`; it does over udp, tcp and tls".into(),
        ),
        (
            "sips:x;transport=udp",
            "sips: goes by TLS, which `;transport=udp` cannot carry; write sips:HOST[:5061]".into(),
        ),
        (
            "sips:alice@x",
            "a user name means nothing here; leave out `alice@`".into(),
        ),
        (
            "udp://x/y",
            format!("`/y` after the host means nothing here; write udp://HOST[:{udp}]"),
        ),
        ("ndn:/a//b", "a component of a name cannot be ''".into()),
        ("ndn:///a", "a host is missing".into()),
        ("ndn://h:0/a", "`0` is not a port; ports are 1 to 65535".into()),
        (
            "ndn+tcp:/a",
            "ndn+tcp goes to a host of its own: ndn+tcp://HOST[:6363]/NAME; by this host's forwarder it is ndn:/NAME"
                .into(),
        ),
        (
            "ip://x?protocoll=1",
            "`?protocoll=1` after the host means nothing here; write ip://HOST[?protocol=253]".into(),
        ),
        (
            "ip://x/y?protocol=9",
            "`/y` after the host means nothing here; write ip://HOST[?protocol=253]".into(),
        ),
        (
            "udp+ip://x?protocol=9",
            format!(
                "`?protocol=9` after the host means nothing here; write udp+ip://HOST[:{}]",
                port_of("udp+ip")
            ),
        ),
        ("ip://?protocol=9", "a host is missing".into()),
        ("ip://x:7", "IP echo has no ports; leave out `:7`".into()),
        ("ip://[::1]:7", "IP echo has no ports; leave out `:7`".into()),
        ("icmp://x:7", "ICMP echo has no ports; leave out `:7`".into()),
        ("icmp://", "a host is missing".into()),
        (
            "icmp://x?protocol=1",
            "`?protocol=1` after the host means nothing here; write icmp://HOST".into(),
        ),
        (
            "ip://x?protocol=256",
            "`256` is not an IP protocol; they are 0 to 255".into(),
        ),
        (
            "ip://x?protocol=+9",
            "`+9` is not an IP protocol; they are 0 to 255".into(),
        ),
        (
            "ip://x?protocol=6",
            "IP protocol 6 is not for us: it is TCP, which the kernel speaks itself; ask tcp+ip://HOST[:PORT]"
                .into(),
        ),
        (
            "ip://x?protocol=17",
            "IP protocol 17 is not for us: it is UDP, which the kernel speaks itself; ask udp+ip://HOST[:PORT]"
                .into(),
        ),
        (
            "ip://x?protocol=58",
            "IP protocol 58 is not for us: it is ICMP, which an IP echo host discards; ask icmp://HOST"
                .into(),
        ),
        (
            "ip://x?protocol=255",
            "IP protocol 255 is not for us: it is reserved, and nobody can receive it; take 1 to 254".into(),
        ),
        (
            "udp://me@x",
            "a user name means nothing here; leave out `me@`".into(),
        ),
        (
            "[::1",
            "`[::1` is not an IPv6 address in brackets, such as [2001:db8::7] or [fe80::1%eth0]".into(),
        ),
        (
            "[1.2.3.4]:7",
            "`[1.2.3.4]:7` is not an IPv6 address in brackets, such as [2001:db8::7] or [fe80::1%eth0]"
                .into(),
        ),
        ("1.2.3", "`1.2.3` looks like an IPv4 address but is none".into()),
        (
            "a..b",
            "`a..b` is not a host name: two dots in a row, or one at the beginning".into(),
        ),
        (
            "a b",
            "`a b` is not a host name: letters, digits, `-` and `.` only".into(),
        ),
        (
            "-a",
            "`-a` is not a host name: a part begins or ends with `-`".into(),
        ),
        (
            "fe80::1",
            "fe80::1 is link-local; say by which device: fe80::1%eth0".into(),
        ),
        (
            "2001:db8::1%eth0",
            "only a link-local address (fe80::/10) takes a device; leave out `%eth0`".into(),
        ),
        ("224.0.0.1", "224.0.0.1 is not the address of one host".into()),
        ("ff02::1", "ff02::1 is not the address of one host".into()),
        ("0.0.0.0", "0.0.0.0 is not the address of one host".into()),
        (
            "::ffff:224.0.0.1",
            "224.0.0.1 is not the address of one host".into(),
        ),
        ("fe80::1%e]:7", "`e]:7` is not a device's name".into()),
    ];
    for (text, expected) in table {
        let error = Target::parse(text).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn host_and_port_may_come_apart() {
    let tcp = by_scheme("tcp").expect("TCP is known");
    let target = |host| Target::new(tcp, host, 7).map(|target| target.to_string());
    assert_eq!(target("::1"), Ok("tcp://[::1]:7".into()));
    assert_eq!(target("[::1]"), Ok("tcp://[::1]:7".into()));
    assert_eq!(target("localhost"), Ok("tcp://localhost:7".into()));
    assert_eq!(target(""), Err(TargetError::NoHost));
}

#[test]
fn the_help_names_every_protocol_that_can_be_asked() {
    let forms = forms();
    assert!(
        askable().all(|protocol| forms.contains(&format!("{}:", protocol.scheme))),
        "{forms}"
    );
}
