//! A session that asks by datagrams.

use crate::account::Account;
use crate::answer::Answer;
use crate::schedule::Schedule;
use crate::{Ended, Event, OptionsError, SessionOptions, Sink};
use halloo_base::{
    Cx, Datagram, Deadline, Input, LinkId, Machine, Mono, Path, ProbeId, Prober, Reason, Stamp, Transmit,
    TxTag,
};
use std::net::SocketAddr;

/// Asks by datagrams on one path: a probe a slot, until the count, the deadline or the stop.
///
/// The session ends by itself when all probes that were asked for are answered or lost; its last event is the
/// [`Event::Summary`], and it is [`finished`](Machine::finished) then.
pub struct DatagramSession {
    options: SessionOptions,
    prober: Box<dyn Prober>,
    sink: Box<dyn Sink>,
    schedule: Schedule,
    account: Account,
    started: Option<Stamp>,
    ended: bool,
}

impl DatagramSession {
    /// A session that begins with its first input. All its memory is taken here.
    ///
    /// # Errors
    /// Options that make no session.
    pub fn new(
        options: SessionOptions,
        prober: Box<dyn Prober>,
        sink: Box<dyn Sink>,
    ) -> Result<DatagramSession, OptionsError> {
        options.check_datagrams()?;
        Ok(DatagramSession {
            schedule: Schedule::new(&options),
            account: Account::new(&options),
            options,
            prober,
            sink,
            started: None,
            ended: false,
        })
    }

    fn hear(&mut self, cx: &mut Cx<'_>, rx: &Datagram<'_>) {
        let handled = cx.env.clock.stamp();
        match self.match_answer(rx) {
            Ok((id, heard)) => {
                let answer = Answer {
                    id,
                    heard,
                    path: rx.path,
                    marks: Some(rx.marks),
                    at: rx.at,
                    begun: None,
                    handled,
                    bytes: heard.length.unwrap_or(rx.payload.len()),
                };
                self.account.look_at_quality(&cx.env);
                self.account.answered(&answer, &mut *self.sink);
            }
            Err(why) => self.account.unused(why),
        }
    }

    /// Which probe a datagram answers, if it is one of ours and came back by the way that one went.
    fn match_answer(&mut self, rx: &Datagram<'_>) -> Result<(ProbeId, halloo_base::Heard), Reason> {
        let heard = self.prober.recognise(rx)?;
        let newest = self.account.next_id().0.checked_sub(1).ok_or(Reason::Foreign)?;
        let id = match heard.bits {
            0 => self.account.oldest_in_flight(),
            _ => heard.resolve(ProbeId(newest)),
        };
        let id = id.filter(|id| id.0 <= newest).ok_or(Reason::Foreign)?;
        if !is_same_path(&self.options.path, &rx.path) {
            return Err(Reason::WrongPath);
        }
        Ok((id, heard))
    }

    /// Which probe an error report quotes.
    fn match_quote(&self, quoted: &[u8]) -> Option<ProbeId> {
        let newest = self.account.next_id().0.checked_sub(1)?;
        let id = self.prober.quoted(quoted)?.resolve(ProbeId(newest))?;
        (id.0 <= newest).then_some(id)
    }

    /// Sends what is due.
    fn send(&mut self, cx: &mut Cx<'_>) {
        while let Some(slot) = self.schedule.take(cx.now(), self.account.in_flight()) {
            let sink = &mut *self.sink;
            self.account.make_room(sink);
            let (id, path, size) = (self.account.next_id(), self.options.path, self.options.size);
            let request = cx.out.reserve(size, &[]);
            let made = self.prober.request(&mut cx.env, id, request);
            let t1 = cx.env.clock.stamp();
            let Some(len) = made else {
                self.account.unsent(slot, t1, path, size, sink);
                return self.end(cx, Ended::Unsendable);
            };
            let tag = self.options.departure_stamps.then_some(TxTag(id.0));
            cx.out.commit(
                Transmit {
                    tos: self.options.tos,
                    tag,
                    ..Transmit::to(path)
                },
                len,
            );
            self.account.sent(slot, t1, path, len, sink);
        }
    }

    fn is_decided(&self) -> bool {
        self.schedule.is_exhausted() && self.account.is_decided()
    }

    /// Until when the end waits for the last departure stamp, once all else is decided.
    fn departure_awaited(&self) -> Option<Mono> {
        self.account.departure_awaited().filter(|_| self.is_decided())
    }

    fn end(&mut self, cx: &mut Cx<'_>, why: Ended) {
        self.account.close(cx.now(), &mut *self.sink);
        self.ended = true;
        self.report(cx, Some(why));
    }

    fn report(&mut self, cx: &mut Cx<'_>, ended: Option<Ended>) {
        let Some(started) = self.started else { return };
        let summary = self
            .account
            .summary(started, cx.now(), ended, self.schedule.missed());
        self.sink.record(Event::Summary(Box::new(summary)));
    }

    fn ends_at(&self) -> Option<Mono> {
        Some(self.started?.mono + self.options.deadline?)
    }
}

impl Machine for DatagramSession {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if self.ended {
            return;
        }
        if self.started.is_none() {
            self.started = Some(cx.env.clock.stamp());
            self.schedule.begin(cx.now());
        }
        // A refused probe makes room for the next, which may be refused while it is sent: that one waits for the wake.
        let is_report = matches!(input, Input::Unreachable(..));
        let sink = &mut *self.sink;
        match input {
            Input::Datagram(rx) => self.hear(cx, &rx),
            Input::Departed(tag, at) => self.account.departed(ProbeId(tag.0), at, sink),
            Input::Unreachable(report, quoted) => {
                let id = report.tag.map(|tag| ProbeId(tag.0));
                let id = id.or_else(|| self.match_quote(quoted));
                self.account.refused(cx.now(), &report, id, &mut *self.sink);
            }
            Input::LinkChanged(link, up) if self.options.concerns(link) => {
                sink.record(Event::LinkChanged {
                    session: self.options.id,
                    at: cx.now(),
                    link,
                    up,
                });
            }
            Input::Report => self.report(cx, None),
            Input::Drain => self.schedule.close(),
            Input::Stop => return self.end(cx, Ended::Stopped),
            _ => {}
        }
        if self.ends_at().is_some_and(|at| at <= cx.now()) {
            return self.end(cx, Ended::Deadline);
        }
        self.account.advance(cx.now(), &mut *self.sink);
        if !is_report {
            self.send(cx);
        }
        let is_done = self.is_decided() && self.departure_awaited().is_none_or(|until| until <= cx.now());
        if is_done && !self.ended {
            self.end(cx, self.schedule.ended());
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        if self.ended {
            return None;
        }
        if self.started.is_none() {
            return Some(Deadline::new(Mono(0), "start"));
        }
        let slot = self.schedule.next(self.account.in_flight());
        let slot = slot.map(|at| Deadline {
            at,
            why: "slot",
            exact: self.schedule.is_exact(),
        });
        let end = self.ends_at().map(|at| Deadline::new(at, "end"));
        let departure = self.departure_awaited().map(|at| Deadline::new(at, "departure"));
        [end, departure, self.account.deadline()]
            .into_iter()
            .fold(slot, Deadline::earlier)
    }

    fn finished(&self) -> bool {
        self.ended
    }
}

/// Whether what was heard came back by the path that was asked for: the same far end always, the same near end and
/// link where they are pinned.
pub(crate) fn is_same_path(asked: &Path, heard: &Path) -> bool {
    let address = |end: SocketAddr| (end.ip().to_canonical(), end.port());
    let scope = |end: SocketAddr| match end {
        SocketAddr::V6(end) => end.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    let (asked_scope, heard_scope) = (scope(asked.remote), scope(heard.remote));
    let is_any_ip = asked.local.ip().is_unspecified();
    let is_any_port = asked.local.port() == 0;
    address(asked.remote) == address(heard.remote)
        && (asked_scope == 0 || heard_scope == 0 || asked_scope == heard_scope)
        && (is_any_ip || address(asked.local).0 == address(heard.local).0)
        && (is_any_port || asked.local.port() == heard.local.port())
        && (asked.link == LinkId::default() || asked.link == heard.link)
}

#[cfg(test)]
mod tests;
