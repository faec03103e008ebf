use super::*;
use halloo_base::{StampSource, Wall};

const SECOND: u64 = 1_000_000_000;
const PATIENCE: Patience = Patience {
    header: Duration::from_secs(10),
    idle: Duration::from_secs(60),
    request: Duration::from_secs(120),
};

fn at(seconds: u64) -> Stamp {
    Stamp {
        mono: Mono(seconds * SECOND),
        wall: Wall(seconds * SECOND),
        source: StampSource::User,
    }
}

fn deadline(state: &State) -> u64 {
    state.deadline(PATIENCE).0 / SECOND
}

#[test]
fn who_never_sends_a_whole_head_has_as_long_as_one_may_take() {
    let mut state = State::new(at(100));
    assert_eq!(deadline(&state), 110);
    for second in 101..109 {
        state.read(at(second));
        assert_eq!(deadline(&state), 110, "one byte at a time does not help");
    }
}

#[test]
fn t2_is_the_first_byte_of_the_request_and_not_of_its_body() {
    let mut state = State::new(at(100));
    state.read(at(101));
    state.read(at(102));
    let (id, t2, is_first) = state.begin(false);
    assert_eq!((t2, is_first), (at(101), true));
    state.read(at(103));
    state.end(id, at(104).mono);
    state.read(at(110));
    state.read(at(111));
    let (_, t2, is_first) = state.begin(false);
    assert_eq!((t2, is_first), (at(110), false));
}

#[test]
fn a_request_that_came_together_with_another_came_with_the_last_bytes() {
    let mut state = State::new(at(100));
    state.read(at(101));
    let (id, ..) = state.begin(false);
    state.end(id, at(105).mono);
    assert_eq!(state.begin(false).1, at(101));
}

#[test]
fn t2_of_a_multiplexed_request_is_when_the_last_bytes_came() {
    let mut state = State::new(at(100));
    state.read(at(101));
    state.read(at(102));
    assert_eq!(state.begin(true).1, at(102));
    state.read(at(103));
    assert_eq!(state.begin(true).1, at(103));
}

#[test]
fn between_requests_a_connection_may_rest_but_not_trickle() {
    let mut state = State::new(at(100));
    let (id, ..) = state.begin(false);
    state.end(id, at(101).mono);
    assert_eq!(deadline(&state), 161);
    state.read(at(130));
    assert_eq!(deadline(&state), 140);
    state.read(at(139));
    assert_eq!(deadline(&state), 140);
}

#[test]
fn a_multiplexed_connection_may_be_pinged_but_not_kept_by_it() {
    let mut state = State::new(at(100));
    let (id, ..) = state.begin(true);
    state.end(id, at(101).mono);
    state.read(at(130));
    assert_eq!(deadline(&state), 161);
}

#[test]
fn the_oldest_request_in_flight_says_how_long_a_connection_may_go_on() {
    let mut state = State::new(at(100));
    state.read(at(101));
    let (old, ..) = state.begin(true);
    state.read(at(150));
    let (young, ..) = state.begin(true);
    assert_eq!(deadline(&state), 221);
    state.end(old, at(160).mono);
    assert_eq!(deadline(&state), 270);
    state.end(young, at(161).mono);
    assert_eq!(deadline(&state), 221);
}

#[test]
fn idle_is_who_has_asked_and_has_begun_nothing_new() {
    for multiplexed in [false, true] {
        let mut state = State::new(at(100));
        assert!(!state.is_idle());
        state.read(at(101));
        let (id, ..) = state.begin(multiplexed);
        assert!(!state.is_idle());
        state.end(id, at(102).mono);
        assert!(state.is_idle());
        state.read(at(103));
        assert_eq!(state.is_idle(), multiplexed);
    }
}
