//! How address translators treat a host, in the words of RFC 4787, and what follows for two hosts that want to meet.

/// How far a NAT looks at the other end (RFC 4787 sections 4.1 and 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dependence {
    /// Not at all.
    EndpointIndependent,
    /// At its address.
    AddressDependent,
    /// At its address and port.
    AddressAndPortDependent,
}

/// Whether two hosts behind NATs, each of which knows the outside endpoint that a third party saw of the
/// other, can exchange datagrams in both directions when both send to that endpoint and answer to wherever
/// they hear the other from.
///
/// Mapping and filtering of the one, then of the other. It follows from the definitions of RFC 4787 alone;
/// stories of the simulator hold it against every pair.
pub fn can_meet(a: (Dependence, Dependence), b: (Dependence, Dependence)) -> bool {
    use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
    // A first packet to `to`, before anything was heard.
    let first = |from: (Dependence, Dependence), to: (Dependence, Dependence)| match to {
        (_, EndpointIndependent) => true,
        (EndpointIndependent, AddressDependent) => true,
        (EndpointIndependent, AddressAndPortDependent) => from.0 == EndpointIndependent,
        _ => false,
    };
    // The answer of `from` to where it heard `to`: the filter of `to` has let through what it sent.
    let answer = |from: (Dependence, Dependence), to: (Dependence, Dependence)| {
        to.1 != AddressAndPortDependent || from.0 == EndpointIndependent
    };
    let through = |a, b| first(a, b) && (answer(b, a) || first(b, a));
    through(a, b) || through(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};

    #[test]
    fn the_oracle_agrees_with_the_pairs_that_everybody_knows() {
        let cone = (EndpointIndependent, EndpointIndependent);
        let restricted = (EndpointIndependent, AddressDependent);
        let port_restricted = (EndpointIndependent, AddressAndPortDependent);
        let symmetric = (AddressAndPortDependent, AddressAndPortDependent);
        assert!(can_meet(cone, symmetric));
        assert!(can_meet(restricted, symmetric));
        assert!(can_meet(port_restricted, port_restricted));
        assert!(!can_meet(port_restricted, symmetric));
        assert!(!can_meet(symmetric, symmetric));
    }
}
