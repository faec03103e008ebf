//! Seeds, and figures over them.

use std::time::Duration;

/// With which seeds a story is told. A long one is told with fewer: `share` of them, at least one.
pub(crate) fn seeds(share: f64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(only) = number("HALLOO_SEED") {
        return only..only + 1;
    }
    let all = number("HALLOO_SEEDS").unwrap_or(50) as f64;
    0..((all * share).ceil() as u64).max(1)
}

/// Spans by seed.
#[derive(Default)]
pub(crate) struct Spans(Vec<Duration>);

impl Spans {
    pub(crate) fn add(&mut self, span: Duration) {
        self.0.push(span);
    }

    /// The nearest rank.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let mut spans = self.0.clone();
        spans.sort_unstable();
        let rank = ((spans.len() as f64 * share).ceil() as usize).max(1);
        spans[rank - 1]
    }

    pub(crate) fn print(&self, story: &str, wanted: &str) {
        eprintln!(
            "FIGURE {story}: {} seeds, time to decide p50 {:?}, p99 {:?}, max {:?} ({wanted})",
            self.0.len(),
            self.quantile(0.5),
            self.quantile(0.99),
            self.quantile(1.0)
        );
    }
}

/// Prints a count.
pub(crate) fn print_moves(story: &str, seeds: u64, most: usize, wanted: &str) {
    eprintln!("FIGURE {story}: {seeds} seeds, at most {most} switches each ({wanted})");
}
