//! All distributions of a session.

use crate::oneway::{OneWayMeter, Sample};
use crate::statistic::{Distribution, Precision};
use crate::{Budget, Exchange, OneWay, Sources, Statistic};
use halloo_base::{Nanos, Stamp, StampSource};

/// What is measured, each quantity where it becomes known.
#[derive(Debug)]
pub(crate) struct Statistics {
    /// By exact residences, or where there is none to know.
    wire: Distribution,
    /// By the responder's guess: upper bounds.
    wire_guessed: Distribution,
    pub(crate) host: Distribution,
    pub(crate) intended: Distribution,
    pub(crate) ipdv: Distribution,
    pub(crate) connect: Distribution,
    pub(crate) secure: Distribution,
    pub(crate) first_byte: Distribution,
    pub(crate) total: Distribution,
    /// By exact residences.
    one_way: OneWayMeter,
    /// By the responder's guess, which ends before its answer leaves: backward delays too long by the rest.
    one_way_guessed: OneWayMeter,
    pub(crate) sources: Sources,
    slot_error: Distribution,
    send_delay: Distribution,
    receive_delay: Distribution,
    residence: Distribution,
    residence_exact: u64,
    planned: bool,
    /// How far this host's wall clock may be from UTC, as it was last known.
    pub(crate) clock_error: Option<Nanos>,
}

impl Statistics {
    /// `planned`: there are slots, so that lateness means something.
    pub(crate) fn new(planned: bool) -> Statistics {
        let [wire, wire_guessed, host, intended] = [0; 4].map(|_| Distribution::new(Precision::Thousandth));
        let coarse = || Distribution::new(Precision::Hundredth);
        Statistics {
            wire,
            wire_guessed,
            host,
            intended,
            ipdv: coarse(),
            connect: coarse(),
            secure: coarse(),
            first_byte: coarse(),
            total: coarse(),
            one_way: OneWayMeter::new(),
            one_way_guessed: OneWayMeter::new(),
            sources: Sources::default(),
            slot_error: coarse(),
            send_delay: coarse(),
            receive_delay: coarse(),
            residence: coarse(),
            residence_exact: 0,
            planned,
            clock_error: None,
        }
    }

    /// A probe left.
    pub(crate) fn sent(&mut self, exchange: &Exchange) {
        if self.planned {
            self.slot_error.record(exchange.slot_error);
        }
    }

    /// A probe was answered for the first time. Who says no may be nearer than whom the probe was meant for, so
    /// that its round trip is none of the path's.
    pub(crate) fn answered(&mut self, exchange: &Exchange) {
        if exchange.is_refused() {
            return;
        }
        if let Some(host) = exchange.host {
            self.host.record(host);
        }
        if let Some(total) = exchange.total {
            self.total.record(total);
        }
        if let Some(intended) = exchange.intended.filter(|_| self.planned) {
            self.intended.record(intended);
        }
        if let (Some(user), Some(kernel)) = (exchange.t4, exchange.t4_kernel) {
            self.receive_delay.record(user.mono - kernel.mono);
        }
    }

    /// All is known about an answered probe. `comparable`: the wall clock has not been stepped since it left.
    pub(crate) fn settled(&mut self, exchange: &Exchange, comparable: bool) {
        if exchange.is_refused() {
            return;
        }
        if let Some(wire) = exchange.wire {
            let guessed = exchange.is_wire_guessed();
            let distribution = if guessed {
                &mut self.wire_guessed
            } else {
                &mut self.wire
            };
            distribution.record(wire);
        }
        if let Some(first_byte) = exchange.first_byte {
            self.first_byte.record(first_byte);
        }
        if let Some(kernel) = exchange.t1_kernel {
            self.send_delay.record(kernel.mono - exchange.t1.mono);
        }
        if let Some(residence) = exchange.residence {
            self.residence.record(residence.span);
            self.residence_exact += u64::from(residence.exact);
        }
        if comparable && let Some(sample) = self.one_way_sample(exchange) {
            let guessed = exchange.is_wire_guessed();
            let meter = if guessed {
                &mut self.one_way_guessed
            } else {
                &mut self.one_way
            };
            meter.record(sample);
        }
        self.count_sources(exchange);
    }

    /// Two neighbouring probes are settled.
    pub(crate) fn neighbours(&mut self, a: Nanos, b: Nanos) {
        self.ipdv.record((a - b).abs());
    }

    /// This host's wall clock was stepped.
    pub(crate) fn clock_stepped(&mut self) {
        self.one_way.restart();
        self.one_way_guessed.restart();
    }

    /// By exact residences where there are enough of them; the guessed ones never come among them.
    pub(crate) fn one_way(&self) -> Option<OneWay> {
        self.one_way.one_way().or_else(|| self.one_way_guessed.one_way())
    }

    /// Exact wire round trips where there are any: a few upper bounds among them, of the last probe at least, would
    /// be the longest. Otherwise the upper bounds.
    pub(crate) fn wire(&self) -> Option<Statistic> {
        self.wire.statistic().or_else(|| self.wire_guessed.statistic())
    }

    /// How many wire round trips are upper bounds.
    pub(crate) fn wire_guessed(&self) -> u64 {
        self.wire_guessed.count()
    }

    pub(crate) fn budget(&self) -> Budget {
        Budget {
            slot_error: self.slot_error.statistic(),
            send_delay: self.send_delay.statistic(),
            receive_delay: self.receive_delay.statistic(),
            residence: self.residence.statistic(),
            residence_exact: self.residence_exact,
        }
    }

    fn count_sources(&mut self, exchange: &Exchange) {
        let sources = &mut self.sources;
        *match exchange.t1_kernel.map(|stamp| stamp.source) {
            Some(StampSource::Hardware) => &mut sources.t1_hardware,
            Some(StampSource::Kernel) => &mut sources.t1_kernel,
            Some(StampSource::User) | None => &mut sources.t1_user,
        } += 1;
        *match exchange.t4_kernel.map(|stamp| stamp.source) {
            Some(StampSource::Hardware) => &mut sources.t4_hardware,
            Some(StampSource::Kernel) => &mut sources.t4_kernel,
            Some(StampSource::User) | None => &mut sources.t4_user,
        } += 1;
        if exchange.t2.is_some() {
            let by_kernel = exchange.t2_kernel;
            *if by_kernel {
                &mut sources.t2_kernel
            } else {
                &mut sources.t2_user
            } += 1;
        }
    }

    /// The best stamps of each instant: the kernel's where there are some, this process's otherwise.
    fn one_way_sample(&self, exchange: &Exchange) -> Option<Sample> {
        if exchange.clock_stepped {
            return None;
        }
        let t1: Stamp = exchange.t1_kernel.unwrap_or(exchange.t1);
        let t4: Stamp = exchange.t4_kernel.or(exchange.t4)?;
        let claimed = self.clock_error.zip(exchange.clock_error);
        Some(Sample {
            at: t4.mono,
            forward: exchange.t2? - t1.wall,
            backward: t4.wall - exchange.t3?,
            claimed: claimed.map(|(ours, theirs)| ours + theirs),
        })
    }
}
