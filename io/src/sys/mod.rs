//! The system calls that no safe library offers: batched datagrams with control messages, the error queue,
//! and a handful of socket options. All of halloo's unsafe code is below this module; every function here
//! takes and returns safe types.
#![allow(
    unsafe_code,
    reason = "this is the one place for it (ARCHITECTURE.md, rule 7)"
)]

mod address;
mod batch;
mod bpf;
mod control;
mod frames;
mod options;
mod timex;
mod tun;
mod wait;

pub(crate) use batch::{
    Arrival, Departure, ErrorKind, Patience, ReceiveBatch, SendBatch, SendItem, receive_errors,
};
pub(crate) use batch::{receive_stamped, send_stamped};
pub(crate) use bpf::{BpfMap, Shape, link_xdp, load_xdp, test_run};
pub(crate) use frames::{
    FrameReceiveBatch, FrameSendBatch, Instruction, attach_filter, bind_packet, join_group,
};
pub(crate) use options::{set_int, set_ip_options, set_timestamping, timestamping};
pub(crate) use timex::read_timex;
pub(crate) use tun::{Layer, accept_offloads, open_tun};
pub(crate) use wait::Events;
