//! The host's clocks, and how the runtime's timers are set by them.

use halloo_base::{Clock, Mono, Stamp, StampSource, Wall};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// The clocks of this host. Its monotonic readings begin at the first of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

/// Where monotonic readings begin. A little after zero, so that nothing lies before the first of them.
static ORIGIN: OnceLock<Instant> = OnceLock::new();

impl SystemClock {
    /// Now on the monotonic clock.
    pub(crate) fn mono() -> Mono {
        Mono(0) + ORIGIN.get_or_init(Instant::now).elapsed()
    }

    /// When a timer of the runtime has to fire for this instant.
    pub(crate) fn timer(at: Mono) -> tokio::time::Instant {
        let origin = *ORIGIN.get_or_init(Instant::now);
        let at = origin.checked_add(Duration::from_nanos(at.0));
        // Only where the clock ends could there be none.
        at.unwrap_or(origin).into()
    }
}

impl Clock for SystemClock {
    fn stamp(&self) -> Stamp {
        let mono = SystemClock::mono();
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let wall = wall.unwrap_or_default().as_nanos();
        Stamp {
            mono,
            wall: Wall(u64::try_from(wall).unwrap_or(u64::MAX)),
            source: StampSource::User,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_set_to_the_instant_that_was_read() {
        let at = SystemClock::mono();
        let later = SystemClock::timer(at + Duration::from_secs(5)) - SystemClock::timer(at);
        assert_eq!(later, Duration::from_secs(5));
        assert!(SystemClock.stamp().mono >= at);
    }
}
