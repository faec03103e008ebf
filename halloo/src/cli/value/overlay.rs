//! Addresses of the overlay.

use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;

/// An Ethernet address of a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(|octet| format!("{octet:02x}")).join(":"))
    }
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
}
