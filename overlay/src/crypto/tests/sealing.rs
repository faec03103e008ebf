//! What is sealed is opened, and nothing else.

use super::*;
use crate::wire::{DataHeader, flag};
use proptest::prelude::*;

const KEY: [u8; 32] = [42; 32];

const CIPHERS: [Cipher; 5] = [
    Cipher::None,
    Cipher::Mac,
    Cipher::Aes128Gcm,
    Cipher::Aes256Gcm,
    Cipher::ChaCha20Poly1305,
];

fn sealed(sealer: &mut Sealer, path: u8, class: Class, content: &[u8]) -> Vec<u8> {
    let mut buffer = [&[0; HEADER_LEN], content, &[0; TAG_LEN]].concat();
    let len = sealer.seal(path, class, &mut buffer, content.len()).unwrap();
    assert_eq!(len, content.len() + sealer.overhead(class));
    buffer.truncate(len);
    buffer
}

fn opened(opener: &mut Opener, datagram: &[u8]) -> Result<(Opened, Vec<u8>), OpenError> {
    let Ok(Message::Data(header)) = Message::parse(datagram) else {
        return Err(OpenError::Length);
    };
    let mut into = vec![0; datagram.len()];
    let opened = opener.open(&header, datagram, &mut into)?;
    into.truncate(opened.len);
    Ok((opened, into))
}

/// A pair for each cipher and class, with a content that may go by it.
fn pairs() -> impl Iterator<Item = (Cipher, Class, Sealer, Opener, Vec<u8>)> {
    CIPHERS.into_iter().flat_map(|cipher| {
        [Class::Frames, Class::Control].map(|class| {
            let kind = if class == Class::Control { 4 } else { 1 };
            let content = [&[kind], &[7; 40][..]].concat();
            (
                cipher,
                class,
                Sealer::new(cipher, &KEY, 99),
                Opener::new(cipher, &KEY),
                content,
            )
        })
    })
}

#[test]
fn what_is_sealed_is_opened_once_and_is_secret_where_it_should_be() {
    for (cipher, class, mut sealer, mut opener, content) in pairs() {
        for round in 0..3 {
            let datagram = sealed(&mut sealer, 5, class, &content);
            let secret = cipher.seals() || class == Class::Control;
            assert_eq!(
                !secret,
                datagram.windows(40).any(|at| at == [7; 40]),
                "{cipher:?}"
            );
            let (told, text) = opened(&mut opener, &datagram).unwrap();
            assert_eq!(text, content);
            assert_eq!((told.class, told.path, told.counter), (class, 5, round));
            assert_eq!(told.proved, cipher != Cipher::None || class == Class::Control);
            assert_eq!(opened(&mut opener, &datagram), Err(OpenError::Again));
        }
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    for (cipher, class, mut sealer, mut opener, content) in pairs() {
        if cipher == Cipher::None && class == Class::Frames {
            continue;
        }
        let datagram = sealed(&mut sealer, 0, class, &content);
        for bit in 0..datagram.len() * 8 {
            let mut flipped = datagram.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                opened(&mut opener, &flipped).is_err(),
                "{cipher:?} {class:?} bit {bit}"
            );
        }
        for len in 0..datagram.len() {
            assert!(opened(&mut opener, &datagram[..len]).is_err());
        }
        // None of it has moved the window.
        assert!(opened(&mut opener, &datagram).is_ok());
    }
}

#[test]
fn nobody_can_say_that_less_was_agreed() {
    for cipher in CIPHERS {
        let mut opener = Opener::new(cipher, &KEY);
        let frames = Sealer::new(cipher, &KEY, 99).flags(Class::Frames);
        let control = Sealer::new(cipher, &KEY, 99).flags(Class::Control);
        for flags in 0..=u16::MAX {
            if flags == frames || flags == control {
                continue;
            }
            let header = DataHeader {
                path: 0,
                flags,
                receiver: 99,
                counter: 5,
            };
            let datagram = [&header.emit()[..], &[1; 40]].concat();
            assert_eq!(opened(&mut opener, &datagram).map(|_| ()), Err(OpenError::Flags));
        }
    }
    // What one cipher sealed another does not open, whatever its flags.
    for cipher in CIPHERS {
        let datagram = sealed(&mut Sealer::new(cipher, &KEY, 99), 0, Class::Frames, &[1; 40]);
        for other in CIPHERS.into_iter().filter(|other| *other != cipher) {
            for flags in [0, flag::CONTROL, flag::CLEAR, flag::MARKED] {
                if other == Cipher::None && flags == flag::CLEAR {
                    continue;
                }
                let mut datagram = datagram.clone();
                datagram[2..4].copy_from_slice(&flags.to_be_bytes());
                assert!(opened(&mut Opener::new(other, &KEY), &datagram).is_err());
            }
        }
    }
}

#[test]
fn control_comes_sealed_or_not_at_all() {
    for cipher in [Cipher::None, Cipher::Mac] {
        for (class, kinds) in [
            (Class::Frames, [0, 4, 132, 128]),
            (Class::Control, [1, 2, 131, 3]),
        ] {
            for kind in kinds {
                let datagram = sealed(&mut Sealer::new(cipher, &KEY, 99), 0, class, &[kind, 1, 2]);
                assert_eq!(
                    opened(&mut Opener::new(cipher, &KEY), &datagram),
                    Err(OpenError::Content)
                );
            }
        }
    }
    for cipher in CIPHERS {
        let datagram = sealed(&mut Sealer::new(cipher, &KEY, 99), 0, Class::Frames, &[5]);
        assert_eq!(
            opened(&mut Opener::new(cipher, &KEY), &datagram),
            Err(OpenError::Content)
        );
    }
}

#[test]
fn a_false_clear_datagram_shuts_nobody_out() {
    let (mut sealer, mut opener) = (
        Sealer::new(Cipher::None, &KEY, 99),
        Opener::new(Cipher::None, &KEY),
    );
    let header = DataHeader {
        path: 0,
        flags: flag::CLEAR,
        receiver: 99,
        counter: u64::MAX - 1,
    };
    assert!(opened(&mut opener, &[&header.emit()[..], &[1]].concat()).is_ok());
    for _ in 0..3 {
        let frames = sealed(&mut sealer, 0, Class::Frames, &[1]);
        assert!(opened(&mut opener, &frames).is_ok());
        let control = sealed(&mut sealer, 0, Class::Control, &[4]);
        assert!(opened(&mut opener, &control).is_ok());
        assert_eq!(opened(&mut opener, &control), Err(OpenError::Again));
    }
}

#[test]
fn a_slow_path_does_not_lose_to_a_fast_one() {
    let (mut sealer, mut opener) = (
        Sealer::new(Cipher::Aes128Gcm, &KEY, 99),
        Opener::new(Cipher::Aes128Gcm, &KEY),
    );
    let slow = sealed(&mut sealer, 0, Class::Frames, &[1]);
    let late = sealed(&mut sealer, 1, Class::Frames, &[1]);
    for _ in 0..8_192 {
        let fast = sealed(&mut sealer, 1, Class::Frames, &[1]);
        assert!(opened(&mut opener, &fast).is_ok());
    }
    assert!(opened(&mut opener, &slow).is_ok());
    assert_eq!(opened(&mut opener, &late), Err(OpenError::Older));
}

#[test]
fn a_buffer_or_path_out_of_range_is_refused_and_no_number_is_lost() {
    let mut sealer = Sealer::new(Cipher::Aes256Gcm, &KEY, 99);
    let mut buffer = [0; 40];
    for (path, len) in [(32, 1), (0, 0), (0, 9), (0, usize::MAX)] {
        assert_eq!(
            sealer.seal(path, Class::Frames, &mut buffer, len),
            Err(SealError::Room)
        );
    }
    buffer[16] = 1;
    let len = sealer.seal(0, Class::Frames, &mut buffer, 8).unwrap();
    let (told, _) = opened(&mut Opener::new(Cipher::Aes256Gcm, &KEY), &buffer[..len]).unwrap();
    assert_eq!(told.counter, 0);
    let Ok(Message::Data(header)) = Message::parse(&buffer) else {
        panic!("data");
    };
    let mut opener = Opener::new(Cipher::Aes256Gcm, &KEY);
    assert_eq!(opener.open(&header, &buffer, &mut [0; 7]), Err(OpenError::Length));
}

proptest! {
    #[test]
    fn any_order_is_opened_once_each(
        cipher in 0..5usize, order in prop::collection::vec((any::<prop::sample::Index>(), 0u8..3), 1..300),
    ) {
        let (mut sealer, mut opener) = (Sealer::new(CIPHERS[cipher], &KEY, 1), Opener::new(CIPHERS[cipher], &KEY));
        let datagrams: Vec<_> = (0..300u16)
            .map(|n| {
                let [a, b] = n.to_be_bytes();
                sealed(&mut sealer, (n % 3) as u8, Class::Frames, &[1, a, b])
            })
            .collect();
        let mut seen = std::collections::BTreeSet::new();
        for (index, _) in order {
            let at = index.index(datagrams.len());
            let result = opened(&mut opener, &datagrams[at]);
            prop_assert_eq!(result.is_ok(), seen.insert(at));
        }
    }
}
