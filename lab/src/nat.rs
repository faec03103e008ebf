//! Address translation, in the terms of RFC 4787.

use crate::host::Host;
use crate::link::End;
use std::net::IpAddr;

/// How a router translates what leaves by its outside link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nat {
    /// The outside address, and the inside port where it is free. Mapping is endpoint-independent as long as two
    /// inside hosts do not use the same port; filtering is address- and port-dependent.
    PortKept,
    /// The outside address, and a new random port for every destination ("symmetric"): address- and port-dependent
    /// mapping and filtering.
    Symmetric,
    /// A fixed address, and the inside port where it is free.
    Static {
        /// The address that the outside sees. It must be routed to this router.
        to: IpAddr,
    },
    /// The outside address stands for one inside host both ways, ports kept: endpoint-independent mapping and
    /// filtering. More than one host this way is beyond nftables.
    OneToOne {
        /// The inside host.
        inside: IpAddr,
    },
}

impl Nat {
    fn outbound(self) -> String {
        match self {
            Nat::PortKept | Nat::OneToOne { .. } => "masquerade".to_owned(),
            Nat::Symmetric => "masquerade fully-random".to_owned(),
            Nat::Static { to } => format!("snat {} to {to}", version(to)),
        }
    }

    fn inbound(self) -> Option<String> {
        match self {
            Nat::OneToOne { inside } => Some(format!("dnat {} to {inside}", version(inside))),
            Nat::PortKept | Nat::Symmetric | Nat::Static { .. } => None,
        }
    }
}

impl Host {
    /// Translates what leaves by `outside`, which is one of this host's ends. A later call replaces an earlier one.
    ///
    /// # Panics
    /// When `outside` is another host's, or the kernel refuses.
    #[track_caller]
    pub fn nat(&self, outside: &End, nat: Nat) {
        assert_eq!(
            outside.host().namespace(),
            self.namespace(),
            "the outside link must be this host's"
        );
        let device = outside.device();
        let outbound = nat.outbound();
        let inbound = nat
            .inbound()
            .map(|rule| format!("iifname \"{device}\" {rule}"))
            .unwrap_or_default();
        self.nft(&format!(
            "table inet lab_nat\n\
             delete table inet lab_nat\n\
             table inet lab_nat {{\n\
                 chain outbound {{\n\
                     type nat hook postrouting priority srcnat\n\
                     oifname \"{device}\" {outbound}\n\
                 }}\n\
                 chain inbound {{\n\
                     type nat hook prerouting priority dstnat\n\
                     {inbound}\n\
                 }}\n\
             }}\n"
        ));
    }
}

fn version(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}
