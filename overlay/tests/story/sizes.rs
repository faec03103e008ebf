//! Paths that carry more or less, and say so or not.

use crate::station::super_frame;
use crate::town::{Flat, Town, mac};
use halloo_sim::{Quality, ms, secs};

#[test]
fn frames_of_every_length_pass_whatever_the_path_carries() {
    for (wire, link_mtu, silent) in [
        (1_280, 1_500, true),
        (1_280, 1_500, false),
        (1_500, 1_500, true),
        (9_000, 9_000, true),
        (1_500, 9_000, true),
    ] {
        let quality = Quality::delay(ms(5));
        let quality = match silent {
            true => quality.silent_mtu(wire),
            false => quality.mtu(wire),
        };
        let flat = Flat {
            quality,
            link_mtu,
            ..Flat::default()
        };
        let mut town = Town::of(700, vec![flat; 2]);
        for (number, len) in [60, 1_180, 1_240, 1_400, 1_514, 2_000, 9_014]
            .into_iter()
            .enumerate()
        {
            let start = secs(3) + ms(200) * number as u32;
            town.flow_to((0, mac(1), &len.to_string()), start, ms(10), 10, len);
        }
        town.world.run_until(secs(10));
        for len in [60, 1_180, 1_240, 1_400, 1_514, 2_000, 9_014] {
            assert_eq!(town.came(1, &format!("{len} ")).len(), 10, "{len} by {wire}");
        }
        let longest = |town: &Town| town.heard(1).iter().map(Vec::len).max();
        assert_eq!(longest(&town), Some(9_014));
        // A super-frame is joined again.
        let long = super_frame(0, mac(1), 20_000);
        town.send(0, secs(11), long.clone());
        town.world.run_until(secs(12));
        let mut last = town.heard(1).pop().expect("it came");
        let ends = [last.len(), long.len()];
        // Checksums are left to the device, identification and flags are as TCP's segmentation has them.
        assert_eq!(ends[0], ends[1]);
        assert!(last.split_off(54) == long[54..], "what TCP carries is the same");
        assert!(town.edges[1].seen.lock().expect("nobody panicked").super_frames > 0);
        let used = town.peer(0, 1).expect("they have met").paths;
        let used = used.iter().find(|path| path.in_use).expect("a path").mtu;
        assert!(
            usize::from(used) <= wire && usize::from(used) + 100 >= wire.min(link_mtu.into()),
            "{used} of {wire}"
        );
    }
}

#[test]
fn where_the_device_takes_nothing_that_is_left_to_do_frames_come_as_on_a_wire() {
    let flat = |offload| Flat {
        offload,
        ..Flat::default()
    };
    let mut town = Town::of(703, vec![flat(true), flat(false)]);
    town.world.run_until(secs(3));
    let long = super_frame(0, mac(1), 20_000);
    town.send(0, secs(3), long.clone());
    town.world.run_until(secs(4));
    let heard = town.heard(1);
    let lens: Vec<usize> = heard.iter().map(Vec::len).collect();
    assert_eq!(lens, [[1_502; 13].as_slice(), &[54 + 20_000 % 1_448]].concat());
    let payload: Vec<u8> = heard.iter().flat_map(|frame| &frame[54..]).copied().collect();
    assert!(payload == long[54..], "what TCP carries is the same");
    for (number, frame) in heard.iter().enumerate() {
        assert_eq!(frame[16..18], (frame.len() as u16 - 14).to_be_bytes());
        assert_eq!(frame[38..42], (1 + 1_448 * number as u32).to_be_bytes());
        assert_ne!(frame[50..52], long[50..52], "the checksum is done");
    }
    let seen = town.edges[1].seen.lock().expect("nobody panicked");
    assert_eq!((seen.super_frames, seen.unfinished), (0, 0));
}

#[test]
fn a_path_that_carries_less_of_a_sudden_heals_within_two_seconds() {
    for (before, after, silent) in [(1_500, 1_280, true), (9_000, 1_500, true), (1_500, 1_280, false)] {
        let quality = |mtu| match silent {
            true => Quality::delay(ms(5)).silent_mtu(mtu),
            false => Quality::delay(ms(5)).mtu(mtu),
        };
        let flat = Flat {
            quality: quality(before),
            link_mtu: before as u16,
            ..Flat::default()
        };
        for both in [true, false] {
            let mut town = Town::of(701, vec![flat.clone(); 2]);
            town.flow((0, 1), secs(3), ms(10), 1_200, before - 100);
            if both {
                town.flow((1, 0), secs(3), ms(10), 1_200, before - 100);
            }
            town.world.run_until(secs(8));
            town.world.set(town.edges[1].wire, quality(after));
            town.world.run_until(secs(16));
            for (from, to) in [(0, 1), (1, 0)].into_iter().take(1 + usize::from(both)) {
                let came = town.came(to, &format!("{from}-{to} "));
                let lost: Vec<u32> = (0..1_200).filter(|number| !came.contains(number)).collect();
                assert!(
                    lost.len() <= 200 && lost.last().is_none_or(|last| *last <= 700),
                    "{before} to {after}, silent {silent}: {} lost, the last is {:?}",
                    lost.len(),
                    lost.last()
                );
            }
        }
    }
}

#[test]
fn nobody_is_sent_longer_frames_than_his_device_takes() {
    let short = Flat {
        frame: 1_522,
        ..Flat::default()
    };
    let mut town = Town::of(702, [Flat::default(), short, Flat::default()]);
    for (from, to) in [(0, 1), (0, 2), (1, 0)] {
        for len in [1_514, 1_522, 1_523, 9_000] {
            let name = format!("{from}-{to} {len}");
            town.flow_to((from, mac(to), &name), secs(3), ms(10), 10, len);
        }
    }
    // What is still to be cut has as much in each segment as he takes.
    let long = super_frame(0, mac(1), 20_000);
    town.send(0, secs(5), long.clone());
    town.world.run_until(secs(6));
    for (from, to, longest) in [(0, 1, 1_522), (0, 2, 9_000), (1, 0, 1_522)] {
        for len in [1_514, 1_522, 1_523, 9_000] {
            let came = town.came(to, &format!("{from}-{to} {len} ")).len();
            assert_eq!(came, if len <= longest { 10 } else { 0 }, "{from}-{to} {len}");
        }
    }
    assert!(town.count(0, "too_long") >= 20 && town.count(1, "too_long") >= 20);
    assert_eq!(town.heard(1).last().map(Vec::len), Some(long.len()));
}
