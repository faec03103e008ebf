use super::super::layers::NEEDS_CHECKSUM;
use super::super::{Cutter, Joined, Joiner, Reassembler};
use super::packets::{Shape, payload, plain, slow_sum, super_frame};
use halloo_base::{Mono, Offload};

type Frames = Vec<(Vec<u8>, Offload)>;

struct Receiver {
    joiner: Joiner<u8>,
    fragments: Reassembler,
}

impl Receiver {
    fn new() -> Receiver {
        Receiver {
            joiner: Joiner::new(),
            fragments: Reassembler::new(100_000),
        }
    }

    fn take(&mut self, from: u8, contents: &[Vec<u8>]) -> Frames {
        let mut frames = Vec::new();
        let mut out = |_: u8, frame: Joined<'_>, offload| frames.push((frame.to_vec(), offload));
        for content in contents {
            self.joiner
                .take(from, &mut self.fragments, Mono(0), content, &mut out)
                .unwrap();
        }
        frames
    }

    fn flush(&mut self) -> Frames {
        let mut frames = Vec::new();
        self.joiner
            .flush(&mut |_, frame, offload| frames.push((frame.to_vec(), offload)));
        frames
    }
}

fn cut(cutter: &mut Cutter, frame: &[u8], offload: Offload) -> Vec<Vec<u8>> {
    let mut cut = cutter.cut(frame, offload, 1_400).unwrap();
    let mut buffer = vec![0; 1_400];
    let mut contents = Vec::new();
    while let Some(len) = cut.next(&mut buffer) {
        contents.push(buffer[..len].to_vec());
    }
    contents
}

#[test]
fn a_super_frame_comes_out_as_it_went_in() {
    for udp in [false, true] {
        for v6 in [false, true] {
            let shape = Shape {
                udp,
                v6,
                ecn: !udp,
                tags: 2,
                size: 1_200,
                ..Shape::TCP4
            };
            let (frame, offload) = super_frame(shape, &payload(60_001, 0));
            let contents = cut(&mut Cutter::new(0), &frame, offload);
            let mut receiver = Receiver::new();
            let frames = receiver.take(0, &contents);
            assert!(frames == [(frame, offload)], "{shape:?}");
            assert!(receiver.flush().is_empty());
            assert_eq!(receiver.joiner.counts().partial, 0);
        }
    }
}

#[test]
fn what_follows_a_loss_is_put_right() {
    let shape = Shape {
        ecn: true,
        ..Shape::TCP4
    };
    let (frame, offload) = super_frame(shape, &payload(10_000, 0));
    let mut contents = cut(&mut Cutter::new(0), &frame, offload);
    contents.remove(2);
    let mut receiver = Receiver::new();
    let frames = receiver.take(0, &contents);
    let each = 1_400 - 10 - 66;
    let [(before, first), (after, second)] = &frames[..] else {
        panic!("{} frames", frames.len())
    };
    assert!(before[66..] == frame[66..66 + 2 * each] && after[66..] == frame[66 + 3 * each..]);
    assert_eq!((first.segmentation, second.segmentation), (0x81, 0x01));
    assert_eq!(
        (before[34 + 13], after[34 + 13]),
        (0x90, 0x19),
        "CWR first, FIN and PSH last"
    );
    let sequence = |frame: &[u8]| u32::from_be_bytes(frame[38..42].try_into().unwrap());
    assert_eq!(sequence(after).wrapping_sub(sequence(before)) as usize, 3 * each);
    let id = |frame: &[u8]| u16::from_be_bytes(frame[18..20].try_into().unwrap());
    assert_eq!(id(after).wrapping_sub(id(before)), 3, "three packets are before");
    for (piece, offload) in [(before, first), (after, second)] {
        assert_eq!(slow_sum(&piece[14..34]), 0xffff);
        assert_eq!(
            usize::from(u16::from_be_bytes([piece[16], piece[17]])),
            piece.len() - 14
        );
        let len = (piece.len() - 34) as u16;
        let pseudo = [&piece[26..34], &[0, 6], &len.to_be_bytes()].concat();
        assert_eq!(piece[50..52], slow_sum(&pseudo).to_be_bytes());
        assert_eq!(
            (offload.flags, offload.header_len, offload.segment_size),
            (NEEDS_CHECKSUM, 66, 1_448)
        );
        assert_eq!((offload.checksum_start, offload.checksum_offset), (34, 16));
    }
    assert_eq!(receiver.joiner.counts().partial, 2);
}

#[test]
fn a_piece_of_one_packet_is_not_left_to_the_device_to_cut() {
    let (frame, offload) = super_frame(Shape::TCP4, &payload(4_000, 0));
    let contents = cut(&mut Cutter::new(0), &frame, offload);
    let mut receiver = Receiver::new();
    assert!(receiver.take(0, &contents[1..2]).is_empty());
    let frames = receiver.flush();
    assert_eq!(
        (frames.len(), frames[0].1.segmentation, frames[0].1.segment_size),
        (1, 0, 0)
    );
}

#[test]
fn flows_that_mix_come_out_whole() {
    let mut cutters = [0, 1, 2].map(Cutter::new);
    let mut sent = Vec::new();
    let mut streams = Vec::new();
    for (port, cutter) in cutters.iter_mut().enumerate() {
        let shape = Shape {
            port: port as u16,
            ..Shape::TCP4
        };
        let (frame, offload) = super_frame(shape, &payload(20_000, port as u8));
        streams.push(cut(cutter, &frame, offload));
        sent.push((frame, offload));
    }
    let mixed: Vec<_> = (0..streams[0].len())
        .flat_map(|at| streams.iter().map(move |stream| stream[at].clone()))
        .collect();
    let mut receiver = Receiver::new();
    assert!(receiver.take(0, &mixed) == sent);
}

#[test]
fn two_peers_with_the_same_octets_do_not_mix() {
    let (frame, offload) = super_frame(Shape::TCP4, &payload(2_000, 0));
    let contents = cut(&mut Cutter::new(0), &frame, offload);
    let mut receiver = Receiver::new();
    assert!(receiver.take(0, &contents[..1]).is_empty());
    assert_eq!(receiver.take(1, &contents[1..]).len(), 1);
    assert_eq!(receiver.flush().len(), 1);
}

#[test]
fn a_flow_stays_in_its_order() {
    let mut cutter = Cutter::new(0);
    let (frame, offload) = super_frame(Shape::TCP4, &payload(4_000, 0));
    let mut first = cut(&mut cutter, &frame, offload);
    first.pop();
    let second = cut(&mut cutter, &frame, offload);
    let small = cut(&mut cutter, &plain(60, 0), Offload::default());
    let mut receiver = Receiver::new();
    let frames = receiver.take(0, &[first.clone(), second].concat());
    assert_eq!(frames.len(), 2);
    assert!(frames[0].0.len() < frames[1].0.len(), "the part before the whole");
    let frames = receiver.take(0, &[first.clone(), small.clone()].concat());
    assert!(frames.len() == 2 && frames[1].0.len() == 60);
    // Another peer's frames do not matter to it.
    assert!(receiver.take(0, &first).is_empty());
    assert_eq!(receiver.take(1, &small).len(), 1);
    assert_eq!(receiver.flush().len(), 1);
}

#[test]
fn more_flows_than_places_lose_nothing() {
    let mut receiver = Receiver::new();
    let mut frames = Vec::new();
    for port in 0..20 {
        let shape = Shape { port, ..Shape::TCP4 };
        let (frame, offload) = super_frame(shape, &payload(4_000, 0));
        let contents = cut(&mut Cutter::new(port as u8), &frame, offload);
        frames.extend(receiver.take(0, &contents[..2]));
    }
    assert_eq!(frames.len(), 12);
    frames.extend(receiver.flush());
    let ports: Vec<u16> = frames
        .iter()
        .map(|(frame, _)| u16::from_be_bytes([frame[34], frame[35]]))
        .collect();
    assert_eq!(ports, (0..20).collect::<Vec<u16>>());
}
