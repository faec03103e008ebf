//! The layout: any bytes in, the same values out.

use crate::echo::pingback::Outcome;
use crate::echo::wire::{
    BASE, Flags, FollowUp, MAGIC, NotProbe, Pingback, Probe, TAG, Unfit, WIDE, Wide, is_reply,
};
use halloo_base::Wall;
use proptest::prelude::*;
use std::time::Duration;

fn emitted(probe: &Probe, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    probe.emit(&mut bytes).expect("room");
    bytes
}

fn forms() -> impl Iterator<Item = Probe> {
    [(false, false), (false, true), (true, false), (true, true)]
        .into_iter()
        .map(|(wide, authenticated)| Probe::request(0x1122, 5, wide, authenticated))
}

#[test]
fn the_four_lengths_are_as_documented() {
    let lengths: Vec<_> = forms().map(|probe| usize::from(probe.length)).collect();
    assert_eq!(lengths, [BASE, BASE + TAG, WIDE, WIDE + TAG]);
    assert_eq!(lengths, [64, 80, 112, 128]);
}

#[test]
fn a_probe_cut_anywhere_is_not_a_probe() {
    for probe in forms() {
        let whole = emitted(&probe, usize::from(probe.length));
        assert_eq!(Probe::parse(&whole), Ok(probe));
        for cut in 0..whole.len() {
            let expected = if cut < 5 {
                NotProbe::Magic
            } else {
                NotProbe::Length
            };
            assert_eq!(
                Probe::parse(&whole[..cut]),
                Err(expected),
                "{cut} of {}",
                whole.len()
            );
        }
    }
}

#[test]
fn no_length_field_promises_more_than_there_is() {
    for probe in forms() {
        let least = BASE + if probe.flags.authenticated { TAG } else { 0 };
        for length in 0..=u16::MAX {
            let mut bytes = emitted(&probe, 160);
            bytes[6..8].copy_from_slice(&length.to_be_bytes());
            let fits = (least..=160).contains(&usize::from(length));
            let parsed = Probe::parse(&bytes);
            assert_eq!(parsed.is_ok(), fits, "{length}");
            if let Ok(parsed) = parsed {
                assert_eq!(
                    parsed.wide.is_some(),
                    usize::from(length) >= least + WIDE - BASE,
                    "{length}"
                );
            }
        }
    }
}

#[test]
fn other_first_octets_and_versions_are_not_ours() {
    let probe = Probe::request(1, 2, true, false);
    for at in 0..MAGIC.len() {
        let mut bytes = emitted(&probe, 112);
        bytes[at] ^= 1;
        assert_eq!(Probe::parse(&bytes), Err(NotProbe::Magic));
    }
    let mut bytes = emitted(&probe, 112);
    bytes[4] = 2;
    assert_eq!(Probe::parse(&bytes), Err(NotProbe::Version(2)));
}

#[test]
fn reserved_bits_are_ignored_and_sent_as_zero() {
    let probe = Probe::request(1, 2, true, false);
    let clean = emitted(&probe, 112);
    let mut dirty = clean.clone();
    dirty[5] |= 0x07;
    assert_eq!(Probe::parse(&dirty), Ok(probe));
    probe.emit(&mut dirty).expect("room");
    assert_eq!(dirty, clean);
}

#[test]
fn padding_and_later_sections_stay_as_they_are() {
    let later = Probe {
        length: 120,
        ..Probe::request(1, 2, true, false)
    };
    let mut bytes = vec![0x5a; 130];
    later.emit(&mut bytes).expect("room");
    assert_eq!(bytes[112..], [0x5a; 18]);
    assert_eq!(Probe::parse(&bytes), Ok(later));
}

#[test]
fn a_value_without_room_is_not_written() {
    for probe in forms() {
        let mut short = vec![0x5a; usize::from(probe.length) - 1];
        assert_eq!(probe.emit(&mut short), Err(Unfit));
        assert!(short.iter().all(|&b| b == 0x5a), "nothing is written");
        let lying = Probe {
            length: probe.length - 1,
            ..probe
        };
        assert_eq!(lying.emit(&mut [0; 200]), Err(Unfit), "length {}", lying.length);
    }
}

#[test]
fn a_reply_is_known_by_six_octets_in_every_version() {
    let head = |version, flags| [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], version, flags];
    assert!(is_reply(&head(1, 0x80)));
    assert!(is_reply(&head(200, 0xff)));
    assert!(!is_reply(&head(1, 0x7f)));
    assert!(!is_reply(&head(1, 0x80)[..5]));
    assert!(!is_reply(b"\x80\x80\x80\x80\x80\x80"));
}

prop_compose! {
    fn any_wide()(
        cookie: u64, window: u64, addr: u128, t3: u64, server_id: u32, clock_error: u32
    ) -> Wide {
        Wide { cookie, window, addr: addr.into(), t3: Wall(t3), server_id, clock_error }
    }
}

prop_compose! {
    fn any_flags()(reply: bool, kernel_stamp: bool, authenticated: bool, cookie_accepted: bool, pingback: bool) -> Flags {
        Flags { reply, kernel_stamp, authenticated, cookie_accepted, pingback }
    }
}

prop_compose! {
    fn any_pingback()(
        count: u16, other_port: bool, other_address: bool, outcome in 0..5u8, gap: u32, silence: u32
    ) -> Pingback {
        let outcomes =
            [Outcome::Granted, Outcome::Unproven, Outcome::Busy, Outcome::NoOther, Outcome::NotOffered];
        Pingback {
            count,
            other_port,
            other_address,
            outcome: outcomes[usize::from(outcome)],
            gap: Duration::from_micros(gap.into()),
            silence: Duration::from_millis(silence.into()),
        }
    }
}

prop_compose! {
    fn any_probe()(
        flags in any_flags(),
        wide in proptest::option::of(any_wide()),
        (token, seq, received, t1, t2) in any::<(u64, u32, u32, u64, u64)>(),
        residence in proptest::option::of(0..u32::MAX),
        (distance, follow_up, window, window_len) in any::<(u8, u32, u32, u8)>(),
        (ttl, tos, port, min_interval, ipv4) in any::<(u8, u8, u16, u16, u32)>(),
        asked_back in any_pingback(),
    ) -> Probe {
        let request = Probe::request(token, seq, wide.is_some(), flags.authenticated);
        let pingback = Some(asked_back).filter(|_| wide.is_some() && flags.pingback);
        let more = if pingback.is_some() { 16 } else { 0 };
        Probe {
            pingback,
            length: request.length + more, flags, token, seq, received, t1: Wall(t1), t2: Wall(t2), residence,
            follow_up: distance.try_into().ok().map(|distance| FollowUp { distance, residence: follow_up }),
            window, window_len, ttl: ttl.try_into().ok(), tos, port, min_interval, ipv4: ipv4.into(), wide,
        }
    }
}

proptest! {
    #[test]
    fn every_value_survives_the_wire(probe in any_probe(), padding in 0..40_usize) {
        let bytes = emitted(&probe, usize::from(probe.length) + padding);
        prop_assert_eq!(Probe::parse(&bytes), Ok(probe));
        prop_assert_eq!(is_reply(&bytes), probe.flags.reply);
    }

    #[test]
    fn any_octets_behind_a_good_head_parse_or_not_but_settle(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        for (to, from) in bytes.iter_mut().zip([MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], 1, 0x70, 0, 100]) {
            *to = from;
        }
        if let Ok(probe) = Probe::parse(&bytes) {
            let mut again = bytes.clone();
            prop_assert_eq!(probe.emit(&mut again), Ok(()));
            prop_assert_eq!(Probe::parse(&again), Ok(probe));
        }
    }
}
