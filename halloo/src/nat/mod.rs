//! `halloo nat`: what is between this host and the Internet.

mod report;
#[cfg(test)]
mod tests;

use crate::cli::{Link, NatArgs};
use crate::ping::{Family, resolve};
use crate::screen::Screen;
use crate::signals::{Request, Signals};
use crate::socket::Sockets;
use crate::{FAILED, complain, random_u64};
use anyhow::{Context, Result, bail, ensure};
use halloo_io::{Worker, WorkerOptions};
use halloo_protocols::nat::{Findings, Investigation, InvestigationOptions, SOCKETS, Stage};
use halloo_protocols::stun::STUN;
use report::{Report, row_texts};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// For how long an answer is waited for until it is asked for again: more than any honest round trip.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIES: u32 = 4;
const LOST_AFTER: Duration = Duration::from_secs(2);
/// A person who waits longer wants to see why.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);
const REDRAW: Duration = Duration::from_millis(250);

/// Whom it asks.
pub(super) struct About {
    /// As the user named them.
    pub(super) names: Vec<String>,
    pub(super) remotes: Vec<SocketAddr>,
    pub(super) link: Option<Link>,
    pub(super) longest: Duration,
}

/// Finds out, and tells.
pub(crate) fn run(args: &NatArgs) -> Result<ExitCode> {
    let signals = Signals::watch(thread::current()).context("cannot watch for signals")?;
    let about = match look_up(args) {
        Ok(about) => about,
        Err(error) => {
            complain(format_args!("halloo: {error:#}"));
            return Ok(ExitCode::from(FAILED));
        }
    };
    for (nth, remote) in about.remotes.iter().enumerate() {
        ensure!(
            !about.remotes[..nth].contains(remote),
            "HOST: {remote} is given twice"
        );
    }
    let mut report = Report::new(Screen::stdout(), args.json);
    report.start(&about)?;
    let found = investigate(&about, &signals, &mut report)?;
    report.end(&about, &found)?;
    Ok(ExitCode::from(if found.reflexive.is_some() { 0 } else { FAILED }))
}

/// The hosts' addresses, all of the family of the first.
fn look_up(args: &NatArgs) -> Result<About> {
    let mut family = Family::of(args.ipv4, args.ipv6);
    let mut about = About {
        names: vec![],
        remotes: vec![],
        link: args.link.clone(),
        longest: args.max_lifetime,
    };
    for host in &args.hosts {
        let remote = resolve(host)?.choose(host, family, args.link.as_ref())?;
        family = Family::of(remote.is_ipv4(), remote.is_ipv6());
        about.names.push(host.to_string());
        about.remotes.push(remote);
    }
    Ok(about)
}

fn investigate(about: &About, signals: &Signals, report: &mut Report) -> Result<Findings> {
    let Some(&first) = about.remotes.first() else {
        bail!("there is no host to ask");
    };
    let sockets = Sockets {
        link: about.link.as_ref(),
        tos: None,
        ttl: None,
    };
    let opened = (0..SOCKETS).map(|_| sockets.open(first));
    let opened = opened.collect::<Result<Vec<_>>>()?;
    let mut worker = Worker::new(WorkerOptions {
        seed: random_u64()?,
        ..WorkerOptions::default()
    })
    .context("cannot set up the driver")?;
    let (sender, told) = mpsc::channel();
    let main = thread::current();
    let tell = move |findings: &Findings| {
        // Nobody listens any more when the output is broken; the machine is stopped then.
        let _ = sender.send(findings.clone());
        main.unpark();
    };
    let options = InvestigationOptions {
        hosts: about.remotes.clone(),
        stun_port: STUN.default_port.unwrap_or_default(),
        link: opened.first().map(|(_, path)| path.link).unwrap_or_default(),
        locals: opened.iter().map(|(_, path)| path.local).collect(),
        longest: about.longest,
        token: random_u64()?,
        patience: PATIENCE,
        tries: TRIES,
        lost_after: LOST_AFTER,
    };
    let machine = worker.add(Box::new(Investigation::new(options, Box::new(tell))));
    for (socket, _) in opened {
        worker.udp(socket, machine).context("cannot watch a socket")?;
    }
    let remote = worker.remote();
    let driver = thread::Builder::new()
        .name("nat".into())
        .spawn(move || worker.run())
        .context("cannot start a thread")?;
    let begun = Instant::now();
    let mut found: Option<Findings> = None;
    loop {
        // Asked before the channel is emptied: what is in it then is all there will be.
        let is_over = driver.is_finished();
        while let Some(request) = signals.next() {
            match (request, &found) {
                (Request::Drain | Request::Stop, _) => remote.stop(),
                (Request::Report, Some(found)) => {
                    row_texts(found)
                        .iter()
                        .for_each(|(row, text)| complain(format_args!("{row:<10}  {text}")));
                }
                (Request::Report, None) => {}
            }
        }
        while let Ok(newer) = told.try_recv() {
            found = Some(newer);
        }
        let is_ended = |found: &Findings| matches!(found.stage, Stage::Ended { .. });
        if is_over || found.as_ref().is_some_and(is_ended) {
            break;
        }
        let elapsed = begun.elapsed();
        if let Some(found) = found.as_ref().filter(|_| elapsed >= PROGRESS_AFTER)
            && let Err(error) = report.progress(about, found, elapsed)
        {
            remote.stop();
            return Err(error.into());
        }
        thread::park_timeout(REDRAW);
    }
    match driver.join() {
        Ok(result) => result.context("the driver broke off")?,
        Err(_) => bail!("the driver's thread panicked"),
    }
    let newest = told.try_iter().last().or(found);
    newest.context("nothing was found out")
}
