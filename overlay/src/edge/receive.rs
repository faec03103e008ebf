//! What comes to an edge from the network.

use super::association::Association;
use super::path::Via;
use super::remote::Remote;
use super::{Edge, Who};
use crate::crypto::{Class, Context, Event, HandshakeError, OpenError, Peer};
use crate::way::Way;
use crate::wire::{DataHeader, Message};
use halloo_base::{Cx, Datagram};

impl Edge {
    pub(super) fn datagram(&mut self, cx: &mut Cx<'_>, rx: &Datagram<'_>) {
        self.counts.datagrams += 1;
        if let Some(place) = self.ports.place(rx.path.local.port()) {
            return self.further(cx, place, rx);
        }
        let way = Way::direct(self.path_to(rx.path.remote));
        match Message::parse(rx.payload) {
            Ok(Message::Channel(channel)) => {
                if self.carry(cx, rx, &channel) {
                    return;
                }
                let way = Way {
                    via: Via::Channel(channel.number),
                    ..way
                };
                let relays = self.is_relay(rx.path.remote);
                match Message::parse(channel.inner) {
                    Ok(message) if relays => self.message(cx, way, &message, channel.inner),
                    Ok(_) => self.counts.no_relay += 1,
                    Err(_) => self.counts.malformed += 1,
                }
            }
            Ok(message) => self.message(cx, way, &message, rx.payload),
            Err(_) => self.counts.malformed += 1,
        }
    }

    /// Whether it comes straight from a peer, or from somebody who would be one.
    fn is_straight(&self, way: Way, message: &Message<'_>) -> bool {
        let number = match message {
            Message::Data(header) => header.receiver,
            Message::Response(response) => response.receiver,
            Message::Cookie(cookie) => cookie.receiver,
            Message::Initiation(_) => return way.via == Via::Direct,
            Message::Hello(_) | Message::HelloReply(_) | Message::Channel(_) => return false,
        };
        let is_peer = |owner| matches!(Who::of(owner), Who::Peer(_));
        way.via == Via::Direct && self.own.numbers.owner(number).is_some_and(is_peer)
    }

    fn message(&mut self, cx: &mut Cx<'_>, way: Way, message: &Message<'_>, datagram: &[u8]) {
        if !self.options.direct && self.is_straight(way, message) {
            // An answer would tell where we are.
            self.counts.unwanted += 1;
            return;
        }
        match message {
            Message::Data(header) if header.is_subflow() && !self.takes_subflow(way, header) => {
                self.counts.malformed += 1;
            }
            Message::Data(header) => self.data(cx, way, header, datagram),
            Message::Initiation(initiation) => self.initiation(cx, way, initiation),
            Message::Response(response) => {
                let Some(owner) = self.own.numbers.owner(response.receiver) else {
                    self.counts.unknown_session += 1;
                    return;
                };
                let _ = self.with_peer(cx, owner, way, |peer, context, out| {
                    peer.respond(context, response, out)
                        .map(|step| (step.send, step.event))
                });
            }
            Message::Cookie(cookie) => {
                let Some(owner) = self.own.numbers.owner(cookie.receiver) else {
                    self.counts.unknown_session += 1;
                    return;
                };
                let _ = self.with_peer(cx, owner, way, |peer, context, out| {
                    peer.take_cookie(context.now, cookie, out)
                        .map(|step| (step.send, step.event))
                });
            }
            Message::HelloReply(reply) => {
                let now = cx.env.now;
                let asked = |known: &&mut Association| known.place.address == way.path.remote;
                if let Some(association) = self.supernodes.iter_mut().find(asked) {
                    association.hello_reply(reply, now);
                    self.soon(now);
                }
            }
            Message::Hello(_) | Message::Channel(_) => self.counts.malformed += 1,
        }
    }

    /// Has a peer take a message of a handshake, and sends what follows from it back by the same way.
    pub(super) fn with_peer(
        &mut self,
        cx: &mut Cx<'_>,
        owner: u32,
        way: Way,
        deed: impl FnOnce(
            &mut Peer,
            &mut Context<'_>,
            &mut Vec<u8>,
        ) -> Result<(bool, Option<Event>), HandshakeError>,
    ) -> Result<(), HandshakeError> {
        let peer = find_peer(&mut self.supernodes, &mut self.remotes, Who::of(owner));
        let peer = peer.ok_or(HandshakeError::Unknown)?;
        let result = self
            .own
            .handshake(cx, &[way], |context, out| match deed(peer, context, out) {
                Ok((send, event)) => (send, Ok(event)),
                Err(error) => (false, Err(error)),
            });
        match &result {
            Ok(event) => self.happened(cx, Who::of(owner), Some(way), event.clone()),
            Err(_) => self.counts.handshakes_refused += 1,
        }
        self.soon(cx.env.now);
        result.map(|_| ())
    }

    pub(super) fn data(&mut self, cx: &mut Cx<'_>, way: Way, header: &DataHeader, datagram: &[u8]) {
        let Some(owner) = self.own.numbers.owner(header.receiver) else {
            self.counts.unknown_session += 1;
            return;
        };
        let who = Who::of(owner);
        let peer = find_peer(&mut self.supernodes, &mut self.remotes, who);
        let Some(peer) = peer else { return };
        let now = cx.env.now;
        let keys = (now, &self.own.local, &mut self.own.numbers);
        let opened = match peer.open(keys, header, datagram, &mut self.opened) {
            Ok((opened, event)) => {
                if event.is_some() {
                    // A greeting comes by the way that our answer went; anything else shows one direction only.
                    let answers = (opened.path == 0).then_some(way);
                    self.happened(cx, who, answers, event);
                }
                opened
            }
            Err(error) => {
                match error {
                    OpenError::Again | OpenError::Older => self.counts.replayed += 1,
                    OpenError::NoSession => self.counts.unknown_session += 1,
                    _ => self.counts.not_authentic += 1,
                }
                return;
            }
        };
        if opened.proved {
            self.look_at_tunnels(now);
        }
        let link_mtu = self.options.link_mtu;
        let mut leg = None;
        match who {
            Who::Supernode(place) => self.supernodes[place].heard(now),
            // That is about one pair of ports, and nothing that he is to be sent to.
            Who::Peer(_) if header.is_subflow() => {}
            Who::Peer(owner) if opened.proved => {
                if let Some(remote) = self.remote(owner) {
                    let before = remote.legs.len();
                    leg = remote.heard(way, link_mtu, now);
                    if remote.legs.len() != before {
                        // It has moved: ask there at once.
                        self.soon(now);
                    }
                }
            }
            Who::Peer(_) => {}
        }
        let content = std::mem::take(&mut self.opened);
        match (opened.class, who) {
            (Class::Control, Who::Peer(owner)) if header.is_subflow() => {
                let said = &content[..opened.len];
                self.subflow_says(cx, owner, (header.path, way), said, datagram.len());
            }
            (Class::Frames, _) if header.path >= DataHeader::SUBFLOW_ANSWERS => {
                self.carrier.counts.refused += 1;
            }
            (Class::Control, _) => self.controls(cx, who, way, leg, &content[..opened.len], datagram.len()),
            // They come by another way, and there is no device for these.
            (Class::Frames, Who::Peer(_)) if self.tunnels.is_some() => self.carrier.counts.refused += 1,
            (Class::Frames, Who::Peer(owner)) => {
                let content = &content[..opened.len];
                if self
                    .carrier
                    .receive(cx, (owner, &mut self.remotes), content)
                    .is_err()
                {
                    self.carrier.counts.refused += 1;
                }
                self.flush.get_or_insert(now);
            }
            (Class::Frames, Who::Supernode(_)) => self.counts.bad_control += 1,
        }
        self.opened = content;
    }
}

/// The sessions with somebody. The two lists are borrowed apart from the rest of the edge, which sessions need beside them.
fn find_peer<'a>(
    supernodes: &'a mut [Association],
    remotes: &'a mut [Option<Remote>],
    who: Who,
) -> Option<&'a mut Peer> {
    match who {
        Who::Supernode(place) => supernodes.get_mut(place)?.peer.as_mut(),
        Who::Peer(owner) => Some(&mut remotes.get_mut(owner as usize)?.as_mut()?.peer),
    }
}
