//! Random frames over a path that loses, swaps and repeats, checked against what a device would have made of each.

use super::super::{Cutter, Finisher, Joined, Joiner, Reassembler, Refused};
use super::packets::{Shape, look, payload, plain, super_frame};
use halloo_base::{Mono, Offload, Rng};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug)]
struct Path {
    room: usize,
    loss: f64,
    swap: f64,
    twice: f64,
    seed: u64,
}

/// A frame, what is left to the device, its shape where it is a packet.
type Sent = (Vec<u8>, Offload, Option<Shape>);

/// A content and which frame it is of.
type Tagged = (usize, Vec<u8>);

fn contents(sent: &[Sent], room: usize) -> Vec<Tagged> {
    let mut cutter = Cutter::new(3);
    let mut buffer = vec![0xee; room];
    let mut contents = Vec::new();
    for (at, (frame, offload, _)) in sent.iter().enumerate() {
        let mut cut = cutter.cut(frame, *offload, room).unwrap();
        while let Some(len) = cut.next(&mut buffer) {
            contents.push((at, buffer[..len].to_vec()));
        }
    }
    contents
}

fn disturb(contents: &[Tagged], path: Path) -> Vec<Tagged> {
    let mut rng = Rng::new(path.seed);
    let mut arrived: Vec<Tagged> = Vec::new();
    for content in contents {
        if rng.chance(path.loss) {
            continue;
        }
        arrived.push(content.clone());
        if rng.chance(path.twice) {
            arrived.push(content.clone());
        }
        let last = arrived.len() - 1;
        if last > 0 && rng.chance(path.swap) {
            let other = last - 1 - rng.below(last.min(5) as u64) as usize;
            arrived.swap(last, other);
        }
    }
    arrived
}

/// Joins and finishes; a batch ends after every `batch` contents.
fn received(arrived: &[Tagged], batch: usize) -> Vec<Vec<u8>> {
    let mut joiner = Joiner::new();
    let mut fragments = Reassembler::new(1 << 20);
    let mut finisher = Finisher::new();
    let mut frames = Vec::new();
    let mut out = |_: u8, frame: Joined<'_>, offload: Offload| {
        finisher
            .finish(&frame, offload, &mut |frame| frames.push(frame.to_vec()))
            .unwrap();
    };
    for batch in arrived.chunks(batch) {
        for (_, content) in batch {
            let taken = joiner.take(0u8, &mut fragments, Mono(0), content, &mut out);
            assert!(matches!(taken, Ok(()) | Err(Refused::Repeated)), "{taken:?}");
        }
        joiner.flush(&mut out);
    }
    frames
}

fn finished(frame: &[u8], offload: Offload) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    Finisher::new()
        .finish(frame, offload, &mut |frame| frames.push(frame.to_vec()))
        .unwrap();
    frames
}

/// The parts of the payload that arrived in segments: how often each octet.
fn covered(arrived: &[Tagged], at: usize, headers: usize, total: usize) -> Vec<u32> {
    let mut times = vec![0; total];
    for (_, content) in arrived
        .iter()
        .filter(|(of, content)| *of == at && content[0] == 2)
    {
        let offset = usize::from(u16::from_be_bytes([content[6], content[7]]));
        for times in &mut times[offset..offset + content.len() - 10 - headers] {
            *times += 1;
        }
    }
    times
}

/// Frames of kind 1 and 3 that are there whole: by their number, or as often as the content came.
fn whole(arrived: &[Tagged], all: &[Tagged], at: usize) -> Vec<(usize, usize)> {
    // (place among the frame's own frames, how often)
    let of = |contents: &[Tagged]| -> BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> {
        let mut frames: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for (_, content) in contents
            .iter()
            .filter(|(of, content)| *of == at && content[0] == 3)
        {
            frames
                .entry(content[2..6].to_vec())
                .or_default()
                .insert(content.clone());
        }
        frames
    };
    let (there, all_parts) = (of(arrived), of(all));
    let complete = all_parts
        .iter()
        .enumerate()
        .filter(|(_, (number, parts))| there.get(*number) == Some(parts))
        .map(|(place, _)| (place, 1));
    let once = arrived
        .iter()
        .filter(|(of, content)| *of == at && content[0] == 1)
        .count();
    complete.chain((once > 0).then_some((0, once))).collect()
}

/// Every packet that came is one that a device would have made, and every one that was not lost has come.
fn check(sent: &[Sent], path: Path, batch: usize) {
    let all = contents(sent, path.room);
    let arrived = disturb(&all, path);
    let frames = received(&arrived, batch);
    let mut left: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for frame in &frames {
        *left.entry(frame.clone()).or_default() += 1;
    }
    let mut take = |frame: &[u8], times: usize| {
        let count = left.entry(frame.to_vec()).or_default();
        *count -= times as i64;
        assert!(*count >= 0, "{} of {} octets are missing", -*count, frame.len());
    };
    let mut streams = Vec::new();
    for (at, (frame, offload, shape)) in sent.iter().enumerate() {
        let expected = finished(frame, *offload);
        let kind = all
            .iter()
            .find(|(of, _)| *of == at)
            .map(|(_, content)| content[0]);
        match shape.filter(|_| kind == Some(2)) {
            Some(shape) if shape.udp => {
                let headers = look(&expected[0], shape).headers.len();
                let times = covered(&arrived, at, headers, frame.len() - headers);
                for (packet, frame) in expected.iter().enumerate() {
                    take(frame, times[packet * usize::from(shape.size)] as usize);
                }
            }
            Some(shape) => streams.push((at, shape)),
            None if expected.len() > 1 && kind == Some(3) && shape.is_some_and(|shape| shape.udp) => {
                for (place, times) in whole(&arrived, &all, at) {
                    take(&expected[place], times);
                }
            }
            None => {
                for (_, times) in whole(&arrived, &all, at) {
                    expected.iter().for_each(|frame| take(frame, times));
                }
            }
        }
    }
    // What is left is TCP that was cut at other places: its streams are compared.
    let left: Vec<Vec<u8>> = left
        .into_iter()
        .flat_map(|(frame, times)| vec![frame; times.max(0) as usize])
        .collect();
    let mut seen = 0;
    for (at, shape) in streams {
        let mine: Vec<&Vec<u8>> = left
            .iter()
            .filter(|frame| port(frame, shape) == Some(shape.port))
            .collect();
        seen += mine.len();
        check_stream(&sent[at], shape, &mine, &arrived, at);
    }
    assert_eq!(seen, left.len(), "nothing came that was not sent");
}

/// The port by which the test tells frames apart, where the frame is of this shape.
fn port(frame: &[u8], shape: Shape) -> Option<u16> {
    let network = 14 + 4 * usize::from(shape.tags);
    let ethertype: [u8; 2] = if shape.v6 { [0x86, 0xdd] } else { [0x08, 0x00] };
    let transport = network + if shape.v6 { 40 } else { 20 };
    let fits = frame.get(network - 2..network)? == ethertype
        && (network == 14 || frame[network - 4..network - 2] != [0x08, 0x00]);
    let port = frame.get(transport..transport + 2)?;
    fits.then(|| u16::from_be_bytes([port[0], port[1]]))
}

fn check_stream(sent: &Sent, shape: Shape, frames: &[&Vec<u8>], arrived: &[Tagged], at: usize) {
    let (whole, offload, _) = sent;
    let headers = usize::from(offload.header_len);
    let data = &whole[headers..];
    let mut times = vec![0u32; data.len()];
    let original = finished(whole, *offload);
    let first = look(&original[0], shape);
    for frame in frames {
        let seen = look(frame, shape);
        let offset = seen.sequence.wrapping_sub(first.sequence) as usize;
        let end = offset + seen.payload.len();
        assert!(seen.payload.len() <= usize::from(shape.size));
        assert_eq!(seen.payload, &data[offset..end]);
        times[offset..end].iter_mut().for_each(|times| *times += 1);
        let cwr = if offset == 0 && shape.ecn { 0x80 } else { 0 };
        let last = if end == data.len() { 0x09 } else { 0 };
        assert_eq!(seen.flags, 0x10 | cwr | last, "{offset}..{end}");
        // All else of the headers is as it was: ports, acknowledgement, window, options, addresses, tags.
        let transport = usize::from(offload.checksum_start);
        assert_eq!(
            seen.headers[..14 + 4 * usize::from(shape.tags)],
            first.headers[..14 + 4 * usize::from(shape.tags)]
        );
        assert_eq!(
            seen.headers[transport + 8..transport + 13],
            first.headers[transport + 8..transport + 13]
        );
        assert_eq!(seen.headers[transport + 20..], first.headers[transport + 20..]);
    }
    assert!(
        times == covered(arrived, at, headers, data.len()),
        "what was not lost has come"
    );
}

fn shape() -> impl Strategy<Value = (Shape, usize)> {
    let shape = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        0u8..3,
        0u8..4,
        40u16..3_000,
    );
    (shape, 1usize..40_000).prop_map(|((v6, udp, ecn, tags, options, size), len)| {
        let shape = Shape {
            v6,
            udp,
            ecn: ecn && !udp,
            tags,
            options,
            size,
            port: 0,
        };
        // A kernel makes 128 packets of one at most.
        (shape, len.min(usize::from(size) * 128))
    })
}

fn plan() -> impl Strategy<Value = Vec<(Option<Shape>, usize)>> {
    let packet = shape().prop_map(|(shape, len)| (Some(shape), len));
    let other = (14usize..9_100).prop_map(|len| (None, len));
    proptest::collection::vec(prop_oneof![3 => packet, 1 => other], 1..5)
}

fn make(plan: &[(Option<Shape>, usize)]) -> Vec<Sent> {
    let number = |(at, &(shape, len)): (usize, &(Option<Shape>, usize))| match shape {
        Some(shape) => {
            let port = 1_000 + at as u16;
            let shape = Shape { port, ..shape };
            let (frame, offload) = super_frame(shape, &payload(len, at as u8));
            (frame, offload, Some(shape))
        }
        None => (plain(len, at as u8), Offload::default(), None),
    };
    plan.iter().enumerate().map(number).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_not_lost_arrives_as_a_device_would_have_made_it(
        plan in plan(), room in 200usize..9_000, loss in 0.0..0.3f64, seed in any::<u64>(), batch in 1usize..64,
    ) {
        check(&make(&plan), Path { room, loss, swap: 0.0, twice: 0.0, seed }, batch);
    }

    #[test]
    fn order_and_repetition_change_nothing_but_order_and_number(
        plan in plan(), room in 700usize..9_000, loss in 0.0..0.1f64, seed in any::<u64>(), batch in 1usize..64,
    ) {
        check(&make(&plan), Path { room, loss, swap: 0.2, twice: 0.1, seed }, batch);
    }

    #[test]
    fn without_loss_super_frames_arrive_as_they_were(plan in plan(), room in 200usize..9_000) {
        let sent = make(&plan);
        let mut joiner = Joiner::new();
        let mut fragments = Reassembler::new(1 << 20);
        let mut frames = Vec::new();
        for (_, content) in contents(&sent, room) {
            joiner
                .take(0u8, &mut fragments, Mono(0), &content, &mut |_, frame, offload| {
                    frames.push((frame.to_vec(), offload.segmentation));
                })
                .unwrap();
        }
        let udp_in_parts = sent.iter().any(|(_, offload, shape)| {
            shape.is_some_and(|shape| shape.udp) && usize::from(offload.segment_size) + 100 > room
        });
        if !udp_in_parts {
            prop_assert_eq!(frames.len(), sent.len());
            for ((frame, _), (before, _, _)) in frames.iter().zip(&sent) {
                prop_assert!(frame == before);
            }
        }
    }
}
