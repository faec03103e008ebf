//! `[ndn]`: names under which pings are answered.

use crate::cli::{self, NdnService};
use halloo_protocols::ndn::{self, NameBuf};
use serde::de;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `[ndn]`: which prefixes, and where.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ndn {
    pub(crate) prefixes: Vec<Service>,
}

/// A prefix, written `"/edu/arizona"` or `"/edu/arizona@[::]:6363"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service(pub(crate) NdnService);

impl Service {
    /// `/halloo`, at NDN's usual port of every address.
    pub(super) fn everywhere() -> Service {
        let prefix = NameBuf::new().with(b"halloo");
        let port = ndn::NDN.default_port.unwrap_or_default();
        let address = Some(super::any(port));
        Service(NdnService { prefix, address })
    }
}

impl Ndn {
    /// The first thing that makes no sense, with its key.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        for (index, Service(one)) in self.prefixes.iter().enumerate() {
            if self.prefixes[..index].iter().any(|Service(other)| other == one) {
                return Err(("ndn.prefixes", format!("{one} is listed twice")));
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Service {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Service, D::Error> {
        let text = String::deserialize(deserializer)?;
        cli::ndn_service(&text).map(Service).map_err(de::Error::custom)
    }
}

impl Serialize for Service {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
