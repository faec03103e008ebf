use super::super::content::{Body, append_frame};
use super::super::{Cutter, Joined, Joiner, LEAST_ROOM, Reassembler, Refused};
use super::packets::{Shape, payload, plain, super_frame};
use halloo_base::{Mono, Offload};

fn frames(content: &[u8]) -> Vec<(Vec<u8>, Offload)> {
    let Body::Frames(frames) = Body::parse(content).unwrap() else {
        panic!("{content:02x?}")
    };
    frames.map(|(frame, offload)| (frame.to_vec(), offload)).collect()
}

#[test]
fn small_frames_are_gathered_while_they_fit() {
    let mut buffer = [0xee; 200];
    let (checked, offload) = super_frame(Shape::TCP4, b"x");
    let offload = Offload {
        segmentation: 0,
        segment_size: 0,
        header_len: 0,
        ..offload
    };
    let used = append_frame(&mut buffer, 0, &plain(60, 1), Offload::default()).unwrap();
    assert_eq!(used, 1 + 2 + 60);
    let used = append_frame(&mut buffer, used, &checked, offload).unwrap();
    assert_eq!(used, 1 + 2 + 60 + 6 + checked.len());
    assert_eq!(
        frames(&buffer[..used]),
        [(plain(60, 1), Offload::default()), (checked.clone(), offload)]
    );
    let rest = buffer.len() - used - 2;
    assert_eq!(
        append_frame(&mut buffer, used, &plain(rest + 1, 2), Offload::default()),
        None
    );
    assert_eq!(
        append_frame(&mut buffer, used, &plain(rest, 2), Offload::default()),
        Some(200)
    );
    assert_eq!(frames(&buffer).len(), 3);
}

#[test]
fn what_is_no_whole_frame_is_not_gathered() {
    let mut buffer = vec![0; 65_000];
    let (long, offload) = super_frame(Shape::TCP4, &payload(4_000, 0));
    for (frame, offload) in [
        (&long[..], offload),
        (&[0; 13][..], Offload::default()),
        (&[0; 40_000][..], Offload::default()),
    ] {
        assert_eq!(append_frame(&mut buffer, 0, frame, offload), None);
    }
}

#[test]
fn the_octets_are_those_of_the_document() {
    let mut buffer = [0; 300];
    let short: Vec<u8> = (0..14).collect();
    let offload = Offload {
        flags: 1,
        checksum_start: 14,
        checksum_offset: 0,
        ..Offload::default()
    };
    let used = append_frame(&mut buffer, 0, &short, Offload::default()).unwrap();
    let longer: Vec<u8> = (0..16).collect();
    let used = append_frame(&mut buffer, used, &longer, offload).unwrap();
    let expected = [&[1, 0, 14], &short[..], &[0x80, 16, 0, 14, 0, 0], &longer[..]].concat();
    assert_eq!(buffer[..used], expected);

    let mut cutter = Cutter::new(1);
    let (frame, offload) = super_frame(
        Shape {
            size: 100,
            ..Shape::TCP4
        },
        &payload(250, 0),
    );
    let mut cut = cutter.cut(&frame, offload, 10 + 66 + 130).unwrap();
    let len = cut.next(&mut buffer).unwrap();
    let fields = [2, 1, 0, 100, 0x10, 1, 0, 0, 0, 250];
    assert_eq!(buffer[..len], [&fields[..], &frame[..66 + 130]].concat());
    let len = cut.next(&mut buffer).unwrap();
    let fields = [2, 1, 0, 100, 0x10, 1, 0, 130, 0, 250];
    assert_eq!(
        buffer[..len],
        [&fields[..], &frame[..66], &frame[66 + 130..]].concat()
    );
    assert_eq!(cut.next(&mut buffer), None);

    let frame = plain(101, 0);
    let mut cut = cutter.cut(&frame, Offload::default(), LEAST_ROOM).unwrap();
    let len = cut.next(&mut buffer).unwrap();
    let fields = [3, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 101];
    assert_eq!(buffer[..len], [&fields[..], &frame[..34]].concat());

    // A super-frame whose headers nobody understands goes with all that the device is to do.
    let mut odd = frame.clone();
    odd.resize(80, 9);
    let offload = Offload {
        flags: 1,
        segmentation: 4,
        header_len: 54,
        segment_size: 20,
        checksum_start: 34,
        checksum_offset: 16,
    };
    let mut cut = cutter.cut(&odd, offload, LEAST_ROOM).unwrap();
    let len = cut.next(&mut buffer).unwrap();
    let fields = [
        3, 3, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 80, 0, 34, 0, 16, 4, 0, 20, 0, 54,
    ];
    assert_eq!(buffer[..len], [&fields[..], &odd[..40]].concat());
}

#[test]
fn every_truncation_is_refused_or_says_less() {
    let mut cutter = Cutter::new(0);
    let mut contents = Vec::new();
    let (tcp, offload) = super_frame(
        Shape {
            size: 100,
            ..Shape::TCP4
        },
        &payload(250, 0),
    );
    for (frame, offload, room) in [
        (plain(60, 0), Offload::default(), 400),
        (tcp, offload, 200),
        (plain(300, 0), Offload::default(), 200),
    ] {
        let mut cut = cutter.cut(&frame, offload, room).unwrap();
        let mut buffer = vec![0; room];
        while let Some(len) = cut.next(&mut buffer) {
            contents.push(buffer[..len].to_vec());
        }
    }
    assert_eq!(contents.len(), 6);
    for content in contents {
        for len in 0..content.len() {
            let mut joiner = Joiner::new();
            let mut fragments = Reassembler::new(10_000);
            let mut out = |_: u8, frame: Joined<'_>, _: Offload| assert!(frame.len() >= 14);
            let taken = joiner.take(0, &mut fragments, Mono(0), &content[..len], &mut out);
            joiner.flush(&mut out);
            assert!(content[0] != 1 || taken.is_err(), "{len} of {content:02x?}");
        }
    }
}

#[test]
fn nonsense_is_refused_by_its_name() {
    let mut joiner = Joiner::new();
    let mut fragments = Reassembler::new(10_000);
    let (tcp, _) = super_frame(
        Shape {
            size: 100,
            ..Shape::TCP4
        },
        &payload(250, 0),
    );
    let segment = |fields: [u8; 10], bytes: &[u8]| [&fields[..], bytes].concat();
    let good = [2, 1, 0, 100, 0, 1, 0, 0, 0, 250];
    let changed = |at: usize, to: u8| {
        let mut fields = good;
        fields[at] = to;
        segment(fields, &tcp)
    };
    for (content, why) in [
        (vec![], Refused::Truncated),
        (vec![5], Refused::UnknownKind),
        (vec![127, 0], Refused::UnknownKind),
        (vec![1], Refused::Truncated),
        (vec![1, 0, 0], Refused::ShortFrame),
        ([&[1, 0, 13][..], &[0; 13]].concat(), Refused::ShortFrame),
        (
            [&[1, 0x80, 20, 0, 14, 0, 5][..], &[0; 20]].concat(),
            Refused::BadOffload,
        ),
        (
            [&[1, 0x80, 20, 0, 13, 0, 0][..], &[0; 20]].concat(),
            Refused::BadOffload,
        ),
        (changed(1, 4), Refused::BadHeaders),
        (changed(1, 0), Refused::BadHeaders),
        (changed(3, 0), Refused::BadSizes),
        (changed(9, 249), Refused::BadHeaders),
        (changed(7, 1), Refused::BadSizes),
        (changed(7, 250), Refused::BadSizes),
        (segment(good, &tcp[..66]), Refused::BadSizes),
        (segment(good, &tcp[..65]), Refused::BadHeaders),
        (
            [&[3, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 13][..], &[0; 13]].concat(),
            Refused::BadSizes,
        ),
        (
            [&[3, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 20][..], &[0; 13]].concat(),
            Refused::BadSizes,
        ),
        (
            [&[3, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 20][..], &[0]].concat(),
            Refused::BadSizes,
        ),
        (
            [&[3, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0][..], &[0; 13]].concat(),
            Refused::BadSizes,
        ),
        (
            [&[3, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20][..], &[]].concat(),
            Refused::BadSizes,
        ),
        (
            [
                &[3, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 1, 0, 9, 0, 0][..],
                &[0; 13],
            ]
            .concat(),
            Refused::BadOffload,
        ),
    ] {
        let mut out = |_: u8, _: Joined<'_>, _: Offload| panic!("nothing to hand out");
        let taken = joiner.take(0, &mut fragments, Mono(0), &content, &mut out);
        assert_eq!(taken, Err(why), "{content:02x?}");
        joiner.flush(&mut out);
    }
    let names: std::collections::BTreeSet<_> = Refused::ALL.iter().map(|why| why.name()).collect();
    assert_eq!(names.len(), Refused::ALL.len());
}
