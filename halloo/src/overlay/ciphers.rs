//! Which ciphers to offer, in which order.

use crate::cli::overlay::{CipherChoice, CompressChoice};
use halloo_overlay::crypto::{Class, Sealer};
use halloo_overlay::wire::{HEADER_LEN, TAG_LEN};
use halloo_overlay::{Cipher, Compression};
use std::time::{Duration, Instant};

/// Octets of a datagram that is sealed to see how long it takes.
const SIZE: usize = 1_400;
/// How often.
const ROUNDS: u32 = 64;

/// The ciphers that are offered, the most wanted first.
pub(super) fn offered(choice: CipherChoice) -> Vec<Cipher> {
    match choice {
        CipherChoice::Aes256Gcm => vec![Cipher::Aes256Gcm],
        CipherChoice::Aes128Gcm => vec![Cipher::Aes128Gcm],
        CipherChoice::ChaCha20Poly1305 => vec![Cipher::ChaCha20Poly1305],
        CipherChoice::Mac => vec![Cipher::Mac],
        CipherChoice::None => vec![Cipher::None],
        // A processor without AES takes many times as long for it.
        CipherChoice::Auto if took(Cipher::Aes256Gcm) > took(Cipher::ChaCha20Poly1305) => {
            vec![Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm, Cipher::Aes128Gcm]
        }
        CipherChoice::Auto => vec![Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305, Cipher::Aes128Gcm],
    }
}

/// The compressions that are offered.
pub(super) fn compressions(choice: CompressChoice) -> Vec<Compression> {
    vec![match choice {
        CompressChoice::None => Compression::None,
        CompressChoice::Lz4 => Compression::Lz4,
        CompressChoice::Zstd => Compression::Zstd,
    }]
}

/// How long this host takes to seal a few datagrams: the shortest of three times.
fn took(cipher: Cipher) -> Duration {
    let mut sealer = Sealer::new(cipher, &[0; 32], 0);
    let mut buffer = [0; HEADER_LEN + SIZE + TAG_LEN];
    let mut once = || {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            // It fits, so it cannot fail; and if it did, it would only be quick.
            let _ = std::hint::black_box(sealer.seal(0, Class::Frames, &mut buffer, SIZE));
        }
        begun.elapsed()
    };
    (0..3).map(|_| once()).min().unwrap_or_default()
}
