//! Waiting until the kernel says that a device runs.

use crate::host::Host;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::os::fd::{AsRawFd, OwnedFd};

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
