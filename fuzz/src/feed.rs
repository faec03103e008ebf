//! Decisions drawn from the fuzzer's bytes.

/// What is left of the bytes. An empty feed gives zeros, so every input is a whole story.
pub(crate) struct Feed<'a>(&'a [u8]);

impl<'a> Feed<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Feed<'a> {
        Feed(data)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn octet(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }

    /// The next `len` bytes, fewer at the end.
    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Overwrites a few bytes: a count, then a place and a value for each.
    pub(crate) fn damage(&mut self, bytes: &mut [u8]) {
        for _ in 0..self.octet() % 8 {
            let at = usize::from(self.number()) % bytes.len().max(1);
            let value = self.octet();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
    }
}
