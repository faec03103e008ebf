//! How good this host's wall clock is, as far as whoever disciplines it has told the kernel.

use crate::sys::read_timex;
use halloo_base::{ClockQuality, Leap, Nanos};

/// Asks the kernel; takes no rights and changes nothing. `None` where nobody keeps the clock, or the kernel does not tell,
/// as in some sandboxes.
pub(crate) fn quality() -> Option<ClockQuality> {
    let timex = read_timex().ok()?;
    let is_kept = timex.state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
    let micros = |n: i64| Nanos(n.saturating_mul(1_000));
    is_kept.then(|| ClockQuality {
        error: micros(timex.max_error),
        leap: match timex.state {
            libc::TIME_INS => Leap::Insert,
            libc::TIME_DEL => Leap::Delete,
            _ => Leap::None,
        },
        precision: micros(timex.precision),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_is_possible() {
        let timex = read_timex().expect("a kernel that tells");
        // The error of a clock that nobody keeps runs up to its bound: 16 seconds (NTP_PHASE_LIMIT).
        assert!((0..=17_000_000).contains(&timex.max_error), "{timex:?}");
        assert!(timex.precision > 0, "{timex:?}");
        let kept = timex.status & libc::STA_UNSYNC == 0 && timex.state != libc::TIME_ERROR;
        assert_eq!(quality().is_some(), kept, "{timex:?}");
    }
}
