//! What to ask: `udp://host:7777`, `tcp://192.0.2.7`, `[fe80::1%eth0]:7`, or just a name.

use halloo_protocols::{ALL, Protocol, by_scheme};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A protocol, a host and a port, as the user named them.
#[derive(Clone, Debug)]
pub struct Target {
    /// How to ask.
    pub protocol: &'static Protocol,
    /// Whom.
    pub host: Host,
    /// On which port.
    pub port: u16,
}

/// A host as the user named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name to look up.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, with the device of a link-local one.
    V6(Ipv6Addr, Option<String>),
}

/// Why a target makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// There is no such protocol.
    #[error("unknown protocol `{0}`; this halloo knows {known}", known = known_schemes())]
    UnknownScheme(String),
    /// The scheme is there, the host is not.
    #[error("a host is missing")]
    NoHost,
    /// Not 1 to 65535.
    #[error("`{0}` is not a port; ports are 1 to 65535")]
    BadPort(String),
    /// The protocol has no usual port, so it has to be named.
    #[error("{0} has no usual port; write one: {1}://HOST:PORT")]
    NoPort(&'static str, &'static str),
    /// Something follows the host and port.
    #[error("`{0}` after the host means nothing here; write {1}://HOST:PORT")]
    Trailing(String, &'static str),
    /// `user@host`.
    #[error("a user name means nothing here; leave out `{0}@`")]
    UserInfo(String),
    /// `[` without `]`, or no address in between.
    #[error("`{0}` is not an IPv6 address in brackets, such as [2001:db8::7] or [fe80::1%eth0]")]
    BadBrackets(String),
    /// Digits and dots, but no address.
    #[error("`{0}` looks like an IPv4 address but is none")]
    BadV4(String),
    /// Not what a host name may be.
    #[error("`{0}` is not a host name: {1}")]
    BadName(String, &'static str),
    /// No device can have this name.
    #[error("`{0}` is not a device's name")]
    BadZone(String),
    /// A device was named where it cannot matter.
    #[error("only a link-local address (fe80::/10) takes a device; leave out `%{0}`")]
    NeedlessZone(String),
    /// A link-local address means nothing without its device.
    #[error("{0} is link-local; say by which device: {0}%eth0")]
    MissingZone(Ipv6Addr),
    /// Nobody can be asked there.
    #[error("{0} is not the address of one host")]
    NotUnicast(IpAddr),
}

impl Target {
    /// Whether both ask the same.
    pub(crate) fn is(&self, other: &Target) -> bool {
        (self.protocol.scheme, &self.host, self.port) == (other.protocol.scheme, &other.host, other.port)
    }

    /// Understands what the user wrote.
    ///
    /// # Errors
    /// What is wrong with it, in words that say what would be right.
    pub fn parse(text: &str) -> Result<Target, TargetError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("udp", text));
        let protocol = by_scheme(&scheme.to_ascii_lowercase())
            .filter(|protocol| protocol.prober.is_some())
            .ok_or_else(|| TargetError::UnknownScheme(scheme.to_owned()))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some(at) = rest.find(['/', '?', '#']) {
            return Err(TargetError::Trailing(rest[at..].to_owned(), protocol.scheme));
        }
        if let Some((user, _)) = rest.split_once('@') {
            return Err(TargetError::UserInfo(user.to_owned()));
        }
        let (host, port) = split_port(rest)?;
        let port = match port {
            Some(port) => parse_port(port)?,
            None => protocol
                .default_port
                .ok_or(TargetError::NoPort(protocol.name, protocol.scheme))?,
        };
        Ok(Target {
            protocol,
            host: Host::parse(host)?,
            port,
        })
    }

    /// The target of the given parts, for command lines that name them apart.
    ///
    /// # Errors
    /// As [`Target::parse`] for the host.
    pub fn new(protocol: &'static Protocol, host: &str, port: u16) -> Result<Target, TargetError> {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        Ok(Target {
            protocol,
            host: Host::parse(bare)?,
            port,
        })
    }
}

impl Host {
    fn parse(text: &str) -> Result<Host, TargetError> {
        if text.is_empty() {
            return Err(TargetError::NoHost);
        }
        if text.contains(':') {
            return parse_v6(text);
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return one_v4(ip);
        }
        if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(TargetError::BadV4(text.to_owned()));
        }
        check_name(text).map_err(|why| TargetError::BadName(text.to_owned(), why))?;
        Ok(Host::Name(text.to_owned()))
    }
}

/// Takes `[v6]:port`, `[v6]`, `v6`, `host:port` and `host` apart.
fn split_port(text: &str) -> Result<(&str, Option<&str>), TargetError> {
    if let Some(inner) = text.strip_prefix('[') {
        let bad = || TargetError::BadBrackets(text.to_owned());
        let (host, after) = inner.split_once(']').ok_or_else(bad)?;
        if !host.contains(':') {
            return Err(bad());
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(bad()),
        };
    }
    match text.split_once(':') {
        // Two colons and no brackets: an IPv6 address without a port.
        Some((_, after)) if after.contains(':') => Ok((text, None)),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

fn parse_port(text: &str) -> Result<u16, TargetError> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if port > 0 && digits => Ok(port),
        _ => Err(TargetError::BadPort(text.to_owned())),
    }
}

fn one_v4(ip: Ipv4Addr) -> Result<Host, TargetError> {
    if ip.is_multicast() || ip.is_broadcast() || ip.is_unspecified() {
        return Err(TargetError::NotUnicast(ip.into()));
    }
    Ok(Host::V4(ip))
}

fn parse_v6(text: &str) -> Result<Host, TargetError> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let ip: Ipv6Addr = address
        .parse()
        .map_err(|_| TargetError::BadBrackets(text.to_owned()))?;
    if ip.is_multicast() || ip.is_unspecified() {
        return Err(TargetError::NotUnicast(ip.into()));
    }
    if let Some(v4) = ip.to_ipv4_mapped() {
        return one_v4(v4);
    }
    match (ip.is_unicast_link_local(), zone) {
        (true, None | Some("")) => Err(TargetError::MissingZone(ip)),
        (false, Some(zone)) => Err(TargetError::NeedlessZone(zone.to_owned())),
        (true, Some(zone)) if !is_device_name(zone) => Err(TargetError::BadZone(zone.to_owned())),
        (_, zone) => Ok(Host::V6(ip, zone.map(str::to_owned))),
    }
}

/// The kernel's rules (dev_valid_name), without the brackets and signs that mean something in a target.
fn is_device_name(name: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/:[]%@?#".contains(c);
    (1..=15).contains(&name.len()) && name != "." && name != ".." && !name.contains(odd)
}

/// The rules of RFC 1123 section 2.1, with the underscores that people use.
fn check_name(name: &str) -> Result<(), &'static str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > 253 {
        return Err("longer than 253 characters");
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err("two dots in a row, or one at the beginning");
        }
        if label.len() > 63 {
            return Err("a part is longer than 63 characters");
        }
        // Letters beyond ASCII are left to the resolver, which knows about international names.
        if label
            .chars()
            .any(|c| c.is_ascii() && !c.is_ascii_alphanumeric() && c != '-' && c != '_')
        {
            return Err("letters, digits, `-` and `.` only");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("a part begins or ends with `-`");
        }
    }
    Ok(())
}

fn known_schemes() -> String {
    let schemes: Vec<_> = askable().map(|protocol| protocol.scheme).collect();
    schemes.join(", ")
}

fn askable() -> impl Iterator<Item = &'static Protocol> {
    ALL.iter().copied().filter(|protocol| protocol.prober.is_some())
}

/// How a target is written, for every protocol of this build: `udp://HOST[:7777], tcp://HOST[:7]`.
pub(crate) fn forms() -> String {
    let form = |protocol: &Protocol| match protocol.default_port {
        Some(port) => format!("{}://HOST[:{port}]", protocol.scheme),
        None => format!("{}://HOST:PORT", protocol.scheme),
    };
    askable().map(form).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(ip) => ip.fmt(f),
            Host::V6(ip, None) => write!(f, "[{ip}]"),
            Host::V6(ip, Some(zone)) => write!(f, "[{ip}%{zone}]"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.protocol.scheme, self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port_of(scheme: &str) -> u16 {
        by_scheme(scheme)
            .and_then(|protocol| protocol.default_port)
            .expect("a usual port")
    }

    #[test]
    fn every_form_is_understood() {
        let (udp, tcp) = (port_of("udp"), port_of("tcp"));
        let table = [
            ("echo.example.net", format!("udp://echo.example.net:{udp}")),
            ("echo.example.net:9", "udp://echo.example.net:9".into()),
            ("udp://echo", format!("udp://echo:{udp}")),
            ("UDP://echo/", format!("udp://echo:{udp}")),
            ("tcp://192.0.2.7", format!("tcp://192.0.2.7:{tcp}")),
            ("tcp://192.0.2.7:65535", "tcp://192.0.2.7:65535".into()),
            ("::1", format!("udp://[::1]:{udp}")),
            ("[::1]", format!("udp://[::1]:{udp}")),
            ("[::1]:7", "udp://[::1]:7".into()),
            ("tcp://[2001:DB8::7]:7", "tcp://[2001:db8::7]:7".into()),
            ("fe80::1%eth0", format!("udp://[fe80::1%eth0]:{udp}")),
            ("udp://[fe80::1%eth0]:7", "udp://[fe80::1%eth0]:7".into()),
            ("::ffff:192.0.2.1", format!("udp://192.0.2.1:{udp}")),
            ("host_1.local.", format!("udp://host_1.local.:{udp}")),
            ("bücher.example", format!("udp://bücher.example:{udp}")),
        ];
        for (text, expected) in table {
            let target = Target::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(target.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_wrong_target_is_told_in_words() {
        let known = known_schemes();
        let table = [
            ("", "a host is missing".to_owned()),
            ("udp://", "a host is missing".into()),
            ("udp://:7", "a host is missing".into()),
            (
                "gopher://x",
                format!("unknown protocol `gopher`; this halloo knows {known}"),
            ),
            ("x:0", "`0` is not a port; ports are 1 to 65535".into()),
            ("x:65536", "`65536` is not a port; ports are 1 to 65535".into()),
            ("x:+7", "`+7` is not a port; ports are 1 to 65535".into()),
            ("x:", "`` is not a port; ports are 1 to 65535".into()),
            (
                "udp://x/y",
                "`/y` after the host means nothing here; write udp://HOST:PORT".into(),
            ),
            (
                "udp://me@x",
                "a user name means nothing here; leave out `me@`".into(),
            ),
            (
                "[::1",
                "`[::1` is not an IPv6 address in brackets, such as [2001:db8::7] or [fe80::1%eth0]".into(),
            ),
            (
                "[1.2.3.4]:7",
                "`[1.2.3.4]:7` is not an IPv6 address in brackets, such as [2001:db8::7] or [fe80::1%eth0]"
                    .into(),
            ),
            ("1.2.3", "`1.2.3` looks like an IPv4 address but is none".into()),
            (
                "a..b",
                "`a..b` is not a host name: two dots in a row, or one at the beginning".into(),
            ),
            (
                "a b",
                "`a b` is not a host name: letters, digits, `-` and `.` only".into(),
            ),
            (
                "-a",
                "`-a` is not a host name: a part begins or ends with `-`".into(),
            ),
            (
                "fe80::1",
                "fe80::1 is link-local; say by which device: fe80::1%eth0".into(),
            ),
            (
                "2001:db8::1%eth0",
                "only a link-local address (fe80::/10) takes a device; leave out `%eth0`".into(),
            ),
            ("224.0.0.1", "224.0.0.1 is not the address of one host".into()),
            ("ff02::1", "ff02::1 is not the address of one host".into()),
            ("0.0.0.0", "0.0.0.0 is not the address of one host".into()),
            (
                "::ffff:224.0.0.1",
                "224.0.0.1 is not the address of one host".into(),
            ),
            ("fe80::1%e]:7", "`e]:7` is not a device's name".into()),
        ];
        for (text, expected) in table {
            let error = Target::parse(text).expect_err(text);
            assert_eq!(error.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn host_and_port_may_come_apart() {
        let tcp = by_scheme("tcp").expect("TCP is known");
        let target = |host| Target::new(tcp, host, 7).map(|target| target.to_string());
        assert_eq!(target("::1"), Ok("tcp://[::1]:7".into()));
        assert_eq!(target("[::1]"), Ok("tcp://[::1]:7".into()));
        assert_eq!(target("localhost"), Ok("tcp://localhost:7".into()));
        assert_eq!(target(""), Err(TargetError::NoHost));
    }

    #[test]
    fn the_help_names_every_protocol_that_can_be_asked() {
        let forms = forms();
        assert!(
            askable().all(|protocol| forms.contains(&format!("{}://", protocol.scheme))),
            "{forms}"
        );
    }
}
