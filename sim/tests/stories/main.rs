//! Stories about halloo's own machines: the echo server, the probing sessions, and what the network does to them.

mod frames;
mod http;
mod http_trouble;
mod nat;
mod paths;
mod pingback;
mod stage;
mod stun;
mod tcp;
mod udp;
