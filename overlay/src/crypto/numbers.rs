//! Numbers by which sessions are known.

use super::entropy::{Entropy, draw};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Which session has which number. Numbers are drawn at random, so that nobody can guess one that is used.
#[derive(Debug, Default)]
pub struct Numbers {
    owners: HashMap<u32, u32, BuildHasherDefault<Spread>>,
}

impl Numbers {
    /// Draws a number that is not used, for `owner`, which is whatever the caller finds a peer by.
    pub fn draw(&mut self, owner: u32, entropy: &mut dyn Entropy) -> u32 {
        loop {
            let number = u32::from_be_bytes(draw(entropy));
            // 0 is left out so that a forgotten field hits nobody.
            if number != 0 && !self.owners.contains_key(&number) {
                self.owners.insert(number, owner);
                return number;
            }
        }
    }

    /// Whose it is.
    pub fn owner(&self, number: u32) -> Option<u32> {
        self.owners.get(&number).copied()
    }

    /// It may be drawn again.
    pub fn release(&mut self, number: u32) {
        self.owners.remove(&number);
    }

    /// How many are used.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Whether none is used.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }
}

/// The keys are random already and are ours: no stranger can choose them to collide. Only their bits are spread out.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
