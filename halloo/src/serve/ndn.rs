//! NDN pings: behind this host's forwarder, or at ports of their own.

use super::counts::{Counted, Source};
use super::listening::{At, Listening};
use crate::cli::NdnService;
use crate::config::Config;
use crate::ndn::{Detail, Equipment, Face, Listen, Tapped, tap};
use anyhow::{Context, Result};
use halloo_base::Transport;
use halloo_io::Worker;
use halloo_protocols::ndn::{FaceEvent, Insist, NDN, NameBuf, PingServer, PingServerOptions};
use halloo_serve::Secret;
use std::thread;

/// All names that are served, on one thread.
#[derive(Default)]
pub(crate) struct Ndn {
    /// There is one where there are names.
    pub(super) worker: Option<Worker>,
    pub(super) counted: Vec<Counted>,
    pub(super) told: Vec<Listening>,
    /// Ports of its own.
    pub(super) listening: Vec<Listen>,
    pub(super) attended: Attended,
}

/// What the thread tells beside its counters.
#[derive(Default)]
pub(super) struct Attended(Vec<Service>);

struct Service {
    prefix: NameBuf,
    tapped: Tapped,
    is_away: bool,
}

impl Ndn {
    /// Opens everything that these names need, on a host that answers at these UDP ports too.
    ///
    /// # Errors
    /// The first thing that could not be had.
    pub(crate) fn open(config: &Config, services: &[NdnService], own_ports: &[u16]) -> Result<Ndn> {
        let mut ndn = Ndn::default();
        for service in services {
            ndn.add(config, service, own_ports)
                .with_context(|| format!("--ndn {service}"))?;
        }
        Ok(ndn)
    }

    fn add(&mut self, config: &Config, service: &NdnService, own_ports: &[u16]) -> Result<()> {
        let prefix = service.prefix.clone();
        let server = PingServer::new(PingServerOptions::new(prefix.clone()), Box::new(()))?;
        let (tap, tapped) = tap(Detail::Nothing, None, thread::current());
        let listen = service.address.map(|address| {
            [Transport::Udp, Transport::Tcp].map(|transport| Listen::Port(transport, address))
        });
        let face = match service.address {
            None => Some(Face::of_host()?),
            Some(_) => None,
        };
        let mut guards = config.guards();
        guards.broadcasts = super::broadcasts();
        guards.own_ports = own_ports.to_vec();
        let mut streams = config.stream_options(Secret::new(crate::random()?));
        streams.broadcasts.clone_from(&guards.broadcasts);
        let equipment = Equipment {
            server,
            face: face.clone(),
            insist: Insist::Always,
            listen: listen.into_iter().flatten().collect(),
            guards,
            streams,
            tap,
        };
        let worker = match &mut self.worker {
            Some(worker) => worker,
            none => none.insert(super::worker(config.serve.busy_poll)?),
        };
        let equipped = equipment.give(worker)?;
        self.listening.extend(equipped.listening.iter().cloned());
        let ways = equipped.listening.iter().map(ToString::to_string);
        for way in ways.chain(face.map(|face| face.to_string())) {
            self.told.push(Listening {
                protocol: NDN.scheme,
                at: At::Name {
                    prefix: prefix.to_string(),
                    way,
                },
            });
        }
        let counted = equipped.counters.into_iter().map(|(protocol, counters)| Counted {
            protocol,
            device: None,
            source: Source::Threads(vec![counters]),
        });
        self.counted.extend(counted);
        self.attended.0.push(Service {
            prefix,
            tapped,
            is_away: false,
        });
        Ok(())
    }
}

impl Attended {
    /// Says what became of forwarders since the last time.
    pub(super) fn tell(&mut self) {
        for service in &mut self.0 {
            let prefix = &service.prefix;
            while let Ok(event) = service.tapped.events.try_recv() {
                match event {
                    FaceEvent::Registered { .. } if std::mem::take(&mut service.is_away) => {
                        crate::complain(format_args!("halloo: {prefix} is registered again"));
                    }
                    FaceEvent::Broken { .. } if !service.is_away => {
                        service.is_away = true;
                        crate::complain(format_args!(
                            "halloo: {prefix}: no forwarder; trying until there is one"
                        ));
                    }
                    FaceEvent::Failed { why, .. } if !service.is_away => {
                        service.is_away = true;
                        crate::complain(format_args!(
                            "halloo: {prefix} is not registered: {why}; trying again"
                        ));
                    }
                    _ => {}
                }
            }
        }
    }
}
