//! Asks an echo host to be sent datagrams later, and keeps account of those that come.
//!
//! A NAT shows by that for how long it keeps a mapping, and whom it lets in (RFC 4787). `docs/wire/probe.md` has the format.

mod session;

pub use session::{Moment, PingbackSession, Tell};

use super::Key;
use super::pingback::Outcome;
use super::wire::{PINGBACK, Pingback, Probe, TAG};
use halloo_base::{Datagram, Deadline, Env, Mono, Path, Reason, Stamp, canonical};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The longest request, in bytes.
pub const REQUEST: usize = PINGBACK + TAG;

/// Which end of the host is to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Source {
    /// The one that is asked.
    #[default]
    Same,
    /// Another port of the same address.
    OtherPort,
    /// Another address of the host.
    OtherAddress,
}

/// What is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// How many datagrams, 1 to 65,535; echo hosts of halloo send 16 at most.
    pub count: u16,
    /// The time between two of them: whole microseconds.
    pub gap: Duration,
    /// The time from the request to the first: whole milliseconds.
    pub silence: Duration,
    /// Where they are to come from.
    pub from: Source,
}

/// How an [`Asker`] asks.
#[derive(Clone, Debug)]
pub struct AskerOptions {
    /// The asker's own number, drawn at random: by it its datagrams are told from all others.
    pub token: u64,
    /// The shared key: requests are signed with it, and nothing else is heard.
    pub key: Option<Key>,
    /// The way to the host.
    pub path: Path,
    /// What is to be sent.
    pub ask: Ask,
    /// How long an answer may take until it is asked for again.
    pub patience: Duration,
    /// How much later than promised a datagram may come.
    pub lost_after: Duration,
    /// How often is asked in each of two steps, for a cookie and with it.
    pub tries: u32,
}

/// One request for datagrams, from the first question to the last that comes of it.
///
/// It asks for a cookie, then with it, until there is an answer; then it says nothing more, and hears. The memory that it
/// takes grows with what it asked for, and not with what it is sent.
#[derive(Clone, Debug)]
pub struct Asker {
    options: AskerOptions,
    cookie: u64,
    /// The number of the next request, and of the first that carried a cookie.
    next: u32,
    first_proven: Option<u32>,
    /// How often has been asked since the last step forward.
    tried: u32,
    last_sent: Option<Mono>,
    last_heard: Option<Mono>,
    seen: Option<SocketAddr>,
    granted: Option<Granted>,
    state: State,
    arrivals: Vec<Arrival>,
}

/// A datagram that was asked for and came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its number, from 1.
    pub number: u16,
    /// The request that it came for. More than one was sent where an answer was lost.
    pub seq: u32,
    /// When it came.
    pub at: Stamp,
    /// Where it came from.
    pub from: SocketAddr,
    /// For how long nothing that was recognised had been sent or had come before it.
    pub quiet: Duration,
}

/// What the host promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The request that it answered.
    pub seq: u32,
    /// When that left.
    pub asked_at: Mono,
    /// How many datagrams; less than asked for where the host's limit is lower.
    pub count: u16,
    /// The time between two of them.
    pub gap: Duration,
    /// The time from the request to the first.
    pub silence: Duration,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no promise yet.
    Asking,
    /// Something was promised, and may still come.
    Waiting,
    /// Nothing more is to be expected.
    Ended(Ending),
}

/// Why nothing more is to be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// All came.
    Complete,
    /// The time of the last one is over.
    Over,
    /// The host said no, for this reason.
    Refused(Outcome),
    /// It does not answer.
    Unanswered,
    /// It echoes, and knows nothing else.
    PlainEcho,
}

/// What a datagram was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// An answer to a request.
    Answer,
    /// One that was asked for; the first time that it came.
    Pingback(Arrival),
}

impl Asker {
    /// One that has not asked yet.
    pub fn new(options: AskerOptions) -> Asker {
        Asker {
            options,
            cookie: 0,
            next: 0,
            first_proven: None,
            tried: 0,
            last_sent: None,
            last_heard: None,
            seen: None,
            granted: None,
            state: State::Asking,
            arrivals: vec![],
        }
    }

    /// How it asks.
    pub fn options(&self) -> &AskerOptions {
        &self.options
    }

    /// How it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// The newest promise.
    pub fn granted(&self) -> Option<Granted> {
        self.granted
    }

    /// What came, in the order in which it came. Each once, however often the network brought it.
    pub fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// How many different ones came, for whichever request.
    pub fn came(&self) -> usize {
        let first = |(at, arrival): &(usize, &Arrival)| {
            let before = self.arrivals.iter().take(*at);
            before.clone().all(|other| other.number != arrival.number)
        };
        self.arrivals.iter().enumerate().filter(first).count()
    }

    /// Where the host sees the requests come from.
    pub fn seen(&self) -> Option<SocketAddr> {
        self.seen
    }

    /// When [`Asker::send`] is to be called again.
    pub fn due(&self) -> Option<Deadline> {
        match self.state {
            State::Asking => {
                let at = self
                    .last_sent
                    .map_or(Mono(0), |sent| sent + self.options.patience);
                // A step forward is followed at once.
                let at = if self.tried == 0 { Mono(0) } else { at };
                Some(Deadline::new(at, "asking for pingback"))
            }
            State::Waiting => Some(Deadline::new(self.ends(), "the last pingback")),
            State::Ended(_) => None,
        }
    }

    /// Writes the request that is due now over `room`, of at least [`REQUEST`] bytes, and returns its length. Nothing where
    /// none is due, or time has brought the end.
    pub fn send(&mut self, env: &mut Env<'_>, room: &mut [u8]) -> Option<usize> {
        if self.due().is_none_or(|due| due.at > env.now) {
            return None;
        }
        if self.state == State::Waiting {
            self.state = State::Ended(Ending::Over);
            return None;
        }
        if self.tried >= self.options.tries {
            self.state = State::Ended(Ending::Unanswered);
            return None;
        }
        let len = self.emit(env, room)?;
        if self.cookie != 0 {
            self.first_proven.get_or_insert(self.next);
        }
        self.next = self.next.wrapping_add(1);
        self.tried += 1;
        self.last_sent = Some(env.now);
        Some(len)
    }

    /// Takes a datagram that came, from wherever.
    ///
    /// # Errors
    /// Why it is none of this asker's.
    pub fn hear(&mut self, rx: &Datagram<'_>) -> Result<Told, Reason> {
        let probe = Probe::parse(rx.payload).map_err(|_| Reason::Foreign)?;
        if probe.token != self.options.token || probe.seq >= self.next {
            return Err(Reason::Foreign);
        }
        let is_echo = !probe.flags.reply;
        if let Some(key) = &self.options.key {
            let proven = !is_echo && probe.flags.authenticated && key.verify(rx.payload, probe.length);
            if !proven {
                return Err(Reason::BadAuth);
            }
        }
        match probe.pingback {
            _ if is_echo => self.hear_echo(rx),
            Some(told) => self.hear_answer(rx, &probe, told),
            None if probe.flags.pingback => self.hear_pingback(rx, &probe),
            None => self.hear_stranger(rx),
        }
    }

    /// An answer of a host that knows the structured probe, and nothing of this.
    fn hear_stranger(&mut self, rx: &Datagram<'_>) -> Result<Told, Reason> {
        self.check_host(rx)?;
        self.refuse(Outcome::NotOffered);
        Ok(Told::Answer)
    }

    fn hear_echo(&mut self, rx: &Datagram<'_>) -> Result<Told, Reason> {
        self.check_host(rx)?;
        if self.state == State::Asking {
            self.state = State::Ended(Ending::PlainEcho);
        }
        Ok(Told::Answer)
    }

    fn hear_answer(&mut self, rx: &Datagram<'_>, reply: &Probe, told: Pingback) -> Result<Told, Reason> {
        self.check_host(rx)?;
        self.last_heard = self.last_heard.max(Some(rx.at.mono));
        let wide = reply.wide.ok_or(Reason::Malformed)?;
        if reply.port != 0 {
            self.seen = Some(SocketAddr::new(IpAddr::V6(wide.addr).to_canonical(), reply.port));
        }
        // What was said to an earlier request is of no account after a later one was granted.
        if self.state == State::Asking || self.granted.is_some_and(|granted| granted.seq < reply.seq) {
            self.take(reply.seq, wide.cookie, told);
        }
        Ok(Told::Answer)
    }

    /// What the host says to the request `seq`.
    fn take(&mut self, seq: u32, cookie: u64, told: Pingback) {
        let had_cookie = self.first_proven.is_some_and(|first| first <= seq);
        match told.outcome {
            Outcome::Granted if told.count > 0 => {
                self.granted = Some(Granted {
                    seq,
                    asked_at: self.last_sent.unwrap_or_default(),
                    count: told.count,
                    gap: told.gap,
                    silence: told.silence,
                });
                self.state = State::Waiting;
            }
            Outcome::Unproven if self.state == State::Asking => {
                // A late answer to a question without a cookie brings nothing new.
                let is_step = self.cookie == 0 && cookie != 0;
                if is_step || had_cookie {
                    self.cookie = cookie;
                }
                if is_step {
                    self.tried = 0;
                }
            }
            Outcome::Granted => self.refuse(Outcome::NotOffered),
            outcome => self.refuse(outcome),
        }
    }

    fn refuse(&mut self, outcome: Outcome) {
        if self.state == State::Asking {
            self.state = State::Ended(Ending::Refused(outcome));
        }
    }

    fn hear_pingback(&mut self, rx: &Datagram<'_>, probe: &Probe) -> Result<Told, Reason> {
        let ask = self.options.ask;
        let number = u16::try_from(probe.received).map_err(|_| Reason::Malformed)?;
        let was_asked = self.first_proven.is_some_and(|first| probe.seq >= first);
        if !was_asked || !(1..=ask.count).contains(&number) {
            return Err(Reason::Malformed);
        }
        if !self.is_from(rx.path.remote) {
            return Err(Reason::WrongPath);
        }
        let is_known = |arrival: &Arrival| (arrival.seq, arrival.number) == (probe.seq, number);
        if self.arrivals.iter().any(is_known) {
            return Err(Reason::Foreign);
        }
        let at = rx.at.mono;
        let arrival = Arrival {
            number,
            seq: probe.seq,
            at: rx.at,
            from: rx.path.remote,
            quiet: at.since(self.last_sent.max(self.last_heard).unwrap_or(at)),
        };
        self.last_heard = self.last_heard.max(Some(at));
        self.arrivals.push(arrival);
        if self.granted.is_none() {
            // The answer was lost; what it promised is what comes.
            self.granted = Some(Granted {
                seq: probe.seq,
                asked_at: self.last_sent.unwrap_or_default(),
                count: ask.count,
                gap: ask.gap,
                silence: ask.silence,
            });
            self.state = State::Waiting;
        }
        if self.has_all() {
            self.state = State::Ended(Ending::Complete);
        }
        Ok(Told::Pingback(arrival))
    }

    fn has_all(&self) -> bool {
        let Some(granted) = self.granted else {
            return false;
        };
        let came = self.arrivals.iter().filter(|arrival| arrival.seq == granted.seq);
        came.count() >= usize::from(granted.count)
    }

    fn check_host(&self, rx: &Datagram<'_>) -> Result<(), Reason> {
        let is_host = canonical(rx.path.remote) == canonical(self.options.path.remote);
        is_host.then_some(()).ok_or(Reason::WrongPath)
    }

    /// Whether what was asked for may come from there.
    fn is_from(&self, from: SocketAddr) -> bool {
        let host = self.options.path.remote;
        let same_ip = from.ip().to_canonical() == host.ip().to_canonical();
        match self.options.ask.from {
            Source::Same => canonical(from) == canonical(host),
            Source::OtherPort => same_ip && from.port() != host.port(),
            Source::OtherAddress => !same_ip,
        }
    }

    /// When nothing more is to be expected.
    fn ends(&self) -> Mono {
        let Some(granted) = self.granted else {
            return Mono(0);
        };
        let between = granted.gap * u32::from(granted.count.saturating_sub(1));
        granted.asked_at + granted.silence + between + self.options.lost_after
    }

    fn emit(&self, env: &Env<'_>, room: &mut [u8]) -> Option<usize> {
        let AskerOptions { token, key, ask, .. } = &self.options;
        let mut probe = Probe::request(*token, self.next, true, key.is_some()).asking_back(Pingback {
            count: ask.count,
            other_port: ask.from == Source::OtherPort,
            other_address: ask.from == Source::OtherAddress,
            outcome: Outcome::Granted,
            gap: ask.gap,
            silence: ask.silence,
        });
        if let Some(wide) = &mut probe.wide {
            wide.cookie = self.cookie;
        }
        let datagram = room.get_mut(..usize::from(probe.length))?;
        datagram.fill(0);
        probe.t1 = env.clock.stamp().wall;
        probe.emit(datagram).ok()?;
        let signed = key.as_ref().is_none_or(|key| key.sign(datagram, probe.length));
        signed.then_some(datagram.len())
    }
}

impl Source {
    /// Its word on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Source::Same => "same",
            Source::OtherPort => "port",
            Source::OtherAddress => "address",
        }
    }
}
