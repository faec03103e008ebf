//! Starting the programs that others wrote, around the small scripts beside this file.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Somebody else's NDN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// python-ndn, from PyPI.
    Python,
    /// NDNts, from npm.
    Ndnts,
}

pub(crate) const PEERS: [Peer; 2] = [Peer::Python, Peer::Ndnts];

/// The script that each of NDNts's programs begins with.
const NDNTS_KEYS: &str = include_str!("ndnts/keys.mjs");

impl Peer {
    /// Runs one of the scripts, such as `codec`; `None` after saying loudly that this peer is not here.
    pub(crate) fn command(
        self,
        script: &str,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Option<Command> {
        let folder = self.folder()?;
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ndn");
        let mut command = match self {
            Peer::Python => {
                let mut command = Command::new("python3");
                command
                    .env("PYTHONPATH", folder)
                    .env("PYTHONDONTWRITEBYTECODE", "1")
                    .arg(scripts.join("python").join(script).with_extension("py"));
                command
            }
            Peer::Ndnts => {
                let path = scripts.join("ndnts").join(script).with_extension("mjs");
                let source =
                    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let mut command = Command::new("node");
                // A module's imports are looked up from its own place, and from here if it has none.
                command
                    .current_dir(folder)
                    .args(["--input-type=module", "--eval"])
                    .arg(NDNTS_KEYS.to_owned() + &source)
                    .arg("--");
                command
            }
        };
        command.args(args);
        Some(command)
    }

    /// Where `cargo xtask test` put it.
    fn folder(self) -> Option<PathBuf> {
        let name = match self {
            Peer::Python => "python-ndn",
            Peer::Ndnts => "ndnts",
        };
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = temporary.with_file_name("peers").join(name);
        if folder.join("installed").exists() {
            return Some(folder);
        }
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        eprintln!("SKIPPED {test}: {name} is not here, `cargo xtask test` installs it");
        None
    }
}
