//! Keys as the command line names them: a file, or `hmac:FILE` for a shared secret.

use crate::key;
use anyhow::{Context, Result};
use halloo_protocols::ndn::{KeyError, NameBuf, Signer, Verifier};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What stands before a file that holds a shared secret.
const SHARED: &str = "hmac:";
/// The word for believing mere digests.
const DIGEST: &str = "digest";
/// Enough for every certificate: no packet is longer, and Base64 takes a third more.
const LONGEST: u64 = 16 * 1024;

/// Who signs with the key in this file. Packets call the key `name`.
///
/// # Errors
/// If the file cannot be read, is open to others, or holds no key that can sign.
pub(super) fn signer(text: &str, name: NameBuf) -> Result<Signer> {
    let made = match text.strip_prefix(SHARED) {
        Some(file) => key::secret(Path::new(file), |secret| {
            Signer::hmac(secret.trim_ascii_end(), name)
        }),
        None => key::secret(Path::new(text), |pem| {
            let pem = std::str::from_utf8(pem).map_err(|_| KeyError::NotPrivate)?;
            Signer::from_pem(pem, name)
        }),
    };
    made.with_context(|| format!("--sign {text}"))
}

/// Who believes answers that are signed with the key in this file: a public key, a certificate, or a shared secret. The
/// word `digest` stands for none.
///
/// # Errors
/// If the file cannot be read, or holds no key that can judge.
pub(super) fn verifier(text: &str) -> Result<Verifier> {
    let made = match text.strip_prefix(SHARED) {
        _ if text == DIGEST => return Ok(Verifier::digest()),
        Some(file) => key::secret(Path::new(file), |secret| Verifier::hmac(secret.trim_ascii_end())),
        None => public(Path::new(text)),
    };
    made.with_context(|| format!("--verify {text}"))
}

fn public(path: &Path) -> Result<Verifier> {
    let mut contents = vec![];
    File::open(path)?.take(LONGEST).read_to_end(&mut contents)?;
    Ok(Verifier::from_file(&contents)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use halloo_protocols::ndn::{Data, Unsigned};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use tempfile::NamedTempFile;

    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
                           MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n\
                           -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
                          MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n\
                          -----END PUBLIC KEY-----\n";

    fn file(contents: &str, mode: u32) -> (NamedTempFile, String) {
        let file = NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), contents).expect("it can be written");
        fs::set_permissions(file.path(), Permissions::from_mode(mode)).expect("it is ours");
        let name = file.path().display().to_string();
        (file, name)
    }

    fn verifies(signer: &Signer, verifier: &Verifier) -> bool {
        let wire = Unsigned::default().sign(signer).expect("short enough");
        let data = Data::parse(&wire).expect("what we wrote we can read");
        data.verify(verifier).is_ok()
    }

    #[test]
    fn what_one_file_signs_the_other_believes() {
        let (_private, private) = file(PRIVATE, 0o600);
        let (_public, public) = file(PUBLIC, 0o644);
        let (_shared, shared) = file("a secret\n", 0o600);
        let (_same, same) = file("a secret", 0o640);
        let ed25519 = signer(&private, NameBuf::new()).expect("a private key");
        let hmac = signer(&format!("hmac:{shared}"), NameBuf::new()).expect("a secret");
        let believers = [public, format!("hmac:{same}"), "digest".into()];
        let believers = believers.map(|text| verifier(&text).expect("a key"));
        for (signer, expected) in [
            (ed25519, [true, false, false]),
            (hmac, [false, true, false]),
            (Signer::digest(), [false, false, true]),
        ] {
            let believed = believers.each_ref().map(|verifier| verifies(&signer, verifier));
            assert_eq!(believed, expected, "{signer:?}");
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_told_with_its_option() {
        let (_open, open) = file(PRIVATE, 0o644);
        let (_public, public) = file(PUBLIC, 0o600);
        let told = |error: anyhow::Error| format!("{error:#}");
        let error = told(signer(&open, NameBuf::new()).expect_err("open to all"));
        assert!(
            error.starts_with(&format!("--sign {open}: everybody on this host")),
            "{error}"
        );
        let error = told(signer(&public, NameBuf::new()).expect_err("not private"));
        assert!(
            error.starts_with(&format!("--sign {public}: no private key")),
            "{error}"
        );
        let error = told(verifier("/no/such/file").expect_err("not there"));
        assert!(
            error.starts_with("--verify /no/such/file: No such file"),
            "{error}"
        );
    }
}
