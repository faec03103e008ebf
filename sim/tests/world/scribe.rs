//! A machine that follows a plan and writes down all that it is told.

use halloo_base::{
    CloseReason, ConnId, Cx, Deadline, Endpoint, Input, LinkId, Machine, Marks, Mono, Path, SocketId,
    SocketInput, Stamp, StreamInput, Transmit, TxTag, Unreachable,
};
use std::time::Duration;

/// An input, kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Wake,
    Datagram {
        path: Path,
        at: Stamp,
        marks: Marks,
        payload: Vec<u8>,
    },
    Frame {
        link: LinkId,
        bytes: Vec<u8>,
    },
    Opened(ConnId, Path),
    Data(ConnId, Vec<u8>, Stamp),
    Finished(ConnId),
    Closed(ConnId, CloseReason),
    Departed(TxTag, Stamp),
    Unreachable(Unreachable, Vec<u8>),
    Socket(SocketId, SocketInput),
    Link(LinkId, bool),
    Report,
    Stop,
}

/// What a plan may ask for.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Send(Transmit, Vec<u8>),
    Frame(LinkId, Vec<u8>),
    Connect(ConnId, Path),
    Write(ConnId, Option<TxTag>, Vec<u8>),
    Finish(ConnId),
    Abort(ConnId),
    Open(SocketId, Endpoint),
    Close(SocketId),
    /// Come to its own end.
    End,
}

/// Follows a plan whose times count from its first input; may echo besides.
#[derive(Default)]
pub(crate) struct Scribe {
    pub(crate) notes: Vec<(Mono, Told)>,
    pub(crate) started: Option<Mono>,
    plan: Vec<(Duration, Act)>,
    echo: bool,
    ended: bool,
    inexact: bool,
}

impl Scribe {
    /// Listens only.
    pub(crate) fn silent() -> Scribe {
        Scribe::default()
    }

    /// Sends datagrams and stream bytes back, and finishes streams that the peer finished.
    pub(crate) fn echo() -> Scribe {
        Scribe {
            echo: true,
            ..Scribe::default()
        }
    }

    /// Lets the timer's slack apply to its plan.
    pub(crate) fn inexact(self) -> Scribe {
        Scribe {
            inexact: true,
            ..self
        }
    }

    /// Adds a step to the plan.
    pub(crate) fn then(mut self, at: Duration, act: Act) -> Scribe {
        self.plan.push((at, act));
        self.plan.sort_by_key(|(at, _)| *at);
        self
    }

    /// Plans a datagram to `to`, where routing and the socket choose all else.
    pub(crate) fn send(self, at: Duration, to: &str, payload: &[u8]) -> Scribe {
        self.then(at, Act::Send(Transmit::to(path(to)), payload.to_vec()))
    }

    /// Plans `count` numbered datagrams, one each `gap`, tagged with their number.
    pub(crate) fn send_many(mut self, count: u64, gap: Duration, to: &str) -> Scribe {
        for n in 0..count {
            let how = Transmit {
                tag: Some(TxTag(n)),
                ..Transmit::to(path(to))
            };
            self = self.then(gap * n as u32, Act::Send(how, n.to_be_bytes().to_vec()));
        }
        self
    }

    /// The payloads of the datagrams received.
    pub(crate) fn payloads(&self) -> Vec<&[u8]> {
        let mut payloads = Vec::new();
        for (_, told) in &self.notes {
            if let Told::Datagram { payload, .. } = told {
                payloads.push(payload.as_slice());
            }
        }
        payloads
    }

    /// The kernel's stamps of the datagrams received, and when each was handled.
    pub(crate) fn arrivals(&self) -> Vec<(Stamp, Mono)> {
        let arrival = |(now, told): &(Mono, Told)| match told {
            Told::Datagram { at, .. } => Some((*at, *now)),
            _ => None,
        };
        self.notes.iter().filter_map(arrival).collect()
    }

    /// The departure stamps, by tag.
    pub(crate) fn departures(&self) -> Vec<(TxTag, Stamp)> {
        let departure = |(_, told): &(Mono, Told)| match told {
            Told::Departed(tag, at) => Some((*tag, *at)),
            _ => None,
        };
        self.notes.iter().filter_map(departure).collect()
    }

    /// The reports that something does not get through, and when they came.
    pub(crate) fn unreachables(&self) -> Vec<(Mono, &Unreachable)> {
        let mut reports = Vec::new();
        for (now, told) in &self.notes {
            if let Told::Unreachable(unreachable, _) = told {
                reports.push((*now, unreachable));
            }
        }
        reports
    }

    /// What those reports quote of the datagrams.
    pub(crate) fn quotes(&self) -> Vec<&[u8]> {
        let mut quotes = Vec::new();
        for (_, told) in &self.notes {
            if let Told::Unreachable(_, quote) = told {
                quotes.push(quote.as_slice());
            }
        }
        quotes
    }

    /// All stream bytes received, joined, and in how many pieces they came.
    pub(crate) fn stream(&self) -> (Vec<u8>, usize) {
        let pieces: Vec<&Vec<u8>> = self
            .notes
            .iter()
            .filter_map(|(_, told)| match told {
                Told::Data(_, bytes, _) => Some(bytes),
                _ => None,
            })
            .collect();
        (
            pieces.iter().flat_map(|piece| piece.iter().copied()).collect(),
            pieces.len(),
        )
    }

    /// All that it was told but wakes, in order.
    pub(crate) fn told(&self) -> Vec<&Told> {
        let all = self.notes.iter().map(|(_, told)| told);
        all.filter(|told| **told != Told::Wake).collect()
    }

    fn follow(&mut self, cx: &mut Cx<'_>) {
        let Some(started) = self.started else {
            return;
        };
        while let Some((at, _)) = self.plan.first() {
            if started + *at > cx.now() {
                return;
            }
            match self.plan.remove(0).1 {
                Act::Send(how, payload) => cx.out.datagram(how, &payload),
                Act::Frame(link, bytes) => cx.out.frame(link, &bytes),
                Act::Connect(id, path) => cx.out.connect(id, path),
                Act::Write(id, tag, bytes) => cx.out.write(id, tag, &bytes),
                Act::Finish(id) => cx.out.finish(id),
                Act::Abort(id) => cx.out.abort(id),
                Act::Open(id, endpoint) => cx.out.open(id, endpoint),
                Act::Close(id) => cx.out.close(id),
                Act::End => self.ended = true,
            }
        }
    }
}

/// To `remote`, the rest left to routing.
pub(crate) fn path(remote: &str) -> Path {
    let remote: std::net::SocketAddr = remote.parse().expect("an address with a port");
    let local = if remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    Path {
        link: LinkId(0),
        local: local.parse().expect("an address with a port"),
        remote,
    }
}

impl Machine for Scribe {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        self.started.get_or_insert(cx.now());
        let told = match input {
            Input::Wake => Told::Wake,
            Input::Datagram(rx) => {
                if self.echo {
                    cx.out.datagram(Transmit::to(rx.path), rx.payload);
                }
                Told::Datagram {
                    path: rx.path,
                    at: rx.at,
                    marks: rx.marks,
                    payload: rx.payload.to_vec(),
                }
            }
            Input::Frame(rx) => Told::Frame {
                link: rx.link,
                bytes: rx.bytes.to_vec(),
            },
            Input::Stream(id, StreamInput::Opened { path, .. }) => Told::Opened(id, path),
            Input::Stream(id, StreamInput::Data { bytes, at }) => {
                if self.echo {
                    cx.out.write(id, None, bytes);
                }
                Told::Data(id, bytes.to_vec(), at)
            }
            Input::Stream(id, StreamInput::Finished) => {
                if self.echo {
                    cx.out.finish(id);
                }
                Told::Finished(id)
            }
            Input::Stream(id, StreamInput::Closed(why)) => Told::Closed(id, why),
            Input::Departed(tag, at) => Told::Departed(tag, at),
            Input::Unreachable(unreachable, quote) => Told::Unreachable(unreachable, quote.to_vec()),
            Input::Socket(id, outcome) => Told::Socket(id, outcome),
            Input::LinkChanged(link, up) => Told::Link(link, up),
            Input::Report => Told::Report,
            Input::Stop => Told::Stop,
            other => panic!("the world tells nothing like {other:?}"),
        };
        self.notes.push((cx.now(), told));
        self.follow(cx);
    }

    fn deadline(&self) -> Option<Deadline> {
        let (at, _) = self.plan.first()?;
        Some(Deadline {
            exact: !self.inexact,
            ..Deadline::new(self.started? + *at, "plan")
        })
    }

    fn finished(&self) -> bool {
        self.ended
    }
}
