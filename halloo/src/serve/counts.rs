//! The counters of a protocol, for people and for programs.

use crate::format::counted;
use crate::json::{Head, ServeCounters};
use halloo_base::{Clock, Counters, Snapshot, Transport};
use halloo_io::SystemClock;
use halloo_protocols::Protocol;
use std::sync::Arc;

/// What is counted for one protocol.
pub(super) struct Counted {
    pub(super) protocol: &'static Protocol,
    pub(super) counters: Arc<Counters>,
}

/// Counters at zero.
pub(super) fn counters(protocol: &'static Protocol) -> Counted {
    Counted {
        protocol,
        counters: Arc::new(Counters::default()),
    }
}

impl Counted {
    /// A line for what was answered, and one for each reason why something was not.
    pub(super) fn lines(&self) -> Vec<String> {
        let now = self.counters.snapshot();
        let head = format!("{:<9}", self.protocol.name);
        let mut lines = vec![match self.protocol.transport {
            Transport::Tcp => format!(
                "{head} {}, {} admitted, {} in, {} out",
                counted(now.received, "connection"),
                now.replied,
                counted(now.received_bytes, "byte"),
                counted(now.replied_bytes, "byte")
            ),
            _ => format!(
                "{head} {} received ({}), {} answered ({})",
                counted(now.received, "datagram"),
                counted(now.received_bytes, "byte"),
                now.replied,
                counted(now.replied_bytes, "byte")
            ),
        }];
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

    pub(super) fn object(&self, last: bool) -> ServeCounters {
        let Snapshot {
            received,
            received_bytes,
            replied,
            replied_bytes,
            silent,
        } = self.counters.snapshot();
        ServeCounters {
            head: Head::new("counters"),
            time_ns: SystemClock.stamp().wall.0,
            protocol: self.protocol.scheme,
            last,
            received,
            received_bytes,
            replied,
            replied_bytes,
            silent: silent.into_iter().map(|(why, n)| (why.name(), n)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halloo_base::Reason;
    use halloo_protocols::echo;

    #[test]
    fn counters_read_as_sentences_and_silence_has_its_reasons() {
        let udp = counters(&echo::UDP);
        udp.counters.receive(64);
        udp.counters.receive(1);
        udp.counters.reply(64);
        udp.counters.silent(Reason::Loop);
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
}
