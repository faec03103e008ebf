//! Every packet ends in one counted verdict.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a packet went unanswered or unused. One list for all protocols, so that a counter's name means the same
        /// everywhere.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Reason { $($(#[doc = $doc])+ $variant,)+ }

        impl Reason {
            /// Every reason, in the order of their counters.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)+];

            /// The counter's name in every output.
            pub fn name(self) -> &'static str {
                match self { $(Reason::$variant => $name,)+ }
            }
        }
    };
}

reasons! {
    /// The bytes are not what the protocol allows.
    Malformed = "malformed",
    /// It was sent to a multicast or broadcast address, or not to an address of this host.
    NotUnicast = "not_unicast",
    /// Its source is an address that no honest sender has: multicast, broadcast, 0/8, 240/4 and their like.
    BogonSource = "bogon_source",
    /// Its source port is a service that would answer the answer (below 1024, or listed).
    ReflectionPort = "reflection_port",
    /// Its source port is one that this halloo serves.
    OwnPort = "own_port",
    /// It is itself an answer: two echo hosts would talk for ever.
    Loop = "loop",
    /// The access list refuses its source.
    Denied = "denied",
    /// Its source sends more than its share.
    RateLimited = "rate_limited",
    /// All sources together send more than this host answers.
    RateLimitedAll = "rate_limited_all",
    /// It should carry proof of the key, and does not, or the proof is wrong.
    BadAuth = "bad_auth",
    /// The connection cap is reached.
    TooManyConnections = "too_many_connections",
    /// This source's connection cap is reached.
    TooManyFromSource = "too_many_from_source",
    /// The connection did nothing for longer than it may.
    IdleTimeout = "idle_timeout",
    /// An answer, but to nothing that this session asked.
    Foreign = "foreign",
    /// An answer that came by another path than its request went.
    WrongPath = "wrong_path",
    /// The operating system would not send it.
    SendFailed = "send_failed",
    /// It was asked to show first that it receives what is sent to its address.
    Unvalidated = "unvalidated",
    /// It asks for something that this host does not serve.
    NotServed = "not_served",
    /// It holds no whole packet of its protocol: a part of one, or a header alone.
    Incomplete = "incomplete",
    /// The checksum of its header, or of what had to be read, is wrong.
    BadChecksum = "bad_checksum",
    /// Its TTL or hop limit would be zero.
    TtlExpired = "ttl_expired",
    /// It is for an address that no IP echo is served on.
    NotEchoAddress = "not_echo_address",
    /// Its source is one of this host's own echo addresses: it would come back for ever.
    OwnAddress = "own_address",
    /// Its source address is link-local, and it did not come by a link.
    LinkLocal = "link_local",
    /// Its source route does not end here.
    IncompleteSourceRoute = "incomplete_source_route",
    /// Its IP options do not hold together, or lead by way of an address that no router has.
    BadOption = "bad_option",
    /// Its IPv6 routing header is not at its end.
    RoutingHeader = "routing_header",
    /// It is ICMP, most of which is about something that was echoed.
    Icmp = "icmp",
    /// It was longer than the buffer and arrived cut.
    Truncated = "truncated",
    /// The responder's answer was longer than its protocol may answer: a mistake in it, and never sent.
    ReplyTooLong = "reply_too_long",
}

/// Packets and bytes of one listener, one writer, any number of readers.
#[derive(Debug, Default)]
pub struct Counters {
    received: AtomicU64,
    received_bytes: AtomicU64,
    replied: AtomicU64,
    replied_bytes: AtomicU64,
    promised: AtomicU64,
    promised_bytes: AtomicU64,
    warned: AtomicU64,
    warned_bytes: AtomicU64,
    silent: [AtomicU64; Reason::ALL.len()],
}

/// What [`Counters`] held at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Packets (for streams: connections) received.
    pub received: u64,
    /// Their payload bytes (for streams: bytes read).
    pub received_bytes: u64,
    /// Packets answered (for streams: connections admitted).
    pub replied: u64,
    /// Payload bytes of the answers (for streams: bytes written).
    pub replied_bytes: u64,
    /// Packets that were sent later, as promised to who asked and had proved where it is.
    pub promised: u64,
    /// Their payload bytes.
    pub promised_bytes: u64,
    /// Packets above the share of their source, counted in `silent` as such, whose sender was told to ask less.
    pub warned: u64,
    /// Payload bytes of what told them.
    pub warned_bytes: u64,
    /// Every reason that occurred, with how often.
    pub silent: Vec<(Reason, u64)>,
}

impl Counters {
    /// Counts a received packet of `bytes` payload bytes.
    pub fn receive(&self, bytes: usize) {
        bump(&self.received, 1);
        bump(&self.received_bytes, bytes as u64);
    }

    /// Counts an answer of `bytes` payload bytes.
    pub fn reply(&self, bytes: usize) {
        bump(&self.replied, 1);
        bump(&self.replied_bytes, bytes as u64);
    }

    /// Counts a packet of `bytes` payload bytes that was sent later, as promised.
    pub fn promised(&self, bytes: usize) {
        bump(&self.promised, 1);
        bump(&self.promised_bytes, bytes as u64);
    }

    /// Counts `bytes` payload bytes that told the sender of a packet, which is counted as unanswered, to ask less.
    pub fn warned(&self, bytes: usize) {
        bump(&self.warned, 1);
        bump(&self.warned_bytes, bytes as u64);
    }

    /// Counts bytes read from a stream.
    pub fn read(&self, bytes: usize) {
        bump(&self.received_bytes, bytes as u64);
    }

    /// Counts bytes written to a stream.
    pub fn wrote(&self, bytes: usize) {
        bump(&self.replied_bytes, bytes as u64);
    }

    /// Counts a packet that went unanswered.
    pub fn silent(&self, why: Reason) {
        bump(&self.silent[why as usize], 1);
    }

    /// How often a reason occurred.
    pub fn count(&self, why: Reason) -> u64 {
        self.silent[why as usize].load(Ordering::Relaxed)
    }

    /// All counters now. Each is exact; together they may be a packet apart.
    pub fn snapshot(&self) -> Snapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            received: load(&self.received),
            received_bytes: load(&self.received_bytes),
            replied: load(&self.replied),
            replied_bytes: load(&self.replied_bytes),
            promised: load(&self.promised),
            promised_bytes: load(&self.promised_bytes),
            warned: load(&self.warned),
            warned_bytes: load(&self.warned_bytes),
            silent: Reason::ALL
                .iter()
                .map(|&why| (why, self.count(why)))
                .filter(|&(_, n)| n > 0)
                .collect(),
        }
    }
}

/// One writer owns each counter, so a plain load and store is enough and costs no locked instruction.
fn bump(counter: &AtomicU64, by: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(by),
        Ordering::Relaxed,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_lists_only_what_happened() {
        let counters = Counters::default();
        counters.receive(64);
        counters.receive(10);
        counters.reply(64);
        counters.silent(Reason::Loop);
        counters.promised(80);
        counters.warned(48);
        let expected = Snapshot {
            received: 2,
            received_bytes: 74,
            replied: 1,
            replied_bytes: 64,
            promised: 1,
            promised_bytes: 80,
            warned: 1,
            warned_bytes: 48,
            silent: vec![(Reason::Loop, 1)],
        };
        assert_eq!(counters.snapshot(), expected);
    }

    #[test]
    fn every_reason_has_its_own_name_and_counter() {
        let mut names: Vec<_> = Reason::ALL.iter().map(|why| why.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Reason::ALL.len());
        assert!(
            Reason::ALL
                .iter()
                .enumerate()
                .all(|(slot, why)| slot == *why as usize)
        );
    }
}
