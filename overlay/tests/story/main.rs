//! Edges and supernodes in a simulated world. `HALLOO_SEEDS=1000` tells those stories that are told with several seeds
//! with so many, `HALLOO_SEED=8` with that one; `HALLOO_WORLD=7` tells all of them in
//! another world.

mod agreement;
mod attacks;
mod crowds;
mod flows;
mod forged;
mod hall;
mod hidden;
mod liar;
mod meeting;
mod pool;
mod records;
mod roaming;
mod sizes;
mod station;
mod supernodes;
mod town;
mod tunnels;
mod watched;
mod weather;
