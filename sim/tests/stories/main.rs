//! Stories about halloo's own machines: the echo server, the probing sessions, and what the network does to them.

mod stage;
mod tcp;
mod udp;
