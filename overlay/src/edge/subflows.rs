//! Further ports that frames leave by. A cloud, a switch that spreads load and a card with several queues each see one pair of
//! UDP ports as one flow, and hold it below what they carry in all.
//!
//! A subflow is one of our further ports with the address at which a peer is reached directly. It carries once a long ping by
//! it was answered, and what it cannot carry goes by the main port.

use super::leg::{Alone, Leg, Ping};
use super::own::{Own, earlier};
use super::path::Via;
use super::remote::Remote;
use super::{Edge, EdgeEvent, Who};
use crate::frame::flow_hash;
use crate::way::{PONG_LEN, Way, say};
use crate::wire::{Content, Control, Controls, DataHeader, Message, feature};
use halloo_base::{Cx, Datagram, Endpoint, LinkId, Mono, Path, SocketId, SocketInput, Unreachable};
use std::net::SocketAddr;
use std::time::Duration;

/// Flows to one peer at most, the main port's among them.
pub(super) const MOST_FLOWS: usize = 8;
/// Who was sent less than would need them for so long needs them no more.
const IDLE: Duration = Duration::from_secs(30);
/// Over which it is counted how much that is.
const SPAN: Duration = Duration::from_secs(1);
/// While frames go by a subflow, it is asked this often whether it carries them.
const EVERY: Duration = Duration::from_millis(250);
/// So many questions in a row without an answer, and it does not, ...
const TIMES: u8 = 4;
/// ... and is asked again after this.
const AGAIN: Duration = Duration::from_secs(5);
/// The first path of answers.
const ANSWERS: usize = DataHeader::SUBFLOW_ANSWERS as usize;

/// Our further ports.
#[derive(Debug, Default)]
pub(super) struct Ports {
    pub(super) open: Vec<Option<u16>>,
    /// Those of which it is not known yet whether they are open.
    awaited: usize,
    /// It was told that some are not.
    told: bool,
    /// What came there and is no answer.
    pub(super) strays: u64,
}

/// One further port to a peer.
#[derive(Debug)]
struct Subflow {
    place: u8,
    path: Path,
    /// The longest packet that is known to pass; 0 while none is.
    carries: u16,
    /// The last question: its number, of which the lower half is the length of its packet, and when it was asked if it has no
    /// answer yet.
    number: u32,
    asked: Option<Mono>,
    tries: u8,
    /// No question before.
    next: Mono,
    /// Frames have gone by it since the last question.
    used: bool,
}

/// All of them to one peer.
#[derive(Debug)]
pub(super) struct Subflows {
    all: Vec<Subflow>,
    /// Where they lead.
    remote: Option<SocketAddr>,
    /// Those that carry: a bit for each.
    good: u8,
    /// Until when they are needed.
    needed: Option<Mono>,
    /// What had been sent when the second began that is counted, and until now.
    begun: (Mono, u64),
    sent: u64,
    due: Option<Mono>,
}

impl Ports {
    /// Which of ours this is.
    pub(super) fn place(&self, port: u16) -> Option<usize> {
        self.open.iter().position(|open| *open == Some(port))
    }

    fn ask(&mut self, cx: &mut Cx<'_>, bind: SocketAddr, count: usize) {
        self.open = vec![None; count];
        self.awaited = count;
        for place in 0..count {
            let endpoint = Endpoint {
                local: SocketAddr::new(bind.ip(), 0),
                link: LinkId::default(),
            };
            cx.out.open(SocketId(place as u64), endpoint);
        }
    }
}

impl Subflow {
    fn new(place: u8, path: Path, now: Mono) -> Subflow {
        Subflow {
            place,
            path,
            carries: 0,
            number: 0,
            asked: None,
            tries: 0,
            next: now,
            used: false,
        }
    }

    /// The question that is due, if one is, about packets of this length.
    fn poll(&mut self, now: Mono, mtu: u16, patience: Duration) -> Option<Ping> {
        match self.asked {
            Some(at) if now < at + patience => return None,
            Some(_) if self.tries >= TIMES => {
                self.fail(now);
                return None;
            }
            Some(_) => {}
            None if now < self.next || self.carries >= mtu && !self.used => return None,
            None => {}
        }
        self.asked = Some(now);
        self.tries += 1;
        self.used = false;
        self.number = (self.number >> 16).wrapping_add(1) << 16 | u32::from(mtu);
        Some(Ping {
            number: self.number,
            packet: Some(mtu),
            alone: Alone(true),
        })
    }

    fn answered(&mut self, number: u32, now: Mono) {
        let (series, size) = (number >> 16, number as u16);
        let age = (self.number >> 16).wrapping_sub(series);
        // Late answers to what was asked before the last one count too, if they are about the same.
        if let Some(at) = self
            .asked
            .take_if(|_| age < self.tries.into() && size == self.number as u16)
        {
            self.carries = size;
            self.tries = 0;
            self.next = now.max(at + EVERY);
        }
    }

    fn fail(&mut self, now: Mono) {
        self.carries = 0;
        self.asked = None;
        self.tries = 0;
        self.next = now + AGAIN;
    }

    fn deadline(&self, mtu: u16, patience: Duration) -> Option<Mono> {
        match self.asked {
            Some(at) => Some(at + patience),
            None if self.carries >= mtu && !self.used => None,
            None => Some(self.next),
        }
    }

    fn path_number(&self) -> u8 {
        DataHeader::SUBFLOWS + self.place
    }
}

impl Subflows {
    pub(super) fn new(now: Mono) -> Subflows {
        Subflows {
            all: vec![],
            remote: None,
            good: 0,
            needed: None,
            begun: (now, 0),
            sent: 0,
            due: None,
        }
    }

    /// By which of them a frame goes: 0 is the main port.
    pub(super) fn choose(&self, frame: &[u8]) -> usize {
        if self.good == 0 {
            return 0;
        }
        let flows = self.all.len() as u64 + 1;
        let flow = ((u64::from(flow_hash(frame)) * flows) >> 32) as usize;
        let is_good = flow > 0 && self.good >> (flow - 1) & 1 != 0;
        if is_good { flow } else { 0 }
    }

    /// How a datagram of a flow leaves, by path and number, if it does not go by the main port.
    pub(super) fn way(&self, flow: usize, main: &Leg) -> Option<(Way, u8)> {
        let subflow = self.all.get(flow.checked_sub(1)?)?;
        let same = self.remote == Some(main.way.path.remote) && main.way.via == Via::Direct;
        let good = same && self.good >> (flow - 1) & 1 != 0;
        good.then(|| (Way::direct(subflow.path), subflow.path_number()))
    }

    /// A datagram of this flow went out.
    pub(super) fn used(&mut self, flow: usize) {
        let subflow = flow.checked_sub(1).and_then(|at| self.all.get_mut(at));
        if let Some(subflow) = subflow.filter(|subflow| !subflow.used) {
            subflow.used = true;
            if subflow.asked.is_none() {
                self.due = earlier(self.due, Some(subflow.next));
            }
        }
    }

    /// So many octets were sent to the peer until now. More than `threshold` in a second, and it needs subflows. Returns when
    /// to look at them.
    pub(super) fn count(&mut self, sent: u64, threshold: u64, now: Mono) -> Option<Mono> {
        if now.since(self.begun.0) >= SPAN {
            self.begun = (now, self.sent);
        }
        self.sent = sent;
        if sent - self.begun.1 > threshold && self.needed.replace(now + IDLE).is_none() {
            self.due = Some(now);
        }
        self.due
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.due
    }

    /// There is none any more, nor a session for them.
    pub(super) fn clear(&mut self) {
        self.all.clear();
        (self.remote, self.good, self.due) = (None, 0, None);
    }

    pub(super) fn carrying(&self) -> u8 {
        self.good.count_ones() as u8
    }

    /// Looks which of them carry packets of this length, and when the next question is due.
    fn look(&mut self, mtu: u16, patience: Duration) {
        self.good = 0;
        self.due = self.needed;
        for (at, subflow) in self.all.iter().enumerate() {
            self.good |= u8::from(subflow.carries >= mtu) << at;
            self.due = earlier(self.due, subflow.deadline(mtu, patience));
        }
    }

    /// One of them carries nothing more. Returns whether it did until now.
    fn fail(&mut self, place: usize, now: Mono) -> bool {
        let Some(at) = self
            .all
            .iter()
            .position(|known| usize::from(known.place) == place)
        else {
            return false;
        };
        self.all[at].fail(now);
        let was = self.good;
        self.good &= !(1 << at);
        self.good != was
    }

    fn at(&mut self, place: usize) -> Option<&mut Subflow> {
        self.all
            .iter_mut()
            .find(|subflow| usize::from(subflow.place) == place)
    }
}

impl Remote {
    /// The way that subflows go beside, if the peer takes them.
    fn subflow_leg(&self) -> Option<usize> {
        let agreed = self.peer.agreed()?;
        let at = self.best?;
        let takes = agreed.features & feature::SUBFLOWS != 0 && self.direct_way().is_some();
        takes.then_some(at)
    }

    /// Does what is due about subflows. Returns whether further ports are needed.
    fn follow_subflows(&mut self, own: &Own, cx: &mut Cx<'_>, ports: &Ports) -> bool {
        let now = cx.env.now;
        if self.subflows.needed.is_some_and(|until| now >= until) {
            self.subflows.needed = None;
        }
        let main = self.subflow_leg().filter(|_| self.subflows.needed.is_some());
        let Some(main) = main else {
            self.subflows.clear();
            self.subflows.due = self.subflows.needed;
            return false;
        };
        let leg = &self.legs[main];
        let (path, mtu, patience) = (leg.way.path, leg.mtu(), leg.state.patience());
        if self.subflows.remote != Some(path.remote) {
            self.subflows.clear();
            self.subflows.remote = Some(path.remote);
        }
        if self.subflows.all.is_empty() {
            if leg.decided_mtu().is_none() {
                self.subflows.due = self.subflows.needed;
                return false;
            }
            let open = ports.open.iter().enumerate().filter(|_| ports.awaited == 0);
            let subflow = |(place, port): (usize, &Option<u16>)| {
                let mut path = path;
                path.local.set_port((*port)?);
                Some(Subflow::new(place as u8, path, now))
            };
            self.subflows.all.extend(open.filter_map(subflow));
        }
        for at in 0..self.subflows.all.len() {
            let subflow = &mut self.subflows.all[at];
            let Some(ping) = subflow.poll(now, mtu, patience) else {
                continue;
            };
            let (way, number) = (Way::direct(subflow.path), subflow.path_number());
            if subflow.tries > 1 {
                // It may be more than this one that leads there no more.
                self.legs[main].state.doubt(now);
            }
            self.send_ping(own, cx, (number, way), ping);
        }
        self.subflows.look(mtu, patience);
        ports.open.is_empty()
    }

    /// A ping by a subflow was answered.
    fn subflow_answered(&mut self, place: usize, number: u32, now: Mono) {
        let main = self.subflow_leg().map(|main| &self.legs[main]);
        let Some((mtu, patience)) = main.map(|leg| (leg.mtu(), leg.state.patience())) else {
            return;
        };
        if let Some(subflow) = self.subflows.at(place) {
            subflow.answered(number, now);
            self.subflows.look(mtu, patience);
        }
    }
}

impl Edge {
    /// Counts what was sent to a peer, and sees to it that there are further ports where it was much.
    pub(super) fn count_sent(&mut self, owner: u32, now: Mono) {
        if self.options.flows <= 1 {
            return;
        }
        let threshold = self.options.flow_threshold;
        let Some(Some(remote)) = self.remotes.get_mut(owner as usize) else {
            return;
        };
        let due = remote.subflows.count(remote.sent.1, threshold, now);
        self.next = earlier(self.next, due);
    }

    /// Does what is due about further ports.
    pub(super) fn follow_subflows(&mut self, cx: &mut Cx<'_>) {
        let mut needed = false;
        for remote in self.remotes.iter_mut().flatten() {
            if remote.subflows.needed.is_none() && remote.subflows.all.is_empty() {
                continue;
            }
            // What waits goes before anything of its flow can go another way.
            self.carrier.send_all_waiting(&self.own, cx, remote);
            needed |= remote.follow_subflows(&self.own, cx, &self.ports);
        }
        if needed {
            let count = usize::from(self.options.flows).clamp(2, MOST_FLOWS) - 1;
            self.ports.ask(cx, self.options.bind, count);
        }
    }

    /// What became of a port.
    pub(super) fn port(&mut self, id: SocketId, outcome: SocketInput, now: Mono) {
        let Some(place) = self.ports.open.get_mut(id.0 as usize) else {
            return;
        };
        self.ports.awaited = self.ports.awaited.saturating_sub(1);
        match outcome {
            SocketInput::Opened(local) => *place = Some(local.port()),
            SocketInput::Refused(why) if !self.ports.told => {
                self.ports.told = true;
                self.own.tell(EdgeEvent::PortsRefused(why));
            }
            _ => {}
        }
        if self.ports.awaited == 0 {
            for remote in self.remotes.iter_mut().flatten() {
                remote.subflows.due = remote.subflows.needed.map(|_| now);
            }
            self.soon(now);
        }
    }

    /// A further port cannot send to a peer, or nobody takes it there: nothing more goes by it. Returns whether it was one of
    /// ours.
    pub(super) fn port_unreachable(&mut self, cx: &mut Cx<'_>, report: &Unreachable) -> bool {
        let now = cx.env.now;
        let Some(place) = self.ports.place(report.path.local.port()) else {
            return false;
        };
        for remote in self.remotes.iter_mut().flatten() {
            if remote.subflows.remote == Some(report.path.remote) && remote.subflows.fail(place, now) {
                // What waits for it goes by the main port, before anything else of its flow does.
                self.carrier.send_all_waiting(&self.own, cx, remote);
            }
        }
        self.soon(now);
        true
    }

    /// Takes what came to one of our further ports: answers to what was asked by it.
    pub(super) fn further(&mut self, cx: &mut Cx<'_>, place: usize, rx: &Datagram<'_>) {
        let way = Way::direct(self.path_to(rx.path.remote));
        match Message::parse(rx.payload) {
            Ok(Message::Data(header))
                if usize::from(header.path) == ANSWERS + place && self.has_subflows(&header) =>
            {
                self.data(cx, way, &header, rx.payload);
            }
            _ => self.ports.strays += 1,
        }
    }

    /// Whether something may come to our main port from a further one of a peer.
    pub(super) fn takes_subflow(&self, way: Way, header: &DataHeader) -> bool {
        way.via == Via::Direct && header.path < DataHeader::SUBFLOW_ANSWERS && self.has_subflows(header)
    }

    /// Whether it is of a session with a peer, and both ends have said that they know subflows.
    fn has_subflows(&self, header: &DataHeader) -> bool {
        let Some(Who::Peer(owner)) = self.own.numbers.owner(header.receiver).map(Who::of) else {
            return false;
        };
        let remote = self.remotes.get(owner as usize).and_then(Option::as_ref);
        let agreed = remote.and_then(|remote| remote.peer.agreed());
        self.options.flows > 1 && agreed.is_some_and(|agreed| agreed.features & feature::SUBFLOWS != 0)
    }

    /// Takes what a peer says beside frames by a subflow of his, or about one of ours.
    pub(super) fn subflow_says(
        &mut self,
        cx: &mut Cx<'_>,
        owner: u32,
        (path, way): (u8, Way),
        content: &[u8],
        size: usize,
    ) {
        let Some(Some(remote)) = self.remotes.get_mut(owner as usize) else {
            return;
        };
        let now = cx.env.now;
        let answers = path.checked_sub(DataHeader::SUBFLOW_ANSWERS);
        let mut room = size;
        let tlvs = content.strip_prefix(&[Content::Control as u8]).unwrap_or(&[]);
        for control in Controls::new(tlvs) {
            match (control, answers) {
                (Ok(Control::Ping { number, time, .. }), None) if room >= PONG_LEN => {
                    room = 0;
                    let pong = Control::Pong {
                        number,
                        time,
                        size: u16::try_from(size).unwrap_or(u16::MAX),
                        seen: way.path.remote,
                        waited: 0,
                    };
                    let path = path + (DataHeader::SUBFLOW_ANSWERS - DataHeader::SUBFLOWS);
                    say(
                        (now, &self.own.local),
                        &mut remote.peer,
                        (path, &way),
                        cx.out,
                        &[pong],
                    );
                }
                (Ok(Control::Pong { number, .. }), Some(place)) => {
                    // What waits goes before anything of its flow can go another way.
                    self.carrier.send_all_waiting(&self.own, cx, remote);
                    remote.subflow_answered(place.into(), number, now);
                }
                _ => self.counts.bad_control += 1,
            }
        }
        self.soon(now);
    }
}

#[cfg(test)]
mod tests;
