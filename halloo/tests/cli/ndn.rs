//! `ndnping` and `ndnpingserver` as scripts use them: by their own names, behind a forwarder and without one.

use crate::common::{HALLOO, Running, objects, stderr, stdout};
use halloo_lab::ndn::{Behaviour, Forwarder, Plan};
use nix::sys::signal::Signal;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A folder with both programs by their own names, and room for a forwarder's socket and a user's home.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["ndnping", "ndnpingserver"] {
            symlink(HALLOO, folder.path().join(name)).expect("a new name");
        }
        Place { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn unix(&self) -> String {
        format!("unix://{}", self.path("nfd.sock").display())
    }

    fn forwarder(&self) -> Forwarder {
        let plan = Plan {
            unix: Some(self.path("nfd.sock")),
            ..Plan::default()
        };
        Forwarder::start(&plan).expect("it starts")
    }

    /// The same with a TCP port, which nothing keeps for it while it restarts.
    fn forwarder_on_tcp(&self) -> Forwarder {
        let plan = Plan {
            unix: Some(self.path("nfd.sock")),
            tcp: Some("127.0.0.1:0".parse().expect("an address")),
            ..Plan::default()
        };
        Forwarder::start(&plan).expect("it starts")
    }

    /// One of the programs, with its forwarder at [`Place::unix`] and nobody's settings.
    fn command(&self, line: &str) -> Command {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut command = Command::new(self.path(name));
        command
            .args(rest.split_whitespace())
            .env("HOME", self.folder.path())
            .env("NDN_CLIENT_TRANSPORT", self.unix());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("it runs")
    }

    /// A server that the forwarder has a route to.
    fn serve(&self, forwarder: &Forwarder, options: &str, prefix: &str) -> Running {
        let running = Running::of(&mut self.command(&format!("ndnpingserver {options} {prefix}")));
        wait_for_route(forwarder, prefix);
        running
    }
}

fn wait_for_route(forwarder: &Forwarder, prefix: &str) {
    let route = format!("{prefix}/ping");
    forwarder.wait_for("its route", move |view| view.has_route(&route));
}

/// The text with every round trip written as `N`.
fn without_times(text: &str) -> String {
    let time = |word: &str| {
        let number = word.trim_start_matches("time=");
        let spread = number.split('/').count() == 4 && !word.contains("min");
        (number != word || spread) && number.starts_with(|c: char| c.is_ascii_digit())
    };
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for at in 0..words.len() {
        let behind_time = at > 0 && words[at - 1] == "time";
        if time(&words[at]) || behind_time {
            let equals = if words[at].starts_with("time=") {
                "time="
            } else {
                ""
            };
            words[at] = format!("{equals}N");
        }
    }
    words.join(" ")
}

#[test]
fn a_run_behind_a_forwarder_reads_as_it_always_did() {
    let place = Place::new();
    let forwarder = place.forwarder();
    let server = place.serve(&forwarder, "-p 3", "/edu/arizona");
    let output = place.run("ndnping -c 3 -i 10 -n 18446744073709551614 /edu/arizona");
    assert_eq!(
        without_times(&stdout(&output)),
        "PING /edu/arizona\n\
         content from /edu/arizona: seq=18446744073709551614 time=N ms\n\
         content from /edu/arizona: seq=18446744073709551615 time=N ms\n\
         content from /edu/arizona: seq=0 time=N ms\n\
         \n\
         --- /edu/arizona ping statistics ---\n\
         3 packets transmitted, 3 received, 0 nacked, 0% lost, 0% nacked, time N ms\n\
         rtt min/avg/max/mdev = N ms\n"
    );
    assert_eq!((stderr(&output).as_str(), output.status.code()), ("", Some(0)));
    assert_eq!(
        server.finish(),
        (
            "PING SERVER /edu/arizona\n\
             interest received: seq=18446744073709551614\n\
             interest received: seq=18446744073709551615\n\
             interest received: seq=0\n\
             \n\
             --- /edu/arizona ping server statistics ---\n\
             3 packets processed\n"
                .to_owned(),
            Some(0)
        )
    );
    forwarder.wait_for("no route", |view| view.routes.is_empty());
}

#[test]
fn nacks_and_timeouts_are_told_and_count_as_failures() {
    let place = Place::new();
    let _forwarder = place.forwarder();
    let nacked = place.run("ndnping -c 1 -n 7 /no/such/prefix");
    assert_eq!(
        without_times(&stdout(&nacked)),
        "PING /no/such/prefix\n\
         nack from /no/such/prefix: seq=7 time=N ms reason=NoRoute\n\
         \n\
         --- /no/such/prefix ping statistics ---\n\
         1 packets transmitted, 0 received, 1 nacked, 0% lost, 100% nacked, time N ms\n"
    );
    assert!(stderr(&nacked).starts_with("HINT: no route to /no/such/prefix at the forwarder"));
    assert_eq!(nacked.status.code(), Some(1));
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let face = silent.local_addr().expect("it is bound");
    let lost = place.run(&format!(
        "ndnping -c 2 -i 1 -o 1 -n 1 --face udp://{face} /x/ping"
    ));
    assert_eq!(
        without_times(&stdout(&lost)),
        "PING /x/ping\n\
         timeout from /x/ping: seq=1\n\
         timeout from /x/ping: seq=2\n\
         \n\
         --- /x/ping ping statistics ---\n\
         2 packets transmitted, 0 received, 0 nacked, 100% lost, 0% nacked, time N ms\n"
    );
    assert!(
        stderr(&lost).contains("so /x/ping/ping was asked"),
        "{}",
        stderr(&lost)
    );
    assert_eq!(lost.status.code(), Some(1));
}

#[test]
fn wrong_usage_is_told_in_the_known_words() {
    let place = Place::new();
    let table = [
        ("ndnping", "No prefix specified"),
        ("ndnping /a/../b", "/a/../b: a component of a name cannot be '..'"),
        ("ndnping --bogus /x", "unrecognised option '--bogus'"),
        (
            "ndnping -c x /x",
            "the argument ('x') for option '--count' is invalid",
        ),
        ("ndnping -c 0 /x", "Number of ping must be positive"),
        (
            "ndnping -i 0 /x",
            "Specified ping interval is less than the minimum (1 ms)",
        ),
        ("ndnping -o -5 /x", "InterestLifetime must be >= 0"),
        ("ndnping -p a-b /x", "Unacceptable client identifier"),
        (
            "ndnping /x /y",
            "option '--prefix' cannot be specified more than once",
        ),
        ("ndnpingserver", "no name prefix specified"),
        ("ndnpingserver -f -1 /x", "freshness must be >= 0"),
        (
            "ndnpingserver --listen x /x",
            "--listen x: use udp://ADDRESS[:6363], tcp://ADDRESS[:6363] or dev://DEVICE",
        ),
    ];
    for (line, error) in table {
        let output = place.run(line);
        let (told, rest) = stderr(&output)
            .split_once('\n')
            .map(|(told, rest)| (told.to_owned(), rest.to_owned()))
            .expect("an error");
        assert_eq!(told, format!("ERROR: {error}"), "{line}");
        let help = if line.starts_with("ndnpingserver") {
            rest
        } else {
            stdout(&output)
        };
        assert!(help.contains("Usage: ndnping"), "{line}: {help}");
        assert_eq!(output.status.code(), Some(2), "{line}");
    }
}

#[test]
fn help_and_version_have_the_status_that_they_always_had() {
    let place = Place::new();
    let version = env!("CARGO_PKG_VERSION");
    let table = [
        ("ndnping -h", "Usage: ndnping".to_owned(), 2),
        ("ndnpingserver --help", "Usage: ndnpingserver".into(), 0),
        ("ndnping --vers", format!("ndnping {version}\n"), 0),
        ("ndnpingserver -V", format!("ndnpingserver {version}\n"), 0),
    ];
    for (line, text, status) in table {
        let output = place.run(line);
        assert!(stdout(&output).starts_with(&text), "{line}: {}", stdout(&output));
        assert_eq!(
            (stderr(&output).as_str(), output.status.code()),
            ("", Some(status))
        );
    }
}

#[test]
fn a_payload_that_fits_no_packet_is_refused_at_the_start() {
    let place = Place::new();
    let output = place.run("ndnpingserver -s 8800 --listen udp://127.0.0.1:0 /x");
    assert!(
        stderr(&output).starts_with("ERROR: content of 8800 bytes makes packets longer than the 8800"),
        "{}",
        stderr(&output)
    );
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("", Some(2)));
}

#[test]
fn a_forwarder_that_is_not_there_is_told_with_the_place() {
    let place = Place::new();
    let socket = place.path("nfd.sock").display().to_string();
    let no = format!("ERROR: could not connect to NDN forwarder at {socket} (No such file or directory)\n");
    for (line, begun, status) in [
        ("ndnping /x", "PING /x\n", 2),
        ("ndnpingserver /x", "PING SERVER /x\n", 1),
    ] {
        let output = place.run(line);
        assert_eq!(
            (stdout(&output), stderr(&output), output.status.code()),
            (begun.to_owned(), no.clone(), Some(status))
        );
    }
    let output = place
        .command("ndnping /x")
        .env("NDN_CLIENT_TRANSPORT", "ws://localhost:9696")
        .output()
        .expect("it runs");
    assert!(stderr(&output).contains("unsupported transport 'ws://localhost:9696'"));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_forwarder_is_found_where_programs_look_for_it() {
    let place = Place::new();
    let forwarder = place.forwarder_on_tcp();
    let _server = place.serve(&forwarder, "-q", "/x");
    fs::create_dir(place.path(".ndn")).expect("a new folder");
    let asks = |change: &dyn Fn(&mut Command)| {
        let mut command = place.command("ndnping -c 1 /x");
        change(&mut command);
        command.output().expect("it runs").status.code()
    };
    fs::write(place.path(".ndn/client.conf"), "transport=unix:///nowhere\n").expect("it can be written");
    assert_eq!(asks(&|_| ()), Some(0), "the variable beats the file");
    let by_file = |command: &mut Command| {
        command.env_remove("NDN_CLIENT_TRANSPORT");
    };
    assert_eq!(asks(&by_file), Some(2));
    let conf = format!("; mine\ntransport = {}\n", place.unix());
    fs::write(place.path(".ndn/client.conf"), conf).expect("it can be written");
    assert_eq!(asks(&by_file), Some(0));
    let tcp = format!("tcp://{}", forwarder.plan().tcp.expect("it listens"));
    let by_option = |command: &mut Command| {
        command.args(["--face", &tcp]);
    };
    assert_eq!(asks(&by_option), Some(0), "a local face too");
}

#[test]
fn options_reach_the_wire() {
    let place = Place::new();
    let forwarder = place.forwarder();
    let mut server = place.serve(&forwarder, "-s 100 -t -f 0", "/x");
    let output = place.run("ndnping --json -c 1 -n 9 -p me -a --size 200 --hop-limit 5 /x");
    let exchange = objects(&output)
        .into_iter()
        .find(|object| object["type"] == "exchange")
        .expect("an exchange");
    assert_eq!(exchange["verdict"], "answered");
    assert!(exchange["bytes"].as_u64() > Some(140), "{exchange}");
    let line = server.line_with("interest received: seq=9");
    let (stamp, _) = line.split_once(" - ").expect("a time before the line");
    assert!(stamp.len() >= 15 && stamp.as_bytes()[8] == b'T', "{line}");
    let output = place.run("ndnping -c 1 -t -n 9 /x");
    assert!(
        stdout(&output)
            .lines()
            .nth(1)
            .is_some_and(|line| line.contains(" - content from /x: seq=9 time="))
    );
    assert!(
        !stdout(&output)
            .lines()
            .next()
            .is_some_and(|line| line.contains(" - "))
    );
}

#[test]
fn an_interrupt_ends_a_client_with_its_statistics() {
    let place = Place::new();
    let forwarder = place.forwarder();
    let _server = place.serve(&forwarder, "-q", "/x");
    for (signal, line) in [
        (Signal::SIGINT, "ndnping -i 10 /x"),
        (Signal::SIGTERM, "ndnping -i 10 /x"),
    ] {
        let mut client = Running::of(&mut place.command(line));
        client.line_with("content from /x");
        client.signal(Signal::SIGQUIT);
        let running = client.line_with(" packets, ");
        assert!(
            running.contains("0% lost, 0% nacked, min/avg/max/mdev = "),
            "{running}"
        );
        client.signal(signal);
        let (rest, code) = client.finish();
        assert!(rest.contains("--- /x ping statistics ---\n"), "{signal}: {rest}");
        assert_eq!(code, Some(0), "{signal}");
    }
}

#[test]
fn an_interrupted_client_waits_for_what_is_under_way() {
    let place = Place::new();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let face = silent.local_addr().expect("it is bound");
    let line = format!("ndnping -n 1 -o 300 --face udp://{face} /x");
    let client = Running::of(&mut place.command(&line));
    silent.recv_from(&mut [0; 100]).expect("a question");
    client.signal(Signal::SIGINT);
    let (text, code) = client.finish();
    assert!(text.contains("timeout from /x: seq=1\n"), "{text}");
    assert!(text.contains("1 packets transmitted, 0 received"), "{text}");
    assert_eq!(code, Some(1));
}

#[test]
fn a_stopped_server_tells_its_statistics_and_leaves() {
    let place = Place::new();
    let forwarder = place.forwarder();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let server = place.serve(&forwarder, "-q", "/x");
        assert_eq!(place.run("ndnping -c 2 -i 10 /x").status.code(), Some(0));
        server.signal(signal);
        let text = "PING SERVER /x\n\n--- /x ping server statistics ---\n2 packets processed\n";
        assert_eq!(server.finish(), (text.to_owned(), Some(0)), "{signal}");
        forwarder.wait_for("no route", |view| view.routes.is_empty());
    }
}

#[test]
fn a_server_comes_back_with_its_forwarder() {
    let place = Place::new();
    let forwarder = place.forwarder();
    let server = place.serve(&forwarder, "-q", "/x");
    forwarder.restart().expect("the same places");
    wait_for_route(&forwarder, "/x");
    assert_eq!(place.run("ndnping -c 2 -i 10 /x").status.code(), Some(0));
    server.signal(Signal::SIGTERM);
    let (text, code) = server.finish();
    assert!(text.ends_with("2 packets processed\n"), "{text}");
    assert_eq!(code, Some(0));
}

#[test]
fn a_client_goes_on_when_its_forwarder_comes_back() {
    let place = Place::new();
    let forwarder = place.forwarder();
    let _server = place.serve(&forwarder, "-q", "/x");
    let mut client = Running::of(&mut place.command("ndnping -i 10 /x"));
    client.line_with("content from /x");
    forwarder.restart().expect("the same places");
    wait_for_route(&forwarder, "/x");
    // Lines from before the restart may still be there: only new answers come behind a probe that got none.
    client.line_with("timeout from /x");
    client.line_with("content from /x");
    client.signal(Signal::SIGINT);
    let (rest, code) = client.finish();
    assert!(rest.contains("--- /x ping statistics ---"), "{rest}");
    assert_eq!(code, Some(1), "what was lost stays lost");
}

#[test]
fn a_prefix_that_the_forwarder_does_not_register_is_told() {
    let place = Place::new();
    let forwarder = place.forwarder();
    forwarder.behave(Behaviour {
        refusals: u32::MAX,
        ..Behaviour::default()
    });
    let output = place.run("ndnpingserver /x");
    assert_eq!(
        stderr(&output),
        "ERROR: Failed to register prefix: authorization rejected\n"
    );
    assert_eq!(
        (stdout(&output).as_str(), output.status.code()),
        ("PING SERVER /x\n", Some(1))
    );
}

#[test]
fn no_forwarder_is_needed() {
    let place = Place::new();
    let line = "ndnpingserver -s 10 --listen udp://127.0.0.1:0,tcp://127.0.0.1:0 /direct";
    let mut server = Running::of(&mut place.command(line));
    for scheme in ["udp", "tcp"] {
        let told = server.line_with(&format!("listening on {scheme}://"));
        let face = told.trim_end().trim_start_matches("listening on ");
        let output = place.run(&format!(
            "ndnping -c 2 -i 10 --face {face} --verify digest /direct"
        ));
        assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
        let place = face.trim_start_matches("udp://").trim_start_matches("tcp://");
        let protocol = if scheme == "udp" { "ndn" } else { "ndn+tcp" };
        let url = format!("{protocol}://{place}/direct");
        let output = crate::common::halloo(&["ping", "-c", "2", "-i", "10ms", &url]);
        assert!(
            stdout(&output).contains("2 packets transmitted, 2 received"),
            "{}",
            stdout(&output)
        );
    }
}

#[test]
fn an_answer_that_is_not_signed_with_the_trusted_key_is_told_as_such() {
    let place = Place::new();
    let secret = place.path("secret");
    fs::write(&secret, "a secret").expect("it can be written");
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("it is ours");
    let line = "ndnpingserver --listen udp://127.0.0.1:0,tcp://127.0.0.1:0 /direct";
    let mut server = Running::of(&mut place.command(line));
    let mut ask = |scheme: &str| {
        let told = server.line_with(&format!("listening on {scheme}://"));
        let face = told.trim_end().trim_start_matches("listening on ");
        let line = format!(
            "ndnping -c 1 --face {face} --verify hmac:{} /direct",
            secret.display()
        );
        let mut client = place.command(&line);
        client.stdout(Stdio::piped()).stderr(Stdio::piped());
        client.spawn().expect("it runs")
    };
    // Both at once: each waits for its timeout.
    for client in [ask("udp"), ask("tcp")] {
        let output = client.wait_with_output().expect("it ends");
        assert_eq!(
            (stderr(&output).as_str(), output.status.code()),
            (
                "HINT: what came back is not signed with the key of --verify\n",
                Some(1)
            )
        );
    }
}

#[test]
fn a_deadline_before_any_answer_is_no_success() {
    let place = Place::new();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let face = silent.local_addr().expect("it is bound");
    let output = place.run(&format!("ndnping -w 0.01 -o 60000 --face udp://{face} /x"));
    assert_eq!(
        stdout(&output),
        "PING /x\n\n--- /x ping statistics ---\n0 packets transmitted, 0 received, 0 nacked, time 0 ms\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn halloo_ping_asks_by_this_hosts_forwarder() {
    let place = Place::new();
    let forwarder = place.forwarder();
    let _server = place.serve(&forwarder, "-q", "/edu/arizona");
    let mut command = Command::new(HALLOO);
    command
        .args([
            "ping",
            "-c",
            "2",
            "-i",
            "10ms",
            "ndn:/edu/arizona",
            "ndn:/no/route",
        ])
        .env("NDN_CLIENT_TRANSPORT", place.unix());
    let output = command.output().expect("it runs");
    let text = stdout(&output);
    assert!(
        text.contains(&format!("PING ndn:/edu/arizona ({})", place.unix())),
        "{text}"
    );
    assert!(text.contains("NoRoute"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn halloo_serve_answers_at_its_own_ports_and_behind_a_forwarder() {
    let place = Place::new();
    let forwarder = place.forwarder();
    let mut command = Command::new(HALLOO);
    command
        // Nobody may not look into the folder.
        .args([
            "serve",
            "--user",
            "root",
            "--ndn",
            "/own@127.0.0.1:0",
            "--ndn",
            "/behind",
        ])
        .env("NDN_CLIENT_TRANSPORT", place.unix());
    let mut host = Running::of(&mut command);
    let told = host.line_with("ndn pings under /own at udp://");
    wait_for_route(&forwarder, "/behind");
    let face = told.trim_end().rsplit(' ').next().expect("a face");
    for line in [
        format!("ndnping -c 2 -i 10 --face {face} /own"),
        "ndnping -c 2 -i 10 /behind".into(),
    ] {
        let output = place.run(&line);
        assert_eq!(output.status.code(), Some(0), "{line}: {}", stdout(&output));
    }
    forwarder.restart().expect("the same places");
    wait_for_route(&forwarder, "/behind");
    host.signal(Signal::SIGTERM);
    let (rest, code) = host.finish();
    assert!(rest.contains("NDN ping  2 datagrams received"), "{rest}");
    assert_eq!(code, Some(0));
}

#[test]
fn a_forwarder_tells_why_nobody_answers() {
    let place = Place::new();
    let forwarder = place.forwarder();
    let _server = place.serve(&forwarder, "-q", "/x");
    let found = place.run("ndnping --diagnose /x");
    let text = stdout(&found);
    assert!(
        text.contains(Behaviour::VERSION) && text.contains("/x/ping by face"),
        "{text}"
    );
    assert_eq!(found.status.code(), Some(0));
    let missing = place.run("ndnping --diagnose /y");
    assert!(
        stdout(&missing).contains("none leads to /y/ping"),
        "{}",
        stdout(&missing)
    );
    assert_eq!(missing.status.code(), Some(1));
}
