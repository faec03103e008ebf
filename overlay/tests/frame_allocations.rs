//! An edge that carries frames for years must not allocate for any of them.

use halloo_base::{Mono, Offload, Rng};
use halloo_counting::{Counting, allocations};
use halloo_overlay::frame::{
    Compressor, Cutter, Decompressor, Ethernet, Finisher, Joined, Joiner, LONGEST_CONTENT, Probe,
    Reassembler, append_frame, flow_hash,
};
use halloo_overlay::switch::{Flood, Port, Switch, TableKey, TableOptions};
use halloo_overlay::{Compression, Mac};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROOM: usize = 1_400;

/// A frame of TCP or UDP over IPv4; checksums do not matter here.
fn packet(udp: bool, port: u16, payload: usize, size: u16) -> (Vec<u8>, Offload) {
    let transport = if udp { 8 } else { 20 };
    let len = 20 + transport + payload;
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend((len as u16).to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, if udp { 17 } else { 6 }, 0, 0]);
    frame.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 9]);
    if udp {
        frame.extend(((len - 20) as u16).to_be_bytes());
        frame.extend([0, 0]);
    } else {
        frame.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
    }
    frame.extend((0..payload).map(|at| (at / 7) as u8));
    let offload = Offload {
        flags: 1,
        segmentation: if udp { 5 } else { 1 },
        header_len: (34 + transport) as u16,
        segment_size: size,
        checksum_start: 34,
        checksum_offset: if udp { 6 } else { 16 },
    };
    (frame, offload)
}

/// Both ends of a path that loses one datagram in twenty.
struct Carrier {
    compression: Compression,
    cutter: Cutter,
    probe: Probe,
    compressor: Compressor,
    decompressor: Decompressor,
    joiner: Joiner<u8>,
    fragments: Reassembler,
    finisher: Finisher,
    /// A content as it was cut, as it is sent, and as it came out.
    buffers: [Vec<u8>; 3],
    rng: Rng,
    now: Mono,
    finished: u64,
}

impl Carrier {
    fn new(compression: Compression) -> Carrier {
        Carrier {
            compression,
            cutter: Cutter::new(0),
            probe: Probe::default(),
            compressor: Compressor::new(),
            decompressor: Decompressor::new(),
            joiner: Joiner::new(),
            fragments: Reassembler::new(1 << 20),
            finisher: Finisher::new(),
            buffers: [vec![0; ROOM], vec![0; ROOM], vec![0; LONGEST_CONTENT]],
            rng: Rng::new(5),
            now: Mono(0),
            finished: 0,
        }
    }

    fn carry(&mut self, frames: &[(Vec<u8>, Offload)]) {
        for (frame, offload) in frames {
            let mut cut = self.cutter.cut(frame, *offload, ROOM).expect("it can be cut");
            let [plain, sent, back] = &mut self.buffers;
            while let Some(len) = cut.next(plain) {
                self.now = Mono(self.now.0 + 100_000);
                if self.rng.chance(0.05) {
                    continue;
                }
                let shorter =
                    self.compressor
                        .compress(self.compression, &mut self.probe, &plain[..len], sent);
                let content = match shorter {
                    None => &plain[..len],
                    Some(len) => {
                        let len = self.decompressor.decompress(self.compression, &sent[..len], back);
                        &back[..len.expect("what was sent")]
                    }
                };
                let (finisher, finished) = (&mut self.finisher, &mut self.finished);
                let mut out = |_: u8, frame: Joined<'_>, offload: Offload| {
                    finisher
                        .finish(&frame, offload, &mut |_| *finished += 1)
                        .expect("it can be finished");
                };
                self.joiner
                    .take(1, &mut self.fragments, self.now, content, &mut out)
                    .expect("it is taken");
                if self.rng.chance(0.1) {
                    self.joiner.flush(&mut out);
                }
            }
        }
    }
}

#[test]
fn frames_are_cut_and_joined_without_allocation() {
    let frames = [
        packet(false, 1, 20_000, 1_448),
        packet(true, 2, 10_000, 1_200),
        packet(true, 3, 10_000, 1_472),
        (vec![1; 60], Offload::default()),
        (vec![1; 9_000], Offload::default()),
        packet(false, 4, 2_000, 500),
    ];
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let mut carrier = Carrier::new(compression);
        // Until every place for parts of a frame has been used by a long one.
        (0..80).for_each(|_| carrier.carry(&frames[4..5]));
        for _ in 0..80 {
            carrier.carry(&frames);
        }
        let before = carrier.finished;
        let made = allocations(|| (0..40).for_each(|_| carrier.carry(&frames)));
        assert_eq!(made, 0, "{compression:?}");
        assert!(carrier.finished - before > 1_000, "{}", carrier.finished - before);
    }
}

#[test]
fn small_frames_are_gathered_without_allocation() {
    let (small, mut buffer) = ([1; 60], vec![0; ROOM]);
    let made = allocations(|| {
        let mut used = 0;
        while let Some(more) = append_frame(&mut buffer, used, &small, Offload::default()) {
            used = more;
        }
        assert_eq!(used, 1 + 22 * 62);
    });
    assert_eq!(made, 0);
}

#[test]
fn a_flow_is_found_without_allocation() {
    let frames = [packet(false, 1, 20_000, 1_448).0, packet(true, 2, 100, 1_200).0];
    let made = allocations(|| {
        let found = frames.iter().map(|frame| flow_hash(frame));
        assert_ne!(found.fold(0, |all, one| all ^ one), 0);
    });
    assert_eq!(made, 0);
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct At(u8);

impl Port for At {
    fn is_peer(self) -> bool {
        self.0 > 0
    }
}

#[test]
fn a_switch_allocates_nothing_once_it_has_been_full() {
    let options = TableOptions {
        most: 500,
        most_per_port: 100,
        ..TableOptions::default()
    };
    let mut switch = Switch::new(options, TableKey([1; 16]), Flood::default(), ());
    switch.own(Mac([2, 0, 0, 0, 0, 1]), At(0));
    let (mut rng, mut now) = (Rng::new(1), Mono(0));
    let mut turn = |switch: &mut Switch<At>, count: u32| {
        for _ in 0..count {
            now = Mono(now.0 + 1_000_000_000);
            let mut bytes = [0; 60];
            bytes[..6].copy_from_slice(&[2, 0, 0, 0, rng.below(8) as u8, rng.next_u64() as u8]);
            bytes[6..12].copy_from_slice(&[2, 0, 0, 0, rng.below(8) as u8, rng.next_u64() as u8]);
            let frame = Ethernet::parse(&bytes).expect("a frame");
            switch.forward(now, At(rng.below(10) as u8), &frame, &());
            switch.age(now);
        }
    };
    turn(&mut switch, 10_000);
    assert_eq!(allocations(|| turn(&mut switch, 10_000)), 0);
    let counts = switch.counts();
    assert!(counts.learned > 1_000 && counts.forwarded > 100 && counts.flooded > 1_000);
}
