//! A few seconds of every target: its seeds, and mutations of them that are the same in every run.

use halloo_base::Rng;
use halloo_fuzz::{TARGETS, seeds};

const MUTATIONS: u32 = 10_000;
const LONGEST: usize = 2_048;

#[test]
fn every_target_has_seeds_and_every_folder_a_target() {
    let mut folders: Vec<String> = seeds::corpus()
        .read_dir()
        .expect("the corpus is a folder")
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    folders.sort();
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(folders, names, "in the order of their names, too");
    for name in names {
        assert!(
            !seeds::of(name).expect("hex files").is_empty(),
            "{name} has no seeds"
        );
    }
}

#[test]
fn seeds_survive_their_text_form() {
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(seeds::parse(&seeds::emit(&bytes)), Some(bytes));
    assert_eq!(seeds::parse("0a 0B # 0c\n\n0d"), Some(vec![10, 11, 13]));
    for wrong in ["0", "0g", "+1", "0a0"] {
        assert_eq!(seeds::parse(wrong), None, "{wrong}");
    }
}

// Four tests, so that they run side by side and each has the time that a test is given.

#[test]
fn the_first_of_each_four_targets_holds_on_its_seeds_and_their_mutations() {
    every_fourth_holds(0);
}

#[test]
fn the_second_of_each_four_targets_holds_on_its_seeds_and_their_mutations() {
    every_fourth_holds(1);
}

#[test]
fn the_third_of_each_four_targets_holds_on_its_seeds_and_their_mutations() {
    every_fourth_holds(2);
}

#[test]
fn the_fourth_of_each_four_targets_holds_on_its_seeds_and_their_mutations() {
    every_fourth_holds(3);
}

fn every_fourth_holds(first: usize) {
    for (name, target) in TARGETS.iter().skip(first).step_by(4) {
        let seeds: Vec<Vec<u8>> = seeds::of(name)
            .expect("hex files")
            .into_iter()
            .map(|(_, bytes)| bytes)
            .collect();
        for seed in &seeds {
            target(seed);
        }
        let mut rng = Rng::new(0x68_616c_6c6f_6f21);
        for _ in 0..MUTATIONS {
            let input = mutated(&seeds, &mut rng);
            if std::panic::catch_unwind(|| target(&input)).is_err() {
                panic!("{name} fails on this seed:\n{}", seeds::emit(&input));
            }
        }
    }
}

/// One to four changes to a seed, of the kinds that break parsers: bits, borders, cuts, repeats, splices.
fn mutated(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = pick(seeds, rng).clone();
    for _ in 0..=rng.below(4) {
        let at = index(&bytes, rng);
        match rng.below(7) {
            0 => change(&mut bytes, at, |byte| byte ^ (1 << rng.below(8))),
            1 => change(&mut bytes, at, |_| rng.next_u64() as u8),
            2 => change(&mut bytes, at, |_| {
                [0x00, 0x01, 0x7f, 0x80, 0xff][rng.below(5) as usize]
            }),
            3 => bytes.truncate(at),
            4 => bytes.insert(at, rng.next_u64() as u8),
            5 => bytes.extend_from_within(at..),
            _ => {
                let other = pick(seeds, rng);
                let from = index(other, rng);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
        bytes.truncate(LONGEST);
    }
    bytes
}

fn pick<'a>(seeds: &'a [Vec<u8>], rng: &mut Rng) -> &'a Vec<u8> {
    &seeds[rng.below(seeds.len() as u64) as usize]
}

fn index(bytes: &[u8], rng: &mut Rng) -> usize {
    rng.below(bytes.len() as u64) as usize
}

fn change(bytes: &mut [u8], at: usize, how: impl FnOnce(u8) -> u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = how(*byte);
    }
}
