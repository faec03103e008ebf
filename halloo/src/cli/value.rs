//! Values of options, and what is said when they are wrong.

mod device;
mod other;
mod overlay;
mod pingback;

pub use device::{EchoAddress, XdpDevice, XdpMode};
pub(crate) use device::{device_name, parse_echo_address, parse_xdp_device};
pub use other::OtherAddress;
pub(crate) use other::parse_other_address;
pub use overlay::{MacAddress, MemberAddress, SupernodeAddress};
pub(crate) use overlay::{parse_mac, parse_member_address, parse_network, parse_supernode};
pub(super) use pingback::parse_pingback;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Time between probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// As fast as answers come, within a bounded window.
    Flood,
    /// At an even pace.
    Every(Duration),
}

/// Where probes leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// By this device, whatever the routes say.
    Device(String),
    /// From this source address.
    Source(IpAddr),
}

/// A differentiated services code point, 0 to 63 (RFC 2474).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dscp(pub u8);

/// An ECN codepoint, 0 to 3 (RFC 3168 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecn(pub u8);

/// Names of the ECN codepoints, by their number.
const ECN_NAMES: [&str; 4] = ["not-ect", "ect1", "ect0", "ce"];

/// Names of code points: class selectors (RFC 2474), assured forwarding (RFC 2597), expedited forwarding
/// (RFC 3246), voice admit (RFC 5865), lower effort (RFC 8622).
const DSCP_NAMES: &[(&str, u8)] = &[
    ("cs0", 0),
    ("default", 0),
    ("le", 1),
    ("cs1", 8),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("cs2", 16),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("cs3", 24),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("cs4", 32),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("cs5", 40),
    ("va", 44),
    ("ef", 46),
    ("cs6", 48),
    ("cs7", 56),
];

/// A day: longer intervals and time-outs are surely mistakes.
const LONGEST: Duration = Duration::from_secs(86_400);
/// Below this a schedule is a flood.
const SHORTEST_INTERVAL: Duration = Duration::from_micros(10);
/// The kernel's IFNAMSIZ without the closing zero.
const LONGEST_DEVICE_NAME: usize = 15;

impl Dscp {
    /// The TOS or traffic class octet that carries it.
    pub fn tos(self) -> u8 {
        self.0 << 2
    }
}

impl Ecn {
    /// Its name for people, such as `ECT(0)`.
    pub fn name(self) -> &'static str {
        ["Not-ECT", "ECT(1)", "ECT(0)", "CE"][usize::from(self.0 & 3)]
    }
}

impl fmt::Display for Dscp {
    /// Its name for people, such as `EF`, or its number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DSCP_NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.write_str(&name.to_uppercase()),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Reads an ECN codepoint by name or number.
pub(crate) fn parse_ecn(text: &str) -> Result<Ecn, String> {
    let named = ECN_NAMES.iter().position(|name| name.eq_ignore_ascii_case(text));
    let number = named.or_else(|| text.parse().ok()).filter(|&number| number < 4);
    number
        .map(|number| Ecn(number as u8))
        .ok_or_else(|| "must be ect0, ect1, ce, not-ect, or 0 to 3".to_owned())
}

impl Link {
    /// The device, if probes are bound to one.
    pub fn device(&self) -> Option<&str> {
        match self {
            Link::Device(name) => Some(name),
            Link::Source(_) => None,
        }
    }

    /// The source address, if one is asked for.
    pub fn source(&self) -> Option<IpAddr> {
        match self {
            Link::Device(_) => None,
            Link::Source(ip) => Some(*ip),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Link::Device(name) => f.write_str(name),
            Link::Source(ip) => ip.fmt(f),
        }
    }
}

pub(super) fn parse_interval(text: &str) -> Result<Interval, String> {
    match duration(text)? {
        Duration::ZERO => Ok(Interval::Flood),
        d if d < SHORTEST_INTERVAL => {
            Err("less than 10 microseconds; use 0 to ask as fast as answers come".into())
        }
        d => Ok(Interval::Every(d)),
    }
}

/// A span that is more than nothing.
pub(super) fn parse_span(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be more than 0".into()),
        d => Ok(d),
    }
}

pub(super) fn parse_dscp(text: &str) -> Result<Dscp, String> {
    let lower = text.to_ascii_lowercase();
    if let Some(&(_, value)) = DSCP_NAMES.iter().find(|(name, _)| *name == lower) {
        return Ok(Dscp(value));
    }
    match lower.parse() {
        Ok(value @ 0..=63) => Ok(Dscp(value)),
        _ => Err("must be 0 to 63, or a name: ef, va, le, cs0 to cs7, af11 to af43 (such as af41)".into()),
    }
}

pub(super) fn parse_link(text: &str) -> Result<Link, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return if ip.is_unspecified() || ip.is_multicast() {
            Err("not an address that probes can be sent from".into())
        } else {
            Ok(Link::Source(ip))
        };
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == ':';
    if text.is_empty() || text.len() > LONGEST_DEVICE_NAME || text.contains(odd) {
        return Err(format!(
            "neither an address nor a device name (1 to {LONGEST_DEVICE_NAME} characters, no `/`, `:` or blanks)"
        ));
    }
    Ok(Link::Device(text.to_owned()))
}

/// A router that probes are to pass.
pub(super) fn parse_hop(text: &str) -> Result<Ipv4Addr, String> {
    let hop: Ipv4Addr = text.parse().map_err(|_| match text.parse::<Ipv6Addr>() {
        Ok(_) => format!("{text} is an IPv6 address; only IPv4 has source routes (RFC 5095)"),
        Err(_) => format!("`{text}` is not an IPv4 address"),
    })?;
    let nobody = hop.is_unspecified() || hop.is_loopback() || hop.is_multicast() || hop.is_broadcast();
    if nobody {
        return Err(format!("{hop} is not the address of a router"));
    }
    Ok(hop)
}

/// Where to listen: `7777` and `:7777` mean every address, IPv4 and IPv6. Port 0 lets the kernel choose.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    const FORMS: &str = "use PORT, ADDRESS:PORT or [ADDRESS]:PORT (7777, 192.0.2.7:7777, [::]:7777)";
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return if addr.ip().is_multicast() {
            Err(format!(
                "{} is a multicast address; an echo host answers on unicast addresses",
                addr.ip()
            ))
        } else {
            Ok(addr)
        };
    }
    let port = text.strip_prefix(':').unwrap_or(text);
    if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) {
        return match port.parse() {
            Ok(port) => Ok(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)),
            Err(_) => Err(format!("port {port} is above 65535")),
        };
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(format!("a port is missing; {FORMS}"));
    }
    Err(FORMS.into())
}

/// The same for what is for this host only unless an address is given: a port alone is one of 127.0.0.1.
pub(crate) fn parse_local_listen(text: &str) -> Result<SocketAddr, String> {
    let address = parse_listen(text)?;
    Ok(match text.parse::<SocketAddr>() {
        Ok(_) => address,
        Err(_) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
    })
}

/// Seconds, or a number with one of the units `us`, `ms`, `s`, `m` and `h`; at most a day.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    const WANTED: &str = "must be seconds (0.2) or a number with a unit: 50us, 200ms, 1.5s, 10m, 1h";
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let nanos_per_unit = match unit {
        "us" => 1e3,
        "ms" => 1e6,
        "" | "s" => 1e9,
        "m" => 60e9,
        "h" => 3_600e9,
        _ => return Err(WANTED.into()),
    };
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(WANTED.into());
    }
    let value: f64 = number.parse().map_err(|_| WANTED)?;
    let nanos = (value * nanos_per_unit).round();
    if nanos > LONGEST.as_nanos() as f64 {
        return Err("must not be more than a day".into());
    }
    // At most 8.64e13 and not negative, so the cast is exact.
    Ok(Duration::from_nanos(nanos as u64))
}

#[cfg(test)]
mod tests;
