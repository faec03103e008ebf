//! From names to addresses and devices, timed.

use super::plan::Family;
use crate::cli::Link;
use crate::ndn::{Face, face_of};
use crate::target::{Host, Target};
use anyhow::{Context, Result, bail, ensure};
use nix::net::if_::{if_nameindex, if_nametoindex};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::time::{Duration, Instant};

/// All addresses of a target, best first.
pub(crate) struct Resolved {
    /// In the order of the system's preference (RFC 6724).
    pub(crate) addresses: Vec<SocketAddr>,
    /// How long the lookup took; nothing was looked up for a literal address.
    pub(crate) lookup: Option<Duration>,
    /// The way to them, where it is not the target's protocol alone that says so.
    pub(crate) face: Option<Face>,
}

/// Looks a target up as this system is set up to: hosts file, DNS, and whatever else is configured.
///
/// # Errors
/// If the name has no address, or the lookup failed.
pub(crate) fn resolve(target: &Target) -> Result<Resolved> {
    let face = face_of(target)?;
    match &face {
        None => look_up(&target.host, target.port),
        Some(Face::Unix(_) | Face::Ethernet(_)) => Ok(Resolved::literal((Ipv4Addr::UNSPECIFIED, 0).into())),
        Some(Face::Tcp(place) | Face::Udp(place)) => {
            let mut found = look_up(&place.host, place.port)?;
            found.addresses.retain(|address| place.family.has(address));
            Ok(found)
        }
    }
    .map(|found| Resolved { face, ..found })
}

/// The best address of a host, of this family.
///
/// # Errors
/// If it has none.
pub(crate) fn resolve_host(host: &Host, port: u16, family: Family) -> Result<SocketAddr> {
    let found = look_up(host, port)?.addresses;
    let fits = found.into_iter().find(|address| family.has(address));
    fits.with_context(|| format!("{host} has no address of that family"))
}

fn look_up(host: &Host, port: u16) -> Result<Resolved> {
    let literal = |address| Ok(Resolved::literal(address));
    match host {
        Host::V4(ip) => literal(SocketAddr::new((*ip).into(), port)),
        Host::V6(ip, zone) => {
            let scope = zone.as_deref().map(scope_of).transpose()?.unwrap_or(0);
            literal(SocketAddrV6::new(*ip, port, 0, scope).into())
        }
        Host::Name(name) => {
            let begun = Instant::now();
            let found = (name.as_str(), port).to_socket_addrs();
            let lookup = begun.elapsed();
            let addresses: Vec<_> = found.map_err(|error| plain_words(name, &error))?.collect();
            if addresses.is_empty() {
                bail!("{name}: the name has no address");
            }
            Ok(Resolved {
                addresses,
                lookup: Some(lookup),
                face: None,
            })
        }
        Host::Forwarder => bail!("a forwarder is no host"),
    }
}

impl Resolved {
    fn literal(address: SocketAddr) -> Resolved {
        Resolved {
            addresses: vec![address],
            lookup: None,
            face: None,
        }
    }

    /// The best address that may be asked by this link.
    ///
    /// # Errors
    /// If the target has none of the family that is asked for.
    pub(crate) fn choose(&self, target: &Target, family: Family, link: Option<&Link>) -> Result<SocketAddr> {
        if let (Some(face), [nowhere]) = (&self.face, &self.addresses[..])
            && !face.is_ip()
        {
            ensure!(link.is_none(), "--link: {face} needs none ({target})");
            return Ok(*nowhere);
        }
        let source = link.and_then(Link::source);
        let fits = |address: &&SocketAddr| {
            family.has(address) && source.is_none_or(|source| source.is_ipv4() == address.is_ipv4())
        };
        let found = self.addresses.iter().find(fits).copied();
        found.with_context(|| {
            let wanted = match (family, source) {
                (Family::V4, _) | (_, Some(IpAddr::V4(_))) => "IPv4",
                _ => "IPv6",
            };
            format!("{target} has no {wanted} address")
        })
    }
}

/// The index of a device.
///
/// # Errors
/// If there is none of that name; the error lists those that there are.
pub(crate) fn device_index(name: &str) -> Result<u32> {
    if_nametoindex(name).map_err(|_| {
        let names: Vec<_> = if_nameindex()
            .iter()
            .flat_map(|all| all.iter())
            .map(|device| device.name().to_string_lossy().into_owned())
            .collect();
        anyhow::anyhow!("there is no device `{name}`; there are {}", names.join(", "))
    })
}

fn scope_of(zone: &str) -> Result<u32> {
    match zone.parse() {
        Ok(index) => Ok(index),
        Err(_) => device_index(zone),
    }
}

/// The resolver's own words, without the function that said them.
fn plain_words(name: &str, error: &std::io::Error) -> anyhow::Error {
    let text = error.to_string();
    let words = text.rsplit(": ").next().unwrap_or(&text);
    anyhow::anyhow!("{name}: {words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(addresses: &[&str]) -> Resolved {
        let addresses = addresses
            .iter()
            .map(|text| text.parse().expect("an address"))
            .collect();
        Resolved {
            addresses,
            lookup: None,
            face: None,
        }
    }

    #[test]
    fn the_first_address_that_fits_family_and_source_is_asked() {
        let target = Target::parse("udp://h:7").expect("a target");
        let both = resolved(&["[2001:db8::7]:7", "192.0.2.7:7", "192.0.2.8:7"]);
        let choose = |family, link: Option<&str>| {
            let link = link.map(|ip| Link::Source(ip.parse().expect("an address")));
            both.choose(&target, family, link.as_ref())
                .map(|address| address.to_string())
                .map_err(|e| e.to_string())
        };
        assert_eq!(choose(Family::Any, None), Ok("[2001:db8::7]:7".into()));
        assert_eq!(choose(Family::V4, None), Ok("192.0.2.7:7".into()));
        assert_eq!(choose(Family::Any, Some("192.0.2.1")), Ok("192.0.2.7:7".into()));
        let error = resolved(&["192.0.2.7:7"])
            .choose(&target, Family::V6, None)
            .unwrap_err();
        assert_eq!(error.to_string(), "udp://h:7 has no IPv6 address");
    }

    #[test]
    fn a_device_that_is_not_there_is_told_with_those_that_are() {
        let error = device_index("no-such-dev").unwrap_err().to_string();
        assert!(
            error.starts_with("there is no device `no-such-dev`; there are "),
            "{error}"
        );
        assert!(error.contains("lo"), "{error}");
    }
}
