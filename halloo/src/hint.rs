//! The system's words about a socket that cannot be had, and what may help.

use nix::libc::{EACCES, EADDRINUSE, EADDRNOTAVAIL, EPERM};
use std::io;

/// The error without its number, and a remedy where there is a usual one.
pub(crate) fn explain(error: io::Error) -> anyhow::Error {
    let hint = match error.raw_os_error() {
        Some(EADDRINUSE) => "another program listens there; `ss -lntup` tells which",
        Some(EACCES) => {
            "ports below 1024 need root or CAP_NET_BIND_SERVICE (setcap cap_net_bind_service=+ep on the program)"
        }
        Some(EADDRNOTAVAIL) => "no interface of this host has that address",
        Some(EPERM) => "this needs root or CAP_NET_RAW",
        _ => return error.into(),
    };
    told(&error, hint)
}

/// The same for a socket that asks by ICMP.
pub(crate) fn explain_icmp(error: io::Error) -> anyhow::Error {
    match error.raw_os_error() {
        Some(EPERM) => told(
            &error,
            "allow it with sysctl -w net.ipv4.ping_group_range='0 2147483647', or give CAP_NET_RAW",
        ),
        _ => explain(error),
    }
}

fn told(error: &io::Error, hint: &str) -> anyhow::Error {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    anyhow::anyhow!("{words}; {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_errors_come_with_a_remedy_and_without_numbers() {
        let table = [
            (
                EADDRINUSE,
                "Address already in use; another program listens there; `ss -lntup` tells which",
            ),
            (
                EADDRNOTAVAIL,
                "Cannot assign requested address; no interface of this host has that address",
            ),
            (EPERM, "Operation not permitted; this needs root or CAP_NET_RAW"),
        ];
        for (code, text) in table {
            assert_eq!(explain(io::Error::from_raw_os_error(code)).to_string(), text);
        }
        let other = io::Error::other("something else");
        assert_eq!(explain(other).to_string(), "something else");
    }

    #[test]
    fn who_may_not_ask_by_icmp_hears_what_would_allow_it() {
        let told = |code| explain_icmp(io::Error::from_raw_os_error(code)).to_string();
        assert_eq!(
            told(EPERM),
            "Operation not permitted; allow it with sysctl -w net.ipv4.ping_group_range='0 2147483647', or give \
             CAP_NET_RAW"
        );
        assert_eq!(
            told(EADDRNOTAVAIL),
            "Cannot assign requested address; no interface of this host has that address"
        );
    }
}
