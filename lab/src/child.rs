//! A program that runs on a host, and never longer than the test.

use crate::command::text;
use crate::host::Host;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{self, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How much of its output is kept in bytes; the oldest lines are forgotten first.
const KEPT: usize = 1 << 20;

/// Longer lines are kept in pieces of this many bytes.
const LONGEST_LINE: u64 = 1 << 16;

/// A running program. Dropping it kills it and waits for its end.
#[derive(Debug)]
pub struct Child {
    command: String,
    pid: Pid,
    stdin: Option<ChildStdin>,
    state: Arc<State>,
    waiter: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    seen: Mutex<Seen>,
    changed: Condvar,
}

/// What is known of the program so far.
#[derive(Debug, Default)]
struct Seen {
    lines: VecDeque<Line>,
    kept: usize,
    forgotten: usize,
    open_pipes: usize,
    status: Option<ExitStatus>,
}

#[derive(Debug)]
struct Line {
    pipe: Pipe,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pipe {
    Output,
    Error,
}

impl Child {
    #[track_caller]
    pub(crate) fn spawn(host: &Host, mut command: Command) -> Child {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = format!("{command:?} on {}", host.name());
        let spawned = host.enter(|| command.spawn());
        let mut child = spawned.unwrap_or_else(|error| panic!("{shown}: {error}"));
        let state = Arc::new(State::default());
        state.lock().open_pipes = 2;
        let output = child.stdout.take().expect("standard output was just piped");
        let error = child.stderr.take().expect("standard error was just piped");
        read_in_background(Pipe::Output, output, &state);
        read_in_background(Pipe::Error, error, &state);
        Child {
            command: shown,
            pid: Pid::from_raw(child.id().cast_signed()),
            stdin: child.stdin.take(),
            waiter: Some(wait_in_background(child, &state)),
            state,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    /// Its standard input, where the command asked for a pipe. Dropping that closes it.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Waits for a line, on either pipe, that contains `text`. A line that came earlier counts too.
    ///
    /// # Panics
    /// When it has not come `within` that time, or cannot come any more; the message holds all output so far.
    #[track_caller]
    pub fn wait_for_line(&self, text: &str, within: Duration) -> String {
        let found = self.state.wait(within, |seen| {
            let line = seen.lines.iter().find(|line| line.text.contains(text));
            match line {
                Some(line) => Some(Some(line.text.clone())),
                None if seen.open_pipes == 0 => Some(None),
                None => None,
            }
        });
        found
            .flatten()
            .unwrap_or_else(|| panic!("no line with `{text}` from {self}"))
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&self, signal: Signal) {
        let seen = self.state.lock();
        if seen.status.is_none() {
            // Not reaped, because that takes the lock that we hold: the pid is still its own.
            let _ = kill(self.pid, signal);
        }
    }

    /// Waits for its end, and for the end of its output.
    ///
    /// # Panics
    /// When it still runs after `within`; the message holds all output so far.
    #[track_caller]
    pub fn wait(&self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        let status = self.state.wait(within, |seen| seen.status);
        let status = status.unwrap_or_else(|| panic!("still runs after {within:?}: {self}"));
        // A grandchild may hold the pipes open for ever; that does not make the child's end less true.
        let rest = deadline.saturating_duration_since(Instant::now());
        self.state.wait(rest, |seen| (seen.open_pipes == 0).then_some(()));
        status
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        self.state.lock().status.is_none()
    }

    /// What it has written to its standard output so far.
    pub fn stdout(&self) -> String {
        self.state.lock().text(Some(Pipe::Output))
    }

    /// What it has written to its standard error so far.
    pub fn stderr(&self) -> String {
        self.state.lock().text(Some(Pipe::Error))
    }
}

impl std::fmt::Display for Child {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seen = self.state.lock();
        match seen.status {
            Some(status) => write!(f, "{} ({status})", self.command)?,
            None => write!(f, "{} (running)", self.command)?,
        }
        if seen.forgotten > 0 {
            write!(f, ", {} older lines forgotten", seen.forgotten)?;
        }
        write!(f, ":\n{}", seen.text(None))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        if let Some(waiter) = self.waiter.take() {
            // It only waits for what was just killed, and a drop must not panic.
            let _ = waiter.join();
        }
    }
}

impl State {
    /// Nothing that holds this lock leaves the state half-changed.
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Blocks until `look` finds what it looks for; `None` when the time is over.
    fn wait<T>(&self, within: Duration, mut look: impl FnMut(&Seen) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + within;
        let mut seen = self.lock();
        loop {
            if let Some(found) = look(&seen) {
                return Some(found);
            }
            let rest = deadline.checked_duration_since(Instant::now())?;
            (seen, _) = self
                .changed
                .wait_timeout(seen, rest)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Seen {
    fn keep(&mut self, line: Line) {
        self.kept += line.text.len();
        self.lines.push_back(line);
        while self.kept > KEPT
            && let Some(oldest) = self.lines.pop_front()
        {
            self.kept -= oldest.text.len();
            self.forgotten += 1;
        }
    }

    fn text(&self, only: Option<Pipe>) -> String {
        let chosen = self
            .lines
            .iter()
            .filter(|line| only.is_none_or(|pipe| line.pipe == pipe));
        chosen.flat_map(|line| [line.text.as_str(), "\n"]).collect()
    }
}

fn read_in_background(pipe: Pipe, source: impl Read + Send + 'static, state: &Arc<State>) {
    let state = Arc::clone(state);
    thread::spawn(move || {
        let mut source = BufReader::new(source);
        loop {
            let mut line = Vec::new();
            // A pipe that breaks is a pipe that ended.
            let read = source.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
            if !matches!(read, Ok(1..)) {
                break;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            state.change(|seen| {
                seen.keep(Line {
                    pipe,
                    text: text(&line),
                });
            });
        }
        state.change(|seen| seen.open_pipes -= 1);
    });
}

fn wait_in_background(mut child: process::Child, state: &Arc<State>) -> JoinHandle<()> {
    let state = Arc::clone(state);
    thread::spawn(move || {
        let pid = Pid::from_raw(child.id().cast_signed());
        let exited = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(pid), exited) == Err(nix::Error::EINTR) {}
        // Reaped under the lock, so that nobody signals a pid that the kernel has given to another process.
        state.change(|seen| seen.status = child.wait().ok());
    })
}
