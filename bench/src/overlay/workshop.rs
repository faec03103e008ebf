//! What is made once for the whole run: programs, keys, files to send. All of it in the target folder.

use crate::contender;
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Octets of the files that are sent: a contender gets the longest that it can send in time.
pub(crate) const FILES: [u64; 4] = [1_000_000_000, 250_000_000, 60_000_000, 15_000_000];

/// Programs, keys and files.
pub(crate) struct Workshop {
    folder: TempDir,
    /// The halloo that is measured.
    pub(crate) halloo: PathBuf,
    /// Where VpnCloud is, if it could be built.
    pub(crate) vpncloud: PathBuf,
    /// The ZeroMQ program, or why there is none.
    pub(crate) zeromq: Result<PathBuf, String>,
}

impl Workshop {
    /// Builds what is to be built.
    pub(crate) fn new() -> Result<Workshop> {
        Workshop::around(contender::halloo()?)
    }

    /// The same around a program in the target folder.
    pub(crate) fn around(halloo: PathBuf) -> Result<Workshop> {
        let target = halloo.ancestors().nth(2).context("no target folder")?;
        let bench = target.join("bench");
        fs::create_dir_all(&bench)?;
        let folder = TempDir::with_prefix_in("overlay-", &bench)?;
        let zeromq = zeromq(folder.path()).map_err(|error| format!("{error:#}"));
        Ok(Workshop {
            vpncloud: target.join("peers/vpncloud/bin/vpncloud"),
            halloo,
            zeromq,
            folder,
        })
    }

    /// A path in its folder, which is there until the end of the run.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of that length which no compressor makes shorter.
    pub(crate) fn noise(&self, octets: u64) -> Result<PathBuf> {
        let path = self.file(&format!("noise-{octets}"));
        if !path.exists() {
            let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
            let (mut state, mut left) = (0x9e37_79b9_7f4a_7c15_u64, octets);
            while left > 0 {
                // Xorshift (Marsaglia 2003).
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let word = state.to_le_bytes();
                let len = left.min(word.len() as u64);
                file.write_all(&word[..len as usize])?;
                left -= len;
            }
            file.flush()?;
        }
        Ok(path)
    }
}

/// Compiles the program that measures ZeroMQ's own library.
fn zeromq(folder: &Path) -> Result<PathBuf> {
    let program = folder.join("zeromq");
    let mut command = Command::new("gcc");
    command
        .args(["-O2", "-o"])
        .arg(&program)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/zeromq/throughput.c"))
        .arg("-lzmq");
    let output = command
        .output()
        .context("cannot run gcc: apt-get install gcc libzmq3-dev")?;
    ensure!(
        output.status.success(),
        "ZeroMQ's part does not compile (apt-get install libzmq3-dev): {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(program)
}
