//! From the thread that paces probes to those that print and write, without a lock or a wait.

use halloo_probe::{Event, Sink, Summary, Verdict};
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

/// Seconds of events that a ring holds when a reader stalls.
const DEPTH: f64 = 4.0;
const FEWEST: usize = 1024;
/// About 7 MB of events.
const MOST: usize = 16_384;

/// The end that the session writes to.
pub(super) struct RingSink {
    screen: Ring,
    files: Option<Ring>,
    /// Whether the screen wants to hear of single probes.
    probes: bool,
    fate: Arc<Fate>,
}

struct Ring {
    events: Producer<Event>,
    /// Who to wake for an event; nobody where the reader looks by itself often enough.
    reader: Option<Thread>,
}

/// What must not get lost, whatever becomes of the rings.
#[derive(Default)]
pub(crate) struct Fate {
    /// The session's last word.
    last: Mutex<Option<Arc<Summary>>>,
    /// Its thread has ended.
    ended: AtomicBool,
    /// Events that the screen had no room for.
    unseen: AtomicU64,
    /// Events that the files had no room for.
    unwritten: AtomicU64,
}

/// The ends that are read.
pub(super) struct Readers {
    pub(super) screen: Consumer<Event>,
    pub(super) files: Option<Consumer<Event>>,
    pub(super) fate: Arc<Fate>,
}

/// Who reads, and what.
pub(super) struct Wiring {
    /// Time between probes.
    pub(super) spacing: Duration,
    /// The thread that prints.
    pub(super) screen: Thread,
    /// Whether it wants to hear of single probes.
    pub(super) probes: bool,
    /// Whether there are files to write.
    pub(super) files: bool,
}

impl RingSink {
    /// A sink and its readers, with memory for some seconds of probes.
    pub(super) fn new(wiring: &Wiring) -> (RingSink, Readers) {
        let capacity = capacity(wiring.spacing);
        let fate = Arc::new(Fate::default());
        let (screen, screen_reader) = RingBuffer::new(capacity);
        let (files, files_reader) = match wiring.files {
            true => Some(RingBuffer::new(capacity)).unzip(),
            false => (None, None),
        };
        // A wake-up costs a system call on the pacing thread: not at a rate where the reader polls anyway.
        let reader = (wiring.spacing >= super::POLL).then(|| wiring.screen.clone());
        let sink = RingSink {
            screen: Ring {
                events: screen,
                reader,
            },
            files: files.map(|events| Ring { events, reader: None }),
            probes: wiring.probes,
            fate: Arc::clone(&fate),
        };
        (
            sink,
            Readers {
                screen: screen_reader,
                files: files_reader,
                fate,
            },
        )
    }
}

impl Sink for RingSink {
    fn record(&mut self, event: Event) {
        if let Event::Summary(summary) = &event
            && !summary.is_running()
        {
            self.fate.set_last(Arc::new((**summary).clone()));
            return;
        }
        if let Some(files) = &mut self.files
            && !files.push(event.clone())
        {
            self.fate.unwritten.fetch_add(1, Ordering::Relaxed);
        }
        let wanted = self.probes || !matches!(event, Event::Exchange(_) | Event::Settled(_));
        if wanted && !self.screen.push(event) {
            self.fate.unseen.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Ring {
    fn push(&mut self, event: Event) -> bool {
        let room = self.events.push(event).is_ok();
        if let Some(reader) = &self.reader {
            reader.unpark();
        }
        room
    }
}

impl Fate {
    /// The session's last word, once it has spoken it.
    pub(crate) fn last(&self) -> Option<Arc<Summary>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_last(&self, summary: Arc<Summary>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(summary);
    }

    /// Says that the session's thread has ended; no event follows.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether no event follows those that are in the rings.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Events that the screen had no room for.
    pub(crate) fn unseen(&self) -> u64 {
        self.unseen.load(Ordering::Relaxed)
    }

    /// Events that the files had no room for.
    pub(crate) fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }
}

fn capacity(spacing: Duration) -> usize {
    // Two events for a probe: what is known at once, and all that will be.
    let events = 2.0 * DEPTH / spacing.as_secs_f64();
    // A flood divides by zero; the cast saturates.
    (events as usize).clamp(FEWEST, MOST)
}

/// Whether this is the final word about a probe as files and JSON print it: once for each probe, again if a lost one
/// is answered after all, and once for each duplicate.
pub(crate) fn final_word(event: &Event) -> Option<&halloo_probe::Exchange> {
    match event {
        Event::Settled(exchange) => Some(exchange),
        Event::Exchange(exchange) if exchange.verdict == Verdict::Duplicate => Some(exchange),
        _ => None,
    }
}
