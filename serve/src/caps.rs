//! How many connections one source may have, and all together.

use crate::Secret;
use crate::address::{self, Source};
use halloo_base::Reason;
use std::collections::HashMap;
use std::net::IpAddr;

/// How many connections there may be, and how many from whom.
pub(crate) struct Caps {
    all: usize,
    per_source: Option<u32>,
    per_local_source: Option<u32>,
    /// Sources that have a cap and at least one connection.
    held: HashMap<Source, u32, Secret>,
}

impl Caps {
    pub(crate) fn new(
        all: u32,
        per_source: Option<u32>,
        per_local_source: Option<u32>,
        secret: Secret,
    ) -> Caps {
        Caps {
            all: all as usize,
            per_source,
            per_local_source,
            held: HashMap::with_hasher(secret),
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Counts one connection more from a canonical address; `open` are there already. Returns the source
    /// to release when it has gone.
    pub(crate) fn admit(&mut self, remote: IpAddr, open: usize) -> Result<Option<Source>, Reason> {
        if open >= self.all {
            return Err(Reason::TooManyConnections);
        }
        let cap = if address::is_local(remote) {
            self.per_local_source
        } else {
            self.per_source
        };
        let Some(cap) = cap else { return Ok(None) };
        let source = Source::of(remote);
        let held = self.held.entry(source).or_default();
        if *held >= cap {
            return Err(Reason::TooManyFromSource);
        }
        *held += 1;
        Ok(Some(source))
    }

    pub(crate) fn release(&mut self, source: Option<Source>) {
        let Some(source) = source else { return };
        let Some(held) = self.held.get_mut(&source) else {
            return;
        };
        *held -= 1;
        if *held == 0 {
            self.held.remove(&source);
        }
    }
}
