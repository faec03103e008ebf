//! Learns how good this host's clock is from the program that keeps it.

use super::clock::{ClockCell, ClockState};
use super::wire::{HEADER, Packet};
use super::{NtpProber, Timestamp};
use crate::ProberOptions;
use halloo_base::{
    Cx, Datagram, Deadline, Input, Leap, Machine, Mono, Nanos, Path, ProbeId, Prober, Transmit,
};
use std::sync::Arc;
use std::time::Duration;

/// Asks an NTP server of this very host what it says of its clock, which is ours, and keeps that in a [`ClockCell`].
///
/// The kernel knows how far the clock may be off, but neither through how many servers it is kept nor by which; who keeps it
/// does. It is asked once in 16 s, which is no burden to a neighbour. What it says counts until it has been silent for 64 s, or
/// says that it is not synchronised; then the clock is not synchronised for us either. One whose time is more than a second from
/// ours tells of another clock, and is not believed.
pub struct NtpFollower {
    path: Path,
    prober: NtpProber,
    cell: Arc<ClockCell>,
    asked: u64,
    ask_at: Option<Mono>,
    /// Until when the cell holds what was said.
    good_until: Option<Mono>,
    stopped: bool,
}

/// From one question to the next.
const INTERVAL: Duration = Duration::from_secs(16);
/// How long an answer holds: four questions.
const GOOD_FOR: Duration = Duration::from_secs(64);
/// What is further from our time is another clock's.
const SAME_CLOCK: Nanos = Nanos(1_000_000_000);

impl NtpFollower {
    /// One that asks by this path, from a socket of ours to a server of this host. `token` is drawn at random.
    pub fn new(path: Path, token: u64, cell: Arc<ClockCell>) -> NtpFollower {
        let options = ProberOptions {
            token,
            size: HEADER,
            ..ProberOptions::default()
        };
        NtpFollower {
            path,
            prober: NtpProber::new(&options),
            cell,
            asked: 0,
            ask_at: None,
            good_until: None,
            stopped: false,
        }
    }

    fn ask(&mut self, cx: &mut Cx<'_>) {
        let id = ProbeId(self.asked);
        let request = cx.out.reserve(HEADER, &[]);
        if let Some(len) = self.prober.request(&mut cx.env, id, request) {
            cx.out.commit(Transmit::to(self.path), len);
            self.asked += 1;
        }
        self.ask_at = Some(cx.now() + INTERVAL);
    }

    /// What an answer to our last question says.
    fn hear(&mut self, rx: &Datagram<'_>) -> Option<ClockState> {
        let heard = self.prober.recognise(rx).ok()?;
        let is_last =
            Some(heard.low_bits) == self.asked.checked_sub(1).map(|last| last & u64::from(u32::MAX));
        if rx.path.remote != self.path.remote || !is_last || heard.refusal.is_some() {
            return None;
        }
        Some(state(&Packet::parse(rx.payload)?, rx))
    }

    fn wake(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now();
        if self.good_until.is_some_and(|until| until <= now) {
            self.good_until = None;
            self.cell.set(ClockState::default());
        }
        if self.ask_at.is_none_or(|at| at <= now) {
            self.ask(cx);
        }
    }
}

/// What a server that has our clock says of it.
fn state(told: &Packet, rx: &Datagram<'_>) -> ClockState {
    let leap = match told.leap {
        0 => Leap::None,
        1 => Leap::Insert,
        2 => Leap::Delete,
        _ => return ClockState::default(),
    };
    let apart = told.receive.since(Timestamp::new(rx.at.wall)).abs();
    if !told.is_synchronised() || apart > SAME_CLOCK {
        return ClockState::default();
    }
    ClockState {
        leap: Some(leap),
        stratum: told.stratum,
        precision: told.precision,
        root_delay: told.root_delay.nanos(),
        root_dispersion: told.root_dispersion.nanos(),
        reference_id: told.reference_id,
        reference_at: told.reference.wall_near(rx.at.wall),
        as_of: rx.at.mono,
    }
}

impl Machine for NtpFollower {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Datagram(rx) => {
                if let Some(state) = self.hear(&rx) {
                    self.cell.set(state);
                    self.good_until = Some(cx.now() + GOOD_FOR);
                }
            }
            Input::Wake if !self.stopped => self.wake(cx),
            Input::Stop | Input::Drain => self.stopped = true,
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        let ask_at = self.ask_at.unwrap_or(Mono(0));
        let at = self.good_until.map_or(ask_at, |until| until.min(ask_at));
        (!self.stopped).then(|| Deadline::new(at, "ask who keeps the clock"))
    }

    fn finished(&self) -> bool {
        self.stopped
    }
}
