//! `[stun]`: where clients are told their address, and from where else.

use super::Given;
use super::schema::Listen;
use crate::cli::{self, OtherAddress};
use halloo_protocols::stun::Places;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::net::SocketAddr;

/// The key of the other addresses.
pub(super) const OTHER: &str = "stun.other";

/// `[stun]`: how a STUN server answers.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Stun {
    pub(crate) listen: Vec<Listen>,
    pub(crate) other: Vec<Other>,
}

/// Another address, written `"192.0.2.8"` or `"192.0.2.8:3479"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Other(pub(crate) OtherAddress);

impl Stun {
    /// The places that follow, four for each other address (RFC 5780 section 6).
    ///
    /// # Errors
    /// What is wrong with the first other address that has none, in words.
    pub(crate) fn places(&self, given: &Given) -> Result<Vec<Places>, String> {
        let mut others: Vec<OtherAddress> = vec![];
        for &Other(other) in &self.other {
            if let Some(before) = others
                .iter()
                .find(|before| before.ip.is_ipv4() == other.ip.is_ipv4())
            {
                return Err(format!("{other} and {before} are of one family; one is enough"));
            }
            others.push(other);
        }
        let listen = given.name("stun.listen");
        others
            .into_iter()
            .map(|other| self.places_of(other, &listen))
            .collect()
    }

    fn places_of(&self, other: OtherAddress, listen: &str) -> Result<Places, String> {
        let family = if other.ip.is_ipv4() { "IPv4" } else { "IPv6" };
        let same = |listen: &&Listen| listen.0.is_ipv4() == other.ip.is_ipv4();
        let mut first = self.listen.iter().filter(same).map(|listen| listen.0);
        let (Some(first), None) = (first.next(), first.next()) else {
            return Err(format!(
                "{other} needs {listen} with one {family} address, no more"
            ));
        };
        if first.ip().is_unspecified() {
            let wanted = format!("an address of its own, such as 192.0.2.7:{}", first.port());
            return Err(format!("{other} needs {listen} with {wanted}, not {first}"));
        }
        if first.port() == 0 {
            return Err(format!("{other} needs {listen} with a port, not {first}"));
        }
        let Some(port) = other.port.or(first.port().checked_add(1)) else {
            return Err(format!("{other} needs a port: there is none after {first}"));
        };
        let other = SocketAddr::new(other.ip, port);
        Places::new(first, other).map_err(|why| format!("{first} and {other}: {why}"))
    }

    /// The three places of each other address that `listen` does not name.
    pub(super) fn beside(&self) -> Vec<SocketAddr> {
        let places = self.places(&Given::default()).unwrap_or_default();
        places
            .iter()
            .flat_map(|places| places.all().into_iter().skip(1))
            .collect()
    }

    /// The first thing that makes no sense, with its key.
    pub(super) fn check(&self, given: &Given) -> Result<(), (&'static str, String)> {
        self.places(given).map(|_| ()).map_err(|why| (OTHER, why))
    }
}

impl<'de> Deserialize<'de> for Other {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Other, D::Error> {
        let text = String::deserialize(from)?;
        let other = cli::other_address(&text).map_err(|why| de::Error::custom(format!("`{text}`: {why}")))?;
        Ok(Other(other))
    }
}

impl Serialize for Other {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}
