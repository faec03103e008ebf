//! Where a running edge answers questions: a Unix socket that only its owner may open.

use super::lock::{Lock, patience};
use super::question::Silence;
use super::status;
use nix::sys::socket::{Shutdown, shutdown};
use std::fs;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// A slow reader is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Held while sockets are made and taken away: one that is made is not listened at for a moment, and looks like a dead one's.
const LOCK: &str = ".lock";

/// The socket; it is removed with this value.
pub(super) struct Control {
    path: PathBuf,
    /// Open for as long as this is: so the path is ours.
    listener: UnixListener,
}

impl Control {
    /// Opens it: at a path, or in the first folder that lets us.
    ///
    /// # Errors
    /// If there is no place for it, or another edge answers there.
    pub(super) fn open(tap: &str, path: Option<&Path>) -> io::Result<Control> {
        if let Some(path) = path {
            return Control::open_at(path, patience()).map_err(|error| named(&error, path));
        }
        let mut refused = io::Error::from(io::ErrorKind::NotFound);
        for folder in status::folders() {
            match Control::open_in(&folder, tap, patience()) {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    refused = named(&error, &folder);
                }
                done => return done,
            }
        }
        Err(refused)
    }

    fn open_in(folder: &Path, tap: &str, patience: impl FnMut() -> bool) -> io::Result<Control> {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        let _lock = Lock::take(&folder.join(LOCK), patience)?;
        sweep(folder);
        let path = status::socket(folder, tap);
        Control::bind(&path).map_err(|error| match error.kind() {
            // Of this name there is one device on this host, but in each of its network namespaces.
            io::ErrorKind::AddrInUse => io::Error::new(
                error.kind(),
                format!(
                    "another edge with a device {tap}, in another network namespace, answers at {}; --tap NAME or \
                     --control PATH keeps them apart",
                    path.display()
                ),
            ),
            _ => error,
        })
    }

    /// Nothing but the socket stays there: the folder is anybody's.
    fn open_at(path: &Path, patience: impl FnMut() -> bool) -> io::Result<Control> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(LOCK);
        let lock = Lock::take(Path::new(&beside), patience)?;
        let control = Control::bind(path);
        lock.remove();
        control
    }

    /// Listens at a path, in the place of who listens there no more.
    fn bind(path: &Path) -> io::Result<Control> {
        match UnixStream::connect(path) {
            Ok(_) => {
                let words = "another edge answers there";
                return Err(io::Error::new(io::ErrorKind::AddrInUse, words));
            }
            // Of an edge that was killed.
            Err(error) if is_dead(&error) && is_socket(path) => fs::remove_file(path)?,
            // What is no socket stays, and makes the next step fail.
            Err(_) => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Control {
            path: path.to_owned(),
            listener,
        })
    }

    /// Answers whoever asks, one after another, on a thread of its own.
    pub(super) fn answer(
        &self,
        answer: impl Fn() -> Result<String, Silence> + Send + 'static,
    ) -> io::Result<()> {
        let listener = self.listener.try_clone()?;
        thread::Builder::new().name("control".into()).spawn(move || {
            for stream in listener.incoming() {
                let mut stream = match stream {
                    Ok(stream) => stream,
                    // It was shut down.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
                    Err(_) => continue,
                };
                let _ = stream.set_write_timeout(Some(PATIENCE));
                match answer() {
                    Ok(line) => drop(writeln!(stream, "{line}")),
                    // Who asked sees nothing come, and may ask again.
                    Err(Silence::Busy) => {}
                    Err(Silence::Ended) => break,
                }
            }
            let _ = shutdown(listener.as_raw_fd(), Shutdown::Both);
        })?;
        Ok(())
    }
}

/// Takes away what edges left behind that became nobody, or were killed. The lock is held: what refuses is dead.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if is_socket(&path) && UnixStream::connect(&path).is_err_and(|error| is_dead(&error)) {
            let _ = fs::remove_file(path);
        }
    }
}

fn is_dead(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

fn named(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

impl Drop for Control {
    fn drop(&mut self) {
        // Who became nobody may not; the next edge does, to which it is dead from here on.
        let _ = fs::remove_file(&self.path);
        let _ = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
    use std::io::Read;
    use std::sync::Mutex;

    fn ask(path: &Path) -> String {
        let mut text = String::new();
        UnixStream::connect(path)
            .and_then(|mut stream| stream.read_to_string(&mut text))
            .expect("somebody listens");
        text
    }

    #[test]
    fn a_busy_edge_is_asked_again_and_one_that_has_ended_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let control = Control::open_in(folder.path(), "tap", || false).expect("a socket");
        let path = control.path.clone();
        let said = Mutex::new(0);
        let answer = move || {
            let mut said = said.lock().expect("nobody panics");
            *said += 1;
            match *said {
                ..=1_000 => Err(Silence::Busy),
                1_001 => Ok("well".to_owned()),
                _ => Err(Silence::Ended),
            }
        };
        control.answer(answer).expect("a thread");
        for _ in 0..1_000 {
            assert_eq!(ask(&path), "");
        }
        assert_eq!(ask(&path), "well\n");
        assert_eq!(ask(&path), "");
        while UnixStream::connect(&path).is_ok() {
            thread::yield_now();
        }
    }
    #[test]
    fn a_socket_that_is_just_being_made_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = status::socket(folder.path(), "tap0");
        let mut held = Lock::take(&folder.path().join(LOCK), || false).ok();
        // Bound, but not listened at: like a dead one's.
        let socket =
            socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None).expect("a socket");
        bind(socket.as_raw_fd(), &UnixAddr::new(&path).expect("a path")).expect("a free path");
        let waits = || {
            listen(&socket, Backlog::MAXCONN).expect("it is bound");
            held.take().is_some()
        };
        let other = Control::open_in(folder.path(), "tap0", waits);
        let error = other.err().expect("it is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
        let words = error.to_string();
        for word in [
            "tap0",
            "--tap",
            "--control",
            folder.path().to_str().expect("text"),
        ] {
            assert!(words.contains(word), "{word}: {words}");
        }
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn who_ends_gives_its_place_to_the_next_even_if_it_may_not_remove_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let open = || Control::open("tap", Some(&path));
        let mut first = open().expect("a socket");
        first.answer(|| Ok("first".to_owned())).expect("a thread");
        assert_eq!(ask(&path), "first\n");
        // Its path is not its own to remove, as for one that became nobody.
        first.path = folder.path().join("elsewhere");
        drop(first);
        let second = open().expect("the first has ended, though its thread may not have");
        second.answer(|| Ok("second".to_owned())).expect("a thread");
        assert_eq!(ask(&path), "second\n");
        let error = open().err().expect("it lives");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn nothing_but_the_socket_stays_and_who_holds_the_lock_is_not_waited_for_without_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let control = Control::open("tap", Some(&path)).expect("a socket");
        let names = || fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(names(), 1);
        drop(control);
        assert_eq!(names(), 0);
        let held = Lock::take(&folder.path().join("socket.lock"), || false).expect("nobody has it");
        let error = Control::open_at(&path, || false).err().expect("it is held");
        assert!(error.to_string().contains("socket.lock"), "{error}");
        drop(held);
        assert!(Control::open_at(&path, || false).is_ok());
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        fs::write(&path, "mine").expect("ours");
        let error = Control::open("tap", Some(&path)).err().expect("it is in the way");
        assert!(error.to_string().contains("secret"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "mine");
    }
}
