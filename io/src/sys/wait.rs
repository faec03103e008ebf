//! Waiting on epoll(7) to the nanosecond.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Events that one call brings at most.
const MOST: usize = 256;

/// Whether the kernel does without epoll_pwait2(2): it is there from Linux 5.11 on, and a filter of system calls may not know
/// it.
static COARSE: AtomicBool = AtomicBool::new(false);

/// The kernel's own timespec, which has 64 bits everywhere.
#[repr(C)]
struct KernelTime {
    seconds: i64,
    nanoseconds: i64,
}

/// Events of an epoll instance.
pub(crate) struct Events {
    ready: Box<[libc::epoll_event]>,
    count: usize,
    next: usize,
}

impl Events {
    pub(crate) fn new() -> Events {
        Events {
            ready: vec![libc::epoll_event { events: 0, u64: 0 }; MOST].into_boxed_slice(),
            count: 0,
            next: 0,
        }
    }

    /// Whether there are none (left).
    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.count
    }

    /// The next event: its data, and its flags.
    pub(crate) fn next(&mut self) -> Option<(u64, u32)> {
        let event = self.ready[..self.count].get(self.next)?;
        self.next += 1;
        Some((event.u64, event.events))
    }

    /// Forgets what was there and waits for more, for so long at most. A signal ends it early, without an event.
    ///
    /// Returns false, without having waited, if this kernel cannot be told a time in nanoseconds.
    pub(crate) fn wait(&mut self, epoll: impl AsFd, timeout: Option<Duration>) -> io::Result<bool> {
        self.clear();
        if COARSE.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let time = timeout.map(|timeout| KernelTime {
            seconds: timeout.as_secs().min(86_400) as i64,
            nanoseconds: timeout.subsec_nanos().into(),
        });
        let time = time.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: the kernel writes at most MOST events to `ready`, which has room for them, and reads the time, which is alive;
        // there is no signal mask.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                epoll.as_fd().as_raw_fd(),
                self.ready.as_mut_ptr(),
                MOST as libc::c_int,
                time,
                ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        match usize::try_from(count) {
            Ok(count) => self.count = count,
            Err(_) => match io::Error::last_os_error() {
                error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    COARSE.store(true, Ordering::Relaxed);
                    return Ok(false);
                }
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
        Ok(true)
    }

    /// As [`Events::wait`], in whole milliseconds, rounded up: epoll_wait(2), which is in every kernel.
    pub(crate) fn wait_coarsely(&mut self, epoll: impl AsFd, timeout: Option<Duration>) -> io::Result<()> {
        self.clear();
        let millis = timeout.map_or(-1, |timeout| {
            let millis = timeout.as_nanos().div_ceil(1_000_000).min(86_400_000);
            millis as libc::c_int
        });
        // SAFETY: the kernel writes at most MOST events to `ready`, which has room for them.
        let count = unsafe {
            libc::epoll_wait(
                epoll.as_fd().as_raw_fd(),
                self.ready.as_mut_ptr(),
                MOST as libc::c_int,
                millis,
            )
        };
        match usize::try_from(count) {
            Ok(count) => self.count = count,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
        Ok(())
    }

    /// Forgets what is left.
    pub(crate) fn clear(&mut self) {
        (self.count, self.next) = (0, 0);
    }
}
