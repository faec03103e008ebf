//! Whom a client believes.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Which certificates a client accepts.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Trust {
    /// Those that this host's certificate authorities have signed, for the name that was asked for.
    #[default]
    System,
    /// One, known by its fingerprint, whatever name it is for and whoever signed it.
    Pinned(Pin),
    /// Any. The connection is secret to nobody who stands in between.
    Anyone,
}

/// The SHA-256 of a certificate in DER.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; 32]);

/// Not a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is the SHA-256 of a certificate: 64 hexadecimal digits, with or without colons")]
pub struct BadPin;

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// This host has no certificate authorities where programs look for them.
    #[error("this host knows no certificate authorities (Debian: apt install ca-certificates); {0}")]
    NoAuthorities(String),
    /// The library says no.
    #[error(transparent)]
    Library(#[from] Error),
}

impl Trust {
    /// A client that believes these, and speaks one of these protocols (RFC 7301), the first of them preferred.
    ///
    /// # Errors
    /// If the system's authorities are asked for and there are none.
    pub fn client(&self, protocols: &[&[u8]]) -> Result<Arc<ClientConfig>, TrustError> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let accepted = match self {
            Trust::System => None,
            Trust::Pinned(pin) => Some(Some(*pin)),
            Trust::Anyone => Some(None),
        };
        let mut config = match accepted {
            None => {
                let roots = Arc::new(authorities()?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
                let verifier = verifier.map_err(|error| TrustError::NoAuthorities(error.to_string()))?;
                builder.with_webpki_verifier(verifier).with_no_client_auth()
            }
            Some(pin) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Itself { pin, provider }))
                .with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// What this host's programs trust.
fn authorities() -> Result<RootCertStore, TrustError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(TrustError::NoAuthorities(why.join("; ")));
    }
    Ok(roots)
}

/// The cryptography that is used, named here rather than found in the process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

impl Pin {
    /// The fingerprint of this certificate.
    pub fn of(certificate: &[u8]) -> Pin {
        Pin(Sha256::digest(certificate).into())
    }
}

impl FromStr for Pin {
    type Err = BadPin;

    /// Reads `AA:BB:...` as openssl prints it, or the digits alone.
    fn from_str(text: &str) -> Result<Pin, BadPin> {
        let text = text.trim();
        let text = text.strip_prefix("sha256:").unwrap_or(text);
        let mut digits = text
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16).ok_or(BadPin));
        let mut pin = [0; 32];
        for octet in &mut pin {
            let (high, low) = (digits.next().ok_or(BadPin)??, digits.next().ok_or(BadPin)??);
            *octet = (high << 4 | low) as u8;
        }
        match digits.next() {
            None => Ok(Pin(pin)),
            Some(_) => Err(BadPin),
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, octet) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{octet:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

/// Looks at the certificate itself and not at who signed it. That its holder has the key is proved all the same.
#[derive(Debug)]
struct Itself {
    /// The only one; any without.
    pin: Option<Pin>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Itself {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.pin {
            Some(pin) if pin != Pin::of(end_entity) => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_printed_and_without_colons() {
        let pin = Pin::of(b"abc");
        // SHA-256 of "abc": FIPS 180-4, the first example.
        let bare = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let printed = pin.to_string();
        assert!(
            printed.starts_with("BA:78:16:BF:") && printed.len() == 95,
            "{printed}"
        );
        for text in [bare, &printed, &bare.to_uppercase(), &format!("sha256:{bare}")] {
            assert_eq!(text.parse(), Ok(pin), "{text}");
        }
        for text in [
            "",
            "ba",
            &bare[1..],
            &format!("{bare}00"),
            &bare.replace('b', "x"),
        ] {
            assert_eq!(text.parse::<Pin>(), Err(BadPin), "{text}");
        }
    }
}
