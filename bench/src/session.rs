//! Round trips as `halloo ping` measures them: a session in a worker, with the kernel's stamps.

use anyhow::{Context, Result, bail};
use halloo_base::{AnyProber, LinkId, Path};
use halloo_io::{UdpOptions, UdpSocket, Worker, WorkerOptions};
use halloo_probe::{DatagramSession, Event, SessionOptions, Sink};
use halloo_protocols::{ProberOptions, echo};
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Round trips of one session, nanoseconds.
#[derive(Default)]
pub(crate) struct Trips {
    /// From kernel to kernel, without the responder's time.
    pub(crate) wire: Vec<u64>,
    /// As this process saw them.
    pub(crate) host: Vec<u64>,
    pub(crate) lost: usize,
}

struct Channel(SyncSender<Event>);

impl Sink for Channel {
    fn record(&mut self, event: Event) {
        // The channel has room for the whole session.
        let _ = self.0.try_send(event);
    }
}

/// Sends `count` probes, one an `interval`, and waits for their ends.
pub(crate) fn run(source: IpAddr, target: SocketAddr, interval: Duration, count: usize) -> Result<Trips> {
    let (sender, events) = sync_channel(count * 4 + 64);
    let path = Path {
        link: LinkId(0),
        local: SocketAddr::new(source, 0),
        remote: target,
    };
    let options = SessionOptions {
        interval,
        count: count as u64,
        lost_after: Duration::from_secs(1),
        ..SessionOptions::new(0, path)
    };
    let new = echo::UDP.prober.context("UDP echo has a prober")?;
    let AnyProber::Datagram(prober) = new(&ProberOptions {
        token: u64::from(std::process::id()) << 32 | count as u64,
        ..ProberOptions::default()
    }) else {
        bail!("UDP echo asks by datagrams")
    };
    let session = DatagramSession::new(options, prober, Box::new(Channel(sender)))?;
    let mut worker = Worker::new(WorkerOptions::default())?;
    let machine = worker.add(Box::new(session));
    let socket = UdpSocket::bind(&UdpOptions {
        local: SocketAddr::new(source, 0),
        prober: true,
        ..UdpOptions::default()
    })?;
    worker.udp(socket, machine)?;
    worker.run()?;
    drop(worker);
    Ok(settled(&events))
}

fn settled(events: &Receiver<Event>) -> Trips {
    let mut trips = Trips::default();
    for event in events {
        let Event::Settled(exchange) = event else { continue };
        match exchange.host {
            Some(host) => trips.host.push(host.0.max(0) as u64),
            None => trips.lost += 1,
        }
        trips.wire.extend(exchange.wire.map(|wire| wire.0.max(0) as u64));
    }
    trips
}
