//! A client, a server, and what is between them.

use halloo_base::{AnyProber, LinkId, Path, ReplyLimit};
use halloo_probe::{Event, SessionOptions, Sink, Summary};
use halloo_protocols::echo::{TcpEcho, UdpEcho, UdpEchoOptions};
use halloo_protocols::quic::QUIC;
use halloo_protocols::{ProberOptions, Protocol};
use halloo_quic::{
    ALPN, Client, ClientOptions, DatagramEcho, QuicCounters, QuicServer, QuicServerOptions, Services,
};
use halloo_serve::{Gate, Guards, Secret};
use halloo_sim::{NatOptions, Node, Quality, World, ms};
use halloo_tls::{Pin, Trust};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Keeps the last summary.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Option<Summary>>>);

impl Sink for Log {
    fn record(&mut self, event: Event) {
        if let Event::Summary(summary) = event {
            *self.0.lock().expect("nobody panics while holding it") = Some(*summary);
        }
    }
}

impl Log {
    pub(crate) fn summary(&self) -> Summary {
        let last = self.0.lock().expect("nobody panics while holding it").clone();
        last.expect("there was a summary")
    }
}

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) here: Node,
    pub(crate) nat: Option<Node>,
    pub(crate) counters: Arc<QuicCounters>,
    pub(crate) certificate: Vec<u8>,
}

/// The origin of virtual time. Which instant it is makes no difference.
pub(crate) fn base() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "there is no other way to an instant")]
    Instant::now()
}

/// A server as `halloo serve` sets it up, and the certificate by which it is known.
pub(crate) fn server() -> (QuicServer, Arc<QuicCounters>, Vec<u8>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["halloo.example".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("they belong together");
    let mut gate = Gate::new(&Guards::default(), Secret::new([7; 16])).expect("the default is fine");
    let echo = UdpEcho::new(UdpEchoOptions::default(), [7; 32]);
    let counters = Arc::<QuicCounters>::default();
    let services = Services {
        make: Box::new(|_| Box::new(TcpEcho)),
        datagrams: Some(DatagramEcho {
            responder: Box::new(echo),
            limit: ReplyLimit::SameAsRequest,
        }),
        lending: None,
    };
    let server = QuicServer::new(
        QuicServerOptions::default(),
        &tls,
        Box::new(move |now, path, packets, trust| gate.admit(now, path, packets, trust)),
        services,
        Arc::clone(&counters),
        base(),
    );
    (
        server.expect("the default is fine"),
        counters,
        certificate.der().to_vec(),
    )
}

pub(crate) fn client(certificate: &[u8]) -> Client {
    let tls = Trust::Pinned(Pin::of(certificate)).client(&[ALPN]).expect("TLS");
    let name = ServerName::try_from("halloo.example").expect("a name");
    Client::new(&tls, &name, ClientOptions::default()).expect("the default is fine")
}

impl Stage {
    fn empty(seed: u64) -> (Stage, Node) {
        let mut world = World::new(seed);
        let here = world.host("here", &["10.0.0.2"]);
        let there = world.host("there", &["198.51.100.2"]);
        let (server, counters, certificate) = server();
        let server = world.add(there, server);
        world.udp(server, "0.0.0.0:4433");
        let stage = Stage {
            world,
            here,
            nat: None,
            counters,
            certificate,
        };
        (stage, there)
    }

    /// Both at the ends of one wire.
    pub(crate) fn new(seed: u64, quality: Quality) -> Stage {
        let (mut stage, there) = Stage::empty(seed);
        stage.world.join(stage.here, there, quality);
        stage
    }

    /// The client behind a NAT.
    pub(crate) fn behind_nat(seed: u64, options: NatOptions) -> Stage {
        let (mut stage, there) = Stage::empty(seed);
        let nat = stage.world.nat("NAT", "203.0.113.1", options);
        stage.world.join(stage.here, nat, Quality::delay(ms(1)));
        stage.world.uplink(nat, there, Quality::delay(ms(10)));
        stage.nat = Some(nat);
        stage
    }
}

pub(crate) fn prober(protocol: &Protocol) -> AnyProber {
    let options = ProberOptions {
        token: 0x0123_4567_89ab_cdef,
        size: 112,
        ..ProberOptions::default()
    };
    protocol.prober.expect("halloo asks by it")(&options)
}

/// So many probes of 112 bytes, a hundred a second.
pub(crate) fn options(count: u64) -> SessionOptions {
    let path = Path {
        link: LinkId(0),
        local: "0.0.0.0:0".parse().expect("an address"),
        remote: ([198, 51, 100, 2], QUIC.default_port.expect("it has one")).into(),
    };
    SessionOptions {
        size: 112,
        interval: Duration::from_millis(10),
        count,
        lost_after: Duration::from_secs(5),
        ..SessionOptions::new(1, path)
    }
}
