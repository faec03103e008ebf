//! Sessions in QUIC, and what is told of their connections.

use super::plan::Plan;
use super::session::{About, secured_name};
use super::sink::RingSink;
use super::text::break_words;
use crate::format::millis;
use anyhow::Result;
use halloo_base::{AnyProber, Machine};
use halloo_probe::{Break, DatagramSession, SessionOptions, StreamSession};
use halloo_quic::{
    Client, ClientOptions, EarlyData, Moving, QuicDatagrams, QuicEvent, QuicSink, QuicStreams, Resuming,
};
use rtrb::{Consumer, Producer, RingBuffer};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Longer pauses are bridged by signs of life, or the connection would be gone by the next probe.
const QUIET: Duration = Duration::from_secs(10);
/// Events that wait to be printed; of a connection there are few.
const WAITING: usize = 256;

/// What a command line asks of QUIC.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QuicPlan {
    /// Whether the first probe leaves before the handshake is complete.
    pub(crate) zero_rtt: bool,
    /// After how long the connection goes on from another port.
    pub(crate) migrate: Option<Duration>,
}

/// Where a machine's events go: to the thread that prints.
struct Told {
    events: Producer<QuicEvent>,
    screen: Thread,
}

impl QuicSink for Told {
    fn record(&mut self, event: QuicEvent) {
        // A connection that breaks again and again is told of by its session too.
        let _ = self.events.push(event);
        self.screen.unpark();
    }
}

/// A session whose streams or datagrams go in QUIC, and what is told of its connection. The other port is the one to move to.
///
/// # Errors
/// If the target has a name that no certificate can be for, or TLS cannot be had.
pub(super) fn machine(
    about: &About,
    plan: &Plan,
    options: SessionOptions,
    prober: AnyProber,
    sink: RingSink,
    other_port: Option<u16>,
) -> Result<(Box<dyn Machine>, Consumer<QuicEvent>)> {
    let tls = plan.trust.client(&[halloo_quic::ALPN])?;
    let moving = plan.quic.migrate.zip(other_port);
    let quic = ClientOptions {
        keep_alive: (about.spacing >= QUIET).then_some(QUIET),
        tos: plan.tos,
        early_data: plan.quic.zero_rtt,
        moving: moving.map(|(after, port)| Moving { after, port }),
        ..ClientOptions::default()
    };
    let client = Client::new(&tls, &secured_name(&about.target)?, quic)?;
    let (events, told) = RingBuffer::new(WAITING);
    let screen = thread::current();
    let told_to = Box::new(Told { events, screen });
    let (path, base) = (options.path, Instant::now());
    let machine: Box<dyn Machine> = match prober {
        AnyProber::Stream(prober) => {
            let session = StreamSession::new(options, prober, Box::new(sink))?;
            let machine = QuicStreams::new(session, client.clone(), base, told_to);
            match plan.quic.zero_rtt {
                true => Box::new(Resuming::new(machine, client, path, base)),
                false => Box::new(machine),
            }
        }
        AnyProber::Datagram(prober) => {
            let session = DatagramSession::new(options, prober, Box::new(sink))?;
            let machine = QuicDatagrams::new(session, client.clone(), path, base, told_to);
            match plan.quic.zero_rtt {
                true => Box::new(Resuming::new(machine, client, path, base)),
                false => Box::new(machine),
            }
        }
    };
    Ok((machine, told))
}

/// What became of early data, in one word.
pub(super) fn early(early: EarlyData) -> &'static str {
    match early {
        EarlyData::None => "none",
        EarlyData::Accepted => "accepted",
        EarlyData::Refused => "refused",
    }
}

/// An event in words, and whether it is bad news; nothing where the session says it.
pub(super) fn notice(about: &About, event: &QuicEvent) -> Option<(bool, String)> {
    match event {
        QuicEvent::Connected {
            took, resumed, early, ..
        } => {
            let resumed = match resumed {
                Some(true) => ", resumed",
                _ => "",
            };
            let (bad, early) = match early {
                EarlyData::None if about.is_stream() && resumed.is_empty() => return None,
                EarlyData::None => (false, ""),
                EarlyData::Accepted => (false, ", early data accepted"),
                EarlyData::Refused => (true, ", early data refused"),
            };
            let took = millis((*took).into());
            Some((bad, format!("handshake {took} ms{resumed}{early}")))
        }
        QuicEvent::Moved { path, took, .. } => {
            let text = format!(
                "moved to port {}: the host has seen it after {} ms",
                path.local.port(),
                millis((*took).into())
            );
            Some((false, text))
        }
        QuicEvent::Lost { why, .. } if !about.is_stream() => {
            Some((true, break_words(about, Break::Closed(*why))))
        }
        _ => None,
    }
}
