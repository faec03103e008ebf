//! What an edge tells others of its VXLAN device.

use super::WireError;
use super::control::{flag, mac, put_macs};
use super::tlv::{Reader, put_ip};
use crate::Mac;
use std::net::IpAddr;

/// An edge's end of VXLAN tunnels (RFC 7348), and who is behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vtep {
    /// The UDP port of the device.
    pub port: u16,
    /// Whether the stations have come there just now: then they are taken from wherever they were. If not, one that is
    /// known elsewhere stays there: what was true may be repeated a moment too long.
    pub fresh: bool,
    /// Addresses that are the sender's own, those that he prefers first; at most 16. Where it is seen with another, something translates addresses.
    pub addresses: Vec<IpAddr>,
    /// Stations at the sender's, or some of them.
    pub stations: Vec<Mac>,
}

/// Addresses in one message.
const MOST_ADDRESSES: usize = 16;

impl Vtep {
    /// Stations that fit into one datagram beside the addresses, whatever the path carries.
    pub const STATIONS: usize = 128;

    pub(super) fn parse(value: &mut Reader<'_>, kind: u8) -> Result<Vtep, WireError> {
        let port = value.u16()?;
        let fresh = flag(value.u8()?, kind)?;
        let count = usize::from(value.u8()?);
        if count > MOST_ADDRESSES {
            return Err(WireError::Value(kind));
        }
        let addresses = (0..count).map(|_| value.ip()).collect::<Result<_, _>>()?;
        Ok(Vtep {
            port,
            fresh,
            addresses,
            stations: value.all(mac)?,
        })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        if self.addresses.len() > MOST_ADDRESSES {
            return Err(WireError::TooLong);
        }
        out.extend_from_slice(&self.port.to_be_bytes());
        out.push(u8::from(self.fresh));
        // There are few enough.
        out.push(self.addresses.len() as u8);
        self.addresses.iter().for_each(|&ip| put_ip(out, ip));
        put_macs(out, &self.stations);
        Ok(())
    }
}
