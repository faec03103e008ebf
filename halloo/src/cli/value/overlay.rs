//! Addresses of the overlay.

use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The port that a supernode listens on unless told otherwise.
pub(crate) const SUPERNODE_PORT: u16 = 7654;

/// Where a supernode is, and which key it must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupernodeAddress {
    /// A name or an address, an IPv6 one without brackets.
    pub host: String,
    /// The UDP port.
    pub port: u16,
    /// Its public key, in hexadecimal or base64 as it was written; none for whoever answers there.
    pub key: Option<String>,
}

/// An Ethernet address of a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacAddress(pub [u8; 6]);

/// An address of the edge's device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberAddress {
    /// One of the supernode's pool.
    Auto,
    /// This one, with the length of its network's prefix.
    Fixed(IpNet),
}

impl fmt::Display for SupernodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(|octet| format!("{octet:02x}")).join(":"))
    }
}

impl fmt::Display for MemberAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemberAddress::Auto => f.write_str("auto"),
            MemberAddress::Fixed(net) => net.fmt(f),
        }
    }
}

/// `HOST`, `HOST:PORT`, `[V6]:PORT`, each with `#KEY` or without.
pub(crate) fn parse_supernode(text: &str) -> Result<SupernodeAddress, String> {
    const FORMS: &str = "use HOST, HOST:PORT or [ADDRESS]:PORT, and #KEY behind it to insist on a key";
    let (place, key) = match text.split_once('#') {
        Some((place, key)) => (place, Some(key)),
        None => (text, None),
    };
    if key.is_some_and(str::is_empty) {
        return Err(format!("there is no key behind the #; {FORMS}"));
    }
    let (host, port) = if place.parse::<Ipv6Addr>().is_ok() {
        (place, None)
    } else if let Some(rest) = place.strip_prefix('[') {
        let (host, behind) = rest.split_once(']').ok_or_else(|| FORMS.to_owned())?;
        host.parse::<Ipv6Addr>()
            .map_err(|_| format!("`{host}` is not an IPv6 address; {FORMS}"))?;
        match behind.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if behind.is_empty() => (host, None),
            None => return Err(FORMS.into()),
        }
    } else {
        match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        }
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == '@';
    if host.is_empty() || host.contains(odd) {
        return Err(FORMS.into());
    }
    let port = match port {
        None => SUPERNODE_PORT,
        Some(port) => match port.parse() {
            Ok(port) if port != 0 => port,
            _ => return Err(format!("`{port}` is not a port (1 to 65535)")),
        },
    };
    Ok(SupernodeAddress {
        host: host.to_owned(),
        port,
        key: key.map(str::to_owned),
    })
}

/// Six octets in hexadecimal, with `:` or `-` between.
pub(crate) fn parse_mac(text: &str) -> Result<MacAddress, String> {
    const FORM: &str = "must be six octets such as 02:00:00:00:00:01";
    let mut octets = [0; 6];
    let parts: Vec<&str> = text.split([':', '-']).collect();
    if parts.len() != octets.len() {
        return Err(FORM.into());
    }
    for (octet, part) in octets.iter_mut().zip(parts) {
        let digits = (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        *octet = u8::from_str_radix(part, 16).ok().filter(|_| digits).ok_or(FORM)?;
    }
    if octets[0] & 1 != 0 {
        return Err(format!(
            "{text} is the address of a group; a station's begins with an even octet, such as 02"
        ));
    }
    if octets == [0; 6] {
        return Err("all zeros is nobody's address".into());
    }
    Ok(MacAddress(octets))
}

/// `auto`, or an address with the length of its prefix.
pub(crate) fn parse_member_address(text: &str) -> Result<MemberAddress, String> {
    if text == "auto" {
        return Ok(MemberAddress::Auto);
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(format!("the length of the prefix is missing: {text}/24"));
    }
    let net: IpNet = text
        .parse()
        .map_err(|_| "must be an address with the length of its prefix (192.168.1.2/24), or auto")?;
    let ip = net.addr();
    if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
        return Err(format!("{ip} is not an address that a host can have"));
    }
    let wide = match net {
        IpNet::V4(net) => net.prefix_len() <= 30,
        IpNet::V6(net) => net.prefix_len() <= 126,
    };
    if wide && ip == net.network() && ip.is_ipv4() {
        return Err(format!("{ip} is the network itself; choose an address in it"));
    }
    if wide && ip == net.broadcast() && ip.is_ipv4() {
        return Err(format!(
            "{ip} is the network's broadcast address; choose another in it"
        ));
    }
    Ok(MemberAddress::Fixed(net))
}

/// A network, or one address.
pub(crate) fn parse_network(text: &str) -> Result<IpNet, String> {
    match text.parse::<IpAddr>() {
        Ok(ip) => Ok(ip.into()),
        Err(_) => text
            .parse()
            .map_err(|_| "must be an address, or a network such as 10.9.0.0/24".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supernodes_read_as_people_write_them() {
        let table = [
            ("sn.example.net", "sn.example.net", 7654, None),
            ("192.0.2.1:9", "192.0.2.1", 9, None),
            ("2001:db8::1", "2001:db8::1", 7654, None),
            ("[2001:db8::1]", "2001:db8::1", 7654, None),
            ("[2001:db8::1]:99#abc", "2001:db8::1", 99, Some("abc")),
            ("sn#abc", "sn", 7654, Some("abc")),
        ];
        for (text, host, port, key) in table {
            let read = parse_supernode(text).expect(text);
            assert_eq!(
                (read.host.as_str(), read.port, read.key.as_deref()),
                (host, port, key),
                "{text}"
            );
        }
        for text in [
            "",
            "sn:",
            "sn:0",
            "sn:70000",
            "sn#",
            "[::1",
            "[nobody]:1",
            "a b",
            "udp://sn",
            "[::1]9",
        ] {
            assert!(parse_supernode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ethernet_addresses_are_of_stations() {
        assert_eq!(parse_mac("02:0:0:00:00:0A"), Ok(MacAddress([2, 0, 0, 0, 0, 10])));
        assert_eq!(
            parse_mac("02-00-00-00-00-0a").map(|mac| mac.to_string()),
            Ok("02:00:00:00:00:0a".into())
        );
        for text in [
            "",
            "02:00",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "02:00:00:00:00:100",
            "02:00:00:00:00:+1",
        ] {
            assert!(parse_mac(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_of_a_member_has_a_prefix_and_is_a_hosts() {
        assert_eq!(parse_member_address("auto"), Ok(MemberAddress::Auto));
        let fixed = parse_member_address("192.168.1.2/24").expect("an address");
        assert_eq!(fixed.to_string(), "192.168.1.2/24");
        assert!(parse_member_address("fd00::1/64").is_ok());
        for text in [
            "192.168.1.2",
            "192.168.1.0/24",
            "192.168.1.255/24",
            "224.0.0.1/4",
            "0.0.0.0/0",
            "x",
            "10.0.0.1/33",
        ] {
            assert!(parse_member_address(text).is_err(), "{text}");
        }
    }
}
