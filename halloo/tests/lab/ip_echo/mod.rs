//! The IP echo host with parts that others wrote: scapy knows the rules, tools ask, the kernel's TCP talks to itself.

mod abuse;
mod ends;
mod frames;
mod loops;
mod oneself;
mod rules;
mod stage;
mod tools;
