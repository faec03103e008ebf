//! STUN: coturn as client and as server, tshark as a reader.

use crate::common::{HALLOO, Port, Running, Server, own_address, ping, run};
use crate::tap::Tap;
use halloo_lab::program_or_skip;
use std::net::SocketAddrV4;
use std::path::Path;
use tempfile::TempDir;

/// coturn's server on an address of its own, with nothing of the machine's configuration.
struct Coturn {
    _running: Running,
    _folder: TempDir,
    address: SocketAddrV4,
}

impl Coturn {
    fn or_skip(more: &[&str]) -> Option<Coturn> {
        let turnserver = program_or_skip("turnserver")?;
        let address = SocketAddrV4::new(own_address(), 3478);
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| folder.path().join(name).display().to_string();
        let options = [
            format!("listening-ip={}", address.ip()),
            format!("pidfile={}", file("pid")),
            format!("userdb={}", file("database")),
            format!("log-file={}", file("log")),
        ];
        let plain = "simple-log\nno-stdout-log\nstun-only\nno-tls\nno-dtls\nno-cli\nno-rfc5780";
        let config = [plain, &options.join("\n"), &more.join("\n"), ""].join("\n");
        std::fs::write(file("conf"), config).expect("written");
        let mut running = Running::start(turnserver, ["-c", &file("conf")]);
        running.wait_until_bound(Port::Udp, address);
        Some(Coturn {
            _running: running,
            _folder: folder,
            address,
        })
    }
}

/// What stands behind this text, to the end of its line.
fn behind<'a>(text: &'a str, mark: &str) -> &'a str {
    let (_, rest) = text
        .split_once(mark)
        .unwrap_or_else(|| panic!("no `{mark}`: {text}"));
    rest.lines().next().unwrap_or_default()
}

#[test]
fn coturns_clients_learn_their_addresses_from_us() {
    let (Some(client), Some(discovery)) = (
        program_or_skip("turnutils_stunclient"),
        program_or_skip("turnutils_natdiscovery"),
    ) else {
        return;
    };
    for (host, mark) in [
        ("127.0.0.1", "IPv4. UDP reflexive addr: 127.0.0.1:"),
        ("::1", "IPv6. UDP reflexive addr: ::1:"),
    ] {
        let listen = if host == "::1" { "[::1]:0" } else { "127.0.0.1:0" };
        let server = Server::start(&["--stun", listen]);
        let port = server.port("stun");
        let ask = |program: &Path, more: &[&str]| {
            let (text, code) = run(program, [more, &["-p", &port, host]].concat());
            assert_eq!(code, Some(0), "{text}");
            let seen: u16 = behind(&text, mark).parse().unwrap_or_else(|_| panic!("{text}"));
            (seen, text)
        };
        ask(&client, &[]);
        // By a socket whose address it knows; with PADDING of 1500 bytes; by a second socket that asks the first.
        let own = ["-L", host];
        for more in [&["-m"][..], &["-m", "-P"], &["-H"]] {
            let (seen, text) = ask(&discovery, &[&own, more].concat());
            assert_eq!(
                behind(&text, &format!("Local addr: : {host}:")),
                seen.to_string(),
                "{text}"
            );
            assert!(*more != ["-m"] || text.contains("No NAT!"), "{text}");
        }
        let counted = server.counters("stun");
        assert_eq!(counted["silent"], serde_json::json!({}), "{counted:#}");
        assert_eq!(counted["received"], counted["replied"], "{counted:#}");
    }
}

#[test]
fn our_client_learns_its_address_from_coturn() {
    let Some(coturn) = Coturn::or_skip(&[]) else {
        return;
    };
    let target = format!("stun://{}", coturn.address);
    // As RFC 3489 had it, as usual, and with more than servers look at.
    for size in ["20", "28", "1200"] {
        let pinged = ping(&["-c", "10", "-s", size, &target]);
        pinged.assert_answered(10);
        let observed = &pinged.summary()["observed"];
        let seen = observed["seen_addr"].as_str().expect("an address");
        let port = seen.strip_prefix("127.0.0.1:").expect(seen);
        assert_ne!(port, "0", "{observed:#}");
        assert_eq!(observed["address_changes"], 0, "{observed:#}");
    }
}

#[test]
fn a_coturn_that_asks_who_we_are_refuses_and_says_so() {
    let secured = [
        "secure-stun",
        "lt-cred-mech",
        "realm=example.net",
        "user=ann:secret",
    ];
    let Some(coturn) = Coturn::or_skip(&secured) else {
        return;
    };
    let target = format!("stun://{}", coturn.address);
    let pinged = ping(&["-c", "3", &target]);
    assert_eq!(
        (pinged.code, pinged.count("refused")),
        (Some(1), 3),
        "{pinged:#?}"
    );
    for exchange in pinged.exchanges() {
        let refusal = &exchange["refusal"];
        assert_eq!(
            (&refusal["code"], &refusal["name"]),
            (&401.into(), &"Unauthenticated".into())
        );
    }
    let (text, code) = run(HALLOO, ["ping", "-c", "1", &target]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("seq=1 answer says no: 401 Unauthenticated, "),
        "{text}"
    );
}

#[test]
fn tshark_reads_our_request_and_our_answer() {
    let Some(tshark) = program_or_skip("tshark") else {
        return;
    };
    let server = Server::start(&["--stun", "127.0.0.1:0"]);
    let tap = Tap::before(server.address("stun"));
    let tapped = tap.address();
    ping(&["-c", "1", &format!("stun://{tapped}")]).assert_answered(1);
    let fields = [
        "stun.type",
        "stun.cookie",
        "stun.id",
        "stun.att.crc32.status",
        "stun.att.ipv4",
        "stun.att.port",
    ];
    let rows = tap.read(&tshark, "stun", &fields);
    let [request, answer] = &rows[..] else {
        panic!("{rows:?}");
    };
    let transaction = &request[2];
    let good = "1";
    assert_eq!(
        request[..],
        ["0x0001", "2112a442", transaction, good, "", ""],
        "{rows:?}"
    );
    let (ip, port) = (tapped.ip().to_string(), tapped.port().to_string());
    assert_eq!(
        answer[..],
        ["0x0101", "2112a442", transaction, good, &ip, &port],
        "{rows:?}"
    );
}
