mod compress;
mod content;
mod cutting;
mod ethernet;
mod fragments;
mod joining;
mod packets;
mod round_trip;
