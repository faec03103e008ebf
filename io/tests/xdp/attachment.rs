//! How the program comes to an interface, and how it goes.

use super::{ask, asking, attach, options};
use halloo_io::{Xdp, XdpError, XdpMode, XdpOptions};
use halloo_lab::{Host, Lab};
use nix::sys::signal::Signal;
use std::env;
use std::io;
use std::process::Command;
use std::thread;

/// Names the interface to the child of the test that kills one.
const DEVICE: &str = "HALLOO_TEST_XDP_DEVICE";
const ATTACHED: &str = "attached";

fn has_program(host: &Host, device: &str) -> bool {
    host.must("ip", ["-details", "link", "show", "dev", device])
        .contains("prog/xdp")
}

#[test]
fn a_program_goes_with_its_value() {
    let Some(lab) = Lab::or_skip("XDP that is detached") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    let device = link.b().device();
    for mode in [XdpMode::Auto, XdpMode::Generic, XdpMode::Native] {
        let program = attach(
            &link,
            &XdpOptions {
                mode,
                ..options(&link)
            },
        );
        assert_eq!(program.device(), device);
        assert!(has_program(&far, device), "{mode}");
        drop(program);
        assert!(!has_program(&far, device), "{mode}");
    }
}

#[test]
fn a_program_goes_with_its_process_even_if_that_is_killed() {
    let Some(lab) = Lab::or_skip("XDP of a process that is killed") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    let device = link.b().device();
    let mut command = Command::new(env::current_exe().expect("this program"));
    command
        .args([
            "--exact",
            "attachment::the_process_that_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(DEVICE, device);
    let child = far.spawn_command(command);
    child.wait_for_line(ATTACHED, super::PATIENCE);
    assert!(has_program(&far, device));
    child.signal(Signal::SIGKILL);
    child.wait(super::PATIENCE);
    assert!(!has_program(&far, device));
}

#[test]
#[ignore = "the other half of the test above, which runs it"]
fn the_process_that_is_killed() {
    let device = env::var(DEVICE).expect("the test that runs this names an interface");
    let options = XdpOptions {
        device,
        ..XdpOptions::default()
    };
    let _program = Xdp::attach(&options).expect("attached");
    eprintln!("{ATTACHED}");
    loop {
        thread::park();
    }
}

#[test]
fn what_takes_no_program_says_why() {
    let Some(lab) = Lab::or_skip("XDP where it cannot be") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    let attempt = |device: &str| {
        let options = XdpOptions {
            device: device.to_owned(),
            ..options(&link)
        };
        far.enter(|| Xdp::attach(&options))
            .expect_err("refused")
            .to_string()
    };
    assert_eq!(attempt("no-such-dev0"), "there is no interface `no-such-dev0`");
    assert_eq!(
        attempt("lo"),
        "`lo` has no MAC address: XDP echo needs an Ethernet interface"
    );
    let device = link.b().device();
    let program = attach(&link, &options(&link));
    assert_eq!(
        attempt(device),
        format!(
            "cannot attach XDP to `{device}` in generic mode: another XDP program is there (`ip link show` tells)"
        )
    );
    // The first is still at work.
    let socket = asking(&near, link.a().v4().into(), link.b().v4().into());
    assert_eq!(ask(&socket, b"still?"), b"still?");
    drop(program);
}

#[test]
fn an_error_says_what_would_help() {
    let refused = |errno: i32| {
        XdpError::Attach {
            device: "eth0".into(),
            mode: XdpMode::Native,
            error: io::Error::from_raw_os_error(errno),
        }
        .to_string()
    };
    let start = "cannot attach XDP to `eth0` in native mode";
    assert_eq!(
        refused(nix::libc::EPERM),
        format!("{start}: it takes root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN")
    );
    assert_eq!(
        refused(nix::libc::EOPNOTSUPP),
        format!("{start}: its driver cannot; generic mode can")
    );
    assert_eq!(
        refused(nix::libc::ENODEV),
        start,
        "the cause is told by whoever prints errors"
    );
}
