//! One way to a peer: whether it works, how long it takes, and when to ask next.

use halloo_base::{Mono, Nanos};
use std::time::Duration;

/// Asked so often at first, and when nothing comes back any more: at 0, 100, 300, 700 ms and so on.
const FIRST: Duration = Duration::from_millis(100);
/// And never more seldom than this while nobody answers.
const SELDOM: Duration = Duration::from_secs(30);
/// A way that works is asked this often: most NATs forget one after 30 s of silence at the earliest (RFC 4787 REQ-5
/// asks for two minutes, and is not always obeyed).
const KEEP: Duration = Duration::from_secs(15);
/// So many questions in a row without an answer end a way.
const PATIENCE: u32 = 4;
/// The shortest wait for an answer before a way is doubted.
const SHORTEST: Duration = Duration::from_millis(100);
/// The longest, where nothing is known of the round trip.
const UNKNOWN: Duration = Duration::from_millis(500);

/// Where a way leads first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// To the peer itself.
    Direct,
    /// To a relay, which knows the peer by this channel number.
    Channel(u32),
}

/// What is known of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It worked, and now does not.
    Dead,
    /// Nothing has come back yet.
    Untried,
    /// It worked a moment ago; an answer is overdue.
    Doubtful,
    /// It works.
    Good,
}

/// How one way to a peer does.
#[derive(Clone, Debug)]
pub struct PeerPath {
    health: Health,
    /// When the next question is due.
    next: Mono,
    /// How long from the next to the one after it, while nobody answers.
    step: Duration,
    /// Questions since the last sign of life.
    unanswered: u32,
    /// The number of the last question.
    number: u32,
    asked: u64,
    asked_at: Option<Mono>,
    answered: u64,
    smoothed: Option<Nanos>,
    variation: Nanos,
    least: Option<Nanos>,
    heard: Option<Mono>,
    /// When data went out to which nothing has come back since.
    waiting: Option<Mono>,
}

/// A question that is to be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its number; the answer repeats it.
    pub number: u32,
}

impl PeerPath {
    /// A way that nobody has tried; it wants to be asked at once.
    pub fn new(now: Mono) -> PeerPath {
        PeerPath {
            health: Health::Untried,
            next: now,
            step: FIRST,
            unanswered: 0,
            number: 0,
            asked: 0,
            asked_at: None,
            answered: 0,
            smoothed: None,
            variation: Nanos::ZERO,
            least: None,
            heard: None,
            waiting: None,
        }
    }

    /// What is known of it.
    pub fn health(&self) -> Health {
        self.health
    }

    /// The smoothed round trip (RFC 6298 section 2), once there is one.
    pub fn round_trip(&self) -> Option<Nanos> {
        self.smoothed
    }

    /// The shortest round trip of all.
    pub fn least(&self) -> Option<Nanos> {
        self.least
    }

    /// Questions and answers so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.asked, self.answered)
    }

    /// When something authentic last came by it.
    pub fn heard_at(&self) -> Option<Mono> {
        self.heard
    }

    /// Whether what is sent by it can be expected to arrive: it works, or no more than one question about it has been in
    /// vain.
    pub fn works(&self) -> bool {
        match self.health {
            Health::Good => true,
            Health::Doubtful => self.unanswered <= 2,
            Health::Dead | Health::Untried => false,
        }
    }

    /// When it wants to be looked at next.
    pub fn deadline(&self) -> Mono {
        match self.waiting {
            Some(since) if self.health == Health::Good => self.next.min(since + self.patience()),
            _ => self.next,
        }
    }

    /// Looks at the clock. Returns the question that is to be asked now, if one is due.
    pub fn poll(&mut self, now: Mono) -> Option<Question> {
        let overdue = self.waiting.is_some_and(|since| now >= since + self.patience());
        if self.health == Health::Good && overdue {
            // Data goes out and nothing comes back. It may be that there was nothing to say: ask, and quickly.
            self.health = Health::Doubtful;
            self.step = self.patience();
            self.unanswered = 0;
            self.next = now;
        }
        if now < self.next {
            return None;
        }
        if self.unanswered >= PATIENCE && matches!(self.health, Health::Good | Health::Doubtful) {
            self.health = Health::Dead;
        }
        if self.unanswered > 0 && self.health == Health::Good {
            self.health = Health::Doubtful;
            self.step = self.patience();
        }
        let wait = match self.health {
            // The answer may be lost: look again when it is overdue.
            Health::Good => self.patience(),
            Health::Doubtful => self.step,
            Health::Untried | Health::Dead => {
                let wait = self.step;
                self.step = (self.step * 2).min(SELDOM);
                wait
            }
        };
        self.next = now + wait;
        self.unanswered += 1;
        self.asked += 1;
        self.asked_at = Some(now);
        self.number = self.number.wrapping_add(1);
        Some(Question { number: self.number })
    }

    /// The question that is due cannot be asked now: later, and ever more seldom.
    pub fn postpone(&mut self, now: Mono) {
        self.next = now + self.step;
        self.step = (self.step * 2).min(SELDOM);
    }

    /// Questions since the last sign of life, or since it was asked to hurry.
    pub fn unanswered(&self) -> u32 {
        self.unanswered
    }

    /// Data went out by it.
    pub fn sent(&mut self, now: Mono) {
        self.waiting.get_or_insert(now);
    }

    /// Something authentic came by it.
    pub fn heard(&mut self, now: Mono) {
        self.heard = Some(now);
        self.waiting = None;
        match self.health {
            Health::Good => {}
            // That it was silent is no reason any more; that a question was in vain is one.
            Health::Doubtful if self.unanswered <= 1 => self.health = Health::Good,
            Health::Doubtful => {}
            // Somebody is there again, but it may be that only he can send.
            Health::Dead => self.doubt(now),
            Health::Untried => {}
        }
    }

    /// Something came by it that answers what went by it, such as a handshake's. It works; how fast is to be asked.
    pub fn proved(&mut self, now: Mono) {
        self.heard = Some(now);
        self.waiting = None;
        self.revive(now);
        if self.smoothed.is_none() {
            self.next = now;
        }
    }

    /// The answer to a question came, this long after it. `number` is the question's.
    pub fn answered(&mut self, number: u32, round_trip: Nanos, now: Mono) {
        // An answer to a question long past still shows that the way works; more answers than questions do not.
        if self.number.wrapping_sub(number) > u32::try_from(self.asked).unwrap_or(u32::MAX) {
            return;
        }
        self.answered = (self.answered + 1).min(self.asked);
        self.take(round_trip);
        self.heard = Some(now);
        self.waiting = None;
        self.revive(now);
    }

    /// The operating system says that nothing can be sent by it now.
    pub fn refused(&mut self) {
        if self.health != Health::Untried {
            self.health = Health::Dead;
        }
    }

    /// Asks again soon, as if it were new: the network under it has changed.
    pub fn hurry(&mut self, now: Mono) {
        self.next = now;
        self.step = FIRST;
        self.unanswered = 0;
        if self.health == Health::Good {
            self.health = Health::Doubtful;
        }
    }

    /// Asks again soon, unless that was done a moment ago: what made it doubtful may come with each datagram.
    pub fn doubt(&mut self, now: Mono) {
        if self.asked_at.is_none_or(|asked| now >= asked + FIRST) {
            self.hurry(now);
        }
    }

    fn revive(&mut self, now: Mono) {
        self.health = Health::Good;
        self.unanswered = 0;
        self.step = FIRST;
        self.next = now + KEEP;
    }

    /// RFC 6298 section 2.
    fn take(&mut self, round_trip: Nanos) {
        let round_trip = round_trip.max(Nanos::ZERO);
        self.least = Some(self.least.map_or(round_trip, |least| least.min(round_trip)));
        match self.smoothed {
            None => {
                self.smoothed = Some(round_trip);
                self.variation = Nanos(round_trip.0 / 2);
            }
            Some(smoothed) => {
                let off = (smoothed.0 - round_trip.0).abs();
                self.variation = Nanos(self.variation.0 / 4 * 3 + off / 4);
                self.smoothed = Some(Nanos(smoothed.0 / 8 * 7 + round_trip.0 / 8));
            }
        }
    }

    /// How long an answer may take.
    pub fn patience(&self) -> Duration {
        let Some(smoothed) = self.smoothed else {
            return UNKNOWN;
        };
        let three = smoothed.0.saturating_mul(3);
        let varied = smoothed.0.saturating_add(self.variation.0.saturating_mul(4));
        let nanos = u64::try_from(three.max(varied)).unwrap_or(0);
        Duration::from_nanos(nanos).clamp(SHORTEST, Duration::from_secs(3))
    }
}

/// Whether `other` is to be used instead of `current`, each with where it leads first.
///
/// What works goes before what does not, direct before relayed, and faster before slower where the difference is worth
/// the change: a fifth and a millisecond.
pub fn is_better((other, to): (&PeerPath, Via), (current, at): (&PeerPath, Via)) -> bool {
    if other.works() != current.works() {
        return other.works();
    }
    if !other.works() {
        // Where nobody was ever heard, somebody else may be.
        return other.heard_at().is_some() && other.health() > current.health();
    }
    if (to == Via::Direct) != (at == Via::Direct) {
        return to == Via::Direct;
    }
    match (other.round_trip(), current.round_trip()) {
        (Some(other), Some(current)) => {
            let gain = current.0 - other.0;
            gain > 1_000_000 && gain > current.0 / 5
        }
        (Some(_), None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way() -> PeerPath {
        PeerPath::new(Mono::default())
    }

    fn relay_is_better(relayed: &PeerPath, direct: &PeerPath) -> bool {
        is_better((relayed, Via::Channel(3)), (direct, Via::Direct))
    }

    fn direct_is_better(direct: &PeerPath, relayed: &PeerPath) -> bool {
        is_better((direct, Via::Direct), (relayed, Via::Channel(3)))
    }

    fn at(ms: u64) -> Mono {
        Mono::default() + Duration::from_millis(ms)
    }

    fn answer(way: &mut PeerPath, asked: u64, after: u64) {
        let question = way.poll(at(asked)).expect("due");
        way.answered(
            question.number,
            Nanos(after as i64 * 1_000_000),
            at(asked + after),
        );
    }

    #[test]
    fn nobody_answers_and_it_is_asked_ever_more_seldom() {
        let mut way = way();
        let mut asked = vec![];
        while asked.len() < 12 {
            let now = way.deadline();
            way.poll(now).expect("it wants to be asked at its deadline");
            asked.push(now.since(Mono::default()).as_millis() as u64);
        }
        assert_eq!(asked[..6], [0, 100, 300, 700, 1_500, 3_100]);
        assert_eq!(asked[11] - asked[10], 30_000);
        assert_eq!(way.health(), Health::Untried);
    }

    #[test]
    fn what_works_is_kept_warm_and_a_silence_under_traffic_shows_at_once() {
        let mut way = way();
        answer(&mut way, 0, 20);
        assert_eq!((way.health(), way.deadline()), (Health::Good, at(15_020)));
        way.sent(at(1_000));
        way.sent(at(1_050));
        assert_eq!(way.deadline(), at(1_100), "the round trip is 20 ms");
        let mut questions = 0;
        while way.health() != Health::Dead {
            let now = way.deadline();
            questions += u32::from(way.poll(now).is_some());
            assert!(now <= at(1_600), "at most half a second");
        }
        assert_eq!(questions, 5);
        way.answered(5, Nanos(20_000_000), at(1_700));
        assert_eq!(way.health(), Health::Good, "and back again");
    }

    #[test]
    fn an_answer_of_any_kind_ends_the_doubt() {
        let mut way = way();
        answer(&mut way, 0, 20);
        way.sent(at(1_000));
        way.poll(at(1_100)).expect("asked at once");
        assert_eq!(way.health(), Health::Doubtful);
        way.heard(at(1_110));
        assert_eq!(way.health(), Health::Good);
        assert_eq!(way.counts(), (2, 1));
    }

    #[test]
    fn hearing_somebody_is_no_proof_that_he_hears_us() {
        let mut way = way();
        way.heard(at(5));
        assert_eq!(way.health(), Health::Untried);
    }

    #[test]
    fn hearing_somebody_of_a_dead_way_only_makes_it_be_asked() {
        let mut way = way();
        answer(&mut way, 0, 20);
        way.refused();
        way.heard(at(500));
        assert_eq!((way.health(), way.deadline()), (Health::Dead, at(500)));
        answer(&mut way, 500, 20);
        assert_eq!(way.health(), Health::Good);
    }

    #[test]
    fn what_has_been_answered_works_and_is_asked_for_its_round_trip() {
        let mut way = way();
        way.proved(at(5));
        assert_eq!((way.health(), way.deadline()), (Health::Good, at(5)));
        answer(&mut way, 5, 20);
        assert_eq!(way.deadline(), at(15_025));
    }

    #[test]
    fn one_question_without_an_answer_yet_changes_no_way() {
        let (mut direct, mut relayed) = (way(), way());
        answer(&mut relayed, 0, 50);
        answer(&mut direct, 0, 20);
        direct.sent(at(1_000));
        direct.poll(at(1_100)).expect("overdue");
        assert_eq!(direct.health(), Health::Doubtful);
        assert!(!relay_is_better(&relayed, &direct) && direct_is_better(&direct, &relayed));
        direct.poll(at(1_200)).expect("overdue again");
        assert!(!relay_is_better(&relayed, &direct));
        direct.heard(at(1_210));
        direct.poll(at(1_300)).expect("it cannot hear us");
        assert!(relay_is_better(&relayed, &direct) && !direct_is_better(&direct, &relayed));
    }

    #[test]
    fn answers_that_nobody_asked_for_change_nothing() {
        let mut way = way();
        way.answered(7, Nanos(1), at(1));
        assert_eq!((way.health(), way.counts()), (Health::Untried, (0, 0)));
    }

    #[test]
    fn direct_goes_before_relayed_and_what_works_before_all() {
        let (mut direct, mut relayed) = (way(), way());
        assert!(!direct_is_better(&direct, &relayed) && !relay_is_better(&relayed, &direct));
        answer(&mut relayed, 0, 5);
        assert!(relay_is_better(&relayed, &direct) && !direct_is_better(&direct, &relayed));
        answer(&mut direct, 100, 40);
        assert!(direct_is_better(&direct, &relayed) && !relay_is_better(&relayed, &direct));
        direct.refused();
        assert!(relay_is_better(&relayed, &direct));
    }

    #[test]
    fn a_little_faster_is_not_worth_a_change() {
        let between = |one: &PeerPath, other: &PeerPath| is_better((one, Via::Direct), (other, Via::Direct));
        let (mut slow, mut fast) = (way(), way());
        answer(&mut slow, 0, 20);
        answer(&mut fast, 0, 18);
        assert!(!between(&fast, &slow));
        let mut faster = way();
        answer(&mut faster, 0, 10);
        assert!(between(&faster, &slow) && !between(&slow, &faster));
    }
}
