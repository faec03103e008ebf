//! Finding the programs that Debian ships, or saying which package brings them.

use std::env;
use std::path::PathBuf;

/// Which Debian package brings which program. A program that is missing here brings itself.
const PACKAGES: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("ss", "iproute2"),
    ("nft", "nftables"),
    ("nc", "netcat-openbsd"),
    ("ping", "iputils-ping"),
    ("python3", "python3-minimal"),
    ("nping", "nmap"),
    ("scapy", "python3-scapy"),
    ("turnserver", "coturn"),
    ("turnutils_natdiscovery", "coturn"),
    ("turnutils_stunclient", "coturn"),
    ("sipp", "sip-tester"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("h2load", "nghttp2-client"),
    ("nghttp", "nghttp2-client"),
    ("promtool", "prometheus"),
    ("wsdump", "python3-websocket"),
    ("edge", "n2n"),
    ("supernode", "n2n"),
    ("tincd", "tinc"),
    ("wg", "wireguard-tools"),
];

/// Where administrators' programs live; an ordinary user's `PATH` may lack them.
const ADMINISTRATION: &[&str] = &["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// A program that this machine does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no `{program}` here: apt-get install {package}")]
pub struct MissingProgram {
    /// What was looked for.
    pub program: String,
    /// The Debian package that brings it.
    pub package: String,
}

/// The path of a program, looked up in `PATH` and the administrators' folders.
///
/// # Errors
/// [`MissingProgram`] names the Debian package to install.
pub fn program(name: &str) -> Result<PathBuf, MissingProgram> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(ADMINISTRATION.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| MissingProgram {
            program: name.to_owned(),
            package: package(name).to_owned(),
        })
}

/// The path of a program, or `None` after saying loudly that the test did not run.
///
/// # Panics
/// When the program is missing and `HALLOO_LAB=require` is set.
pub fn program_or_skip(name: &str) -> Option<PathBuf> {
    program(name).map_err(|missing| crate::lab::skip(&missing)).ok()
}

fn package(program: &str) -> &str {
    PACKAGES
        .iter()
        .find(|(name, _)| *name == program)
        .map_or(program, |(_, package)| package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let missing = program("no-such-program").unwrap_err();
        assert_eq!(
            missing.to_string(),
            "no `no-such-program` here: apt-get install no-such-program"
        );
        assert_eq!(package("nc"), "netcat-openbsd");
    }

    #[test]
    fn a_program_that_every_machine_has_is_found() {
        assert!(program("sh").unwrap().ends_with("sh"));
    }
}
