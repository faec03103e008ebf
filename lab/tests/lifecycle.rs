//! Labs do not meet, and leave nothing behind.

mod common;

use common::{PATIENCE, pings};
use halloo_lab::Lab;
use nix::sys::signal::Signal;
use std::io::{Read, Write, pipe};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, panic, thread};

#[test]
fn after_a_panic_no_namespace_and_no_process_is_left() {
    let Some(lab) = Lab::or_skip("panic") else { return };
    let host = lab.host("doomed");
    let namespace = Path::new("/run/netns").join(host.namespace());
    // What a daemon does: its parent ends, it lives on. It holds the pipe open for as long as it lives.
    let (mut life, held) = pipe().unwrap();
    let mut daemon = Command::new("sh");
    daemon.args(["-c", "sleep 30 &"]).stdout(held);
    assert!(host.enter(|| daemon.status()).unwrap().success());
    drop(daemon);
    let child = host.spawn("sleep", ["30"]);
    let pid = child.pid();
    assert!(namespace.exists() && runs(pid));
    let begin = Instant::now();
    let outcome = thread::spawn(move || {
        let (_lab, _child) = (lab, child);
        panic::resume_unwind(Box::new("as a failed assertion does"));
    })
    .join();
    assert!(outcome.is_err());
    assert!(!namespace.exists());
    assert!(!runs(pid));
    life.read_to_end(&mut Vec::new()).unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "the daemon ended by itself"
    );
}

#[test]
fn two_labs_with_the_same_names_do_not_meet() {
    let (Some(one), Some(two)) = (Lab::or_skip("one"), Lab::or_skip("two")) else {
        return;
    };
    let links = [&one, &two].map(|lab| lab.link(&lab.host("near"), &lab.host("far")));
    assert_eq!(links[0].a().v4(), links[1].a().v4());
    thread::scope(|scope| {
        for link in &links {
            scope.spawn(|| assert!(pings(link.a().host(), link.b().v4())));
        }
    });
    drop(one);
    assert!(pings(links[1].a().host(), links[1].b().v4()));
}

#[test]
fn what_a_killed_process_left_is_swept() {
    if Lab::or_skip("sweep").is_none() {
        return;
    }
    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let name = format!("halloo-lab.{}.0.orphan", dead.id());
    assert!(
        Command::new("ip")
            .args(["netns", "add", &name])
            .status()
            .unwrap()
            .success()
    );
    let mut orphan = Command::new("ip")
        .args(["netns", "exec", &name, "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It answers, so it is inside.
    orphan.stdin.as_ref().unwrap().write_all(b"x").unwrap();
    orphan.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    Lab::sweep();
    assert!(!Path::new("/run/netns").join(&name).exists());
    assert_eq!(orphan.wait().unwrap().signal(), Some(9));
}

#[test]
fn without_root_a_test_is_skipped_loudly_or_fails_where_it_must_run() {
    if Lab::or_skip("skipping").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy: PathBuf = folder.path().join("lifecycle");
    fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    let test = "two_labs_with_the_same_names_do_not_meet";
    let as_nobody = |required: &str| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--clear-groups"])
            .arg(&copy)
            .args(["--exact", test, "--nocapture"]);
        command
            .env("HALLOO_LAB", required)
            .current_dir("/")
            .output()
            .unwrap()
    };
    let skipped = as_nobody("");
    let said = String::from_utf8(skipped.stderr).unwrap();
    assert!(
        skipped.status.success() && said.contains(&format!("SKIPPED {test}: needs root")),
        "{said}"
    );
    let required = as_nobody("require");
    let said = String::from_utf8(required.stderr).unwrap();
    assert!(
        !required.status.success() && said.contains("must run here"),
        "{said}"
    );
}

#[test]
fn a_child_is_heard_signalled_and_waited_for() {
    let Some(lab) = Lab::or_skip("child") else { return };
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "trap 'echo stopping; exit 7' TERM; read word; echo heard $word; echo aside >&2; read more",
    ]);
    command.stdin(Stdio::piped());
    let mut child = lab.host("host").spawn_command(command);
    let mut stdin = child.stdin().unwrap();
    stdin.write_all(b"you\n").unwrap();
    assert_eq!(child.wait_for_line("heard", PATIENCE), "heard you");
    child.wait_for_line("aside", PATIENCE);
    assert!(child.is_running());
    child.signal(Signal::SIGTERM);
    assert_eq!(child.wait(PATIENCE).code(), Some(7));
    assert_eq!(
        (child.stdout().as_str(), child.stderr().as_str()),
        ("heard you\nstopping\n", "aside\n")
    );
}

#[test]
fn waiting_for_a_line_ends_when_the_output_does() {
    let Some(lab) = Lab::or_skip("child that ends") else {
        return;
    };
    let child = lab.host("host").spawn("echo", ["something else"]);
    let begin = Instant::now();
    let outcome = thread::spawn(move || child.wait_for_line("never", PATIENCE)).join();
    let message = *outcome.unwrap_err().downcast::<String>().unwrap();
    assert!(
        message.contains("no line with `never`") && message.contains("something else"),
        "{message}"
    );
    assert!(begin.elapsed() < PATIENCE, "it was waited for in vain");
}

fn runs(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}
