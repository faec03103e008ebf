//! Which links are up, told by the kernel as it changes (rtnetlink(7), RTMGRP_LINK).

use halloo_base::LinkId;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

const HEADER: usize = 16;
const LINK_MESSAGE: usize = 16;
const ANY_FAMILY: u8 = libc::AF_UNSPEC as u8;
/// Multicast groups as in linux/rtnetlink.h.
const RTMGRP_LINK: u32 = 1;

/// A netlink socket, and what it said so far.
pub(crate) struct LinkMonitor {
    socket: OwnedFd,
    up: BTreeMap<LinkId, bool>,
}

impl LinkMonitor {
    /// Opens the socket and asks for the present state, which the first [`LinkMonitor::read`] takes in.
    pub(crate) fn new() -> io::Result<LinkMonitor> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            flags,
            SockProtocol::NetlinkRoute,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, RTMGRP_LINK))?;
        send(socket.as_raw_fd(), &dump_request(), MsgFlags::empty())?;
        Ok(LinkMonitor {
            socket,
            up: BTreeMap::new(),
        })
    }

    /// Takes in what the kernel said, and tells every change of a link that was known before.
    pub(crate) fn read(&mut self, mut changed: impl FnMut(LinkId, bool)) {
        let mut buffer = [0u8; 16_384];
        loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(len @ 1..) => messages(&buffer[..len]).for_each(|news| self.note(news, &mut changed)),
                // News were lost because too many came at once: ask for everything again.
                Err(Errno::ENOBUFS) => {
                    let _ = send(self.socket.as_raw_fd(), &dump_request(), MsgFlags::empty());
                }
                _ => return,
            }
        }
    }

    fn note(&mut self, news: News, changed: &mut impl FnMut(LinkId, bool)) {
        let before = match news {
            News::Is(link, up) => self.up.insert(link, up),
            News::Gone(link) => self.up.remove(&link),
        };
        let (link, up) = match news {
            News::Is(link, up) => (link, up),
            News::Gone(link) => (link, false),
        };
        if before.is_some_and(|before| before != up) {
            changed(link, up);
        }
    }
}

impl AsFd for LinkMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// RTM_GETLINK for all links.
fn dump_request() -> [u8; HEADER + LINK_MESSAGE] {
    let mut request = [0; HEADER + LINK_MESSAGE];
    request[..4].copy_from_slice(&((HEADER + LINK_MESSAGE) as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&libc::RTM_GETLINK.to_ne_bytes());
    request[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    request
}

/// What a message says of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// It is there, and can carry traffic or not.
    Is(LinkId, bool),
    /// It is no more.
    Gone(LinkId),
}

/// The links that a batch of netlink messages speaks of.
fn messages(mut rest: &[u8]) -> impl Iterator<Item = News> {
    std::iter::from_fn(move || {
        loop {
            let len = u32::from_ne_bytes(rest.get(..4)?.try_into().ok()?) as usize;
            let kind = u16::from_ne_bytes(rest.get(4..6)?.try_into().ok()?);
            let message = rest.get(HEADER..len)?;
            rest = rest.get((len + 3) & !3..).unwrap_or_default();
            let field = |at: usize| message.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
            let (Some(link), Some(flags)) = (field(4), field(8)) else {
                continue;
            };
            let running = (libc::IFF_UP | libc::IFF_RUNNING) as u32;
            // A bridge sends messages of its own family about its ports: leaving the bridge is not leaving the host.
            match (kind, message.first()) {
                (libc::RTM_NEWLINK, Some(&ANY_FAMILY)) => {
                    return Some(News::Is(LinkId(link), flags & running == running));
                }
                (libc::RTM_DELLINK, Some(&ANY_FAMILY)) => return Some(News::Gone(LinkId(link))),
                _ => {}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, link: u32, flags: i32) -> Vec<u8> {
        let mut bytes = dump_request().to_vec();
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[HEADER + 4..HEADER + 8].copy_from_slice(&link.to_ne_bytes());
        bytes[HEADER + 8..HEADER + 12].copy_from_slice(&flags.to_ne_bytes());
        bytes
    }

    fn of_family(family: u8, mut message: Vec<u8>) -> Vec<u8> {
        message[HEADER] = family;
        message
    }

    #[test]
    fn changes_are_told_once_and_only_of_known_links() {
        let mut monitor = LinkMonitor::new().expect("a netlink socket");
        let mut told = vec![];
        let link = LinkId(4_000_000);
        for news in [
            News::Is(link, true),
            News::Is(link, true),
            News::Gone(link),
            News::Gone(link),
        ] {
            monitor.note(news, &mut |link, up| told.push((link, up)));
        }
        assert_eq!(told, [(link, false)]);
        assert!(!monitor.up.contains_key(&link), "what is gone takes no memory");
    }

    #[test]
    fn links_are_up_down_or_gone() {
        let running = libc::IFF_UP | libc::IFF_RUNNING;
        let batch = [
            message(libc::RTM_NEWLINK, 3, running),
            message(libc::RTM_NEWADDR, 9, running),
            message(libc::RTM_NEWLINK, 4, libc::IFF_UP),
            message(libc::RTM_DELLINK, 5, running),
            of_family(libc::AF_BRIDGE as u8, message(libc::RTM_DELLINK, 6, running)),
        ]
        .concat();
        let told: Vec<_> = messages(&batch).collect();
        assert_eq!(
            told,
            [
                News::Is(LinkId(3), true),
                News::Is(LinkId(4), false),
                News::Gone(LinkId(5))
            ]
        );
    }

    #[test]
    fn any_bytes_are_read_without_panic() {
        let mut rng = halloo_base::Rng::new(3);
        for _ in 0..20_000 {
            let mut bytes = message(libc::RTM_NEWLINK, 1, 0);
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next_u64() as u8;
            bytes.truncate(rng.below(64) as usize);
            let _ = messages(&bytes).count();
        }
    }

    #[test]
    fn the_kernel_tells_its_links() {
        let mut monitor = LinkMonitor::new().expect("a netlink socket");
        monitor.read(|link, up| panic!("{link} changed to {up} at the first look"));
        assert!(monitor.up.contains_key(&LinkId(1)), "loopback is always link 1");
    }
}
