//! One request for datagrams on a socket of its own.

use super::{Arrival, Asker, REQUEST, State, Told};
use halloo_base::{Cx, Deadline, Input, Machine, Transmit, Unreachable};

/// What is told while it goes on. Called with the asker as it is then.
pub type Tell = Box<dyn FnMut(&Asker, Moment) + Send>;

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The host promised something.
    Granted,
    /// One of them came.
    Arrived(Arrival),
    /// The network says that the host is not reached.
    Unreachable(Unreachable),
    /// Nothing more will come, or be waited for.
    Ended,
}

/// An [`Asker`] as a machine with one UDP socket.
pub struct PingbackSession {
    asker: Asker,
    tell: Tell,
    begun: bool,
    ended: bool,
}

impl PingbackSession {
    /// One that asks as soon as it runs, and tells `tell` what becomes of it.
    pub fn new(asker: Asker, tell: Tell) -> PingbackSession {
        PingbackSession {
            asker,
            tell,
            begun: false,
            ended: false,
        }
    }

    /// The account.
    pub fn asker(&self) -> &Asker {
        &self.asker
    }

    fn hear(&mut self, input: &Input<'_>) {
        let Input::Datagram(rx) = input else { return };
        let before = self.asker.granted();
        let told = self.asker.hear(rx);
        if before.is_none() && self.asker.granted().is_some() {
            (self.tell)(&self.asker, Moment::Granted);
        }
        if let Ok(Told::Pingback(arrival)) = told {
            (self.tell)(&self.asker, Moment::Arrived(arrival));
        }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            (self.tell)(&self.asker, Moment::Ended);
        }
    }
}

impl Machine for PingbackSession {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if self.ended {
            return;
        }
        self.begun = true;
        match &input {
            Input::Stop | Input::Drain => return self.end(),
            Input::Unreachable(report, _) => {
                (self.tell)(&self.asker, Moment::Unreachable(report.clone()));
            }
            other => self.hear(other),
        }
        let room = cx.out.reserve(REQUEST, &[]);
        if let Some(len) = self.asker.send(&mut cx.env, room) {
            cx.out.commit(Transmit::to(self.asker.options().path), len);
        }
        if let State::Ended(_) = self.asker.state() {
            self.end();
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        if self.ended {
            return None;
        }
        // The first call is the driver's own.
        self.asker.due().filter(|_| self.begun)
    }

    fn finished(&self) -> bool {
        self.ended
    }
}
