//! Giving up root, or what is like it, once everything is open.

use nix::unistd::{Gid, Uid, User, setgroups, setresgid, setresuid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
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

/// Becomes `user` as [`drop_privileges`] does, but the calling thread may still change network devices (CAP_NET_ADMIN), until it calls
/// [`give_up_capabilities`]. So may threads that it starts until then, unless [`powerless`] starts them. `root` stays what it is, and
/// who may change nothing keeps nothing.
///
/// # Errors
/// As [`drop_privileges`].
pub fn drop_privileges_but_network(user: &str) -> io::Result<()> {
    if Uid::effective().is_root() {
        let entry = User::from_name(user)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no user named {user:?}")))?;
        if entry.uid.is_root() {
            return rustix::thread::set_no_new_privs(true).map_err(io::Error::from);
        }
        rustix::thread::set_keep_capabilities(true)?;
        become_user(entry.uid, entry.gid)?;
    }
    keep_network()?;
    rustix::thread::set_no_new_privs(true).map_err(io::Error::from)
}

/// Gives up every capability of the calling thread but the one to change network devices, if it has that.
fn keep_network() -> io::Result<()> {
    // To ask for one that it may not have is refused (capset(2)).
    let kept = capabilities(None)?.permitted & CapabilitySet::NET_ADMIN;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(io::Error::from)
}

/// Does something on a thread without capabilities, so that threads which it starts have none.
///
/// # Errors
/// If there is no such thread.
pub fn powerless<R: Send>(work: impl FnOnce() -> R + Send) -> io::Result<R> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, || {
            if !Uid::effective().is_root() {
                give_up_capabilities()?;
            }
            Ok(work())
        })?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Gives up the capabilities of the calling thread for good.
///
/// # Errors
/// If the kernel refuses.
pub fn give_up_capabilities() -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_may_not_do_is_not_kept_for_it() {
        // Capabilities are a thread's own.
        let thread = std::thread::spawn(|| {
            let before = capabilities(None)?.permitted;
            keep_network()?;
            let kept = capabilities(None)?;
            assert_eq!(kept.permitted, before & CapabilitySet::NET_ADMIN);
            assert_eq!(kept.effective, kept.permitted);
            give_up_capabilities()?;
            keep_network()?;
            assert_eq!(capabilities(None)?.permitted, CapabilitySet::empty());
            Ok::<(), io::Error>(())
        });
        thread.join().expect("it asserts").expect("nothing is refused");
    }
}
