//! The systemd unit: read by systemd's own reader, and run as systemd would.

use crate::forwarder::{Fake, VARIABLE};
use crate::ours::{assert_answered, ndnping};
use crate::peers::Running;
use halloo_lab::ndn::Behaviour;
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const INSTALLED: &str = "/usr/bin/halloo";
const PREFIX: &str = "/unit/test";

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd/ndn-ping-server.service")
}

/// The command line of the unit, its variables filled in as systemd.service(5) says: `$NAME` alone is split at white space.
fn started(settings: &[(&str, &str)]) -> Command {
    let text = fs::read_to_string(unit()).expect("the unit");
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart="));
    let mut words = line.expect("it starts something").split_whitespace();
    assert_eq!(words.next(), Some(INSTALLED));
    let mut command = Command::new(env!("CARGO_BIN_EXE_halloo"));
    for word in words {
        match word.strip_prefix('$') {
            None => drop(command.arg(word)),
            Some(name) => {
                let (_, value) = settings.iter().find(|(known, _)| *known == name).expect(name);
                command.args(value.split_whitespace());
            }
        }
    }
    command.stdin(Stdio::null());
    command
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("ndn-ping-server.service");
    // It is not installed where the unit says.
    let text = fs::read_to_string(unit()).expect("the unit");
    fs::write(&copy, text.replace(INSTALLED, env!("CARGO_BIN_EXE_halloo"))).expect("a copy");
    let mut verify = Command::new("systemd-analyze");
    verify
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(&copy);
    let Ok(output) = verify.output() else {
        eprintln!("SKIPPED: there is no systemd-analyze");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !said.contains("ndn-ping-server"),
        "{said}"
    );
}

#[test]
fn it_is_ready_when_the_forwarder_that_came_late_has_its_prefix() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("some time");
    let heard = || {
        let mut buffer = [0; 4096];
        let n = manager.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..n]).into_owned())
    };
    let fake = Fake::with(Behaviour::default());
    fake.forwarder.go_down();
    let mut command = started(&[("PREFIX", PREFIX), ("FLAGS", "-q --freshness 10")]);
    command.env(VARIABLE, fake.unix()).env("NOTIFY_SOCKET", &path);
    let serving = Running::start(command);
    serving.complaint_with("trying again");
    manager.set_nonblocking(true).expect("a switch");
    assert_eq!(heard(), None, "nobody has its prefix yet");
    manager.set_nonblocking(false).expect("a switch");
    fake.forwarder.come_up().expect("its place is free");
    let ready = heard().expect("word of readiness");
    let wanted = ["READY=1".to_owned(), format!("STATUS=answering under {PREFIX}")];
    assert!(
        wanted
            .iter()
            .all(|wanted| ready.lines().any(|line| line == wanted)),
        "{ready}"
    );
    let mut client = ndnping(&[PREFIX]);
    client.env(VARIABLE, fake.unix());
    assert_answered(&Running::start(client).finish(), PREFIX);
    serving.signal(Signal::SIGTERM);
    assert_eq!(heard().as_deref().map(str::trim), Some("STOPPING=1"));
    let (text, code) = serving.finish();
    assert_eq!(code, Some(0), "{text}");
}
