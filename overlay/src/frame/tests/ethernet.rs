use super::super::checksum;
use super::super::{Ethernet, Finisher, Tag, Unfinished};
use super::packets::{Shape, look, payload, plain, slow_sum, super_frame};
use crate::Mac;
use proptest::prelude::*;

#[test]
fn a_frame_says_who_where_and_what() {
    let mut bytes = plain(60, 0);
    let frame = Ethernet::parse(&bytes).unwrap();
    assert_eq!(frame.destination(), Mac([2, 0, 0, 0, 0, 2]));
    assert_eq!(frame.source(), Mac([2, 0, 0, 0, 0, 1]));
    assert_eq!(
        (frame.ethertype(), frame.vlan(), frame.tags().len()),
        (0x88ca, 0, 0)
    );
    assert_eq!(frame.payload(), &bytes[14..]);
    bytes.splice(12..12, [0x88, 0xa8, 0x60, 0x05, 0x81, 0x00, 0x0f, 0xff]);
    let frame = Ethernet::parse(&bytes).unwrap();
    let tags: Vec<Tag> = frame.tags().collect();
    assert_eq!((frame.ethertype(), frame.payload_at()), (0x88ca, 22));
    assert_eq!((tags[0].protocol, tags[0].vid(), frame.vlan()), (0x88a8, 5, 5));
    assert_eq!((tags[1].protocol, tags[1].vid()), (0x8100, 4095));
}

#[test]
fn every_truncation_is_a_frame_or_is_none() {
    let mut bytes = plain(40, 0);
    bytes.splice(12..12, [0x81, 0x00, 0, 1].repeat(6));
    for len in 0..bytes.len() {
        let frame = Ethernet::parse(&bytes[..len]);
        assert_eq!(frame.is_some(), len >= 14);
        if let Some(frame) = frame {
            assert_eq!(frame.tags().len(), ((len - 14) / 4).min(4), "{len}");
            assert_eq!(frame.payload_at() + frame.payload().len(), len);
        }
    }
}

#[test]
fn a_super_frame_is_finished_as_a_device_would() {
    for (v6, udp) in [(false, false), (true, false), (false, true), (true, true)] {
        let shape = Shape {
            v6,
            udp,
            ecn: !udp,
            tags: 1,
            size: 1_000,
            ..Shape::TCP4
        };
        let data = payload(2_500, 0);
        let (frame, offload) = super_frame(shape, &data);
        let mut seen = Vec::new();
        Finisher::new()
            .finish(&frame, offload, &mut |bytes| seen.push(look(bytes, shape)))
            .unwrap();
        let all: Vec<u8> = seen.iter().flat_map(|seen| seen.payload.clone()).collect();
        assert!(all == data, "{shape:?}");
        let lens: Vec<usize> = seen.iter().map(|seen| seen.payload.len()).collect();
        assert_eq!(lens, [1_000, 1_000, 500]);
        if !v6 {
            let ids: Vec<_> = seen.iter().filter_map(|seen| seen.id).collect();
            assert_eq!(ids, [0xfffe, 0xffff, 0]);
        }
        if !udp {
            let flags: Vec<u8> = seen.iter().map(|seen| seen.flags).collect();
            assert_eq!(flags, [0x90, 0x10, 0x19]);
            let sequences: Vec<u32> = seen.iter().map(|seen| seen.sequence).collect();
            assert_eq!(sequences, [0xffff_ff00, 744, 1_744]);
        }
    }
}

#[test]
fn a_checksum_alone_is_filled_in_and_zero_is_never_sent() {
    // A payload that makes the sum of everything else come out as zero.
    for udp in [false, true] {
        let shape = Shape { udp, ..Shape::TCP4 };
        let (mut frame, offload) = super_frame(shape, &[0; 2]);
        let start = usize::from(offload.checksum_start);
        let missing = !slow_sum(&frame[start..]);
        let end = frame.len();
        frame[end - 2..].copy_from_slice(&missing.to_be_bytes());
        let one = halloo_base::Offload {
            segmentation: 0,
            ..offload
        };
        let mut seen = Vec::new();
        Finisher::new()
            .finish(&frame, one, &mut |bytes| seen = bytes.to_vec())
            .unwrap();
        look(&seen, shape);
        let at = start + usize::from(offload.checksum_offset);
        assert_eq!(seen[at..at + 2], [0xff, 0xff]);
    }
}

proptest! {
    #[test]
    fn the_quick_sum_is_the_slow_one(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(checksum::sum(&bytes), slow_sum(&bytes));
        prop_assert_eq!(checksum::sum(&vec![0xff; bytes.len()]), slow_sum(&vec![0xff; bytes.len()]));
    }
}

#[test]
fn nobody_has_a_frame_cut_into_crumbs() {
    for (size, packets) in [(1, None), (43, None), (44, Some(1_364))] {
        let shape = Shape { size, ..Shape::TCP4 };
        let (frame, offload) = super_frame(shape, &[7; 60_000]);
        let mut made = 0;
        let finished = Finisher::new().finish(&frame, offload, &mut |_| made += 1);
        match packets {
            None => assert_eq!((finished, made), (Err(Unfinished::Many), 0), "{size}"),
            Some(packets) => assert_eq!((finished, made), (Ok(()), packets), "{size}"),
        }
    }
}
