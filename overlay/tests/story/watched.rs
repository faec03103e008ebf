//! A machine that is looked over the shoulder while it runs.

use halloo_base::{Cx, Deadline, Frame, Input, Machine, Offload, Output};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

/// Every frame of a station has these octets in it, so that they would show in a datagram.
pub(crate) const LABEL: &[u8] = b"a label that everybody could read";

/// What was seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Whether to look into datagrams.
    pub(crate) looks: bool,
    /// Datagrams in which a frame's label can be read.
    pub(crate) clear: u64,
    /// Who has shown nothing: to each of their datagrams no more may be answered than it had octets.
    pub(crate) strangers: BTreeSet<IpAddr>,
    /// Answers to strangers that were longer: octets in, octets out.
    pub(crate) too_long: Vec<(usize, usize)>,
    /// Datagrams to strangers.
    pub(crate) answers: u64,
    /// The datagrams that went out, if they are wanted.
    pub(crate) sent: Option<Vec<(SocketAddr, Vec<u8>)>>,
    /// What comes from there never arrives.
    pub(crate) blocked: BTreeSet<IpAddr>,
    /// Datagrams that went out, by the port that they left by.
    pub(crate) ports: BTreeMap<u16, u64>,
    /// Nothing arrives from other ports than this one, if one is named ...
    pub(crate) only_from: Option<u16>,
    /// ... nor from these.
    pub(crate) shut: BTreeSet<u16>,
    /// Super-frames handed to the device.
    pub(crate) super_frames: u64,
    /// Frames that came out with anything left to do.
    pub(crate) unfinished: u64,
}

impl Seen {
    fn stops(&self, from: SocketAddr) -> bool {
        self.blocked.contains(&from.ip())
            || self.shut.contains(&from.port())
            || self.only_from.is_some_and(|only| only != from.port())
    }
}

/// A machine and what was seen of it.
pub(crate) struct Watched<M> {
    inner: M,
    seen: Arc<Mutex<Seen>>,
}

impl<M> Watched<M> {
    pub(crate) fn new(inner: M, seen: &Arc<Mutex<Seen>>) -> Watched<M> {
        Watched {
            inner,
            seen: Arc::clone(seen),
        }
    }
}

/// What a kernel would say of a long packet: that it is to be cut. The simulator carries no such words.
fn offload(frame: &[u8]) -> Offload {
    let tcp = frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&6);
    if !tcp || frame.len() <= 9_014 {
        return Offload::default();
    }
    Offload {
        flags: 1,
        segmentation: 1,
        header_len: 54,
        segment_size: 1_448,
        checksum_start: 34,
        checksum_offset: 16,
    }
}

impl<M: Machine> Machine for Watched<M> {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        let before = cx.out.len();
        let from = match &input {
            Input::Datagram(rx) => Some((rx.path.remote, rx.payload.len())),
            _ => None,
        };
        if let Some((from, _)) = from
            && self.seen.lock().expect("nobody panicked").stops(from)
        {
            return;
        }
        match input {
            Input::Frame(rx) => {
                let offload = offload(rx.bytes);
                self.inner.handle(cx, Input::Frame(Frame { offload, ..rx }));
            }
            input => self.inner.handle(cx, input),
        }
        let mut seen = self.seen.lock().expect("nobody panicked");
        let mut answered = 0;
        for output in cx.out.iter().skip(before) {
            match output {
                Output::Datagram(how, bytes) => {
                    if seen.looks {
                        seen.clear += u64::from(bytes.windows(LABEL.len()).any(|part| part == LABEL));
                    }
                    *seen.ports.entry(how.path.local.port()).or_default() += 1;
                    if Some(how.path.remote) == from.map(|(from, _)| from) {
                        answered += bytes.len();
                    }
                    seen.answers += u64::from(seen.strangers.contains(&how.path.remote.ip()));
                    if let Some(sent) = &mut seen.sent {
                        sent.push((how.path.remote, bytes.to_vec()));
                    }
                }
                Output::Frame(_, offload, _) => {
                    seen.super_frames += u64::from(offload.segmentation != 0);
                    seen.unfinished += u64::from(offload.flags != 0);
                }
                _ => {}
            }
        }
        if let Some((from, len)) = from
            && seen.strangers.contains(&from.ip())
            && answered > len
        {
            seen.too_long.push((len, answered));
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.inner.deadline()
    }

    fn finished(&self) -> bool {
        self.inner.finished()
    }
}
