//! What an answer changes in the account.

use crate::account::Account;
use crate::ring::Request;
use crate::wire::differ;
use crate::{Event, Exchange, Residence, Sink, Verdict};
use halloo_base::{
    FollowUp, Heard, Marks, Nanos, Path, ProbeId, Reason, Reflection, Seen, Stamp, StampSource,
};

/// An answer that came by the right path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// The probe that it answers.
    pub(crate) id: ProbeId,
    /// What it says.
    pub(crate) heard: Heard,
    /// The path it came by.
    pub(crate) path: Path,
    /// What its IP header said.
    pub(crate) marks: Option<Marks>,
    /// When it arrived.
    pub(crate) at: Stamp,
    /// When the first of it arrived, where it came by a stream.
    pub(crate) begun: Option<Stamp>,
    /// When this process looked at it.
    pub(crate) handled: Stamp,
    /// Its payload.
    pub(crate) bytes: usize,
}

impl Account {
    /// Takes an answer.
    pub(crate) fn answered(&mut self, answer: &Answer, sink: &mut dyn Sink) {
        self.look_at_clock(&answer.handled, sink);
        if answer.id.0 >= self.ring.next() {
            return self.unused(Reason::Foreign);
        }
        self.observe(answer);
        if let Some(told) = &answer.heard.reflection {
            if let Some(arrivals) = &told.arrivals {
                self.order.resynchronise(answer.id.0, self.ring.next(), arrivals);
            }
            self.listen(answer.id, told, sink);
        }
        let Some(probe) = self.ring.get(answer.id) else {
            self.unused.stale += 1;
            return;
        };
        if probe.is_answered() {
            return self.duplicate(answer, sink);
        }
        let in_time = self.is_in_time(&probe.exchange.t1, &answer.at);
        if !in_time && self.discards_late() {
            self.unused.stale += 1;
            return;
        }
        self.count_answered(answer.id);
        self.counts.late += u64::from(!in_time);
        self.count_order(answer);
        let steps = self.steps.count();
        // Still remembered: nothing above forgets a probe.
        let Some(probe) = self.ring.get_mut(answer.id) else {
            return;
        };
        probe.request = Request::Arrived;
        probe.settled = false;
        let exchange = &mut probe.exchange;
        exchange.verdict = if in_time { Verdict::Answered } else { Verdict::Late };
        exchange.clock_stepped |= probe.steps != steps;
        exchange.take(answer);
        exchange.measure();
        let exchange = *exchange;
        self.counts.refused += u64::from(exchange.is_refused());
        self.statistics.answered(&exchange);
        sink.record(Event::Exchange(exchange));
        self.enter_unsettled(answer.id, sink);
    }

    /// A further answer is told with its own times, and changes nothing of the first.
    fn duplicate(&mut self, answer: &Answer, sink: &mut dyn Sink) {
        let Some(probe) = self.ring.get(answer.id) else {
            return;
        };
        self.counts.duplicates += 1;
        let told = answer.heard.reflection.unwrap_or_default();
        if let (Some(first), Some(now)) = (probe.exchange.t2, told.received_at) {
            // One arrival at the responder makes one answer: two arrivals are two requests.
            let is_forward = first != now;
            self.counts.duplicates_forward += u64::from(is_forward);
            self.counts.duplicates_backward += u64::from(!is_forward);
            self.order
                .arrival(told.arrivals.map(|arrivals| arrivals.received));
        }
        let mut exchange = probe.exchange;
        exchange.verdict = Verdict::Duplicate;
        exchange.residence = None;
        exchange.take(answer);
        exchange.measure();
        sink.record(Event::Exchange(exchange));
    }

    /// What the responder tells about this and other probes.
    fn listen(&mut self, id: ProbeId, told: &Reflection, sink: &mut dyn Sink) {
        if let Some(follow_up) = told.follow_up {
            self.follow_up(&follow_up, sink);
        }
        let Some(arrivals) = &told.arrivals else { return };
        if let Some(beyond) = self.order.beyond(id.0, arrivals) {
            let request = if beyond.arrived {
                Request::Arrived
            } else {
                Request::Missing
            };
            let oldest = self.ring.oldest().max(*beyond.seqs.start());
            (oldest..=*beyond.seqs.end()).for_each(|seq| self.tell(ProbeId(seq), request, sink));
        }
        let reach = u64::from(arrivals.window_len.min(64));
        if !self.is_curious(id.0, reach) {
            return;
        }
        for back in 1..reach.min(id.0.saturating_add(1)) {
            let arrived = arrivals.window >> back & 1 == 1;
            self.tell(
                ProbeId(id.0 - back),
                if arrived {
                    Request::Arrived
                } else {
                    Request::Missing
                },
                sink,
            );
        }
    }

    /// An earlier answer's exact residence.
    fn follow_up(&mut self, told: &FollowUp, sink: &mut dyn Sink) {
        let newest = ProbeId(self.ring.next().saturating_sub(1));
        let Some(id) = Heard::plain(u64::from(told.low_bits), 32).resolve(newest) else {
            return;
        };
        self.tell(id, Request::Arrived, sink);
        let Some(probe) = self.ring.get_mut(id) else {
            return;
        };
        let is_answered = probe.is_answered();
        if told.residence < Nanos::ZERO || is_answered && probe.settled {
            return;
        }
        probe.exchange.reside(Residence {
            span: told.residence,
            exact: true,
        });
        if is_answered {
            self.settle_if_known(id, sink);
        }
    }

    fn count_order(&mut self, answer: &Answer) {
        let arrivals = answer.heard.reflection.and_then(|told| told.arrivals);
        let told = self
            .order
            .answered(answer.id.0, arrivals.map(|arrivals| arrivals.received));
        self.counts.reordered += u64::from(told.any);
        self.counts.reordered_forward += u64::from(told.forward);
        self.counts.reordered_backward += u64::from(told.backward);
    }

    /// What an answer shows of the path, whether it is the first or not.
    fn observe(&mut self, answer: &Answer) {
        let observed = &mut self.observed;
        match answer.heard {
            Heard { refusal: Some(_), .. } => {}
            Heard {
                reflection: Some(told),
                ..
            } if told.residence.is_some() => observed.structured += 1,
            _ => observed.plain += 1,
        }
        if let Some(marks) = answer.marks {
            let before = observed.marks.replace(marks);
            observed.backward_mark_changes += u64::from(before.is_some_and(|before| before != marks));
            observed.tos_rewritten += u64::from(marks.tos != self.tos);
            if let Some(ttl) = marks.ttl {
                observed.ttl_min = Some(observed.ttl_min.map_or(ttl, |least| least.min(ttl)));
                observed.ttl_max = Some(observed.ttl_max.map_or(ttl, |most| most.max(ttl)));
            }
        }
        let seen = answer.heard.reflection.and_then(|told| told.seen);
        if let Some(arrived) = seen.and_then(|seen| seen.tos) {
            observed.forward_marks.count(self.tos, arrived);
            let marks = Marks {
                tos: arrived,
                ttl: None,
            };
            if let (true, Some(came)) = (self.mirrors_marks, answer.marks) {
                observed.answer_tos = Some(marks.of_answer());
                observed.backward_marks.count(marks.of_answer(), came.tos);
            }
        }
        if let Some(seen) = seen {
            let mark = |seen: Seen| (seen.ttl, seen.tos);
            if let Some(before) = observed.seen.replace(seen) {
                observed.address_changes += u64::from(before.addr != seen.addr);
                observed.forward_mark_changes += u64::from(mark(before) != mark(seen));
            }
        }
    }
}

impl Exchange {
    /// Takes over what an answer says.
    fn take(&mut self, answer: &Answer) {
        self.t4 = Some(answer.handled);
        self.t4_kernel = Some(answer.at).filter(|at| at.source != StampSource::User);
        self.t4_first = answer.begun;
        self.clock_stepped |= differ(&answer.at, &answer.handled);
        self.path = answer.path;
        self.marks = answer.marks;
        self.options = answer.heard.options;
        self.refusal = answer.heard.refusal;
        self.bytes = u32::try_from(answer.bytes).unwrap_or(u32::MAX);
        let Some(told) = answer.heard.reflection else {
            return;
        };
        self.t2 = told.received_at;
        self.t2_kernel = told.kernel_stamped;
        self.clock_error = told.clock_error;
        self.seen = told.seen;
        // The exact residence may have overtaken the answer that it is about.
        let guess = told.residence.map(|span| Residence { span, exact: false });
        if let Some(residence) = self.residence.or(guess) {
            self.reside(residence);
        }
    }

    /// The residence is known, or known better.
    fn reside(&mut self, residence: Residence) {
        self.residence = Some(residence);
        self.t3 = self.t2.map(|t2| t2 + residence.span);
    }
}
