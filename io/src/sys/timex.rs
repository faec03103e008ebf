//! adjtimex(2), read only.

use std::io;

/// What the kernel tells about its clock's discipline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timex {
    /// TIME_OK, TIME_INS, TIME_DEL, TIME_OOP, TIME_WAIT or TIME_ERROR.
    pub(crate) state: i32,
    /// STA_* bits.
    pub(crate) status: i32,
    /// Microseconds.
    pub(crate) max_error: i64,
    /// Microseconds.
    pub(crate) precision: i64,
}

/// Asks without changing anything: no mode bit is set.
pub(crate) fn read_timex() -> io::Result<Timex> {
    // SAFETY: all bytes zero are a valid `timex`: it has integers only.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live value that nobody else uses.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Timex {
        state,
        status: timex.status,
        max_error: timex.maxerror,
        precision: timex.precision,
    })
}
