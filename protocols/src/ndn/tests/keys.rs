//! Keys of every kind: what they sign they verify, and nothing else.

use super::*;

/// Made for these tests by `openssl genpkey`.
const ECDSA: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgT0CZrUXtJzTpdBFO
Vf1r7rw3hFq4jJVyWgrk4eKpiq2hRANCAARnVITeP2q5ZG7658ynIz5jhwrVdrM0
GUa4MOyK48fByyb7jueKrjiAcyYBpy7D1h1tP/fGs58ftOns6MXqhPMy
-----END PRIVATE KEY-----
";
const ECDSA_SEC1: &str = "-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIE9Ama1F7Sc06XQRTlX9a+68N4RauIyVcloK5OHiqYqtoAoGCCqGSM49
AwEHoUQDQgAEZ1SE3j9quWRu+ufMpyM+Y4cK1XazNBlGuDDsiuPHwcsm+47niq44
gHMmAacuw9YdbT/3xrOfH7Tp7OjF6oTzMg==
-----END EC PRIVATE KEY-----
";
const ECDSA_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZ1SE3j9quWRu+ufMpyM+Y4cK1Xaz
NBlGuDDsiuPHwcsm+47niq44gHMmAacuw9YdbT/3xrOfH7Tp7OjF6oTzMg==
-----END PUBLIC KEY-----
";
const ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIORBWvP5alKMJXBxoz2ZOdITTZSydKuHTXhhHWfRVESo
-----END PRIVATE KEY-----
";
const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAnG49KMFykTnWHFYsAoeWMB5mGOA9RtET/NU+eiP/KqE=
-----END PUBLIC KEY-----
";
const SECRET: &[u8] = b"a secret that both sides know";

pub(super) fn pairs() -> Vec<(Signer, Verifier)> {
    let key_name = named("/lab/KEY/1");
    let pem = |pem, name: &NameBuf| Signer::from_pem(pem, name.clone()).expect("a private key");
    let public = |pem: &str| Verifier::from_file(pem.as_bytes()).expect("a public key");
    vec![
        (Signer::digest(), Verifier::digest()),
        (
            Signer::hmac(SECRET, key_name.clone()).expect("a secret"),
            Verifier::hmac(SECRET).expect("a secret"),
        ),
        (pem(ECDSA, &key_name), public(ECDSA_PUBLIC)),
        (pem(ED25519, &key_name), public(ED25519_PUBLIC)),
    ]
}

fn moment() -> SigningMoment {
    SigningMoment {
        nonce: [1, 2, 3, 4, 5, 6, 7, 8],
        time: 1_795_187_109_846,
    }
}

#[test]
fn each_key_verifies_its_own_signature_and_no_other() {
    let name = named("/A/ping/7");
    let unsigned = Unsigned {
        name: name.as_name(),
        meta: Some(MetaInfo::default()),
        content: Some(b"content"),
    };
    for (mine, (signer, _)) in pairs().iter().enumerate() {
        let wire = unsigned.sign(signer).expect("room");
        let command = Interest::new(name.as_name())
            .with_parameters(b"", Some((signer, moment())))
            .expect("room");
        let data = Data::parse(&wire).expect("Data");
        let interest = Interest::parse(&command).expect("an Interest");
        assert!(data.signature_value.len() <= signer.longest());
        assert_eq!(data.signature_info, signer.info());
        for (other, (_, verifier)) in pairs().iter().enumerate() {
            let expected = if mine == other {
                Ok(())
            } else {
                Err(Unverified::OtherKind)
            };
            assert_eq!(data.verify(verifier), expected, "{signer:?} {verifier:?}");
            assert_eq!(interest.verify(verifier), expected, "{signer:?} {verifier:?}");
        }
    }
}

#[test]
fn every_byte_counts() {
    let name = named("/A");
    let unsigned = Unsigned {
        name: name.as_name(),
        meta: None,
        content: Some(b"c"),
    };
    for (signer, verifier) in pairs() {
        let wire = unsigned.sign(&signer).expect("room");
        for at in 0..wire.len() {
            let mut altered = wire.clone();
            altered[at] ^= 1 << (at % 8);
            if let Ok(data) = Data::parse(&altered) {
                assert!(data.verify(&verifier).is_err(), "{signer:?} byte {at}");
            }
        }
    }
}

#[test]
fn a_signature_by_another_key_of_the_same_kind_is_wrong() {
    let name = named("/A");
    let unsigned = Unsigned {
        name: name.as_name(),
        ..Unsigned::default()
    };
    let stranger = Signer::hmac(b"another secret", NameBuf::new()).expect("a secret");
    let wire = unsigned.sign(&stranger).expect("room");
    let verifier = Verifier::hmac(SECRET).expect("a secret");
    assert_eq!(
        Data::parse(&wire).expect("Data").verify(&verifier),
        Err(Unverified::Wrong)
    );
    // The captured certificate is of another P-256 key.
    let certificate = vector("V13");
    let verifier = Verifier::from_certificate(&certificate).expect("a certificate");
    let ours = Signer::from_pem(ECDSA, NameBuf::new()).expect("a key");
    let wire = unsigned.sign(&ours).expect("room");
    assert_eq!(
        Data::parse(&wire).expect("Data").verify(&verifier),
        Err(Unverified::Wrong)
    );
}

#[test]
fn all_pem_forms_of_a_key_are_the_same_key() {
    let sign = |pem| {
        Signer::from_pem(pem, NameBuf::new())
            .expect("a key")
            .sign(&[b"bytes"])
    };
    assert_eq!(sign(ECDSA), sign(ECDSA_SEC1), "RFC 6979: no randomness in it");
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    assert_eq!(sign(ECDSA), sign(&format!("{parameters}{ECDSA_SEC1}")));
}

#[test]
fn a_certificate_is_read_from_bytes_and_from_base64_with_line_ends() {
    use base64ct::{Base64, Encoding};
    let wire = vector("V13");
    let data = Data::parse(&wire).expect("Data");
    let text = Base64::encode_string(&wire);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("text"))
        .collect();
    for file in [
        wire.clone(),
        text.clone().into_bytes(),
        lines.join("\r\n").into_bytes(),
    ] {
        let verifier = Verifier::from_file(&file).expect("a certificate");
        assert_eq!(data.verify(&verifier), Ok(()));
    }
}

#[test]
fn what_is_no_key_says_so() {
    for text in ["", "no key", ECDSA_PUBLIC] {
        let why = Signer::from_pem(text, NameBuf::new()).expect_err("no private key");
        assert_eq!(why, KeyError::NotPrivate);
    }
    let no_certificate = vector("V2");
    for file in [
        &b""[..],
        b"no key",
        ECDSA.as_bytes(),
        &no_certificate,
        &[0xff, 0xfe],
    ] {
        assert_eq!(
            Verifier::from_file(file).err(),
            Some(KeyError::NotPublic),
            "{file:02x?}"
        );
    }
    // A key as the content of anything but a certificate.
    let certificate = vector("V13");
    let certificate = Data::parse(&certificate).expect("Data");
    let unsigned = Unsigned {
        name: certificate.name,
        meta: None,
        content: certificate.content,
    };
    let no_certificate = unsigned.sign(&Signer::digest()).expect("room");
    let refused = Verifier::from_certificate(&no_certificate);
    assert_eq!(refused.err(), Some(KeyError::NotPublic));
    assert_eq!(Verifier::hmac(b"").err(), Some(KeyError::Empty));
    assert_eq!(Signer::hmac(b"", NameBuf::new()).err(), Some(KeyError::Empty));
}

#[test]
fn nothing_prints_a_key() {
    let key_name = named("/lab/KEY/1");
    let signer = Signer::hmac(SECRET, key_name).expect("a secret");
    assert_eq!(format!("{signer:?}"), "Signer(Hmac, /lab/KEY/1)");
    let verifier = Verifier::hmac(SECRET).expect("a secret");
    assert_eq!(format!("{verifier:?}"), "Verifier(Hmac)");
}

#[test]
fn an_interest_whose_digest_is_not_the_last_component_is_not_signed() {
    let name = named("/A");
    let wire = Interest::new(name.as_name())
        .with_parameters(b"", Some((&Signer::digest(), moment())))
        .expect("room");
    let read = Interest::parse(&wire).expect("an Interest");
    assert_eq!(read.verify(&Verifier::digest()), Ok(()));
    let longer = read.name.to_buf().with(b"more");
    let moved = Interest {
        name: longer.as_name(),
        ..read
    };
    assert_eq!(moved.verify(&Verifier::digest()), Err(Unverified::NotSigned));
    let bare = Interest::new(name.as_name());
    assert_eq!(bare.verify(&Verifier::digest()), Err(Unverified::NotSigned));
}
