use super::super::{Compressor, Decompressor, LONGEST_CONTENT, Probe, Refused};
use crate::Compression;
use crate::wire::Content;
use halloo_base::Rng;
use proptest::prelude::*;

const FRAMES: u8 = Content::Frames as u8;
const CONTROL: u8 = Content::Control as u8;
const COMPRESSED: u8 = Content::COMPRESSED;

const BOTH: [Compression; 2] = [Compression::Lz4, Compression::Zstd];

fn text(len: usize) -> Vec<u8> {
    let words = b"the same words again and again, with few others between; ";
    let mut content = vec![FRAMES];
    content.extend(words.iter().cycle().take(len - 1));
    content
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let mut content = vec![FRAMES];
    content.resize_with(len, || rng.next_u64() as u8);
    content
}

#[test]
fn what_shrinks_is_shorter_and_comes_back() {
    for compression in BOTH {
        for content in [text(200), text(1_400), text(LONGEST_CONTENT)] {
            let mut buffer = vec![0; LONGEST_CONTENT];
            let mut probe = Probe::default();
            let len = Compressor::new()
                .compress(compression, &mut probe, &content, &mut buffer)
                .unwrap();
            assert!(len < content.len() && buffer[0] == FRAMES + COMPRESSED);
            let mut back = vec![0; content.len()];
            let taken = Decompressor::new().decompress(compression, &buffer[..len], &mut back);
            assert_eq!(taken, Ok(content.len()));
            assert!(back == content);
        }
    }
}

#[test]
fn what_does_not_shrink_goes_as_it_is_and_is_seldom_tried() {
    for compression in BOTH {
        let mut buffer = vec![0; LONGEST_CONTENT];
        let (mut compressor, mut probe) = (Compressor::new(), Probe::default());
        for seed in 0..200 {
            let content = noise(1_400, seed);
            assert_eq!(
                compressor.compress(compression, &mut probe, &content, &mut buffer),
                None
            );
        }
        // It has learnt not to try: what would shrink is found out within 64 contents.
        let content = text(1_400);
        let tries: Vec<bool> = (0..64)
            .map(|_| {
                compressor
                    .compress(compression, &mut probe, &content, &mut buffer)
                    .is_some()
            })
            .collect();
        let first = tries.iter().position(|&tried| tried).unwrap();
        assert!(first > 10 && tries[first..].iter().all(|&tried| tried), "{first}");
    }
}

#[test]
fn what_is_short_or_control_or_not_agreed_is_not_touched() {
    let mut buffer = vec![0; 2_000];
    let mut control = text(1_000);
    control[0] = CONTROL;
    for (compression, content) in [
        (Compression::Lz4, text(127)),
        (Compression::Zstd, control),
        (Compression::None, text(1_000)),
        (Compression::Lz4, Vec::new()),
    ] {
        let made = Compressor::new().compress(compression, &mut Probe::default(), &content, &mut buffer);
        assert_eq!(made, None);
    }
    // No room is no harm.
    let made = Compressor::new().compress(
        Compression::Lz4,
        &mut Probe::default(),
        &text(1_000),
        &mut buffer[..9],
    );
    assert_eq!(made, None);
}

#[test]
fn what_announces_another_length_is_refused() {
    for compression in BOTH {
        let content = text(1_400);
        let mut buffer = vec![0; 2_000];
        let len = Compressor::new()
            .compress(compression, &mut Probe::default(), &content, &mut buffer)
            .unwrap();
        let good = buffer[..len].to_vec();
        let mut decompressor = Decompressor::new();
        let mut back = vec![0; 1_400];
        let mut decompress =
            |content: &[u8], room| decompressor.decompress(compression, content, &mut back[..room]);
        assert_eq!(decompress(&good, 1_400), Ok(1_400));
        assert_eq!(
            decompress(&good, 1_399),
            Err(Refused::Corrupt),
            "longer than anything may be"
        );
        for lie in [0u16, 1, 1_398, 1_400, 0xffff] {
            let mut wrong = good.clone();
            wrong[1..3].copy_from_slice(&lie.to_be_bytes());
            assert_eq!(decompress(&wrong, 1_400), Err(Refused::Corrupt), "{lie}");
        }
        for kind in [0, FRAMES, COMPRESSED, COMPRESSED + CONTROL, 255] {
            let mut wrong = good.clone();
            wrong[0] = kind;
            assert_eq!(decompress(&wrong, 1_400), Err(Refused::NotCompressible), "{kind}");
        }
        for cut in 0..len {
            assert!(decompress(&good[..cut], 1_400).is_err(), "{cut}");
        }
        let none = Decompressor::new().decompress(Compression::None, &good, &mut [0; 1_400]);
        assert_eq!(none, Err(Refused::NotCompressible));
    }
}

#[test]
fn a_bomb_is_refused() {
    // 65,000 octets out of a few.
    let bomb = zstd::bulk::compress(&vec![0; 65_000], 1).unwrap();
    let content = [&[COMPRESSED + FRAMES, 0xfd, 0xe8][..], &bomb].concat();
    let mut back = vec![0; 1_400];
    let taken = Decompressor::new().decompress(Compression::Zstd, &content, &mut back);
    assert_eq!(taken, Err(Refused::Corrupt));
    let lie = [&[COMPRESSED + FRAMES, 0x04, 0x00][..], &bomb].concat();
    assert_eq!(
        Decompressor::new().decompress(Compression::Zstd, &lie, &mut back),
        Err(Refused::Corrupt)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_octets_come_back_or_are_refused(
        seed in any::<u64>(), len in 128usize..3_000, share in 1u64..256, damage in any::<u16>(), zstd in any::<bool>(),
    ) {
        let compression = BOTH[usize::from(zstd)];
        let mut rng = Rng::new(seed);
        let mut content = vec![FRAMES];
        content.resize_with(len, || rng.below(share) as u8);
        let mut buffer = vec![0; len];
        if let Some(used) = Compressor::new().compress(compression, &mut Probe::default(), &content, &mut buffer) {
            let mut back = vec![0; len];
            let mut decompressor = Decompressor::new();
            prop_assert_eq!(decompressor.decompress(compression, &buffer[..used], &mut back), Ok(len));
            prop_assert!(back == content);
            let at = usize::from(damage) % used;
            buffer[at] ^= 1 << (damage % 8);
            let _ = decompressor.decompress(compression, &buffer[..used], &mut back);
        }
    }
}
