//! Cost, weight, metered links, sharing, and the words for it all.

use crate::script::{Fate, Script};
use halloo_base::Wall;
use halloo_links::{
    AnchorSettings, Because, Direction, Entry, Fact, Family, JournalError, LinkSettings, Metered, Mode,
    Reason, Record, Said, Settings, Share, Span, Watch, WhyNot, explain, replay,
};
use std::time::Duration;

/// Links of these costs, and three anchors.
fn settings(costs: &[u32]) -> Settings {
    Settings {
        link: costs
            .iter()
            .enumerate()
            .map(|(place, cost)| LinkSettings {
                cost: *cost,
                weight: place as u32 + 1,
                ..LinkSettings::new(&format!("wan{}", place + 1))
            })
            .collect(),
        anchor: ["a", "b", "c"].map(AnchorSettings::new).to_vec(),
        ..Settings::default()
    }
}

/// All links answer after so long, but for those that are down.
fn but(down: &'static [usize]) -> impl Fn(usize) -> Fate {
    move |link| {
        if down.contains(&link) {
            Fate::Lost
        } else {
            Fate::After(20)
        }
    }
}

/// Who carried, one after the other.
fn carriers(script: Script) -> Vec<String> {
    let outcome = script.play();
    let carry = outcome.decisions.iter().map(|decision| {
        let shares: Vec<_> = decision
            .carry
            .iter()
            .map(|share| format!("{}:{}", share.link, share.weight))
            .collect();
        shares.join(" ")
    });
    carry.collect()
}

#[test]
fn the_cheapest_link_that_is_up_carries() {
    let mut script = Script::new(settings(&[3, 1, 2]));
    script.seconds(10, but(&[]));
    script.seconds(5, but(&[1]));
    script.seconds(5, but(&[1, 2]));
    let carried = carriers(script);
    assert_eq!(carried, ["wan2:2", "wan3:3", "wan1:1"]);
}

#[test]
fn a_metered_link_carries_only_when_all_others_are_down() {
    let mut settings = settings(&[1, 1]);
    settings.link[1].metered = true;
    let slow = |link| Fate::After(if link == 0 { 200 } else { 20 });
    let play = |metered| {
        let mut settings = settings.clone();
        settings.policy.metered = metered;
        let mut script = Script::new(settings);
        script.seconds(30, but(&[]));
        script.seconds(30, slow);
        script.seconds(5, but(&[0]));
        carriers(script)
    };
    assert_eq!(play(Metered::Down), ["wan1:1", "wan2:2"]);
    let mut script = Script::new(Settings {
        policy: halloo_links::PolicySettings {
            metered: Metered::Degraded,
            ..settings.policy.clone()
        },
        ..settings.clone()
    });
    script.seconds(30, but(&[]));
    script.seconds(30, slow);
    let outcome = script.play();
    assert_eq!(outcome.decisions.last().expect("some").because, Because::Degraded);
    let mut script = Script::new(settings.clone());
    script.seconds(30, but(&[]));
    script.seconds(30, slow);
    assert_eq!(carriers(script), ["wan1:1"], "delay is no reason to pay");
}

#[test]
fn links_of_one_cost_share_by_weight_and_close_ranks() {
    let mut settings = settings(&[1, 1, 2]);
    settings.policy.mode = Mode::Share;
    let mut script = Script::new(settings);
    script.seconds(20, but(&[]));
    script.seconds(5, but(&[1]));
    script.seconds(20, but(&[]));
    script.seconds(5, but(&[0, 1]));
    let carried = carriers(script);
    assert_eq!(carried, ["wan1:1 wan2:2", "wan1:1", "wan1:1 wan2:2", "wan3:3"]);
}

/// Two megabits a second of our own traffic on the first link, and the fate of its probes.
fn upload(script: &mut Script, seconds: std::ops::Range<u64>, fate: impl Fn(usize) -> Fate) {
    for tenth in seconds.start * 10..seconds.end * 10 {
        let fact = Fact::Traffic {
            tx_bytes: tenth * 25_000,
            rx_bytes: 0,
        };
        script.tell(0, fact);
        script.step(&fate);
    }
}

#[test]
fn our_own_upload_excuses_loss_and_delay_but_not_a_dead_link() {
    let bloated = |link| Fate::After(if link == 0 { 400 } else { 20 });
    let mut script = Script::new(settings(&[1, 2]));
    script.seconds(60, but(&[]));
    script.tell(
        0,
        Fact::Traffic {
            tx_bytes: 59 * 250_000,
            rx_bytes: 0,
        },
    );
    upload(&mut script, 60..90, bloated);
    let dead = script.now();
    upload(&mut script, 90..95, but(&[0]));
    let outcome = script.play();
    let moves = outcome.moves(Family::V4);
    assert_eq!(moves.len(), 1, "{:?}", outcome.told(Family::V4));
    let took = moves[0].at.since(dead);
    assert!(
        took > Duration::from_secs(1) && took < Duration::from_secs(3),
        "{took:?}"
    );

    let mut idle = Script::new(settings(&[1, 2]));
    idle.seconds(60, but(&[]));
    idle.seconds(30, |link| Fate::After(if link == 0 { 200 } else { 20 }));
    let outcome = idle.play();
    assert_eq!(
        outcome.moves(Family::V4)[0].because,
        Because::Degraded,
        "nobody else's does"
    );
}

#[test]
fn two_silent_anchors_of_four_are_no_majority() {
    let mut settings = settings(&[1, 2]);
    settings.anchor.push(AnchorSettings::new("d"));
    let mut script = Script::new(settings);
    script.seconds(60, but(&[]));
    for step in 0..50 {
        // The anchors are asked in turn.
        script.step(|_| if step % 4 < 2 { Fate::Lost } else { Fate::After(20) });
    }
    let outcome = script.play();
    for link in ["wan1", "wan2"] {
        let states = outcome.states(link, Family::V4);
        assert!(!states.iter().any(|state| state.contains("down")), "{states:?}");
    }
}

#[test]
fn what_is_told_by_hand_to_carry_is_where_a_decision_begins() {
    let settings = settings(&[1, 2]);
    let mut watch = Watch::new(&settings);
    let share = Share {
        link: "wan2".into(),
        weight: 1,
    };
    watch.adopt(Family::V4, std::slice::from_ref(&share));
    assert_eq!(watch.decider().carrying(Family::V4), [share]);
    assert!(watch.decider().carrying(Family::V6).is_empty());
}

#[test]
fn something_heard_unasked_tells_that_the_way_up_is_dead() {
    let mut script = Script::new(settings(&[1, 2]));
    script.seconds(60, but(&[]));
    script.seconds(2, but(&[0]));
    script.hear(0);
    script.seconds(1, but(&[0]));
    let outcome = script.play();
    let reason = outcome.last("wan1", Family::V4).reason;
    assert_eq!(
        reason,
        Reason::Blackhole {
            direction: Direction::Up
        }
    );
}

#[test]
fn nothing_moves_to_a_link_that_is_no_better() {
    let mut script = Script::new(settings(&[1, 2]));
    script.seconds(30, but(&[]));
    script.seconds(30, |_| Fate::After(200));
    let outcome = script.play();
    assert!(outcome.told(Family::V4).is_empty());
    let why: Vec<_> = outcome.held.iter().map(|held| held.why.clone()).collect();
    let link = || "wan2".into();
    assert!(
        why.iter().all(|why| *why == WhyNot::NowhereBetter
            || *why == WhyNot::Content
            || *why == WhyNot::Margin { link: link() }
            || *why == WhyNot::NotYet { link: link() }
            || *why == WhyNot::Unknown),
        "{why:?}"
    );
}

#[test]
fn what_happened_is_told_in_words_and_what_would_have_happened_too() {
    let mut script = Script::new(settings(&[1, 2]));
    script.seconds(60, but(&[]));
    script.seconds(5, but(&[0]));
    script.seconds(3, but(&[]));
    let before = script.settings.clone();
    let outcome = script.play();
    let text = |at: Option<Wall>| {
        let sentences = explain(&outcome.journal, at)
            .into_iter()
            .map(|sentence| sentence.text);
        sentences.collect::<Vec<_>>().join("\n")
    };
    let end = text(None);
    for words in [
        "IPv4 moved from wan1 to wan2, because what carried was down.",
        "wan1 was down: nothing comes back",
        "in a row (10^",
        "Flows of wan1 were moved too.",
        "wan1 over IPv4 became up (it was down): anchors answer",
        "IPv4 was not moved (staying on wan2): wan1 is up, but has failed too lately.",
    ] {
        assert!(end.contains(words), "{words}\nis not in\n{end}");
    }
    let moved = outcome.moves(Family::V4)[0].at;
    let sooner = outcome
        .journal
        .iter()
        .rfind(|record| record.entry.at() < moved)
        .expect("some");
    let sooner = text(Some(sooner.at));
    assert!(
        sooner.contains("IPv4 moved to wan1, because nothing carried yet."),
        "{sooner}"
    );
    assert!(!sooner.contains("wan2, because"), "{sooner}");

    let entries = || outcome.journal.iter().map(|record| &record.entry);
    let decisions = |settings: &Settings| {
        let said = replay(entries(), settings).into_iter();
        said.filter(|said| matches!(said, Said::Decision(_))).count()
    };
    assert_eq!(decisions(&before), 2);
    let mut hasty = before;
    hasty.policy.hold_down = Span::secs(0);
    hasty.policy.better_for = Span::secs(0);
    assert_eq!(decisions(&hasty), 3, "it would have gone back at once");
}

#[test]
fn a_journal_is_read_as_it_was_written_and_a_torn_last_line_is_left_out() {
    let mut script = Script::new(settings(&[1, 2]));
    script.seconds(3, but(&[]));
    script.seconds(2, but(&[0]));
    let outcome = script.play();
    let mut text: String = outcome
        .journal
        .iter()
        .map(|record| record.line() + "\n")
        .collect();
    assert_eq!(Record::read(&text).expect("own lines"), outcome.journal);
    text.push_str(r#"{"v":1,"time_ns":17"#);
    assert_eq!(Record::read(&text).expect("a torn line"), outcome.journal);
    assert!(matches!(outcome.journal[0].entry, Entry::Begin(_)));
    for (line, said) in [
        (
            "{\"v\":2,\"type\":\"new\"}",
            "line 1: version 2 of the journal, and only 1 is known here",
        ),
        (
            "{\"v\":1,\"time_ns\":1,\"type\":\"new\"}",
            "line 1: unknown variant `new`",
        ),
        ("[]", "line 1: "),
    ] {
        let error: JournalError = Record::read(&format!("{line}\n")).expect_err(line);
        assert!(error.to_string().starts_with(said), "{error}");
    }
}

#[test]
fn a_line_of_the_journal_says_what_it_is() {
    let mut script = Script::new(settings(&[1]));
    script.step(but(&[]));
    let lines: Vec<String> = script.play().journal.iter().map(Record::line).collect();
    let wanted = [
        r#"{"v":1,"time_ns":1700000001000000000,"type":"sample","mono_ns":1000000000,"link":"wan1","family":"v4","anchor":"a","seq":0,"news":"sent","late_ns":0}"#,
        r#"{"v":1,"time_ns":1700000001020000000,"type":"sample","mono_ns":1020000000,"link":"wan1","family":"v4","anchor":"a","seq":0,"news":"answered","host_ns":20000000,"wire_ns":20000000}"#,
    ];
    for line in wanted {
        assert!(lines.iter().any(|written| written == line), "{lines:#?}");
    }
}
