//! Noise beside vectors that others made (cacophony's, as `snow` 0.10 has them).

use super::super::noise::Noise;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    octets(text).try_into().unwrap()
}

fn octets(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] * 16 + pair[1]) as u8)
        .collect()
}

struct Vector {
    psk: Option<&'static [u8; 32]>,
    first: &'static str,
    second: &'static str,
    hash: &'static str,
}

const VECTORS: [Vector; 2] = [
    Vector {
        psk: None,
        first: "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79440b03ddc7aac5123d06a1b23b71670e32
            e76c28239a7ca4ac8f784de7e44c1adbfc6e83fef7352a58d9d56157400c0a737b1d171ce368229c7b752ac25b8faf4eca690f6d
            896f543be02c996ab2b86b76",
        second: "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843d9b5a8927f0ac9655ef76833bc7e5561
            f42e691ac8404efd6fbd6308b6a27c",
        hash: "48f3cb8bc9319da4ba1e9933991b1c4ed4034f1f126a76d3a1fbcfd7f94248d4",
    },
    Vector {
        psk: Some(b"This is my Austrian perspective!"),
        first: "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944001e21de9f98ddd8e2ad57527207feb5
            6253c9c94a9e496782ecfcb2a75fbcaf1b52948cc48daefe660c62119ab5000980c84831215f2441eba616548e832985464cf17e
            51ee93109008399a21f7e13f",
        second: "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843cb765f2caef0751b8f007572dab03222
            17755c0632f365717edbf34d33e87a",
        hash: "f5191b875290abcd41347ac3622d9679688a7e980229cb937ef748336cfde0e5",
    },
];

#[test]
fn noise_says_what_others_say() {
    let initiator = hex("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1");
    let responder = hex("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893");
    let responder_public = hex("31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62");
    let there = hex("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a");
    let back = hex("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b");
    for vector in VECTORS {
        let prologue = b"John Galt";
        let mut one = Noise::example(&initiator, Some(&responder_public), vector.psk, prologue, there);
        let mut other = Noise::example(&responder, None, vector.psk, prologue, back);
        let mut first = Vec::new();
        one.write(b"Ludwig von Mises", &mut first).unwrap();
        assert_eq!(first, octets(vector.first));
        assert_eq!(other.read(&first).unwrap(), b"Ludwig von Mises");
        let mut second = Vec::new();
        other.write(b"Murray Rothbard", &mut second).unwrap();
        assert_eq!(second, octets(vector.second));
        // A false answer first: the true one is read all the same.
        let mut false_one = second.clone();
        false_one[0] ^= 1;
        assert!(one.read(&false_one).is_err());
        assert_eq!(one.read(&second).unwrap(), b"Murray Rothbard");
        assert_eq!(one.hash(), hex::<32>(vector.hash));
        assert_eq!(other.hash(), one.hash());
        assert_eq!(one.keys().there, other.keys().there);
        assert_eq!(one.keys().back, other.keys().back);
        assert_ne!(one.keys().there, one.keys().back);
    }
}

#[test]
fn a_key_of_low_order_is_no_key() {
    // Zero, and one of the points of order 8 (RFC 7748 section 6.1 wants the result looked at).
    let order_eight = hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
    for remote in [[0; 32], order_eight] {
        let mut noise = Noise::example(&[5; 32], Some(&remote), None, b"", [6; 32]);
        assert!(noise.write(b"", &mut Vec::new()).is_err());
    }
}
