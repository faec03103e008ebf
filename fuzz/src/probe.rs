//! The structured probe's own parser.

use halloo_protocols::echo::wire::{self, Probe};

/// What parses is written back to the same value, within its length and nowhere else.
pub(crate) fn parse(data: &[u8]) {
    let Ok(probe) = Probe::parse(data) else { return };
    let length = usize::from(probe.length);
    assert!(wire::has_magic(data) && length <= data.len());
    assert_eq!(wire::is_reply(data), probe.flags.reply);

    let mut again = data.to_vec();
    probe
        .emit(&mut again)
        .expect("it came from a datagram of this length");
    assert_eq!(Probe::parse(&again), Ok(probe));
    assert_eq!(again[length..], data[length..], "padding");

    let mut twice = again.clone();
    probe.emit(&mut twice).expect("the same length");
    assert_eq!(twice, again);
    let mut short = again[..length - 1].to_vec();
    assert!(probe.emit(&mut short).is_err());
    assert_eq!(short, again[..length - 1], "nothing is written without room");
}
