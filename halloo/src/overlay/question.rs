//! How other threads ask a machine that runs in a worker how it stands.

use halloo_io::Remote;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a machine has time to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Answers that wait to be read: who asks wants the last one only, and a machine answers unasked, too.
const WAITING: usize = 1;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Silence {
    /// It may answer the next time.
    #[error("it is busy and has not answered in time")]
    Busy,
    /// It never will.
    #[error("it has ended")]
    Ended,
}

/// The machine's end: it gives its answers here.
pub(super) struct Answers<T>(SyncSender<T>);

impl<T> Answers<T> {
    /// Never waits. An answer that nobody has read stands for this one, too: who asks throws it away first.
    pub(super) fn give(&self, answer: T) {
        match self.0.try_send(answer) {
            // Without a reader we are about to end.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

/// What a [`Question`] is made of, before there is a worker.
pub(super) struct Unasked<T>(Receiver<T>);

/// Both ends.
pub(super) fn question<T>() -> (Answers<T>, Unasked<T>) {
    let (answers, told) = sync_channel(WAITING);
    (Answers(answers), Unasked(told))
}

/// Asks, from any thread; one at a time is answered.
pub(super) struct Question<T> {
    remote: Remote,
    told: Arc<Mutex<Receiver<T>>>,
    patience: Duration,
}

impl<T> Clone for Question<T> {
    fn clone(&self) -> Question<T> {
        Question {
            remote: self.remote.clone(),
            told: Arc::clone(&self.told),
            patience: self.patience,
        }
    }
}

impl<T> Question<T> {
    pub(super) fn new(unasked: Unasked<T>, remote: Remote) -> Question<T> {
        Question {
            remote,
            told: Arc::new(Mutex::new(unasked.0)),
            patience: PATIENCE,
        }
    }

    /// How the machine stands now.
    ///
    /// # Errors
    /// If it does not say so in time, or has ended.
    pub(super) fn ask(&self) -> Result<T, Silence> {
        // A panic of somebody who waited leaves the channel as it was.
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody asked for.
        let _ = told.try_recv();
        self.remote.report();
        told.recv_timeout(self.patience).map_err(|error| match error {
            RecvTimeoutError::Timeout => Silence::Busy,
            RecvTimeoutError::Disconnected => Silence::Ended,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halloo_base::{Cx, Deadline, Input, Machine};
    use halloo_io::{Worker, WorkerOptions};
    use std::thread;

    struct Counting {
        answers: Answers<u32>,
        reports: u32,
    }

    impl Machine for Counting {
        fn handle(&mut self, _: &mut Cx<'_>, input: Input<'_>) {
            if matches!(input, Input::Report) {
                self.reports += 1;
                self.answers.give(self.reports);
            }
        }

        fn deadline(&self) -> Option<Deadline> {
            None
        }

        fn finished(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_busy_machine_is_asked_a_thousand_times_and_still_answers_when_it_can() {
        let (answers, unasked) = question();
        let mut worker = Worker::new(WorkerOptions::default()).expect("a worker");
        worker.add(Box::new(Counting { answers, reports: 0 }));
        let question = Question::new(unasked, worker.remote());
        let hasty = Question {
            patience: Duration::ZERO,
            ..question.clone()
        };
        for _ in 0..1_000 {
            assert_eq!(hasty.ask(), Err(Silence::Busy));
        }
        let remote = worker.remote();
        let running = thread::spawn(move || worker.run());
        let patient = Question {
            patience: Duration::from_secs(60),
            ..question
        };
        assert!(patient.ask().is_ok());
        remote.stop();
        running.join().expect("no panic").expect("it ran");
        assert_eq!(patient.ask(), Err(Silence::Ended));
    }

    #[test]
    fn answers_that_nobody_asked_for_take_no_room_and_are_not_taken_for_new_ones() {
        let (answers, unasked) = question();
        for answer in 0..1_000 {
            answers.give(answer);
        }
        assert_eq!(unasked.0.try_iter().count(), WAITING);

        let worker = Worker::new(WorkerOptions::default()).expect("a worker");
        answers.give(0);
        let question = Question {
            patience: Duration::ZERO,
            ..Question::new(unasked, worker.remote())
        };
        assert_eq!(question.ask(), Err(Silence::Busy));
    }
}
