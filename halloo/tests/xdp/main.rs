//! The XDP program beside the responders of user space: the same requests, the same answers.
//!
//! The kernel runs the program on frames that the tests hand it (BPF_PROG_TEST_RUN), without any interface. That takes
//! root; without it these tests say that they did not run.

mod frames;
mod guards;
mod ip_echo;
mod udp_echo;

use frames::OUR_MAC;
use halloo_io::{Xdp, XdpError, XdpOptions};

/// A program that is attached to nothing, or nothing at all with a loud word where this process may have none.
fn program(test: &str, options: &XdpOptions) -> Option<Xdp> {
    match Xdp::load(options, OUR_MAC) {
        Ok(program) => Some(program),
        Err(XdpError::NotBuilt) => {
            eprintln!("SKIPPED: {test}: XDP is not in this build");
            None
        }
        Err(XdpError::Map { error, .. }) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            eprintln!("SKIPPED: {test}: this process may make no BPF maps");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// What every test wants of the program; rules are added where they matter.
fn options() -> XdpOptions {
    let address = |text: &str| text.parse().expect("an address");
    XdpOptions {
        udp: vec!["[::]:7777".parse().expect("an address")],
        addresses: vec![address(frames::OUR_V4), address(frames::OUR_V6)],
        echo: ["192.0.2.7", "192.0.2.8", "2001:db8::7"].map(address).to_vec(),
        probes: true,
        sessions: 64,
        rules: halloo_io::XdpRules {
            sources: 64,
            ..halloo_io::XdpRules::default()
        },
        ..XdpOptions::default()
    }
}
