//! Fields and TLVs: type (1), length (2), value.

use super::WireError;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Types from here on are left out by who does not know them.
pub(crate) const OPTIONAL: u8 = 128;

/// Takes fields from the front of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(WireError::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(WireError::Length)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, WireError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn address(&mut self) -> Result<SocketAddr, WireError> {
        let ip = self.ip()?;
        Ok(SocketAddr::new(ip, self.u16()?))
    }

    pub(crate) fn ip(&mut self) -> Result<IpAddr, WireError> {
        Ok(IpAddr::V6(Ipv6Addr::from(self.array::<16>()?)).to_canonical())
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// The items of one size that fill what is left.
    pub(crate) fn all<T>(
        &mut self,
        item: impl Fn(&mut Reader<'a>) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let mut items = Vec::new();
        while !self.is_empty() {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), WireError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(WireError::Length)
        }
    }

    /// The next TLV.
    pub(crate) fn tlv(&mut self) -> Result<(u8, Reader<'a>), WireError> {
        let kind = self.u8()?;
        let len = self.u16()?;
        Ok((kind, Reader(self.bytes(usize::from(len))?)))
    }
}

/// Words for people: at most `longest` octets of UTF-8 without control characters, which a terminal might obey.
pub(crate) fn words(bytes: &[u8], longest: usize, kind: u8) -> Result<String, WireError> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.len() <= longest && !text.chars().any(char::is_control))
        .map(str::to_owned)
        .ok_or(WireError::Value(kind))
}

/// `text` as [`words`] takes it back: without control characters, cut between two characters.
pub(crate) fn fit(text: &str, longest: usize) -> String {
    let mut fitted = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        if fitted.len() + c.len_utf8() > longest {
            break;
        }
        fitted.push(c);
    }
    fitted
}

/// Sees that no type comes twice where each may come once.
#[derive(Clone, Copy, Default)]
pub(crate) struct Once([u128; 2]);

impl Once {
    pub(crate) fn see(&mut self, kind: u8) -> Result<(), WireError> {
        let bit = 1 << (kind & 127);
        let half = &mut self.0[usize::from(kind >> 7)];
        if *half & bit != 0 {
            return Err(WireError::Repeated(kind));
        }
        *half |= bit;
        Ok(())
    }
}

/// Writes a TLV whose value `value` writes.
pub(crate) fn tlv(
    out: &mut Vec<u8>,
    kind: u8,
    value: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    out.extend_from_slice(&[kind, 0, 0]);
    let start = out.len();
    value(out)?;
    let len = u16::try_from(out.len() - start).map_err(|_| WireError::TooLong)?;
    // The three octets before the value were written above.
    out[start - 2..start].copy_from_slice(&len.to_be_bytes());
    Ok(())
}

/// Writes a TLV whose value is these bytes.
pub(crate) fn bytes(out: &mut Vec<u8>, kind: u8, value: &[u8]) -> Result<(), WireError> {
    tlv(out, kind, |out| {
        out.extend_from_slice(value);
        Ok(())
    })
}

pub(crate) fn put_address(out: &mut Vec<u8>, address: SocketAddr) {
    put_ip(out, address.ip());
    out.extend_from_slice(&address.port().to_be_bytes());
}

pub(crate) fn put_ip(out: &mut Vec<u8>, ip: IpAddr) {
    let ip = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    out.extend_from_slice(&ip.octets());
}
