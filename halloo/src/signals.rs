//! Signals, as messages to the main thread.

use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals as Incoming;
use std::io;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, Thread};

/// What somebody wants from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Begin nothing new, and come to an end when what is under way has (SIGINT, where it is not [`Request::Stop`]).
    Drain,
    /// Come to an end (SIGINT, SIGTERM).
    Stop,
    /// Say how it stands (SIGQUIT, SIGUSR1).
    Report,
}

/// Requests that have come.
pub(crate) struct Signals {
    requests: Receiver<Request>,
}

impl Signals {
    /// Turns signals into requests from now on and unparks `main` for each. A second SIGINT or SIGTERM ends the
    /// process at once with status 1, whatever it is doing.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub(crate) fn watch(main: Thread) -> io::Result<Signals> {
        Signals::start(main, false)
    }

    /// The same, but the first SIGINT is a request to drain, and only the one after it a request to stop.
    ///
    /// # Errors
    /// As [`Signals::watch`].
    pub(crate) fn draining(main: Thread) -> io::Result<Signals> {
        Signals::start(main, true)
    }

    fn start(main: Thread, mut drains: bool) -> io::Result<Signals> {
        let mut incoming = Incoming::new([SIGINT, SIGTERM, SIGQUIT, SIGUSR1])?;
        let (sender, requests) = mpsc::channel();
        thread::Builder::new().name("signals".into()).spawn(move || {
            let mut stopping = false;
            for signal in incoming.forever() {
                let request = match signal {
                    SIGINT if std::mem::take(&mut drains) => Request::Drain,
                    SIGINT | SIGTERM if stopping => std::process::exit(1),
                    SIGINT | SIGTERM => Request::Stop,
                    _ => Request::Report,
                };
                stopping |= request == Request::Stop;
                if sender.send(request).is_err() {
                    break;
                }
                main.unpark();
            }
        })?;
        Ok(Signals { requests })
    }

    /// The next request that has not been looked at.
    pub(crate) fn next(&self) -> Option<Request> {
        self.requests.try_recv().ok()
    }
}
