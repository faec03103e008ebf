//! The ping server behind a forwarder that says anything.

use crate::feed::Feed;
use crate::ndn::ping_server;
use crate::surroundings::{datagram, stamp};
use halloo_base::{
    Clock, CloseReason, ConnId, Counters, Cx, Env, Input, Machine, Mono, Outbox, Output, Rng, Stamp,
    StampSource, StreamInput, UnreachableError,
};
use halloo_protocols::ndn::control::{Command, ControlResponse, Verb};
use halloo_protocols::ndn::{
    Content, FaceEvent, FaceSink, Insist, Packet, Registration, ServerFace, Signer, Unsigned, tlv,
};
use std::sync::Arc;
use std::time::Duration;

struct Nobody;

impl FaceSink for Nobody {
    fn event(&mut self, _event: FaceEvent) {}
}

struct Standing(Mono);

impl Clock for Standing {
    fn stamp(&self) -> Stamp {
        stamp(self.0, StampSource::User)
    }
}

struct Stage {
    face: ServerFace,
    rng: Rng,
    now: Mono,
    /// The connection that was asked for last, and whether it stands.
    id: Option<(ConnId, bool)>,
    order: Vec<u8>,
}

/// Octets say what happens next: time passes, the connection opens, breaks or brings bytes, an order is answered.
pub(crate) fn face(data: &[u8]) {
    let mut feed = Feed::new(data);
    let insist = match feed.octet() % 3 {
        0 => Insist::OnceUp,
        1 => Insist::Always,
        _ => Insist::Never,
    };
    let server = ping_server();
    let registration = Registration::new(server.prefix().to_buf(), Signer::digest());
    let path = datagram(0, Mono(0), &[]).path;
    let counters = Arc::new(Counters::default());
    let mut stage = Stage {
        face: ServerFace::new(server, registration, path, insist, Box::new(Nobody), counters),
        rng: Rng::new(0),
        now: Mono(0),
        id: None,
        order: Vec::new(),
    };
    stage.handle(Input::Wake);
    while !feed.is_empty() && !stage.face.finished() {
        stage.step(&mut feed);
    }
    stage.handle(Input::Stop);
    assert!(stage.face.finished() && stage.face.deadline().is_none());
}

impl Stage {
    fn step(&mut self, feed: &mut Feed<'_>) {
        let how = feed.octet();
        let at = stamp(self.now, StampSource::User);
        let Some((id, is_up)) = self.id else {
            return self.sleep();
        };
        match how % 6 {
            0 => self.sleep(),
            1 => {
                self.now += Duration::from_millis(u64::from(feed.number()));
                self.handle(Input::Wake);
            }
            2 if !is_up => {
                self.id = Some((id, true));
                let path = datagram(0, Mono(0), &[]).path;
                self.handle(Input::Stream(id, StreamInput::Opened { path, at }));
            }
            3 => {
                self.id = None;
                let why = CloseReason::Broken(UnreachableError(104));
                self.handle(Input::Stream(id, StreamInput::Closed(why)));
            }
            4 if is_up => {
                let code = u64::from(feed.number());
                let answer = response(&self.order, code);
                self.handle(Input::Stream(id, StreamInput::Data { bytes: &answer, at }));
            }
            _ if is_up => {
                let len = usize::from(feed.octet());
                let bytes = feed.bytes(len);
                self.handle(Input::Stream(id, StreamInput::Data { bytes, at }));
            }
            _ => {}
        }
    }

    fn sleep(&mut self) {
        if let Some(deadline) = self.face.deadline() {
            self.now = self.now.max(deadline.at);
        }
        self.handle(Input::Wake);
    }

    fn handle(&mut self, input: Input<'_>) {
        let mut out = Outbox::new();
        let is_wake = matches!(input, Input::Wake);
        let clock = Standing(self.now);
        let env = Env {
            now: self.now,
            clock: &clock,
            rng: &mut self.rng,
        };
        self.face.handle(&mut Cx { env, out: &mut out }, input);
        for output in out.iter() {
            match output {
                Output::Connect(id, _) => {
                    assert!(
                        self.id.is_none_or(|(before, _)| before < id),
                        "an id is used once"
                    );
                    self.id = Some((id, false));
                }
                Output::Write(id, _, bytes) => {
                    assert_eq!(self.id, Some((id, true)), "nobody writes to what is not open");
                    self.keep_order(bytes);
                }
                Output::Abort(id) | Output::Finish(id) => {
                    assert_eq!(self.id.take().map(|(open, _)| open), Some(id));
                }
                other => panic!("{other:?}"),
            }
        }
        if is_wake && let Some(deadline) = self.face.deadline() {
            assert!(deadline.at > self.now, "it would never sleep: {}", deadline.why);
        }
    }

    /// Everything that is written is packets: Data, and orders.
    fn keep_order(&mut self, mut bytes: &[u8]) {
        while let Ok(Some(len)) = tlv::measure(bytes) {
            let (wire, rest) = bytes.split_at(len);
            match Packet::parse(wire).expect("a packet").content {
                Content::Interest(interest) => {
                    let order = Command::of(&interest).expect("an order");
                    if order.verb == Verb::Register {
                        self.order = wire.to_vec();
                    }
                }
                Content::Data(_) => {}
                other => panic!("{other:?}"),
            }
            bytes = rest;
        }
        assert!(bytes.is_empty());
    }
}

/// A forwarder's answer to the order.
fn response(order: &[u8], code: u64) -> Vec<u8> {
    let Ok(Packet {
        content: Content::Interest(interest),
        ..
    }) = Packet::parse(order)
    else {
        return Vec::new();
    };
    let response = ControlResponse {
        code,
        text: "fuzzed",
        parameters: None,
    };
    let content = tlv::written(|writer| response.emit(writer)).expect("room");
    let unsigned = Unsigned {
        name: interest.name,
        meta: None,
        content: Some(&content),
    };
    unsigned.sign(&Signer::digest()).expect("room")
}
