//! How good this host's wall clock is, as far as whoever disciplines it has told the kernel.

use crate::sys::read_timex;
use halloo_base::Nanos;
use std::io;

/// The state of the wall clock (adjtimex(2), RFC 5905 section 11.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discipline {
    /// Whether somebody keeps it to UTC.
    pub is_synchronised: bool,
    /// How far it may be from UTC at most. It grows by itself (500 ppm) between updates. Means nothing where nobody keeps
    /// the clock.
    pub max_error: Nanos,
    /// What happens at the end of this day.
    pub leap: Leap,
    /// The finest difference that a reading can show.
    pub precision: Nanos,
}

/// A leap second that is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leap {
    /// None.
    None,
    /// The day's last minute has 61 seconds.
    Insert,
    /// The day's last minute has 59 seconds.
    Delete,
}

impl Discipline {
    /// Asks the kernel; takes no rights and changes nothing.
    ///
    /// # Errors
    /// If the kernel does not tell, as in some sandboxes.
    pub fn read() -> io::Result<Discipline> {
        let timex = read_timex()?;
        let micros = |n: i64| Nanos(n.saturating_mul(1_000));
        Ok(Discipline {
            is_synchronised: timex.state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0,
            max_error: micros(timex.max_error),
            leap: match timex.state {
                libc::TIME_INS => Leap::Insert,
                libc::TIME_DEL => Leap::Delete,
                _ => Leap::None,
            },
            precision: micros(timex.precision),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_is_possible() {
        let told = Discipline::read().expect("a kernel that tells");
        assert!(told.max_error >= Nanos::ZERO, "{told:?}");
        assert!(told.precision > Nanos::ZERO, "{told:?}");
        // An unsynchronised clock's error has run up to its bound: 16 seconds (NTP_PHASE_LIMIT).
        assert!(told.max_error <= Nanos(17_000_000_000), "{told:?}");
    }
}
