//! What to ask: `udp://host:7777`, `tcp://192.0.2.7`, `icmp://192.0.2.7`, `ip://192.0.2.7?protocol=200`, `[fe80::1%eth0]:7`, or just a name.

use crate::ndn::Question;
use halloo_base::Transport;
use halloo_protocols::http;
use halloo_protocols::ip_echo::{self, EXPERIMENTAL};
use halloo_protocols::ndn::{self, UriError};
use halloo_protocols::sip;
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
    /// On which port; 0 where the protocol has none.
    pub port: u16,
    /// Which IP protocol is asked by, where that can be chosen.
    pub ip_protocol: Option<u8>,
    /// What is asked for, where names are asked for and not hosts.
    pub(crate) question: Option<Question>,
    /// Path and query, where a host is asked for one.
    pub(crate) path: Option<String>,
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
    /// Nobody in particular: the NDN forwarder that this host's programs use.
    Forwarder,
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
    /// `stun:example.net`, which can be no host with a port.
    #[error("`{0}` is not a port; to ask {1}, write {2}")]
    NotAPort(String, &'static str, String),
    /// The protocol has no usual port, so it has to be named.
    #[error("{0} has no usual port; write one: {1}://HOST:PORT")]
    NoPort(&'static str, &'static str),
    /// Something follows the host and port.
    #[error("`{0}` after the host means nothing here; write {1}")]
    Trailing(String, String),
    /// The protocol has no ports.
    #[error("{0} has no ports; leave out `:{1}`")]
    NeedlessPort(&'static str, String),
    /// Not 0 to 255.
    #[error("`{0}` is not an IP protocol; they are 0 to 255")]
    BadIpProtocol(String),
    /// The kernel takes its datagrams for itself.
    #[error("IP protocol {0} is not for us: {1}")]
    TakenIpProtocol(u8, &'static str),
    /// Not the name of anything in NDN.
    #[error("{0}")]
    BadPrefix(#[from] UriError),
    /// `ndn+tcp:/name` names no host.
    #[error(
        "{0} goes to a host of its own: {0}://HOST[:6363]/NAME; by this host's forwarder it is ndn:/NAME"
    )]
    NoForwarder(&'static str),
    /// `user@host`.
    #[error("a user name means nothing here; leave out `{0}@`")]
    UserInfo(String),
    /// `;maddr=...` behind a SIP URI.
    #[error("`;{0}` means nothing here; of a SIP URI's parameters halloo knows ;transport=udp, tcp or tls")]
    BadParameter(String),
    /// `;transport=` with something else behind it.
    #[error("halloo does not ask SIP over `{0}`; it does over udp, tcp and tls")]
    BadTransport(String),
    /// `sips:...;transport=udp`.
    #[error("sips: goes by TLS, which `;transport={0}` cannot carry; write sips:HOST[:5061]")]
    NotSecured(String),
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
        let place = |target: &Target| {
            let path = target.path.clone();
            (target.protocol.scheme, target.port, target.ip_protocol, path)
        };
        let name = |target: &Target| target.question.as_ref().map(|question| question.prefix.clone());
        place(self) == place(other) && self.host == other.host && name(self) == name(other)
    }

    /// Whether what comes back is what was sent, header and all: the other end is an IP echo host.
    pub(crate) fn is_ip_echo(&self) -> bool {
        [&ip_echo::IP, &ip_echo::UDP_SELF, &ip_echo::TCP_SELF]
            .iter()
            .any(|own| own.scheme == self.protocol.scheme)
    }

    /// Host and port as requests name them (RFC 3986 section 3.2): the port only where it is not the usual one.
    pub(crate) fn authority(&self) -> String {
        let host = match &self.host {
            Host::Name(name) => name.clone(),
            Host::V4(ip) => ip.to_string(),
            Host::V6(ip, _) => format!("[{ip}]"),
            Host::Forwarder => String::new(),
        };
        match self.protocol.default_port {
            Some(usual) if usual != self.port => format!("{host}:{}", self.port),
            _ => host,
        }
    }

    /// Understands what the user wrote.
    ///
    /// # Errors
    /// What is wrong with it, in words that say what would be right.
    pub fn parse(text: &str) -> Result<Target, TargetError> {
        if let Some((protocol, rest)) = named(text) {
            return Target::parse_named(protocol, rest);
        }
        let (scheme, rest) = text
            .split_once("://")
            .or_else(|| sip_uri(text))
            .unwrap_or(("udp", text));
        let protocol = by_scheme(&scheme.to_ascii_lowercase())
            .filter(|protocol| protocol.prober.is_some())
            .ok_or_else(|| TargetError::UnknownScheme(scheme.to_owned()))?;
        let (protocol, rest) = match sip::is_sip(protocol) {
            true => split_transport(protocol, rest)?,
            false => (protocol, rest),
        };
        let (rest, ip_protocol) = match protocol.transport {
            Transport::Ip => split_ip_protocol(rest)?,
            _ => (rest, None),
        };
        let (rest, path) = match protocol.scheme {
            scheme if is_web(scheme) => split_path(rest),
            _ => (rest.strip_suffix('/').unwrap_or(rest), None),
        };
        if let Some(at) = rest.find(['/', '?', '#']) {
            return Err(TargetError::Trailing(rest[at..].to_owned(), form(protocol)));
        }
        if let Some((user, _)) = rest.split_once('@') {
            return Err(TargetError::UserInfo(user.to_owned()));
        }
        let (host, port) = split_port(rest)?;
        let port = match (port, protocol.default_port) {
            (None, _) if !protocol.transport.has_ports() => 0,
            (Some(port), _) if !protocol.transport.has_ports() => {
                return Err(TargetError::NeedlessPort(protocol.name, port.to_owned()));
            }
            (Some(port), _) => {
                parse_port(port).map_err(|error| without_slashes(host, port).unwrap_or(error))?
            }
            (None, usual) => usual.ok_or(TargetError::NoPort(protocol.name, protocol.scheme))?,
        };
        Ok(Target {
            protocol,
            host: Host::parse(host)?,
            port,
            ip_protocol,
            question: None,
            path,
        })
    }

    /// What stands behind the colon of `ndn:/name` or `ndn://host:6363/name`.
    fn parse_named(protocol: &'static Protocol, rest: &str) -> Result<Target, TargetError> {
        let usual = protocol.default_port.unwrap_or_default();
        let (host, port, name) = match rest.strip_prefix("//") {
            None if protocol.scheme != ndn::NDN.scheme => {
                return Err(TargetError::NoForwarder(ndn::NDN_TCP.scheme));
            }
            None => (Host::Forwarder, usual, rest),
            Some(rest) => {
                let (place, name) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let (host, port) = split_port(place)?;
                (Host::parse(host)?, port.map_or(Ok(usual), parse_port)?, name)
            }
        };
        Ok(Target {
            protocol,
            host,
            port,
            ip_protocol: None,
            question: Some(Question::new(name.parse()?)),
            path: None,
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
            ip_protocol: None,
            question: None,
            path: is_web(protocol.scheme).then(|| "/".to_owned()),
        })
    }
}

impl Host {
    pub(crate) fn parse(text: &str) -> Result<Host, TargetError> {
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

/// The scheme and the rest of `sip:example.net` and `sips:example.net` (RFC 3261 section 19.1), which have no slashes.
/// `sip:5060` is a host of that name.
fn sip_uri(text: &str) -> Option<(&'static str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_port = rest.bytes().all(|octet| octet.is_ascii_digit());
    let scheme = [sip::SIP.scheme, sip::SIPS.scheme]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(scheme))?;
    (!is_port).then_some((scheme, rest))
}

/// Takes `;transport=tcp` from the end of a SIP URI, and says what is spoken then (RFC 3261 section 19.1.1). `tls` there is
/// out of favour, and written all the same.
fn split_transport<'a>(
    protocol: &'static Protocol,
    text: &'a str,
) -> Result<(&'static Protocol, &'a str), TargetError> {
    let Some((rest, parameters)) = text.split_once(';') else {
        return Ok((protocol, text));
    };
    let value = match parameters.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("transport") && !value.contains(';') => value,
        _ => return Err(TargetError::BadParameter(parameters.to_owned())),
    };
    let transport = value.to_ascii_lowercase();
    // One that the scheme names already may be said again.
    let protocol = match (protocol.scheme, &*transport) {
        (scheme, "udp") if scheme == sip::SIP.scheme => &sip::SIP,
        (scheme, "tcp") if scheme == sip::SIP.scheme || scheme == sip::SIP_TCP.scheme => &sip::SIP_TCP,
        (scheme, "tls") if scheme == sip::SIP.scheme || scheme == sip::SIP_TLS.scheme => &sip::SIP_TLS,
        // What TLS is carried by is what is meant here.
        (scheme, "tcp" | "tls") if scheme == sip::SIPS.scheme => &sip::SIPS,
        (scheme, "udp") if scheme == sip::SIPS.scheme => return Err(TargetError::NotSecured(transport)),
        (_, "udp" | "tcp" | "tls") => return Err(TargetError::BadParameter(parameters.to_owned())),
        _ => return Err(TargetError::BadTransport(value.to_owned())),
    };
    Ok((protocol, rest))
}

/// Why `stun:example.net` is no target, although `udp:7777` is one: a host of that name. RFC 7064 has such URIs.
fn without_slashes(host: &str, port: &str) -> Option<TargetError> {
    let meant = askable().find(|protocol| protocol.scheme.eq_ignore_ascii_case(host))?;
    Some(TargetError::NotAPort(port.to_owned(), meant.name, form(meant)))
}

/// The protocol, and what stands behind its colon, of a target that is asked by name. `ndn:7777` is none: it is a host
/// of that name.
fn named(text: &str) -> Option<(&'static Protocol, &str)> {
    let (scheme, rest) = text.split_once(':').filter(|(_, rest)| rest.starts_with('/'))?;
    let known = [&ndn::NDN, &ndn::NDN_TCP].into_iter();
    let protocol = known
        .into_iter()
        .find(|known| known.scheme.eq_ignore_ascii_case(scheme))?;
    Some((protocol, rest))
}

/// Whether this is HTTP, whose targets have a path.
pub(crate) fn is_web(scheme: &str) -> bool {
    [http::HTTP.scheme, http::HTTPS.scheme].contains(&scheme)
}

/// Takes `host:port/path?query` apart. A fragment is for browsers alone.
fn split_path(text: &str) -> (&str, Option<String>) {
    let text = text.split('#').next().unwrap_or_default();
    let at = text.find(['/', '?']).unwrap_or(text.len());
    let (place, path) = text.split_at(at);
    let slash = if path.starts_with('/') { "" } else { "/" };
    (place, Some(format!("{slash}{path}")))
}

/// Takes `[v6]:port`, `[v6]`, `v6`, `host:port` and `host` apart.
pub(crate) fn split_port(text: &str) -> Result<(&str, Option<&str>), TargetError> {
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

/// Takes `host?protocol=200` apart; without a question mark it is the number for experiments.
fn split_ip_protocol(text: &str) -> Result<(&str, Option<u8>), TargetError> {
    let Some((host, query)) = text.split_once('?') else {
        return Ok((text, Some(EXPERIMENTAL)));
    };
    let trailing = || TargetError::Trailing(format!("?{query}"), form(&ip_echo::IP));
    let number = query.strip_prefix("protocol=").ok_or_else(trailing)?;
    Ok((host, Some(parse_ip_protocol(number)?)))
}

fn parse_ip_protocol(text: &str) -> Result<u8, TargetError> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    let number: u8 = number.ok_or_else(|| TargetError::BadIpProtocol(text.to_owned()))?;
    // IANA's numbers; 0 and 255 mean something else to a raw socket (raw(7)).
    let why = match number {
        0 => "it asks routers to look into the datagram (hop-by-hop options); take 1 to 254",
        1 | 58 => "it is ICMP, which an IP echo host discards; ask icmp://HOST",
        6 => "it is TCP, which the kernel speaks itself; ask tcp+ip://HOST[:PORT]",
        17 => "it is UDP, which the kernel speaks itself; ask udp+ip://HOST[:PORT]",
        255 => "it is reserved, and nobody can receive it; take 1 to 254",
        number => return Ok(number),
    };
    Err(TargetError::TakenIpProtocol(number, why))
}

pub(crate) fn parse_port(text: &str) -> Result<u16, TargetError> {
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
    askable().map(form).collect::<Vec<_>>().join(", ")
}

fn form(protocol: &Protocol) -> String {
    let scheme = protocol.scheme;
    match (protocol.transport, protocol.default_port) {
        _ if scheme == ndn::NDN.scheme => {
            format!("{scheme}:/NAME, {scheme}://HOST[:{}]/NAME", crate::ndn::PORT)
        }
        _ if scheme == ndn::NDN_TCP.scheme => format!("{scheme}://HOST[:{}]/NAME", crate::ndn::PORT),
        (_, Some(port)) if scheme == sip::SIP.scheme => {
            format!("{scheme}:HOST[:{port}][;transport=tcp|tls]")
        }
        (_, Some(port)) if scheme == sip::SIPS.scheme => format!("{scheme}:HOST[:{port}]"),
        (_, Some(port)) if is_web(scheme) => format!("{scheme}://HOST[:{port}][/PATH]"),
        (Transport::Icmp, _) => format!("{scheme}://HOST"),
        (Transport::Ip, _) => format!("{scheme}://HOST[?protocol={EXPERIMENTAL}]"),
        (_, Some(port)) => format!("{scheme}://HOST[:{port}]"),
        (_, None) => format!("{scheme}://HOST:PORT"),
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(ip) => ip.fmt(f),
            Host::V6(ip, None) => write!(f, "[{ip}]"),
            Host::V6(ip, Some(zone)) => write!(f, "[{ip}%{zone}]"),
            Host::Forwarder => f.write_str("forwarder"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.protocol.scheme;
        if let Some(Question { prefix, .. }) = &self.question {
            return match &self.host {
                Host::Forwarder => write!(f, "{scheme}:{prefix}"),
                host => write!(f, "{scheme}://{host}:{}{prefix}", self.port),
            };
        }
        let has_none = [sip::SIP.scheme, sip::SIPS.scheme].contains(&scheme);
        let slashes = if has_none { "" } else { "//" };
        write!(f, "{scheme}:{slashes}{}", self.host)?;
        if let Some(path) = &self.path {
            let path = if path == "/" { "" } else { path };
            return write!(f, ":{}{path}", self.port);
        }
        match self.ip_protocol {
            None if self.protocol.transport.has_ports() => write!(f, ":{}", self.port),
            None | Some(EXPERIMENTAL) => Ok(()),
            Some(number) => write!(f, "?protocol={number}"),
        }
    }
}

#[cfg(test)]
mod tests;
