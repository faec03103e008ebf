//! Edges and supernodes in a simulated world. `HALLOO_SEEDS=1000` tells those stories that are told with several seeds
//! with so many.

mod meeting;
mod roaming;
mod station;
mod supernodes;
mod town;
mod watched;
mod weather;
