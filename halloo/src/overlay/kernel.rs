//! A VXLAN device in the place of the TAP: the kernel carries the frames, and what the edge learns goes into its table.

use super::lock::Lock;
use super::{device, status};
use crate::config::Edge;
use anyhow::{Context, Result, anyhow, bail};
use halloo_base::LinkId;
use halloo_io::route::{Forwarding, LinkChange, Netlink, NetlinkError, Vxlan, VxlanOptions};
use halloo_overlay::Mac;
use halloo_overlay::vxlan::{Change, Entry, Member, OVERHEAD_V4, OVERHEAD_V6, changes, payload, wanted};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How the words begin that our devices are marked with, by which a later run knows them again.
const MARK: &str = "halloo edge: ";
/// How the names of their locks begin.
const LOCK: &str = "vxlan-";
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
    _lock: Lock,
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
            alias: alias(&lock, &config.community)?,
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
        if let Some(lock) = abandoned(&device.alias, &status::folders()) {
            netlink.remove_link(device.link)?;
            lock.remove();
        }
    }
    Ok(())
}

/// The words that a device is marked with.
fn alias(lock: &Lock, community: &str) -> io::Result<String> {
    let path = lock.path().file_name().unwrap_or_default();
    Ok(format!("{MARK}{} {} {community}", path.display(), lock.mark()?))
}

/// The lock of a device with such an alias, if it was ours and is nobody's any more. A device may have another name by now, so
/// its own words say which lock that is. Of one whose lock is not in these folders nobody knows.
fn abandoned(alias: &str, folders: &[PathBuf]) -> Option<Lock> {
    let mut words = alias.strip_prefix(MARK)?.split(' ');
    let (file, mark) = (words.next()?, words.next()?);
    if !file.starts_with(LOCK) || file.contains('/') {
        return None;
    }
    folders
        .iter()
        .find_map(|folder| Lock::take_over(&folder.join(file), mark))
}

/// A name for the device that nothing else has, and the sign that it is ours.
fn name(netlink: &mut Netlink, asked: Option<&str>) -> Result<(String, Lock)> {
    let folders = status::folders();
    if let Some(name) = asked {
        let lock = lock(name, &folders).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => anyhow!("--tap {name}: another edge has a device of this name"),
            _ => anyhow!("--tap {name}: {error}"),
        })?;
        if netlink.link(name)?.is_some() {
            bail!("--tap {name}: there is such a device, and no edge has made it: choose another name");
        }
        return Ok((name.to_owned(), lock));
    }
    for number in 0..NAMES {
        let name = format!("halloo{number}");
        if netlink.link(&name)?.is_some() {
            continue;
        }
        match lock(&name, &folders) {
            Ok(lock) => return Ok((name, lock)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("--data-plane kernel: no lock for the device"),
        }
    }
    bail!("there are {NAMES} devices halloo0, halloo1 ... already: choose a name with --tap");
}

/// A sign that a device of this name, in this network namespace, belongs to a process that lives: the lock of a file that only
/// root may open, in the first folder that lets us.
fn lock(name: &str, folders: &[PathBuf]) -> io::Result<Lock> {
    if name.contains(['/', ' ']) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no name for a device",
        ));
    }
    let namespace = fs::metadata("/proc/self/ns/net")?.ino();
    let mut refused = io::Error::from(io::ErrorKind::NotFound);
    for folder in folders {
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o755).create(folder);
        let path = folder.join(format!("{LOCK}{namespace}-{name}.lock"));
        match made.and_then(|()| Lock::take(&path, || false)) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                refused = io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            }
            done => return done,
        }
    }
    Err(refused)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    #[test]
    fn a_device_is_somebodys_as_long_as_the_lock_that_it_names_is_held() {
        let folder = tempfile::tempdir().expect("a folder");
        let folders = [folder.path().to_owned()];
        let held = lock("tap7", &folders).expect("nobody has it");
        let words = alias(&held, "our town").expect("a file");
        assert!(words.ends_with(" our town"), "{words}");
        // Whatever the device is called by now.
        assert!(abandoned(&words, &folders).is_none());
        assert_eq!(
            lock("tap7", &folders).err().map(|error| error.kind()),
            Some(io::ErrorKind::WouldBlock)
        );
        drop(held);
        let elsewhere = tempfile::tempdir().expect("a folder");
        assert!(abandoned(&words, &[elsewhere.path().to_owned()]).is_none());
        abandoned(&words, &folders).expect("it is nobody's").remove();
        assert!(abandoned(&words, &folders).is_none());
        // Another file of that name is another's.
        let other = lock("tap7", &folders).expect("nobody has it");
        let words = alias(&other, "our town").expect("a file");
        let mark = other.mark().expect("a file");
        drop(other);
        assert!(abandoned(&words.replace(&mark, "1.1"), &folders).is_none());
        assert!(abandoned(&words, &folders).is_some());
    }

    #[test]
    fn what_other_users_can_take_is_no_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let address = SocketAddr::from_abstract_name("halloo-edge-tap8").expect("a name");
        let _taken = UnixListener::bind_addr(&address).expect("anybody may");
        let lock = lock("tap8", &[folder.path().to_owned()]).expect("nobody has it");
        let mode = fs::metadata(lock.path()).expect("a file").mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn words_of_others_say_nothing() {
        let folders = [PathBuf::from("/run/halloo")];
        for alias in [
            "",
            "mine",
            "halloo edge: town",
            "halloo edge: ../x 1.2 town",
            "halloo edge: vxlan-/x 1.2 t",
        ] {
            assert!(abandoned(alias, &folders).is_none(), "{alias}");
        }
    }
}
