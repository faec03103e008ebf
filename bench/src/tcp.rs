//! The connection generator: one exchange outstanding on each of many connections, and bursts of connects.

use crate::udp::SIZE;
use anyhow::{Context, Result, ensure};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

const REQUEST: [u8; SIZE] = crate::udp::PAYLOAD;

/// Connections that each ask again as soon as they are answered.
pub(crate) struct Connections {
    epoll: OwnedFd,
    conns: Vec<Conn>,
    events: Vec<epoll::Event>,
}

struct Conn {
    stream: TcpStream,
    /// Bytes of the answer that are still to come.
    missing: usize,
    asked: Instant,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Exchanges {
    pub(crate) per_second: f64,
    /// Every exchange, nanoseconds.
    pub(crate) trips: Vec<u64>,
}

impl Connections {
    /// Opens `count` connections at once, and has each answered once. Returns how long that took from the
    /// first connect to the last answer.
    pub(crate) fn open(target: SocketAddr, count: usize, limit: Duration) -> Result<(Connections, Duration)> {
        let mut all = Connections {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            conns: Vec::with_capacity(count),
            events: Vec::with_capacity(1024),
        };
        let start = Instant::now();
        let mut answered = 0;
        for index in 0..count {
            let stream = connect(target)?;
            epoll::add(
                &all.epoll,
                &stream,
                EventData::new_u64(index as u64),
                EventFlags::OUT,
            )?;
            all.conns.push(Conn {
                stream,
                missing: 0,
                asked: start,
            });
            if index % 64 == 63 {
                answered += all.advance(Duration::ZERO)?;
            }
        }
        while answered < count {
            let left = limit.checked_sub(start.elapsed());
            let left = left.with_context(|| format!("{answered} of {count} answered in {limit:?}"))?;
            answered += all.advance(left)?;
        }
        Ok((all, start.elapsed()))
    }

    /// Has every connection ask over and over for so long, after a warm-up.
    pub(crate) fn exchange(&mut self, warm_up: Duration, duration: Duration) -> Result<Exchanges> {
        for conn in &mut self.conns {
            conn.ask()?;
        }
        let start = Instant::now() + warm_up;
        let end = start + duration;
        let mut trips = Vec::with_capacity(1 << 20);
        let mut idle = Instant::now();
        loop {
            let count = self.wait(Duration::from_millis(20))?;
            let now = Instant::now();
            if now >= end {
                break;
            }
            if count > 0 {
                idle = now;
            }
            ensure!(now - idle < Duration::from_secs(5), "no answers any more");
            let events: Vec<_> = self.events.drain(..).collect();
            for event in events {
                let conn = &mut self.conns[event.data.u64() as usize];
                if conn.is_answered()? {
                    let now = Instant::now();
                    if conn.asked >= start {
                        trips.push((now - conn.asked).as_nanos() as u64);
                    }
                    conn.ask()?;
                }
            }
        }
        let per_second = trips.len() as f64 / duration.as_secs_f64();
        Ok(Exchanges { per_second, trips })
    }

    /// Connections that come up ask once; returns how many got their answer.
    fn advance(&mut self, timeout: Duration) -> Result<usize> {
        self.wait(timeout)?;
        let mut answered = 0;
        let events: Vec<_> = self.events.drain(..).collect();
        for event in events {
            let index = event.data.u64();
            let conn = &mut self.conns[index as usize];
            let flags = event.flags;
            if flags.contains(EventFlags::OUT) {
                if let Some(error) = conn.stream.take_error()? {
                    return Err(error).context("cannot connect");
                }
                conn.ask()?;
                epoll::modify(
                    &self.epoll,
                    &conn.stream,
                    EventData::new_u64(index),
                    EventFlags::IN,
                )?;
            } else if conn.is_answered()? {
                answered += 1;
            }
        }
        Ok(answered)
    }

    fn wait(&mut self, timeout: Duration) -> Result<usize> {
        let timeout = rustix::event::Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        self.events.clear();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.events),
            Some(&timeout),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(self.events.len()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Conn {
    fn ask(&mut self) -> Result<()> {
        self.asked = Instant::now();
        self.missing = SIZE;
        // One small request in flight always fits into the send buffer.
        self.stream.write_all(&REQUEST)?;
        Ok(())
    }

    fn is_answered(&mut self) -> Result<bool> {
        let mut buffer = [0; SIZE];
        match self.stream.read(&mut buffer[..self.missing.max(1)]) {
            Ok(0) => anyhow::bail!("the server closed a connection"),
            Ok(len) => {
                self.missing = self.missing.saturating_sub(len);
                Ok(self.missing == 0)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error).context("a connection broke"),
        }
    }
}

fn connect(target: SocketAddr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // Closed by a reset: what one contender leaves behind must not be in the way of the next.
    socket.set_linger(Some(Duration::ZERO))?;
    match socket.connect(&target.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => {}
        Err(error) => return Err(error).context("cannot connect"),
    }
    Ok(socket.into())
}
