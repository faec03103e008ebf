//! The end of a thread, told to who waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};

/// Tells, when a thread ends or panics, who waits for that. A thread itself counts as finished only once nobody in it can
/// tell any more, and who was woken before would go back to sleep.
pub struct Ending {
    ended: Arc<AtomicBool>,
    waiting: Thread,
}

impl Ending {
    /// One that is to be moved into the thread that ends: it sets `ended`, and then wakes the thread that called this.
    pub fn tells(ended: &Arc<AtomicBool>) -> Ending {
        Ending {
            ended: Arc::clone(ended),
            waiting: thread::current(),
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        self.waiting.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_woken_sees_the_end_also_of_a_thread_that_panics() {
        for panics in [false, true] {
            let ended = Arc::default();
            let ending = Ending::tells(&ended);
            let thread = thread::spawn(move || {
                let _ending = ending;
                assert!(!panics, "on purpose");
            });
            while !ended.load(Ordering::Acquire) {
                thread::park();
            }
            assert_eq!(thread.join().is_err(), panics);
        }
    }
}
