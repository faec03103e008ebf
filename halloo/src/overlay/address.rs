//! The address that supernodes give, on the device.

use super::device;
use crate::config::Edge as EdgeConfig;
use halloo_base::LinkId;
use halloo_overlay::wire::Prefix;
use ipnet::IpNet;

/// What the device has of supernodes.
pub(super) struct Given {
    link: LinkId,
    wanted: bool,
    /// What it has of its configuration.
    fixed: Vec<IpNet>,
    has: Option<IpNet>,
}

impl Given {
    pub(super) fn new(config: &EdgeConfig, link: LinkId) -> Given {
        Given {
            link,
            wanted: config.wants_address(),
            fixed: config.fixed().collect(),
            has: None,
        }
    }

    /// Whether an address is wanted, and none has been given.
    pub(super) fn is_missing(&self) -> bool {
        self.wanted && self.has.is_none()
    }

    /// Gives the device this address in the place of the one that it had before.
    ///
    /// # Errors
    /// If the kernel does not: what was wrong, and what is the case now. The edge goes on.
    pub(super) fn follow(&mut self, prefix: &Prefix) -> Result<(), String> {
        let net = IpNet::new(prefix.address, prefix.len).map_err(|error| error.to_string())?;
        if !self.wanted || self.fixed.contains(&net) || self.has == Some(net) {
            return Ok(());
        }
        // It goes first: what shares its network would go with it (`promote_secondaries`).
        let before = self.has.take();
        let gone = before.map_or(Ok(()), |before| device::take_away(self.link, before));
        match device::give(self.link, net) {
            Ok(()) => self.has = Some(net),
            Err(error) => {
                let kept = before.filter(|&before| gone.is_err() || device::give(self.link, before).is_ok());
                self.has = kept;
                let kept = kept.map_or("it has none".to_owned(), |kept| format!("it keeps {kept}"));
                return Err(format!("the device did not get its address, {kept}: {error:#}"));
            }
        }
        gone.map_err(|error| format!("the device may have two addresses: {error:#}"))
    }
}
