//! Asks a host by padded probes how long a packet its path carries.

use super::{PathMtu, PathMtuOptions, PathMtuState};
use crate::datagram::is_same_path;
use halloo_base::{
    Arrivals, Cx, Datagram, Deadline, Input, Machine, Mono, Nanos, Path, ProbeId, Prober, Stamp, StampSource,
    Transmit, TxTag, Unreachable, UnreachableError,
};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// How a path is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathMtuSessionOptions {
    /// Whom to ask, and from where. The socket that it leaves by sets DF and heeds no MTU that the kernel believes in.
    pub path: Path,
    /// The search. Its `least` has to be a size that the prober can make.
    pub search: PathMtuOptions,
    /// Bytes of the headers before a probe's payload: 28 for UDP over IPv4, 48 over IPv6.
    pub overhead: u16,
    /// TOS or traffic class octet of the probes.
    pub tos: Option<u8>,
    /// When to end at the latest, counted from the first input.
    pub deadline: Option<Duration>,
}

/// Makes a prober of probes with so many payload bytes. All of a session's probers share its token.
pub type MakeProber = Box<dyn FnMut(usize) -> Box<dyn Prober> + Send>;

/// One probe and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MtuProbe {
    /// Its number: 0, 1, 2, ...
    pub seq: ProbeId,
    /// Bytes of the IP packet.
    pub size: u16,
    /// What became of it.
    pub outcome: SizeOutcome,
}

/// What became of a probe of some size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeOutcome {
    /// It was answered, after so long.
    Answered(Nanos),
    /// No answer came in time.
    Lost,
    /// Somebody says that it was too big, and perhaps which MTU would not be.
    TooBig {
        /// Who says so.
        reporter: IpAddr,
        /// What would fit, by that account.
        mtu: Option<u32>,
    },
    /// This host's own link does not carry it. It never left.
    Unsendable,
}

/// What the search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MtuReport {
    /// The longest IP packet that was answered, in bytes; `None` where nothing was.
    pub mtu: Option<u16>,
    /// How far the search came.
    pub state: PathMtuState,
    /// Whether longer ones were not asked for, because this host's own link or the options end there.
    pub is_most: bool,
    /// The longest that the responder says has arrived, where it tells. Where that is more than was answered, the way back
    /// carries less than the way there.
    pub arrived: Option<u16>,
    /// Probes that left.
    pub sent: u32,
    /// Probes that were answered.
    pub answered: u32,
    /// ICMP messages that said that a probe was too big.
    pub too_big: u32,
    /// What the last of them said would fit.
    pub told: Option<u32>,
    /// Why nothing gets there, where the network or this host said so.
    pub error: Option<UnreachableError>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Where a session reports to: each probe, and the whole as the last.
pub trait MtuSink: Send {
    /// All is known about a probe.
    fn probe(&mut self, probe: &MtuProbe);
    /// The end.
    fn end(&mut self, report: &MtuReport);
}

/// Probes that are remembered, so that late answers count.
const REMEMBERED: usize = 64;
/// How often the responder is asked at the end for what has arrived.
const WITNESSES: u32 = 3;

/// A session that finds a path's MTU, and ends.
pub struct PathMtuSession {
    options: PathMtuSessionOptions,
    make: MakeProber,
    probers: Vec<(usize, Box<dyn Prober>)>,
    sink: Box<dyn MtuSink>,
    search: PathMtu,
    sent: VecDeque<Sent>,
    next: u64,
    /// What is under way, and is neither answered nor lost.
    waiting: Option<ProbeId>,
    /// Probes that only ask what has arrived, and when the one that is under way is lost.
    witnesses: u32,
    witness_until: Option<Mono>,
    started: Option<Mono>,
    ended: bool,
    report: MtuReport,
    slowest: Duration,
}

struct Sent {
    id: ProbeId,
    size: u16,
    at: Stamp,
    departed: Option<Stamp>,
    is_answered: bool,
}

impl PathMtuSession {
    /// A session that begins with its first input.
    pub fn new(options: PathMtuSessionOptions, make: MakeProber, sink: Box<dyn MtuSink>) -> PathMtuSession {
        let search = PathMtu::new(PathMtuOptions {
            raise_after: None,
            ..options.search
        });
        PathMtuSession {
            report: MtuReport {
                mtu: None,
                state: search.state(),
                is_most: false,
                arrived: None,
                sent: 0,
                answered: 0,
                too_big: 0,
                told: None,
                error: None,
                elapsed: Duration::ZERO,
            },
            options,
            make,
            probers: vec![],
            sink,
            search,
            sent: VecDeque::with_capacity(REMEMBERED),
            next: 0,
            waiting: None,
            witnesses: 0,
            witness_until: None,
            started: None,
            ended: false,
            slowest: Duration::ZERO,
        }
    }

    /// Asks until there is nothing to ask for now.
    fn ask(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now();
        if self.search.deadline().is_some_and(|at| at <= now) {
            self.give_up();
        }
        if let Some(size) = self.search.probe(now) {
            self.witnesses = 0;
            self.witness_until = None;
            if let Some(id) = self.send(cx, size) {
                self.waiting = Some(id);
            } else {
                // A size that the protocol has no probe of is one that is not known to fit.
                self.search.unsendable(size);
            }
        } else if self.search.is_decided() {
            self.ask_what_arrived(cx);
        }
    }

    /// The responder tells with each answer what has arrived before: so the last word is an answer.
    fn ask_what_arrived(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now();
        let last = self.sent.back().is_none_or(|sent| sent.is_answered);
        let is_over = last || self.report.arrived.is_none() || self.witnesses >= WITNESSES;
        match (self.witness_until, self.search.mtu()) {
            (Some(until), _) if until > now && !last => {}
            (_, Some(size)) if !is_over => {
                self.witnesses += 1;
                self.witness_until = Some(now + (self.slowest * 3).max(self.options.search.lost_after_least));
                self.send(cx, size);
            }
            _ => self.end(now),
        }
    }

    fn send(&mut self, cx: &mut Cx<'_>, size: u16) -> Option<ProbeId> {
        let len = usize::from(size.checked_sub(self.options.overhead)?);
        let id = ProbeId(self.next);
        let place = self.prober(len);
        let room = cx.out.reserve(len, &[]);
        let made = self.probers.get_mut(place)?.1.request(&mut cx.env, id, room)?;
        let at = cx.env.clock.stamp();
        cx.out.commit(
            Transmit {
                tos: self.options.tos,
                tag: Some(TxTag(id.0)),
                ..Transmit::to(self.options.path)
            },
            made,
        );
        self.next += 1;
        self.report.sent += 1;
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent {
            id,
            size,
            at,
            departed: None,
            is_answered: false,
        });
        Some(id)
    }

    /// The place of the prober of this length; it is made where there is none yet.
    fn prober(&mut self, len: usize) -> usize {
        let known = self.probers.iter().position(|(known, _)| *known == len);
        known.unwrap_or_else(|| {
            if self.probers.len() == REMEMBERED {
                self.probers.remove(0);
            }
            self.probers.push((len, (self.make)(len)));
            self.probers.len() - 1
        })
    }

    /// What was under way is lost.
    fn give_up(&mut self) {
        if let Some(id) = self.waiting.take() {
            self.tell(id, SizeOutcome::Lost);
        }
    }

    fn tell(&mut self, id: ProbeId, outcome: SizeOutcome) {
        if let Some(sent) = self.find(id) {
            let probe = MtuProbe {
                seq: id,
                size: sent.size,
                outcome,
            };
            self.sink.probe(&probe);
        }
        self.waiting = self.waiting.filter(|&waiting| waiting != id);
    }

    fn find(&mut self, id: ProbeId) -> Option<&mut Sent> {
        self.sent.iter_mut().find(|sent| sent.id == id)
    }

    fn hear(&mut self, rx: &Datagram<'_>, handled: Stamp) -> Option<()> {
        if !is_same_path(&self.options.path, &rx.path) {
            return None;
        }
        let newest = ProbeId(self.next.checked_sub(1)?);
        let overhead = self.options.overhead;
        let (len, prober) = self
            .probers
            .iter_mut()
            .find(|(len, _)| *len == rx.payload.len())?;
        let (len, heard) = (*len, prober.recognise(rx).ok()?);
        let id = heard.resolve(newest)?;
        let sent = self.find(id)?;
        if usize::from(sent.size) != len + usize::from(overhead) || sent.is_answered {
            return None;
        }
        sent.is_answered = true;
        let size = sent.size;
        let by_kernel = sent.departed.filter(|_| rx.at.source != StampSource::User);
        let took = match by_kernel {
            Some(left) => rx.at.mono - left.mono,
            None => handled.mono - sent.at.mono,
        };
        let span = Duration::from_nanos(u64::try_from(took.0).unwrap_or(0));
        self.slowest = self.slowest.max(span);
        self.report.answered += 1;
        self.search.answered(size, span);
        if let Some(arrivals) = heard.reflection.and_then(|told| told.arrivals) {
            self.count_arrivals(id, size, &arrivals);
        }
        self.tell(id, SizeOutcome::Answered(took));
        Some(())
    }

    fn count_arrivals(&mut self, id: ProbeId, size: u16, told: &Arrivals) {
        let has_arrived = |sent: &&Sent| {
            let back =
                id.0.checked_sub(sent.id.0)
                    .filter(|&back| back < u64::from(told.window_len.min(64)));
            back.is_some_and(|back| told.window >> back & 1 == 1)
        };
        let longest = self.sent.iter().filter(has_arrived).map(|sent| sent.size).max();
        self.report.arrived = self.report.arrived.max(longest).max(Some(size));
    }

    fn refused(&mut self, cx: &mut Cx<'_>, report: &Unreachable, quoted: &[u8]) {
        // EMSGSIZE.
        const TOO_BIG: UnreachableError = UnreachableError(90);
        // EAGAIN, ENOBUFS: there was no room for it in this host.
        const NO_ROOM: [UnreachableError; 2] = [UnreachableError(11), UnreachableError(105)];
        let id = report
            .tag
            .map(|tag| ProbeId(tag.0))
            .or_else(|| self.quoted(quoted));
        let size = id.and_then(|id| self.find(id)).map(|sent| sent.size);
        match (id, size, report.reporter) {
            (Some(id), Some(size), None) if report.error == TOO_BIG => {
                self.report.sent = self.report.sent.saturating_sub(1);
                self.tell(id, SizeOutcome::Unsendable);
                self.sent.retain(|sent| sent.id != id);
                self.search.unsendable(size);
            }
            (Some(id), Some(size), Some(reporter)) if report.error == TOO_BIG => {
                self.report.too_big += 1;
                self.report.told = report.mtu.or(self.report.told);
                if self.waiting == Some(id) {
                    let mtu = report.mtu;
                    self.tell(id, SizeOutcome::TooBig { reporter, mtu });
                    self.search.too_big(size, mtu);
                }
            }
            // It is lost, and asked for again when its time is over; at once there would be no room either.
            (_, _, None) if NO_ROOM.contains(&report.error) => {
                self.report.sent = self.report.sent.saturating_sub(u32::from(size.is_some()));
            }
            // Where nothing answers and somebody says why, there is nothing to search.
            (Some(_), _, _) if report.error != TOO_BIG && self.report.answered == 0 => {
                self.report.error = Some(report.error);
                self.end(cx.now());
            }
            _ => {}
        }
    }

    fn quoted(&self, quoted: &[u8]) -> Option<ProbeId> {
        let newest = ProbeId(self.next.checked_sub(1)?);
        let known = self.probers.iter().find_map(|(_, prober)| prober.quoted(quoted));
        known?.resolve(newest)
    }

    fn end(&mut self, now: Mono) {
        self.give_up();
        self.report.mtu = self.search.mtu();
        self.report.state = self.search.state();
        self.report.is_most = self.search.mtu() == Some(self.search.options.most);
        self.report.elapsed = self.started.map_or(Duration::ZERO, |started| now.since(started));
        self.ended = true;
        self.sink.end(&self.report);
    }

    fn ends_at(&self) -> Option<Mono> {
        Some(self.started? + self.options.deadline?)
    }
}

impl Machine for PathMtuSession {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if self.ended {
            return;
        }
        let now = cx.now();
        self.started.get_or_insert(now);
        match input {
            Input::Datagram(rx) => {
                let handled = cx.env.clock.stamp();
                // What is no answer of ours is no news.
                let _ = self.hear(&rx, handled);
            }
            Input::Departed(tag, at) => {
                if let Some(sent) = self.find(ProbeId(tag.0)) {
                    sent.departed = Some(at);
                }
            }
            // What was refused while it was sent is followed by the next at the wake.
            Input::Unreachable(report, quoted) => return self.refused(cx, &report, quoted),
            Input::Stop | Input::Drain => return self.end(now),
            _ => {}
        }
        if self.ends_at().is_some_and(|at| at <= now) {
            return self.end(now);
        }
        self.ask(cx);
    }

    fn deadline(&self) -> Option<Deadline> {
        if self.ended {
            return None;
        }
        let at = |at: Option<Mono>, why| at.map(|at| Deadline::new(at, why));
        if self.started.is_none() {
            return at(Some(Mono(0)), "start");
        }
        let next = match (self.search.is_decided(), self.witness_until) {
            (true, None) => Some(Mono(0)),
            (true, until) => until,
            (false, _) => self.search.deadline(),
        };
        Deadline::earlier(at(next, "probe"), at(self.ends_at(), "end"))
    }

    fn finished(&self) -> bool {
        self.ended
    }
}
