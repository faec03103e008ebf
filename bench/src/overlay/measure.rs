//! What is measured, by which tool: the same for every contender.

use super::ground::{Ground, Seat};
use super::meter::Used;
use super::recipe::Up;
use super::search::{Trial, highest};
use super::workshop::{FILES, Workshop};
use crate::report::quantile;
use crate::udp::Sink;
use anyhow::{Context, Result, bail, ensure};
use halloo_lab::program;
use serde_json::Value;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The port of whatever serves at the second end.
const PORT: u16 = 5201;
/// Beside what a tool is told to take.
const GRACE: Duration = Duration::from_secs(12);
/// Octets of payload of small datagrams.
const SMALL: usize = 200;
/// The share of them that may be missing.
pub(crate) const TOLERATED: f64 = 0.001;
/// How often a paced sender sends what is due.
const SLOT: Duration = Duration::from_micros(200);

/// A stream's rate and what it took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bulk {
    /// Megabits a second that arrived.
    pub(crate) rate: f64,
    /// Gigabytes that arrived.
    pub(crate) gigabytes: f64,
    /// Processor time.
    pub(crate) used: Used,
}

/// What a test is run on.
#[derive(Clone, Copy)]
pub(crate) struct Bench<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) workshop: &'a Workshop,
    pub(crate) up: &'a Up,
}

impl Bench<'_> {
    fn ends(&self) -> [Seat<'_>; 2] {
        self.ground.seats()
    }

    fn target(&self) -> Ipv4Addr {
        self.up.target
    }

    /// iperf3: TCP for so many seconds, so many streams at once.
    pub(crate) fn tcp(&self, streams: u32, seconds: u32) -> Result<Bulk> {
        let [a, b] = self.ends();
        let iperf3 = program("iperf3")?;
        let server = b
            .host
            .spawn(&iperf3, ["-s", "-1", "--forceflush", "-p", &PORT.to_string()]);
        server.wait_for_line("Server listening", GRACE);
        let line = format!("-c {} -p {PORT} -t {seconds} -P {streams} -J", self.target());
        let before = Used::now(self.up)?;
        let client = a.host.spawn(&iperf3, line.split(' '));
        client.wait(Duration::from_secs(seconds.into()) + GRACE);
        let used = Used::now(self.up)?.since(before);
        let (bits_per_second, octets) = of_iperf3(&client.stdout())?;
        Ok(Bulk {
            rate: bits_per_second / 1e6,
            gigabytes: octets / 1e9,
            used,
        })
    }

    /// netcat: a file, the longest that is likely to be through in so many seconds at that rate (megabits a second).
    pub(crate) fn file(&self, likely: f64, seconds: f64) -> Result<(u64, Bulk)> {
        let [a, b] = self.ends();
        let octets = length(likely, seconds);
        let path = self.workshop.noise(octets)?;
        let netcat = program("nc")?;
        let line = format!("exec {} -n -v -l -p {PORT} > /dev/null", netcat.display());
        let receiver = b.host.spawn("sh", ["-c", &line]);
        receiver.wait_for_line("Listening", GRACE);
        let mut command = Command::new(&netcat);
        command.args(["-n", "-N", &self.target().to_string(), &PORT.to_string()]);
        command.stdin(File::open(path)?);
        let (start, before) = (Instant::now(), Used::now(self.up)?);
        let sender = a.host.spawn_command(command);
        let status = receiver.wait(Duration::from_secs_f64(seconds * 3.0) + GRACE);
        let (took, used) = (start.elapsed(), Used::now(self.up)?.since(before));
        ensure!(status.success(), "{receiver}");
        let status = sender.wait(GRACE);
        ensure!(status.success(), "{sender}");
        let bulk = Bulk {
            rate: octets as f64 * 8.0 / took.as_secs_f64() / 1e6,
            gigabytes: octets as f64 / 1e9,
            used,
        };
        Ok((octets, bulk))
    }

    /// ZeroMQ: messages a second of this size.
    pub(crate) fn zeromq(&self, octets: u32, seconds: f64) -> Result<f64> {
        let [a, b] = self.ends();
        let program = match &self.workshop.zeromq {
            Ok(program) => program,
            Err(why) => bail!("{why}"),
        };
        let endpoint = format!("tcp://{}:{PORT}", self.target());
        let (octets, seconds) = (octets.to_string(), seconds.to_string());
        let taker = b.host.spawn(program, ["take", &endpoint, &octets, &seconds]);
        taker.wait_for_line("ready", GRACE);
        let _giver = a.host.spawn(program, ["give", &endpoint, &octets]);
        let status = taker.wait(GRACE);
        ensure!(status.success(), "{taker}");
        let text = taker.stdout();
        let rate = text.lines().nth(1).context("no rate")?;
        rate.trim()
            .parse()
            .with_context(|| format!("`{rate}` is no rate"))
    }

    /// The most small datagrams a second, paced, of which hardly any is lost.
    pub(crate) fn small_datagrams(&self, run: Duration, steps: u32) -> Result<f64> {
        let [a, b] = self.ends();
        let at = SocketAddr::from((self.target(), PORT));
        b.host.enter(|| {
            let sink = Sink::new(at)?;
            highest(16_000.0, 2e6, steps, TOLERATED, |rate| {
                let before = sink.taken()?;
                let (offered, took) = a.host.enter(|| offer(at, rate, run))?;
                let arrived = settled(&sink, before, offered)?;
                Ok(Trial {
                    offered: offered as f64 / took.as_secs_f64(),
                    arrived: arrived as f64 / took.as_secs_f64(),
                })
            })
        })
    }

    /// Ping: round trips, one every 2 ms, p50 and p99 in microseconds.
    pub(crate) fn trips(&self, count: u32) -> Result<[f64; 2]> {
        let [a, _] = self.ends();
        let line = format!("-n -i 0.002 -c {count} -s 56 {}", self.target());
        let client = a.host.spawn(program("ping")?, line.split(' '));
        client.wait(Duration::from_millis(u64::from(count) * 4) + GRACE);
        let mut trips = of_ping(&client.stdout());
        ensure!(
            trips.len() * 10 >= count as usize * 9,
            "{} of {count} pings came back",
            trips.len()
        );
        let [p50, p99] = [0.5, 0.99].map(|share| quantile(&mut trips, share).unwrap_or(f64::NAN) / 1e3);
        Ok([p50, p99])
    }
}

/// Bits a second and octets that arrived, of iperf3's JSON.
fn of_iperf3(text: &str) -> Result<(f64, f64)> {
    let report: Value =
        serde_json::from_str(text).with_context(|| format!("iperf3 says `{}`", text.trim()))?;
    if let Some(error) = report["error"].as_str() {
        bail!("iperf3: {error}");
    }
    let sum = &report["end"]["sum_received"];
    let [rate, octets] = ["bits_per_second", "bytes"].map(|key| sum[key].as_f64().unwrap_or(0.0));
    ensure!(octets > 0.0, "iperf3: nothing arrived");
    Ok((rate, octets))
}

/// Nanoseconds of every `time=0.082 ms`.
fn of_ping(text: &str) -> Vec<u64> {
    text.lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once("time=")?;
            let ms: f64 = rest.split(' ').next()?.parse().ok()?;
            Some((ms * 1e6) as u64)
        })
        .collect()
}

/// The longest of the files that takes no longer than this at that rate (megabits a second); else the shortest.
fn length(rate: f64, seconds: f64) -> u64 {
    let fits = |octets: &&u64| **octets as f64 * 8.0 / 1e6 <= rate * seconds;
    let [.., shortest] = FILES;
    FILES.iter().find(fits).copied().unwrap_or(shortest)
}

/// Sends small datagrams at a rate: what is due every slot, and never more than two slots' at once, so that a sender that was
/// held up does not send in a burst what it missed. How many it sent, in what time.
fn offer(to: SocketAddr, rate: f64, run: Duration) -> Result<(usize, Duration)> {
    // Before everything else, else it is the scheduler that is measured. Where it is refused there is more noise.
    let thread = rustix::thread::gettid().to_string();
    let _ = Command::new("chrt")
        .args(["--fifo", "--pid", "10", &thread])
        .status();
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(to)?;
    let payload = [0x5a; SMALL];
    let most = 2.0 * rate * SLOT.as_secs_f64() + 1.0;
    let (start, mut offered, mut due) = (Instant::now(), 0, 0.0_f64);
    let (mut credited, mut slot) = (start, start);
    while start.elapsed() < run {
        let now = Instant::now();
        due = (due + rate * (now - credited).as_secs_f64()).min(most);
        credited = now;
        while due >= 1.0 {
            due -= 1.0;
            offered += 1;
            // Refused for want of room is lost as anything else is.
            let _ = socket.send(&payload);
        }
        // The next slot begins when it begins, whatever this one's work took.
        slot = (slot + SLOT).max(credited);
        sleep(slot.saturating_duration_since(Instant::now()));
    }
    Ok((offered, start.elapsed()))
}

/// How many have arrived of those that were offered, once no more come.
fn settled(sink: &Sink, before: usize, offered: usize) -> Result<usize> {
    let (mut arrived, mut heard) = (0, Instant::now());
    while arrived < offered && heard.elapsed() < Duration::from_millis(100) {
        sleep(Duration::from_millis(2));
        let now = sink.taken()? - before;
        if now > arrived {
            (arrived, heard) = (now, Instant::now());
        }
    }
    Ok(arrived)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iperf3_tells_what_arrived_or_what_went_wrong() {
        let text =
            r#"{"end":{"sum_sent":{"bytes":9},"sum_received":{"bytes":2000000000,"bits_per_second":8e9}}}"#;
        assert_eq!(of_iperf3(text).unwrap(), (8e9, 2e9));
        let said = |text| of_iperf3(text).unwrap_err().to_string();
        assert_eq!(
            said(r#"{"error":"unable to connect"}"#),
            "iperf3: unable to connect"
        );
        assert!(said("").contains("iperf3 says"));
        assert!(said("{}").contains("nothing arrived"));
    }

    #[test]
    fn ping_tells_milliseconds() {
        let text = "64 bytes from 192.168.91.2: icmp_seq=1 ttl=64 time=0.082 ms\n\
                    64 bytes from 192.168.91.2: icmp_seq=2 ttl=64 time=1.5 ms\n\n2 packets transmitted, 2 received\n";
        assert_eq!(of_ping(text), [82_000, 1_500_000]);
    }

    #[test]
    fn who_is_slow_sends_a_shorter_file() {
        assert_eq!(length(10_000.0, 8.0), 1_000_000_000);
        assert_eq!(length(1_000.0, 8.0), 1_000_000_000);
        assert_eq!(length(999.0, 8.0), 250_000_000);
        assert_eq!(length(100.0, 8.0), 60_000_000);
        assert_eq!(length(0.0, 8.0), 15_000_000);
    }
}
