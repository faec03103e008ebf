//! TUN and TAP devices (Documentation/networking/tuntap.rst of the kernel).

use std::ffi::CStr;
use std::fs::OpenOptions;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// What a device carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// IP datagrams: a TUN.
    Ip,
    /// Ethernet frames: a TAP.
    Ethernet,
}

/// What a device may leave to whoever reads it, the most first: kernels before 6.2 do not know UDP segmentation.
const OFFLOADS: [u32; 3] = [
    libc::TUN_F_CSUM
        | libc::TUN_F_TSO4
        | libc::TUN_F_TSO6
        | libc::TUN_F_TSO_ECN
        | libc::TUN_F_USO4
        | libc::TUN_F_USO6,
    libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN,
    libc::TUN_F_CSUM,
];

/// Makes a device, or attaches to one of this name and layer; `%d` in the name becomes a number that is free. Returns the
/// descriptor that the device lives by, and the name that it has.
pub(crate) fn open_tun(name: &str, layer: Layer, multi_queue: bool) -> io::Result<(OwnedFd, String)> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/net/tun")?;
    // SAFETY: ifreq is plain integers and unions of them, for which zero is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // One byte stays zero, to end the name.
    let room = request.ifr_name.len() - 1;
    if name.len() > room {
        let what = format!("{name:?} is longer than a device's name may be ({room} bytes)");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    for (room, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        // A character is signed on some machines only.
        *room = libc::c_char::from_ne_bytes([byte]);
    }
    let queues = if multi_queue { libc::IFF_MULTI_QUEUE } else { 0 };
    let layer = match layer {
        Layer::Ip => libc::IFF_TUN,
        Layer::Ethernet => libc::IFF_TAP,
    };
    let flags = layer | libc::IFF_NO_PI | libc::IFF_VNET_HDR | queues;
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes the ifreq that the pointer names, which outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let name = request
        .ifr_name
        .map(|character| u8::from_ne_bytes(character.to_ne_bytes()));
    let name =
        CStr::from_bytes_until_nul(&name).map_err(|_| io::Error::from_raw_os_error(libc::ENAMETOOLONG))?;
    Ok((file.into(), name.to_string_lossy().into_owned()))
}

/// Lets the kernel leave checksums and segmentation to us, as much as it can. Returns whether it does any of it.
pub(crate) fn accept_offloads(fd: impl AsFd) -> bool {
    OFFLOADS.iter().any(|&offloads| {
        // SAFETY: TUNSETOFFLOAD takes its argument by value and touches no memory of ours.
        let result = unsafe {
            libc::ioctl(
                fd.as_fd().as_raw_fd(),
                libc::TUNSETOFFLOAD,
                libc::c_ulong::from(offloads),
            )
        };
        result == 0
    })
}
