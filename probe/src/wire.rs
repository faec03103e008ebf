//! How long an exchange took, by which clocks.

use crate::Exchange;
use crate::steps::{SLEW, TOLERANCE};
use halloo_base::{Nanos, Stamp, StampSource};

/// A wire round trip as it came out.
pub(crate) enum Wire {
    /// A stamp or the residence is missing.
    Unknown,
    /// A step of the clock put a kernel stamp where it cannot have been.
    Spoilt,
    /// So long; below zero where stamps were taken too roughly.
    Known(Nanos),
}

impl Exchange {
    /// Measures the wire round trip with what is known.
    pub(crate) fn measure_wire(&mut self) -> Wire {
        self.first_byte = self.first_byte_as_measured();
        let measured = self.wire_as_measured();
        self.wire = match measured {
            Wire::Known(span) => Some(span.max(Nanos::ZERO)),
            Wire::Unknown | Wire::Spoilt => None,
        };
        measured
    }

    fn wire_as_measured(&self) -> Wire {
        let (Some(t1), Some(t4), Some(host_t4)) = (self.t1_kernel, self.t4_kernel, self.t4) else {
            return Wire::Unknown;
        };
        let residence = match (self.t2, self.residence) {
            (None, _) => Nanos::ZERO,
            (Some(_), Some(residence)) => residence.span,
            (Some(_), None) => return Wire::Unknown,
        };
        // The kernel's instants lie between this process's own. Those are read from the monotonic clock; the
        // kernel's come from the wall clock, and a step between the taking and the reading moves them.
        let is_within = (t1.mono - self.t1.mono) >= -TOLERANCE
            && (host_t4.mono - t4.mono) >= -TOLERANCE
            && t1.mono <= t4.mono;
        if self.clock_stepped && !is_within {
            return Wire::Spoilt;
        }
        Wire::Known((t4.mono - t1.mono) - residence)
    }

    /// As for the wire round trip, a step of the clock may have put a kernel stamp where it cannot have been.
    fn first_byte_as_measured(&self) -> Option<Nanos> {
        let first = self.t4_first?;
        let by_kernel = self
            .t1_kernel
            .filter(|t1| first.source != StampSource::User && t1.mono <= first.mono);
        let span = first.mono - by_kernel.unwrap_or(self.t1).mono;
        let is_within = span >= -TOLERANCE && self.host.is_none_or(|host| span <= host + TOLERANCE);
        (is_within || !self.clock_stepped).then(|| span.max(Nanos::ZERO))
    }

    /// Measures with what is known at the first answer.
    pub(crate) fn measure(&mut self) {
        let t4 = self.t4.map(|t4| t4.mono);
        self.host = t4.map(|t4| t4 - self.t1.mono);
        self.intended = t4.map(|t4| t4 - self.slot);
        let waited = self.opening.filter(|opening| opening.done <= self.t1.mono);
        let waited = waited.map_or(Nanos::ZERO, |opening| opening.span());
        self.total = self
            .host
            .filter(|_| self.t4_first.is_some())
            .map(|host| host + waited);
        self.measure_wire();
    }
}

/// Whether two stamps of about the same time saw different wall clocks.
pub(crate) fn differ(a: &Stamp, b: &Stamp) -> bool {
    let slew = Nanos((a.mono - b.mono).abs().0 / SLEW);
    (a.wall_offset() - b.wall_offset()).abs() > TOLERANCE + slew
}
