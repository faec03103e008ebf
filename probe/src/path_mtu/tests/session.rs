//! A session whose datagrams this host does not send.

use super::super::{MtuProbe, MtuReport, MtuSink, PathMtuSession, PathMtuSessionOptions, SizeOutcome};
use super::{PathMtuOptions, PathMtuState};
use crate::testing::{path, way_back};
use halloo_base::{
    Clock, Cx, Datagram, Env, Heard, Input, Machine, Marks, Mono, Offload, Outbox, Output, ProbeId, Prober,
    Reason, Rng, Stamp, StampSource, Unreachable, UnreachableError, Wall,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Payload bytes that the path carries.
const ROOM: usize = 1_372;

struct At(Mono);

impl Clock for At {
    fn stamp(&self) -> Stamp {
        Stamp {
            mono: self.0,
            wall: Wall(self.0.0),
            source: StampSource::User,
        }
    }
}

/// A number, and nothing behind it.
struct Numbered(usize);

impl Prober for Numbered {
    fn request(&mut self, _: &mut Env<'_>, id: ProbeId, buf: &mut [u8]) -> Option<usize> {
        buf.get_mut(..8)?.copy_from_slice(&id.0.to_be_bytes());
        Some(self.0)
    }
    fn recognise(&mut self, rx: &Datagram<'_>) -> Result<Heard, Reason> {
        let number = rx.payload.first_chunk().ok_or(Reason::Foreign)?;
        Ok(Heard::plain(u64::from_be_bytes(*number), 64))
    }
    fn quoted(&self, _: &[u8]) -> Option<Heard> {
        None
    }
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<(Vec<SizeOutcome>, Option<MtuReport>)>>);

impl MtuSink for Told {
    fn probe(&mut self, probe: &MtuProbe) {
        self.0.lock().unwrap().0.push(probe.outcome);
    }
    fn end(&mut self, report: &MtuReport) {
        self.0.lock().unwrap().1 = Some(*report);
    }
}

/// Searches a path; this host refuses to send the first datagrams with these errors.
fn search(errors: &[i32]) -> (Vec<SizeOutcome>, MtuReport) {
    let options = PathMtuSessionOptions {
        path: path(),
        search: PathMtuOptions::v4(1_500),
        overhead: 28,
        tos: None,
        deadline: None,
    };
    let told = Told::default();
    let make = Box::new(|len| Box::new(Numbered(len)) as Box<dyn Prober>);
    let mut session = PathMtuSession::new(options, make, Box::new(told.clone()));
    let mut errors = errors.iter();
    let (mut now, mut rng, mut out) = (Mono(0), Rng::new(1), Outbox::new());
    let mut handle = |now: Mono, out: &mut Outbox, input: Input<'_>| {
        let clock = At(now);
        let env = Env {
            now,
            clock: &clock,
            rng: &mut rng,
        };
        session.handle(&mut Cx { env, out }, input);
        session.deadline()
    };
    let mut deadline = handle(now, &mut out, Input::Wake);
    while deadline.is_some() {
        let sent: Vec<_> = out
            .iter()
            .map(|output| match output {
                Output::Datagram(how, bytes) => (how.tag, bytes.to_vec()),
                other => panic!("{other:?}"),
            })
            .collect();
        out.clear();
        for (tag, bytes) in sent {
            if let Some(error) = errors.next() {
                let report = Unreachable {
                    path: path(),
                    tag,
                    reporter: None,
                    error: UnreachableError(*error),
                    mtu: None,
                };
                deadline = handle(now, &mut out, Input::Unreachable(report, &[]));
            } else if bytes.len() <= ROOM {
                now += Duration::from_millis(10);
                let rx = Datagram {
                    path: way_back(),
                    at: At(now).stamp(),
                    marks: Marks::default(),
                    payload: &bytes,
                    offload: Offload::default(),
                };
                deadline = handle(now, &mut out, Input::Datagram(rx));
            }
        }
        if let Some(next) = deadline.filter(|_| out.is_empty()) {
            now = now.max(next.at);
            deadline = handle(now, &mut out, Input::Wake);
        }
    }
    let (probes, report) = told.0.lock().unwrap().clone();
    (probes, report.expect("it has ended"))
}

#[test]
fn no_room_in_this_host_is_a_loss_and_not_the_end() {
    for errors in [&[][..], &[105], &[11, 105]] {
        let (probes, report) = search(errors);
        assert_eq!(
            (report.mtu, report.state, report.error),
            (Some(1_400), PathMtuState::Complete, None)
        );
        let lost = vec![SizeOutcome::Lost; errors.len()];
        assert!(probes.starts_with(&lost), "{probes:?}");
        assert_eq!(
            report.sent as usize + errors.len(),
            probes.len(),
            "they never left"
        );
    }
    // Where there is no way at all, there is nothing to search.
    let (_, report) = search(&[113]);
    assert_eq!((report.mtu, report.error), (None, Some(UnreachableError(113))));
}
