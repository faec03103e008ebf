//! `halloo serve` and its peers: plain clients, signals, and the service manager.

use crate::common::{HALLOO, Host, halloo, stderr};
use nix::sys::signal::Signal;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A client as people write it first: send, read back, compare.
const UDP_CLIENT: &str = "
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((sys.argv[1], int(sys.argv[2])))
for payload in [b'hello', b'', b'x', bytes(range(256)), b'y' * 1400, b'z' * 60000]:
    s.send(payload)
    assert s.recv(65535) == payload, len(payload)
print('echoed')
";

/// The shape of the older client: one connection, packets of one size, each read back in full.
const TCP_CLIENT: &str = "
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
def read(n):
    data = b''
    while len(data) < n:
        chunk = s.recv(n - len(data))
        assert chunk, 'closed'
        data += chunk
    return data
for number in range(20):
    packet = bytes((number + i) % 256 for i in range(64))
    s.sendall(packet)
    assert read(64) == packet, number
s.sendall(b'last words')
s.shutdown(socket.SHUT_WR)
assert read(10) == b'last words'
assert s.recv(1) == b''
print('echoed')
";

/// What does not come within this does not come: a test fails then instead of waiting for ever.
const PATIENCE: Duration = Duration::from_secs(20);

fn client(local: &str) -> UdpSocket {
    let socket = UdpSocket::bind(local).expect("a free port");
    socket
        .set_read_timeout(Some(PATIENCE))
        .expect("more than nothing");
    socket
}

fn python(script: &str, args: &[String]) -> String {
    let output = Command::new("python3")
        .arg("-c")
        .arg(script)
        .args(args)
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[test]
fn a_plain_client_gets_every_datagram_back_as_it_was() {
    let host = Host::start();
    for v6 in [false, true] {
        let address = host.address("udp", v6);
        let args = [address.ip().to_string(), address.port().to_string()];
        assert_eq!(python(UDP_CLIENT, &args), "echoed");
    }
}

#[test]
fn a_plain_client_gets_every_byte_back_until_it_has_finished() {
    let host = Host::start();
    for v6 in [false, true] {
        let address = host.address("tcp", v6);
        let args = [address.ip().to_string(), address.port().to_string()];
        assert_eq!(python(TCP_CLIENT, &args), "echoed");
    }
}

#[test]
fn sigusr1_prints_counters_and_sigterm_ends_with_them() {
    let mut host = Host::start();
    let client = client("127.0.0.1:0");
    client
        .connect(host.address("udp", false))
        .expect("it can be sent to");
    client.send(b"four").expect("it is sent");
    let mut back = [0; 8];
    assert_eq!(client.recv(&mut back).expect("an echo"), 4);
    host.signal(Signal::SIGUSR1);
    let (udp, tcp) = (host.next("counters"), host.next("counters"));
    assert_eq!(
        (&udp["protocol"], &udp["received"], &udp["replied_bytes"]),
        (&"udp".into(), &1.into(), &4.into())
    );
    assert_eq!(
        (&tcp["protocol"], &tcp["received"], &tcp["last"]),
        (&"tcp".into(), &0.into(), &false.into())
    );
    host.signal(Signal::SIGTERM);
    assert_eq!(host.next("counters")["last"], true);
    assert_eq!(host.wait().code(), Some(0));
}

#[test]
fn text_is_one_line_a_listener_and_plain_in_a_pipe() {
    let mut host = crate::common::Running::start(&["serve", "--udp", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]);
    let udp = host.line_with("udp echo on");
    assert!(
        udp.starts_with("halloo: udp echo on 127.0.0.1:") && !udp.contains('\x1b'),
        "{udp}"
    );
    assert!(
        !udp.contains(":0\n"),
        "the port is the one that was chosen: {udp}"
    );
    host.line_with("tcp echo on 127.0.0.1:");
    host.signal(Signal::SIGINT);
    let (rest, code) = host.finish();
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.contains("UDP echo  0 datagrams received"), "{rest}");
}

#[test]
fn a_wildcard_listener_serves_both_families() {
    let mut host = Host::with(&["--udp", "0"], 1);
    let port = host.address("udp", true).port();
    for local in ["127.0.0.1:0", "[::1]:0"] {
        let client = client(local);
        let ip = client.local_addr().expect("it is bound").ip();
        client.connect((ip, port)).expect("it can be sent to");
        client.send(b"x").expect("it is sent");
        assert_eq!(client.recv(&mut [0; 8]).expect("an echo"), 1);
    }
    host.signal(Signal::SIGUSR1);
    assert_eq!(host.next("counters")["replied"], 2);
}

#[test]
fn a_port_that_is_taken_is_told_with_its_option() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let output = halloo(&["serve", "--udp", &address]);
    assert_eq!(output.status.code(), Some(2));
    let expected = format!(
        "halloo: --udp {address}: Address already in use; another program listens there; `ss -lntup` tells which\n"
    );
    assert_eq!(stderr(&output), expected);
}

#[test]
fn a_wrong_file_is_told_with_its_place_by_serve_and_check_alike() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("serve.toml");
    fs::write(&file, "[serve]\nudpp = []\n").expect("it can be written");
    let name = file.display().to_string();
    for args in [vec!["check", &name], vec!["serve", "--config", &name]] {
        let output = halloo(&args);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(
            stderr(&output),
            format!("halloo: {name}:2:1: unknown key `udpp`; did you mean `udp`?\n")
        );
    }
    fs::write(&file, "[serve]\nudp = [\"127.0.0.1:7\"]\n").expect("it can be written");
    let output = halloo(&["check", &name]);
    assert_eq!(
        (output.status.code(), crate::common::stdout(&output)),
        (Some(0), format!("{name}: ok\n"))
    );
}

#[test]
fn check_refuses_what_serve_would_refuse() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("serve.toml");
    let name = file.display().to_string();
    let table = [
        (
            "udp = []\ntcp = []",
            "nothing to listen on: serve.udp, serve.tcp, ip_echo.addresses, ndn.prefixes and the listen of every protocol are empty",
        ),
        (
            "udp = [\"7777\", \"127.0.0.1:7777\"]",
            "serve.udp: [::]:7777 is every address, 127.0.0.1:7777 among them; leave one of the two out",
        ),
        (
            "tcp = [\"0.0.0.0:7777\", \"127.0.0.1:7777\"]",
            "serve.tcp: 0.0.0.0:7777 is every address, 127.0.0.1:7777 among them; leave one of the two out",
        ),
        (
            "user = \"no-such-user\"",
            "serve.user: this host has no user `no-such-user`",
        ),
        (
            "key_file = \"/no/such/file\"",
            "--key-file /no/such/file: No such file or directory",
        ),
    ];
    for (text, complaint) in table {
        fs::write(&file, format!("[serve]\n{text}\n")).expect("it can be written");
        let output = halloo(&["check", &name]);
        assert_eq!(output.status.code(), Some(2), "{text}");
        let said = stderr(&output);
        assert!(
            said.starts_with(&format!("halloo: {name}: {complaint}")),
            "{said}"
        );
    }
    let devices = [
        (
            "[ip_echo]\naddresses = [\"192.0.2.7@none\"]\n",
            "ip_echo.addresses: 192.0.2.7: there is no device `none`; ",
        ),
        (
            "[xdp]\ndevices = [\"none,native\"]\n",
            "xdp.devices: none,native: there is no device `none`; ",
        ),
    ];
    for (text, complaint) in devices {
        fs::write(&file, text).expect("it can be written");
        let output = halloo(&["check", &name]);
        let said = stderr(&output);
        assert!(
            said.starts_with(&format!("halloo: {name}: {complaint}")),
            "{said}"
        );
    }
    fs::write(&file, "[serve]\nudp = [\"0.0.0.0:7777\", \"[::]:7777\"]\n").expect("it can be written");
    assert_eq!(halloo(&["check", &name]).status.code(), Some(0));
}

#[test]
fn a_wildcard_and_an_address_of_one_port_are_refused_together() {
    for (wide, told) in [("7777", "[::]:7777"), ("0.0.0.0:7777", "0.0.0.0:7777")] {
        let output = halloo(&["serve", "--udp", wide, "--udp", "127.0.0.1:7777"]);
        assert_eq!(output.status.code(), Some(2));
        let expected = format!(
            "halloo: --udp: {told} is every address, 127.0.0.1:7777 among them; leave one of the two out\n"
        );
        assert_eq!(stderr(&output), expected);
    }
}

#[test]
fn a_dry_run_touches_nothing_and_says_what_it_would_do() {
    let output = halloo(&["serve", "--udp", "127.0.0.1:0", "--dry-run"]);
    let text = crate::common::stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.starts_with("halloo: nothing is touched; this is what would be done, and undone at the end:\n")
            && text.contains("\n  answer udp on 127.0.0.1:0\n")
            && !text.contains("tcp"),
        "{text}"
    );
    // Whether it may or not, it says by which commands it would.
    let output = halloo(&["serve", "--ip-echo", "203.0.113.7", "--dry-run"]);
    let text = crate::common::stdout(&output);
    for part in [
        "ip tuntap add dev halloo0 mode tun",
        "ip route add 203.0.113.7/32 dev halloo0",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(
        !text.contains("udp on") && !text.contains("tcp on"),
        "it is asked for alone: {text}"
    );
    let both = halloo(&["serve", "--dry-run", "--json"]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn an_echo_address_that_no_host_could_have_is_refused_in_words() {
    let table = [
        (
            "127.0.0.1",
            "127.0.0.1 is a loopback address; an echo address is one that a host could have",
        ),
        ("eth0", "`eth0` is not an address; use ADDRESS or ADDRESS@DEVICE"),
    ];
    for (address, why) in table {
        let output = halloo(&["serve", "--ip-echo", address]);
        let said = stderr(&output);
        assert!(output.status.code() == Some(2) && said.contains(why), "{said}");
    }
    let output = halloo(&["serve", "--ip-echo", "192.0.2.7", "--ip-echo", "192.0.2.7@eth0"]);
    assert_eq!(stderr(&output), "halloo: --ip-echo: 192.0.2.7 is listed twice\n");
}

#[test]
fn the_file_sets_the_limits() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("serve.toml");
    fs::write(&file, "[access]\ndeny = [\"127.0.0.0/8\"]\n").expect("it can be written");
    let name = file.display().to_string();
    let mut host = Host::with(
        &["--config", &name, "--udp", "127.0.0.1:0", "--udp", "[::1]:0"],
        2,
    );
    for v6 in [false, true] {
        let client = client(if v6 { "[::1]:0" } else { "127.0.0.1:0" });
        client
            .connect(host.address("udp", v6))
            .expect("it can be sent to");
        client.send(b"x").expect("it is sent");
        if v6 {
            // When this one has come back, the other one has been looked at.
            client.recv(&mut [0; 8]).expect("an echo");
        }
    }
    host.signal(Signal::SIGUSR1);
    let counters = host.next("counters");
    assert_eq!(
        (&counters["replied"], &counters["silent"]["denied"]),
        (&1.into(), &1.into()),
        "{counters}"
    );
}

#[test]
fn where_everything_must_be_signed_no_stun_is_answered_either() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let key = dir.path().join("key");
    fs::write(&key, "sixteen bytes...").expect("it can be written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let key = key.display().to_string();
    let file = dir.path().join("serve.toml");
    let text = format!("[serve]\nrequire_key = true\nkey_file = \"{key}\"\n");
    fs::write(&file, text).expect("it can be written");
    let name = file.display().to_string();
    let mut host = Host::with(&["--config", &name, "--udp", "127.0.0.1:0", "--user", "root"], 1);
    let address = host.address("udp", false);
    let binding = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    let client = client("127.0.0.1:0");
    client.send_to(&binding, address).expect("it is sent");
    // When this one is answered, the other one has been looked at.
    let output = halloo(&[
        "ping",
        "-q",
        "-c",
        "1",
        "--key-file",
        &key,
        &format!("udp://{address}"),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    host.signal(Signal::SIGUSR1);
    let counters = host.next("counters");
    assert_eq!(
        (&counters["replied"], &counters["silent"]["bad_auth"]),
        (&1.into(), &1.into()),
        "{counters}"
    );
}

#[test]
fn the_service_manager_hears_of_readiness_and_of_the_end() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager
        .set_read_timeout(Some(PATIENCE))
        .expect("more than nothing");
    let mut command = Command::new(HALLOO);
    command
        .args(["serve", "--json", "--udp", "127.0.0.1:0", "--user", "root"])
        .env("NOTIFY_SOCKET", &path);
    let host = Host::of(command.stdout(Stdio::piped()).spawn().expect("halloo runs"), 1);
    let heard = || {
        let mut buffer = [0; 4096];
        let n = manager.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    };
    let ready = heard();
    let status = format!("STATUS=udp echo on {}", host.address("udp", false));
    assert!(
        ready.lines().any(|line| line == "READY=1") && ready.lines().any(|line| line == status),
        "{ready}"
    );
    host.signal(Signal::SIGTERM);
    assert_eq!(heard().trim(), "STOPPING=1");
    assert_eq!(host.wait().code(), Some(0));
}

#[test]
fn sockets_that_the_service_manager_passes_are_served() {
    // The manager's part: sockets from number 3 on, and the process's own number in the environment.
    let manager = "
import os, socket, sys
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('127.0.0.1', 0))
t = socket.socket(socket.AF_INET, socket.SOCK_STREAM); t.bind(('127.0.0.1', 0)); t.listen(5)
fds = [os.dup(fd) for fd in (u.fileno(), t.fileno())]
high = [os.dup2(fd, 60 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], [sys.argv[1], 'serve', '--json'])
";
    let mut command = Command::new("python3");
    command.args(["-c", manager, HALLOO]).stdout(Stdio::piped());
    let host = Host::of(command.spawn().expect("python3 runs"), 2);
    for (protocol, client) in [("udp", UDP_CLIENT), ("tcp", TCP_CLIENT)] {
        let address = host.address(protocol, false);
        let args = [address.ip().to_string(), address.port().to_string()];
        assert_eq!(python(client, &args), "echoed");
    }
}
