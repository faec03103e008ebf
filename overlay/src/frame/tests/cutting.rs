use super::super::{CutError, Cutter, LEAST_ROOM, LONGEST_FRAME, is_whole};
use super::packets::{Shape, payload, plain, super_frame};
use halloo_base::Offload;

fn contents(cutter: &mut Cutter, frame: &[u8], offload: Offload, room: usize) -> Vec<Vec<u8>> {
    let mut cut = cutter.cut(frame, offload, room).unwrap();
    let mut buffer = vec![0; room];
    let mut contents = Vec::new();
    while let Some(len) = cut.next(&mut buffer) {
        contents.push(buffer[..len].to_vec());
    }
    assert!(cut.is_done());
    contents
}

fn lens(contents: &[Vec<u8>]) -> Vec<usize> {
    contents.iter().map(Vec::len).collect()
}

#[test]
fn segments_have_one_length_but_the_last() {
    let (frame, offload) = super_frame(Shape::TCP4, &payload(10_000, 0));
    let contents = contents(&mut Cutter::new(0), &frame, offload, 1_400);
    assert_eq!(
        lens(&contents),
        [1_400, 1_400, 1_400, 1_400, 1_400, 1_400, 1_400, 808]
    );
}

#[test]
fn udp_is_cut_where_its_datagrams_end() {
    let (frame, offload) = super_frame(
        Shape {
            size: 500,
            ..Shape::UDP4
        },
        &payload(3_300, 0),
    );
    let contents = contents(&mut Cutter::new(0), &frame, offload, 1_400);
    let each = 10 + 42 + 1_000;
    assert_eq!(lens(&contents), [each, each, each, 10 + 42 + 300]);
}

#[test]
fn udp_that_is_too_long_for_the_path_goes_as_fragments_of_each_datagram() {
    let (frame, offload) = super_frame(
        Shape {
            size: 1_472,
            ..Shape::UDP4
        },
        &payload(3_000, 0),
    );
    let contents = contents(&mut Cutter::new(0), &frame, offload, 1_400);
    assert!(contents[..4].iter().all(|content| content[0] == 3));
    let fields = 14 + 4;
    let half = (1_472 + 42) / 2;
    assert_eq!(
        lens(&contents),
        [
            fields + half,
            fields + half,
            fields + half,
            fields + half,
            fields + 42 + 56
        ]
    );
}

#[test]
fn fragments_of_frames_of_one_length_have_one_length() {
    let frame = plain(1_514, 0);
    let contents = contents(&mut Cutter::new(0), &frame, Offload::default(), 1_300);
    assert_eq!(lens(&contents), [14 + 757, 14 + 757]);
}

#[test]
fn what_the_headers_leave_no_room_for_goes_as_fragments() {
    let (frame, offload) = super_frame(Shape::TCP4, &payload(3_000, 0));
    let least = 10 + 66 + 64;
    assert_eq!(contents(&mut Cutter::new(0), &frame, offload, least)[0][0], 2);
    assert_eq!(contents(&mut Cutter::new(0), &frame, offload, least - 1)[0][0], 3);
}

#[test]
fn a_super_frame_of_one_packet_is_a_frame() {
    let (frame, offload) = super_frame(Shape::TCP4, &payload(1_000, 0));
    let contents = contents(&mut Cutter::new(0), &frame, offload, 1_400);
    assert_eq!(lens(&contents), [1 + 6 + frame.len()]);
    assert_eq!(contents[0][0], 1);
}

#[test]
fn what_is_left_to_the_device_must_agree_with_the_headers_or_it_goes_in_fragments() {
    let (frame, offload) = super_frame(Shape::TCP4, &payload(3_000, 0));
    let mut routed = super_frame(
        Shape {
            v6: true,
            ..Shape::TCP4
        },
        &payload(3_000, 0),
    );
    routed.0[14 + 6] = 51;
    let mut fragment = frame.clone();
    fragment[14 + 6] = 0x20;
    let mut short = frame.clone();
    short[14 + 3] ^= 1;
    let elsewhere = Offload {
        checksum_start: 30,
        ..offload
    };
    let other = Offload {
        segmentation: 4,
        ..offload
    };
    for (frame, offload) in [
        (&routed.0, routed.1),
        (&fragment, offload),
        (&short, offload),
        (&frame, elsewhere),
        (&frame, other),
    ] {
        let contents = contents(&mut Cutter::new(0), frame, offload, 1_400);
        assert!(contents.len() == 3 && contents.iter().all(|content| content[0] == 3));
    }
}

#[test]
fn what_cannot_be_cut_says_why() {
    let mut cutter = Cutter::new(0);
    let none = Offload::default();
    let outside = Offload {
        flags: 1,
        checksum_start: 50,
        checksum_offset: 9,
        ..none
    };
    let ufo = Offload {
        flags: 1,
        segmentation: 3,
        segment_size: 9,
        checksum_start: 34,
        ..none
    };
    let unchecked = Offload {
        flags: 0,
        segmentation: 1,
        ..ufo
    };
    let sizeless = Offload {
        segmentation: 1,
        segment_size: 0,
        ..ufo
    };
    for (len, offload, room, why) in [
        (13, none, 1_000, CutError::Short),
        (LONGEST_FRAME + 1, none, 1_000, CutError::Long),
        (60, none, LEAST_ROOM - 1, CutError::Room),
        (60, outside, 1_000, CutError::Offload),
        (60, ufo, 1_000, CutError::Offload),
        (60, unchecked, 1_000, CutError::Offload),
        (60, sizeless, 1_000, CutError::Offload),
    ] {
        assert_eq!(cutter.cut(&vec![0; len], offload, room).unwrap_err(), why);
    }
    let longest = vec![0; LONGEST_FRAME];
    assert_eq!(contents(&mut cutter, &longest, none, 65_000).len(), 2);
    assert!(is_whole(60, none, 63) && !is_whole(60, none, 62));
}

#[test]
fn a_buffer_that_is_too_short_loses_nothing() {
    let mut cutter = Cutter::new(0);
    let frame = plain(300, 0);
    let mut cut = cutter.cut(&frame, Offload::default(), 200).unwrap();
    let mut buffer = [0; 200];
    assert_eq!(cut.next(&mut buffer[..199]), None);
    assert!(!cut.is_done());
    assert_eq!(cut.next(&mut buffer), Some(14 + 150));
    assert_eq!(cut.next(&mut buffer), Some(14 + 150));
    assert_eq!((cut.next(&mut buffer), cut.is_done()), (None, true));
}
