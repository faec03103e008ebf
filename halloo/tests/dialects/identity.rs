//! Certificates as openssl makes them.

use crate::common::{Server, run};
use std::path::{Path, PathBuf};

/// A certificate for an address, its key, and what they are known by.
pub(crate) struct Identity {
    folder: tempfile::TempDir,
    pub(crate) fingerprint: String,
}

impl Identity {
    /// Makes one that nobody else has signed.
    pub(crate) fn of(openssl: &Path, address: &str) -> Identity {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| folder.path().join(name).display().to_string();
        let (certificate, key) = (file("cert.pem"), file("key.pem"));
        let name = format!("subjectAltName=IP:{address}");
        let made = run(
            openssl,
            [
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=halloo",
                "-addext",
                &name,
                "-keyout",
                &key,
                "-out",
                &certificate,
            ],
        );
        assert_eq!(made.1, Some(0), "{}", made.0);
        let (text, _) = run(
            openssl,
            ["x509", "-in", &certificate, "-noout", "-fingerprint", "-sha256"],
        );
        let fingerprint = text.trim().split('=').nth(1).expect("a fingerprint").to_owned();
        Identity { folder, fingerprint }
    }

    /// `cert.pem`, `key.pem`, or whatever else belongs beside them.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// `halloo serve --sips` with it.
    pub(crate) fn server(&self, more: &[&str]) -> Server {
        let (certificate, key) = (self.path("cert.pem"), self.path("key.pem"));
        let args = [
            &[
                "--sips",
                "127.0.0.1:0",
                "--tls-cert",
                &certificate,
                "--tls-key",
                &key,
            ],
            more,
        ];
        Server::start(&args.concat())
    }
}
