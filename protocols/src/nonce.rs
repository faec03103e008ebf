//! Numbers of probes inside an opaque number: for protocols whose answers bring one number back and nothing else of ours.

use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// Hides a probe's number, and finds it again without remembering any.
///
/// Beside the hidden number stands a proof, which is SipHash-2-4 of the number under the session's token. The number is
/// hidden by a hash of the proof. Who does not know the token sees noise, and cannot make a number that opens.
pub(crate) struct Nonces {
    token: u64,
    proof_mask: u64,
}

/// A hidden number and its proof, in the low bits of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonce {
    pub(crate) hidden: u32,
    pub(crate) proof: u64,
}

/// What a hash is for: the second half of its key, the first being the token.
const PROOF: u64 = 0x7072_6f6f_662e_2e2e;
const HIDE: u64 = 0x6869_6465_2e2e_2e2e;

impl Nonces {
    /// Numbers of the session with this token, drawn at random, with proofs of so many bits: 1 to 64.
    pub(crate) fn new(token: u64, proof_bits: u32) -> Nonces {
        let unused = u64::BITS.saturating_sub(proof_bits).min(u64::BITS - 1);
        Nonces {
            token,
            proof_mask: u64::MAX >> unused,
        }
    }

    /// Hides the low 32 bits of a probe's number.
    pub(crate) fn seal(&self, number: u32) -> Nonce {
        let proof = self.hash(PROOF, u64::from(number)) & self.proof_mask;
        Nonce {
            hidden: number ^ self.mask(proof),
            proof,
        }
    }

    /// The low 32 bits of a probe's number, if this session hid them.
    pub(crate) fn open(&self, nonce: Nonce) -> Option<u32> {
        let number = nonce.hidden ^ self.mask(nonce.proof);
        (self.seal(number) == nonce).then_some(number)
    }

    fn mask(&self, proof: u64) -> u32 {
        self.hash(HIDE, proof) as u32
    }

    fn hash(&self, purpose: u64, value: u64) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.token, purpose);
        hasher.write(&value.to_be_bytes());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_opens_where_it_was_hidden_and_nowhere_else() {
        for proof_bits in [32, 64] {
            let ours = Nonces::new(7, proof_bits);
            let theirs = Nonces::new(8, proof_bits);
            for number in [0, 1, 2, 255, 256, u32::MAX - 1, u32::MAX] {
                let nonce = ours.seal(number);
                assert_eq!(ours.open(nonce), Some(number));
                assert_eq!(theirs.open(nonce), None);
                assert!(proof_bits == 64 || nonce.proof >> proof_bits == 0);
            }
        }
    }

    #[test]
    fn no_changed_bit_opens() {
        let ours = Nonces::new(7, 32);
        let nonce = ours.seal(3);
        for bit in 0..32 {
            let hidden = nonce.hidden ^ 1 << bit;
            assert_eq!(ours.open(Nonce { hidden, ..nonce }), None);
        }
        for bit in 0..64 {
            let proof = nonce.proof ^ 1 << bit;
            assert_eq!(ours.open(Nonce { proof, ..nonce }), None);
        }
    }

    #[test]
    fn neighbours_look_unlike_each_other() {
        let ours = Nonces::new(7, 64);
        for number in 0..1_000 {
            let (one, next) = (ours.seal(number), ours.seal(number + 1));
            let hidden = (one.hidden ^ next.hidden).count_ones();
            let proof = (one.proof ^ next.proof).count_ones();
            assert!(hidden + proof > 20, "{number}");
        }
    }
}
