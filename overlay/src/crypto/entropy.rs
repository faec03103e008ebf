//! Where secrets come from.

use halloo_base::Rng;

/// Bytes that nobody can guess. On a host it is the operating system's generator; in a test it is [`Replayed`].
pub trait Entropy {
    /// Fills all of `out`.
    fn fill(&mut self, out: &mut [u8]);
}

/// As many bytes as are asked for.
pub(crate) fn draw<const N: usize>(entropy: &mut dyn Entropy) -> [u8; N] {
    let mut out = [0; N];
    entropy.fill(&mut out);
    out
}

/// The same bytes in every run. For tests, simulations and examples: whoever knows the seed knows every key.
#[derive(Clone, Debug)]
pub struct Replayed(Rng);

impl Replayed {
    /// The bytes that follow from `seed`.
    pub fn new(seed: u64) -> Replayed {
        Replayed(Rng::new(seed))
    }
}

impl Entropy for Replayed {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let bytes = self.0.next_u64().to_be_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}
