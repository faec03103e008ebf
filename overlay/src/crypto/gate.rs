//! What an initiation must show before anything is computed or kept for its sender.

use super::entropy::{Entropy, draw};
use super::hash::keyed;
use super::local::Local;
use crate::wire::{Cookie, Initiation};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use halloo_base::Mono;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use zeroize::Zeroizing;

/// A cookie's secret is taken for twice as long.
const SECRET_LIVES: Duration = Duration::from_secs(120);

/// Initiations a second that an edge reads without asking for a cookie; as many at once.
const BUDGET: u32 = 32;
const SECOND: u64 = 1_000_000_000;
const FULL: u64 = BUDGET as u64 * SECOND;

/// Turns strangers away for the price of a hash. Its state does not grow with what comes.
pub struct Gate {
    always: bool,
    secrets: [Zeroizing<[u8; 32]>; 2],
    changed: Option<Mono>,
    /// Initiations that may still be read, each as many as a second has ns.
    budget: u64,
    filled: Mono,
}

/// What the gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Read it.
    Read,
    /// Send this instead.
    Cookie([u8; Cookie::LEN]),
    /// Say nothing: the sender does not know the receiver's key or the community's.
    Stranger,
}

impl Gate {
    /// A supernode `always` wants a cookie first; an edge wants one when many initiations come.
    pub fn new(always: bool) -> Gate {
        Gate {
            always,
            secrets: Default::default(),
            changed: None,
            budget: FULL,
            filled: Mono(0),
        }
    }

    /// Looks at an initiation that came from `remote`.
    pub fn admit(
        &mut self,
        now: Mono,
        entropy: &mut dyn Entropy,
        local: &Local,
        remote: SocketAddr,
        initiation: &Initiation<'_>,
    ) -> Admission {
        let key = local.mac1_key(local.role());
        if !is(&initiation.mac1, &keyed(key, &[initiation.before_mac1])) {
            return Admission::Stranger;
        }
        self.renew(now, entropy);
        let shows = |secret: &[u8; 32]| {
            let cookie = Zeroizing::new(cookie(secret, remote));
            is(&initiation.mac2, &keyed(&cookie, &[initiation.before_mac2]))
        };
        if self.secrets.iter().any(|secret| shows(secret)) {
            return Admission::Read;
        }
        if !self.always && self.pay(now) {
            return Admission::Read;
        }
        let cookie = cookie(&self.secrets[0], remote);
        let message = Cookie::emit(initiation.sender, initiation.mac1, cookie, |before| {
            keyed(key, &[before])
        });
        Admission::Cookie(message)
    }

    fn renew(&mut self, now: Mono, entropy: &mut dyn Entropy) {
        let age = self.changed.map(|changed| now.since(changed));
        if age.is_some_and(|age| age < SECRET_LIVES) {
            return;
        }
        // After a long silence the one before is too old as well.
        let before = if age.is_some_and(|age| age < 2 * SECRET_LIVES) {
            std::mem::take(&mut self.secrets[0])
        } else {
            Zeroizing::new(draw(entropy))
        };
        self.secrets = [Zeroizing::new(draw(entropy)), before];
        self.changed = Some(now);
    }

    fn pay(&mut self, now: Mono) -> bool {
        let passed = now.since(self.filled).min(Duration::from_secs(1));
        self.filled = now;
        self.budget = FULL.min(self.budget + passed.as_nanos() as u64 * u64::from(BUDGET));
        match self.budget.checked_sub(SECOND) {
            Some(left) => {
                self.budget = left;
                true
            }
            None => false,
        }
    }
}

/// Follows from the address alone, so it needs no memory.
fn cookie(secret: &[u8; 32], remote: SocketAddr) -> [u8; 16] {
    let ip = match remote.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    keyed(secret, &[&ip.octets(), &remote.port().to_be_bytes()])
}

/// Compares in a time that tells nothing.
pub(crate) fn is(mark: &[u8; 16], wanted: &[u8; 16]) -> bool {
    verify_slices_are_equal(mark, wanted).is_ok()
}
