//! `halloo serve`: listeners, the threads that answer on them, and what the outside is told.

mod counts;
mod dialects;
mod driver;
mod dry_run;
mod ip_echo;
mod listen;
mod listening;
mod ndn;
mod quic;
mod supervisor;
mod tell;

use crate::cli::ServeArgs;
use crate::config::{Config, Given};
use crate::key;
use crate::signals::{Request, Signals};
use anyhow::{Context, Result, bail};
use counts::{Counted, Source, counters};
use dialects::{Making, Spoken};
use driver::Drivers;
use halloo_base::{Counters, LinkId, Responder};
use halloo_io::route::{LinkAddress, Netlink};
use halloo_io::{PacketSocket, Remote, TunDevice, UdpSocket, Worker, WorkerOptions};
use halloo_protocols::echo::{self, Key, TcpEcho, UdpEcho, UdpEchoOptions};
use halloo_protocols::ip_echo::IP;
use halloo_protocols::stun::{StunBeside, StunServer, StunServerOptions};
use halloo_serve::{
    Broadcast, FrameServer, FrameServerOptions, Guards, Secret, Server, ServerOptions, StreamServer,
};
use halloo_web::Ending;
use halloo_web::HttpServer;
pub(crate) use ip_echo::{Devices, check as check_devices, open_own};
pub(crate) use listen::Listeners;
use listen::Origin;
pub(crate) use ndn::Ndn;
use nix::unistd::Uid;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
pub(crate) use supervisor::Supervisor;
use tell::Teller;

/// Whom root becomes unless told otherwise.
const NOBODY: &str = "nobody";
/// Nothing is waited for but signals and the end of a thread, both of which wake us.
const IDLE: Duration = Duration::from_secs(60);

/// An echo host that answers, on threads of its own.
pub(crate) struct EchoHost {
    threads: Vec<(JoinHandle<io::Result<()>>, Remote)>,
    /// Whether one of them has ended.
    ended: Arc<AtomicBool>,
    counted: Vec<Counted>,
    drivers: Drivers,
    ndn: ndn::Attended,
    web: Vec<HttpServer>,
    /// What nobody reads, and has to be there.
    _devices: ip_echo::Devices,
}

/// Serves until a signal ends it.
pub(crate) fn run(args: &ServeArgs) -> Result<ExitCode> {
    let mut teller = Teller::new(args.json);
    let (config, origin) = configuration(args)?;
    if args.dry_run {
        return dry_run::run(&config, &origin);
    }
    let key = config.serve.key_file.as_deref().map(key::read).transpose()?;
    let listeners = Listeners::open(&config, &origin, &mut teller)?;
    if config.most_connections() > 0 {
        listen::warn_of_short_backlog(&mut teller);
        raise_file_limit(&config, &mut teller);
    }
    become_nobody(&config, &mut teller)?;
    let signals = Signals::watch(thread::current()).context("cannot watch for signals")?;
    let told = listeners.told().to_vec();
    let mut host = EchoHost::start(&config, key, listeners)?;
    // Not before: who reads that we listen may send a datagram, or a signal, at once.
    teller.ready(&told)?;
    let status = told
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let supervisor = Supervisor::ready(&status);
    let ended = attend(&mut host, &signals, &supervisor, &mut teller);
    supervisor.stopping();
    let failed = host.stop();
    ended?;
    failed.context("a thread that answers failed")?;
    Ok(ExitCode::SUCCESS)
}

/// The file's settings with the command line's laid over them.
fn configuration(args: &ServeArgs) -> Result<(Config, Origin)> {
    let mut config = match &args.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    let origin = Origin {
        file: args.config.clone(),
        given: Given::by(args),
    };
    config.overlay(args);
    if config.serve.require_key && config.serve.key_file.is_none() {
        bail!("serve.require_key needs a key: --key-file FILE");
    }
    Ok((config, origin))
}

/// Reports on request, until it is asked to stop or a thread has failed.
fn attend(
    host: &mut EchoHost,
    signals: &Signals,
    supervisor: &Supervisor,
    teller: &mut Teller,
) -> Result<()> {
    let idle = if host.drivers.is_empty() {
        IDLE
    } else {
        driver::REFRESH
    };
    let pause = supervisor.watchdog().unwrap_or(idle).min(idle);
    loop {
        while let Some(request) = signals.next() {
            let last = request == Request::Stop;
            teller.counters(&host.counted, &host.drivers.counted(), last)?;
            if last {
                return Ok(());
            }
        }
        if host.has_failed() {
            return Ok(());
        }
        supervisor.alive();
        host.drivers.refresh();
        host.ndn.tell();
        thread::park_timeout(pause);
    }
}

impl EchoHost {
    /// Starts to answer: one thread for all of UDP, one for all of TCP.
    ///
    /// # Errors
    /// If the rules contradict themselves, or there is no thread to be had.
    pub(crate) fn start(config: &Config, key: Option<Key>, mut listeners: Listeners) -> Result<EchoHost> {
        let own_ports = listeners.udp_ports();
        let mut host = EchoHost {
            threads: vec![],
            ended: Arc::default(),
            counted: vec![],
            drivers: std::mem::take(&mut listeners.drivers),
            ndn: listeners.ndn.attended,
            web: vec![],
            _devices: ip_echo::Devices::default(),
        };
        let mut guards = config.guards();
        guards.broadcasts = broadcasts();
        let mut streams = config.stream_options(Secret::new(crate::random()?));
        streams.broadcasts.clone_from(&guards.broadcasts);
        if !listeners.dialects.is_empty() {
            let making = Making {
                config,
                key: key.as_ref(),
                guards: &Guards {
                    own_ports: own_ports.clone(),
                    ..guards.clone()
                },
                streams: &streams,
            };
            let spoken = std::mem::take(&mut listeners.dialects).into_iter();
            let (web, spoken): (Vec<_>, Vec<_>) = spoken.partition(Spoken::is_web);
            let (quic, spoken): (Vec<_>, Vec<_>) = spoken.into_iter().partition(Spoken::is_quic);
            let mut http3_port = None;
            for spoken in quic {
                let port = spoken.udp.first().map(|socket| socket.local_addr().port());
                let answering = making.quic(spoken)?;
                http3_port = port.filter(|_| answering.web.is_some());
                host.counted.extend(answering.counted);
                host.web.extend(answering.web);
                host.spawn("quic", answering.worker)?;
            }
            if !spoken.is_empty() {
                let (worker, counted) = making.worker(spoken)?;
                host.counted.extend(counted);
                host.spawn("dialects", worker)?;
            }
            for spoken in web {
                let (server, counted) = making.web(spoken, http3_port)?;
                host.counted.extend(counted);
                host.web.push(server);
            }
        }
        if !listeners.udp.is_empty() {
            let options = ServerOptions {
                guards: Guards {
                    own_ports,
                    ..guards.clone()
                },
                reply_limit: echo::UDP.reply_limit,
                transport: echo::UDP.transport,
                secret: Secret::new(crate::random()?),
            };
            let ends = listeners.udp.iter().flat_map(ends).collect();
            let responder = UdpEcho::new(echo_options(config, key, ends), crate::random()?);
            // Clients of STUN are answered here too, told apart by what they send; but they prove no key.
            let responder: Box<dyn Responder> = if config.serve.require_key {
                Box::new(responder)
            } else {
                let stun = StunServer::new(StunServerOptions::default());
                Box::new(StunBeside::new(stun, responder))
            };
            let counters = host.count(counters(&echo::UDP));
            let server = Server::new(options, responder, counters)?;
            let mut worker = worker(config.serve.busy_poll)?;
            let machine = worker.add(Box::new(server));
            for socket in listeners.udp {
                worker.udp(socket, machine).context("cannot watch a UDP socket")?;
            }
            host.spawn("udp", worker)?;
        }
        if !listeners.tcp.is_empty() {
            let counters = host.count(counters(&echo::TCP));
            let server = StreamServer::new(streams, Box::new(|_| Box::new(TcpEcho)), counters)?;
            let mut worker = worker(false)?;
            let machine = worker.add(Box::new(server));
            for listener in listeners.tcp {
                worker
                    .listen(listener, machine)
                    .context("cannot watch a TCP listener")?;
            }
            host.spawn("tcp", worker)?;
        }
        if let Some(worker) = listeners.ndn.worker {
            host.counted.extend(listeners.ndn.counted);
            host.spawn("ndn", worker)?;
        }
        host.start_ip_echo(config, &guards, listeners.devices)?;
        Ok(host)
    }

    /// A thread for each queue of the TUN device, and one for each Ethernet device.
    fn start_ip_echo(
        &mut self,
        config: &Config,
        guards: &Guards,
        mut devices: ip_echo::Devices,
    ) -> Result<()> {
        let queues = std::mem::take(&mut devices.tun);
        let wires = std::mem::take(&mut devices.wires);
        self._devices = devices;
        if let Some(first) = queues.first() {
            let mut counted = on_device(first.name());
            let mut guards = guards.clone();
            for broadcast in &mut guards.broadcasts {
                // What comes out of the device came by any link.
                broadcast.link = LinkId::default();
            }
            for queue in queues {
                let counters = counted.thread();
                self.start_queue(config, &guards, queue, counters)?;
            }
            self.counted.push(counted);
        }
        for (socket, addresses) in wires {
            self.start_wire(config, guards, socket, addresses)?;
        }
        Ok(())
    }

    fn start_queue(
        &mut self,
        config: &Config,
        guards: &Guards,
        queue: TunDevice,
        counters: Arc<Counters>,
    ) -> Result<()> {
        let options = ServerOptions {
            guards: guards.clone(),
            reply_limit: IP.reply_limit,
            transport: IP.transport,
            secret: Secret::new(crate::random()?),
        };
        let responder = Box::new(ip_echo::responder(config, false));
        let mut worker = worker(config.serve.busy_poll)?;
        let machine = worker.add(Box::new(Server::new(options, responder, counters)?));
        worker.tun(queue, machine).context("cannot watch a TUN device")?;
        self.spawn("ip", worker)
    }

    fn start_wire(
        &mut self,
        config: &Config,
        guards: &Guards,
        socket: PacketSocket,
        addresses: Vec<IpAddr>,
    ) -> Result<()> {
        let neighbours = Arc::new(Counters::default());
        self.counted.push(Counted {
            source: Source::Neighbours(Arc::clone(&neighbours)),
            ..on_device(socket.device())
        });
        let counters = self.count(on_device(socket.device()));
        let secret = Secret::new(crate::random()?);
        let options = FrameServerOptions {
            guards: guards.clone(),
            ..FrameServerOptions::new(socket.link(), socket.mac(), addresses, secret)
        };
        let responder = Box::new(ip_echo::responder(config, true));
        let server = FrameServer::new(options, responder, counters, neighbours)?;
        let mut worker = worker(config.serve.busy_poll)?;
        let machine = worker.add(Box::new(server));
        worker
            .packet(socket, machine)
            .context("cannot watch a packet socket")?;
        self.spawn("frames", worker)
    }

    /// Stops answering.
    ///
    /// # Errors
    /// What ended a thread before its time.
    pub(crate) fn stop(self) -> io::Result<()> {
        let mut result = Ok(());
        for (_, remote) in &self.threads {
            remote.stop();
        }
        for server in self.web {
            result = result.and(server.stop());
        }
        for (thread, _) in self.threads {
            let ended = thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("it panicked")));
            result = result.and(ended);
        }
        result
    }

    fn count(&mut self, mut counted: Counted) -> Arc<Counters> {
        let counters = counted.thread();
        self.counted.push(counted);
        counters
    }

    fn spawn(&mut self, name: &str, mut worker: Worker) -> Result<()> {
        let remote = worker.remote();
        let ending = Ending::tells(&self.ended);
        let run = move || {
            let _ending = ending;
            worker.run()
        };
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(run)
            .context("cannot start a thread")?;
        self.threads.push((thread, remote));
        Ok(())
    }

    /// Nothing ends a thread but us, or a failure.
    fn has_failed(&self) -> bool {
        self.ended.load(Ordering::Acquire) || self.web.iter().any(HttpServer::has_failed)
    }
}

/// Counters of the IP echo on a device.
fn on_device(name: &str) -> Counted {
    Counted {
        device: Some(name.to_owned()),
        ..counters(&IP)
    }
}

fn worker(busy_poll: bool) -> Result<Worker> {
    let options = WorkerOptions {
        busy_poll,
        answers_only: true,
        seed: crate::random_u64()?,
    };
    Worker::new(options).context("cannot set up the driver")
}

/// Where a socket answers: one of both families in two ways.
fn ends(socket: &UdpSocket) -> impl Iterator<Item = SocketAddr> {
    let bound = socket.local_addr();
    let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), bound.port());
    let is_dual = bound.is_ipv6() && socket.covers(v4);
    [Some(bound), is_dual.then_some(v4)].into_iter().flatten()
}

fn echo_options(config: &Config, key: Option<Key>, ends: Vec<SocketAddr>) -> UdpEchoOptions {
    UdpEchoOptions {
        key,
        require_key: config.serve.require_key,
        sessions: config.serve.sessions as usize,
        min_interval: config.serve.min_interval.0,
        server_id: config.serve.server_id,
        pingback: config.pingback.options(ends),
    }
}

/// Directed broadcast addresses of this host's networks at this moment, whether or not its links were told theirs: the
/// kernel takes them for such all the same.
pub(crate) fn broadcasts() -> Vec<Broadcast> {
    let addresses = Netlink::open().and_then(|mut netlink| netlink.addresses());
    let broadcast = |own: &LinkAddress| {
        Some(Broadcast {
            link: own.link,
            address: own.broadcast()?,
        })
    };
    addresses
        .unwrap_or_default()
        .iter()
        .filter_map(broadcast)
        .collect()
}

/// Connections need file descriptors: takes as many as this process may have.
fn raise_file_limit(config: &Config, teller: &mut Teller) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    let granted = match soft < hard {
        true if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() => hard,
        _ => soft,
    };
    let wanted = config.most_connections() + 64;
    if granted < wanted {
        teller.notice(&format!(
            "at most {granted} files may be open, so fewer than the {} connections of tcp.connections and \
             http.connections fit",
            config.most_connections()
        ));
    }
}

fn become_nobody(config: &Config, teller: &mut Teller) -> Result<()> {
    let root = Uid::effective().is_root();
    if let (false, Some(user)) = (root, &config.serve.user) {
        teller.notice(&format!("not started as root, so not becoming {user}"));
    }
    let user = config.serve.user.as_deref().unwrap_or(NOBODY);
    halloo_io::drop_privileges(user).with_context(|| format!("cannot become {user} (--user)"))?;
    if root && user != "root" {
        teller.notice(&format!("all listeners are bound; running as {user}"));
    }
    Ok(())
}
