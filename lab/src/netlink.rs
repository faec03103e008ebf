//! Waiting until the kernel says that a device runs.

use crate::host::Host;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::os::fd::{AsRawFd, OwnedFd};

/// `RTM_GETLINK` of linux/rtnetlink.h: tell about one device.
const TELL: u16 = 18;

/// `NLM_F_REQUEST` of linux/netlink.h.
const REQUEST: u16 = 1;

/// `RTMGRP_LINK` of linux/rtnetlink.h: news about devices.
const LINK_NEWS: u32 = 1;

/// Waits until a device runs. A cable's far end gets its carrier from the kernel a moment later than it comes up,
/// and what is sent in that moment is lost.
///
/// # Panics
/// When it does not within five seconds.
#[track_caller]
pub(crate) fn wait_until_running(host: &Host, device: &str) {
    let ran = host.enter(|| {
        let news = subscribe()?;
        settle(&news, device)?;
        let mut buffer = [0; 8192];
        while !is_running(device)? {
            recv(news.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        }
        nix::Result::Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{device} of {} does not come up: {error}", host.name()));
}

/// The packet-level entry of a device in the current namespace: its index, flags and MAC address.
pub(crate) fn device(name: &str) -> nix::Result<Option<InterfaceAddress>> {
    let is_packet_level = |entry: &InterfaceAddress| {
        entry
            .address
            .as_ref()
            .is_some_and(|address| address.as_link_addr().is_some())
    };
    Ok(getifaddrs()?.find(|entry| entry.interface_name == name && is_packet_level(entry)))
}

fn is_running(name: &str) -> nix::Result<bool> {
    Ok(device(name)?.is_some_and(|entry| entry.flags.contains(InterfaceFlags::IFF_RUNNING)))
}

/// Asks about a device, because a kernel that is asked first does what it had put off: by itself it may take a
/// second to notice a carrier.
fn settle(news: &OwnedFd, name: &str) -> nix::Result<()> {
    let Some(index) = device(name)?.and_then(|entry| Some(entry.address?.as_link_addr()?.ifindex())) else {
        return Err(nix::Error::ENODEV);
    };
    // A netlink header of 16 bytes, and a `struct ifinfomsg` in which only the index counts.
    let mut request = [0; 32];
    request[0..4].copy_from_slice(&32_u32.to_ne_bytes());
    request[4..6].copy_from_slice(&TELL.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST.to_ne_bytes());
    request[20..24].copy_from_slice(&(index as u32).to_ne_bytes());
    send(news.as_raw_fd(), &request, MsgFlags::empty()).map(drop)
}

fn subscribe() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let news = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        flags,
        SockProtocol::NetlinkRoute,
    )?;
    setsockopt(&news, ReceiveTimeout, &TimeVal::seconds(5))?;
    bind(news.as_raw_fd(), &NetlinkAddr::new(0, LINK_NEWS))?;
    Ok(news)
}
