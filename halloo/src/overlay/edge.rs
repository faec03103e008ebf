//! `halloo edge`: a device whose frames reach the other members of a community.

use super::address::Given;
use super::control::Control;
use super::kernel::{Kernel, Table};
use super::keys::SystemEntropy;
use super::question::{Answers, Question, Silence, question};
use super::report::Reporter;
use super::revoked::Revoked;
use super::surroundings::Surroundings;
use super::{
    SOFTWARE, become_nearly_nobody, become_nobody, ciphers, device, key, keys, lookup, metrics, sending,
    socket, status,
};
use crate::cli::MemberAddress;
use crate::cli::overlay::{EdgeArgs, EdgeQuestion, OffloadChoice};
use crate::config::{Config, Edge as EdgeConfig};
use crate::serve::Supervisor;
use crate::signals::{Request, Signals};
use anyhow::{Context, Result, bail};
use halloo_io::{TapDevice, Worker, WorkerOptions, powerless};
use halloo_overlay::crypto::{Community, Identity, Local, Offer};
use halloo_overlay::edge::{
    Edge, EdgeEvent, EdgeOptions, EdgeStatus, News, Observer, SupernodePlace, VxlanDevice,
};
use halloo_overlay::switch::Flood;
use halloo_overlay::vxlan::Member;
use halloo_overlay::wire::feature;
use halloo_overlay::{Cipher, Mac};
use ipnet::IpNet;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

/// Ethernet header and two tags: what a frame has beside its payload.
const FRAME_HEADERS: u16 = 14 + 8;
/// How long a supernode may take to give an address before it is said that it does not.
const ADDRESS: Duration = Duration::from_secs(10);
/// Nothing is waited for but signals and events, both of which wake us.
const IDLE: Duration = Duration::from_secs(60);
/// ... but the kernel's table is looked at.
const HEALS: Duration = Duration::from_secs(31);

/// Passes what the edge says on to the main thread.
struct Messenger {
    events: Sender<EdgeEvent>,
    statuses: Answers<EdgeStatus>,
    news: Receiver<News>,
    members: Sender<Vec<Member>>,
    main: Thread,
}

impl Observer for Messenger {
    fn news(&mut self) -> Option<News> {
        self.news.try_recv().ok()
    }

    fn members(&mut self, members: Vec<Member>) {
        let _ = self.members.send(members);
        self.main.unpark();
    }

    fn event(&mut self, event: EdgeEvent) {
        // Without a reader we are about to end.
        let _ = self.events.send(event);
        self.main.unpark();
    }

    fn status(&mut self, status: EdgeStatus) {
        self.statuses.give(status);
    }
}

/// Asks the running edge how it stands, from any thread.
#[derive(Clone)]
pub(super) struct Ask {
    question: Question<EdgeStatus>,
    tap: String,
    community: String,
    offload: bool,
    /// The kernel's table, if it carries the frames.
    table: Option<Arc<Mutex<Table>>>,
}

impl Ask {
    /// One line of JSON.
    ///
    /// # Errors
    /// If the edge says nothing.
    pub(super) fn status(&self) -> Result<String, Silence> {
        let status = self.question.ask()?;
        let table = self.table.as_ref();
        let table = table.map(|table| *table.lock().unwrap_or_else(PoisonError::into_inner));
        let place = (self.tap.as_str(), self.community.as_str(), self.offload);
        Ok(status::line(place, table.as_ref(), &status))
    }
}

/// Runs an edge until a signal ends it, or asks a running one.
pub(crate) fn run(args: &EdgeArgs) -> Result<ExitCode> {
    if let Some(EdgeQuestion::Status(args)) = &args.ask {
        return status::run(args);
    }
    let config = configuration(args)?;
    let mut reporter = Reporter::new(args.json);
    let identity = match &config.key_file {
        Some(path) => keys::identity(path)?,
        None => Identity::generate(&mut SystemEntropy),
    };
    let scraped = config.metrics.map(metrics::listen).transpose()?;
    let community = community(&config)?;
    let mac = config
        .mac
        .map_or_else(|| mac_of(&identity, &community), |mac| Mac(mac.0.0));
    let places = supernodes(&config, &mut reporter)?;
    let any = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
    let socket = socket(config.listen.map_or(any, |listen| listen.0), config.offload.0)?;
    let device = if config.by_kernel() {
        let ipv6 = sends_by_ipv6(&config, &places);
        Device::Kernel(Kernel::open(&config, community.vni(), mac, ipv6)?, ipv6)
    } else {
        Device::Tap(device::open(&config, mac.0)?)
    };
    let (name, link) = device.place();
    let options = EdgeOptions {
        addresses: config.fixed().map(device::prefix).collect(),
        wants_address: config.wants_address(),
        candidates: device::candidates(link, socket.local_addr().port()),
        direct: config.direct,
        offload: config.offload.0 == OffloadChoice::Auto,
        flood: if config.bridge.is_some() {
            Flood::bridging()
        } else {
            Flood::default()
        },
        link_mtu: device::longest_packet(link),
        flows: config.flows,
        vxlan: device.vxlan(&config),
        ..EdgeOptions::new(places, socket.local_addr(), link, mac)
    };
    let options = EdgeOptions {
        flow_threshold: args.flows_above.unwrap_or(options.flow_threshold),
        ..options
    };
    let candidates = options.candidates.clone();
    let id = hex(&community.id().0);
    let (local, revoked) = local(&config, identity, community)?;
    let (events, heard) = mpsc::channel();
    let (statuses, unasked) = question();
    let (news, heeded) = mpsc::channel();
    let (members, reached) = mpsc::channel();
    let messenger = Messenger {
        events,
        statuses,
        news: heeded,
        members,
        main: thread::current(),
    };
    let offered = local.offer.ciphers.clone();
    let edge = Edge::new(options, local, Box::new(SystemEntropy), Box::new(messenger));
    let mut worker = Worker::new(WorkerOptions {
        seed: crate::random_u64()?,
        ..WorkerOptions::default()
    })
    .context("cannot make a worker")?;
    worker.watch_links().context("cannot watch the links")?;
    let bound = socket.local_addr();
    let machine = worker.add(Box::new(edge));
    worker.udp(socket, machine).context("cannot watch the socket")?;
    worker.sockets(sending(config.offload.0), machine);
    let mut kernel = match device {
        Device::Tap(tap) => {
            worker.tap(tap, machine).context("cannot watch the device")?;
            None
        }
        Device::Kernel(kernel, _) => Some(kernel),
    };
    let ask = Ask {
        question: Question::new(unasked, worker.remote()),
        tap: name.clone(),
        community: config.community.clone(),
        offload: config.offload.0 == OffloadChoice::Auto,
        table: kernel.as_ref().map(Kernel::table),
    };
    let control = match Control::open(&name, config.control.as_deref()) {
        Ok(control) => Some(control),
        Err(error) if config.control.is_some() => return Err(error).context("--control"),
        Err(error) => {
            let words = format!("`halloo edge status` will not work: {error}");
            reporter.say("notice", &words, &json!({ "message": words }))?;
            None
        }
    };
    if config.wants_address() || kernel.is_some() {
        become_nearly_nobody(config.user.as_deref())?;
    } else {
        become_nobody(config.user.as_deref())?;
    }
    let main = thread::current();
    let signals = powerless(|| Signals::watch(main.clone()))
        .flatten()
        .context("cannot watch for signals")?;
    let started = format!(
        "{name} ({mac}) is a port of {}, from UDP {bound}",
        config.community
    );
    let fields = json!({
        "tap": name, "mac": mac.to_string(), "community": config.community, "community_id": id, "bound": bound,
    });
    reporter.say("edge", &started, &fields)?;
    if offered.iter().all(|cipher| !cipher.seals()) {
        let words = "frames go in the clear (--cipher)";
        reporter.say("notice", words, &json!({ "message": words }))?;
    }
    if let Some(control) = &control {
        let asked = ask.clone();
        powerless(|| control.answer(move || asked.status()))
            .flatten()
            .context("no thread for questions")?;
    }
    let metrics = scraped
        .map(|listener| {
            let question = ask.question.clone();
            powerless(|| metrics::serve(listener, question)).flatten()
        })
        .transpose()
        .context("no thread for --metrics")?;
    if let Some(metrics) = &metrics {
        reporter.metrics(metrics.address())?;
    }
    let remote = worker.remote();
    let registered = Arc::new(AtomicBool::new(false));
    let surroundings = Surroundings {
        supernodes: config.supernodes.iter().map(|known| known.0.clone()).collect(),
        device: link,
        bridge: kernel.as_ref().and_then(Kernel::bridge),
        stations: vec![],
        port: bound.port(),
        candidates,
        registered: Arc::clone(&registered),
        revoked,
        edge: news,
        remote: remote.clone(),
    };
    powerless(|| surroundings.watch())
        .flatten()
        .context("cannot watch the host's addresses")?;
    let work = move || {
        let result = worker.run();
        main.unpark();
        result
    };
    let running = powerless(|| thread::Builder::new().name("edge".into()).spawn(work))
        .flatten()
        .context("no thread for the edge")?;
    let attended = attend(
        &Attended {
            config: &config,
            link,
            heard: &heard,
            signals: &signals,
            ask: &ask,
            registered: &registered,
            ended: &|| running.is_finished(),
            reached: &reached,
        },
        kernel.as_mut(),
        &mut reporter,
    );
    // Before the device goes, whose name the next edge may have then.
    drop((control, metrics));
    remote.stop();
    let result = running
        .join()
        .unwrap_or_else(|_| Err(std::io::Error::other("the edge's thread panicked")));
    attended?;
    result.context("the edge failed")?;
    Ok(ExitCode::SUCCESS)
}

struct Attended<'a> {
    config: &'a EdgeConfig,
    link: halloo_base::LinkId,
    heard: &'a Receiver<EdgeEvent>,
    signals: &'a Signals,
    ask: &'a Ask,
    /// Whether a supernode has us.
    registered: &'a AtomicBool,
    ended: &'a dyn Fn() -> bool,
    /// How the kernel is to reach the members.
    reached: &'a Receiver<Vec<Member>>,
}

/// Prints what happens, gives the device the address that a supernode gave, and waits for signals.
fn attend(attended: &Attended<'_>, mut kernel: Option<&mut Kernel>, reporter: &mut Reporter) -> Result<()> {
    let begun = std::time::Instant::now();
    let mut supervisor: Option<Supervisor> = None;
    let mut given = Given::new(attended.config, attended.link);
    let mut warned = false;
    let mut with = BTreeSet::new();
    loop {
        while let Ok(event) = attended.heard.try_recv() {
            // That an address is said means that the device has it.
            let trouble = match &event {
                EdgeEvent::Address(prefix) => given.follow(prefix).err(),
                _ => None,
            };
            reporter.event(&event)?;
            if let Some(words) = trouble {
                reporter.say("notice", &words, &json!({ "message": words }))?;
            }
            match &event {
                EdgeEvent::Registered { supernode, .. } => drop(with.insert(*supernode)),
                EdgeEvent::SupernodeLost(supernode) => drop(with.remove(supernode)),
                _ => {}
            }
            attended.registered.store(!with.is_empty(), Ordering::Relaxed);
            match &event {
                EdgeEvent::Registered { .. } if supervisor.is_none() => {
                    supervisor = Some(Supervisor::ready(&format!(
                        "member of {}",
                        attended.config.community
                    )));
                }
                _ => {}
            }
        }
        if let Some(kernel) = &mut kernel
            && let Some(words) = kernel.follow(attended.reached)
        {
            reporter.say("notice", &words, &json!({ "message": words }))?;
        }
        while let Some(request) = attended.signals.next() {
            match request {
                Request::Stop | Request::Drain => {
                    if let Some(supervisor) = &supervisor {
                        supervisor.stopping();
                    }
                    return Ok(());
                }
                Request::Report => {
                    if let Ok(line) = attended.ask.status() {
                        let status = serde_json::from_str(&line).context("the edge's own words")?;
                        reporter.show(&line, |screen| status::show(screen, &status, true))?;
                    }
                }
            }
        }
        if (attended.ended)() {
            return Ok(());
        }
        if let Some(supervisor) = &supervisor {
            supervisor.alive();
        }
        let watchdog = supervisor.as_ref().and_then(Supervisor::watchdog);
        let idle = if kernel.is_some() { HEALS } else { IDLE };
        let mut pause = watchdog.unwrap_or(idle).min(idle);
        if given.is_missing() && !warned {
            let left = ADDRESS.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let words = "no supernode has given an address yet (has one a --pool?); one that comes later is taken";
                reporter.say("notice", words, &json!({ "message": words }))?;
                warned = true;
            } else {
                pause = pause.min(left);
            }
        }
        thread::park_timeout(pause);
    }
}

/// What the frames come by.
enum Device {
    Tap(TapDevice),
    /// And whether it sends by IPv6.
    Kernel(Kernel, bool),
}

impl Device {
    fn place(&self) -> (String, halloo_base::LinkId) {
        match self {
            Device::Tap(tap) => (tap.name().to_owned(), tap.link()),
            Device::Kernel(kernel, _) => (kernel.name().to_owned(), kernel.link()),
        }
    }

    fn vxlan(&self, config: &EdgeConfig) -> Option<VxlanDevice> {
        match self {
            Device::Tap(_) => None,
            Device::Kernel(_, ipv6) => Some(VxlanDevice {
                port: config.vxlan_port,
                ipv6: *ipv6,
            }),
        }
    }
}

/// By which version of IP members are to be reached: that of the address to listen at, or else that by which the first
/// supernode is reached.
fn sends_by_ipv6(config: &EdgeConfig, supernodes: &[SupernodePlace]) -> bool {
    let own = config.listen.map(|listen| listen.0.ip());
    let own = own.filter(|ip| !ip.is_unspecified());
    let theirs = supernodes.first().map(|place| place.address.ip());
    own.or(theirs).is_some_and(|ip| ip.to_canonical().is_ipv6())
}

fn configuration(args: &EdgeArgs) -> Result<EdgeConfig> {
    let mut config = match &args.config {
        Some(path) => {
            let file = Config::load(path)?;
            EdgeConfig {
                metrics: file.metrics.listen.map(|listen| listen.0),
                ..file.edge
            }
        }
        None => EdgeConfig::default(),
    };
    config.overlay(args);
    config
        .check()
        .map_err(|(key, why)| anyhow::anyhow!("{key}: {why}"))?;
    if let Err(why) = config.complete() {
        bail!(why);
    }
    Ok(config)
}

fn community(config: &EdgeConfig) -> Result<Community> {
    match &config.secret_file {
        Some(path) => keys::community(&config.community, path),
        // Where certificates say who is a member, the secret keeps nobody out: it only tells communities apart.
        None => Community::new(
            &config.community,
            b"no secret but certificates",
            halloo_overlay::crypto::Cost::FORMAT,
        )
        .map_err(Into::into),
    }
}

/// Where the supernodes are. What a name means may not be known yet when a host starts: it is looked up again.
fn supernodes(config: &EdgeConfig, reporter: &mut Reporter) -> Result<Vec<SupernodePlace>> {
    let mut places = vec![];
    for supernode in &config.supernodes {
        key(&supernode.0)?;
        let why = match lookup(&supernode.0) {
            Ok(Some(place)) => {
                places.push(place);
                continue;
            }
            Ok(None) => format!("--supernode {}: the name has no address", supernode.0),
            Err(error) => format!("{error:#}"),
        };
        let words = format!("{why}; it is looked up again");
        reporter.say("notice", &words, &json!({ "message": words }))?;
    }
    Ok(places)
}

fn local(config: &EdgeConfig, identity: Identity, community: Community) -> Result<(Local, Option<Revoked>)> {
    let name = match &config.name {
        Some(name) => name.clone(),
        None => hostname(),
    };
    let mut features = 0;
    if config.relay {
        features |= feature::RELAYS;
    }
    let ciphers: Vec<Cipher> = ciphers::offered(config.cipher.0);
    let offer = Offer {
        ciphers,
        compressions: ciphers::compressions(config.compress.0),
        frame: config.payload() + FRAME_HEADERS,
        name,
        features,
        software: SOFTWARE.into(),
    };
    let mut local = Local::edge(identity, community, offer);
    if let Some(path) = &config.ca {
        local.authority = Some(keys::authority(path)?);
    }
    if let Some(path) = &config.certificate {
        local.certificate = Some(keys::certificate(path)?);
    }
    let mut revoked = None;
    if let (Some(path), Some(authority)) = (&config.revoked, &mut local.authority) {
        let (list, octets) = Revoked::open(path)?;
        authority
            .revoke(&octets)
            .with_context(|| path.display().to_string())?;
        revoked = Some(list);
    }
    Ok((local, revoked))
}

/// The host's name as far as 32 octets go.
fn hostname() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy();
    let mut end = name.len().min(32);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}

/// An address that follows from who we are: locally administered, and the same again after a restart.
fn mac_of(identity: &Identity, community: &Community) -> Mac {
    let id = identity.public().member_id().0;
    let tag = community.tag().0;
    let mut octets = [0; 6];
    for (place, octet) in octets.iter_mut().enumerate() {
        *octet = id[place] ^ tag[place];
    }
    octets[0] = octets[0] & 0xfc | 0x02;
    Mac(octets)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

impl EdgeConfig {
    /// Addresses that were given.
    pub(super) fn fixed(&self) -> impl Iterator<Item = IpNet> {
        self.addresses.iter().filter_map(|address| match address.0 {
            MemberAddress::Fixed(net) => Some(net),
            MemberAddress::Auto => None,
        })
    }

    /// Whether a supernode is to give one.
    pub(super) fn wants_address(&self) -> bool {
        self.addresses
            .iter()
            .any(|address| address.0 == MemberAddress::Auto)
    }
}
