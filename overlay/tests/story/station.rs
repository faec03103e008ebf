//! Who sits at an edge's device, and who sits in the net and means no good.

use crate::watched::LABEL;
use halloo_base::{Cx, Deadline, Input, LinkId, Machine, Mono, Path, Transmit};
use halloo_overlay::Mac;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// A machine's first device has this number.
pub(crate) const DEVICE: LinkId = LinkId(2);

/// What is to be sent when; a story may add to it.
pub(crate) type Plan<T> = Arc<Mutex<BTreeMap<(Mono, u64), T>>>;

/// Sends frames at their times, and keeps what it hears.
pub(crate) struct Station {
    pub(crate) plan: Plan<Vec<u8>>,
    pub(crate) heard: Vec<(Mono, Vec<u8>)>,
}

fn due<T>(plan: &Plan<T>, now: Mono) -> Option<T> {
    let mut plan = plan.lock().expect("nobody panicked");
    let first = *plan.first_key_value()?.0;
    if first.0 > now {
        return None;
    }
    plan.remove(&first)
}

fn next<T>(plan: &Plan<T>) -> Option<Deadline> {
    let plan = plan.lock().expect("nobody panicked");
    let ((at, _), _) = plan.first_key_value()?;
    Some(Deadline::new(*at, "plan"))
}

impl Machine for Station {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if let Input::Frame(rx) = input {
            self.heard.push((cx.env.now, rx.bytes.to_vec()));
        }
        while let Some(frame) = due(&self.plan, cx.env.now) {
            cx.out.frame(DEVICE, &frame);
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        next(&self.plan)
    }
}

/// Sends datagrams at their times, and counts what comes back.
pub(crate) struct Stranger {
    pub(crate) plan: Plan<(SocketAddr, Vec<u8>)>,
    pub(crate) heard: Vec<Vec<u8>>,
}

impl Machine for Stranger {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if let Input::Datagram(rx) = input {
            self.heard.push(rx.payload.to_vec());
        }
        while let Some((remote, bytes)) = due(&self.plan, cx.env.now) {
            let path = Path {
                link: LinkId::default(),
                local: "0.0.0.0:7654".parse().expect("an address"),
                remote,
            };
            cx.out.datagram(Transmit::to(path), &bytes);
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        next(&self.plan)
    }
}

pub(crate) fn mac(number: usize) -> Mac {
    let [high, low] = (number as u16 + 1).to_be_bytes();
    Mac([2, 0, 0, 0, high, low])
}

/// A frame from a station to an address: label, what it is, and as long as wanted.
pub(crate) fn frame(from: usize, to: Mac, words: &str, len: usize) -> Vec<u8> {
    let mut frame = [
        &to.0[..],
        &mac(from).0,
        &[0x88, 0xb5],
        LABEL,
        b"|",
        words.as_bytes(),
        b"|",
    ]
    .concat();
    frame.resize(frame.len().max(len).max(60), 0);
    frame
}

/// The same as a datagram of UDP over IPv4 that leaves a port.
pub(crate) fn datagram(from: usize, to: Mac, port: u16, words: &str, len: usize) -> Vec<u8> {
    let mut frame = [
        &to.0[..],
        &mac(from).0,
        &[8, 0, 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 17, 0, 0],
    ]
    .concat();
    frame.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 9, 0, 0, 0, 0]);
    frame.extend([LABEL, b"|", words.as_bytes(), b"|"].concat());
    frame.resize(frame.len().max(len).max(60), 0);
    frame
}

/// A frame's words, if it is one of those above.
pub(crate) fn words(frame: &[u8]) -> Option<&str> {
    let at = if frame.get(12..14)? == [8, 0] { 42 } else { 14 };
    let rest = frame.get(at..)?.strip_prefix(LABEL)?.strip_prefix(b"|")?;
    let end = rest.iter().position(|&octet| octet == b'|')?;
    std::str::from_utf8(&rest[..end]).ok()
}

/// A super-frame of TCP over IPv4 as a kernel hands it to a device that cuts.
pub(crate) fn super_frame(from: usize, to: Mac, payload: usize) -> Vec<u8> {
    let len = 40 + payload;
    let mut frame = [&to.0[..], &mac(from).0, &[8, 0, 0x45, 0]].concat();
    frame.extend((len as u16).to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, 6, 0, 0]);
    frame.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend([
        0x10, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0, 0, 0, 0, 0,
    ]);
    frame.extend((0..payload).map(|at| (at / 7) as u8));
    frame
}
