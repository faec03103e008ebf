//! The overlay on hosts that are network namespaces: what a person types, every kind of frame, protocols that need a
//! LAN with the programs that others wrote, and bad days. Needs root.

mod certificates;
mod common;
mod config;
mod days;
mod ethernet;
mod flows;
mod kernel;
mod members;
mod metrics;
mod objects;
mod offload;
mod protocols;
mod registrations;
mod tipc;
