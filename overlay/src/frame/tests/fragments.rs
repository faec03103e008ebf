use super::super::{Cutter, Joiner, Reassembler, Refused};
use super::packets::plain;
use halloo_base::{Mono, Offload};

const SECOND: u64 = 1_000_000_000;

struct Receiver {
    joiner: Joiner<u8>,
    fragments: Reassembler,
    frames: Vec<Vec<u8>>,
}

impl Receiver {
    fn new(memory: usize) -> Receiver {
        Receiver {
            joiner: Joiner::new(),
            fragments: Reassembler::new(memory),
            frames: Vec::new(),
        }
    }

    fn take(&mut self, now: u64, content: &[u8]) -> Result<(), Refused> {
        let frames = &mut self.frames;
        self.joiner
            .take(0, &mut self.fragments, Mono(now), content, &mut |_, frame, _| {
                frames.push(frame.to_vec());
            })
    }
}

fn cut(cutter: &mut Cutter, frame: &[u8], room: usize) -> Vec<Vec<u8>> {
    let mut cut = cutter.cut(frame, Offload::default(), room).unwrap();
    let mut buffer = vec![0; room];
    let mut contents = Vec::new();
    while let Some(len) = cut.next(&mut buffer) {
        contents.push(buffer[..len].to_vec());
    }
    contents
}

#[test]
fn parts_in_any_order_make_the_frame_once() {
    let frame = plain(500, 3);
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]] {
        let parts = cut(&mut Cutter::new(0), &frame, 150);
        let mut receiver = Receiver::new(10_000);
        for part in order {
            assert_eq!(receiver.take(0, &parts[part]), Ok(()));
        }
        assert_eq!(receiver.frames, std::slice::from_ref(&frame));
        assert_eq!(receiver.take(0, &parts[0]), Err(Refused::Repeated));
        assert_eq!(receiver.frames.len(), 1);
    }
}

#[test]
fn a_part_that_comes_twice_harms_nothing() {
    let frame = plain(500, 3);
    let parts = cut(&mut Cutter::new(0), &frame, 150);
    let mut receiver = Receiver::new(10_000);
    for part in &parts[..3] {
        receiver.take(0, part).unwrap();
        assert_eq!(receiver.take(0, part), Err(Refused::Repeated));
    }
    receiver.take(0, &parts[3]).unwrap();
    assert_eq!(receiver.frames, [frame]);
}

#[test]
fn parts_that_overlap_or_contradict_give_the_frame_up() {
    let frame = plain(500, 3);
    let parts = cut(&mut Cutter::new(0), &frame, 150);
    let changed = |at: usize, to: u8| {
        let mut part = parts[1].clone();
        part[at] = to;
        part
    };
    // A part that begins inside another, other octets, another length of the whole, something left to the device.
    let overlap = changed(9, 124);
    let mut others = parts[0].clone();
    others[30] ^= 1;
    let longer = changed(13, 0xff);
    for wrong in [overlap, others, longer] {
        let mut receiver = Receiver::new(10_000);
        receiver.take(0, &parts[0]).unwrap();
        assert_eq!(receiver.take(0, &wrong), Err(Refused::Contradiction));
        for part in &parts {
            assert_eq!(receiver.take(0, part), Err(Refused::Repeated));
        }
        assert!(receiver.frames.is_empty());
        assert_eq!(receiver.fragments.counts().contradicted, 1);
    }
}

#[test]
fn parts_that_come_too_late_make_nothing() {
    let frame = plain(200, 3);
    let parts = cut(&mut Cutter::new(0), &frame, 150);
    let mut receiver = Receiver::new(10_000);
    receiver.take(0, &parts[0]).unwrap();
    receiver.take(SECOND, &parts[1]).unwrap();
    assert!(receiver.frames.is_empty());
    assert_eq!(receiver.fragments.counts().late, 1);
    receiver.take(2 * SECOND - 1, &parts[0]).unwrap();
    assert_eq!(receiver.frames, [frame]);
    receiver.fragments.expire(Mono(9 * SECOND));
    assert_eq!(receiver.fragments.counts().late, 1);
}

#[test]
fn no_more_than_64_frames_wait_and_the_oldest_goes_first() {
    let mut cutter = Cutter::new(0);
    let all: Vec<_> = (0..65).map(|n| cut(&mut cutter, &plain(200, n), 150)).collect();
    let mut receiver = Receiver::new(1_000_000);
    for (at, parts) in all.iter().enumerate() {
        receiver.take(at as u64, &parts[0]).unwrap();
    }
    assert_eq!(receiver.fragments.counts().displaced, 1);
    for parts in &all[1..] {
        receiver.take(100, &parts[1]).unwrap();
    }
    let expected: Vec<_> = (1..65).map(|n| plain(200, n)).collect();
    assert_eq!(receiver.frames, expected);
}

#[test]
fn memory_is_bounded_whatever_comes() {
    let mut receiver = Receiver::new(20_000);
    for number in 0..500u32 {
        let total = (number * 7_919) % 9_000 + 100;
        let mut part = vec![3, 0];
        part.extend(number.to_be_bytes());
        part.extend(0u32.to_be_bytes());
        part.extend(total.to_be_bytes());
        part.extend([0; 50]);
        receiver.take(u64::from(number), &part).unwrap();
        assert!(receiver.fragments.memory() <= 20_000);
    }
    assert!(receiver.fragments.counts().displaced > 400);
    // One longer than all of it is still put together.
    let frame = plain(30_000, 1);
    for part in cut(&mut Cutter::new(9), &frame, 1_300) {
        receiver.take(600, &part).unwrap();
    }
    assert_eq!(receiver.frames, [frame]);
}

#[test]
fn a_frame_in_too_many_pieces_is_given_up() {
    let frame = plain(4_000, 1);
    let parts = cut(&mut Cutter::new(0), &frame, 64);
    let mut receiver = Receiver::new(10_000);
    let taken: Vec<_> = parts
        .iter()
        .step_by(2)
        .map(|part| receiver.take(0, part))
        .collect();
    let pieces = taken.iter().take_while(|taken| taken.is_ok()).count();
    assert_eq!((pieces, taken[pieces]), (32, Err(Refused::TooManyParts)));
}
