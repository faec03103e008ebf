//! Interests that were made beforehand, all of one length, and what their answers look like.

use anyhow::{Context, Result, ensure};
use halloo_protocols::ndn::tlv::written;
use halloo_protocols::ndn::{Data, Interest, NameBuf, Verifier};

/// The server's prefix, without the `ping` behind it.
pub(super) const PREFIX: &str = "/bench";
/// Made beforehand, and asked over and over: a server has no memory of them.
const INTERESTS: u64 = 4_096;
/// So that every number has 20 digits.
const FIRST: u64 = 10_000_000_000_000_000_000;

/// What is asked.
pub(super) struct Load {
    /// One behind the other, and once more from the front, so that a run across the end is one piece.
    bytes: Vec<u8>,
    /// Bytes of each.
    pub(super) len: usize,
}

impl Load {
    pub(super) fn new() -> Load {
        let interests: Vec<_> = (0..INTERESTS).map(interest).collect();
        let len = interests[0].len();
        let bytes = [interests.concat(), interests.concat()].concat();
        Load { bytes, len }
    }

    /// `count` Interests from number `first` on, as one piece.
    pub(super) fn piece(&self, first: u64, count: usize) -> &[u8] {
        let start = (first % INTERESTS) as usize * self.len;
        &self.bytes[start..start + count * self.len]
    }

    /// Checks the answer to the Interest `number`.
    pub(super) fn check(&self, number: u64, answer: &[u8]) -> Result<()> {
        let data = Data::parse(answer).context("the answer is no Data")?;
        data.verify(&Verifier::digest())
            .context("the answer is not signed")?;
        let asked = Interest::parse(self.piece(number, 1)).context("we wrote it")?;
        ensure!(
            asked.name == data.name,
            "the answer has another name: {}",
            data.name
        );
        Ok(())
    }
}

fn interest(number: u64) -> Vec<u8> {
    let prefix: NameBuf = PREFIX.parse().expect("it is a name");
    let name = prefix.with(b"ping").with((FIRST + number).to_string().as_bytes());
    let interest = Interest {
        must_be_fresh: true,
        nonce: Some((number as u32).to_be_bytes()),
        ..Interest::new(name.as_name())
    };
    written(|writer| interest.emit(writer)).expect("it is short")
}
