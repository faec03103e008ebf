//! Where a running edge answers questions: a Unix socket that only its owner may open.

use super::question::Silence;
use super::status;
use nix::sys::socket::{Shutdown, shutdown};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
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
            return Control::open_at(path).map_err(|error| named(&error, path));
        }
        let mut refused = io::Error::from(io::ErrorKind::NotFound);
        for folder in status::folders() {
            match Control::open_in(&folder, tap) {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    refused = named(&error, &folder);
                }
                done => return done,
            }
        }
        Err(refused)
    }

    fn open_in(folder: &Path, tap: &str) -> io::Result<Control> {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        let _lock = lock(folder)?;
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

    fn open_at(path: &Path) -> io::Result<Control> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let _lock = lock(folder)?;
        Control::bind(path)
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

/// Waits until no other edge is about to make or to remove a socket in this folder.
fn lock(folder: &Path) -> io::Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(folder.join(LOCK))?;
    file.lock()?;
    Ok(file)
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
    use std::os::unix::fs::MetadataExt;
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
        let control = Control::open_in(folder.path(), "tap").expect("a socket");
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
        let held = lock(folder.path()).expect("nobody else has it");
        // Bound, but not listened at: like a dead one's.
        let socket =
            socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None).expect("a socket");
        bind(socket.as_raw_fd(), &UnixAddr::new(&path).expect("a path")).expect("a free path");
        let inode = fs::metadata(folder.path().join(LOCK)).expect("the lock").ino();
        let waits = || {
            let locks = fs::read_to_string("/proc/locks").expect("Linux has it");
            let of_ours = |line: &str| line.contains("->") && line.contains(&format!(":{inode} "));
            locks.lines().any(of_ours)
        };
        let other = thread::spawn({
            let folder = folder.path().to_owned();
            move || Control::open_in(&folder, "tap0")
        });
        while !waits() && !other.is_finished() {
            thread::yield_now();
        }
        listen(&socket, Backlog::MAXCONN).expect("it is bound");
        drop(held);
        let error = other.join().expect("no panic").err().expect("it is taken");
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
    fn a_file_that_is_no_socket_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        fs::write(&path, "mine").expect("ours");
        let error = Control::open("tap", Some(&path)).err().expect("it is in the way");
        assert!(error.to_string().contains("secret"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "mine");
    }
}
