//! `--revoked`: a list of certificates that hold no longer, in a file that may change while the edge runs.

use anyhow::{Context, Result, bail};
use halloo_overlay::crypto::parse_revocation_text;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Longer than any list in base64.
const LONGEST: u64 = 64 * 1024;

/// The file, and what it was when it was read last.
pub(super) struct Revoked {
    path: PathBuf,
    seen: Option<Seen>,
}

/// What shows that a file is another one, or was written anew: device, inode, length, seconds and nanoseconds of the last
/// change.
type Seen = (u64, u64, u64, i64, i64);

impl Revoked {
    /// The list as it is now.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn open(path: &Path) -> Result<(Revoked, Vec<u8>)> {
        let seen = seen(path);
        let octets = read(path)?;
        let path = path.to_owned();
        Ok((Revoked { path, seen }, octets))
    }

    /// The list, if it is another one since it was looked at last; nothing in it, which is no list, where it cannot be read.
    pub(super) fn changed(&mut self) -> Option<Vec<u8>> {
        let seen = seen(&self.path);
        if seen == self.seen {
            return None;
        }
        self.seen = seen;
        Some(read(&self.path).unwrap_or_default())
    }
}

fn seen(path: &Path) -> Option<Seen> {
    let file = fs::metadata(path).ok()?;
    Some((
        file.dev(),
        file.ino(),
        file.len(),
        file.ctime(),
        file.ctime_nsec(),
    ))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let name = || path.display().to_string();
    let mut text = String::new();
    let file = File::open(path).with_context(name)?;
    file.take(LONGEST + 1)
        .read_to_string(&mut text)
        .with_context(name)?;
    if text.len() as u64 > LONGEST {
        bail!("{}: longer than a list of `halloo key revoke`", path.display());
    }
    parse_revocation_text(&text).with_context(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use halloo_overlay::crypto::{AuthorityKey, Replayed, emit_revocation_text};

    #[test]
    fn a_list_is_read_again_when_it_is_another_and_only_then() {
        let directory = std::env::temp_dir().join(format!("halloo-revoked-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("revoked");
        let key = AuthorityKey::generate(&mut Replayed::new(1));
        let write = |issued: u64| {
            let octets = key.revoke(issued, &[issued]).expect("a list");
            let beside = directory.join("new");
            fs::write(&beside, emit_revocation_text(&octets)).expect("a file");
            fs::rename(&beside, &path).expect("it takes its place");
            octets
        };
        assert!(Revoked::open(&path).is_err(), "there must be one at the start");
        let first = write(1);
        let (mut revoked, octets) = Revoked::open(&path).expect("a list");
        assert_eq!((octets, revoked.changed()), (first, None));
        let second = write(2);
        assert_eq!(revoked.changed(), Some(second));
        assert_eq!(revoked.changed(), None);
        fs::remove_file(&path).expect("it was there");
        assert_eq!(revoked.changed(), Some(vec![]), "which is told");
        assert_eq!(revoked.changed(), None, "once");
        let third = write(3);
        assert_eq!(revoked.changed(), Some(third));
        fs::remove_dir_all(&directory).expect("it was ours");
    }
}
