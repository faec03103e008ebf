use super::*;
use crate::wire::{HEADER_LEN, TAG_LEN};

const PATIENCE: Duration = Duration::from_millis(100);

fn at(millis: u64) -> Mono {
    Mono(millis * 1_000_000)
}

fn subflow() -> Subflow {
    let local = "0.0.0.0:40000".parse().expect("an address");
    let remote = "192.0.2.1:7654".parse().expect("an address");
    let path = Path {
        link: LinkId::default(),
        local,
        remote,
    };
    Subflow::new(2, path, at(0))
}

/// When it asks, of all milliseconds of a time.
fn asks(subflow: &mut Subflow, from: u64, to: u64, mtu: u16) -> Vec<u64> {
    (from..to)
        .filter(|&now| subflow.poll(at(now), mtu, PATIENCE).is_some())
        .collect()
}

#[test]
fn who_does_not_answer_is_asked_four_times_and_again_after_five_seconds() {
    let mut subflow = subflow();
    let asked = asks(&mut subflow, 0, 7_000, 1_400);
    assert_eq!(asked, [0, 100, 200, 300, 5_400, 5_500, 5_600, 5_700]);
    assert_eq!(subflow.carries, 0);
}

#[test]
fn who_answered_is_asked_again_each_quarter_of_a_second_while_it_is_used() {
    let mut subflow = subflow();
    let ping = subflow.poll(at(0), 1_400, PATIENCE).expect("it is new");
    assert_eq!(ping.packet, Some(1_400));
    subflow.answered(ping.number, at(20));
    assert_eq!(subflow.carries, 1_400);
    assert_eq!(asks(&mut subflow, 20, 10_000, 1_400), [], "nothing went by it");
    assert_eq!(subflow.deadline(1_400, PATIENCE), None);
    subflow.used = true;
    assert_eq!(asks(&mut subflow, 10_000, 10_001, 1_400), [10_000]);
    subflow.answered(subflow.number, at(10_020));
    subflow.used = true;
    assert_eq!(subflow.deadline(1_400, PATIENCE), Some(at(10_250)));
    assert_eq!(asks(&mut subflow, 10_020, 10_300, 1_400), [10_250]);
    // No answer to four, and it carries nothing.
    assert_eq!(
        asks(&mut subflow, 10_300, 10_649, 1_400),
        [10_350, 10_450, 10_550]
    );
    assert_eq!(subflow.carries, 1_400);
    assert_eq!(asks(&mut subflow, 10_649, 15_650, 1_400), []);
    assert_eq!(subflow.carries, 0);
}

#[test]
fn a_late_answer_counts_and_one_to_another_question_does_not() {
    let mut subflow = subflow();
    let numbers: Vec<u32> = [0, 100, 200]
        .into_iter()
        .filter_map(|now| Some(subflow.poll(at(now), 1_400, PATIENCE)?.number))
        .collect();
    assert_eq!(numbers.len(), 3);
    for wrong in [numbers[0] - (1 << 16), numbers[2] + (1 << 16), numbers[2] + 1, 0] {
        subflow.answered(wrong, at(250));
        assert_eq!(subflow.carries, 0, "{wrong:x}");
    }
    subflow.answered(numbers[0], at(250));
    assert_eq!(subflow.carries, 1_400);
    // Twice the same is none to what is asked next.
    subflow.used = true;
    assert!(subflow.poll(at(600), 1_400, PATIENCE).is_some());
    subflow.answered(numbers[2], at(610));
    assert_eq!(subflow.asked, Some(at(600)));
}

#[test]
fn longer_packets_are_asked_about_before_they_go() {
    let mut subflow = subflow();
    let ping = subflow.poll(at(0), 1_400, PATIENCE).expect("it is new");
    subflow.answered(ping.number, at(20));
    assert_eq!(asks(&mut subflow, 20, 300, 1_500), [250]);
    assert!(subflow.carries < 1_500);
    subflow.answered(subflow.number, at(310));
    assert_eq!(subflow.carries, 1_500);
}

#[test]
fn a_pong_is_as_long_as_what_is_asked_for_it() {
    let mut content = vec![Content::Control as u8];
    let pong = Control::Pong {
        number: 1,
        time: 2,
        size: 3,
        seen: "192.0.2.1:7654".parse().expect("an address"),
        waited: 4,
    };
    pong.emit(&mut content).expect("there is room");
    assert_eq!(HEADER_LEN + content.len() + TAG_LEN, PONG_LEN);
}

#[test]
fn much_is_what_is_more_than_the_threshold_in_one_second() {
    let mut subflows = Subflows::new(at(0));
    for (now, sent, needed) in [
        (10, 900, false),
        (900, 1_000, false),
        (1_010, 1_900, false),
        (1_900, 2_000, false),
        (2_000, 2_001, true),
    ] {
        subflows.count(sent, 1_000, at(now));
        assert_eq!(subflows.needed.is_some(), needed, "{now}");
    }
    assert_eq!(subflows.deadline(), Some(at(2_000)));
}

#[test]
fn nothing_goes_by_a_port_from_the_moment_at_which_it_is_refused() {
    let mut subflows = Subflows::new(at(0));
    let mut subflow = subflow();
    subflow.carries = 1_400;
    subflows.all.push(subflow);
    subflows.look(1_400, PATIENCE);
    assert_eq!(subflows.carrying(), 1);
    assert!(!subflows.fail(1, at(5)), "there is no such port");
    assert_eq!(subflows.carrying(), 1);
    assert!(subflows.fail(2, at(5)));
    assert_eq!(subflows.carrying(), 0);
    assert!(!subflows.fail(2, at(6)), "it is known already");
}
