//! Files that say, by a lock, that somebody is at work. The lock ends with who holds it, however that ends.

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Who holds one for a moment is waited for so many times, each as long as this.
const TIMES: u32 = 250;
const PAUSE: Duration = Duration::from_millis(20);

/// A file that is locked for as long as this is there. Nobody but its owner, and root, may open it.
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

/// Waits a little when it is asked; `false` once it is too long.
pub(super) fn patience() -> impl FnMut() -> bool {
    let mut times = 0;
    move || {
        thread::sleep(PAUSE);
        times += 1;
        times < TIMES
    }
}

impl Lock {
    /// Locks the file at a path, which is made if there is none. While somebody else holds it, this waits as long as
    /// `patience` says.
    ///
    /// # Errors
    /// `WouldBlock` if somebody else holds it; or if the file cannot be opened, or is a symbolic link.
    pub(super) fn take(path: &Path, mut patience: impl FnMut() -> bool) -> io::Result<Lock> {
        loop {
            let lock = Lock {
                file: options().create(true).truncate(false).open(path)?,
                path: path.to_owned(),
            };
            match lock.file.try_lock() {
                Ok(()) if lock.is_there() => return Ok(lock),
                // Who held it has just taken it away.
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if !patience() {
                let words = format!("another process holds the lock {}", path.display());
                return Err(io::Error::new(io::ErrorKind::WouldBlock, words));
            }
        }
    }

    /// Locks the file at a path if it is the one with this mark, and nobody holds it.
    pub(super) fn take_over(path: &Path, mark: &str) -> Option<Lock> {
        let lock = Lock {
            file: options().open(path).ok()?,
            path: path.to_owned(),
        };
        let free = lock.file.try_lock().is_ok() && lock.is_there();
        (free && lock.mark().ok()? == mark).then_some(lock)
    }

    /// What tells this file from all others on this host, even from one of the same name.
    pub(super) fn mark(&self) -> io::Result<String> {
        self.file.metadata().map(|metadata| mark(&metadata))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the file away, and lets go of it.
    pub(super) fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }

    fn is_there(&self) -> bool {
        let there = fs::symlink_metadata(&self.path).map(|metadata| mark(&metadata));
        there.is_ok_and(|there| self.mark().is_ok_and(|mark| mark == there))
    }
}

fn options() -> fs::OpenOptions {
    let mut options = File::options();
    // A pipe of that name, too, is nothing to wait for.
    options
        .write(true)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW | O_NONBLOCK);
    options
}

fn mark(metadata: &Metadata) -> String {
    format!("{}.{}", metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_and_the_next_waits_as_long_as_he_likes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let mut held = Some(Lock::take(&path, || false).expect("nobody has it"));
        let mut times = 0;
        let mut waits = || {
            times += 1;
            times < 5
        };
        let error = Lock::take(&path, &mut waits).err().expect("it is held");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(
            error.to_string().contains(path.to_str().expect("text")),
            "{error}"
        );
        assert_eq!(times, 5);
        // Who held it takes it away: it is made anew.
        let lets_go = || {
            held.take().expect("once").remove();
            true
        };
        let next = Lock::take(&path, lets_go).expect("it is free");
        assert!(next.is_there());
        next.remove();
        assert!(!path.exists());
    }

    #[test]
    fn no_link_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, other) = (folder.path().join("lock"), folder.path().join("other"));
        std::os::unix::fs::symlink(&other, &path).expect("a link");
        assert!(Lock::take(&path, || false).is_err());
        assert!(!other.exists());
    }
}
