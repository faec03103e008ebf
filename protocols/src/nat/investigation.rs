//! The machine that finds out.

use super::findings::{Findings, Stage};
use super::query::{Fate, How, Query};
use super::search::{SIDE_BY_SIDE, Search};
use super::task::{Errand, Purpose, Task};
use crate::echo::asker::{Ask, Asker, AskerOptions, REQUEST, Source};
use crate::stun::wire::Change;
use halloo_base::{Cx, Datagram, Deadline, Input, LinkId, Machine, Mono, Path, Transmit, canonical};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Rounds that narrow a lifetime down.
const ROUNDS: usize = 2;
/// Mappings on which it is tried whether what comes in keeps them alive.
const REFRESHES: usize = 6;
/// Where each errand has its socket: the first ones by number, and then those of the silences.
const MAPPING: usize = 0;
const SAME: usize = 1;
const OTHER_PORT: usize = 2;
const OTHER_ADDRESS: usize = 3;
pub(super) const CHANGE_PORT: usize = 4;
const CHANGE_ADDRESS: usize = 5;
const HAIRPIN: [usize; 2] = [6, 7];
const SILENCES: usize = 8;
/// How many sockets an investigation takes. A mapping that was used once is no fresh one, so each trial has its own.
pub const SOCKETS: usize = SILENCES + SIDE_BY_SIDE as usize * (1 + ROUNDS) + REFRESHES;

/// Between the first questions of two errands that begin together.
const APART: Duration = Duration::from_millis(10);
/// Datagrams of a trial: more than one, because networks lose some.
const COPIES: u16 = 3;
/// The same for a filter, which is tried once.
const FILTER_COPIES: u16 = 8;
const COPIES_APART: Duration = Duration::from_millis(100);
/// How often and how far apart two sockets here send to each other's outside.
const HAIRPIN_ROUNDS: u32 = 5;
const HAIRPIN_APART: Duration = Duration::from_millis(200);

/// What is told whenever something was found.
pub type Tell = Box<dyn FnMut(&Findings) + Send>;

/// How it is found out.
#[derive(Clone, Debug)]
pub struct InvestigationOptions {
    /// The echo hosts to ask, of one address family; the first of them for datagrams later too.
    pub hosts: Vec<SocketAddr>,
    /// The port at which their STUN servers are asked, beside that of the echo.
    pub stun_port: u16,
    /// The link of the sockets; 0 where routing chooses.
    pub link: LinkId,
    /// Our sockets as they are bound, [`SOCKETS`] of them with a port each. With fewer less is found.
    pub locals: Vec<SocketAddr>,
    /// The longest silence that is tried; at most the 15 minutes that echo hosts wait.
    pub longest: Duration,
    /// A number drawn at random, from which those of all questions follow.
    pub token: u64,
    /// How long an answer is waited for until it is asked for again.
    pub patience: Duration,
    /// How often is asked.
    pub tries: u32,
    /// How much later than promised a datagram may come.
    pub lost_after: Duration,
}

/// Finds out what is between this host and the Internet. It holds at most [`SOCKETS`] errands and a few questions.
pub struct Investigation {
    pub(super) options: InvestigationOptions,
    tell: Tell,
    pub(super) tasks: Vec<Task>,
    /// How many tasks there have been: the number of the next.
    made: u64,
    pub(super) hairpin: Hairpin,
    pub(super) search: Search,
    /// Hosts whose STUN server has led to another address. A host leads to one, and no further: who makes them up would lead to
    /// ever more.
    followed: Vec<IpAddr>,
    rounds: usize,
    next_socket: usize,
    pub(super) stage: Option<Stage>,
    pub(super) findings: Findings,
}

/// Two sockets that send to each other's outside.
#[derive(Debug, Default)]
pub(super) struct Hairpin {
    pub(super) sent: u32,
    pub(super) next: Option<Mono>,
    pub(super) heard: bool,
}

impl Investigation {
    /// One that begins as soon as it runs, and calls `tell` whenever it knows more.
    pub fn new(options: InvestigationOptions, tell: Tell) -> Investigation {
        Investigation {
            search: Search::new(options.longest),
            options,
            tell,
            tasks: vec![],
            made: 0,
            hairpin: Hairpin::default(),
            followed: vec![],
            rounds: 0,
            next_socket: SILENCES,
            stage: None,
            findings: Findings::none(),
        }
    }

    /// What is known.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// What is asked first.
    fn begin(&mut self, now: Mono) {
        self.stage = Some(Stage::Asking);
        let stun_port = self.options.stun_port;
        let mut asked: Vec<(How, SocketAddr)> = vec![];
        for host in self.options.hosts.clone() {
            let stun = SocketAddr::new(host.ip(), stun_port);
            for (how, end) in [(How::Echo, host), (How::Stun, host), (How::Stun, stun)] {
                if !asked.contains(&(how, end)) {
                    asked.push((how, end));
                    self.query(now, MAPPING, Purpose::Mapping, how, end, Change::default());
                }
            }
        }
        let Some(&host) = self.options.hosts.first() else {
            return;
        };
        for (socket, from) in [
            (SAME, Source::Same),
            (OTHER_PORT, Source::OtherPort),
            (OTHER_ADDRESS, Source::OtherAddress),
        ] {
            let ask = Ask {
                count: FILTER_COPIES,
                gap: COPIES_APART,
                silence: COPIES_APART,
                from,
            };
            self.ask(now, socket, Purpose::Filter(from), ask);
        }
        for socket in HAIRPIN {
            self.query(now, socket, Purpose::Hairpin, How::Echo, host, Change::default());
            self.query(now, socket, Purpose::Hairpin, How::Stun, host, Change::default());
        }
    }

    fn query(
        &mut self,
        now: Mono,
        socket: usize,
        purpose: Purpose,
        how: How,
        end: SocketAddr,
        change: Change,
    ) {
        let token = self.token();
        let Some(path) = self.path(socket, end) else {
            return;
        };
        let errand = Errand::Query(Query::new(how, path, change, token));
        self.start(now, socket, purpose, errand);
    }

    fn ask(&mut self, now: Mono, socket: usize, purpose: Purpose, ask: Ask) {
        let token = self.token();
        let host = self.options.hosts.first().copied();
        let Some(path) = host.and_then(|host| self.path(socket, host)) else {
            return;
        };
        let asker = Asker::new(AskerOptions {
            token,
            key: None,
            path,
            ask,
            patience: self.options.patience,
            lost_after: self.options.lost_after,
            tries: self.options.tries,
        });
        self.start(now, socket, purpose, Errand::Ask(Box::new(asker)));
    }

    fn start(&mut self, now: Mono, socket: usize, purpose: Purpose, errand: Errand) {
        let latest = self.tasks.iter().map(|task| task.start).max().unwrap_or_default();
        self.tasks.push(Task {
            socket,
            start: now.max(latest + APART),
            purpose,
            errand,
        });
    }

    fn path(&self, socket: usize, remote: SocketAddr) -> Option<Path> {
        Some(Path {
            link: self.options.link,
            local: *self.options.locals.get(socket)?,
            remote,
        })
    }

    fn token(&mut self) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.options.token, 0);
        hasher.write_u64(self.made);
        self.made += 1;
        hasher.finish()
    }

    pub(super) fn of(&self, purpose: Purpose) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(move |task| task.purpose == purpose)
    }

    fn hear(&mut self, rx: &Datagram<'_>) {
        let port = rx.path.local.port();
        let locals = &self.options.locals;
        let Some(socket) = locals.iter().position(|local| local.port() == port) else {
            return;
        };
        if HAIRPIN.contains(&socket) && rx.payload == self.hairpin_payload() {
            self.hairpin.heard = true;
            return;
        }
        let mut tasks = self.tasks.iter_mut().filter(|task| task.socket == socket);
        tasks.any(|task| task.hear(rx));
    }

    /// The network says that nobody is there.
    fn refused(&mut self, path: Path) {
        for task in &mut self.tasks {
            if let Errand::Query(query) = &mut task.errand
                && canonical(query.path.remote) == canonical(path.remote)
                && query.path.local.port() == path.local.port()
                && query.fate == Fate::Open
            {
                query.fate = Fate::Silent;
            }
        }
    }

    fn hairpin_payload(&self) -> [u8; 16] {
        let mut payload = *b"hairpin?        ";
        payload[8..].copy_from_slice(&self.options.token.to_be_bytes());
        payload
    }

    /// Goes on as far as what is known allows. Returns whether there is something new to send.
    fn advance(&mut self, now: Mono) -> bool {
        let before = (self.tasks.len(), self.hairpin.next);
        match self.stage {
            None => self.begin(now),
            Some(Stage::Asking) => self.follow_up(now),
            Some(Stage::Waiting) => self.narrow(now),
            Some(Stage::Ended { .. }) => {}
        }
        (self.tasks.len(), self.hairpin.next) != before
    }

    /// What the first answers lead to.
    fn follow_up(&mut self, now: Mono) {
        self.ask_other_ends(now);
        self.begin_hairpin(now);
        let is_busy = self.tasks.iter().any(Task::is_open) || self.hairpin.next.is_some();
        if is_busy {
            return;
        }
        if self.lifetime_lack().is_some() {
            self.stage = Some(Stage::Ended { stopped: false });
            return;
        }
        self.stage = Some(Stage::Waiting);
        self.try_silences(now, self.search.coarse());
    }

    /// Ends that answers told of.
    fn ask_other_ends(&mut self, now: Mono) {
        let known: Vec<_> = self
            .of(Purpose::Mapping)
            .filter_map(Task::query)
            .cloned()
            .collect();
        let is_asked = |how: How, end| {
            known
                .iter()
                .any(|query| query.how == how && canonical(query.path.remote) == canonical(end))
        };
        let mut more = vec![];
        for query in &known {
            let Some(other) = query.answer().and_then(|answer| answer.other) else {
                continue;
            };
            let server = query.path.remote;
            let ip = server.ip().to_canonical();
            let mut hosts = self.options.hosts.iter().map(|host| host.ip().to_canonical());
            if self.followed.contains(&ip) || !hosts.any(|host| host == ip) {
                continue;
            }
            let is_other = other.ip().to_canonical() != ip;
            if !is_other || other.is_ipv4() != server.is_ipv4() || is_asked(How::Stun, other) {
                continue;
            }
            self.followed.push(ip);
            // RFC 5780 section 6: both addresses answer at both ports.
            for end in [other, SocketAddr::new(server.ip(), other.port())] {
                if !is_asked(How::Stun, end) {
                    more.push((MAPPING, Purpose::Mapping, How::Stun, end, Change::default()));
                }
            }
            if self.tasks.iter().all(|task| task.socket != CHANGE_PORT) {
                let change = |ip, port| Change { ip, port };
                let (port, address) = (Source::OtherPort, Source::OtherAddress);
                more.push((
                    CHANGE_PORT,
                    Purpose::Filter(port),
                    How::Stun,
                    server,
                    change(false, true),
                ));
                more.push((
                    CHANGE_ADDRESS,
                    Purpose::Filter(address),
                    How::Stun,
                    server,
                    change(true, true),
                ));
            }
            break;
        }
        // What came from another end tells where there is one that echoes.
        for from in [Source::OtherPort, Source::OtherAddress] {
            let askers = self.of(Purpose::Filter(from)).filter_map(Task::asker);
            let mut ends = askers
                .flat_map(|asker| asker.arrivals().first())
                .map(|arrival| arrival.from);
            if let Some(end) = ends.find(|&end| !is_asked(How::Echo, end)) {
                more.push((MAPPING, Purpose::Mapping, How::Echo, end, Change::default()));
            }
        }
        for (socket, purpose, how, end, change) in more {
            self.query(now, socket, purpose, how, end, change);
        }
    }

    fn outsides(&self) -> Option<[SocketAddr; 2]> {
        let outside = |socket: usize| {
            let mut of = self.of(Purpose::Hairpin).filter(|task| task.socket == socket);
            of.find_map(Task::seen)
        };
        Some([outside(HAIRPIN[0])?, outside(HAIRPIN[1])?])
    }

    fn begin_hairpin(&mut self, now: Mono) {
        let is_open =
            self.of(Purpose::Hairpin).any(Task::is_open) || self.of(Purpose::Mapping).any(Task::is_open);
        let is_translated = self.findings.translated != Some(false);
        if !is_open && is_translated && self.hairpin.sent == 0 && self.outsides().is_some() {
            self.hairpin.next.get_or_insert(now);
        }
    }

    fn send_hairpins(&mut self, cx: &mut Cx<'_>) {
        if self.hairpin.next.is_none_or(|next| next > cx.now()) {
            return;
        }
        if self.hairpin.heard || self.hairpin.sent >= HAIRPIN_ROUNDS {
            self.hairpin.next = None;
            return;
        }
        let payload = self.hairpin_payload();
        for (socket, outside) in HAIRPIN
            .into_iter()
            .zip(self.outsides().into_iter().flatten().rev())
        {
            if let Some(path) = self.path(socket, outside) {
                cx.out.datagram(Transmit::to(path), &payload);
            }
        }
        self.hairpin.sent += 1;
        self.hairpin.next = Some(cx.now() + HAIRPIN_APART);
    }

    fn try_silences(&mut self, now: Mono, silences: Vec<Duration>) {
        for silence in silences {
            let ask = Ask {
                count: COPIES,
                gap: COPIES_APART,
                silence,
                from: Source::Same,
            };
            self.ask(now, self.next_socket, Purpose::Lifetime, ask);
            self.next_socket += 1;
        }
    }

    /// Narrows the lifetime down by what has come and what has not.
    fn narrow(&mut self, now: Mono) {
        for task in self.tasks.iter().filter(|task| task.purpose == Purpose::Lifetime) {
            let (outlived, not) = task.silences();
            outlived
                .into_iter()
                .for_each(|silence| self.search.alive(silence));
            not.into_iter().for_each(|silence| self.search.dead(silence));
        }
        let lifetime = self.search.lifetime();
        let is_open = |task: &&Task| task.is_open();
        let silence_of = |task: &Task| task.asker().map(|asker| asker.options().ask.silence);
        let firm = lifetime.below.filter(|below| {
            let mut open = self.of(Purpose::Lifetime).filter(is_open);
            open.all(|task| silence_of(task).is_none_or(|silence| silence > *below))
        });
        if firm.is_some() && self.of(Purpose::Refresh).next().is_none() {
            self.try_refresh(now, lifetime.at_least);
        }
        let has_sockets = self.next_socket + SIDE_BY_SIDE as usize <= self.options.locals.len();
        if firm.is_some() && !self.search.is_fine() && self.rounds < ROUNDS && has_sockets {
            self.rounds += 1;
            self.try_silences(now, self.search.finer());
            return;
        }
        let is_settled = firm.is_some() || !self.of(Purpose::Lifetime).any(Task::is_open);
        if is_settled && !self.of(Purpose::Refresh).any(Task::is_open) {
            self.stage = Some(Stage::Ended { stopped: false });
        }
    }

    /// One datagram before a mapping would end, and one long after that, had the first not come.
    fn try_refresh(&mut self, now: Mono, at_least: Option<Duration>) {
        let Some(early) = at_least.map(|at_least| at_least * 9 / 10) else {
            return;
        };
        for _ in 0..REFRESHES {
            let ask = Ask {
                count: 2,
                gap: early,
                silence: early,
                from: Source::Same,
            };
            self.ask(now, self.next_socket, Purpose::Refresh, ask);
            self.next_socket += 1;
        }
    }

    fn update(&mut self) {
        let found = self.find();
        if found != self.findings {
            self.findings = found;
            (self.tell)(&self.findings);
        }
    }
}

impl Machine for Investigation {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if self.finished() {
            return;
        }
        match &input {
            Input::Datagram(rx) => self.hear(rx),
            Input::Unreachable(report, _) => self.refused(report.path),
            Input::Stop | Input::Drain => {
                self.stage = Some(Stage::Ended { stopped: true });
                return self.update();
            }
            _ => {}
        }
        loop {
            // What follows looks at what was found.
            self.update();
            let more = self.advance(cx.now());
            let (patience, tries) = (self.options.patience, self.options.tries);
            let mut sent = false;
            for task in &mut self.tasks {
                let was_open = task.is_open();
                let room = cx.out.reserve(REQUEST, &[]);
                if let Some((path, len)) = task.send(&mut cx.env, patience, tries, room) {
                    cx.out.commit(Transmit::to(path), len);
                }
                sent |= was_open != task.is_open();
            }
            let hairpin = self.hairpin.next;
            self.send_hairpins(cx);
            let is_new = more || sent || self.hairpin.next != hairpin;
            if !is_new || self.finished() {
                break;
            }
        }
        self.update();
    }

    fn deadline(&self) -> Option<Deadline> {
        if self.finished() || self.stage.is_none() {
            return None;
        }
        let dues = self
            .tasks
            .iter()
            .filter_map(|task| task.due(self.options.patience));
        let at = dues.chain(self.hairpin.next).min()?;
        Some(Deadline::new(at, "NAT"))
    }

    fn finished(&self) -> bool {
        matches!(self.stage, Some(Stage::Ended { .. }))
    }
}
