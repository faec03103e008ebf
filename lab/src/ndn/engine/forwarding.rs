//! What becomes of a packet.

use super::super::Behaviour;
use super::super::face::{Face, IN, OUT};
use super::super::lp::{self, Header, Received};
use super::super::management::{self, Action, Desk};
use super::super::packet::{DATA, Data, INTEREST, Interest, Name};
use super::super::tables::{DUPLICATE, FaceId, Fate};
use super::super::tlv::{element, integer_element, only};
use super::{Engine, now_ms};
use std::time::Instant;

impl Engine {
    /// One link packet.
    pub(super) fn take_in(&mut self, from: FaceId, wire: &[u8]) {
        let Some(face) = self.faces.get_mut(&from) else {
            return;
        };
        face.traffic.bytes[IN] += wire.len() as u64;
        let whole = match lp::parse(wire) {
            Some(Received::Packet(header, packet)) => Some((header, packet)),
            Some(Received::Part(part)) => {
                self.counts.fragments += 1;
                face.reassembler.take(part)
            }
            Some(Received::Idle) => None,
            None => {
                self.counts.undecodable += 1;
                None
            }
        };
        let Some((header, packet)) = whole else {
            return;
        };
        let kind = only(&packet).map(|outer| outer.kind);
        let is_understood = match (kind, header.nack) {
            (Some(INTEREST), None) => {
                Interest::parse(&packet).map(|interest| self.interest(from, header.token, interest))
            }
            (Some(INTEREST), Some(reason)) => Interest::parse(&packet).map(|interest| {
                self.nack(from, reason, &interest);
            }),
            (Some(DATA), None) => Data::parse(&packet).map(|data| self.data(from, &header, &data)),
            _ => None,
        };
        if is_understood.is_none() {
            self.counts.undecodable += 1;
        }
    }

    fn interest(&mut self, from: FaceId, token: Option<Vec<u8>>, interest: Interest) {
        self.counts.interests += 1;
        self.face(from).traffic.interests[IN] += 1;
        let is_local = self.face(from).is_local;
        let localhost = Name::generic("localhost").is_prefix_of(&interest.name);
        if interest.hop_limit == Some(0) || localhost && !is_local {
            self.counts.dropped += 1;
            return;
        }
        let interest = interest.hopped();
        if self.manage(from, token.as_deref(), &interest) {
            return;
        }
        self.nonces = self.nonces.wrapping_add(1);
        let interest = interest.with_nonce(self.nonces.to_be_bytes());
        let faces = &self.faces;
        let last_hop = interest.hop_limit == Some(0);
        let may_reach = |id: FaceId| faces.get(&id).is_some_and(|face| face.is_local || !last_hop);
        let fate = self
            .tables
            .interest(from, token, &interest, Instant::now(), may_reach);
        match fate {
            Fate::Forward(to, token) => {
                let header = Header {
                    token: self.behaviour.pit_tokens.then_some(token),
                    ..Header::default()
                };
                self.face(to).traffic.interests[OUT] += 1;
                self.send(to, &header, &interest.wire);
            }
            Fate::Nack(reason) => {
                self.counts.nacks_sent += 1;
                self.counts.duplicates += u64::from(reason == DUPLICATE);
                // NFD does not give the neighbour's mark back here, unlike with Data.
                let header = Header {
                    nack: Some(reason),
                    ..Header::default()
                };
                self.face(from).traffic.nacks[OUT] += 1;
                self.send(from, &header, &interest.wire);
            }
            Fate::Waits => {}
        }
    }

    fn data(&mut self, from: FaceId, header: &Header, data: &Data) {
        self.counts.data += 1;
        self.face(from).traffic.data[IN] += 1;
        let by_token = self.behaviour.pit_tokens;
        let towards = self.tables.data(from, header.token.as_deref(), data, by_token);
        if towards.is_empty() {
            let is_wanted = self.tables.is_wanted(from, data);
            self.counts.unsolicited += u64::from(!is_wanted);
            self.counts.token_lost += u64::from(is_wanted);
        }
        for (to, token) in towards {
            let header = Header {
                token,
                mark: u64::from(self.behaviour.congestion_marks),
                ..Header::default()
            };
            self.face(to).traffic.data[OUT] += 1;
            self.send(to, &header, &data.wire);
        }
    }

    fn nack(&mut self, from: FaceId, reason: u64, interest: &Interest) {
        self.counts.nacks += 1;
        self.face(from).traffic.nacks[IN] += 1;
        for (to, _) in self.tables.nack(from, interest) {
            let header = Header {
                nack: Some(reason),
                ..Header::default()
            };
            self.face(to).traffic.nacks[OUT] += 1;
            self.send(to, &header, &interest.wire);
        }
    }

    /// Answers what is asked of the forwarder itself. False if it was not.
    fn manage(&mut self, from: FaceId, token: Option<&[u8]>, interest: &Interest) -> bool {
        let is_open = self.behaviour.localhop || !Name::generic("localhop").is_prefix_of(&interest.name);
        let Some(topic) = management::topic(&interest.name).filter(|_| is_open) else {
            return false;
        };
        let header = Header {
            token: token.map(<[u8]>::to_vec),
            ..Header::default()
        };
        // Later segments are asked for by the names that the first one told.
        let is_later = interest.name.0.len() > 4;
        let is_known = |part: &&Vec<u8>| is_later && is_answer(interest, part);
        if let Some(part) = self.datasets.values().flatten().find(is_known).cloned() {
            self.send(from, &header, &part);
            return true;
        }
        let content = match &topic[..] {
            "status/general" => self.status(),
            "faces/list" => {
                let mtu = self.behaviour.mtu;
                let faces = self.faces.values();
                faces.flat_map(|face| face.status(mtu)).collect()
            }
            "rib/list" => management::rib(&self.tables.routes),
            _ => {
                self.obey(from, &header, interest);
                return true;
            }
        };
        self.versions = now_ms().max(self.versions + 1);
        let name = Name(interest.name.0[..4].to_vec());
        let parts = management::dataset(&name, self.versions, &content, self.behaviour.segment);
        if let Some(first) = parts.first().filter(|part| is_answer(interest, part)) {
            self.send(from, &header, first);
            self.datasets.insert(topic, parts);
        }
        true
    }

    /// The answer leaves before the route is there, as at NFD.
    fn obey(&mut self, from: FaceId, header: &Header, interest: &Interest) {
        let mut desk = Desk {
            understands: self.behaviour.commands,
            refuses: self.behaviour.refusals > 0,
            route_lag: self.behaviour.route_lag,
            stamps: &mut self.stamps,
            now: now_ms(),
        };
        let Some((answer, action, command)) = desk.command(interest, from) else {
            self.counts.unanswered_commands += 1;
            return;
        };
        self.behaviour.refusals = self.behaviour.refusals.saturating_sub(1);
        self.commands.push(command);
        self.send(from, header, &answer);
        match action {
            Some(Action::Register(route)) if self.faces.contains_key(&route.face) => {
                self.tables.add(route);
            }
            Some(Action::Unregister(prefix, face, origin)) => self.tables.remove(&prefix, face, origin),
            Some(Action::Register(_)) | None => {}
        }
    }

    fn status(&self) -> Vec<u8> {
        let routes = self.tables.routes.len() as u64;
        let numbers = [
            (129, self.started),
            (130, now_ms()),
            (131, routes),
            (132, routes),
            (133, 0),
            (134, 0),
            (135, 0),
            (144, self.counts.interests),
            (145, self.counts.data),
            (151, self.counts.nacks),
            (146, 0),
            (147, 0),
            (152, self.counts.nacks_sent),
            (153, 0),
            (154, 0),
        ];
        let version = element(128, Behaviour::VERSION.as_bytes());
        let numbers = numbers
            .into_iter()
            .flat_map(|(kind, number)| integer_element(kind, number));
        version.into_iter().chain(numbers).collect()
    }

    fn send(&mut self, to: FaceId, header: &Header, packet: &[u8]) {
        let (mtu, udp) = (self.behaviour.mtu, self.udp.as_ref());
        let face = self.faces.get_mut(&to);
        let sent = face.is_some_and(|face| face.send(header, packet, mtu, udp));
        self.counts.dropped += u64::from(!sent);
    }

    /// A face that is known to be there: it has just sent something, or the tables name it.
    fn face(&mut self, id: FaceId) -> &mut Face {
        self.faces
            .get_mut(&id)
            .expect("tables forget a face when it goes")
    }
}

fn is_answer(interest: &Interest, part: &[u8]) -> bool {
    Data::parse(part).is_some_and(|data| interest.is_answered_by(&data))
}
