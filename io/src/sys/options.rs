//! Socket options without a safe wrapper elsewhere.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Flags of SO_TIMESTAMPING (Documentation/networking/timestamping.rst of the kernel).
pub(crate) mod timestamping {
    pub(crate) const RX_SOFTWARE: u32 = libc::SOF_TIMESTAMPING_RX_SOFTWARE;
    pub(crate) const SOFTWARE: u32 = libc::SOF_TIMESTAMPING_SOFTWARE;
    pub(crate) const OPT_ID: u32 = libc::SOF_TIMESTAMPING_OPT_ID;
    pub(crate) const OPT_TSONLY: u32 = libc::SOF_TIMESTAMPING_OPT_TSONLY;
}

/// Sets an option whose value is an `int`.
pub(crate) fn set_int(fd: impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    set_bytes(fd, level, name, &value.to_ne_bytes())
}

/// Sends these IPv4 options with every datagram (ip(7) IP_OPTIONS).
pub(crate) fn set_ip_options(fd: impl AsFd, octets: &[u8]) -> io::Result<()> {
    set_bytes(fd, libc::IPPROTO_IP, libc::IP_OPTIONS, octets)
}

fn set_bytes(fd: impl AsFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, which outlives the call; the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            fd.as_fd().as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Switches kernel stamps on; with OPT_ID the counter of departures starts again from 0.
pub(crate) fn set_timestamping(fd: impl AsFd, flags: u32) -> io::Result<()> {
    let fd = fd.as_fd();
    if flags & timestamping::OPT_ID != 0 {
        set_int(
            fd,
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPING,
            (flags & !timestamping::OPT_ID) as i32,
        )?;
    }
    set_int(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, flags as i32)
}
