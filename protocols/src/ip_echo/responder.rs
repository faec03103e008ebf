//! Turns IP datagrams round.

use super::{icmp, ipv4, ipv6, options, udp};
use halloo_base::{Datagram, Env, Reason, Responder, Verdict};
use icmp::Passage;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How an [`IpEcho`] answers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct IpEchoOptions {
    /// The echo addresses, IPv4 and IPv6. What is for another address is not answered, and what comes from one of these
    /// neither. Default: none.
    pub addresses: Vec<IpAddr>,
    /// What happens to ICMP (IPv4). ICMPv6 is never echoed. Default: [`IcmpPolicy::Discard`].
    pub icmp: IcmpPolicy,
    /// Whether datagrams come from a link, so that a link-local IPv6 source can be right. Default: no.
    pub on_link: bool,
}

/// What happens to ICMP datagrams, most of which are errors about something that was echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum IcmpPolicy {
    /// They are discarded, as RFC 2075 advises.
    #[default]
    Discard,
    /// Those that are surely harmless are echoed, and "too big" goes on to the host whose datagram it was (the
    /// "sophisticated" echo host of RFC 2075).
    Safe,
}

/// The IP echo host of RFC 2075, for IPv6 in the same spirit.
///
/// A payload is a whole IP datagram. Its answer is as long, without what padding the link put behind it: addresses
/// turned round, one hop taken, options as if it began here, and everything else as it was. Fragments are echoed one by
/// one. What the network stack left to a device ([`Datagram::offload`]) stays left: the sums that it concerns do not
/// change when addresses change places.
#[derive(Clone, Debug)]
pub struct IpEcho {
    v4: Vec<Ipv4Addr>,
    v6: Vec<Ipv6Addr>,
    icmp: IcmpPolicy,
    on_link: bool,
}

impl IpEcho {
    /// An echo host for these addresses.
    pub fn new(options: &IpEchoOptions) -> IpEcho {
        let addresses = || options.addresses.iter();
        IpEcho {
            v4: addresses()
                .filter_map(|ip| match ip {
                    IpAddr::V4(ip) => Some(*ip),
                    IpAddr::V6(_) => None,
                })
                .collect(),
            v6: addresses()
                .filter_map(|ip| match ip {
                    IpAddr::V6(ip) => Some(*ip),
                    IpAddr::V4(_) => None,
                })
                .collect(),
            icmp: options.icmp,
            on_link: options.on_link,
        }
    }

    /// Turns `datagram` round in place. Returns how long it is. Any bytes are fine.
    ///
    /// # Errors
    /// Why it is not echoed; its bytes may have changed by then.
    pub fn turn_round(&self, datagram: &mut [u8]) -> Result<usize, Reason> {
        match datagram.first().ok_or(Reason::Malformed)? >> 4 {
            4 => self.turn_round_v4(datagram),
            6 => self.turn_round_v6(datagram),
            _ => Err(Reason::Malformed),
        }
    }

    fn turn_round_v4(&self, datagram: &mut [u8]) -> Result<usize, Reason> {
        let header = ipv4::Header::parse(datagram)?;
        let (source, echo) = (header.source, header.destination);
        if !ipv4::is_sealed(&datagram[..header.header_len]) {
            return Err(Reason::BadChecksum);
        }
        if !self.v4.contains(&echo) {
            return Err(Reason::NotEchoAddress);
        }
        if self.v4.contains(&source) {
            return Err(Reason::OwnAddress);
        }
        if !ipv4::is_host(source) {
            return Err(Reason::BogonSource);
        }
        // Zero or less after one is taken.
        if header.ttl <= 1 {
            return Err(Reason::TtlExpired);
        }
        let (head, payload) = datagram[..header.total_len].split_at_mut(header.header_len);
        let mut destination = source;
        if header.protocol == icmp::PROTOCOL {
            if self.icmp == IcmpPolicy::Discard || header.is_fragment {
                return Err(Reason::Icmp);
            }
            if let Passage::To(host) = icmp::judge(payload, source, echo, &self.v4)? {
                destination = host;
            }
        }
        if header.protocol == udp::PROTOCOL && !header.is_later_fragment && udp::would_loop(payload) {
            return Err(Reason::ReflectionPort);
        }
        if head.len() > ipv4::FIXED {
            let first_hop = options::turn_round(&mut head[ipv4::FIXED..], source, echo, &self.v4)?;
            if first_hop.is_some() && destination != source {
                // A route back to the router says nothing about the way to anybody else.
                return Err(Reason::Icmp);
            }
            destination = first_hop.unwrap_or(destination);
        }
        ipv4::set_addresses(head, echo, destination);
        ipv4::take_hop(head);
        if head.len() > ipv4::FIXED || destination != source {
            // More than places changed. The old sum was right, so nothing wrong is sealed.
            ipv4::seal(head);
        }
        Ok(header.total_len)
    }

    fn turn_round_v6(&self, datagram: &mut [u8]) -> Result<usize, Reason> {
        let header = ipv6::Header::parse(datagram)?;
        if !self.v6.contains(&header.destination) {
            return Err(Reason::NotEchoAddress);
        }
        if self.v6.contains(&header.source) {
            return Err(Reason::OwnAddress);
        }
        if !ipv6::is_host(header.source) {
            return Err(Reason::BogonSource);
        }
        if header.source.is_unicast_link_local() && !self.on_link {
            return Err(Reason::LinkLocal);
        }
        if header.hop_limit <= 1 {
            return Err(Reason::TtlExpired);
        }
        let datagram = &mut datagram[..header.total_len];
        match ipv6::upper_layer(datagram)? {
            (ipv6::ICMP, _) => return Err(Reason::Icmp),
            (udp::PROTOCOL, payload) if udp::would_loop(payload) => return Err(Reason::ReflectionPort),
            _ => {}
        }
        ipv6::turn_round(datagram);
        Ok(header.total_len)
    }
}

impl Responder for IpEcho {
    fn respond(&mut self, _env: &mut Env<'_>, _rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict {
        match self.turn_round(reply) {
            Ok(len) => Verdict::Reply(len),
            Err(why) => Verdict::Silent(why),
        }
    }
}
