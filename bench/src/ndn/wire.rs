//! Sending a load and counting its answers, over a stream or over datagrams, in batches.

use super::load::Load;
use anyhow::{Context, Result, bail};
use halloo_protocols::ndn::tlv;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Silence after which what is under way counts as lost.
const PATIENCE: Duration = Duration::from_millis(50);
/// Datagrams of one call.
const BATCH: usize = 64;
/// Longer than any answer here.
const LONGEST_ANSWER: usize = 512;

/// What came of one run.
pub(super) struct Series {
    pub(super) answered: u64,
    pub(super) lost: u64,
    /// Nanoseconds of each round trip, where one Interest is under way at a time.
    pub(super) trips: Vec<u64>,
    pub(super) took: Duration,
}

/// The way to a server. Nothing blocks: the generator never sleeps.
pub(super) enum Wire {
    Stream(Stream),
    Datagrams(Datagrams),
}

pub(super) struct Stream {
    stream: UnixStream,
    /// Bytes of an answer; those of one that has begun.
    answer_len: usize,
    begun: usize,
    buffer: Vec<u8>,
}

pub(super) struct Datagrams {
    socket: UdpSocket,
    sending: MultiHeaders<SockaddrStorage>,
    receiving: MultiHeaders<SockaddrStorage>,
    space: Vec<u8>,
}

impl Wire {
    /// A forwarder's end of a stream. The first answers are checked, and tell how long all are.
    pub(super) fn stream(mut stream: UnixStream, load: &Load) -> Result<Wire> {
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(load.piece(0, BATCH))?;
        let mut buffer = vec![0; 1 << 16];
        let len = stream.read(&mut buffer).context("no answer")?;
        let answer_len = tlv::measure(&buffer[..len])?.context("no answer")?;
        let rest = (BATCH * answer_len)
            .checked_sub(len)
            .context("too many answers")?;
        stream
            .read_exact(&mut buffer[len..len + rest])
            .context("too few answers")?;
        for (number, answer) in buffer.chunks(answer_len).take(BATCH).enumerate() {
            load.check(number as u64, answer)?;
        }
        stream.set_nonblocking(true)?;
        Ok(Wire::Stream(Stream {
            stream,
            answer_len,
            begun: 0,
            buffer,
        }))
    }

    /// A connected socket. The first answers are checked.
    pub(super) fn datagrams(socket: UdpSocket, load: &Load) -> Result<Wire> {
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut space = vec![0; BATCH * LONGEST_ANSWER];
        for number in 0..BATCH as u64 {
            socket.send(load.piece(number, 1))?;
            let len = socket.recv(&mut space).context("no answer")?;
            load.check(number, &space[..len])?;
        }
        socket.set_nonblocking(true)?;
        Ok(Wire::Datagrams(Datagrams {
            socket,
            sending: MultiHeaders::preallocate(BATCH, None),
            receiving: MultiHeaders::preallocate(BATCH, None),
            space,
        }))
    }

    /// Keeps `window` Interests under way for so long.
    pub(super) fn run(&mut self, load: &Load, window: usize, duration: Duration) -> Result<Series> {
        let start = Instant::now();
        let (mut number, mut under_way, mut answered, mut lost) = (1, 0, 0, 0);
        let mut trips = Vec::new();
        let (mut asked, mut heard) = (start, start);
        loop {
            let now = Instant::now();
            if now - start >= duration {
                break;
            }
            let room = window - under_way;
            // Sending one for each that came would measure the generator's system calls.
            if room * 2 >= window {
                asked = now;
                self.send(load, number, room)?;
                number += room as u64;
                under_way += room;
            }
            let came = self.receive()?;
            if came > under_way {
                bail!("{came} answers to {under_way} Interests");
            }
            if came > 0 {
                heard = Instant::now();
                answered += came as u64;
                under_way -= came;
                if window == 1 {
                    trips.push((heard - asked).as_nanos() as u64);
                }
            } else if now - heard.max(asked) > PATIENCE {
                lost += under_way as u64;
                under_way = 0;
            }
        }
        let took = start.elapsed();
        self.settle(under_way)?;
        Ok(Series {
            answered,
            lost,
            trips,
            took,
        })
    }

    fn send(&mut self, load: &Load, number: u64, count: usize) -> Result<()> {
        match self {
            Wire::Stream(stream) => stream.send(load.piece(number, count)),
            Wire::Datagrams(datagrams) => datagrams.send(load, number, count),
        }
    }

    fn receive(&mut self) -> Result<usize> {
        match self {
            Wire::Stream(stream) => stream.receive(),
            Wire::Datagrams(datagrams) => datagrams.receive(),
        }
    }

    /// Takes in what is still under way, so that the next run does not count it.
    fn settle(&mut self, mut under_way: usize) -> Result<()> {
        let mut heard = Instant::now();
        while under_way > 0 && heard.elapsed() < PATIENCE {
            let came = self.receive()?;
            if came > 0 {
                heard = Instant::now();
                under_way = under_way.saturating_sub(came);
            }
        }
        Ok(())
    }
}

impl Stream {
    fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
                Err(error) => return Err(error).context("the server has gone"),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<usize> {
        match self.stream.read(&mut self.buffer) {
            Ok(0) => bail!("the server has gone"),
            Ok(len) => {
                let len = self.begun + len;
                self.begun = len % self.answer_len;
                Ok(len / self.answer_len)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error).context("the server has gone"),
        }
    }
}

impl Datagrams {
    fn send(&mut self, load: &Load, number: u64, count: usize) -> Result<()> {
        let mut sent = 0;
        while sent < count {
            let batch = (count - sent).min(BATCH);
            let piece = load.piece(number + sent as u64, batch);
            let slices: Vec<_> = piece
                .chunks(load.len)
                .map(|interest| [IoSlice::new(interest)])
                .collect();
            let addresses = vec![None; batch];
            let fd = self.socket.as_raw_fd();
            match sendmmsg(fd, &mut self.sending, &slices, &addresses, [], MsgFlags::empty()) {
                Ok(results) => sent += results.count(),
                Err(Errno::EAGAIN | Errno::ENOBUFS) => std::hint::spin_loop(),
                Err(error) => return Err(error).context("cannot send"),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<usize> {
        let mut slices: Vec<_> = self
            .space
            .chunks_mut(LONGEST_ANSWER)
            .map(|place| [IoSliceMut::new(place)])
            .collect();
        let fd = self.socket.as_raw_fd();
        match recvmmsg(fd, &mut self.receiving, &mut slices, MsgFlags::MSG_DONTWAIT, None) {
            Ok(results) => Ok(results.count()),
            Err(Errno::EAGAIN) => Ok(0),
            Err(error) => Err(error).context("cannot receive"),
        }
    }
}
