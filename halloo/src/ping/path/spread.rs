//! `halloo ping --spread N`: asks from many source ports.

use super::{Asker, News, Teller};
use crate::hint::explain;
use crate::ping::plan::Plan;
use crate::ping::session::{About, cannot_use, near_end, udp_options};
use crate::random_u64;
use crate::target::Target;
use anyhow::{Context, Result, bail, ensure};
use halloo_base::{AnyProber, Path};
use halloo_io::{UdpSocket, Worker, WorkerOptions};
use halloo_probe::{SpreadOptions, SpreadReport, SpreadSession, SpreadSink};
use halloo_protocols::ntp::NTP;
use halloo_protocols::stamp::{STAMP, TWAMP};
use halloo_protocols::stun::STUN;
use halloo_protocols::{ProberOptions, echo};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors beside those of the flows.
const OTHER_FILES: u64 = 64;

/// Ports of which departures are stamped; the driver keeps 100 KB for each.
const STAMPED: u16 = 256;

impl SpreadSink for Teller {
    fn report(&mut self, report: SpreadReport) {
        self.tell(News::Spread(Box::new(report)));
    }
}

/// Whether this protocol may be asked from many ports, and at a pace.
pub(super) fn check(plan: &Plan, target: &Target) -> Result<()> {
    let known = [&echo::UDP, &STAMP, &TWAMP, &STUN, &NTP];
    ensure!(
        known
            .iter()
            .any(|protocol| protocol.scheme == target.protocol.scheme),
        "--spread goes with udp://, stamp://, twamp://, stun:// and ntp:// targets, which are asked by datagrams from any port \
         ({target})"
    );
    ensure!(
        !plan.is_flood(),
        "--spread needs an interval: it compares ports, and a flood would fill queues"
    );
    Ok(())
}

/// A sweep that is ready to begin.
pub(super) fn prepare(about: &About, plan: &Plan, ports: u16, teller: Teller) -> Result<Asker> {
    let new_prober = about
        .target
        .protocol
        .prober
        .context("this protocol cannot be asked")?;
    let (local, link) = near_end(about)?;
    allow_files(u64::from(ports) + OTHER_FILES);
    let mut worker = Worker::new(WorkerOptions {
        seed: random_u64()?,
        ..WorkerOptions::default()
    })
    .context("cannot set up the driver")?;
    let (mut sockets, mut flows) = (vec![], vec![]);
    for _ in 0..ports {
        let socket = UdpSocket::bind(&udp_options(about, plan, local))
            .map_err(explain)
            .with_context(|| cannot_use(about))
            .with_context(|| format!("--spread {ports}"))?;
        let prober = new_prober(&ProberOptions {
            key: plan.key.clone(),
            token: random_u64()?,
            size: about.size as usize,
            tos: plan.tos.unwrap_or(0),
            authority: about.target.authority(),
            ..ProberOptions::default()
        });
        let AnyProber::Datagram(prober) = prober else {
            bail!("{} is asked over streams", about.target);
        };
        flows.push((socket.local_addr().port(), prober));
        sockets.push(socket);
    }
    let options = SpreadOptions {
        path: Path {
            link,
            local,
            remote: about.remote,
        },
        size: about.size as usize,
        interval: plan.spacing(),
        count: plan.count,
        deadline: plan.deadline,
        lost_after: plan.lost_after,
        tos: plan.tos,
        departure_stamps: ports <= STAMPED,
    };
    let machine = worker.add(Box::new(SpreadSession::new(options, flows, Box::new(teller))));
    for socket in sockets {
        worker.udp(socket, machine).context("cannot watch a socket")?;
    }
    Ok(Asker { worker, most: None })
}

/// Raises the number of files that this process may have open, as far as it may. Where that is not enough, opening fails
/// and says so.
fn allow_files(files: u64) {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < files
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, files.min(hard), hard);
    }
}
