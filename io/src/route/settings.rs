//! Settings of the host's IP stack that decide what becomes of a datagram that is not for the host itself
//! (Documentation/networking/ip-sysctl.rst of the kernel).

use std::fs;
use std::io;
use std::path::PathBuf;

/// Whether a datagram is taken whose source would be answered by another link (`rp_filter`, RFC 3704).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// Always.
    Off,
    /// Never.
    Strict,
    /// If any link leads there.
    Loose,
}

/// Reads a setting below `/proc/sys/net`, such as `["ipv4", "ip_forward"]`, in the network namespace of this thread.
/// `None` if the kernel does not have it.
///
/// # Errors
/// If it cannot be read, or is not a number.
pub fn setting(path: &[&str]) -> io::Result<Option<i64>> {
    let file: PathBuf = ["/proc/sys/net"].iter().chain(path).collect();
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let number = text.trim().parse().map_err(|_| {
        let what = format!("{} is {text:?}, which is no number", file.display());
        io::Error::new(io::ErrorKind::InvalidData, what)
    })?;
    Ok(Some(number))
}

/// Whether IPv4 datagrams are forwarded that arrive by this link.
///
/// # Errors
/// As [`setting`].
pub fn forwards_ipv4(link: &str) -> io::Result<bool> {
    Ok(setting(&["ipv4", "conf", link, "forwarding"])?.unwrap_or(0) != 0)
}

/// Whether IPv6 datagrams are forwarded. It is one switch for all links: the link's own says other things.
///
/// # Errors
/// As [`setting`].
pub fn forwards_ipv6() -> io::Result<bool> {
    Ok(setting(&["ipv6", "conf", "all", "forwarding"])?.unwrap_or(0) != 0)
}

/// How the source of IPv4 datagrams is looked at that arrive by this link: the stricter of its own setting and that of
/// all, where the larger number counts. IPv6 has no such setting.
///
/// # Errors
/// As [`setting`].
pub fn reverse_path_filter(link: &str) -> io::Result<ReversePath> {
    let of = |link| setting(&["ipv4", "conf", link, "rp_filter"]);
    let value = of("all")?.unwrap_or(0).max(of(link)?.unwrap_or(0));
    Ok(match value {
        1 => ReversePath::Strict,
        2.. => ReversePath::Loose,
        _ => ReversePath::Off,
    })
}

/// Whether IPv4 datagrams with a source route (RFC 791) are taken that arrive by this link: only where both its own
/// setting and that of all say so.
///
/// # Errors
/// As [`setting`].
pub fn accepts_source_routes(link: &str) -> io::Result<bool> {
    let of = |link| setting(&["ipv4", "conf", link, "accept_source_route"]);
    Ok(of("all")?.unwrap_or(0) != 0 && of(link)?.unwrap_or(0) != 0)
}
