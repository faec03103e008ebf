//! Whom a protocol may talk to that answers in its own way.

use crate::guards::{AddressGuard, PortGuard};
use crate::{Guards, OptionsError};
use halloo_base::{Path, Reason};

/// The guards of a datagram server without its limits: for those who count and limit by themselves, such as a protocol with
/// connections of its own.
pub struct Gate {
    addresses: AddressGuard,
    ports: PortGuard,
}

impl Gate {
    /// A gate by these rules.
    ///
    /// # Errors
    /// What [`Guards::check`] finds wrong.
    pub fn new(guards: &Guards) -> Result<Gate, OptionsError> {
        guards.check()?;
        Ok(Gate {
            addresses: AddressGuard::new(&guards.access, &guards.broadcasts)?,
            ports: PortGuard::new(guards),
        })
    }

    /// Whether a datagram on this path may be looked at.
    ///
    /// # Errors
    /// Why not, in the order of [`Server`](crate::Server).
    pub fn admit(&self, path: &Path) -> Result<(), Reason> {
        self.addresses.admit(path)?;
        self.ports.admit(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::path;

    #[test]
    fn it_refuses_what_a_server_refuses() {
        let gate = Gate::new(&Guards::default()).expect("the default is fine");
        let table = [
            ("192.0.2.1:4433", "198.51.100.9:40000", Ok(())),
            ("192.0.2.1:4433", "198.51.100.9:53", Err(Reason::ReflectionPort)),
            ("192.0.2.1:4433", "198.51.100.9:4433", Err(Reason::OwnPort)),
            ("192.0.2.1:4433", "224.0.0.1:40000", Err(Reason::BogonSource)),
            ("224.0.0.9:4433", "198.51.100.9:40000", Err(Reason::NotUnicast)),
        ];
        for (local, remote, verdict) in table {
            assert_eq!(gate.admit(&path(local, remote)), verdict, "{local} from {remote}");
        }
    }
}
