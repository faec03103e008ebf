//! `halloo supernode`: introduces edges to each other, and relays where they cannot meet.

use super::keys::SystemEntropy;
use super::question::{Answers, Question, question};
use super::report::Reporter;
use super::{SOFTWARE, become_nobody, keys, lookup, metrics, socket};
use crate::cli::overlay::SupernodeArgs;
use crate::config::{Config, Supernode as SupernodeConfig};
use crate::serve::Supervisor;
use crate::signals::{Request, Signals};
use anyhow::{Context, Result, bail};
use halloo_io::{Worker, WorkerOptions};
use halloo_overlay::crypto::{Identity, Local, Offer};
use halloo_overlay::supernode::registry::RegistryLimits;
use halloo_overlay::supernode::{Supernode, SupernodeObserver, SupernodeOptions, SupernodeReport};
use halloo_overlay::wire::{CommunityId, Prefix, SupernodeAt};
use halloo_overlay::{Cipher, Compression};
use serde_json::{Map, Value, json};
use std::net::{Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// The port that it listens on unless told otherwise.
const PORT: u16 = 7654;
const IDLE: Duration = Duration::from_secs(60);

struct Messenger(Answers<SupernodeReport>);

impl SupernodeObserver for Messenger {
    fn report(&mut self, report: SupernodeReport) {
        self.0.give(report);
    }
}

/// Runs a supernode until a signal ends it.
pub(crate) fn run(args: &SupernodeArgs) -> Result<ExitCode> {
    let config = configuration(args)?;
    let mut reporter = Reporter::new(args.json);
    let identity = match &config.key_file {
        Some(path) => keys::identity(path)?,
        None => Identity::generate(&mut SystemEntropy),
    };
    let key = identity.public();
    let offer = Offer {
        ciphers: vec![
            Cipher::ChaCha20Poly1305,
            Cipher::Aes256Gcm,
            Cipher::Aes128Gcm,
            Cipher::Mac,
            Cipher::None,
        ],
        compressions: vec![Compression::None, Compression::Lz4, Compression::Zstd],
        frame: u16::MAX,
        name: String::new(),
        features: 0,
        software: SOFTWARE.into(),
    };
    let local = Local::supernode(identity, offer);
    let (reports, unasked) = question();
    let machine = Supernode::new(
        options(&config)?,
        local,
        Box::new(SystemEntropy),
        Box::new(Messenger(reports)),
    );
    let mut worker = Worker::new(WorkerOptions {
        seed: crate::random_u64()?,
        ..WorkerOptions::default()
    })
    .context("cannot make a worker")?;
    let machine = worker.add(Box::new(machine));
    let mut bound = vec![];
    for listen in listeners(&config) {
        let socket = socket(listen, config.offload.0)?;
        bound.push(socket.local_addr());
        worker.udp(socket, machine).context("cannot watch the socket")?;
    }
    let scraped = config.metrics.map(metrics::listen).transpose()?;
    become_nobody(config.user.as_deref())?;
    let signals = Signals::watch(thread::current()).context("cannot watch for signals")?;
    for address in &bound {
        let words = format!("listening on UDP {address}, as {key}");
        reporter.say(
            "listening",
            &words,
            &json!({ "protocol": "overlay", "address": address, "key": key.to_string() }),
        )?;
    }
    let remote = worker.remote();
    let question = Question::new(unasked, remote.clone());
    let metrics = scraped
        .map(|listener| metrics::serve(listener, question.clone()))
        .transpose()
        .context("no thread for --metrics")?;
    if let Some(metrics) = &metrics {
        reporter.metrics(metrics.address())?;
    }
    let main = thread::current();
    let running = thread::Builder::new()
        .name("supernode".into())
        .spawn(move || {
            let result = worker.run();
            main.unpark();
            result
        })
        .context("no thread for the supernode")?;
    let supervisor = Supervisor::ready(&format!("listening on {bound:?}"));
    let attended = attend(&question, &signals, &supervisor, &mut reporter, &|| {
        running.is_finished()
    });
    supervisor.stopping();
    drop(metrics);
    remote.stop();
    let result = running
        .join()
        .unwrap_or_else(|_| Err(std::io::Error::other("the supernode's thread panicked")));
    attended?;
    result.context("the supernode failed")?;
    Ok(ExitCode::SUCCESS)
}

fn attend(
    question: &Question<SupernodeReport>,
    signals: &Signals,
    supervisor: &Supervisor,
    reporter: &mut Reporter,
    ended: &dyn Fn() -> bool,
) -> Result<()> {
    loop {
        while let Some(request) = signals.next() {
            if let Ok(report) = question.ask() {
                say(&report, reporter)?;
            }
            if request == Request::Stop {
                return Ok(());
            }
        }
        if ended() {
            return Ok(());
        }
        supervisor.alive();
        thread::park_timeout(supervisor.watchdog().unwrap_or(IDLE).min(IDLE));
    }
}

fn say(report: &SupernodeReport, reporter: &mut Reporter) -> Result<()> {
    let counts: Vec<String> = report
        .counts
        .named()
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    let words = format!(
        "{} members of {} communities, {} relayed pairs; {}",
        report.members,
        report.communities,
        report.channels,
        counts.join(", ")
    );
    let counters: Map<String, Value> = report
        .counts
        .named()
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count.into()))
        .collect();
    let fields = json!({
        "key": report.key.to_string(), "members": report.members, "communities": report.communities,
        "channels": report.channels, "counters": counters,
    });
    Ok(reporter.say("supernode_status", &words, &fields)?)
}

fn configuration(args: &SupernodeArgs) -> Result<SupernodeConfig> {
    let mut config = match &args.config {
        Some(path) => {
            let file = Config::load(path)?;
            SupernodeConfig {
                metrics: file.metrics.listen.map(|listen| listen.0),
                ..file.supernode
            }
        }
        None => SupernodeConfig::default(),
    };
    config.overlay(args);
    config
        .check()
        .map_err(|(key, why)| anyhow::anyhow!("{key}: {why}"))?;
    Ok(config)
}

fn listeners(config: &SupernodeConfig) -> Vec<SocketAddr> {
    if config.listen.is_empty() {
        return vec![SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), PORT)];
    }
    config.listen.iter().map(|listen| listen.0).collect()
}

fn options(config: &SupernodeConfig) -> Result<SupernodeOptions> {
    let mut supernodes = vec![];
    for peer in &config.peers {
        let place = lookup(&peer.0)?.with_context(|| format!("{}: the name has no address", peer.0))?;
        if let Some(key) = place.key {
            supernodes.push(SupernodeAt {
                address: place.address,
                key,
            });
        }
    }
    let communities: Option<Vec<CommunityId>> =
        config.communities.iter().map(|text| community(text)).collect();
    let Some(communities) = communities else {
        bail!("supernode.communities: not the number of a community");
    };
    let members = config.members as usize;
    let defaults = RegistryLimits::default();
    Ok(SupernodeOptions {
        registry: RegistryLimits {
            members,
            per_community: members.min(defaults.per_community),
            ..defaults
        },
        pool: config.pool.map(|net| Prefix {
            address: net.network(),
            len: net.prefix_len(),
        }),
        supernodes,
        communities,
        relay: config.relay,
        ..SupernodeOptions::default()
    })
}

fn community(text: &str) -> Option<CommunityId> {
    let mut id = [0; 16];
    if text.len() != 32 {
        return None;
    }
    for (place, octet) in id.iter_mut().enumerate() {
        *octet = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(CommunityId(id))
}
