//! The binary on hosts that are network namespaces: with programs that others wrote, through everything that
//! goes wrong on a real network, and for as long as one cares to wait. Needs root.

mod asking;
mod echo_host;
mod icmp;
mod ip_echo;
mod links;
mod nat;
mod ndn;
mod paths;
mod peers;
mod soak;
mod stun;
mod trouble;
