//! Where a running edge answers questions: a Unix socket that only its owner may open.

use super::question::Silence;
use super::status;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// A slow reader is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A socket that is older has somebody who listens, or nobody for ever.
const SETTLED: Duration = Duration::from_secs(10);

/// The socket; it is removed with this value.
pub(super) struct Control {
    path: PathBuf,
    listener: Option<UnixListener>,
}

impl Control {
    /// Opens it, in the first folder that lets us.
    ///
    /// # Errors
    /// If there is no place for it.
    pub(super) fn open(tap: &str) -> io::Result<Control> {
        let mut refused = io::Error::from(io::ErrorKind::NotFound);
        for folder in status::folders() {
            match Control::open_in(&folder, tap) {
                Ok(control) => return Ok(control),
                Err(error) => {
                    refused = io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
                }
            }
        }
        Err(refused)
    }

    fn open_in(folder: &Path, tap: &str) -> io::Result<Control> {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        sweep(folder);
        let path = status::socket(folder, tap);
        if UnixStream::connect(&path).is_ok() {
            // Of this name there is one on this host, but not in each of its network namespaces.
            let words = format!("another edge with a device {tap} answers there");
            return Err(io::Error::new(io::ErrorKind::AddrInUse, words));
        }
        // Of an edge that was killed: this one has the device now.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Control {
            path,
            listener: Some(listener),
        })
    }

    /// Answers whoever asks, one after another, on a thread of its own.
    pub(super) fn answer(
        &mut self,
        answer: impl Fn() -> Result<String, Silence> + Send + 'static,
    ) -> io::Result<()> {
        let Some(listener) = self.listener.take() else {
            return Ok(());
        };
        thread::Builder::new().name("control".into()).spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let _ = stream.set_write_timeout(Some(PATIENCE));
                match answer() {
                    Ok(line) => drop(writeln!(stream, "{line}")),
                    // Who asked sees nothing come, and may ask again.
                    Err(Silence::Busy) => {}
                    Err(Silence::Ended) => break,
                }
            }
        })?;
        Ok(())
    }
}

/// Takes away what edges left behind that became nobody, or were killed. One that is just being made is left alone.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > SETTLED));
        let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        if is_old && UnixStream::connect(entry.path()).is_err_and(refused) {
            // Another edge may have been quicker.
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Who became nobody may not remove it; the next edge of this device does.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let mut control = Control::open_in(folder.path(), "tap").expect("a socket");
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
}
