//! Whom a protocol may talk to that answers in its own way, and how much.

use crate::guards::{AddressGuard, PortGuard};
use crate::limiter::Limiter;
use crate::{Guards, OptionsError, Secret};
use halloo_base::{Mono, Path, Reason, ReplyLimit, Trust};

/// The guards and limits of a datagram server, for those who count by themselves, such as a protocol with connections of
/// its own.
pub struct Gate {
    addresses: AddressGuard,
    ports: PortGuard,
    limiter: Limiter,
}

impl Gate {
    /// A gate by these rules; the secret keys the table of sources.
    ///
    /// # Errors
    /// What [`Guards::check`] finds wrong.
    pub fn new(guards: &Guards, secret: Secret) -> Result<Gate, OptionsError> {
        guards.check()?;
        Ok(Gate {
            addresses: AddressGuard::new(&guards.access, &guards.broadcasts)?,
            ports: PortGuard::new(guards),
            limiter: Limiter::new(&guards.limits, secret),
        })
    }

    /// Whether so many datagrams on this path may be looked at, which are taken out of their source's share then.
    ///
    /// # Errors
    /// Why not, in the order of [`Server`](crate::Server).
    pub fn admit(&mut self, now: Mono, path: &Path, packets: usize, trust: Trust) -> Result<(), Reason> {
        let remote = self.addresses.admit(path)?;
        self.ports.admit(path)?;
        // Who has not shown his address gets more than he sent only where the protocol itself sees to the limit.
        let reply = ReplyLimit::SameAsRequest;
        self.limiter.admit(now, remote, packets, reply, || trust)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{SECRET, path};
    use crate::{Limits, Rate};

    const NOW: Mono = Mono(1_000_000_000);

    #[test]
    fn it_refuses_what_a_server_refuses() {
        let mut gate = Gate::new(&Guards::default(), SECRET).expect("the default is fine");
        let table = [
            ("192.0.2.1:4433", "198.51.100.9:40000", Ok(())),
            ("192.0.2.1:4433", "198.51.100.9:53", Err(Reason::ReflectionPort)),
            ("192.0.2.1:4433", "198.51.100.9:4433", Err(Reason::OwnPort)),
            ("192.0.2.1:4433", "224.0.0.1:40000", Err(Reason::BogonSource)),
            ("224.0.0.9:4433", "198.51.100.9:40000", Err(Reason::NotUnicast)),
        ];
        for (local, remote, verdict) in table {
            let admitted = gate.admit(NOW, &path(local, remote), 1, Trust::Stranger);
            assert_eq!(admitted, verdict, "{local} from {remote}");
        }
    }

    #[test]
    fn strangers_in_the_name_of_one_use_up_nothing_of_his() {
        let limits = Limits {
            per_source: Some(Rate {
                per_second: 10,
                burst: 20,
            }),
            ..Limits::default()
        };
        let guards = Guards {
            limits,
            ..Guards::default()
        };
        let mut gate = Gate::new(&guards, SECRET).expect("these are fine");
        let path = path("192.0.2.1:4433", "198.51.100.9:40000");
        let mut admitted = |trust| {
            (0..500)
                .filter(|_| gate.admit(NOW, &path, 1, trust).is_ok())
                .count()
        };
        assert_eq!(admitted(Trust::Stranger), 20);
        assert_eq!(admitted(Trust::Validated), 200);
        let other = crate::harness::path("192.0.2.1:4433", "198.51.100.10:40000");
        assert_eq!(gate.admit(NOW, &other, 1, Trust::Stranger), Ok(()));
    }
}
