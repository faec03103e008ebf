//! Links: three deciders on the same recorded traces, how long each takes to leave a bad link, and how often it leaves
//! one for nothing.
//!
//! The two others are stand-ins, written from the published rules of the programs that they stand for, with their
//! defaults. They get what those programs would get: an anchor's answer at the instant when they would have asked.

mod ours;
mod rivals;
mod trace;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use trace::{STORIES, Story, Trace};

/// How many traces.
#[derive(Args)]
pub(crate) struct LinksArguments {
    /// Three traces of each story: a look, not a result.
    #[arg(long)]
    quick: bool,
    /// Traces of each story, each from another seed [default: 20, or 3 with --quick].
    #[arg(long)]
    rounds: Option<u64>,
    /// Writes the figures of every story to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// When a decider moved the traffic, and to which link.
type Moves = Vec<(Duration, usize)>;

type Decide = fn(&Trace) -> Moves;

const DECIDERS: [(&str, Decide); 3] = [
    ("halloo", ours::decide),
    ("mwan3-like", rivals::mwan3),
    ("dpinger-like", rivals::dpinger),
];

/// What came of one story under one decider.
#[derive(Serialize)]
struct Row {
    story: &'static str,
    decider: &'static str,
    traces: u64,
    /// From the beginning of the trouble until traffic moved, in milliseconds, where it is right to move; sorted.
    detected_ms: Vec<u64>,
    /// Traces in which nobody moved although it would have been right.
    missed: u64,
    /// Moves in a trace, all of them, at most.
    moves_most: usize,
    /// Moves that were not called for, over all traces.
    false_moves: usize,
}

/// Runs it and prints what came of it.
pub(crate) fn run(arguments: &LinksArguments) -> Result<()> {
    let rounds = arguments.rounds.unwrap_or(if arguments.quick { 3 } else { 20 });
    let mut rows = vec![];
    println!("{rounds} traces of each story; two links, three anchors, an outcome for each 100 ms\n");
    println!(
        "{:<44}{:<14}{:>11}{:>11}{:>8}{:>8}{:>8}",
        "story", "decider", "p50", "worst", "missed", "moves", "false"
    );
    for story in STORIES {
        for (decider, decide) in DECIDERS {
            let row = measure(story, decider, decide, rounds);
            println!("{}", show(&row));
            rows.push(row);
        }
    }
    println!(
        "\np50, worst: from the trouble's beginning to the first move; moves: most in one trace; false: in all traces"
    );
    verdicts(&rows);
    if let Some(file) = &arguments.json {
        let text = serde_json::to_string_pretty(&rows)?;
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn measure(story: &Story, decider: &'static str, decide: Decide, rounds: u64) -> Row {
    let mut row = Row {
        story: story.name,
        decider,
        traces: rounds,
        detected_ms: vec![],
        missed: 0,
        moves_most: 0,
        false_moves: 0,
    };
    for seed in 0..rounds {
        let trace = story.record(seed);
        let moves = decide(&trace);
        row.moves_most = row.moves_most.max(moves.len());
        let first = moves.iter().find(|(at, to)| *at >= trace.begin && *to == 1);
        let before = moves.iter().filter(|(at, _)| *at < trace.begin).count();
        if !story.should_move {
            row.false_moves += moves.len();
            continue;
        }
        row.false_moves += before;
        match first {
            Some((at, _)) => row.detected_ms.push((*at - trace.begin).as_millis() as u64),
            None => row.missed += 1,
        }
    }
    row.detected_ms.sort_unstable();
    row
}

fn show(row: &Row) -> String {
    let at = |place: usize| {
        row.detected_ms
            .get(place)
            .map_or("-".to_owned(), |ms| format!("{:.2} s", *ms as f64 / 1e3))
    };
    let many = row.detected_ms.len();
    format!(
        "{:<44}{:<14}{:>11}{:>11}{:>8}{:>8}{:>8}",
        row.story,
        row.decider,
        at(many.saturating_sub(1) / 2),
        at(many.saturating_sub(1)),
        row.missed,
        row.moves_most,
        row.false_moves
    )
}

fn verdicts(rows: &[Row]) {
    let ours = || rows.iter().filter(|row| row.decider == "halloo");
    let black = ours().find(|row| row.story == trace::BLACKHOLE);
    let worst = black.and_then(|row| row.detected_ms.last().copied().filter(|_| row.missed == 0));
    let false_moves: usize = ours().map(|row| row.false_moves).sum();
    let word = |reached: bool| if reached { "reached" } else { "NOT REACHED" };
    println!("\ntargets");
    println!(
        "  halloo leaves a blackhole within                  500 ms   {:<10} {}",
        worst.map_or("never".to_owned(), |ms| format!("{ms} ms")),
        word(worst.is_some_and(|ms| ms <= 500))
    );
    println!(
        "  halloo moves for nothing                          0        {false_moves:<10} {}",
        word(false_moves == 0)
    );
}
