//! Who we are under TLS: a certificate and its key, from files or of our own making.

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A certificate with its key. Its `Debug` output tells the fingerprint and nothing of the key.
#[derive(Clone)]
pub struct TlsOptions {
    identity: Arc<CertifiedKey>,
}

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of the kind in PEM (RFC 7468).
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: pem::Error,
    },
    /// A file of certificates without one.
    #[error("{}: no certificate in it", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The key is of a kind that is not supported, or not that of the certificate.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// A name that no certificate can hold, or no name at all.
    #[error("no certificate can be made for these names: {0}")]
    Name(String),
}

impl TlsOptions {
    /// The certificate in this file, followed by those that lead to its root, and the key in the other, both in PEM:
    /// `fullchain.pem` and `privkey.pem` of an ACME client. They are read once.
    ///
    /// # Errors
    /// If a file cannot be read, or the two do not belong together.
    pub fn files(certificate: &Path, key: &Path) -> Result<TlsOptions, TlsError> {
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |error| TlsError::File { path, error }
        };
        let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .map_err(wrong(certificate))?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate {
                path: certificate.to_owned(),
            });
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(wrong(key))?;
        TlsOptions::new(chain, key)
    }

    /// A certificate that nobody has signed but we, new at each start, for these host names and addresses. Who connects
    /// has to be told its [`TlsOptions::fingerprint`], or to trust it blindly.
    ///
    /// # Errors
    /// If there is no name, or one that is neither an address nor plain ASCII.
    pub fn self_signed(names: impl IntoIterator<Item = impl Into<String>>) -> Result<TlsOptions, TlsError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.is_empty() {
            return Err(TlsError::Name("there are none".to_owned()));
        }
        let wrong = |error: rcgen::Error| TlsError::Name(error.to_string());
        let mut params = CertificateParams::new(names).map_err(wrong)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "halloo");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(wrong)?;
        let certificate = params.self_signed(&key).map_err(wrong)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        TlsOptions::new(vec![certificate.der().clone()], key)
    }

    /// SHA-256 of the certificate, in hexadecimal with colons, as `openssl x509 -fingerprint -sha256` prints it.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.certificate());
        let bytes: Vec<_> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        bytes.join(":")
    }

    /// The certificate itself in DER (RFC 5280), for those who are to trust it.
    pub fn certificate(&self) -> &[u8] {
        // `new` was given one.
        self.identity.cert.first().map_or(&[], |certificate| certificate)
    }

    /// What a server offers these protocols with (RFC 7301), the first of them preferred. TLS 1.2 and 1.3, no early
    /// data: a request that can be replayed is not worth a round trip to us.
    ///
    /// # Errors
    /// If the library will not have it.
    pub fn server_config(&self, protocols: &[&[u8]]) -> Result<ServerConfig, TlsError> {
        let resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&self.identity)));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<TlsOptions, TlsError> {
        let identity = CertifiedKey::from_der(chain, key, &provider())?;
        Ok(TlsOptions {
            identity: Arc::new(identity),
        })
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsOptions({})", self.fingerprint())
    }
}

/// The cryptography that is used, named here rather than found in the process: several crates may bring their own.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests;
