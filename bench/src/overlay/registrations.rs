//! Many members on one supernode: how long until it has them all, what that costs it, and what they cost it from then on.

use super::ground::Ground;
use super::member::Member;
use super::meter;
use anyhow::{Context, Result, ensure};
use clap::Args;
use halloo_base::{Clock, Mono, Stamp};
use halloo_io::SystemClock;
use halloo_lab::Child;
use halloo_overlay::PublicKey;
use halloo_overlay::crypto::{Community, Cost};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How many, and for how long.
#[derive(Args)]
pub(crate) struct SupernodeArguments {
    /// Members, each with a socket of its own.
    #[arg(long, default_value_t = 5_000)]
    members: usize,
    /// Communities that they are in.
    #[arg(long, default_value_t = 1)]
    communities: usize,
    /// Seconds for which they are left alone once all are there.
    #[arg(long, default_value_t = 30)]
    steady: u64,
    /// Writes the figures to this file.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

impl SupernodeArguments {
    /// So many members of one community, left alone for so long.
    pub(crate) fn new(members: usize, steady: Duration) -> SupernodeArguments {
        SupernodeArguments {
            members,
            communities: 1,
            steady: steady.as_secs(),
            json: None,
        }
    }
}

/// Until all are there, or have read the list, nobody waits longer. In one large community each reads of all the others.
const PATIENCE: Duration = Duration::from_secs(600);
/// The supernode's port.
const PORT: u16 = 7654;

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Members.
    pub(crate) members: usize,
    /// Until all were registered, and the supernode's processor time for that, seconds.
    pub(crate) registered: [f64; 2],
    /// Until each had read the list of its community once, too.
    pub(crate) listed: [f64; 2],
    /// The share of one core that the supernode took from then on, and for how long that was looked at.
    pub(crate) steady: [f64; 2],
    /// Datagrams that members sent and got a second, then.
    pub(crate) datagrams: [f64; 2],
    /// Sessions that came to an end, which none should.
    pub(crate) losses: u64,
    /// The supernode's resident memory at the end, octets.
    pub(crate) resident: f64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [[registered, registering], [listed, listing]] = [self.registered, self.listed];
        writeln!(f, "{} members, all at once", self.members)?;
        writeln!(
            f,
            "  registered after  {registered:8.2} s, for {registering:.2} s of the supernode's core"
        )?;
        writeln!(f, "  lists read after  {listed:8.2} s, for {listing:.2} s")?;
        let [share, seconds] = self.steady;
        let [asked, told] = self.datagrams;
        writeln!(
            f,
            "  then for {seconds:.0} s    {:8.2} % of a core; {asked:.0} datagrams a second to it, {told:.0} from it",
            share * 100.0
        )?;
        writeln!(f, "  sessions lost     {:8}", self.losses)?;
        write!(f, "  resident          {:8.1} MB", self.resident / 1e6)
    }
}

/// Runs it and prints what came of it.
pub(crate) fn run(arguments: &SupernodeArguments) -> Result<()> {
    crate::contender::build()?;
    let halloo = crate::contender::halloo()?;
    let figures = figures(&halloo, arguments)?;
    println!("{figures}");
    if let Some(file) = &arguments.json {
        let all = json!({
            "members": figures.members, "communities": arguments.communities,
            "registered_s": figures.registered[0], "registered_cpu_s": figures.registered[1],
            "listed_s": figures.listed[0], "listed_cpu_s": figures.listed[1],
            "steady_share": figures.steady[0], "steady_s": figures.steady[1],
            "datagrams_in": figures.datagrams[0], "datagrams_out": figures.datagrams[1],
            "losses": figures.losses, "resident_bytes": figures.resident,
        });
        std::fs::write(file, serde_json::to_string_pretty(&all)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// The figures of this program's supernode, in a namespace, with its members in another.
pub(crate) fn figures(halloo: &std::path::Path, arguments: &SupernodeArguments) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let ground = Ground::new(folder.path())?;
    let [members, server] = ground.seats();
    let supernode = server.host.spawn(halloo, ["supernode", "--user", "root"]);
    let line = supernode.wait_for_line("listening on UDP", Duration::from_secs(10));
    let key: PublicKey = line
        .rsplit(' ')
        .next()
        .context("no key")?
        .parse()
        .map_err(|error| anyhow::anyhow!("{line}: {error}"))?;
    let at = SocketAddr::from((server.at, PORT));
    let figures = members.host.enter(|| {
        let mut driver = Driver::new(at, key, arguments)?;
        measure(&mut driver, &supernode, Duration::from_secs(arguments.steady))
    })?;
    ensure!(supernode.is_running(), "{supernode}");
    Ok(figures)
}

fn measure(driver: &mut Driver, supernode: &Child, steady: Duration) -> Result<Figures> {
    let begun = SystemClock::mono();
    let before = meter::seconds(supernode)?;
    let so_far = || -> Result<[f64; 2]> {
        let took = SystemClock::mono().since(begun).as_secs_f64();
        Ok([took, meter::seconds(supernode)? - before])
    };
    driver.run(begun + PATIENCE, |member| member.is_registered)?;
    let registered = so_far()?;
    driver.run(begun + PATIENCE, |member| member.is_registered && member.has_list)?;
    let listed = so_far()?;
    // What was told of the last that came is read by now.
    driver.run(SystemClock::mono() + Duration::from_secs(15), |_| false)?;
    let (start, traffic) = (so_far()?, driver.traffic);
    driver.run(SystemClock::mono() + steady, |_| false)?;
    let end = so_far()?;
    let (seconds, used) = (end[0] - start[0], end[1] - start[1]);
    let per_second = |place: usize| (driver.traffic[place] - traffic[place]) as f64 / seconds;
    let there = driver
        .members
        .iter()
        .filter(|member| member.is_registered)
        .count();
    ensure!(
        there == driver.members.len(),
        "only {there} are there at the end; the supernode took {:.1} s of {:.1} s",
        end[1],
        end[0]
    );
    Ok(Figures {
        members: driver.members.len(),
        registered,
        listed,
        steady: [used / seconds, seconds],
        datagrams: [0, 1].map(per_second),
        losses: driver.members.iter().map(|member| member.losses).sum(),
        resident: meter::resident(supernode)?,
    })
}

/// Members and their sockets.
struct Driver {
    members: Vec<Member>,
    sockets: Vec<UdpSocket>,
    epoll: OwnedFd,
    due: BTreeSet<(Mono, usize)>,
    dues: Vec<Option<Mono>>,
    /// Datagrams sent and received.
    traffic: [u64; 2],
}

impl Driver {
    fn new(at: SocketAddr, supernode: PublicKey, arguments: &SupernodeArguments) -> Result<Driver> {
        let communities = (0..arguments.communities.max(1))
            .map(|number| Community::new(&format!("bench{number}"), b"a secret of the bench", Cost::TEST))
            .collect::<Result<Vec<Community>, _>>()?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let now = SystemClock::mono();
        let (mut members, mut sockets) = (vec![], vec![]);
        for number in 0..arguments.members {
            let socket = UdpSocket::bind("0.0.0.0:0").context("a socket for each member (ulimit -n)")?;
            socket.connect(at)?;
            socket.set_nonblocking(true)?;
            epoll::add(&epoll, &socket, EventData::new_u64(number as u64), EventFlags::IN)?;
            sockets.push(socket);
            let community = &communities[number % communities.len()];
            members.push(Member::new(number as u64, supernode, community, now));
        }
        let mut driver = Driver {
            dues: vec![None; members.len()],
            members,
            sockets,
            epoll,
            due: BTreeSet::new(),
            traffic: [0, 0],
        };
        (0..driver.members.len()).for_each(|place| driver.schedule(place));
        Ok(driver)
    }

    /// Runs until all members are as wanted, or until `end`.
    fn run(&mut self, end: Mono, wanted: impl Fn(&Member) -> bool) -> Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(1_024);
        let (mut out, mut looked) = (vec![], Mono(0));
        loop {
            let now = SystemClock::mono();
            if now.since(looked) > Duration::from_millis(5) {
                looked = now;
                if self.members.iter().all(&wanted) {
                    return Ok(());
                }
            }
            if now >= end {
                return Ok(());
            }
            // As many as a round takes: what has come meanwhile must not wait for all of them.
            for _ in 0..64 {
                let Some(&(_, place)) = self.due.first().filter(|(at, _)| *at <= now) else {
                    break;
                };
                let Stamp { wall, .. } = SystemClock.stamp();
                self.members[place].wake(now, wall, &mut out);
                self.send(place, &mut out);
            }
            let next = self.due.first().map_or(end, |(at, _)| (*at).min(end));
            let left = next.since(SystemClock::mono()).min(Duration::from_millis(100));
            let timeout = Timespec {
                tv_sec: 0,
                tv_nsec: left.subsec_nanos().into(),
            };
            events.clear();
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&timeout),
            ) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in events.drain(..) {
                self.receive(event.data.u64() as usize, &mut out);
            }
        }
    }

    fn receive(&mut self, place: usize, out: &mut Vec<Vec<u8>>) {
        let mut buffer = [0; 2_048];
        while let Ok(len) = self.sockets[place].recv(&mut buffer) {
            self.traffic[1] += 1;
            let Stamp { mono, wall, .. } = SystemClock.stamp();
            self.members[place].hear(mono, wall, &buffer[..len], out);
        }
        self.send(place, out);
    }

    fn send(&mut self, place: usize, out: &mut Vec<Vec<u8>>) {
        for datagram in out.drain(..) {
            // What does not get through is asked again.
            self.traffic[0] += u64::from(self.sockets[place].send(&datagram).is_ok());
        }
        self.schedule(place);
    }

    fn schedule(&mut self, place: usize) {
        let next = self.members[place].deadline();
        if let Some(before) = std::mem::replace(&mut self.dues[place], next) {
            self.due.remove(&(before, place));
        }
        if let Some(next) = next {
            self.due.insert((next, place));
        }
    }
}
