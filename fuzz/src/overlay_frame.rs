//! The overlay's frames: cut, joined, finished, and whatever a peer may say of them.

use crate::feed::Feed;
use halloo_base::{Mono, Offload};
use halloo_overlay::Compression;
use halloo_overlay::frame::{
    Body, Cutter, Decompressor, Ethernet, Finisher, Joined, Joiner, LEAST_ROOM, LONGEST_FRAME, Reassembler,
    append_frame,
};

/// What the fragments of one peer may hold.
const MEMORY: usize = 40_000;

/// Any content: it is refused, or holds frames that are written back to the same octets; nothing becomes longer than it may.
pub(crate) fn content(data: &[u8]) {
    match Body::parse(data) {
        Ok(Body::Frames(frames)) => {
            let mut again = vec![0; data.len()];
            let mut used = 0;
            for (frame, offload) in frames {
                assert!(frame.len() >= 14 && offload.segmentation == 0);
                used = append_frame(&mut again, used, frame, offload).expect("it was in there");
            }
            assert_eq!(again, data);
        }
        Ok(Body::Compressed) => {
            for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
                let mut room = vec![0; 2_000];
                let Ok(len) = Decompressor::new().decompress(compression, data, &mut room) else {
                    continue;
                };
                assert_eq!(len, 1 + usize::from(u16::from_be_bytes([data[1], data[2]])));
                assert!(!matches!(Body::parse(&room[..len]), Ok(Body::Compressed)));
            }
        }
        Ok(_) | Err(_) => {}
    }
}

/// A frame and what is left to the device, for a path: cut and joined it is finished as it would have been at once. First
/// the room, then switches, then the offload, then how much payload is added, then the frame.
pub(crate) fn frame(data: &[u8]) {
    let mut feed = Feed::new(data);
    let room = usize::from(feed.number() % 1_024);
    let how = feed.octet();
    let offload = offload(&mut feed);
    let more = usize::from(feed.number() % 2_048);
    let mut frame = feed.bytes(data.len()).to_vec();
    frame.extend((0..more).map(|at| at as u8));
    if how & 1 != 0 {
        settle(&mut frame, offload);
    }
    if let Some(seen) = Ethernet::parse(&frame) {
        assert_eq!(seen.payload_at() + seen.payload().len(), frame.len());
        assert_eq!(
            seen.tags().next().map_or(0, halloo_overlay::frame::Tag::vid),
            seen.vlan()
        );
    }

    let mut at_once = Vec::new();
    let finished = Finisher::new().finish(&frame, offload, &mut |frame| at_once.push(frame.to_vec()));
    let mut cutter = Cutter::new(how);
    let Ok(mut cut) = cutter.cut(&frame, offload, room) else {
        assert!(room < LEAST_ROOM || matches!(finished, Err(halloo_overlay::frame::Unfinished::Malformed)));
        return;
    };
    let (mut joiner, mut fragments) = (Joiner::new(), Reassembler::new(MEMORY));
    let (mut finisher, mut carried) = (Finisher::new(), Vec::new());
    let mut understood = true;
    let mut out = |_: u8, frame: Joined<'_>, offload: Offload| {
        let finished = finisher.finish(&frame, offload, &mut |frame| carried.push(frame.to_vec()));
        understood &= finished.is_ok();
    };
    let mut buffer = vec![0; room];
    let mut lens = Vec::new();
    while let Some(len) = cut.next(&mut buffer) {
        lens.push(len);
        joiner
            .take(0, &mut fragments, Mono(0), &buffer[..len], &mut out)
            .expect("what is cut is taken");
    }
    joiner.flush(&mut out);
    assert!(cut.is_done() && lens.iter().all(|&len| len <= room));
    assert_eq!(understood, finished.is_ok());
    assert!(
        carried == at_once,
        "{} frames became {}",
        at_once.len(),
        carried.len()
    );
}

/// Contents of two peers, whole and damaged, with time passing: what is handed out makes sense, memory is bounded. Octets are
/// commands.
pub(crate) fn join(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut joiner = Joiner::new();
    let mut peers = [Reassembler::new(MEMORY), Reassembler::new(MEMORY)];
    let mut finisher = Finisher::new();
    let mut out = |_: u8, frame: Joined<'_>, offload: Offload| {
        assert!((14..=LONGEST_FRAME).contains(&frame.len()));
        let mut octets = 0;
        let finished = finisher.finish(&frame, offload, &mut |frame| octets += frame.len());
        assert!(finished != Err(halloo_overlay::frame::Unfinished::Malformed));
        assert!(finished.is_err() || octets >= frame.len());
    };
    let mut cutter = Cutter::new(0);
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut now = Mono(0);
    for _ in 0..32 {
        if feed.is_empty() {
            break;
        }
        let command = feed.octet();
        let peer = usize::from(command >> 7);
        let mut content = match command % 6 {
            0 => {
                let len = usize::from(feed.octet());
                feed.bytes(len).to_vec()
            }
            1 => {
                kept = cut(&mut cutter, &mut feed);
                continue;
            }
            2 | 3 => {
                let at = usize::from(feed.octet());
                let Some(content) = kept.get(at % kept.len().max(1)) else {
                    continue;
                };
                content.clone()
            }
            4 => {
                joiner.flush(&mut out);
                continue;
            }
            _ => {
                now = Mono(now.0 + u64::from(feed.octet()) * 10_000_000);
                peers[peer].expire(now);
                continue;
            }
        };
        if command & 0x40 != 0 {
            feed.damage(&mut content);
        }
        let _either = joiner.take(peer as u8, &mut peers[peer], now, &content, &mut out);
        assert!(peers.iter().all(|peer| peer.memory() <= MEMORY + LONGEST_FRAME));
    }
    joiner.flush(&mut out);
    let counts = joiner.counts();
    assert!(counts.partial <= counts.joined && counts.joined <= counts.segments);
}

/// A packet of TCP or UDP over IPv4 or IPv6, cut.
fn cut(cutter: &mut Cutter, feed: &mut Feed<'_>) -> Vec<Vec<u8>> {
    let kind = feed.octet();
    let (udp, v6) = (kind & 1 != 0, kind & 2 != 0);
    let room = LEAST_ROOM + usize::from(feed.octet()) * 8;
    let segment_size = u16::from(feed.octet()) * 4 + 1;
    let len = usize::from(feed.number() % 512);
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, kind >> 4];
    let protocol = if udp { 17 } else { 6 };
    if v6 {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, protocol, 64]);
        frame.resize(14 + 40, 1);
    } else {
        frame.extend([8, 0, 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, protocol]);
        frame.resize(14 + 20, 1);
    }
    let start = frame.len();
    frame.extend([0, kind >> 4, 0, 9, 0, 0, 0, 0]);
    if !udp {
        frame.extend([0, 0, 0, 2, 0x50, 0x99, 1, 0, 0, 0, 0, 0]);
    }
    frame.extend((0..len).map(|at| at as u8 ^ kind));
    let offload = Offload {
        flags: 1,
        segmentation: match (udp, v6) {
            (true, _) => 5,
            (_, true) => 4,
            _ => 0x81,
        },
        header_len: 0,
        segment_size,
        checksum_start: start as u16,
        checksum_offset: if udp { 6 } else { 16 },
    };
    settle(&mut frame, offload);
    let mut cut = cutter.cut(&frame, offload, room).expect("a frame");
    let mut buffer = vec![0; room];
    let mut contents = Vec::new();
    while let Some(len) = cut.next(&mut buffer) {
        contents.push(buffer[..len].to_vec());
    }
    contents
}

fn offload(feed: &mut Feed<'_>) -> Offload {
    Offload {
        flags: feed.octet(),
        segmentation: feed.octet(),
        header_len: feed.number(),
        segment_size: feed.number(),
        checksum_start: feed.number(),
        checksum_offset: feed.number(),
    }
}

/// Makes the lengths in the headers those of the frame, which mutation alone hardly ever does.
fn settle(frame: &mut [u8], offload: Offload) {
    let Some(seen) = Ethernet::parse(frame) else {
        return;
    };
    let (network, ethertype) = (seen.payload_at(), seen.ethertype());
    let transport = usize::from(offload.checksum_start);
    let end = frame.len();
    let (at, len) = match ethertype {
        0x0800 => (network + 2, end - network),
        0x86dd => (network + 4, (end - network).saturating_sub(40)),
        _ => return,
    };
    let mut put = |at: usize, len: usize| {
        if let Some(room) = frame.get_mut(at..at + 2) {
            room.copy_from_slice(&(len as u16).to_be_bytes());
        }
    };
    put(at, len);
    if offload.segmentation == 5 {
        put(transport + 4, end.saturating_sub(transport));
    }
}
