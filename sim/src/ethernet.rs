//! One Ethernet segment: devices joined by a hub or a learning switch.

use crate::event::Event;
use crate::host::Pending;
use crate::quality::{Pipe, Quality};
use crate::trace::{self, Fate, Kind};
use crate::world::{MachineId, Node, World};
use halloo_base::LinkId;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What joins the devices of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// Repeats every frame to every other device.
    Hub,
    /// Learns behind which port an address is, and repeats only what it cannot place (IEEE 802.1D).
    Switch,
}

/// An Ethernet segment of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentId(usize);

#[derive(Debug)]
pub(crate) struct Segment {
    joint: Joint,
    ports: Vec<Port>,
    learned: BTreeMap<[u8; 6], usize>,
}

#[derive(Debug)]
struct Port {
    machine: usize,
    link: LinkId,
    to_segment: Pipe,
    to_device: Pipe,
}

/// The address that a frame carries from the byte `at` on; `None` if the frame is too short.
fn address(frame: &[u8], at: usize) -> Option<[u8; 6]> {
    frame.get(at..at + 6)?.try_into().ok()
}

impl World {
    /// An Ethernet segment without devices.
    pub fn segment(&mut self, joint: Joint) -> SegmentId {
        self.segments.push(Segment {
            joint,
            ports: Vec::new(),
            learned: BTreeMap::new(),
        });
        SegmentId(self.segments.len() - 1)
    }

    /// Gives a machine a device on a segment. Both directions of its cable have this quality.
    pub fn device(&mut self, machine: impl Into<MachineId>, segment: SegmentId, quality: &Quality) -> LinkId {
        let machine = machine.into().0;
        let mut pipe = || Pipe::new(quality.clone(), self.rng.fork());
        let (to_segment, to_device) = (pipe(), pipe());
        let host = self.host_of_machine(machine);
        let link = LinkId(host.next_link);
        host.next_link += 1;
        self.segments[segment.0].ports.push(Port {
            machine,
            link,
            to_segment,
            to_device,
        });
        link
    }

    pub(crate) fn send_frame(&mut self, machine: usize, at: u64, link: LinkId, bytes: &[u8]) {
        let mine = |port: &Port| port.machine == machine && port.link == link;
        let found = self.segments.iter().enumerate().find_map(|(segment, state)| {
            let port = state.ports.iter().position(mine)?;
            Some((segment, port))
        });
        let node = self.machines[machine].host;
        let (segment, port) = found.unwrap_or_else(|| {
            let name = &self.nodes[node].name;
            panic!("the machine on {name} sends a frame on {link} and has no such device")
        });
        let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let record = self.trace.begin(trace::Packet {
            sent: Duration::from_nanos(at),
            ended: None,
            from: Node(node),
            to: None,
            source: nobody,
            destination: nobody,
            kind: Kind::Frame,
            len: bytes.len(),
            copy: false,
            altered: false,
            fate: Fate::InFlight,
            digest: trace::digest(bytes),
        });
        let passed = self.segments[segment].ports[port]
            .to_segment
            .pass(at, bytes.len());
        self.carry_frame(passed, record, bytes, |record, bytes| Event::FrameIn {
            segment,
            port,
            record,
            bytes,
        });
    }

    /// A frame reaches the joint and goes on to whom it concerns.
    pub(crate) fn frame_in(&mut self, segment: usize, port: usize, record: usize, bytes: &[u8]) {
        let state = &mut self.segments[segment];
        if let Some(source) = address(bytes, 6) {
            state.learned.insert(source, port);
        }
        let known = address(bytes, 0).and_then(|to| state.learned.get(&to).copied());
        let targets: Vec<usize> = match (state.joint, known) {
            (Joint::Switch, Some(known)) => vec![known],
            _ => (0..state.ports.len()).collect(),
        };
        let (first, mut record) = (record, Some(record));
        for target in targets.into_iter().filter(|&target| target != port) {
            let record = match record.take() {
                Some(unused) => unused,
                None => self.trace.copy(first),
            };
            let now = self.now;
            let passed = self.segments[segment].ports[target]
                .to_device
                .pass(now, bytes.len());
            self.carry_frame(passed, record, bytes, |record, bytes| Event::FrameOut {
                segment,
                port: target,
                record,
                bytes,
            });
        }
        if let Some(nobody) = record {
            self.trace.end(nobody, self.now, Fate::NoRoute, None);
        }
    }

    pub(crate) fn frame_out(&mut self, segment: usize, port: usize, record: usize, bytes: Vec<u8>) {
        let Port { machine, link, .. } = self.segments[segment].ports[port];
        let (now, node) = (self.now, Node(self.machines[machine].host));
        if !self.machines[machine].alive {
            return self.trace.end(record, now, Fate::Refused, Some(node));
        }
        let host = self.host_ref(node);
        let at = host.clock.stamp(now, host.options.stamps);
        self.trace.end(record, now, Fate::Delivered, Some(node));
        self.enqueue(machine, Pending::Frame { link, at, bytes });
    }

    fn carry_frame(
        &mut self,
        passed: Result<(crate::quality::Passage, Option<crate::quality::Passage>), Fate>,
        record: usize,
        bytes: &[u8],
        event: impl Fn(usize, Vec<u8>) -> Event,
    ) {
        let (first, second) = match passed {
            Ok(passages) => passages,
            Err(fate) => return self.trace.end(record, self.now, fate, None),
        };
        let copy = second.map(|second| (second, self.trace.copy(record)));
        for (passage, record) in [Some((first, record)), copy].into_iter().flatten() {
            let mut bytes = bytes.to_vec();
            if let Some((place, mask)) = passage.altered.filter(|_| !bytes.is_empty()) {
                let place = place % bytes.len() as u64;
                bytes[place as usize] ^= mask;
                self.trace.alter(record);
            }
            self.schedule(passage.at, event(record, bytes));
        }
    }
}
