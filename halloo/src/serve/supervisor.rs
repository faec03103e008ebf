//! The service manager, if there is one (sd_notify(3)).

use sd_notify::NotifyState;
use std::time::Duration;

/// Tells the service manager how it goes. Without one, nothing happens.
pub(crate) struct Supervisor {
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// Everything is bound, and answers come from now on.
    pub(crate) fn ready(status: &str) -> Supervisor {
        notify(&[NotifyState::Ready, NotifyState::Status(status)]);
        // Half of what is granted, so that one late wake-up does no harm.
        Supervisor {
            watchdog: sd_notify::watchdog_enabled().map(|granted| granted / 2),
        }
    }

    /// How often it wants to hear that we are alive.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// We are alive.
    pub(crate) fn alive(&self) {
        if self.watchdog.is_some() {
            notify(&[NotifyState::Watchdog]);
        }
    }

    /// No more answers.
    pub(crate) fn stopping(&self) {
        notify(&[NotifyState::Stopping]);
    }
}

/// A service manager that does not listen is no reason to stop answering.
fn notify(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
