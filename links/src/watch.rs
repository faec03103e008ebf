//! The judge and the decider together.

use crate::{
    Change, Decider, Decision, Entry, Family, Held, Judge, LinkEvent, Sample, Settings, Share, Stall,
};
use halloo_base::Mono;
use std::collections::VecDeque;

/// What a [`Watch`] is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// News of a probe.
    Sample(Sample),
    /// News of a link.
    Event(LinkEvent),
}

/// What a [`Watch`] says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// This host stood still.
    Stall(Stall),
    /// A link is in another state.
    Change(Box<Change>),
    /// The traffic is to go elsewhere.
    Decision(Box<Decision>),
    /// Nothing was moved.
    Held(Held),
}

/// Judge and decider as one: tell it everything in order, wake it at its deadline, and hear what it says.
#[derive(Clone, Debug)]
pub struct Watch {
    judge: Judge,
    decider: Decider,
    said: VecDeque<Said>,
}

impl Watch {
    /// A watch that knows nothing yet. The settings have been [checked](Settings::check).
    pub fn new(settings: &Settings) -> Watch {
        Watch {
            judge: Judge::new(settings),
            decider: Decider::new(settings),
            said: VecDeque::new(),
        }
    }

    /// Takes news of a probe.
    pub fn observe(&mut self, sample: &Sample) {
        self.judge.observe(sample);
        self.settle(sample.at);
    }

    /// Takes news of a link.
    pub fn link_event(&mut self, event: &LinkEvent) {
        self.judge.link_event(event);
        self.settle(event.at);
    }

    /// Takes either.
    pub fn tell(&mut self, told: &Told) {
        match told {
            Told::Sample(sample) => self.observe(sample),
            Told::Event(event) => self.link_event(event),
        }
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Mono) {
        self.judge.wake(now);
        self.settle(now);
    }

    /// When it wants to be woken.
    pub fn deadline(&self) -> Option<Mono> {
        let judge = self.judge.deadline();
        judge.into_iter().chain(self.decider.deadline()).min()
    }

    /// These links carry, whoever decided that.
    pub fn adopt(&mut self, family: Family, carry: &[Share]) {
        self.decider.adopt(family, carry);
    }

    /// What it says, oldest first.
    pub fn next_said(&mut self) -> Option<Said> {
        self.said.pop_front()
    }

    /// The judge, to be asked.
    pub fn judge(&self) -> &Judge {
        &self.judge
    }

    /// The decider, to be asked.
    pub fn decider(&self) -> &Decider {
        &self.decider
    }

    fn settle(&mut self, now: Mono) {
        if let Some(stall) = self.judge.take_stall() {
            self.said.push_back(Said::Stall(stall));
        }
        while let Some(change) = self.judge.next_change() {
            self.said.push_back(Said::Change(Box::new(change)));
        }
        while let Some(decision) = self.decider.decide(now, &self.judge) {
            self.said.push_back(Said::Decision(Box::new(decision)));
        }
        while let Some(held) = self.decider.next_held() {
            self.said.push_back(Said::Held(held));
        }
    }
}

impl Told {
    /// When.
    pub fn at(&self) -> Mono {
        match self {
            Told::Sample(sample) => sample.at,
            Told::Event(event) => event.at,
        }
    }
}

impl From<Told> for Entry {
    fn from(told: Told) -> Entry {
        match told {
            Told::Sample(sample) => Entry::Sample(sample),
            Told::Event(event) => Entry::Event(event),
        }
    }
}

impl From<Said> for Entry {
    fn from(said: Said) -> Entry {
        match said {
            Said::Stall(stall) => Entry::Stall(stall),
            Said::Change(change) => Entry::State(change),
            Said::Decision(decision) => Entry::Decision(decision),
            Said::Held(held) => Entry::Held(held),
        }
    }
}
