//! Links that fail in every way that people complain about, in a simulated world with real sessions and echo hosts.
//! `HALLOO_SEEDS=1000` tells each story with so many seeds (50 otherwise), `HALLOO_SEED=8` with that one. The figures are
//! printed: `cargo nextest run -p halloo-links --success-output=immediate`, or `cargo test -p halloo-links -- --nocapture`.

mod anchors;
mod dead;
mod figures;
mod here;
mod office;
mod play;
mod properties;
mod rules;
mod script;
mod worse;
