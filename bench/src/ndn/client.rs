//! A client's pace, seen from where its Interests arrive.

use super::load::PREFIX;
use super::server::{Program, Running, accept};
use anyhow::{Context, Result, ensure};
use halloo_protocols::ndn::{Interest, MetaInfo, Signer, Unsigned, tlv};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Stdio;
use std::time::Instant;

/// What a client did at `-i 1`.
pub(super) struct Pace {
    /// Probes a second, first to last.
    pub(super) rate: f64,
    /// Nanoseconds between arrivals.
    pub(super) gaps: Vec<u64>,
    /// What it says itself.
    pub(super) least_round_trip_us: f64,
}

/// Lets it ask so often, and answers at once.
pub(super) fn pace(program: &Program, probes: usize) -> Result<Pace> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("nfd.sock");
    let listener = UnixListener::bind(&socket)?;
    let mut command = program.command("ndnping", &socket);
    command
        .args(["-i", "1", "-c", &probes.to_string(), PREFIX])
        .stdout(Stdio::piped());
    let mut running = Running {
        child: command.spawn().context("cannot start it")?,
        _folder: folder,
    };
    let output = running.child.stdout.take().context("its output is a pipe")?;
    // Read beside, so that it never waits for us.
    let text = std::thread::spawn(move || std::io::read_to_string(output));
    let arrivals = answer(accept(&listener)?, probes)?;
    running.child.wait()?;
    let text = text.join().ok().context("the reader panicked")??;
    let gaps: Vec<_> = arrivals
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_nanos() as u64)
        .collect();
    ensure!(!gaps.is_empty(), "one probe has no pace");
    let whole = arrivals[arrivals.len() - 1] - arrivals[0];
    Ok(Pace {
        rate: gaps.len() as f64 / whole.as_secs_f64(),
        gaps,
        least_round_trip_us: least_round_trip(&text)? * 1e3,
    })
}

/// When each Interest arrived.
fn answer(mut stream: UnixStream, probes: usize) -> Result<Vec<Instant>> {
    // Never asleep when one comes: what is measured is the client's clock, not ours.
    stream.set_nonblocking(true)?;
    let signer = Signer::digest();
    let mut arrivals = Vec::with_capacity(probes);
    let (mut buffer, mut held) = (vec![0; 1 << 16], 0);
    while arrivals.len() < probes {
        match stream.read(&mut buffer[held..]) {
            Ok(0) => break,
            Ok(len) => held += len,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        }
        let at = Instant::now();
        while let Some(len) = tlv::measure(&buffer[..held])?.filter(|len| *len <= held) {
            let data = answer_to(&buffer[..len], &signer)?;
            stream.write_all(&data)?;
            arrivals.push(at);
            buffer.copy_within(len..held, 0);
            held -= len;
        }
    }
    ensure!(arrivals.len() == probes, "it asked {} times", arrivals.len());
    Ok(arrivals)
}

fn answer_to(wire: &[u8], signer: &Signer) -> Result<Vec<u8>> {
    let interest = Interest::parse(wire).context("what it asks is no Interest")?;
    let unsigned = Unsigned {
        name: interest.name,
        meta: Some(MetaInfo::default()),
        content: Some(&[]),
    };
    unsigned.sign(signer).context("too long")
}

/// Milliseconds, from `rtt min/avg/max/mdev = 0.09/...`.
fn least_round_trip(text: &str) -> Result<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("rtt min/avg/max/mdev = "));
    let least = line
        .and_then(|line| line.split('/').next())
        .context("it says no round trip")?;
    Ok(least.parse()?)
}
