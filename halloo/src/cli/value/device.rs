//! Values that name network devices: echo addresses, and devices whose driver is to answer.

use super::LONGEST_DEVICE_NAME;
use std::fmt;
use std::net::IpAddr;

/// An address whose datagrams are turned round, and how they get here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EchoAddress {
    /// The address.
    pub ip: IpAddr,
    /// The Ethernet device whose frames it is served from; without one it is routed to a TUN device.
    pub device: Option<String>,
}

/// A device whose driver is to answer (XDP).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdpDevice {
    /// Its name.
    pub device: String,
    /// Where in its way through the kernel a frame is answered.
    pub mode: XdpMode,
}

/// Where in its way through the kernel a frame is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum XdpMode {
    /// In the driver where it can, else in the kernel behind it.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// In the kernel behind any driver.
    Generic,
}

impl XdpMode {
    const ALL: [XdpMode; 3] = [XdpMode::Auto, XdpMode::Native, XdpMode::Generic];

    /// The word for it in every option and output.
    pub fn name(self) -> &'static str {
        match self {
            XdpMode::Auto => "auto",
            XdpMode::Native => "native",
            XdpMode::Generic => "generic",
        }
    }
}

/// `192.0.2.7`, `2001:db8::7`, `192.0.2.7@eth0`
pub(crate) fn parse_echo_address(text: &str) -> Result<EchoAddress, String> {
    let (address, device) = match text.split_once('@') {
        Some((address, device)) => (address, Some(device_name(device)?)),
        None => (text, None),
    };
    let ip: IpAddr = address.parse().map_err(|_| {
        format!("`{address}` is not an address; use ADDRESS or ADDRESS@DEVICE (192.0.2.7, 2001:db8::7, 192.0.2.7@eth0)")
    })?;
    match unfit(ip) {
        Some(why) => Err(format!(
            "{ip} {why}; an echo address is one that a host could have"
        )),
        None => Ok(EchoAddress { ip, device }),
    }
}

/// `eth0`, `eth0,native`
pub(crate) fn parse_xdp_device(text: &str) -> Result<XdpDevice, String> {
    let (device, mode) = match text.split_once(',') {
        Some((device, name)) => {
            let mode = XdpMode::ALL.into_iter().find(|mode| mode.name() == name);
            (
                device,
                mode.ok_or_else(|| format!("`{name}` is no way to attach; use auto, native or generic"))?,
            )
        }
        None => (text, XdpMode::default()),
    };
    Ok(XdpDevice {
        device: device_name(device)?,
        mode,
    })
}

pub(crate) fn device_name(text: &str) -> Result<String, String> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/:,@%".contains(c);
    let fits = (1..=LONGEST_DEVICE_NAME).contains(&text.len()) && text != "." && text != "..";
    if fits && !text.contains(odd) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not a device name (1 to {LONGEST_DEVICE_NAME} characters, no `/`, `:` or blanks)"
        ))
    }
}

/// Why no host could have this address, if none could.
fn unfit(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => match ip.octets()[0] {
            0 => Some("is no address"),
            127 => Some("is a loopback address"),
            224..=239 => Some("is a multicast address"),
            240.. => Some("is reserved"),
            _ => None,
        },
        IpAddr::V6(ip) if ip.is_unspecified() => Some("is no address"),
        IpAddr::V6(ip) if ip.is_loopback() => Some("is a loopback address"),
        IpAddr::V6(ip) if ip.is_multicast() => Some("is a multicast address"),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Some("is a link-local address"),
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => Some("is an IPv4 address in disguise"),
        IpAddr::V6(_) => None,
    }
}

impl fmt::Display for EchoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ip)?;
        match &self.device {
            Some(device) => write!(f, "@{device}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for XdpDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.device)?;
        match self.mode {
            XdpMode::Auto => Ok(()),
            mode => write!(f, ",{}", mode.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_address_may_name_its_device() {
        for text in [
            "192.0.2.7",
            "2001:db8::7",
            "192.0.2.7@eth0",
            "2001:db8::7@vlan.10",
        ] {
            assert_eq!(
                parse_echo_address(text).map(|address| address.to_string()),
                Ok(text.into())
            );
        }
        let forms = "use ADDRESS or ADDRESS@DEVICE (192.0.2.7, 2001:db8::7, 192.0.2.7@eth0)";
        let fit = "an echo address is one that a host could have";
        let wrong = [
            ("echo", format!("`echo` is not an address; {forms}")),
            (
                "192.0.2.0/24",
                format!("`192.0.2.0/24` is not an address; {forms}"),
            ),
            ("192.0.2.7:7", format!("`192.0.2.7:7` is not an address; {forms}")),
            ("127.0.0.1", format!("127.0.0.1 is a loopback address; {fit}")),
            ("0.1.2.3", format!("0.1.2.3 is no address; {fit}")),
            ("224.0.0.9", format!("224.0.0.9 is a multicast address; {fit}")),
            ("255.255.255.255", format!("255.255.255.255 is reserved; {fit}")),
            ("::1", format!("::1 is a loopback address; {fit}")),
            ("fe80::7@eth0", format!("fe80::7 is a link-local address; {fit}")),
            ("ff02::1", format!("ff02::1 is a multicast address; {fit}")),
            (
                "::ffff:192.0.2.7",
                format!("::ffff:192.0.2.7 is an IPv4 address in disguise; {fit}"),
            ),
            (
                "192.0.2.7@",
                "`` is not a device name (1 to 15 characters, no `/`, `:` or blanks)".into(),
            ),
            (
                "192.0.2.7@a/b",
                "`a/b` is not a device name (1 to 15 characters, no `/`, `:` or blanks)".into(),
            ),
        ];
        for (text, why) in wrong {
            assert_eq!(parse_echo_address(text), Err(why), "{text}");
        }
    }

    #[test]
    fn a_device_may_name_where_it_answers() {
        for text in ["eth0", "eth0,native", "eth0,generic"] {
            assert_eq!(
                parse_xdp_device(text).map(|device| device.to_string()),
                Ok(text.into())
            );
        }
        assert_eq!(parse_xdp_device("eth0,auto"), parse_xdp_device("eth0"));
        let why = "`skb` is no way to attach; use auto, native or generic";
        assert_eq!(parse_xdp_device("eth0,skb"), Err(why.into()));
        assert!(parse_xdp_device(",native").is_err());
    }
}
