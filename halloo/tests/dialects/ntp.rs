//! NTP: chrony and ntpsec as clients and as servers, tshark as a reader.
//!
//! They want port 123, and so do we: each side has a namespace of its own. No clock is set: chronyd is told so, and ntpd runs
//! without the capability.

use crate::common::{HALLOO, Server, peer_or_skip, ping};
use crate::tap::Tap;
use halloo_lab::{Child, Host, Lab, Link, program_or_skip};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::{NamedTempFile, TempDir};

/// Longer than anything here takes, so that a hang ends with a message.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a host says of a clock that nobody keeps, whatever its kernel thinks of it.
const UNKNOWN: &str = "stratum = 16";
/// Somebody vouches for it.
const VOUCHED: &str = "stratum = 8\nunkept_error = \"10ms\"";

/// Two hosts, and the programs that others wrote.
struct Stage {
    _lab: Lab,
    link: Link,
    peers: PathBuf,
}

impl Stage {
    fn or_skip(title: &str) -> Option<Stage> {
        let lab = Lab::or_skip(title)?;
        let peers = peer_or_skip("ntp")?;
        let link = lab.link(&lab.host("client"), &lab.host("server"));
        Some(Stage {
            _lab: lab,
            link,
            peers,
        })
    }

    fn client(&self) -> &Host {
        self.link.a().host()
    }

    fn server(&self) -> &Host {
        self.link.b().host()
    }

    /// Our server's addresses, of both families.
    fn addresses(&self) -> [String; 2] {
        [self.link.b().v4().to_string(), self.link.b().v6().to_string()]
    }

    /// What a program said on the client's host, and its exit code.
    fn ask(&self, command: Command) -> (String, Option<i32>) {
        let child = self.client().spawn_command(command);
        let code = child.wait(PATIENCE).code();
        (child.stdout() + &child.stderr(), code)
    }

    /// chronyd asks once how wrong the clock is, and leaves it alone.
    fn chronyd(&self, address: &str, more: &[&str]) -> (String, Option<i32>) {
        let mut command = Command::new(self.peers.join("usr/sbin/chronyd"));
        let server = format!("server {address} iburst maxsamples 1");
        command
            .args(["-Q", "-x", "-U", "-u", "root", "-t", "5", &server])
            .args(more);
        self.ask(command)
    }

    /// ntpdate, as ntpsec has it.
    fn ntpdate(&self, args: &[&str]) -> (String, Option<i32>) {
        let mut command = Command::new("sh");
        command.arg(self.peers.join("usr/sbin/ntpdate")).args(args);
        let programs = self.peers.join("usr/bin");
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("PYTHONPATH", self.peers.join("usr/lib/python3/dist-packages"));
        self.ask(command)
    }

    /// ntpd, which asks from port 123 and cannot set the clock.
    fn ntpd(&self, args: &[&str], config: &NamedTempFile) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--bounding-set=-sys_time", "--inh-caps=-sys_time"])
            .arg(self.peers.join("usr/sbin/ntpd"))
            .args(args)
            .arg("-c")
            .arg(config.path());
        command
    }
}

fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    file
}

/// `halloo serve` with NTP at its usual port, and nothing else.
struct Halloo {
    child: Child,
    _config: NamedTempFile,
}

impl Halloo {
    fn on(host: &Host, clock: &str) -> Halloo {
        let config = file(&format!(
            "[serve]\nudp = []\ntcp = []\n[ntp]\nlisten = [\"[::]:123\"]\n{clock}\n"
        ));
        let path = config.path().display().to_string();
        let child = host.spawn(HALLOO, ["serve", "--json", "--config", &path]);
        child.wait_for_line("\"type\":\"listener\"", PATIENCE);
        Halloo {
            child,
            _config: config,
        }
    }

    /// Ends it: what it counted.
    #[track_caller]
    fn counted(self) -> Value {
        self.child.signal(Signal::SIGTERM);
        assert_eq!(self.child.wait(PATIENCE).code(), Some(0), "{}", self.child);
        let said = self.child.stdout();
        let mut objects = said
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let counted = objects.find(|object| object["type"] == "counters" && object["protocol"] == "ntp");
        counted.unwrap_or_else(|| panic!("no counters: {said}"))
    }

    /// Ends it: every request was answered, and there were some.
    #[track_caller]
    fn assert_all_answered(self) {
        let counted = self.counted();
        assert_eq!(counted["silent"], serde_json::json!({}), "{counted:#}");
        assert_eq!(counted["received"], counted["replied"], "{counted:#}");
        assert_ne!(counted["replied"], 0, "{counted:#}");
    }
}

#[test]
fn nobody_follows_a_host_that_does_not_know_the_time() {
    let Some(stage) = Stage::or_skip("NTP, unsynchronised") else {
        return;
    };
    let halloo = Halloo::on(stage.server(), UNKNOWN);
    let [v4, v6] = stage.addresses();
    let (said, code) = stage.chronyd(&v4, &[]);
    assert!(code == Some(1) && !said.contains("System clock wrong"), "{said}");
    for address in [&v4, &v6] {
        let (said, code) = stage.ntpdate(&["-q", address]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("Response dropped: stratum too high"), "{said}");
    }
    halloo.assert_all_answered();
}

#[test]
fn everybody_follows_a_host_that_somebody_vouches_for() {
    let Some(stage) = Stage::or_skip("NTP, vouched for") else {
        return;
    };
    let halloo = Halloo::on(stage.server(), VOUCHED);
    // Both ends have one clock, so nobody's is wrong by a second.
    for address in stage.addresses() {
        // From a port of its own, and from 123.
        for more in [&[][..], &["acquisitionport 123"]] {
            let (said, code) = stage.chronyd(&address, more);
            assert_eq!(code, Some(0), "{said}");
            let (_, wrong) = said.split_once("System clock wrong by ").expect(&said);
            let wrong: f64 = wrong.split(' ').next().expect(&said).parse().expect(&said);
            assert!(wrong.abs() < 1.0, "{said}");
        }
        let (said, code) = stage.ntpdate(&["-q", &address]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("{address} s8 no-leap")), "{said}");
        // It would wait for three servers, and for more trust than one has.
        let config = file(&format!("server {address} iburst\ntos maxdist 16\n"));
        let (said, code) = stage.ask(stage.ntpd(&["-n", "-q", "-g"], &config));
        assert!(
            code == Some(0) && said.contains("ntpd: time slew "),
            "{code:?}: {said}"
        );
    }
    halloo.assert_all_answered();
}

/// chronyd's server, and what it needs.
fn chronyd_serves(stage: &Stage, clock: &str) -> (Child, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("chrony.conf");
    let pid = folder.path().join("pid");
    let text = format!("{clock}\nallow all\ncmdport 0\npidfile {}\n", pid.display());
    std::fs::write(&config, text).expect("written");
    let mut command = Command::new(stage.peers.join("usr/sbin/chronyd"));
    command.args(["-d", "-x", "-U", "-u", "root", "-f"]).arg(&config);
    (stage.server().spawn_command(command), folder)
}

/// Blocks until something on the server's host has this address and port.
fn wait_until_bound(stage: &Stage, address: &str) {
    let mut ask = Command::new("sh");
    // Inotify does not reach sockets; `ss` in a loop is the kernel's own word, and it ends as soon as it can.
    ask.args([
        "-c",
        &format!("until ss -Hlnu | grep -qF {address}; do :; done; echo served"),
    ]);
    stage
        .server()
        .spawn_command(ask)
        .wait_for_line("served", PATIENCE);
}

/// The objects of a `halloo ping` on the client's host, and its exit code.
fn pinged(stage: &Stage, args: &[&str]) -> (Vec<Value>, Option<i32>) {
    let mut command = Command::new(HALLOO);
    command.args(["ping", "--json", "-i", "10ms"]).args(args);
    let child = stage.client().spawn_command(command);
    let code = child.wait(PATIENCE).code();
    let said = child.stdout();
    let objects = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {said}")));
    (objects.collect(), code)
}

fn exchanges(objects: &[Value]) -> impl Iterator<Item = &Value> {
    objects.iter().filter(|object| object["type"] == "exchange")
}

#[test]
fn our_prober_measures_chronys_server_and_believes_its_error_only_if_it_claims_one() {
    let Some(stage) = Stage::or_skip("chronyd as a server") else {
        return;
    };
    for (clock, is_known) in [("local stratum 8", true), ("", false)] {
        let (chronyd, _folder) = chronyd_serves(&stage, clock);
        // Both families: a socket each.
        for any in ["0.0.0.0:123", "[::]:123"] {
            wait_until_bound(&stage, any);
        }
        let [v4, v6] = stage.addresses();
        for target in [format!("ntp://{v4}"), format!("ntp://[{v6}]:123")] {
            let (objects, code) = pinged(&stage, &["-c", "10", &target]);
            assert_eq!((code, exchanges(&objects).count()), (Some(0), 10), "{objects:#?}");
            for exchange in exchanges(&objects) {
                assert_eq!(exchange["verdict"], "answered", "{exchange:#}");
                assert!(exchange["residence_ns"].as_i64() > Some(0), "{exchange:#}");
                let (t1, t4) = (exchange["t1_ns"].as_i64(), exchange["t4_ns"].as_i64());
                let (t2, t3) = (exchange["t2_ns"].as_i64(), exchange["t3_ns"].as_i64());
                // One clock at both ends; NTP's fields round to a quarter of a nanosecond.
                assert!(t1 <= t2 && t2 <= t3 && t3 <= t4, "{exchange:#}");
                assert_eq!(exchange["clock_error_ns"].is_number(), is_known, "{exchange:#}");
            }
        }
        chronyd.signal(Signal::SIGTERM);
        chronyd.wait(PATIENCE);
    }
}

#[test]
fn who_keeps_the_clock_is_asked_how_good_it_is() {
    let Some(stage) = Stage::or_skip("chronyd beside us") else {
        return;
    };
    let beside = "local stratum 5\nport 11123\nbindaddress 127.0.0.1";
    let (chronyd, _folder) = chronyd_serves(&stage, beside);
    wait_until_bound(&stage, "127.0.0.1:11123");
    let halloo = Halloo::on(stage.server(), "ask = \"127.0.0.1:11123\"");
    let [address, _] = stage.addresses();
    // Its first question and the answer are on their way; nothing tells when they have come but the claim itself.
    while !stage
        .ntpdate(&["-q", &address])
        .0
        .contains(&format!("{address} s5 no-leap"))
    {}
    let (said, code) = stage.chronyd(&address, &[]);
    assert_eq!(code, Some(0), "{said}");
    halloo.assert_all_answered();
    chronyd.signal(Signal::SIGTERM);
}

#[test]
fn ntpds_answers_are_heard_and_its_kisses_are_refusals() {
    let Some(stage) = Stage::or_skip("ntpd as a server") else {
        return;
    };
    let config = file("restrict default kod limited nomodify\n");
    let command = stage.ntpd(&["-n"], &config);
    let _ntpd = stage.server().spawn_command(command);
    let [v4, _] = stage.addresses();
    wait_until_bound(&stage, &format!("{v4}:123"));
    let (objects, code) = pinged(&stage, &["-c", "100", &format!("ntp://{v4}")]);
    assert_eq!(code, Some(1), "{objects:#?}");
    let is_refused = |exchange: &&Value| exchange["refusal"].is_object();
    for exchange in exchanges(&objects) {
        assert!(
            exchange["refusal"].is_null() || exchange["refusal"]["name"] == "RATE",
            "{exchange:#}"
        );
    }
    // It is not set and says so (INIT), which is no refusal; until it has had enough.
    let refused = exchanges(&objects).filter(is_refused).count();
    assert!((1..100).contains(&refused), "{refused} of 100");
    let first = exchanges(&objects).next().expect("a hundred");
    assert_eq!(first["verdict"], "answered", "{first:#}");
}

#[test]
fn a_chronyd_that_asks_too_often_hears_so() {
    let Some(stage) = Stage::or_skip("chronyd kissed") else {
        return;
    };
    let limits = "[limits]\nper_local_source = { per_second = 1, burst = 4 }";
    let halloo = Halloo::on(stage.server(), &format!("{VOUCHED}\n{limits}"));
    let [address, _] = stage.addresses();
    let folder = tempfile::tempdir().expect("a folder");
    let pid = folder.path().join("pid");
    // Sixteen times a second.
    let text = format!(
        "server {address} minpoll -4 maxpoll -4\ncmdport 0\npidfile {}\n",
        pid.display()
    );
    let config = file(&text);
    let mut command = Command::new(stage.peers.join("usr/sbin/chronyd"));
    command
        .args(["-d", "-x", "-U", "-u", "root", "-f"])
        .arg(config.path());
    let chronyd = stage.client().spawn_command(command);
    chronyd.wait_for_line(&format!("Received KoD RATE from {address}"), PATIENCE);
    chronyd.signal(Signal::SIGTERM);
    chronyd.wait(PATIENCE);
    let counted = halloo.counted();
    let [warned, refused] = [&counted["warned"], &counted["silent"]["rate_limited"]].map(Value::as_u64);
    assert!(Some(1) <= warned && warned <= refused, "{counted:#}");
}

#[test]
fn tshark_reads_our_question_and_our_answers() {
    let Some(tshark) = program_or_skip("tshark") else {
        return;
    };
    for (clock, said) in [
        (UNKNOWN, ["3", "16", "00000000"]),
        (VOUCHED, ["0", "8", "7f7f0101"]),
    ] {
        let rows = read(&tshark, clock);
        let [question, answer] = &rows[..] else {
            panic!("{rows:?}");
        };
        let number = &question[6];
        assert_eq!(question[..4], ["4", "3", "0", "0"], "{rows:?}");
        assert_eq!(answer[..2], ["4", "4"], "{rows:?}");
        assert_eq!(answer[2..5], said, "{rows:?}");
        // It shows as a time, to the nanosecond, the number that was asked with.
        assert_eq!(&answer[5], number, "{rows:?}");
        assert!(question[5] != *number && answer[6] != *number, "{rows:?}");
    }
}

/// Version, mode, leap indicator, stratum, reference id, origin and transmit time of one exchange.
fn read(tshark: &Path, clock: &str) -> Vec<Vec<String>> {
    let config = file(&format!("[ntp]\n{clock}\n"));
    let config = config.path().display().to_string();
    let server = Server::start(&["--ntp", "127.0.0.1:0", "--config", &config]);
    let tap = Tap::before(server.address("ntp"));
    ping(&["-c", "1", &format!("ntp://{}", tap.address())]).assert_answered(1);
    let fields = [
        "ntp.flags.vn",
        "ntp.flags.mode",
        "ntp.flags.li",
        "ntp.stratum",
        "ntp.refid",
        "ntp.org",
        "ntp.xmt",
    ];
    tap.read(tshark, "ntp", &fields)
}
