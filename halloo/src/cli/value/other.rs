//! Another address of this host, with a port or the one that follows.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// An address, and the port if it was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherAddress {
    /// The address.
    pub ip: IpAddr,
    /// The port, 1 to 65535.
    pub port: Option<u16>,
}

/// `192.0.2.8`, `192.0.2.8:3479`, `2001:db8::8`, `[2001:db8::8]:3479`
pub(crate) fn parse_other_address(text: &str) -> Result<OtherAddress, String> {
    if let Ok(ip) = text.parse() {
        return Ok(OtherAddress { ip, port: None });
    }
    let Ok(addr) = text.parse::<SocketAddr>() else {
        return Err("use ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT (192.0.2.8, 192.0.2.8:3479)".into());
    };
    if addr.port() == 0 {
        return Err("port 0 would be another port at every start; write 1 to 65535".into());
    }
    Ok(OtherAddress {
        ip: addr.ip(),
        port: Some(addr.port()),
    })
}

impl fmt::Display for OtherAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}
