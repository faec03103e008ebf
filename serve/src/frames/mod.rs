//! A server on a named interface: addresses that no kernel has, answered frame by frame.
//!
//! No stack stands between the wire and the responder here, so the server does what a stack would have done: it says
//! where its addresses are (ARP and neighbour discovery), takes only frames that are meant for it, and sends each
//! answer back to where its request came from. A datagram loses the one hop that the responder takes and no other.

mod arp;
mod ethernet;
mod neighbour;
mod neighbours;

use crate::policy::Policy;
use crate::{Guards, Limits, OptionsError, Rate, Secret, ServerOptions};
use ethernet::{ARP, Header, IPV4, IPV6};
use halloo_base::{
    Counters, Cx, Datagram, Deadline, Frame, Input, IpHeader, LinkId, Machine, Offload, Reason, ReplyLimit,
    Responder, Transport,
};
use neighbours::Neighbours;
use std::net::IpAddr;
use std::sync::Arc;

/// A datagram that says it is shorter than its own header (RFC 791 section 3.1) is none.
const SHORTEST: usize = 20;

/// What a [`FrameServer`] is told about its interface and its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameServerOptions {
    /// The interface.
    pub device: LinkId,
    /// The interface's own MAC address, which it answers for and sends from.
    pub mac: [u8; 6],
    /// The addresses that are served. They are this server's alone: no host on the segment may have them.
    pub addresses: Vec<IpAddr>,
    /// Whom to answer, and how much. Ports are not looked at.
    pub guards: Guards,
    /// How many questions for the addresses' place are answered: a source is a MAC address. Default: 100 a second
    /// from each, burst 200; 5,000 a second from all together.
    pub neighbour_limits: Limits,
    /// Keys the limiters' tables.
    pub secret: Secret,
}

impl FrameServerOptions {
    /// The defaults for these addresses on this interface.
    pub fn new(device: LinkId, mac: [u8; 6], addresses: Vec<IpAddr>, secret: Secret) -> FrameServerOptions {
        FrameServerOptions {
            device,
            mac,
            addresses,
            guards: Guards::default(),
            neighbour_limits: Limits {
                per_source: Some(Rate {
                    per_second: 100,
                    burst: 200,
                }),
                all: Some(Rate {
                    per_second: 5_000,
                    burst: 5_000,
                }),
                sources: 1_024,
                ..Limits::default()
            },
            secret,
        }
    }
}

/// Answers IP datagrams that come in Ethernet frames: each frame ends in one answer to the MAC address that it came
/// from, or in one counted silence.
///
/// Frames with a VLAN tag are not looked at. It has no deadline and is finished when it was told to stop.
pub struct FrameServer {
    device: LinkId,
    mac: [u8; 6],
    addresses: Vec<IpAddr>,
    neighbours: Neighbours,
    policy: Policy,
    stopped: bool,
}

impl FrameServer {
    /// A server around `responder`, which is handed whole IP datagrams and never answers with more than it got. It
    /// counts datagrams in `counters`, and questions for the addresses' place in `neighbours`.
    ///
    /// # Errors
    /// What [`Guards::check`] or [`Limits::check`] finds wrong.
    pub fn new(
        options: FrameServerOptions,
        responder: Box<dyn Responder>,
        counters: Arc<Counters>,
        neighbours: Arc<Counters>,
    ) -> Result<FrameServer, OptionsError> {
        let policy = ServerOptions {
            guards: options.guards,
            reply_limit: ReplyLimit::SameAsRequest,
            transport: Transport::Ip,
            secret: options.secret,
        };
        options.neighbour_limits.check()?;
        Ok(FrameServer {
            device: options.device,
            mac: options.mac,
            neighbours: Neighbours::new(
                options.mac,
                options.addresses.clone(),
                &options.neighbour_limits,
                options.secret,
                neighbours,
            ),
            addresses: options.addresses,
            policy: Policy::new(policy, responder, counters)?,
            stopped: false,
        })
    }

    fn frame(&mut self, cx: &mut Cx<'_>, rx: &Frame<'_>) {
        let header = Header::parse(rx.bytes);
        match header {
            Some((header, packet)) if header.kind == ARP => {
                self.neighbours.arp(cx, rx, &header, packet);
            }
            Some((header, packet)) if header.kind == IPV6 && neighbour::is_solicitation(packet) => {
                self.neighbours.solicitation(cx, rx, &header, packet);
            }
            _ => {
                let outcome = self.answer(cx, rx, header);
                self.policy.count(rx.bytes.len(), outcome);
            }
        }
    }

    fn answer(
        &mut self,
        cx: &mut Cx<'_>,
        rx: &Frame<'_>,
        parts: Option<(Header, &[u8])>,
    ) -> Result<usize, Reason> {
        let (header, packet) = parts.ok_or(Reason::Malformed)?;
        let request = self.datagram(rx, &header, packet)?;
        self.policy.admit(&cx.env, &request)?;
        let whole = &rx.bytes[..Header::LEN + request.payload.len()];
        let longest = self.policy.room(&cx.env, &request);
        let room = cx.out.reserve(Header::LEN + longest, whole);
        let (head, room) = room.split_at_mut(Header::LEN);
        head.copy_from_slice(&header.answer(self.mac));
        let reply = self.policy.respond(&mut cx.env, &request, room)?;
        let offload = moved(reply.offload, Header::LEN as i32).ok_or(Reason::Malformed)?;
        cx.out.commit_frame(self.device, offload, Header::LEN + reply.len);
        Ok(Header::LEN + reply.len)
    }

    /// The datagram in a frame that was meant for us (RFC 1122 section 3.3.6: a frame to everybody is answered by
    /// nobody), without the padding of the link.
    fn datagram<'a>(
        &self,
        rx: &Frame<'a>,
        header: &Header,
        packet: &'a [u8],
    ) -> Result<Datagram<'a>, Reason> {
        if header.destination != self.mac {
            return Err(Reason::NotUnicast);
        }
        if !header.has_honest_source(self.mac) {
            return Err(Reason::BogonSource);
        }
        let ip = IpHeader::parse(packet).ok_or(Reason::Malformed)?;
        let kind = if ip.source.is_ipv4() { IPV4 } else { IPV6 };
        if header.kind != kind || ip.length < SHORTEST {
            return Err(Reason::Malformed);
        }
        if !self.addresses.contains(&ip.destination) {
            return Err(Reason::NotEchoAddress);
        }
        Ok(Datagram {
            path: ip.path(self.device),
            at: rx.at,
            marks: ip.marks,
            payload: packet.get(..ip.length).unwrap_or(packet),
            offload: moved(rx.offload, -(Header::LEN as i32)).ok_or(Reason::Malformed)?,
        })
    }
}

/// The same work left to do, for a packet with so many bytes more (or less) in front; `None` if it pointed into them.
fn moved(offload: Offload, by: i32) -> Option<Offload> {
    // Zero stands for nothing to do, not for a place.
    let place = |at: u16| match at {
        0 => Some(0),
        at => u16::try_from(i32::from(at) + by).ok(),
    };
    Some(Offload {
        header_len: place(offload.header_len)?,
        checksum_start: place(offload.checksum_start)?,
        ..offload
    })
}

impl Machine for FrameServer {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if self.stopped {
            return;
        }
        match input {
            Input::Frame(rx) => self.frame(cx, &rx),
            Input::Unreachable(report, _) if report.reporter.is_none() => self.policy.send_failed(),
            Input::Stop => self.stopped = true,
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }

    fn finished(&self) -> bool {
        self.stopped
    }
}

#[cfg(test)]
mod tests;
