//! The sessions with one other end: begun, followed up, ended.

use super::attempt::Attempt;
use super::certificate::Certificate;
use super::gate::is;
use super::hash::keyed;
use super::keys::{Class, OpenError, Opened, SealError};
use super::local::{Local, Role};
use super::numbers::Numbers;
use super::request::{Agreed, HandshakeError, Refusal, Request, verified};
use super::session::Session;
use super::step::{Context, Event, Step};
use crate::wire::{Answer, Control, Cookie, DataHeader, Response, Status, flag};
use crate::{PublicKey, vxlan};
use halloo_base::Mono;
use std::net::SocketAddr;
use std::time::Duration;

/// How long a session that was answered has time to be shown before an own initiation goes out again.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a session that the other end did not want to follow up is left as it is.
const REST: Duration = Duration::from_secs(30);

/// One other end. Sessions come and go, the peer stays: it remembers the latest time of the other's initiations, so that
/// none of them is taken twice.
pub struct Peer {
    owner: u32,
    key: PublicKey,
    role: Role,
    attempt: Option<Attempt>,
    /// Answered, and not yet shown to be known to the other end.
    next: Option<Session>,
    /// By which this end sends.
    current: Option<Session>,
    /// By which it sent before, the latest first. Where both ends began at once, each may send by another's session for as
    /// long as that lives; if they do so again, the first of four is still on its way.
    previous: [Option<Session>; 3],
    /// The latest time in the other's initiations.
    latest: Option<u64>,
    /// The time in this end's last initiation, or what the other end says is the latest that it took.
    said: u64,
    cookie: Option<(Mono, [u8; 16])>,
    /// Before this no session is followed up.
    rest: Mono,
}

impl Peer {
    /// A peer without a session. `owner` is what the numbers of its sessions lead to.
    pub fn new(owner: u32, key: PublicKey, role: Role) -> Peer {
        Peer {
            owner,
            key,
            role,
            attempt: None,
            next: None,
            current: None,
            previous: Default::default(),
            latest: None,
            said: 0,
            cookie: None,
            rest: Mono(0),
        }
    }

    /// Who it is.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// What was agreed on with it, if there is a session to send by.
    pub fn agreed(&self) -> Option<&Agreed> {
        self.current.as_ref().map(|session| &session.agreed)
    }

    /// Whether an initiation of this end's waits for its answer.
    pub fn is_beginning(&self) -> bool {
        self.attempt.is_some()
    }

    /// The latest time in the other's initiations: to be kept in [`Latest`](super::Latest) for a peer that is forgotten,
    /// else an initiation that somebody has recorded is taken once more.
    pub fn latest(&self) -> Option<u64> {
        self.latest
    }

    /// Takes no initiation but later ones.
    #[must_use]
    pub fn after(self, latest: u64) -> Peer {
        Peer {
            latest: Some(latest),
            ..self
        }
    }

    /// Octets that a content grows by on the wire.
    pub fn overhead(&self, class: Class) -> Option<usize> {
        self.current.as_ref().map(|session| session.overhead(class))
    }

    /// Begins a session, or a new one. The initiation comes from [`Peer::wake`], at once. A supernode cannot begin with an
    /// edge: that is given up at once.
    pub fn begin(&mut self, now: Mono) {
        if self.attempt.is_none() {
            self.attempt = Some(Attempt::new(now));
        }
    }

    /// Begins once more at once, where it had begun: there is a new way to the other end. Not while an answer of this end's
    /// waits to be shown.
    pub fn begin_again(&mut self, now: Mono) {
        if let Some(attempt) = self.attempt.as_mut().filter(|_| self.next.is_none()) {
            attempt.hurry(now);
        }
    }

    /// Ends all. To tell the other end, say [`Control::Close`] before.
    pub fn close(&mut self, numbers: &mut Numbers) {
        let sessions = [&mut self.next, &mut self.current];
        for session in sessions.into_iter().chain(&mut self.previous) {
            retire(session.take(), numbers);
        }
        self.stop(numbers);
    }

    /// Lets go of a session that was answered and not shown yet, if the certificate that the other end began it with holds no
    /// longer. Returns why.
    pub fn drop_next<E>(
        &mut self,
        numbers: &mut Numbers,
        holds: impl FnOnce(&Certificate) -> Result<(), E>,
    ) -> Option<E> {
        let why = holds(self.next.as_ref()?.agreed.certificate.as_ref()?).err()?;
        retire(self.next.take(), numbers);
        Some(why)
    }

    /// When to call [`Peer::wake`].
    pub fn deadline(&self, local: &Local) -> Option<Mono> {
        let timers = &local.timers;
        let sessions = [&self.next, &self.current];
        let ends = sessions
            .into_iter()
            .chain(&self.previous)
            .flatten()
            .map(|session| session.ends(timers));
        let attempt = self.attempt.as_ref().map(|attempt| attempt.next_at(timers));
        let current = self.current.as_ref();
        let rekey = self.rekey_at(local);
        let greets = current.and_then(Session::greets_at);
        ends.chain(attempt).chain(rekey).chain(greets).min()
    }

    /// When this end is to follow the session up. A supernode has not the secret with which edges are spoken to, so they
    /// come to it.
    fn rekey_at(&self, local: &Local) -> Option<Mono> {
        let may = self.role == Role::Supernode || local.role() == Role::Edge;
        let current = self.current.as_ref().filter(|_| may && self.attempt.is_none());
        current.map(|session| session.rekey_at(&local.timers).max(self.rest))
    }

    /// Does what is due: one thing, so it is called again while the deadline has come.
    pub fn wake(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
        if self.expire(cx) {
            return Step::event(Event::Down);
        }
        let (now, timers) = (cx.now, &cx.local.timers);
        if self.rekey_at(cx.local).is_some_and(|at| at <= now) {
            self.attempt = Some(Attempt::new(now));
        }
        if let Some(attempt) = &self.attempt
            && attempt.next_at(timers) <= now
        {
            return self.initiate(cx, out);
        }
        if let Some(current) = &mut self.current
            && current.greets_at().is_some_and(|at| at <= now)
            && current.greet(now, out).is_ok()
        {
            return Step::send(None);
        }
        Step::default()
    }

    fn initiate(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
        let follows = self.current.as_ref();
        let follows = follows.map(|session| (session.number, session.remote));
        let (now, cookie) = (cx.now, self.cookie_at(cx.now));
        let Some(attempt) = &mut self.attempt else {
            return Step::default();
        };
        if attempt.is_over(now, &cx.local.timers) {
            self.stop(cx.numbers);
            return Step::event(Event::GaveUp);
        }
        // A clock that was set back must not make this end dumb.
        self.said = cx.wall.0.max(self.said.saturating_add(1));
        let sent = attempt.initiate(
            cx,
            self.owner,
            (&self.key, self.role),
            self.said,
            follows,
            cookie,
            out,
        );
        if sent.is_err() {
            // A key of the other's that is none, or a certificate of ours that does not fit.
            self.stop(cx.numbers);
            return Step::event(Event::GaveUp);
        }
        Step::send(None)
    }

    fn cookie_at(&self, now: Mono) -> Option<[u8; 16]> {
        /// Its secret is taken for two minutes at least.
        const GOOD_FOR: Duration = Duration::from_secs(120);
        self.cookie
            .filter(|(at, _)| now.since(*at) < GOOD_FOR)
            .map(|(_, cookie)| cookie)
    }

    /// Answers an initiation of this peer's, which came from `seen`. The answer goes back to there. [`Step::begun`] says
    /// whether anything came of it.
    ///
    /// # Errors
    /// If it is to be left unanswered.
    pub fn accept(
        &mut self,
        cx: &mut Context<'_>,
        mut request: Request,
        seen: SocketAddr,
        out: &mut Vec<u8>,
    ) -> Result<Step, HandshakeError> {
        match (request.time(), self.latest) {
            (Some(time), Some(latest)) if time == latest => return Err(HandshakeError::Again),
            (Some(time), Some(latest)) if time < latest => {
                request.too_old(cx.local, latest, out)?;
                return Ok(Step::send(None));
            }
            (time, latest) => self.latest = time.or(latest),
        }
        let goes_first = cx.local.public() < self.key;
        if goes_first
            && self
                .attempt
                .as_ref()
                .is_some_and(|attempt| attempt.insists(cx.now))
        {
            return Err(HandshakeError::Yielded);
        }
        let agreed = match request.judge(cx.local, cx.wall) {
            Ok(agreed) => agreed,
            Err(refusal) => {
                request.refuse(cx.local, &refusal, out)?;
                return Ok(Step::send(Some(Event::Refuses(refusal))));
            }
        };
        let number = cx.numbers.draw(self.owner, cx.entropy);
        let offer = &cx.local.offer;
        let answer = Answer {
            cipher: Some(agreed.cipher),
            compression: Some(agreed.compression),
            frame: offer.frame,
            certificate: own_certificate(cx.local),
            name: offer.name.clone(),
            seen: Some(seen),
            features: offer.features,
            software: offer.software.clone(),
            ..Answer::refusal(Status::Agreed, "")
        };
        let remote = request.sender();
        if let Err(error) = request.answer(cx.local, number, answer, out) {
            cx.numbers.release(number);
            return Err(error);
        }
        let mut session = Session::new(agreed, &request.keys(), number, remote, false, cx.now);
        session.follows = request.proposal().and_then(|proposal| proposal.rekey);
        retire(self.next.replace(session), cx.numbers);
        if let Some(attempt) = &mut self.attempt {
            // Its answer would still be taken, should the other's initiation lead nowhere.
            attempt.wait_until(cx.now + PATIENCE);
        }
        Ok(Step {
            begun: true,
            ..Step::send(None)
        })
    }

    /// Takes the answer to an initiation of this end's.
    ///
    /// # Errors
    /// If it is not to be believed, or belongs to no handshake that is under way.
    pub fn respond(
        &mut self,
        cx: &mut Context<'_>,
        response: &Response<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, HandshakeError> {
        let attempt = self.attempt.as_mut().ok_or(HandshakeError::Unknown)?;
        let flight = attempt.flight(response.receiver).ok_or(HandshakeError::Unknown)?;
        let mark = keyed(cx.local.mac1_key(self.role), &[response.before_mac1]);
        if !is(&response.mac1, &mark) {
            return Err(HandshakeError::Mark);
        }
        let payload = flight
            .noise
            .read(response.noise)
            .map_err(|_| HandshakeError::Noise)?;
        let keys = flight.noise.keys();
        let answer = match Answer::parse(&payload) {
            Ok(answer) => answer,
            Err(error) => {
                self.rest = cx.now + REST;
                self.stop(cx.numbers);
                return Ok(Step::event(Event::Refuses(Refusal {
                    status: Status::Version,
                    words: error.to_string(),
                })));
            }
        };
        if answer.status == Status::TooOld {
            self.said = self.said.max(answer.time.unwrap_or(0));
            attempt.again(cx.now, cx.numbers);
            return Ok(Step::default());
        }
        if answer.status != Status::Agreed {
            self.rest = cx.now + REST;
            self.stop(cx.numbers);
            return Ok(Step::event(Event::Refused(Refusal {
                status: answer.status,
                words: answer.reason,
            })));
        }
        let judged = self.judge(cx, &answer);
        let number = response.receiver;
        // The number is the session's from now on.
        let follows = self.attempt.take().and_then(Attempt::land);
        let agreed = match judged {
            Ok(agreed) => agreed,
            Err((refusal, cipher)) => {
                let agreed = Agreed {
                    cipher,
                    ..agreed_by(&answer, None, 0)
                };
                let mut session = Session::new(agreed, &keys, number, response.sender, true, cx.now);
                self.rest = cx.now + REST;
                let close = Control::Close {
                    reason: refusal.status,
                    words: refusal.words.clone(),
                };
                let send = session.close(&close, out).is_ok();
                retire(Some(session), cx.numbers);
                return Ok(Step {
                    send,
                    ..Step::event(Event::Refuses(refusal))
                });
            }
        };
        let mut session = Session::new(agreed, &keys, number, response.sender, true, cx.now);
        session.follows = follows;
        let send = session.greet(cx.now, out).is_ok();
        let event = self.promote(session, cx.now, cx.numbers);
        Ok(Step {
            send,
            ..Step::event(event)
        })
    }

    /// Whether the other end chose what this end offered, and may be a member; the cipher is for saying that he may not.
    fn judge(&self, cx: &Context<'_>, answer: &Answer) -> Result<Agreed, (Refusal, crate::Cipher)> {
        let offer = &cx.local.offer;
        let cipher = answer.cipher.unwrap_or(crate::Cipher::ChaCha20Poly1305);
        let refusal = |status, words: &str| {
            let words = words.to_owned();
            (Refusal { status, words }, cipher)
        };
        if self.role == Role::Edge
            && let Some(words) = vxlan::differ(answer.features, offer.features)
        {
            return Err(refusal(Status::DataPlane, &words));
        }
        if !offer.ciphers.contains(&cipher) {
            return Err(refusal(
                Status::NoCipher,
                "a cipher was chosen that was not offered",
            ));
        }
        if answer
            .compression
            .is_none_or(|one| !offer.compressions.contains(&one))
        {
            return Err(refusal(
                Status::NoCompression,
                "a compression was chosen that was not offered",
            ));
        }
        let certificate = if self.role == Role::Edge {
            let tag = cx.local.community().map(super::Community::tag);
            verified(cx.local, answer.certificate.as_deref(), &self.key, tag, cx.wall)
                .map_err(|refusal| (refusal, cipher))?
        } else {
            None
        };
        Ok(agreed_by(answer, certificate, offer.frame))
    }

    /// Takes a cookie, and sends the same initiation again with it.
    ///
    /// # Errors
    /// If it is not to be believed, or belongs to no initiation that is under way.
    pub fn take_cookie(
        &mut self,
        now: Mono,
        message: &Cookie<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, HandshakeError> {
        let attempt = self.attempt.as_mut().ok_or(HandshakeError::Unknown)?;
        let flight = attempt.flight(message.receiver).ok_or(HandshakeError::Unknown)?;
        if !is(&message.initiation, &flight.mac1) {
            return Err(HandshakeError::Unknown);
        }
        if !is(&message.mac1, &keyed(&flight.mac1_key, &[message.before_mac1])) {
            return Err(HandshakeError::Mark);
        }
        self.cookie = Some((now, message.cookie));
        let send = flight.show(&message.cookie, out);
        Ok(Step {
            send,
            ..Step::default()
        })
    }

    /// Seals a content by the session in use; the buffer is as for [`super::Sealer::seal`].
    ///
    /// # Errors
    /// If there is no session, or the buffer or the path is out of range.
    pub fn seal(
        &mut self,
        cx: (Mono, &Local),
        path: u8,
        class: Class,
        buffer: &mut [u8],
        len: usize,
    ) -> Result<usize, SealError> {
        let (now, local) = cx;
        let alive = |session: &&mut Session| now < session.ends(&local.timers);
        let by_current = class == Class::Control || !self.is_held_back(now, local);
        let session = if by_current {
            self.current.as_mut()
        } else {
            self.previous[0].as_mut()
        };
        session
            .filter(alive)
            .ok_or(SealError::NoSession)?
            .seal(path, class, buffer, len)
    }

    /// Whether frames still go by the session before: under a cipher that proves nothing the other end takes none by a new
    /// one before something that is proved has come by it.
    fn is_held_back(&self, now: Mono, local: &Local) -> bool {
        let clear = |session: &Session| session.agreed.cipher == crate::Cipher::None;
        let current = self.current.as_ref();
        if !current.is_some_and(|current| clear(current) && current.is_being_shown()) {
            return false;
        }
        let before = self.previous[0].as_ref();
        before.is_some_and(|before| clear(before) && now < before.ends(&local.timers))
    }

    /// Opens a datagram of a session of this peer's, as [`super::Opener::open`] does. The first one by a session that was
    /// answered makes it the one to send by, which is an event; until then nothing is taken by it that is not proved.
    ///
    /// # Errors
    /// If it is not the peer's, came twice or too late, or was not sealed as agreed.
    pub fn open(
        &mut self,
        cx: (Mono, &Local, &mut Numbers),
        header: &DataHeader,
        datagram: &[u8],
        into: &mut [u8],
    ) -> Result<(Opened, Option<Event>), OpenError> {
        let (now, local, numbers) = cx;
        let is_next = self
            .next
            .as_ref()
            .is_some_and(|next| next.number == header.receiver);
        if is_next && header.flags & flag::CLEAR != 0 {
            return Err(OpenError::NotShown);
        }
        let of_number =
            |session: &&mut Session| session.number == header.receiver && now < session.ends(&local.timers);
        let sessions = [&mut self.current, &mut self.next];
        let session = sessions
            .into_iter()
            .chain(&mut self.previous)
            .flatten()
            .find(of_number)
            .ok_or(OpenError::NoSession)?;
        let opened = session.open(now, header, datagram, into)?;
        let event = if is_next && opened.proved {
            // It was judged when it was begun, and there may be a later list by now.
            let holds = |certificate: &Certificate| match &local.authority {
                Some(authority) if authority.has_revoked(certificate) => Err(OpenError::NoSession),
                _ => Ok(()),
            };
            if let Some(error) = self.drop_next(numbers, holds) {
                return Err(error);
            }
            self.show_next(now, numbers)
        } else {
            None
        };
        Ok((opened, event))
    }

    fn show_next(&mut self, now: Mono, numbers: &mut Numbers) -> Option<Event> {
        let mut session = self.next.take()?;
        session.answer_greeting(now);
        self.stop(numbers);
        Some(self.promote(session, now, numbers))
    }

    /// Makes a session the one to send by; the one before is still listened to.
    fn promote(&mut self, session: Session, now: Mono, numbers: &mut Numbers) -> Event {
        let session_follows = session.follows;
        let before = self.current.replace(session);
        let follows = before.is_some();
        if let Some(mut before) = before {
            if session_follows == Some(before.number) {
                before.followed = Some(now);
            }
            self.previous.rotate_right(1);
            retire(self.previous[0].replace(before), numbers);
        }
        Event::Up { follows }
    }

    /// Lets go of sessions that are over; true when the one to send by was among them.
    fn expire(&mut self, cx: &mut Context<'_>) -> bool {
        let (now, timers) = (cx.now, &cx.local.timers);
        let over = |session: &mut Session| session.ends(timers) <= now;
        retire(self.next.take_if(over), cx.numbers);
        for previous in &mut self.previous {
            retire(previous.take_if(over), cx.numbers);
        }
        let current = self.current.take_if(over);
        let down = current.is_some();
        retire(current, cx.numbers);
        down
    }

    fn stop(&mut self, numbers: &mut Numbers) {
        if let Some(mut attempt) = self.attempt.take() {
            attempt.drop_flight(numbers);
        }
    }
}

fn agreed_by(answer: &Answer, certificate: Option<Certificate>, frame: u16) -> Agreed {
    Agreed {
        cipher: answer.cipher.unwrap_or(crate::Cipher::ChaCha20Poly1305),
        compression: answer.compression.unwrap_or(crate::Compression::None),
        frame: answer.frame.min(frame),
        name: answer.name.clone(),
        features: answer.features,
        software: answer.software.clone(),
        certificate,
        seen: answer.seen,
    }
}

/// What this end shows of itself.
pub(super) fn own_certificate(local: &Local) -> Option<Vec<u8>> {
    let certificate = local.certificate.as_ref();
    certificate.map(|certificate| certificate.octets().to_vec())
}

fn retire(session: Option<Session>, numbers: &mut Numbers) {
    if let Some(session) = session {
        numbers.release(session.number);
    }
}
