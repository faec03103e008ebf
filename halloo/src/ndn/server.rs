//! `ndnpingserver`.

use super::arguments::{self, ArgumentError, Flag, Given};
use super::face::Face;
use super::host::{Asked, Detail, Equipment, Equipped, Listen, Tapped, tap};
use super::text::{ServerText, timestamp};
use super::{Failure, MISUSED, keys, trouble};
use crate::json::{Answers, Head, Interest, ServerStart};
use crate::screen::Screen;
use crate::serve::{Supervisor, broadcasts};
use crate::signals::{Request, Signals};
use anyhow::{Context, Result};
use halloo_base::Clock;
use halloo_io::{Remote, SystemClock, Worker, WorkerOptions};
use halloo_protocols::ndn::{FaceEvent, Insist, NameBuf, PingServer, PingServerOptions, Signer};
use halloo_serve::{Guards, Secret, StreamServerOptions};
use halloo_web::Ending;
use nix::unistd::Uid;
use serde::Serialize;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Nothing is waited for but what wakes us.
const IDLE: Duration = Duration::from_secs(60);

const fn flag(long: &'static str, short: Option<char>, value: &'static str, help: &'static str) -> Flag {
    Flag {
        long,
        short,
        value,
        repeats: false,
        original: true,
        help,
    }
}

const fn ours(long: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag {
        original: false,
        ..flag(long, None, value, help)
    }
}

static FLAGS: &[Flag] = &[
    flag("help", Some('h'), "", "print this text"),
    flag(
        "freshness",
        Some('f'),
        "MS",
        "let caches call an answer fresh for so many milliseconds (default: 1000)",
    ),
    flag(
        "satisfy",
        Some('p'),
        "N",
        "end after N answers; 0 never ends (default: 0)",
    ),
    flag(
        "size",
        Some('s'),
        "BYTES",
        "put so many bytes of content into each answer (default: 0)",
    ),
    flag("timestamp", Some('t'), "", "print the time before each line"),
    flag("quiet", Some('q'), "", "do not print a line for each answer"),
    flag("version", Some('V'), "", "print the version"),
    flag("prefix", None, "NAME", ""),
    ours("face", "URI", "the forwarder: unix:///PATH or tcp://HOST[:PORT]"),
    Flag {
        repeats: true,
        ..ours(
            "listen",
            "URI,...",
            "answer at a port of this host, without a forwarder: udp://[::]:6363, tcp://[::]:6363; or on a device: dev://eth0",
        )
    },
    ours(
        "insist",
        "",
        "keep trying when the forwarder is not there at the start",
    ),
    ours(
        "sign",
        "FILE",
        "sign with this private key (PEM; ECDSA P-256 or Ed25519), or the secret in hmac:FILE",
    ),
    ours(
        "key-name",
        "NAME",
        "what answers call that key (default: NAME of the prefix, KEY, halloo)",
    ),
    ours("json", "", "print JSON, one object a line"),
];

/// What the command line asks for.
struct Options {
    prefix: NameBuf,
    server: PingServerOptions,
    face: Option<Face>,
    listen: Vec<Listen>,
    insist: Insist,
    timestamp: bool,
    quiet: bool,
    json: bool,
}

/// The program: its status is 0 when it was stopped or has given its answers, 1 when it could not be reached by the
/// forwarder, 2 when the command line is wrong.
pub(super) fn run(words: impl IntoIterator<Item = OsString>) -> Result<ExitCode, Failure> {
    let given = arguments::parse(FLAGS, "prefix", words).map_err(misused)?;
    let mut screen = Screen::stdout();
    if given.has("help") {
        screen.line(usage().trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    if given.has("version") {
        screen.line(format_args!("ndnpingserver {}", env!("CARGO_PKG_VERSION")))?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options::of(&given)?;
    serve(options, screen)
}

/// The help of the program.
pub(super) fn usage() -> String {
    format!(
        "Usage: ndnpingserver [options] prefix\n\n\
         Answers every Interest under the name prefix and one component `ping` behind it.\n\n{}",
        arguments::help(FLAGS)
    )
}

fn misused(error: ArgumentError) -> Failure {
    usage_error(error)
}

fn usage_error(what: impl fmt::Display) -> Failure {
    Failure::Usage {
        what: what.to_string(),
        help: usage(),
    }
}

impl Options {
    fn of(given: &Given) -> Result<Options, Failure> {
        let prefix = given
            .text("prefix")
            .ok_or_else(|| usage_error("no name prefix specified"))?;
        let prefix: NameBuf = prefix
            .parse()
            .map_err(|why| usage_error(format_args!("{prefix}: {why}")))?;
        let number = |long, least: i64| -> Result<Option<u64>, Failure> {
            let number = given.value::<i64>(long).map_err(misused)?;
            match number {
                Some(number) if number < least => Err(usage_error(format_args!("{long} must be >= {least}"))),
                number => Ok(number.map(i64::unsigned_abs)),
            }
        };
        let freshness = number("freshness", 0)?.unwrap_or(1_000);
        let size = number("size", 0)?.unwrap_or(0);
        let most = number("satisfy", 0)?.filter(|&most| most > 0);
        let face = given.text("face").map(str::parse::<Face>).transpose();
        let face = face.map_err(|why| usage_error(format_args!("--face: {why}")))?;
        if let Some(face) = face.as_ref().filter(|face| !face.is_stream()) {
            return Err(usage_error(format_args!(
                "--face {face}: a forwarder takes no registration there; to answer without a forwarder, --listen"
            )));
        }
        let listen: Result<Vec<Listen>, Failure> = given
            .all("listen")
            .flat_map(|uris| uris.split(','))
            .map(|uri| {
                uri.parse()
                    .map_err(|why| usage_error(format_args!("--listen {uri}: {why}")))
            })
            .collect();
        Ok(Options {
            server: PingServerOptions {
                size: usize::try_from(size).unwrap_or(usize::MAX),
                freshness: Duration::from_millis(freshness),
                signer: signer(given, &prefix)?,
                most,
                ..PingServerOptions::new(prefix.clone())
            },
            prefix,
            face,
            listen: listen?,
            insist: if given.has("insist") {
                Insist::Always
            } else {
                Insist::OnceUp
            },
            timestamp: given.has("timestamp"),
            quiet: given.has("quiet"),
            json: given.has("json"),
        })
    }
}

fn signer(given: &Given, prefix: &NameBuf) -> Result<Signer, Failure> {
    let Some(file) = given.text("sign") else {
        return Ok(Signer::digest());
    };
    let name = match given.text("key-name") {
        Some(name) => name
            .parse()
            .map_err(|why| usage_error(format_args!("--key-name: {why}")))?,
        None => prefix.clone().with(b"KEY").with(b"halloo"),
    };
    keys::signer(file, name).map_err(|error| wrong(&error))
}

/// The command line is right as far as its words go, and asks for what cannot be.
fn wrong(error: &anyhow::Error) -> Failure {
    Failure::Told {
        status: MISUSED,
        what: format!("{error:#}"),
    }
}

fn serve(options: Options, screen: Screen) -> Result<ExitCode, Failure> {
    let most = options.server.most;
    let server = PingServer::new(options.server.clone(), Box::new(())).map_err(|why| wrong(&why.into()))?;
    let face = match (options.face.clone(), options.listen.is_empty()) {
        (None, true) => Some(Face::of_host().map_err(|error| wrong(&error))?),
        (face, _) => face,
    };
    let mut report = Report {
        screen,
        text: ServerText::new(&options.prefix),
        prefix: options.prefix.clone(),
        json: options.json,
        timestamp: options.timestamp,
    };
    report.start()?;
    let signals = Signals::watch(thread::current()).context("cannot watch for signals")?;
    let detail = match (options.quiet, options.json) {
        (true, _) => Detail::Nothing,
        (false, true) => Detail::Whole,
        (false, false) => Detail::Last,
    };
    let (tap, tapped) = tap(detail, most, thread::current());
    let mut worker = Worker::new(WorkerOptions {
        answers_only: true,
        seed: crate::random_u64()?,
        ..WorkerOptions::default()
    })
    .context("cannot set up the driver")?;
    let equipment = Equipment {
        server,
        face: face.clone(),
        insist: options.insist,
        listen: options.listen,
        guards: Guards {
            broadcasts: broadcasts(),
            ..Guards::default()
        },
        streams: StreamServerOptions {
            broadcasts: broadcasts(),
            ..StreamServerOptions::new(Secret::new(crate::random()?))
        },
        tap,
    };
    let equipped = equipment.give(&mut worker)?;
    if face.is_none() {
        become_nobody()?;
    }
    report.ways(&equipped.listening, face.as_ref())?;
    let mut watch = Watch {
        report,
        tapped,
        face,
        supervisor: None,
        is_back: false,
    };
    if watch.face.is_none() {
        watch.ready(&options.prefix);
    }
    let ended = Arc::default();
    let (thread, remote) = start(worker, Ending::tells(&ended))?;
    let watched = watch.run(&ended, &signals, &equipped, &options.prefix);
    remote.stop();
    let driven = thread
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the thread that answers panicked")));
    watched?;
    driven.context("the driver failed")?;
    watch.conclude(&equipped)?;
    Ok(ExitCode::SUCCESS)
}

/// A server that is open to the network and has all its sockets needs no rights any more.
fn become_nobody() -> Result<()> {
    if Uid::effective().is_root() {
        halloo_io::drop_privileges("nobody").context("cannot become nobody")?;
    }
    Ok(())
}

fn start(mut worker: Worker, ending: Ending) -> Result<(JoinHandle<io::Result<()>>, Remote)> {
    let remote = worker.remote();
    let run = move || {
        let _ending = ending;
        worker.run()
    };
    let thread = thread::Builder::new()
        .name("ndn".into())
        .spawn(run)
        .context("cannot start a thread")?;
    Ok((thread, remote))
}

/// Attends to a server that runs.
struct Watch {
    report: Report,
    tapped: Tapped,
    face: Option<Face>,
    /// There is one as soon as the server can be asked.
    supervisor: Option<Supervisor>,
    /// Whether the forwarder was lost after it had been there.
    is_back: bool,
}

impl Watch {
    /// Tells what happens until somebody ends it, or it has given all its answers.
    fn run(
        &mut self,
        ended: &AtomicBool,
        signals: &Signals,
        equipped: &Equipped,
        prefix: &NameBuf,
    ) -> Result<(), Failure> {
        loop {
            while let Some(request) = signals.next() {
                if request == Request::Report {
                    self.tell_counters(equipped);
                } else {
                    return Ok(());
                }
            }
            // Asked before the queue is emptied: what is in it then is all there will be.
            let is_over = ended.load(Ordering::Acquire) || self.tapped.is_done();
            self.tell_asked()?;
            while let Ok(event) = self.tapped.events.try_recv() {
                self.face_event(event, prefix)?;
            }
            if is_over {
                return Ok(());
            }
            let mut pause = IDLE;
            if let Some(supervisor) = &self.supervisor {
                supervisor.alive();
                pause = supervisor.watchdog().unwrap_or(IDLE).min(IDLE);
            }
            thread::park_timeout(pause);
        }
    }

    fn tell_asked(&mut self) -> io::Result<()> {
        while let Ok(asked) = self.tapped.asked.try_recv() {
            self.report.asked(&asked)?;
        }
        Ok(())
    }

    fn face_event(&mut self, event: FaceEvent, prefix: &NameBuf) -> Result<(), Failure> {
        let Some(face) = &self.face else { return Ok(()) };
        let (what, retry_in) = match event {
            FaceEvent::Registered { .. } => {
                if self.is_back {
                    crate::complain(format_args!(
                        "NOTICE: the forwarder is back, and {prefix} registered"
                    ));
                }
                self.is_back = false;
                self.ready(prefix);
                return Ok(());
            }
            FaceEvent::Broken { why, retry_in } => (trouble::of_server(why, face), retry_in),
            FaceEvent::Failed { why, retry_in } => (format!("Failed to register prefix: {why}"), retry_in),
            _ => return Ok(()),
        };
        if retry_in.is_none() {
            let status = crate::FAILED;
            return Err(Failure::Told { status, what });
        }
        if !std::mem::replace(&mut self.is_back, true) {
            crate::complain(format_args!("WARNING: {what}; trying again until it works"));
        }
        Ok(())
    }

    /// The server can be asked.
    fn ready(&mut self, prefix: &NameBuf) {
        if self.supervisor.is_none() {
            self.supervisor = Some(Supervisor::ready(&format!("answering under {prefix}")));
        }
    }

    fn tell_counters(&self, equipped: &Equipped) {
        let mut line = format!("{} packets processed", self.tapped.answered());
        for (why, n) in equipped.silent() {
            line += &format!(", {n} {}", why.name());
        }
        crate::complain(format_args!("{line}"));
    }

    fn conclude(&mut self, equipped: &Equipped) -> Result<(), Failure> {
        if let Some(supervisor) = &self.supervisor {
            supervisor.stopping();
        }
        self.tell_asked()?;
        let untold = self.tapped.untold();
        if untold > 0 {
            crate::complain(format_args!(
                "WARNING: {untold} answers have no line: output was too slow; the statistics count them"
            ));
        }
        self.report.end(self.tapped.answered(), equipped)?;
        Ok(())
    }
}

/// Prints to standard output.
struct Report {
    screen: Screen,
    text: ServerText,
    prefix: NameBuf,
    json: bool,
    timestamp: bool,
}

impl Report {
    fn start(&mut self) -> io::Result<()> {
        if self.json {
            Ok(())
        } else {
            self.screen.line(self.text.start())
        }
    }

    /// The ports that it answers at, and the forwarder that it is behind.
    fn ways(&mut self, listening: &[Listen], face: Option<&Face>) -> io::Result<()> {
        let listening: Vec<_> = listening.iter().map(ToString::to_string).collect();
        if self.json {
            return self.object(&ServerStart {
                head: Head::new("server"),
                time_ns: SystemClock.stamp().wall.0,
                prefix: self.prefix.to_string(),
                face: face.map(ToString::to_string),
                listening,
            });
        }
        for place in listening {
            self.screen.line(format_args!("listening on {place}"))?;
        }
        Ok(())
    }

    fn asked(&mut self, asked: &Asked) -> io::Result<()> {
        if self.json {
            return self.object(&Interest {
                head: Head::new("interest"),
                time_ns: asked.at.0,
                name: &asked.name,
            });
        }
        let line = ServerText::interest(&asked.name);
        if self.timestamp {
            self.screen.line(format_args!("{}{line}", timestamp(asked.at)))
        } else {
            self.screen.line(line)
        }
    }

    fn end(&mut self, answered: u64, equipped: &Equipped) -> io::Result<()> {
        if !self.json {
            return self.screen.line(self.text.statistics(answered));
        }
        let silent = equipped.silent().into_iter();
        self.object(&Answers {
            head: Head::new("answers"),
            time_ns: SystemClock.stamp().wall.0,
            answered,
            silent: silent.map(|(why, n)| (why.name(), n)).collect(),
        })
    }

    fn object(&mut self, object: &impl Serialize) -> io::Result<()> {
        self.screen
            .line(serde_json::to_string(object).map_err(io::Error::from)?)
    }
}
