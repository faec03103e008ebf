//! The counters of a listener, for people and for programs.

use crate::format::counted;
use crate::json::{Head, ServeCounters};
use halloo_base::{Clock, Counters, Reason, Snapshot, Transport};
use halloo_io::SystemClock;
use halloo_protocols::{Protocol, quic};
use halloo_web::{HttpServer, Tally};
use std::sync::Arc;

/// What is counted for one protocol, and on one device where it has some of its own.
pub(crate) struct Counted {
    pub(super) protocol: &'static Protocol,
    pub(super) device: Option<String>,
    pub(super) source: Source,
}

/// Who counts.
pub(super) enum Source {
    /// Our threads, each for itself.
    Threads(Vec<Arc<Counters>>),
    /// Questions where an echo address is, which the same thread answers.
    Neighbours(Arc<Counters>),
    /// A driver, before anything came to a thread.
    Driver(Snapshot),
    /// Requests on the connections of a web server, of which there may be many on one.
    Requests(Arc<Counters>, Arc<Tally>),
    /// Somebody who is to be asked.
    Asked(Box<dyn Fn() -> Snapshot + Send>),
}

/// Counters at zero.
pub(crate) fn counters(protocol: &'static Protocol) -> Counted {
    Counted {
        protocol,
        device: None,
        source: Source::Threads(vec![]),
    }
}

/// What was asked for on the connections of a web server.
pub(super) fn requests(protocol: &'static Protocol, server: &HttpServer) -> Counted {
    Counted {
        source: Source::Requests(Arc::clone(server.requests()), Arc::clone(server.tally())),
        ..counters(protocol)
    }
}

impl Counted {
    /// One more thread's counters.
    pub(super) fn thread(&mut self) -> Arc<Counters> {
        let counters = Arc::new(Counters::default());
        if let Source::Threads(threads) = &mut self.source {
            threads.push(Arc::clone(&counters));
        }
        counters
    }

    /// All of it now.
    pub(super) fn snapshot(&self) -> Snapshot {
        match &self.source {
            Source::Threads(threads) => sum(threads.iter().map(|thread| thread.snapshot())),
            Source::Neighbours(counters) | Source::Requests(counters, _) => counters.snapshot(),
            Source::Driver(done) => done.clone(),
            Source::Asked(ask) => ask(),
        }
    }

    /// `UDP echo`, `IP echo on halloo0`, `IP echo by xdp on eth0`
    fn title(&self) -> String {
        let what = match self.source {
            Source::Threads(_) | Source::Asked(_) => self.protocol.name.to_owned(),
            Source::Neighbours(_) => "ARP and neighbour discovery".to_owned(),
            Source::Requests(..) => format!("{} requests", self.protocol.name),
            Source::Driver(_) => format!("{} by xdp", self.protocol.name),
        };
        match &self.device {
            Some(device) => format!("{what} on {device}"),
            None => what,
        }
    }

    /// A line for what was answered, and one for each reason why something was not.
    pub(crate) fn lines(&self) -> Vec<String> {
        let now = self.snapshot();
        let head = format!("{:<8} ", self.title());
        let noun = match self.source {
            Source::Neighbours(_) => "question",
            Source::Requests(..) => "request",
            _ => "datagram",
        };
        let is_stream = self.protocol.transport == Transport::Tcp
            || [quic::QUIC.scheme, quic::HTTP3.scheme].contains(&self.protocol.scheme);
        let is_stream = is_stream && !matches!(self.source, Source::Requests(..));
        let mut lines = vec![match is_stream {
            true => format!(
                "{head} {}, {} admitted, {} in, {} out",
                counted(now.received, "connection"),
                now.replied,
                counted(now.received_bytes, "byte"),
                counted(now.replied_bytes, "byte")
            ),
            false => format!(
                "{head} {} received ({}), {} answered ({})",
                counted(now.received, noun),
                counted(now.received_bytes, "byte"),
                now.replied,
                counted(now.replied_bytes, "byte")
            ),
        }];
        if now.promised > 0 {
            let sent = counted(now.promised, "datagram");
            let bytes = counted(now.promised_bytes, "byte");
            lines.push(format!("          {sent} sent later, as promised ({bytes})"));
        }
        if now.warned > 0 {
            let told = counted(now.warned, "datagram");
            let bytes = counted(now.warned_bytes, "byte");
            lines.push(format!(
                "          {told} told who asks too often to ask less ({bytes})"
            ));
        }
        if let Source::Requests(_, tally) = &self.source {
            for part in [tally.kinds(), tally.statuses()] {
                let words: Vec<_> = part.iter().map(|(name, n)| format!("{n} {name}")).collect();
                lines.extend((!words.is_empty()).then(|| format!("          {}", words.join(", "))));
            }
        }
        let width = now
            .silent
            .iter()
            .map(|(_, n)| n.to_string().len())
            .max()
            .unwrap_or(0);
        lines.extend(
            now.silent
                .iter()
                .map(|(why, n)| format!("          {n:>width$} {}", why.name())),
        );
        lines
    }

    pub(crate) fn object(&self, last: bool) -> ServeCounters {
        let Snapshot {
            received,
            received_bytes,
            replied,
            replied_bytes,
            promised,
            promised_bytes,
            warned,
            warned_bytes,
            silent,
        } = self.snapshot();
        let (protocol, service) = match self.source {
            Source::Threads(_) | Source::Asked(_) => (self.protocol.scheme, None),
            Source::Neighbours(_) => ("neighbours", Some(self.protocol.scheme)),
            Source::Requests(..) => (self.protocol.scheme, Some("requests")),
            Source::Driver(_) => ("xdp", Some(self.protocol.scheme)),
        };
        let tally = match &self.source {
            Source::Requests(_, tally) => Some(tally),
            _ => None,
        };
        ServeCounters {
            head: Head::new("counters"),
            time_ns: SystemClock.stamp().wall.0,
            protocol,
            service,
            device: self.device.clone(),
            last,
            received,
            received_bytes,
            replied,
            replied_bytes,
            promised,
            promised_bytes,
            warned,
            warned_bytes,
            kinds: tally.map(|tally| tally.kinds().into_iter().collect()),
            statuses: tally.map(|tally| tally.statuses().into_iter().collect()),
            silent: silent.into_iter().map(|(why, n)| (why.name(), n)).collect(),
        }
    }
}

fn sum(parts: impl Iterator<Item = Snapshot>) -> Snapshot {
    let mut whole = Snapshot::default();
    let mut silent = [0; Reason::ALL.len()];
    for part in parts {
        whole.received += part.received;
        whole.received_bytes += part.received_bytes;
        whole.replied += part.replied;
        whole.replied_bytes += part.replied_bytes;
        whole.promised += part.promised;
        whole.promised_bytes += part.promised_bytes;
        whole.warned += part.warned;
        whole.warned_bytes += part.warned_bytes;
        for (why, n) in part.silent {
            silent[why as usize] += n;
        }
    }
    let counts = Reason::ALL.iter().copied().zip(silent);
    whole.silent = counts.filter(|&(_, n)| n > 0).collect();
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use halloo_protocols::{echo, ip_echo};

    #[test]
    fn counters_read_as_sentences_and_silence_has_its_reasons() {
        let mut udp = counters(&echo::UDP);
        let thread = udp.thread();
        thread.receive(64);
        thread.receive(1);
        thread.reply(64);
        thread.silent(Reason::Loop);
        let lines = [
            "UDP echo  2 datagrams received (65 bytes), 1 answered (64 bytes)",
            "          1 loop",
        ];
        assert_eq!(udp.lines(), lines);
        let tcp = counters(&echo::TCP);
        assert_eq!(
            tcp.lines(),
            ["TCP echo  0 connections, 0 admitted, 0 bytes in, 0 bytes out"]
        );
    }

    #[test]
    fn requests_stand_apart_from_the_connections_that_they_came_by() {
        let requests = Arc::<Counters>::default();
        requests.receive(0);
        requests.read(5);
        requests.reply(300);
        requests.receive(0);
        requests.silent(Reason::NotServed);
        let counted = Counted {
            source: Source::Requests(requests, Arc::default()),
            ..counters(&halloo_protocols::http::HTTP)
        };
        let lines = [
            "HTTP requests  2 requests received (5 bytes), 1 answered (300 bytes)",
            "          1 not_served",
        ];
        assert_eq!(counted.lines(), lines);
        let object = counted.object(false);
        assert_eq!((object.protocol, object.service), ("http", Some("requests")));
        assert!(object.kinds.is_some_and(|kinds| kinds.is_empty()));
        assert!(counters(&echo::UDP).object(false).statuses.is_none());
    }

    #[test]
    fn threads_of_one_device_are_added_up() {
        let mut ip = Counted {
            device: Some("halloo0".into()),
            ..counters(&ip_echo::IP)
        };
        for bytes in [20, 30] {
            let thread = ip.thread();
            thread.receive(bytes);
            thread.silent(Reason::Icmp);
        }
        ip.thread().silent(Reason::TtlExpired);
        let lines = [
            "IP echo on halloo0  2 datagrams received (50 bytes), 0 answered (0 bytes)",
            "          1 ttl_expired",
            "          2 icmp",
        ];
        assert_eq!(ip.lines(), lines);
        let object = ip.object(true);
        assert_eq!(
            (object.protocol, object.service, object.received),
            ("ip", None, 2)
        );
    }

    #[test]
    fn what_a_driver_did_and_who_asked_for_an_address_stand_apart() {
        let device = Some("eth0".to_owned());
        let by_driver = Counted {
            protocol: &ip_echo::IP,
            device: device.clone(),
            source: Source::Driver(Snapshot::default()),
        };
        assert!(by_driver.lines()[0].starts_with("IP echo by xdp on eth0  0 datagrams received"));
        let object = by_driver.object(false);
        assert_eq!((object.protocol, object.service), ("xdp", Some("ip")));
        let neighbours = Counted {
            protocol: &ip_echo::IP,
            device,
            source: Source::Neighbours(Arc::default()),
        };
        assert!(
            neighbours.lines()[0].starts_with("ARP and neighbour discovery on eth0  0 questions received")
        );
        assert_eq!(neighbours.object(false).protocol, "neighbours");
    }
}
