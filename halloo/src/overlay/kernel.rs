//! A VXLAN device in the place of the TAP: the kernel carries the frames, and what the edge learns goes into its table.

use super::device;
use crate::config::Edge;
use anyhow::{Context, Result, bail};
use halloo_base::LinkId;
use halloo_io::route::{Forwarding, LinkChange, Netlink, NetlinkError, Vxlan, VxlanOptions};
use halloo_overlay::Mac;
use halloo_overlay::vxlan::{Change, Entry, Member, OVERHEAD_V4, OVERHEAD_V6, changes, payload, wanted};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How the words begin that our devices are marked with, by which a later run knows them again.
const MARK: &str = "halloo edge: ";
/// Names that are tried where none is given.
const NAMES: u32 = 1_000;
/// What most links carry: nothing more is taken for granted before a path is known.
const USUAL: u16 = 1_500;
/// The longest payload that is ever taken, as of the TAP.
const LONGEST: u16 = 9_000;
/// What somebody else has changed in the table is put right after this, at the latest.
const HEAL: Duration = Duration::from_secs(30);

/// A VXLAN device; it goes with this value.
pub(super) struct Kernel {
    netlink: Netlink,
    device: Vxlan,
    ipv6: bool,
    bridge: Option<LinkId>,
    /// The longest payload that was asked for.
    most: u16,
    table: Arc<Mutex<Table>>,
    members: Vec<Member>,
    healed: Instant,
    /// What was said of trouble last: once is enough.
    said: Option<String>,
    /// As long as it is there, the device is somebody's.
    _lock: UnixListener,
}

/// How a device stands, for who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) vni: u32,
    pub(super) port: u16,
    pub(super) mtu: u16,
    /// Members to which goes what is for all.
    pub(super) flood: usize,
    /// Stations that have an entry.
    pub(super) stations: usize,
}

impl Kernel {
    /// Makes the device, gives it its addresses and switches it on. What a killed run left behind is taken away before.
    pub(super) fn open(config: &Edge, vni: u32, mac: Mac, ipv6: bool) -> Result<Kernel> {
        let mut netlink = Netlink::open()?;
        clear(&mut netlink)?;
        let bridge = device::bridge(config, &mut netlink)?;
        let (name, lock) = name(&mut netlink, config.tap.as_deref())?;
        let overhead = if ipv6 { OVERHEAD_V6 } else { OVERHEAD_V4 };
        let most = config.mtu.unwrap_or(LONGEST);
        let usual = device::longest_packet(LinkId(0)).min(USUAL);
        let mtu = most.min(usual - overhead);
        let options = VxlanOptions {
            name: name.clone(),
            vni,
            port: config.vxlan_port,
            ipv6,
            mac: mac.0,
            mtu: mtu.into(),
            alias: format!("{MARK}{}", config.community),
        };
        let link = netlink
            .add_vxlan(&options)
            .with_context(|| hint(config.vxlan_port))?;
        let kernel = Kernel {
            netlink,
            device: Vxlan {
                link,
                name,
                vni,
                port: config.vxlan_port,
                alias: options.alias,
            },
            ipv6,
            bridge,
            most,
            table: Arc::new(Mutex::new(Table {
                vni,
                port: config.vxlan_port,
                mtu,
                flood: 0,
                stations: 0,
            })),
            members: vec![],
            healed: Instant::now(),
            said: None,
            _lock: lock,
        };
        // From here on it goes again, whatever happens.
        device::furnish(config, link).with_context(|| hint(config.vxlan_port))?;
        Ok(kernel)
    }

    pub(super) fn name(&self) -> &str {
        &self.device.name
    }

    pub(super) fn link(&self) -> LinkId {
        self.device.link
    }

    /// The bridge that it is a port of.
    pub(super) fn bridge(&self) -> Option<LinkId> {
        self.bridge
    }

    /// How it stands, for who asks.
    pub(super) fn table(&self) -> Arc<Mutex<Table>> {
        Arc::clone(&self.table)
    }

    /// Does what follows from what the edge says of the members. Returns what is to be told to people.
    pub(super) fn follow(&mut self, said: &Receiver<Vec<Member>>) -> Option<String> {
        let latest = said.try_iter().last();
        if latest.is_none() && self.healed.elapsed() < HEAL {
            return None;
        }
        self.members = latest.unwrap_or_else(|| std::mem::take(&mut self.members));
        self.healed = Instant::now();
        let trouble = self.apply().err().map(|error| error.to_string());
        if trouble == self.said {
            return None;
        }
        self.said.clone_from(&trouble);
        trouble
    }

    fn apply(&mut self) -> Result<(), NetlinkError> {
        let link = self.device.link;
        let present = self.netlink.forwardings(&self.device)?;
        let present: Vec<Entry> = present.into_iter().map(entry).collect();
        let wanted = wanted(&self.members);
        let mut trouble = Ok(());
        for change in changes(&present, &wanted) {
            let done = match change {
                Change::Add(entry) => self.netlink.add_forwarding(link, forwarding(entry)),
                Change::Remove(entry) => self.netlink.remove_forwarding(link, forwarding(entry)),
            };
            // One that cannot be is no reason against the others.
            trouble = trouble.and(done);
        }
        let mut table = *self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.flood = wanted.iter().filter(|entry| entry.mac == Entry::FLOOD).count();
        table.stations = wanted.len() - table.flood;
        if let Some(mtu) = payload(&self.members, self.ipv6, self.most)
            && mtu != table.mtu
        {
            let change = LinkChange {
                mtu: Some(mtu.into()),
                ..LinkChange::default()
            };
            match self.netlink.change_link(link, &change) {
                Ok(()) => table.mtu = mtu,
                Err(error) => trouble = trouble.and(Err(error)),
            }
        }
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = table;
        trouble
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // If somebody has taken it away already, all is well.
        let _ = self.netlink.remove_link(self.device.link);
    }
}

/// Takes away the devices of runs that were killed. Those of other programs, and of edges that run, stay.
fn clear(netlink: &mut Netlink) -> Result<()> {
    for device in netlink.vxlans()? {
        if device.alias.starts_with(MARK) && lock(&device.name).is_ok() {
            netlink.remove_link(device.link)?;
        }
    }
    Ok(())
}

/// A name for the device that nothing else has, and the sign that it is ours.
fn name(netlink: &mut Netlink, asked: Option<&str>) -> Result<(String, UnixListener)> {
    if let Some(name) = asked {
        let lock =
            lock(name).with_context(|| format!("--tap {name}: another edge has a device of this name"))?;
        if netlink.link(name)?.is_some() {
            bail!("--tap {name}: there is such a device, and no edge has made it: choose another name");
        }
        return Ok((name.to_owned(), lock));
    }
    for number in 0..NAMES {
        let name = format!("halloo{number}");
        if let Ok(lock) = lock(&name)
            && netlink.link(&name)?.is_none()
        {
            return Ok((name, lock));
        }
    }
    bail!("there are {NAMES} devices halloo0, halloo1 ... already: choose a name with --tap");
}

/// A sign that a device of this name belongs to a process that lives: an abstract name, which is of this network namespace
/// and ends with the process, however that ends.
fn lock(name: &str) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(format!("halloo-edge-{name}"))?)
}

fn hint(port: u16) -> String {
    format!(
        "--data-plane kernel: the kernel must have VXLAN, and UDP port {port} must be free for it (--vxlan-port)"
    )
}

fn entry(forwarding: Forwarding) -> Entry {
    Entry {
        mac: Mac(forwarding.mac),
        to: forwarding.to,
    }
}

fn forwarding(entry: Entry) -> Forwarding {
    Forwarding {
        mac: entry.mac.0,
        to: entry.to,
    }
}
