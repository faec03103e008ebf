//! Frames on their way: from the device into datagrams, and out of datagrams to the device.

use super::own::Own;
use super::remote::{Remote, path_number};
use crate::Compression;
use crate::crypto::{Agreed, Certificate, Class};
use crate::frame::{
    Compressor, CutError, Cutter, Decompressor, Ethernet, Finisher, JoinCounts, Joined, Joiner,
    LONGEST_CONTENT, Refused, Sender, append_frame, follows_from, is_whole, sender, spares_sender,
};
use crate::switch::{Claims, Forward, Port, Switch};
use crate::wire::{Content, HEADER_LEN, TAG_LEN};
use crate::{Mac, switch};
use halloo_base::{Cx, LinkId, Mono, Offload, Outbox, Transmit};

/// A port of an edge's switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EdgePort {
    /// The device.
    Tap,
    /// The peer of this number.
    Peer(u32),
}

impl Port for EdgePort {
    fn is_peer(self) -> bool {
        matches!(self, EdgePort::Peer(_))
    }
}

/// What was agreed with a member, whose certificate may bind his addresses. With whom there is no session any more, he may
/// have none: what he sent was joined too late. With it goes what his frame leaves to the device.
pub(super) struct Member<'a>(pub(super) Option<&'a Agreed>, pub(super) Offload);

impl Member<'_> {
    fn may(&self, what: impl FnOnce(&Certificate) -> bool) -> bool {
        self.0
            .is_some_and(|agreed| agreed.certificate.as_ref().is_none_or(what))
    }
}

impl Claims<EdgePort> for Member<'_> {
    fn may_claim(&self, _port: EdgePort, mac: Mac) -> bool {
        self.may(|certificate| certificate.allows_mac(mac))
    }

    fn may_say(&self, _port: EdgePort, frame: &Ethernet<'_>) -> bool {
        let of_link = |address| follows_from(address, frame.source());
        let his = |said: Sender| {
            self.may(|certificate| {
                let mut said = said.into_iter().flatten();
                said.all(|address| certificate.allows_address(address) || of_link(address))
            })
        };
        // What it says now it must still say when the device has done its part.
        self.may(|certificate| certificate.body.addresses.is_none())
            || spares_sender(frame, self.1) && sender(frame).is_some_and(his)
    }
}

/// What has become of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CarrierCounts {
    pub(super) to_peers: u64,
    pub(super) from_peers: u64,
    pub(super) no_path: u64,
    pub(super) not_a_frame: u64,
    pub(super) not_cut: u64,
    pub(super) too_long: u64,
    pub(super) refused: u64,
}

/// What frames go through. One for each thread.
pub(super) struct Carrier {
    tap: LinkId,
    cutter: Cutter,
    compressor: Compressor,
    decompressor: Decompressor,
    joiner: Joiner<u32>,
    /// Where the device takes nothing that is left to do.
    finisher: Option<Finisher>,
    /// A content before it is made shorter, or after it has its length back.
    content: Vec<u8>,
    pub(super) switch: Switch<EdgePort>,
    pub(super) counts: CarrierCounts,
    /// Peers for whom whole frames wait to be sent together.
    waiting: Vec<u32>,
}

impl Carrier {
    /// One for a device that does what is left to it, or that wants frames as they would be on a wire.
    pub(super) fn new(tap: LinkId, offload: bool, switch: Switch<EdgePort>) -> Carrier {
        Carrier {
            tap,
            cutter: Cutter::new(0),
            compressor: Compressor::new(),
            decompressor: Decompressor::new(),
            joiner: Joiner::new(),
            finisher: (!offload).then(Finisher::new),
            content: vec![0; LONGEST_CONTENT],
            switch,
            counts: CarrierCounts::default(),
            waiting: vec![],
        }
    }

    pub(super) fn joined(&self) -> JoinCounts {
        self.joiner.counts()
    }

    /// Where a frame of the device goes. One that is none goes nowhere.
    pub(super) fn decide(&mut self, now: Mono, frame: &[u8]) -> Forward<EdgePort> {
        let Some(frame) = Ethernet::parse(frame) else {
            self.counts.not_a_frame += 1;
            return Forward::Drop(switch::Reason::Stopped);
        };
        self.switch.forward(now, EdgePort::Tap, &frame, &())
    }

    /// Sends a frame to a peer, or has it wait for others that go with it.
    pub(super) fn send(
        &mut self,
        own: &Own,
        cx: &mut Cx<'_>,
        (owner, remote): (u32, &mut Remote),
        frame: &[u8],
        offload: Offload,
    ) {
        let Some(room) = remote.room().filter(|_| remote.is_up()) else {
            self.counts.no_path += 1;
            return;
        };
        if !remote.takes(frame, offload) {
            self.counts.too_long += 1;
            return;
        }
        self.counts.to_peers += 1;
        remote.sent.0 += 1;
        remote.sent.1 += frame.len() as u64;
        let flow = remote.subflows.choose(frame);
        if is_whole(frame.len(), offload, room) {
            for _ in 0..2 {
                let waiting = &mut remote.waiting[flow];
                if waiting.content.len() < room {
                    waiting.content.resize(room, 0);
                }
                let used = waiting.len;
                if let Some(len) = append_frame(&mut waiting.content[..room], used, frame, offload) {
                    if used == 0 {
                        self.waiting.push(owner);
                    }
                    waiting.len = len;
                    return;
                }
                // No room beside those that wait already.
                self.send_waiting(own, cx, (remote, flow));
            }
            self.counts.not_cut += 1;
            return;
        }
        self.send_waiting(own, cx, (remote, flow));
        if self.cut(own, cx, (remote, flow), frame, offload, room).is_err() {
            self.counts.not_cut += 1;
        }
    }

    fn cut(
        &mut self,
        own: &Own,
        cx: &mut Cx<'_>,
        (remote, flow): (&mut Remote, usize),
        frame: &[u8],
        offload: Offload,
        room: usize,
    ) -> Result<(), CutError> {
        let compression = remote.compression();
        let mut cut = self.cutter.cut(frame, offload, room)?;
        while !cut.is_done() {
            if compression == Compression::None {
                seal(own, cx, (remote, flow), room, |buffer| cut.next(buffer));
            } else {
                let Some(len) = cut.next(&mut self.content[..room]) else {
                    break;
                };
                let (compressor, content) = (&mut self.compressor, &self.content[..len]);
                let mut probe = remote.probe;
                seal(own, cx, (remote, flow), room, |buffer| {
                    shorten(compressor, compression, &mut probe, content, buffer)
                });
                remote.probe = probe;
            }
        }
        Ok(())
    }

    /// Sends what waits for a peer by one flow.
    fn send_waiting(&mut self, own: &Own, cx: &mut Cx<'_>, (remote, flow): (&mut Remote, usize)) {
        let len = std::mem::take(&mut remote.waiting[flow].len);
        if len == 0 {
            return;
        }
        let compression = remote.compression();
        let waiting = std::mem::take(&mut remote.waiting[flow].content);
        let (compressor, mut probe) = (&mut self.compressor, remote.probe);
        seal(own, cx, (remote, flow), len, |buffer| {
            shorten(compressor, compression, &mut probe, &waiting[..len], buffer)
        });
        remote.probe = probe;
        remote.waiting[flow].content = waiting;
    }

    /// Sends all that waits for a peer.
    pub(super) fn send_all_waiting(&mut self, own: &Own, cx: &mut Cx<'_>, remote: &mut Remote) {
        for flow in 0..remote.waiting.len() {
            self.send_waiting(own, cx, (remote, flow));
        }
    }

    /// Sends everything that waits, and hands out everything that is being joined: nothing more comes with it.
    pub(super) fn flush(&mut self, own: &Own, cx: &mut Cx<'_>, remotes: &mut [Option<Remote>]) {
        while let Some(owner) = self.waiting.pop() {
            if let Some(Some(remote)) = remotes.get_mut(owner as usize) {
                self.send_all_waiting(own, cx, remote);
            }
        }
        let mut arrivals = Arrivals {
            now: cx.env.now,
            switch: &mut self.switch,
            counts: &mut self.counts,
            tap: self.tap,
            finisher: self.finisher.as_mut(),
            out: cx.out,
            remotes,
        };
        self.joiner
            .flush(&mut |from, frame, offload| arrivals.take(from, frame, offload));
    }

    /// Takes a content that came from a peer, and hands its frames to the device if they are for it.
    pub(super) fn receive(
        &mut self,
        cx: &mut Cx<'_>,
        (owner, remotes): (u32, &mut [Option<Remote>]),
        content: &[u8],
    ) -> Result<(), Refused> {
        let now = cx.env.now;
        let Some(Some(remote)) = remotes.get_mut(owner as usize) else {
            return Ok(());
        };
        let mut content = content;
        if content
            .first()
            .is_some_and(|kind| kind & Content::COMPRESSED != 0)
        {
            let compression = remote.compression();
            let len = self
                .decompressor
                .decompress(compression, content, &mut self.content)?;
            content = &self.content[..len];
        }
        // What is handed out may be another peer's, so all of them must be in reach.
        let mut fragments = std::mem::take(&mut remote.fragments);
        let mut arrivals = Arrivals {
            now,
            switch: &mut self.switch,
            counts: &mut self.counts,
            tap: self.tap,
            finisher: self.finisher.as_mut(),
            out: cx.out,
            remotes,
        };
        let taken = self.joiner.take(
            owner,
            &mut fragments,
            now,
            content,
            &mut |from, frame, offload| {
                arrivals.take(from, frame, offload);
            },
        );
        if let Some(Some(remote)) = remotes.get_mut(owner as usize) {
            remote.fragments = fragments;
        }
        taken
    }
}

/// What frames from peers pass, whether they came whole or were joined, at once or at the end of a batch.
struct Arrivals<'a> {
    now: Mono,
    switch: &'a mut Switch<EdgePort>,
    counts: &'a mut CarrierCounts,
    tap: LinkId,
    finisher: Option<&'a mut Finisher>,
    out: &'a mut Outbox,
    remotes: &'a mut [Option<Remote>],
}

impl Arrivals<'_> {
    /// Takes a frame of a peer, and hands it to the device if it is for it and the peer may send it.
    fn take(&mut self, from: u32, frame: Joined<'_>, offload: Offload) {
        let (Some(Some(remote)), Some(parsed)) =
            (self.remotes.get_mut(from as usize), Ethernet::parse(&frame))
        else {
            return;
        };
        self.counts.from_peers += 1;
        remote.received.0 += 1;
        remote.received.1 += frame.len() as u64;
        let agreed = remote.peer.agreed();
        let claims = Member(agreed, offload);
        match self
            .switch
            .forward(self.now, EdgePort::Peer(from), &parsed, &claims)
        {
            Forward::To(EdgePort::Tap) | Forward::Flood(_) => self.write(frame, offload),
            Forward::To(EdgePort::Peer(_)) | Forward::Drop(_) => {}
        }
    }

    fn write(&mut self, frame: Joined<'_>, offload: Offload) {
        let (out, tap) = (&mut *self.out, self.tap);
        if let Some(finisher) = &mut self.finisher {
            let finished = finisher.finish(&frame, offload, &mut |frame| out.frame(tap, frame));
            self.counts.not_cut += u64::from(finished.is_err());
            return;
        }
        match frame {
            Joined::Owned(frame) => out.lend_frame(tap, offload, frame),
            Joined::Lies(frame) => {
                out.reserve(frame.len(), frame);
                out.commit_frame(tap, offload, frame.len());
            }
        }
    }
}

/// A content as it goes: shorter, if that is worth it.
fn shorten(
    compressor: &mut Compressor,
    compression: Compression,
    probe: &mut crate::frame::Probe,
    content: &[u8],
    buffer: &mut [u8],
) -> Option<usize> {
    if let Some(len) = compressor.compress(compression, probe, content, buffer) {
        return Some(len);
    }
    buffer.get_mut(..content.len())?.copy_from_slice(content);
    Some(content.len())
}

/// Seals a content where it is written, in the memory that is sent.
fn seal(
    own: &Own,
    cx: &mut Cx<'_>,
    (remote, flow): (&mut Remote, usize),
    room: usize,
    fill: impl FnOnce(&mut [u8]) -> Option<usize>,
) {
    let Some(at) = remote.best else { return };
    let leg = &mut remote.legs[at];
    let subflow = remote.subflows.way(flow, leg);
    let (way, number) = subflow.unwrap_or((leg.way, path_number(at)));
    let prefix = way.prefix();
    let start = prefix + HEADER_LEN;
    // The way, the header, the content and the tag are all written below, and nothing else is sent.
    let buffer = cx.out.reserve_unclear(start + room + TAG_LEN);
    let Some(len) = fill(&mut buffer[start..start + room]) else {
        return;
    };
    way.wrap(buffer);
    let now = cx.env.now;
    let sealed = remote.peer.seal(
        (now, &own.local),
        number,
        Class::Frames,
        &mut buffer[prefix..],
        len,
    );
    if let Ok(len) = sealed {
        let packet = way.overhead() + len;
        match subflow {
            None => leg.sent(packet, now),
            Some(_) => {
                leg.sent_beside(packet, now);
                remote.subflows.used(flow);
            }
        }
        let how = Transmit {
            path: way.path,
            ..leg.how()
        };
        cx.out.commit(how, prefix + len);
    }
}
