//! Our programs as the tests start them.

use crate::forwarder::{Any, VARIABLE};
use crate::peers::Running;
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// How often a client asks unless it is told otherwise.
pub(crate) const COUNT: u64 = 5;

/// `ndnping`, five times and quickly.
pub(crate) fn ndnping(args: &[&str]) -> Command {
    ndnping_times(COUNT, args)
}

/// `ndnping`, so often and quickly.
pub(crate) fn ndnping_times(count: u64, args: &[&str]) -> Command {
    let mut command = halloo("ndnping");
    command.args(["-c", &count.to_string(), "-i", "5"]).args(args);
    command
}

/// `ndnping`, as fast as answers come.
pub(crate) fn flood(args: &[&str]) -> Command {
    let mut command = halloo("ndnping");
    command.arg("--flood").args(args);
    command
}

pub(crate) fn ndnpingserver(args: &[&str]) -> Command {
    let mut command = halloo("ndnpingserver");
    command.args(args);
    command
}

fn halloo(name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_halloo"));
    // Neither the developer's own forwarder nor his settings.
    command.arg(name).env_remove(VARIABLE).stdin(Stdio::null());
    command
}

/// A server that has its prefix, which is the last argument.
pub(crate) fn serve_behind(forwarder: &Any, args: &[&str]) -> Running {
    let mut command = ndnpingserver(args);
    command.env(VARIABLE, forwarder.transport());
    let serving = Running::start(command);
    let prefix = args.last().expect("a prefix");
    match forwarder {
        Any::Fake(fake) => drop(fake.wait_for_route(&format!("{prefix}/ping"))),
        Any::Real(place) => wait_for_answer(place, prefix),
    }
    serving
}

/// A real forwarder tells nobody when a route is there.
fn wait_for_answer(place: &str, prefix: &str) {
    let is_answered = |_| {
        let mut command = ndnping_times(1, &["-o", "500", prefix]);
        command
            .env(VARIABLE, place)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    assert!(
        (0..50).any(is_answered),
        "nobody answers under {prefix} by {place}"
    );
}

/// Whether the client, which has ended so, says that every probe was answered.
#[track_caller]
pub(crate) fn assert_answered((text, code): &(String, Option<i32>), prefix: &str) {
    let answered = text.matches(&format!("content from {prefix}: seq=")).count() as u64;
    assert_eq!((answered, *code), (COUNT, Some(0)), "{text}");
    let statistics =
        format!("{COUNT} packets transmitted, {COUNT} received, 0 nacked, 0% lost, 0% nacked, time ");
    assert!(text.contains(&statistics), "{text}");
}

/// A key as the command line wants it.
pub(crate) struct KeyFiles {
    /// For `--sign`.
    pub(crate) private: String,
    /// For `--verify`.
    pub(crate) public: String,
    _folder: TempDir,
}

impl KeyFiles {
    pub(crate) fn of(key: &Value) -> KeyFiles {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, contents: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, contents).expect("it can be written");
            // Keys that everybody may read are refused.
            fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
            path.display().to_string()
        };
        let text = |field: &str| key[field].as_str().expect("a text").as_bytes().to_vec();
        let (private, public) = match key["type"].as_str() {
            Some("digest") => (String::new(), "digest".to_owned()),
            Some("hmac") => {
                let file = format!("hmac:{}", write("secret", b"a secret that two know"));
                (file.clone(), file)
            }
            _ => (
                write("private.pem", &text("private")),
                write("public.pem", &text("public")),
            ),
        };
        KeyFiles {
            private,
            public,
            _folder: folder,
        }
    }
}
