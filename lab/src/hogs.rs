//! Burning processor time, so that tests can see what load does.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};

/// Threads that burn processor time until this is dropped.
#[derive(Debug)]
pub struct Hogs {
    enough: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Hogs {
    /// Starts `count` of them, and returns when all have begun.
    pub fn start(count: usize) -> Hogs {
        let enough = Arc::new(AtomicBool::new(false));
        let begun = Arc::new(Barrier::new(count + 1));
        let threads = (0..count)
            .map(|_| {
                let (enough, begun) = (Arc::clone(&enough), Arc::clone(&begun));
                let burn = move || {
                    begun.wait();
                    while !enough.load(Ordering::Relaxed) {
                        spin_loop();
                    }
                };
                // Named, so that `top` tells them from what is measured.
                let thread = thread::Builder::new().name("hog".to_owned()).spawn(burn);
                thread.expect("the machine has room for a thread")
            })
            .collect();
        begun.wait();
        Hogs { enough, threads }
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A hog does nothing that could panic.
            let _ = thread.join();
        }
    }
}
