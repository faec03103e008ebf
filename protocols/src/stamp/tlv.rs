//! What follows a base packet: type, length, value (RFC 8972 section 4).

use super::wire::HMAC;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Flags, type and length, in bytes.
pub const HEADER: usize = 4;

/// U: the reflector has not understood it. A sender sets it, so that it stays where nobody looks.
pub const UNRECOGNISED: u8 = 0x80;
/// M: its length is not one that its type can have, or more than there is.
pub const MALFORMED: u8 = 0x40;
/// I: the HMAC over the TLVs is wrong.
pub const INTEGRITY: u8 = 0x20;

/// Bytes that make a packet longer (section 4.1).
pub const EXTRA_PADDING: u8 = 1;
/// From where and to where a request came (section 4.2).
pub const LOCATION: u8 = 2;
/// How the reflector's timestamps came about (section 4.3).
pub const TIMESTAMP_INFORMATION: u8 = 3;
/// DSCP and ECN, asked for and seen (section 4.4).
pub const CLASS_OF_SERVICE: u8 = 4;
/// Counts of packets (section 4.5).
pub const DIRECT_MEASUREMENT: u8 = 5;
/// The state of the sender's access networks (section 4.6).
pub const ACCESS_REPORT: u8 = 6;
/// When an earlier answer departed (section 4.7).
pub const FOLLOW_UP_TELEMETRY: u8 = 7;
/// Proves who made the TLVs before it (section 4.8).
pub const HMAC_TLV: u8 = 8;

/// Within a location: which MAC address a request came from, asked.
pub const SOURCE_MAC: u8 = 1;
/// Within a location: the MAC address of 8 octets that a request came from.
pub const SOURCE_EUI64: u8 = 3;
/// Within a location: which IP address a request was sent to, asked.
pub const DESTINATION_IP: u8 = 4;
/// Within a location: the IPv4 address that a request was sent to.
pub const DESTINATION_IPV4: u8 = 5;
/// Within a location: the IPv6 address that a request was sent to.
pub const DESTINATION_IPV6: u8 = 6;
/// Within a location: which IP address a request came from, asked.
pub const SOURCE_IP: u8 = 7;
/// Within a location: the IPv4 address that a request came from.
pub const SOURCE_IPV4: u8 = 8;
/// Within a location: the IPv6 address that a request came from.
pub const SOURCE_IPV6: u8 = 9;

/// Timestamps with the help of the interface (section 5.5, table 9).
pub const HARDWARE_ASSIST: u8 = 1;
/// Timestamps that software reads off the host's clock.
pub const SOFTWARE_LOCAL: u8 = 2;

/// The two ports that a location begins with.
pub const LOCATION_PORTS: usize = 4;
/// The value of a class of service, in bytes.
pub const CLASS_OF_SERVICE_LEN: usize = 4;
/// The value of a timestamp information, in bytes.
pub const TIMESTAMP_INFORMATION_LEN: usize = 4;
/// The value of a direct measurement, in bytes.
pub const DIRECT_MEASUREMENT_LEN: usize = 12;
/// The value of an access report, in bytes.
pub const ACCESS_REPORT_LEN: usize = 4;
/// The value of a follow-up telemetry, in bytes.
pub const FOLLOW_UP_TELEMETRY_LEN: usize = 16;
/// The value of an IP address within a location, in bytes, whichever family it is of.
pub const IP_LEN: usize = 16;
/// The value of a MAC address within a location, in bytes.
pub const MAC_LEN: usize = 8;

/// One TLV, or one within a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Where its header begins, counted from the first byte behind the base packet.
    pub at: usize,
    /// [`UNRECOGNISED`], [`MALFORMED`] and [`INTEGRITY`]; other bits have no meaning.
    pub flags: u8,
    /// What it is.
    pub kind: u8,
    /// What it says.
    pub value: &'a [u8],
}

/// The bytes from `at` on begin a TLV that does not end within the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a TLV is cut short")]
pub struct Cut {
    /// Where it begins.
    pub at: usize,
}

/// The TLVs of a packet in their order, and [`Cut`] in the end where what remains holds none.
#[derive(Clone, Debug)]
pub struct Tlvs<'a> {
    area: &'a [u8],
    at: usize,
}

/// One TLV that may be changed in place.
pub(super) struct Place<'a> {
    pub(super) flags: &'a mut u8,
    pub(super) kind: &'a mut u8,
    pub(super) value: &'a mut [u8],
}

/// DSCP and ECN as a class of service has them (RFC 8972 section 4.4, figure 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ClassOfService {
    /// DSCP1, 6 bits: with which DSCP the answer shall come.
    pub requested_dscp: u8,
    /// DSCP2 and ECN as a TOS or traffic class octet: how the request arrived.
    pub seen_tos: u8,
    /// RP, 2 bits: 1 where the answer does not come with the DSCP that it should.
    pub reverse_path: u8,
}

impl<'a> Tlvs<'a> {
    /// The TLVs of what follows a base packet.
    pub fn new(area: &'a [u8]) -> Tlvs<'a> {
        Tlvs { area, at: 0 }
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Result<Tlv<'a>, Cut>;

    fn next(&mut self) -> Option<Result<Tlv<'a>, Cut>> {
        let at = self.at;
        let rest = self.area.get(at..).filter(|rest| !rest.is_empty())?;
        let Some((&[flags, kind, high, low], behind)) = rest.split_first_chunk() else {
            self.at = self.area.len();
            return Some(Err(Cut { at }));
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let Some(value) = behind.get(..len) else {
            self.at = self.area.len();
            return Some(Err(Cut { at }));
        };
        self.at = at + HEADER + len;
        Some(Ok(Tlv {
            at,
            flags,
            kind,
            value,
        }))
    }
}

/// Takes the next TLV off the front of `rest`. Where it does not end within it, all of it is the error.
pub(super) fn take<'a>(rest: &mut &'a mut [u8]) -> Option<Result<Place<'a>, &'a mut [u8]>> {
    let all = std::mem::take(rest);
    if all.is_empty() {
        return None;
    }
    let len = match all.first_chunk::<HEADER>() {
        Some(&[_, _, high, low]) => usize::from(u16::from_be_bytes([high, low])),
        None => return Some(Err(all)),
    };
    if all.len() - HEADER < len {
        return Some(Err(all));
    }
    let (tlv, behind) = all.split_at_mut(HEADER + len);
    *rest = behind;
    let (header, value) = tlv.split_at_mut(HEADER);
    let (flags, header) = header.split_first_mut()?;
    let (kind, _) = header.split_first_mut()?;
    Some(Ok(Place { flags, kind, value }))
}

/// Whether a value is as long as one of its type must be. Types that are not known have any length.
pub fn is_well_formed(kind: u8, value: &[u8]) -> bool {
    let len = value.len();
    match kind {
        LOCATION => value
            .get(LOCATION_PORTS..)
            .is_some_and(|inner| Tlvs::new(inner).all(|inner| inner.is_ok())),
        TIMESTAMP_INFORMATION => len == TIMESTAMP_INFORMATION_LEN,
        CLASS_OF_SERVICE => len == CLASS_OF_SERVICE_LEN,
        DIRECT_MEASUREMENT => len == DIRECT_MEASUREMENT_LEN,
        ACCESS_REPORT => len == ACCESS_REPORT_LEN,
        FOLLOW_UP_TELEMETRY => len == FOLLOW_UP_TELEMETRY_LEN,
        HMAC_TLV => len == HMAC,
        _ => true,
    }
}

impl ClassOfService {
    /// Reads the value of a TLV.
    pub fn parse(value: &[u8; CLASS_OF_SERVICE_LEN]) -> ClassOfService {
        let bits = u16::from_be_bytes([value[0], value[1]]);
        ClassOfService {
            requested_dscp: (bits >> 10) as u8,
            seen_tos: (bits >> 2) as u8,
            reverse_path: (bits & 3) as u8,
        }
    }

    /// The value of a TLV; what has too many bits is cut.
    pub fn emit(&self) -> [u8; CLASS_OF_SERVICE_LEN] {
        let bits = u16::from(self.requested_dscp) << 10
            | u16::from(self.seen_tos) << 2
            | u16::from(self.reverse_path & 3);
        let [high, low] = bits.to_be_bytes();
        [high, low, 0, 0]
    }
}

/// The IP address of a value within a location, if it is of a type that tells one.
pub fn address(kind: u8, value: &[u8]) -> Option<IpAddr> {
    let octets: &[u8; IP_LEN] = value.try_into().ok()?;
    match kind {
        DESTINATION_IPV4 | SOURCE_IPV4 => {
            let [a, b, c, d, ..] = *octets;
            Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        DESTINATION_IPV6 | SOURCE_IPV6 => Some(IpAddr::V6(Ipv6Addr::from(*octets))),
        _ => None,
    }
}

/// The value of an address within a location; an IPv4 address is followed by zeros.
pub fn address_value(ip: IpAddr) -> [u8; IP_LEN] {
    match ip {
        IpAddr::V4(ip) => {
            let mut value = [0; IP_LEN];
            value[..4].copy_from_slice(&ip.octets());
            value
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}
