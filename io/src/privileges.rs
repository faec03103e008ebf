//! Giving up root, or what is like it, once everything is open.

use nix::unistd::{Gid, Uid, User, setgroups, setresgid, setresuid};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use std::io;

/// Becomes `user` for good: its group, no further groups, no way back. Capabilities go with the user id. A process that
/// is not root stays who it is, and gives up the capabilities that it was started with. No program started later can
/// gain any (PR_SET_NO_NEW_PRIVS).
///
/// Call it before any thread is started that should not keep them.
///
/// # Errors
/// If the user does not exist (`NotFound`), or the kernel refuses.
pub fn drop_privileges(user: &str) -> io::Result<()> {
    if Uid::effective().is_root() {
        let entry = User::from_name(user)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no user named {user:?}")))?;
        if !entry.uid.is_root() {
            become_user(entry.uid, entry.gid)?;
        }
    } else {
        give_up_capabilities()?;
    }
    rustix::thread::set_no_new_privs(true).map_err(io::Error::from)
}

fn give_up_capabilities() -> io::Result<()> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    // What is ambient goes with what is permitted (capabilities(7)).
    set_capabilities(None, sets).map_err(io::Error::from)
}

fn become_user(uid: Uid, gid: Gid) -> io::Result<()> {
    setgroups(&[gid])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    if Uid::effective() != uid || setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).is_ok() {
        return Err(io::Error::other("root came back after it was given up"));
    }
    Ok(())
}
