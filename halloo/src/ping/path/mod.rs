//! What the path does: how long a packet it carries (`--pmtu`), and whether it treats all source ports alike (`--spread`).

mod json;
mod pmtu;
mod spread;
mod text;

use super::plan::Plan;
use super::resolve::resolve;
use super::session::{About, abouts};
use crate::cli::{Link, PingArgs};
use crate::hint::explain;
use crate::screen::Screen;
use crate::signals::{Request, Signals};
use anyhow::{Context, Result};
use halloo_io::{Remote, Worker};
use halloo_probe::{MtuProbe, MtuReport, SpreadReport};
use json::JsonPath;
use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, Thread};
use std::time::Duration;
use text::TextPath;

/// What is to be found out about the path, instead of round trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Its MTU.
    Mtu,
    /// How it treats so many source ports.
    Spread(u16),
}

/// What is found out on the way.
enum News {
    Probe(MtuProbe),
    Mtu(MtuReport),
    Spread(Box<SpreadReport>),
}

/// How news come from the thread that asks.
#[derive(Clone)]
struct Teller {
    news: Sender<News>,
    main: Thread,
}

/// Who tells a person or a program of it.
trait PathPrinter {
    /// A target that cannot be asked.
    fn unusable(&mut self, target: &str, why: &anyhow::Error) -> io::Result<()>;
    /// Before the first probe. With `--pmtu`: the longest packet that will be tried.
    fn begin(&mut self, about: &About, errand: Errand, most: Option<u16>) -> io::Result<()>;
    /// One probe of a search.
    fn probe(&mut self, about: &About, probe: &MtuProbe) -> io::Result<()>;
    /// What a search found.
    fn mtu(&mut self, about: &About, report: &MtuReport) -> io::Result<()>;
    /// What the flows show.
    fn spread(&mut self, about: &About, report: &SpreadReport) -> io::Result<()>;
}

/// How a target fared.
struct Told {
    is_well: bool,
    /// Somebody wants an end; nothing else is to be asked.
    is_stopped: bool,
}

/// A worker that is ready to ask.
struct Asker {
    worker: Worker,
    most: Option<u16>,
}

impl Errand {
    /// What the command line asks for, if it is one of these.
    pub(crate) fn of(args: &PingArgs) -> Option<Errand> {
        match (args.path.pmtu, args.path.spread) {
            (true, _) => Some(Errand::Mtu),
            (false, spread) => spread.map(Errand::Spread),
        }
    }

    /// Asks every target over every link, one after the other. Returns whether all is well: a path MTU was found
    /// everywhere, or no share of the ports is bad.
    ///
    /// # Errors
    /// If a target cannot be asked in this way (exit status 2), or nobody reads what is printed any more.
    pub(crate) fn run(self, plan: &Plan, args: &PingArgs, signals: &Signals) -> Result<bool> {
        for target in &plan.targets {
            match self {
                Errand::Mtu => pmtu::check(target)?,
                Errand::Spread(_) => spread::check(plan, target)?,
            }
        }
        let mut printer: Box<dyn PathPrinter> = match args.json {
            true => Box::new(JsonPath::new(Screen::stdout(), args.quiet)),
            false => Box::new(TextPath::new(Screen::stdout(), args.quiet)),
        };
        let links: Vec<Option<Link>> = match plan.links.is_empty() {
            true => vec![None],
            false => plan.links.iter().cloned().map(Some).collect(),
        };
        let (mut is_well, mut id) = (true, 0);
        for target in &plan.targets {
            let found = resolve(target).and_then(|found| abouts(plan, target, &found, &links));
            match found {
                Err(error) => {
                    is_well = false;
                    printer.unusable(&target.to_string(), &error)?;
                }
                Ok(abouts) => {
                    for mut about in abouts {
                        id += 1;
                        about.id = id;
                        let told = self.ask(&about, plan, &mut *printer, signals)?;
                        is_well &= told.is_well;
                        if told.is_stopped {
                            return Ok(is_well);
                        }
                    }
                }
            }
        }
        Ok(is_well)
    }

    /// Asks one target over one link.
    fn ask(
        self,
        about: &About,
        plan: &Plan,
        printer: &mut dyn PathPrinter,
        signals: &Signals,
    ) -> Result<Told> {
        let (sender, news) = channel();
        let teller = Teller {
            news: sender,
            main: thread::current(),
        };
        let asker = match self {
            Errand::Mtu => pmtu::prepare(about, plan, teller),
            Errand::Spread(ports) => spread::prepare(about, plan, ports, teller),
        };
        let Asker { mut worker, most } = asker?;
        printer.begin(about, self, most)?;
        let remote = worker.remote();
        let driver = thread::Builder::new()
            .name("path".into())
            .spawn(move || worker.run())
            .context("cannot start a thread")?;
        let told = watch(about, printer, signals, &remote, &news);
        // Nobody listens any more, or all is said.
        remote.stop();
        match driver.join() {
            Ok(result) => result.map_err(explain)?,
            Err(_) => return Err(anyhow::anyhow!("the thread that asks panicked")),
        }
        told
    }
}

/// Prints news until the last has come.
fn watch(
    about: &About,
    printer: &mut dyn PathPrinter,
    signals: &Signals,
    remote: &Remote,
    news: &Receiver<News>,
) -> Result<Told> {
    let (mut is_stopped, mut is_well) = (false, None);
    loop {
        while let Some(request) = signals.next() {
            match request {
                Request::Drain | Request::Stop => {
                    is_stopped = true;
                    remote.stop();
                }
                Request::Report => remote.report(),
            }
        }
        loop {
            match news.try_recv() {
                Ok(News::Probe(probe)) => printer.probe(about, &probe)?,
                Ok(News::Mtu(report)) => {
                    printer.mtu(about, &report)?;
                    is_well = Some(report.mtu.is_some());
                }
                Ok(News::Spread(report)) => {
                    printer.spread(about, &report)?;
                    let well = report.verdict.bad.is_empty() && report.answered > report.refused;
                    is_well = report.ended.map(|_| well);
                }
                Err(TryRecvError::Empty) => break,
                // It broke off before its last word where there is none.
                Err(TryRecvError::Disconnected) => is_well = is_well.or(Some(false)),
            }
            if is_well.is_some() {
                break;
            }
        }
        if let Some(is_well) = is_well {
            return Ok(Told { is_well, is_stopped });
        }
        thread::park_timeout(Duration::from_millis(250));
    }
}

impl Teller {
    fn tell(&self, news: News) {
        // Nobody listens where the end has come already.
        let _ = self.news.send(news);
        self.main.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;
    use halloo_protocols::ALL;

    #[test]
    fn what_cannot_be_asked_so_is_refused_with_what_can() {
        let target = |scheme: &str| match scheme {
            "ndn" => Target::parse("ndn://h/a"),
            "sip" => Target::parse("sip:h"),
            "http" | "https" => Target::parse(&format!("{scheme}://h/")),
            scheme => Target::parse(&format!("{scheme}://h")),
        };
        let (mut searched, mut swept) = (vec![], vec![]);
        for protocol in ALL {
            let Ok(target) = target(protocol.scheme) else {
                continue;
            };
            let plan = Plan::of(vec![target.clone()]);
            match pmtu::check(&target) {
                Ok(()) => searched.push(protocol.scheme),
                Err(why) => assert!(why.to_string().starts_with("--pmtu goes with udp://, "), "{why}"),
            }
            match spread::check(&plan, &target) {
                Ok(()) => swept.push(protocol.scheme),
                Err(why) => assert!(
                    why.to_string().starts_with("--spread goes with udp://, "),
                    "{why}"
                ),
            }
        }
        assert_eq!(searched, ["udp", "icmp", "stamp", "twamp"]);
        assert_eq!(swept, ["udp", "stamp", "twamp", "stun", "ntp"]);
    }

    #[test]
    fn a_sweep_has_a_pace() {
        let target = Target::parse("udp://h").expect("a target");
        let mut plan = Plan::of(vec![target.clone()]);
        plan.interval = crate::cli::Interval::Flood;
        let why = spread::check(&plan, &target).expect_err("a flood");
        assert!(why.to_string().starts_with("--spread needs an interval"), "{why}");
    }
}
