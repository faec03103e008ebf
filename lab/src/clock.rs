//! Stepping the machine's clock, for as short as a test needs it.

use halloo_base::Nanos;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};
use std::fs::File;
use std::io;
use std::time::Duration;

/// Held by whoever steps the clock: tests run in processes of their own.
const LOCK: &str = "/run/lock/halloo-lab-clock";

/// A step of `CLOCK_REALTIME` that ends when this is dropped.
///
/// There is one wall clock for all hosts of all labs and for the whole machine, so a test that steps it must run
/// alone (in nextest: a test group, or `threads-required`). Steps wait for one another, in all processes.
#[derive(Debug)]
pub struct ClockStep {
    /// Realtime minus monotonic reading as it was before.
    offset: Nanos,
    _lock: File,
}

impl ClockStep {
    /// Steps the wall clock by `by`, forward or back.
    ///
    /// # Errors
    /// The system's: without root, or in a container that may not set the clock.
    pub fn by(by: Nanos) -> io::Result<ClockStep> {
        let lock = File::create(LOCK)?;
        lock.lock()?;
        let step = ClockStep {
            offset: offset()?,
            _lock: lock,
        };
        set_offset(step.offset + by)?;
        Ok(step)
    }
}

impl Drop for ClockStep {
    fn drop(&mut self) {
        // The step forward was allowed, so the step back is; and a drop must not panic.
        let _ = set_offset(self.offset);
    }
}

fn offset() -> nix::Result<Nanos> {
    let (wall, mono) = (
        clock_gettime(ClockId::CLOCK_REALTIME)?,
        clock_gettime(ClockId::CLOCK_MONOTONIC)?,
    );
    Ok(nanos(wall) - nanos(mono))
}

fn set_offset(offset: Nanos) -> nix::Result<()> {
    let Nanos(wall) = nanos(clock_gettime(ClockId::CLOCK_MONOTONIC)?) + offset;
    // Before 1970 the kernel sets no clock.
    let wall = Duration::from_nanos(u64::try_from(wall).map_err(|_| nix::Error::EINVAL)?);
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from_duration(wall))
}

fn nanos(time: TimeSpec) -> Nanos {
    Nanos(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
}
