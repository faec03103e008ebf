//! A number that only someone who receives at an address can know.

use halloo_base::Mono;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

/// How long a cookie is the newest, in nanoseconds. It is accepted for one more epoch after its own.
const EPOCH: u64 = 60_000_000_000;

/// Makes and recognises cookies without remembering any: SipHash-2-4 of epoch, address and port.
pub(super) struct Cookies {
    secret: [u8; 16],
}

impl Cookies {
    pub(super) fn new(secret: [u8; 16]) -> Cookies {
        Cookies { secret }
    }

    /// The cookie to give to `remote` now. Never 0, which means "none" on the wire.
    pub(super) fn fresh(&self, now: Mono, remote: SocketAddr) -> u64 {
        self.of_epoch(now.0 / EPOCH, remote)
    }

    /// Whether `remote` was given this cookie in this epoch or the one before.
    pub(super) fn accepts(&self, now: Mono, remote: SocketAddr, cookie: u64) -> bool {
        let epoch = now.0 / EPOCH;
        cookie == self.of_epoch(epoch, remote)
            || epoch
                .checked_sub(1)
                .is_some_and(|before| cookie == self.of_epoch(before, remote))
    }

    fn of_epoch(&self, epoch: u64, remote: SocketAddr) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(&epoch.to_be_bytes());
        match remote.ip() {
            IpAddr::V4(addr) => hasher.write(&addr.to_ipv6_mapped().octets()),
            IpAddr::V6(addr) => hasher.write(&addr.octets()),
        }
        hasher.write(&remote.port().to_be_bytes());
        hasher.finish().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_cookie_holds_for_its_epoch_and_the_next_and_then_no_more() {
        let cookies = Cookies::new([7; 16]);
        let home = remote("192.0.2.9:4000");
        let cookie = cookies.fresh(Mono(EPOCH * 5 + 1), home);
        let table = [(5, true), (6, true), (7, false), (4, false)];
        for (epoch, expected) in table {
            assert_eq!(
                cookies.accepts(Mono(EPOCH * epoch), home, cookie),
                expected,
                "epoch {epoch}"
            );
        }
    }

    #[test]
    fn a_cookie_is_for_one_address_and_port_of_one_host() {
        let cookies = Cookies::new([7; 16]);
        let home = remote("192.0.2.9:4000");
        let cookie = cookies.fresh(Mono(0), home);
        assert!(
            cookies.accepts(Mono(0), remote("[::ffff:192.0.2.9]:4000"), cookie),
            "the same host, mapped"
        );
        assert!(!cookies.accepts(Mono(0), remote("192.0.2.9:4001"), cookie));
        assert!(!cookies.accepts(Mono(0), remote("192.0.2.8:4000"), cookie));
        assert!(!cookies.accepts(Mono(0), remote("[2001:db8::9]:4000"), cookie));
        assert!(!Cookies::new([8; 16]).accepts(Mono(0), home, cookie));
        assert!(!cookies.accepts(Mono(0), home, 0));
    }
}
