//! Source ports that are never answered.

/// UDP services above port 1023 that answer whatever they are sent: an answer to one of them would be
/// answered in turn, or would carry somebody's attack. Sorted by port, each with its service's name.
///
/// Services at 32768 and above (Jenkins 33848, DHDiscover 37810, BACnet 47808, Mumble 64738) are left out
/// on purpose: operating systems hand those ports to clients at random, and an honest client would go
/// unanswered now and then without a reason that it could see.
pub const REFLECTION_PORTS: &[(u16, &str)] = &[
    (1194, "OpenVPN"),
    (1434, "Microsoft SQL Server browser"),
    (1604, "Citrix ICA browser"),
    (1701, "L2TP"),
    (1718, "H.323 gatekeeper discovery"),
    (1719, "H.323 gatekeeper"),
    (1900, "SSDP"),
    (2049, "NFS"),
    (2123, "GTP control plane"),
    (2152, "GTP user plane"),
    (3283, "Apple Remote Desktop"),
    (3389, "Remote Desktop over UDP"),
    (3478, "STUN and TURN"),
    (3702, "WS-Discovery"),
    (4500, "IPsec NAT traversal"),
    (5060, "SIP"),
    (5093, "Sentinel licence manager"),
    (5351, "NAT-PMP and PCP"),
    (5353, "multicast DNS"),
    (5355, "LLMNR"),
    (5632, "pcAnywhere"),
    (5683, "CoAP"),
    (6881, "BitTorrent DHT"),
    (7777, "Halloo"),
    (9987, "TeamSpeak"),
    (10001, "Ubiquiti discovery"),
    (10074, "Mitel TP-240"),
    (11211, "memcached"),
    (17185, "VxWorks debugger"),
    (26000, "Quake"),
    (27015, "Source engine query"),
    (27960, "Quake III"),
    (30718, "Lantronix configuration"),
    (32410, "Plex discovery"),
    (32412, "Plex discovery"),
    (32413, "Plex discovery"),
    (32414, "Plex discovery"),
];

/// A set of ports in 8 KiB, asked in one step.
pub(crate) struct PortSet(Box<[u64; 1024]>);

impl PortSet {
    pub(crate) fn contains(&self, port: u16) -> bool {
        self.0[usize::from(port >> 6)] >> (port & 63) & 1 == 1
    }
}

impl FromIterator<u16> for PortSet {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> PortSet {
        let mut bits = Box::new([0u64; 1024]);
        for port in ports {
            bits[usize::from(port >> 6)] |= 1 << (port & 63);
        }
        PortSet(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_above_the_low_ports_and_below_the_ephemeral_ones() {
        assert!(REFLECTION_PORTS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(
            REFLECTION_PORTS
                .iter()
                .all(|&(port, _)| (1024..32768).contains(&port))
        );
    }

    #[test]
    fn a_port_set_holds_exactly_what_was_put_in() {
        let ports = [0, 1, 63, 64, 7777, 65535];
        let set: PortSet = ports.into_iter().collect();
        let held: Vec<u16> = (0..=65535).filter(|&port| set.contains(port)).collect();
        assert_eq!(held, ports);
    }
}
