//! How long an exchange took, by which clocks.

use crate::Exchange;
use crate::steps::{SLEW, TOLERANCE};
use halloo_base::{Nanos, Stamp};

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

    /// Measures with what is known at the first answer.
    pub(crate) fn measure(&mut self) {
        let t4 = self.t4.map(|t4| t4.mono);
        self.host = t4.map(|t4| t4 - self.t1.mono);
        self.intended = t4.map(|t4| t4 - self.slot);
        self.measure_wire();
    }
}

/// Whether two stamps of about the same time saw different wall clocks.
pub(crate) fn differ(a: &Stamp, b: &Stamp) -> bool {
    let slew = Nanos((a.mono - b.mono).abs().0 / SLEW);
    (a.wall_offset() - b.wall_offset()).abs() > TOLERANCE + slew
}
