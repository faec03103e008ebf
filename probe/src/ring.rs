//! The probes that a session remembers.

use crate::{Exchange, SessionOptions, Verdict};
use halloo_base::{Nanos, ProbeId};

/// A probe as the session keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    /// What is told to the outside; its verdict is the probe's state.
    pub(crate) exchange: Exchange,
    /// What is known of the request at the responder.
    pub(crate) request: Request,
    /// This host refused to send it.
    pub(crate) refused: bool,
    /// How many steps of the clock there had been when it left.
    pub(crate) steps: u64,
    /// All that will be known has been told.
    pub(crate) settled: bool,
}

/// What is known of a request at the responder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Nothing.
    Unknown,
    /// It had not arrived when a later one was answered. It still may.
    Missing,
    /// It arrived.
    Arrived,
}

/// The newest probes, in memory that is taken once. Probe `n` takes the place of probe `n - capacity`.
#[derive(Debug)]
pub(crate) struct Ring {
    probes: Vec<Option<Probe>>,
    next: u64,
}

/// A window of 64 earlier requests, and neighbours for the delay variation, are wanted even of a slow session; and
/// an answer may well come minutes late.
const SMALLEST: u64 = 512;
/// About 28 MB. A session that would need more gives its oldest probes up early and counts them as overrun.
const LARGEST: u64 = 65_536;
/// Wide enough that the whole flood window turns over several times before a straggler is given up.
const FLOOD: u64 = 16_384;

impl Ring {
    pub(crate) fn new(capacity: usize) -> Ring {
        let mut probes = Vec::new();
        // Filled now, so that no page is touched for the first time while a probe waits to leave.
        probes.resize_with(capacity.max(1), || None);
        Ring { probes, next: 0 }
    }

    /// Room for all probes sent within twice `lost_after`, so that an answer may come as long again after its probe
    /// was given up; 512 at least, 65,536 at most, 16,384 for a flood, and never more than there will be.
    pub(crate) fn capacity_for(options: &SessionOptions) -> usize {
        let wanted = if options.is_flood() {
            FLOOD
        } else {
            let slots = options
                .lost_after
                .as_nanos()
                .div_ceil(options.interval.as_nanos());
            u64::try_from(slots.saturating_mul(2).saturating_add(2)).unwrap_or(u64::MAX)
        };
        let bounded = wanted.clamp(SMALLEST, LARGEST);
        let planned = if options.count == 0 {
            u64::MAX
        } else {
            options.count
        };
        bounded.min(planned) as usize
    }

    pub(crate) fn capacity(&self) -> usize {
        self.probes.len()
    }

    /// The number of the next probe, which is how many there were.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The oldest number that is remembered (if any is).
    pub(crate) fn oldest(&self) -> u64 {
        self.next.saturating_sub(self.probes.len() as u64)
    }

    /// The probe whose place the next one takes.
    pub(crate) fn leaving(&self) -> Option<ProbeId> {
        let id = self.next.checked_sub(self.probes.len() as u64)?;
        Some(ProbeId(id))
    }

    /// Remembers the next probe; forgets the one in its place.
    pub(crate) fn push(&mut self, probe: Probe) {
        debug_assert_eq!(probe.exchange.seq.0, self.next);
        let place = self.place(self.next);
        self.probes[place] = Some(probe);
        self.next += 1;
    }

    pub(crate) fn get(&self, id: ProbeId) -> Option<&Probe> {
        self.probes[self.place(id.0)]
            .as_ref()
            .filter(|probe| probe.exchange.seq == id)
    }

    pub(crate) fn get_mut(&mut self, id: ProbeId) -> Option<&mut Probe> {
        let place = self.place(id.0);
        self.probes[place]
            .as_mut()
            .filter(|probe| probe.exchange.seq == id)
    }

    fn place(&self, id: u64) -> usize {
        (id % self.probes.len() as u64) as usize
    }
}

impl Probe {
    pub(crate) fn is_open(&self) -> bool {
        self.exchange.verdict == Verdict::InFlight
    }

    pub(crate) fn is_answered(&self) -> bool {
        matches!(self.exchange.verdict, Verdict::Answered | Verdict::Late)
    }

    /// The round trip that neighbours can be compared by: by the wire, or by the host.
    pub(crate) fn round_trip(&self, by_wire: bool) -> Option<Nanos> {
        let comparable = self.settled && self.is_answered() && !self.exchange.is_refused();
        let settled = Some(&self.exchange).filter(|_| comparable)?;
        if by_wire { settled.wire } else { settled.host }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halloo_base::{LinkId, Path};
    use std::time::Duration;

    fn options(interval: Duration, count: u64) -> SessionOptions {
        let any = "192.0.2.1:7".parse().unwrap();
        let path = Path {
            link: LinkId(0),
            local: any,
            remote: any,
        };
        SessionOptions {
            interval,
            count,
            ..SessionOptions::new(0, path)
        }
    }

    #[test]
    fn it_is_as_large_as_lateness_needs_and_no_larger_than_it_may_be() {
        let table = [
            (Duration::from_secs(1), 0, 512),
            (Duration::from_millis(1), 0, 10_002),
            (Duration::from_micros(10), 0, 65_536),
            (Duration::ZERO, 0, 16_384),
            (Duration::from_secs(1), 3, 3),
            (Duration::MAX, 0, 512),
            (Duration::from_nanos(1), 0, 65_536),
        ];
        for (interval, count, capacity) in table {
            assert_eq!(
                Ring::capacity_for(&options(interval, count)),
                capacity,
                "{interval:?}"
            );
        }
    }
}
