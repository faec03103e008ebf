//! Telling others on the segment where our addresses are.

use super::arp;
use super::ethernet::{BROADCAST, Header, IPV6};
use super::neighbour::{Solicitation, group_mac, solicited_node};
use crate::address::{self, Source};
use crate::limiter::Limiter;
use crate::{Limits, Secret};
use halloo_base::{Counters, Cx, Frame, Mono, Reason, ReplyLimit};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Offload flags that say of a checksum: still to be filled in, found right.
const CHECKSUM_FLAGS: u8 = 1 | 2;

/// Answers questions for the place of our addresses, each source in its measure, and counts them.
pub(super) struct Neighbours {
    mac: [u8; 6],
    addresses: Vec<IpAddr>,
    limiter: Limiter,
    counters: Arc<Counters>,
}

impl Neighbours {
    /// `limits` has been checked.
    pub(super) fn new(
        mac: [u8; 6],
        addresses: Vec<IpAddr>,
        limits: &Limits,
        secret: Secret,
        counters: Arc<Counters>,
    ) -> Neighbours {
        Neighbours {
            mac,
            addresses,
            limiter: Limiter::new(limits, secret),
            counters,
        }
    }

    /// Answers who asks for an IPv4 address.
    pub(super) fn arp(&mut self, cx: &mut Cx<'_>, rx: &Frame<'_>, header: &Header, packet: &[u8]) {
        let outcome = self.answer_arp(cx, rx, header, packet);
        self.count(rx, outcome);
    }

    /// Answers who asks for an IPv6 address.
    pub(super) fn solicitation(&mut self, cx: &mut Cx<'_>, rx: &Frame<'_>, header: &Header, packet: &[u8]) {
        let outcome = self.answer_solicitation(cx, rx, header, packet);
        self.count(rx, outcome);
    }

    fn answer_arp(
        &mut self,
        cx: &mut Cx<'_>,
        rx: &Frame<'_>,
        header: &Header,
        packet: &[u8],
    ) -> Result<usize, Reason> {
        let packet = arp::Packet::parse(packet).ok_or(Reason::Malformed)?;
        if packet.is_reply() {
            return Err(Reason::Foreign);
        }
        if !packet.is_request() {
            return Err(Reason::Malformed);
        }
        if ![self.mac, BROADCAST].contains(&header.destination) {
            return Err(Reason::NotUnicast);
        }
        self.admit(cx.now(), header, packet.sender.into(), packet.target.into())?;
        let answer = [&header.answer(self.mac)[..], &packet.answer(self.mac).emit()];
        Ok(send(cx, rx, answer))
    }

    fn answer_solicitation(
        &mut self,
        cx: &mut Cx<'_>,
        rx: &Frame<'_>,
        header: &Header,
        packet: &[u8],
    ) -> Result<usize, Reason> {
        let checked = rx.offload.flags & CHECKSUM_FLAGS != 0;
        let question = Solicitation::parse(packet, checked).ok_or(Reason::Malformed)?;
        let group = solicited_node(question.target);
        let to_us = header.destination == self.mac && question.destination == question.target;
        // Who asks the group may know our MAC address already, and save everybody else the trouble.
        let to_group =
            [self.mac, group_mac(group)].contains(&header.destination) && question.destination == group;
        if !(to_us || to_group) {
            return Err(Reason::NotUnicast);
        }
        self.admit(cx.now(), header, question.source.into(), question.target.into())?;
        // Who has no address yet hears the answer with everybody else.
        let destination = if question.source.is_unspecified() {
            group_mac(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1))
        } else {
            header.source
        };
        let head = Header {
            destination,
            source: self.mac,
            kind: IPV6,
        };
        let mut room = [0; Solicitation::LONGEST];
        let len = question.answer(self.mac, &mut room);
        Ok(send(cx, rx, [&head.emit(), &room[..len]]))
    }

    /// `sender` may be nobody yet: a host that looks whether an address is free (RFC 5227, RFC 4862 section 5.4).
    fn admit(&mut self, now: Mono, header: &Header, sender: IpAddr, target: IpAddr) -> Result<(), Reason> {
        if !self.addresses.contains(&target) {
            return Err(Reason::NotEchoAddress);
        }
        let bogon = address::is_bogon(sender) && !sender.is_unspecified();
        if self.addresses.contains(&sender) {
            return Err(Reason::OwnAddress);
        }
        if bogon || !header.has_honest_source(self.mac) {
            return Err(Reason::BogonSource);
        }
        self.limiter
            .admit_stranger(now, Source::station(header.source), 1, ReplyLimit::SameAsRequest)
    }

    fn count(&self, rx: &Frame<'_>, outcome: Result<usize, Reason>) {
        self.counters.receive(rx.bytes.len());
        match outcome {
            Ok(len) => self.counters.reply(len),
            Err(why) => self.counters.silent(why),
        }
    }
}

fn send(cx: &mut Cx<'_>, rx: &Frame<'_>, [head, packet]: [&[u8]; 2]) -> usize {
    let len = head.len() + packet.len();
    let room = cx.out.reserve(len, head);
    room[head.len()..].copy_from_slice(packet);
    cx.out.commit_frame(rx.link, halloo_base::Offload::default(), len);
    len
}
