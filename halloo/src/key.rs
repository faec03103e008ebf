//! Secrets in their files.

use anyhow::{Context, Result, bail};
use halloo_protocols::echo::Key;
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Enough for every key; more than this is another file by mistake.
const LONGEST: u64 = 1024;

/// Reads a key. White space at the end of the file is not part of it.
///
/// # Errors
/// If the file cannot be read, is open to others, or holds too little or too much.
pub(crate) fn read(path: &Path) -> Result<Key> {
    secret(path, Key::from_file).with_context(|| format!("--key-file {}", path.display()))
}

/// Makes something of a secret in a file, of which nothing else is left behind.
///
/// # Errors
/// If the file cannot be read, is open to others, or holds too much; or as `make`.
pub(crate) fn secret<T, E>(path: &Path, make: impl FnOnce(&[u8]) -> Result<T, E>) -> Result<T>
where
    E: Error + Send + Sync + 'static,
{
    let file = File::open(path)?;
    is_closed(path, &file)?;
    let mut contents = Vec::with_capacity(LONGEST as usize + 1);
    file.take(LONGEST + 1).read_to_end(&mut contents)?;
    let made = if contents.len() as u64 > LONGEST {
        bail!("longer than {LONGEST} bytes")
    } else {
        make(&contents)
    };
    // What was made has its own copy; this one is not left behind in freed memory.
    contents.fill(0);
    std::hint::black_box(&contents);
    made.map_err(anyhow::Error::from)
}

/// Whether a file is closed to those whom it is none of their business.
///
/// # Errors
/// If it is not, or cannot be looked at.
pub(crate) fn closed(path: &Path) -> Result<()> {
    is_closed(path, &File::open(path)?)
}

fn is_closed(path: &Path, file: &File) -> Result<()> {
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o007 != 0 {
        bail!(
            "everybody on this host may open it (mode {:04o}); chmod o= {}",
            mode & 0o7777,
            path.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    fn key(contents: &[u8], mode: u32) -> Result<Key> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), contents).expect("it can be written");
        fs::set_permissions(file.path(), Permissions::from_mode(mode)).expect("it is ours");
        read(file.path())
    }

    #[test]
    fn a_key_that_only_its_owner_and_group_may_read_is_taken() {
        assert!(key(b"sixteen bytes...\n", 0o600).is_ok());
        assert!(key(b"sixteen bytes...", 0o640).is_ok());
    }

    #[test]
    fn a_key_that_everybody_may_read_is_no_secret() {
        let error = format!("{:#}", key(b"sixteen bytes...", 0o644).unwrap_err());
        assert!(
            error.contains("mode 0644") && error.contains("chmod o="),
            "{error}"
        );
    }

    #[test]
    fn a_key_is_sixteen_to_a_thousand_bytes() {
        assert!(format!("{:#}", key(b"short", 0o600).unwrap_err()).contains("at least 16 bytes"));
        assert!(key(&[b'x'; 1024], 0o600).is_ok());
        assert!(format!("{:#}", key(&[b'x'; 1025], 0o600).unwrap_err()).contains("longer than 1024 bytes"));
    }
}
