//! What changes around a running edge: the host's addresses, and what the names of its supernodes mean.

use super::revoked::Revoked;
use super::{device, lookup};
use crate::cli::SupernodeAddress;
use halloo_base::LinkId;
use halloo_io::Remote;
use halloo_io::route::Netlink;
use halloo_overlay::Mac;
use halloo_overlay::edge::{News, SupernodePlace};
use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

/// Multicast groups as in linux/rtnetlink.h: IPv4 and IPv6 addresses.
const ADDRESSES: u32 = 0x10 | 0x100;
/// ... and who is behind a bridge's ports.
const NEIGHBOURS: u32 = 0x4;
/// How often it is seen whether names are to be looked up.
const PERIOD: Duration = Duration::from_secs(1);
/// How long the supernodes may be silent before their names are looked up, and the most between two times.
const FIRST: Duration = Duration::from_secs(5);
const MOST: Duration = Duration::from_secs(60);
/// Addresses come and go in groups.
const SETTLED: Duration = Duration::from_millis(100);

/// Watches, on a thread of its own, for an edge.
pub(super) struct Surroundings {
    pub(super) supernodes: Vec<SupernodeAddress>,
    pub(super) device: LinkId,
    /// The bridge that the device is a port of, if others are to hear who is behind its other ports.
    pub(super) bridge: Option<LinkId>,
    /// Who that was when it was looked at last.
    pub(super) stations: Vec<Mac>,
    pub(super) port: u16,
    /// What the edge knows already.
    pub(super) candidates: Vec<SocketAddr>,
    /// Whether a supernode answers now.
    pub(super) registered: Arc<AtomicBool>,
    /// The list of certificates that hold no longer.
    pub(super) revoked: Option<Revoked>,
    pub(super) edge: Sender<News>,
    pub(super) remote: Remote,
}

impl Surroundings {
    /// Begins.
    ///
    /// # Errors
    /// If the kernel does not tell, or there is no thread.
    pub(super) fn watch(mut self) -> io::Result<()> {
        let news = subscribe(if self.bridge.is_some() {
            ADDRESSES | NEIGHBOURS
        } else {
            ADDRESSES
        })?;
        thread::Builder::new()
            .name("surroundings".into())
            .spawn(move || {
                self.stations = self.behind().unwrap_or_default();
                if !self.stations.is_empty() && !self.tell(vec![]) {
                    return;
                }
                let (mut silent, mut wait) = (Instant::now(), FIRST);
                while self.wait(&news) && self.look_for_revoked() {
                    if self.registered.load(Ordering::Relaxed) {
                        (silent, wait) = (Instant::now(), FIRST);
                    } else if silent.elapsed() >= wait {
                        if !self.look_up() {
                            return;
                        }
                        (silent, wait) = (Instant::now(), (2 * wait).min(MOST));
                    }
                }
            })?;
        Ok(())
    }

    /// Waits for news of addresses, for a while. `false` when nobody is interested any more.
    fn wait(&mut self, news: &OwnedFd) -> bool {
        let mut buffer = [0; 16_384];
        match recv(news.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            // What was too much to keep was news, too.
            Ok(_) | Err(Errno::ENOBUFS) => {}
            Err(Errno::EAGAIN | Errno::EINTR) => return true,
            Err(_) => return false,
        }
        thread::sleep(SETTLED);
        while matches!(
            recv(news.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT),
            Ok(1..)
        ) {}
        let candidates = device::candidates(self.device, self.port);
        let stations = self.behind().unwrap_or_else(|| self.stations.clone());
        if candidates == self.candidates && stations == self.stations {
            return true;
        }
        self.candidates = candidates;
        self.stations = stations;
        self.tell(vec![])
    }

    /// Who is behind the bridge's other ports; nothing if the kernel does not say.
    fn behind(&self) -> Option<Vec<Mac>> {
        let Some(bridge) = self.bridge else {
            return Some(vec![]);
        };
        let stations = Netlink::open().and_then(|mut netlink| netlink.stations(bridge, self.device));
        Some(stations.ok()?.into_iter().map(Mac).collect())
    }

    /// Passes a list on that has changed.
    fn look_for_revoked(&mut self) -> bool {
        let changed = self.revoked.as_mut().and_then(Revoked::changed);
        changed.is_none() || self.tell_of(vec![], changed)
    }

    fn look_up(&self) -> bool {
        let found = self
            .supernodes
            .iter()
            .filter_map(|known| lookup(known).ok().flatten());
        self.tell(found.collect())
    }

    fn tell(&self, supernodes: Vec<SupernodePlace>) -> bool {
        self.tell_of(supernodes, None)
    }

    fn tell_of(&self, supernodes: Vec<SupernodePlace>, revoked: Option<Vec<u8>>) -> bool {
        let news = News {
            supernodes,
            candidates: self.candidates.clone(),
            link_mtu: device::longest_packet(self.device),
            stations: self.stations.clone(),
            revoked,
        };
        let told = self.edge.send(news).is_ok();
        self.remote.report();
        told
    }
}

fn subscribe(groups: u32) -> nix::Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    let period = TimeVal::milliseconds(PERIOD.as_millis() as i64);
    setsockopt(&socket, ReceiveTimeout, &period)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(socket)
}
