//! The whole of a session in numbers.

use crate::{OneWay, Statistic};
use halloo_base::{Marks, Nanos, Path, Seen, Stamp, UnreachableError};
use std::time::Duration;

/// A session so far, or as it ended. Spans are nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Which session.
    pub session: u32,
    /// Why it ended; `None` while it runs.
    pub ended: Option<Ended>,
    /// The path as it was asked for.
    pub path: Path,
    /// When the session began.
    pub started: Stamp,
    /// How long it has run.
    pub elapsed: Duration,
    /// Probes that were asked for; 0 is endless.
    pub count: u64,
    /// What became of the probes.
    pub counts: Counts,
    /// Arrivals that were no use.
    pub unused: Unused,
    /// Wire round trips of settled exchanges. Where there are exact ones, those with a guessed residence are left out
    /// ([`Counts::wire_guessed`] tells how many): they are upper bounds. Where all are guessed, they are here.
    pub wire: Option<Statistic>,
    /// Host round trips of all answers that are no refusals; so are all distributions below.
    pub host: Option<Statistic>,
    /// Intended round trips of all answers. `None` in a flood, which has no plan.
    pub intended: Option<Statistic>,
    /// Magnitude of the difference between the round trips of consecutive probes (the round-trip form of RFC 3393):
    /// wire where both have one, exact or guessed alike, host otherwise.
    pub ipdv: Option<Statistic>,
    /// Delay per direction, where the responder tells T2 and T3: by exact residences alone, or where those are fewer
    /// than 16 by guessed ones alone. `None` below 16 exchanges of one kind.
    pub one_way: Option<OneWay>,
    /// Time from the request to connect until a connection was up, without the handshake of TLS.
    pub connect: Option<Statistic>,
    /// Time that this handshake took, where it can be told apart.
    pub secure: Option<Statistic>,
    /// From T1 until the first of the answer arrived, over streams.
    pub first_byte: Option<Statistic>,
    /// Host round trips, with the opening of the connection where a probe had to wait for that, over streams.
    pub total: Option<Statistic>,
    /// Where the measurement's own error comes from.
    pub budget: Budget,
    /// Who took the stamps.
    pub sources: Sources,
    /// What was observed of the path.
    pub observed: Observed,
    /// Reports that probes do not get through, by error, in the order of their first occurrence.
    pub unreachable: Vec<(UnreachableError, u64)>,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// All probes that were asked for are sent, and each is answered or lost.
    Complete,
    /// Its deadline came.
    Deadline,
    /// It was told to stop.
    Stopped,
    /// The protocol cannot make a request of the size that was asked for.
    Unsendable,
}

/// What became of the probes. At any time `sent == answered + lost() + in_flight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Probes that got a number, those of [`Counts::unsent`] among them.
    pub sent: u64,
    /// Probes that were answered, in time or late.
    pub answered: u64,
    /// Answered ones whose answer came after `lost_after`.
    pub late: u64,
    /// Answered ones whose answer says no (see [`Refusal`](halloo_base::Refusal)).
    pub refused: u64,
    /// Probes without answer, younger than `lost_after`.
    pub in_flight: u64,
    /// Lost ones that the responder never received.
    pub lost_forward: u64,
    /// Lost ones that the responder received and answered.
    pub lost_backward: u64,
    /// Lost ones of which nobody told the direction.
    pub lost_unknown: u64,
    /// Probes that never left: no connection, or this host refused to send. They count as lost.
    pub unsent: u64,
    /// Of the lost: those that were under way on a connection that broke.
    pub lost_connection: u64,
    /// Of the lost: those given up before their time, because there was no room to remember them.
    pub overrun: u64,
    /// Answers beyond the first of their probe.
    pub duplicates: u64,
    /// Of these: the request had been duplicated on its way.
    pub duplicates_forward: u64,
    /// Of these: the answer had been duplicated on its way.
    pub duplicates_backward: u64,
    /// First answers that came after the answer to a later probe (RFC 4737, by round trip).
    pub reordered: u64,
    /// Requests that arrived at the responder after a later one.
    pub reordered_forward: u64,
    /// Answers that arrived after one that left the responder later.
    pub reordered_backward: u64,
    /// Whole slots that passed without a probe, because this host did not wake in time.
    pub slots_missed: u64,
    /// Whole slots that passed without a probe, because the answer to an earlier one had not come, or a new connection
    /// was not up, where the protocol has to wait for that.
    pub slots_busy: u64,
    /// Connections that broke after they had been up.
    pub broken: u64,
    /// Connections that came up after the first one.
    pub reconnects: u64,
    /// Attempts to connect that failed. One that the end of the session cut off is none of them; without
    /// [`Summary::connect`], no connection came up at all.
    pub connect_failures: u64,
    /// Steps of this host's wall clock.
    pub clock_steps: u64,
    /// Sum of these steps, signed.
    pub clock_stepped_by: Nanos,
    /// Wire round trips that came out below zero and were taken as zero.
    pub wire_negative: u64,
    /// Wire round trips that are upper bounds, because no later answer told the exact residence: always the last
    /// one's, and those before a loss. Left out of [`Summary::wire`], unless there are no others.
    pub wire_guessed: u64,
    /// Wire round trips left out because a step of the clock spoilt their stamps.
    pub wire_spoilt: u64,
}

/// Arrivals that were no use, by reason. They are names of [`Reason`](halloo_base::Reason), but for `stale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Unused {
    /// Answers to nothing that this session asked.
    pub foreign: u64,
    /// Answers by another path than the request went.
    pub wrong_path: u64,
    /// Bytes that the protocol does not allow.
    pub malformed: u64,
    /// Answers without the proof that the key demands.
    pub bad_auth: u64,
    /// Answers that arrived cut.
    pub truncated: u64,
    /// Answers to probes so old that they are no longer remembered: more than twice `lost_after`; where late answers
    /// are discarded, all that are older than `lost_after`.
    pub stale: u64,
    /// Refused for any other reason.
    pub other: u64,
}

/// Where the measurement's own error comes from.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Budget {
    /// How late probes left: T1 minus slot. `None` in a flood.
    pub slot_error: Option<Statistic>,
    /// The send call and this host's queue: T1 by the kernel minus T1 by this process.
    pub send_delay: Option<Statistic>,
    /// This host's wake-up and receive call: T4 by this process minus T4 by the kernel.
    pub receive_delay: Option<Statistic>,
    /// The responder's own time: T3 minus T2.
    pub residence: Option<Statistic>,
    /// Answers whose residence was exact (kernel to kernel).
    pub residence_exact: u64,
}

/// Who took the stamps of the settled exchanges. Those without a kernel's or interface's stamp were taken by this
/// process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sources {
    /// T1 by the kernel.
    pub t1_kernel: u64,
    /// T1 by the interface.
    pub t1_hardware: u64,
    /// T1 by this process only.
    pub t1_user: u64,
    /// T2 by the responder's kernel.
    pub t2_kernel: u64,
    /// T2 by the responder's process.
    pub t2_user: u64,
    /// T4 by the kernel.
    pub t4_kernel: u64,
    /// T4 by the interface.
    pub t4_hardware: u64,
    /// T4 by this process only.
    pub t4_user: u64,
}

/// What was observed of the path and of the responder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Observed {
    /// Answers with stamps and counts of the responder.
    pub structured: u64,
    /// Answers that tell nothing beside.
    pub plain: u64,
    /// How the responder saw us last.
    pub seen: Option<Seen>,
    /// How often the address or port that it saw changed: a translation on the way was renewed.
    pub address_changes: u64,
    /// How often the TTL or TOS that it saw changed: the forward path or its treatment did.
    pub forward_mark_changes: u64,
    /// TOS and TTL of the last answer.
    pub marks: Option<Marks>,
    /// How often these changed: the backward path or its treatment did.
    pub backward_mark_changes: u64,
    /// The lowest TTL of an answer.
    pub ttl_min: Option<u8>,
    /// The highest TTL of an answer.
    pub ttl_max: Option<u8>,
    /// Answers that came with another TOS than the probes left with. An echo host may answer with its own; where it
    /// sends back what it got, the path did it.
    pub tos_rewritten: u64,
    /// What the way there made of the marks, where the responder tells what arrived.
    pub forward_marks: MarkCounts,
    /// The TOS that the last answer left with, where that is known.
    pub answer_tos: Option<u8>,
    /// What the way back made of the marks, where it is known how answers leave.
    pub backward_marks: MarkCounts,
}

/// What one way made of DSCP and ECN (RFC 2474, RFC 3168).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct MarkCounts {
    /// Packets of which it is known how they left and how they arrived.
    pub known: u64,
    /// Of these: those that arrived with another DSCP.
    pub dscp_changed: u64,
    /// Those that left capable of ECN, and arrived without (Not-ECT): some hop clears it.
    pub ect_cleared: u64,
    /// Those that left without CE and arrived with it: a queue on the way was congested, and would have a sender slow down.
    pub ce: u64,
}

impl MarkCounts {
    /// Counts a packet that left and arrived with these TOS octets.
    pub(crate) fn count(&mut self, left: u8, arrived: u8) {
        const CE: u8 = 3;
        let (ecn_left, ecn_arrived) = (left & CE, arrived & CE);
        self.known += 1;
        self.dscp_changed += u64::from(left >> 2 != arrived >> 2);
        self.ect_cleared += u64::from(ecn_left != 0 && ecn_arrived == 0);
        self.ce += u64::from(ecn_left != CE && ecn_arrived == CE);
    }
}

impl Counts {
    /// Probes without answer that have none to expect: in either direction, unknown, or never sent.
    pub fn lost(&self) -> u64 {
        self.lost_forward + self.lost_backward + self.lost_unknown + self.unsent
    }
}

impl Summary {
    /// Whether this is a report on the way and not the last one.
    pub fn is_running(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether the session got what it asked for: at least one answer, nothing refused, lost or unreachable, and not
    /// cut short of its count by its deadline. Late answers are answers.
    pub fn all_answered(&self) -> bool {
        let cut_short = self.ended == Some(Ended::Deadline) && self.counts.answered < self.count;
        let well = self.counts.lost() == 0 && self.counts.refused == 0 && self.unreachable.is_empty();
        self.counts.answered > 0 && well && !cut_short
    }
}
