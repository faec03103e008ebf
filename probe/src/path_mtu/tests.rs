mod session;

use super::*;
use proptest::prelude::*;

const RTT: Duration = Duration::from_millis(20);

/// A path that carries `mtu` bytes, and loses one in `one_in` of what it could carry (0: none).
struct Hop {
    mtu: u16,
    one_in: u64,
    /// What an ICMP message says to whatever is too big.
    says: Option<u32>,
    rng: halloo_base::Rng,
    now: Mono,
    sizes: Vec<u16>,
}

impl Hop {
    fn new(mtu: u16) -> Hop {
        Hop {
            mtu,
            one_in: 0,
            says: None,
            rng: halloo_base::Rng::new(u64::from(mtu)),
            now: Mono(1_000_000_000),
            sizes: vec![],
        }
    }

    /// Lets a search run to its end; a search without one is cut off after 1,000 probes.
    fn run(&mut self, search: &mut PathMtu) {
        while self.sizes.len() < 1_000 {
            if let Some(size) = search.probe(self.now) {
                self.sizes.push(size);
                let is_lost = self.one_in > 0 && self.rng.below(self.one_in) == 0;
                if size > self.mtu {
                    self.now += RTT;
                    if let Some(says) = self.says {
                        search.too_big(size, Some(says));
                    }
                } else if !is_lost {
                    self.now += RTT;
                    search.answered(size, RTT);
                }
                continue;
            }
            if search.is_decided() {
                return;
            }
            let next = search.deadline().expect("a search that goes on has a deadline");
            assert!(next > self.now, "it wants to be woken at once, and asks nothing");
            self.now = next;
        }
        panic!("no end: {:?}", self.sizes);
    }
}

fn options(most: u16) -> PathMtuOptions {
    PathMtuOptions {
        raise_after: None,
        ..PathMtuOptions::v4(most)
    }
}

#[test]
fn every_mtu_is_found_whether_anybody_tells_or_not() {
    for mtu in 1_280..=9_216 {
        for says in [None, Some(u32::from(mtu))] {
            let mut hop = Hop {
                says,
                ..Hop::new(mtu)
            };
            let mut search = PathMtu::new(options(9_216));
            hop.run(&mut search);
            assert_eq!(search.mtu(), Some(mtu), "{says:?} {:?}", hop.sizes);
            assert_eq!(search.state(), PathMtuState::Complete);
            assert_eq!(search.probes() as usize, hop.sizes.len());
            let bound = if says.is_some() { 16 } else { 64 };
            assert!(hop.sizes.len() <= bound, "{mtu} {says:?}: {:?}", hop.sizes);
        }
    }
}

#[test]
fn every_mtu_is_found_where_one_probe_in_ten_is_lost() {
    let mut most = 0;
    for mtu in 1_280..=9_216 {
        let mut hop = Hop {
            one_in: 10,
            ..Hop::new(mtu)
        };
        let mut search = PathMtu::new(options(9_216));
        hop.run(&mut search);
        assert_eq!(search.mtu(), Some(mtu), "{:?}", hop.sizes);
        most = most.max(hop.sizes.len());
    }
    assert!(most <= 90, "{most}");
}

#[test]
fn usual_paths_cost_few_probes() {
    let table: [(u16, u16, &[u16]); 3] = [
        (1_500, 1_500, &[1_200, 1_500]),
        (1_280, 1_280, &[1_200, 1_280]),
        (65_535, 65_535, &[1_200, 65_535]),
    ];
    for (most, mtu, sizes) in table {
        let mut hop = Hop::new(mtu);
        hop.run(&mut PathMtu::new(options(most)));
        assert_eq!(hop.sizes, sizes);
    }
    let mut hop = Hop::new(1_400);
    let mut search = PathMtu::new(options(1_500));
    hop.run(&mut search);
    assert_eq!(search.mtu(), Some(1_400));
    hop.sizes.dedup();
    assert_eq!(hop.sizes, [1_200, 1_500, 1_450, 1_400, 1_440, 1_420, 1_401]);
}

#[test]
fn a_size_is_too_big_only_after_three_losses_and_the_last_after_eight() {
    let mut hop = Hop::new(1_400);
    hop.run(&mut PathMtu::new(options(1_500)));
    let times = |size| hop.sizes.iter().filter(|&&asked| asked == size).count();
    assert_eq!([1_500, 1_450, 1_440, 1_420, 1_401].map(times), [3, 3, 3, 3, 8]);
}

#[test]
fn an_icmp_message_is_a_hint_and_no_more() {
    // It says less than what fits, more than what fits, and nonsense.
    for says in [1_300, 1_350, 1_450, 1_499, 1_500, 9_000, 0, 67, 1 << 20] {
        let mut hop = Hop {
            says: Some(says),
            ..Hop::new(1_400)
        };
        let mut search = PathMtu::new(options(1_500));
        hop.run(&mut search);
        assert_eq!(search.mtu(), Some(1_400), "{says}: {:?}", hop.sizes);
    }
}

#[test]
fn a_message_about_another_size_changes_nothing() {
    let mut search = PathMtu::new(options(1_500));
    assert_eq!(search.probe(Mono(5)), Some(1_200));
    let before = format!("{search:?}");
    search.too_big(1_400, Some(1_300));
    assert_eq!(format!("{search:?}"), before);
    search.answered(1_200, RTT);
    assert_eq!(search.probe(Mono(6)), Some(1_500));
    search.too_big(1_500, Some(1_300));
    // Two messages about one probe are one loss.
    search.too_big(1_500, Some(1_300));
    assert_eq!(search.probe(Mono(7)), Some(1_500));
    assert_eq!(search.probe(Mono(8)), None, "it is under way");
}

#[test]
fn what_the_own_link_does_not_carry_is_no_probe() {
    let mut search = PathMtu::new(options(9_000));
    let (mut now, mut sent) = (Mono(1), 0);
    while let Some(size) = search.probe(now) {
        if size > 1_500 {
            search.unsendable(size);
        } else {
            sent += 1;
            search.answered(size, RTT);
        }
        now += RTT;
    }
    assert_eq!(
        (search.mtu(), search.state()),
        (Some(1_500), PathMtuState::Complete)
    );
    assert_eq!(search.probes(), sent);
}

#[test]
fn where_nothing_is_answered_the_search_ends() {
    let mut hop = Hop::new(0);
    let mut search = PathMtu::new(options(1_500));
    hop.run(&mut search);
    assert_eq!((search.mtu(), search.state()), (None, PathMtuState::Error));
    assert_eq!(hop.sizes, [1_200, 1_200, 1_200, 68, 68, 68]);
}

#[test]
fn a_path_below_the_base_is_an_error_with_a_result() {
    let mut hop = Hop::new(600);
    let mut search = PathMtu::new(options(1_500));
    hop.run(&mut search);
    assert_eq!((search.mtu(), search.state()), (Some(600), PathMtuState::Error));
}

#[test]
fn an_answer_that_comes_when_all_is_decided_reopens_the_search() {
    let mut search = PathMtu::new(options(1_500));
    Hop::new(1_400).run(&mut search);
    search.answered(1_401, Duration::from_secs(3));
    assert!(!search.is_decided());
    assert_eq!(search.state(), PathMtuState::Searching);
    Hop::new(1_410).run(&mut search);
    assert_eq!(
        (search.mtu(), search.state()),
        (Some(1_410), PathMtuState::Complete)
    );
}

#[test]
fn a_complete_search_looks_again_when_its_time_has_come() {
    let mut search = PathMtu::new(PathMtuOptions::v6(1_500));
    let mut hop = Hop::new(1_400);
    hop.run(&mut search);
    let again = search.deadline().expect("it will look again");
    assert_eq!(again, hop.now + Duration::from_secs(600));
    assert_eq!(search.probe(hop.now), None);
    assert_eq!(search.probe(again), Some(1_500));
    assert_eq!(search.mtu(), Some(1_400), "what is known stays known");
    search.answered(1_500, RTT);
    assert_eq!(search.probe(again), None);
    assert_eq!(
        (search.mtu(), search.state()),
        (Some(1_500), PathMtuState::Complete)
    );
}

#[test]
fn a_black_hole_sends_the_search_back_to_its_base() {
    let mut search = PathMtu::new(PathMtuOptions::v6(9_000));
    Hop::new(9_000).run(&mut search);
    search.black_hole();
    assert_eq!((search.mtu(), search.state()), (None, PathMtuState::Base));
    let mut hop = Hop::new(1_320);
    hop.run(&mut search);
    assert_eq!(search.mtu(), Some(1_320));
    assert_eq!(hop.sizes[0], 1_280);
}

#[test]
fn patience_follows_the_round_trip() {
    let slow = Duration::from_secs(2);
    let mut search = PathMtu::new(options(1_500));
    assert_eq!(search.probe(Mono(0)), Some(1_200));
    assert_eq!(search.deadline(), Some(Mono(0) + Duration::from_secs(15)));
    search.answered(1_200, slow);
    assert_eq!(search.probe(Mono(7)), Some(1_500));
    assert_eq!(search.deadline(), Some(Mono(7) + 3 * slow));
}

proptest! {
    #[test]
    fn any_order_of_inputs_keeps_the_result_between_what_was_answered_and_what_was_asked_for(
        most in 1_200_u16..,
        steps in proptest::collection::vec((0_u8..6, any::<u16>(), any::<u32>()), 0..200),
    ) {
        let mut search = PathMtu::new(options(most));
        let (mut now, mut best) = (Mono(1), 0);
        for (what, size, number) in steps {
            now += Duration::from_millis(u64::from(number % 20_000));
            match what {
                0..3 => {
                    if let Some(asked) = search.probe(now) {
                        prop_assert!(asked >= 68 && asked <= most);
                        if number % 3 == 0 {
                            search.answered(asked, RTT);
                            best = best.max(asked);
                        }
                    }
                }
                3 => search.too_big(size, Some(number)),
                4 => search.unsendable(size),
                _ => {
                    search.answered(size, RTT);
                    best = best.max(size.min(most));
                }
            }
            prop_assert_eq!(search.mtu().unwrap_or(0), best);
            prop_assert!(search.refused.windows(2).all(|pair| pair[1].size < pair[0].size));
            prop_assert!(search.refused.len() <= 64);
        }
    }
}
