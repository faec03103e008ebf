//! `halloo ping --pingback`: asks echo hosts to send datagrams later, and tells which of them came.

mod report;
#[cfg(test)]
mod tests;

use crate::cli::{Link, PingArgs};
use crate::key;
use crate::ping::{Family, resolve};
use crate::screen::Screen;
use crate::signals::{Request, Signals};
use crate::socket::Sockets;
use crate::target::Target;
use crate::{FAILED, random_u64};
use anyhow::{Context, Result, ensure};
use halloo_base::Path;
use halloo_io::{UdpSocket, Worker, WorkerOptions};
use halloo_protocols::echo::UDP;
use halloo_protocols::echo::asker::{Ask, Asker, AskerOptions, Moment, PingbackSession};
use report::Report;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How often a question is sent within the time that an answer may take.
const TRIES: u32 = 5;
/// How long the printer sleeps at most; it is woken for what there is to print.
const IDLE: Duration = Duration::from_millis(250);

/// One target asked over one link.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// Its number in every output, from 1.
    pub(super) id: u32,
    pub(super) target: Target,
    pub(super) link: Option<Link>,
    pub(super) path: Path,
    pub(super) ask: Ask,
    /// Whether there are others that it has to be told from.
    pub(super) alone: bool,
}

/// Something that a session tells.
struct Told {
    session: usize,
    moment: Moment,
    asker: Asker,
}

/// Asks for what `ask` says.
pub(crate) fn run(args: &PingArgs, ask: Ask) -> Result<ExitCode> {
    for target in &args.targets {
        ensure!(
            target.protocol.scheme == UDP.scheme,
            "--pingback goes with udp:// targets alone ({target})"
        );
    }
    let key = args.key_file.as_deref().map(key::read).transpose()?;
    let signals = Signals::watch(thread::current()).context("cannot watch for signals")?;
    let mut report = Report::new(Screen::stdout(), args.json, args.quiet);
    let (sessions, unusable) = sessions(args, ask, &mut report)?;
    let mut worker = Worker::new(WorkerOptions {
        seed: random_u64()?,
        ..WorkerOptions::default()
    })
    .context("cannot set up the driver")?;
    let (sender, told) = mpsc::channel();
    let mut abouts = vec![];
    for (session, (about, socket)) in sessions.into_iter().enumerate() {
        report.start(&about)?;
        let asker = Asker::new(AskerOptions {
            token: random_u64()?,
            key: key.clone(),
            path: about.path,
            ask,
            patience: args.timeout / TRIES,
            lost_after: args.timeout,
            tries: TRIES,
        });
        let (sender, main) = (sender.clone(), thread::current());
        let tell = move |asker: &Asker, moment| {
            // Nobody listens any more when the output is broken; the session ends all the same.
            let _ = sender.send(Told {
                session,
                moment,
                asker: asker.clone(),
            });
            main.unpark();
        };
        let machine = worker.add(Box::new(PingbackSession::new(asker, Box::new(tell))));
        worker.udp(socket, machine).context("cannot watch the socket")?;
        abouts.push(about);
    }
    let remote = worker.remote();
    let driver = thread::Builder::new()
        .name("pingback".into())
        .spawn(move || worker.run())
        .context("cannot start a thread")?;
    let is_over = || {
        while let Some(request) = signals.next() {
            match request {
                Request::Drain | Request::Stop => remote.stop(),
                Request::Report => {}
            }
        }
        driver.is_finished()
    };
    let printed = follow(&told, abouts.len(), is_over, |told| {
        report.moment(&abouts[told.session], &told.moment, &told.asker)
    });
    let failed = printed.inspect_err(|_| remote.stop())? || unusable > 0;
    match driver.join() {
        Ok(result) => result.context("the driver broke off")?,
        Err(_) => anyhow::bail!("the driver's thread panicked"),
    }
    Ok(ExitCode::from(if failed { FAILED } else { 0 }))
}

/// Prints what so many sessions tell until each has ended, or the driver has, which is asked each time. Returns whether one of
/// them has failed: nothing came, or it never came to its end.
fn follow(
    told: &mpsc::Receiver<Told>,
    mut open: usize,
    mut is_over: impl FnMut() -> bool,
    mut print: impl FnMut(&Told) -> std::io::Result<()>,
) -> Result<bool> {
    let mut failed = false;
    while open > 0 {
        // Asked before the channel is emptied: what is in it then is all there will be.
        let is_last = is_over();
        while let Ok(told) = told.try_recv() {
            if told.moment == Moment::Ended {
                open -= 1;
                failed |= told.asker.came() == 0;
            }
            print(&told)?;
        }
        if is_last {
            break;
        }
        if open > 0 {
            thread::park_timeout(IDLE);
        }
    }
    Ok(failed || open > 0)
}

/// A session for each target and link, and how many targets cannot be asked.
fn sessions(args: &PingArgs, ask: Ask, report: &mut Report) -> Result<(Vec<(About, UdpSocket)>, usize)> {
    let family = Family::of(args.ipv4, args.ipv6);
    let links: Vec<Option<Link>> = match args.links.is_empty() {
        true => vec![None],
        false => args.links.iter().cloned().map(Some).collect(),
    };
    let alone = args.targets.len() * links.len() == 1;
    let (mut sessions, mut unusable) = (vec![], 0);
    for target in &args.targets {
        let found = resolve(target);
        for link in &links {
            let remote = found
                .as_ref()
                .map_err(|error| anyhow::anyhow!("{error:#}"))
                .and_then(|found| found.choose(target, family, link.as_ref()));
            let remote = match remote {
                Ok(remote) => remote,
                Err(error) => {
                    unusable += 1;
                    report.unusable(target, &error)?;
                    continue;
                }
            };
            let sockets = Sockets {
                link: link.as_ref(),
                tos: args.dscp.map(crate::cli::Dscp::tos),
                ttl: args.ttl,
            };
            let (socket, path) = sockets.open(remote)?;
            let about = About {
                id: sessions.len() as u32 + 1,
                target: target.clone(),
                link: link.clone(),
                path,
                ask,
                alone,
            };
            sessions.push((about, socket));
        }
    }
    Ok((sessions, unusable))
}
