//! The files of a run, written on a thread of their own: a slow disk does not hold up a probe, nor a line of output.

mod seed;
mod wide;

pub(super) use wide::Best;
#[cfg(test)]
pub(super) use wide::COLUMNS;

use super::About;
use super::sink::{Fate, final_word};
use crate::format::file_time;
use anyhow::{Context, Result};
use halloo_base::Clock;
use halloo_io::SystemClock;
use halloo_probe::Event;
use rtrb::Consumer;
use seed::SeedFiles;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use wide::WideFile;

/// How often the rings are emptied: their memory lasts for seconds at any paced rate.
const PAUSE: Duration = Duration::from_millis(50);
/// What a reader of the files waits for at most.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// What is to be written, and from where.
pub(crate) struct WriterOptions {
    /// Where the seed's two files go, for each session.
    pub(crate) log_dir: Option<PathBuf>,
    /// The one wide file.
    pub(crate) csv_wide: Option<PathBuf>,
    /// The command line, for the logs.
    pub(crate) command: String,
    /// Every session with its events.
    pub(crate) sessions: Vec<(About, Consumer<Event>, Arc<Fate>)>,
}

/// The thread that writes.
pub(crate) struct Writer {
    thread: Option<JoinHandle<Vec<PathBuf>>>,
    problems: Receiver<String>,
    stop: Arc<AtomicBool>,
    paths: Vec<PathBuf>,
}

/// What was written.
pub(crate) struct Written {
    /// The files that are complete.
    pub(crate) paths: Vec<PathBuf>,
    /// Whether all are.
    pub(crate) complete: bool,
    /// What went wrong and was not told yet.
    pub(crate) problems: Vec<String>,
}

/// A session as the writer sees it.
struct Input {
    about: About,
    events: Consumer<Event>,
    fate: Arc<Fate>,
    seed: Option<SeedFiles>,
}

/// A file that gives up at its first failure and says so once.
struct Output {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    problems: Sender<String>,
}

impl Writer {
    /// Makes the files and begins to write.
    ///
    /// # Errors
    /// If a folder or file cannot be made.
    pub(crate) fn start(options: WriterOptions) -> Result<Writer> {
        let (sender, problems) = mpsc::channel();
        let mut paths = vec![];
        let mut inputs = vec![];
        let stamp = file_time(SystemClock.stamp().wall);
        if let Some(dir) = &options.log_dir {
            fs::create_dir_all(dir).with_context(|| format!("--log-dir {}", dir.display()))?;
        }
        for (about, events, fate) in options.sessions {
            let seed = match &options.log_dir {
                Some(dir) => {
                    let files = SeedFiles::create(dir, &stamp, &about, &options.command, &sender)
                        .with_context(|| format!("--log-dir {}", dir.display()))?;
                    paths.extend(files.paths());
                    Some(files)
                }
                None => None,
            };
            inputs.push(Input {
                about,
                events,
                fate,
                seed,
            });
        }
        let wide = match &options.csv_wide {
            Some(path) => {
                let file = WideFile::create(path, &sender)
                    .with_context(|| format!("--csv-wide {}", path.display()))?;
                paths.push(path.clone());
                Some(file)
            }
            None => None,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = match inputs.is_empty() {
            true => None,
            false => {
                let write = move || write_all(&mut inputs, wide, &stopped);
                Some(
                    thread::Builder::new()
                        .name("files".into())
                        .spawn(write)
                        .context("cannot start a thread")?,
                )
            }
        };
        Ok(Writer {
            thread,
            problems,
            stop,
            paths,
        })
    }

    /// The next thing that went wrong and was not told yet.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problems.try_recv().ok()
    }

    /// Waits until everything is written. All sessions have ended.
    pub(crate) fn finish(self) -> Written {
        self.stop.store(true, Ordering::Release);
        let mut problems = vec![];
        let paths = match self.thread.map(|thread| {
            thread.thread().unpark();
            thread.join()
        }) {
            // No session began, so there is nothing but what the beginning wrote.
            None => self.paths.clone(),
            Some(Ok(paths)) => paths,
            Some(Err(_)) => {
                problems.push("the thread that writes files panicked".to_owned());
                vec![]
            }
        };
        problems.extend(self.problems.try_iter());
        Written {
            complete: paths.len() == self.paths.len(),
            paths,
            problems,
        }
    }
}

/// Until all sessions have ended; the files that are complete.
fn write_all(inputs: &mut [Input], mut wide: Option<WideFile>, stop: &AtomicBool) -> Vec<PathBuf> {
    let mut flushed = Instant::now();
    loop {
        // Asked before the rings are emptied: what is in them then is all there will be.
        let last = stop.load(Ordering::Acquire) || inputs.iter().all(|input| input.fate.has_ended());
        for input in inputs.iter_mut() {
            while let Ok(event) = input.events.pop() {
                if let (Some(wide), Some(exchange)) = (&mut wide, final_word(&event)) {
                    wide.row(&input.about, exchange);
                }
                if let Some(seed) = &mut input.seed {
                    seed.event(&input.about, &event);
                }
            }
            if let (true, Some(seed)) = (last, &mut input.seed) {
                seed.end(&input.about, input.fate.last().as_deref());
            }
        }
        if last || flushed.elapsed() >= FLUSH_EVERY {
            flushed = Instant::now();
            inputs
                .iter_mut()
                .filter_map(|input| input.seed.as_mut())
                .for_each(SeedFiles::flush);
            wide.iter_mut().for_each(WideFile::flush);
        }
        if last {
            let seeds = inputs.iter().filter_map(|input| input.seed.as_ref());
            let outputs = seeds.flat_map(SeedFiles::outputs);
            let outputs = outputs.chain(wide.iter().map(WideFile::output));
            return outputs
                .filter(|output| output.is_whole())
                .map(|output| output.path.clone())
                .collect();
        }
        thread::park_timeout(PAUSE);
    }
}

impl Output {
    /// A new file, which must not be there yet.
    fn create_new(path: &Path, problems: &Sender<String>) -> io::Result<Output> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Output::of(path, file, problems))
    }

    /// A file that replaces what was there.
    fn create(path: &Path, problems: &Sender<String>) -> io::Result<Output> {
        Ok(Output::of(path, File::create(path)?, problems))
    }

    fn of(path: &Path, file: File, problems: &Sender<String>) -> Output {
        Output {
            path: path.to_owned(),
            file: Some(BufWriter::new(file)),
            problems: problems.clone(),
        }
    }

    /// Whether everything so far was written.
    fn is_whole(&self) -> bool {
        self.file.is_some()
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.attempt(|file| writeln!(file, "{text}"));
    }

    fn flush(&mut self) {
        self.attempt(BufWriter::flush);
    }

    /// Measuring goes on when a disk is full; the file ends where it filled up.
    fn attempt(&mut self, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = write(file) {
            let what = format!("{}: {error}; nothing more is written to it", self.path.display());
            // Nobody listens only if the whole run is over.
            let _ = self.problems.send(what);
            // What is still buffered would fail again when dropped.
            if let Some(file) = self.file.take() {
                let _ = file.into_parts();
            }
        }
    }
}

#[cfg(test)]
mod tests;
