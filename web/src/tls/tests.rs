use super::*;
use base64ct::Encoding;
use rustls::pki_types::ServerName;
use std::fs;

fn made() -> TlsOptions {
    TlsOptions::self_signed(["echo.example", "192.0.2.7", "2001:db8::7"]).unwrap()
}

/// A certificate and a key of their own, in PEM.
fn pem() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["echo.example".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let block = |kind, der: &[u8]| {
        let text = base64ct::Base64::encode_string(der);
        format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
    };
    (
        block("CERTIFICATE", certificate.der()),
        block("PRIVATE KEY", key.serialized_der()),
    )
}

/// The options from two files that hold this.
fn from_files(certificate: &str, key: &str) -> Result<TlsOptions, TlsError> {
    let folder = tempfile::tempdir().unwrap();
    let paths = [
        folder.path().join("fullchain.pem"),
        folder.path().join("privkey.pem"),
    ];
    fs::write(&paths[0], certificate).unwrap();
    fs::write(&paths[1], key).unwrap();
    TlsOptions::files(&paths[0], &paths[1])
}

#[test]
fn a_certificate_of_our_own_is_for_every_name_it_was_made_for() {
    let made = made();
    let der = CertificateDer::from(made.certificate());
    let certificate = rustls::server::ParsedCertificate::try_from(&der).unwrap();
    let fits = |name: &str| {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        rustls::client::verify_server_name(&certificate, &name).is_ok()
    };
    assert!(fits("echo.example") && fits("192.0.2.7") && fits("2001:db8::7"));
    assert!(!fits("other.example") && !fits("192.0.2.8"));
}

#[test]
fn no_two_certificates_of_our_own_are_alike() {
    assert_ne!(made().fingerprint(), made().fingerprint());
}

#[test]
fn a_fingerprint_is_32_bytes_in_hexadecimal_with_colons() {
    let made = made();
    let digest = Sha256::digest(made.certificate());
    let parsed: Vec<_> = made
        .fingerprint()
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect();
    assert_eq!(parsed, digest.as_slice());
    assert_eq!(made.fingerprint().len(), 32 * 3 - 1);
}

#[test]
fn debug_output_tells_the_fingerprint_and_nothing_of_the_key() {
    let made = made();
    assert_eq!(format!("{made:?}"), format!("TlsOptions({})", made.fingerprint()));
}

#[test]
fn files_as_others_write_them_are_read() {
    let (certificate, key) = pem();
    let (other, _) = pem();
    let read = from_files(&format!("{certificate}{other}"), &key).unwrap();
    assert_eq!(read.identity.cert.len(), 2);
    assert_eq!(
        read.fingerprint(),
        from_files(&certificate, &key).unwrap().fingerprint()
    );
}

#[test]
fn files_that_do_not_hold_what_they_should_are_named() {
    let (certificate, key) = pem();
    let (_, other) = pem();
    let told = |certificate: &str, key: &str| from_files(certificate, key).unwrap_err().to_string();
    assert!(told(&certificate, &other).contains("cannot be used"));
    assert!(told(&key, &key).contains("fullchain.pem: no certificate"));
    assert!(told("", &key).contains("fullchain.pem"));
    assert!(told(&certificate, &certificate).contains("privkey.pem"));
    let missing = TlsOptions::files(Path::new("nowhere/cert.pem"), Path::new("nowhere/key.pem"));
    assert!(missing.unwrap_err().to_string().starts_with("nowhere/cert.pem: "));
}

#[test]
fn names_that_no_certificate_can_hold_are_refused() {
    let none: [&str; 0] = [];
    assert!(TlsOptions::self_signed(none).is_err());
    assert!(TlsOptions::self_signed(["h\u{e9}"]).is_err());
}
