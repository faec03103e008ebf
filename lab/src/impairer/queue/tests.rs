use super::super::Reorder;
use super::*;
use crate::fate::Traffic;

const MS: Duration = Duration::from_millis(1);

/// The smallest UDP datagram in an Ethernet frame, told from others by its last byte.
fn udp(mark: u8) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend([10, 0, 0, 1, 10, 0, 0, 2, 0, 5, 0, 7, 0, 9, 0, 0, mark]);
    frame
}

fn at(ms: u32) -> Mono {
    Mono(0) + MS * ms
}

/// The marks of what leaves until then.
fn leaving(queue: &mut Queue, until: Mono) -> Vec<u8> {
    std::iter::from_fn(|| queue.release(until))
        .map(|frame| frame[frame.len() - 1])
        .collect()
}

#[test]
fn a_frame_leaves_at_its_delay_and_not_before() {
    let mut queue = Queue::new(1);
    queue.accept(at(5), &udp(1), &Impairment::delay(MS * 10));
    assert_eq!(queue.deadline(), Some(at(15)));
    assert_eq!(queue.release(Mono(at(15).0 - 1)), None);
    assert_eq!(leaving(&mut queue, at(15)), [1]);
    assert_eq!(queue.deadline(), None);
}

#[test]
fn jitter_adds_less_than_it_says_and_keeps_the_order() {
    let mut queue = Queue::new(1);
    let impairment = Impairment {
        jitter: MS * 5,
        ..Impairment::delay(MS * 10)
    };
    for mark in 0..200 {
        queue.accept(at(0), &udp(mark), &impairment);
    }
    assert!(leaving(&mut queue, Mono(at(10).0 - 1)).is_empty());
    let some = leaving(&mut queue, at(12));
    assert!(some.len() < 200, "{}", some.len());
    let rest = leaving(&mut queue, at(15));
    assert_eq!([some, rest].concat(), (0..200).collect::<Vec<u8>>());
}

#[test]
fn a_shorter_delay_does_not_overtake_a_longer_one() {
    let mut queue = Queue::new(1);
    queue.accept(at(0), &udp(1), &Impairment::delay(MS * 10));
    queue.accept(at(1), &udp(2), &Impairment::default());
    assert!(leaving(&mut queue, at(9)).is_empty());
    assert_eq!(leaving(&mut queue, at(10)), [1, 2]);
}

#[test]
fn an_overtaken_frame_leaves_behind_exactly_as_many_later_ones_as_asked() {
    let mut queue = Queue::new(1);
    let all = Impairment {
        reorder: Some(Reorder {
            share: 1.0,
            distance: 2,
        }),
        ..Impairment::default()
    };
    queue.accept(at(0), &udp(0), &Impairment::default());
    queue.accept(at(0), &udp(1), &all);
    for mark in 2..5 {
        queue.accept(at(0), &udp(mark), &Impairment::default());
    }
    assert_eq!(leaving(&mut queue, at(0)), [0, 2, 3, 1, 4]);
    assert_eq!(queue.counts().reordered, 1);
}

#[test]
fn a_frame_that_too_few_overtake_leaves_late_and_is_not_counted_as_reordered() {
    let mut queue = Queue::new(1);
    let all = Impairment {
        reorder: Some(Reorder {
            share: 1.0,
            distance: 2,
        }),
        ..Impairment::default()
    };
    queue.accept(at(0), &udp(1), &all);
    assert_eq!(queue.deadline(), Some(Mono(0) + PATIENCE));
    assert!(leaving(&mut queue, at(199)).is_empty());
    assert_eq!(leaving(&mut queue, at(200)), [1]);
    assert_eq!(queue.counts().reordered, 0);
}

#[test]
fn only_the_chosen_traffic_is_duplicated() {
    let mut queue = Queue::new(1);
    let twice = |traffic| Impairment {
        duplicate: 1.0,
        traffic,
        ..Impairment::default()
    };
    queue.accept(at(0), &udp(1), &twice(Traffic::Udp));
    queue.accept(at(0), &udp(2), &twice(Traffic::Tcp));
    queue.accept(at(0), &udp(3), &twice(Traffic::Ip));
    queue.accept(at(0), &[0; 60], &twice(Traffic::Ip));
    assert_eq!(leaving(&mut queue, at(0)), [1, 1, 2, 3, 3, 0]);
    let counts = Counts {
        received: 4,
        sent: 6,
        duplicated: 2,
        ..Counts::default()
    };
    assert_eq!(queue.counts(), counts);
}

#[test]
fn a_full_queue_drops_the_newest_and_counts_it() {
    let mut queue = Queue::new(1);
    for _ in 0..=LONGEST {
        queue.accept(at(0), &udp(1), &Impairment::delay(MS));
    }
    assert_eq!(queue.counts().dropped, 1);
    assert_eq!(leaving(&mut queue, at(1)).len(), LONGEST);
}
