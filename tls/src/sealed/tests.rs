use super::*;
use crate::{Pin, Trust};
use halloo_base::{Clock, Endpoint, Env, LinkId, Mono, Rng, SocketId, SocketInput, StampSource, Wall};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Mutex;

struct Standing;

impl Clock for Standing {
    fn stamp(&self) -> Stamp {
        stamp(0)
    }
}

fn stamp(mono: u64) -> Stamp {
    Stamp {
        mono: Mono(mono),
        wall: Wall(mono),
        source: StampSource::User,
    }
}

/// Writes down what it is told, and echoes if it is to.
struct End {
    diary: Arc<Mutex<Vec<String>>>,
    echoes: bool,
}

impl Machine for End {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        let line = match input {
            Input::Wake => {
                cx.out.connect(ConnId(0), path());
                return;
            }
            Input::Report => {
                cx.out.write(ConnId(0), Some(TxTag(7)), &[b'x'; 50_000]);
                return;
            }
            Input::Drain => {
                cx.out.finish(ConnId(0));
                return;
            }
            Input::Stream(id, StreamInput::Data { bytes, .. }) => {
                if self.echoes {
                    cx.out.write(id, None, bytes);
                }
                format!("{} bytes", bytes.len())
            }
            Input::Stream(id, StreamInput::Finished) => {
                if self.echoes {
                    cx.out.finish(id);
                }
                "finished".to_owned()
            }
            Input::Stream(_, StreamInput::Connected { at }) => format!("connected at {}", at.mono.0),
            Input::Stream(_, StreamInput::Opened { at, .. }) => format!("opened at {}", at.mono.0),
            Input::Stream(_, StreamInput::Closed(why)) => format!("{why:?}"),
            other => panic!("{other:?}"),
        };
        self.diary.lock().expect("one thread").push(line);
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

fn path() -> Path {
    Path {
        link: LinkId(1),
        local: ([127, 0, 0, 1], 1).into(),
        remote: ([127, 0, 0, 1], 2).into(),
    }
}

/// A machine, and what its driver would do.
struct Host {
    sealed: Sealed<End>,
    diary: Arc<Mutex<Vec<String>>>,
    id: ConnId,
    now: Mono,
    tags: Vec<u64>,
}

/// What one end wants the other to hear.
#[derive(Default)]
struct Sent {
    connects: bool,
    bytes: Vec<u8>,
    finishes: bool,
    aborts: bool,
}

impl Host {
    fn new(side: Side, echoes: bool) -> Host {
        let diary = Arc::<Mutex<Vec<String>>>::default();
        let end = End {
            diary: Arc::clone(&diary),
            echoes,
        };
        let id = if echoes {
            ConnId(ConnId::ACCEPTED)
        } else {
            ConnId(0)
        };
        Host {
            sealed: Sealed::new(end, side),
            diary,
            id,
            now: Mono(0),
            tags: vec![],
        }
    }

    fn handle(&mut self, input: Input<'_>) -> Sent {
        let mut out = Outbox::new();
        let mut cx = Cx {
            env: Env {
                now: self.now,
                clock: &Standing,
                rng: &mut Rng::new(1),
            },
            out: &mut out,
        };
        self.sealed.handle(&mut cx, input);
        let mut sent = Sent::default();
        for output in out.iter() {
            match output {
                Output::Connect(..) => sent.connects = true,
                Output::Write(id, tag, bytes) => {
                    assert_eq!(id, self.id);
                    self.tags.extend(tag.map(|tag| tag.0));
                    sent.bytes.extend_from_slice(bytes);
                }
                Output::Finish(_) => sent.finishes = true,
                Output::Abort(_) => sent.aborts = true,
                other => panic!("{other:?}"),
            }
        }
        sent
    }

    fn hear(&mut self, event: StreamInput<'_>) -> Sent {
        self.handle(Input::Stream(self.id, event))
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.diary.lock().expect("one thread"))
    }
}

/// Carries what is sent from end to end, `piece` bytes at a time, until nobody says anything.
fn carry(hosts: &mut [Host; 2], from: usize, sent: Sent, piece: usize) {
    let mut waiting = vec![(from, sent)];
    let mut steps = 0;
    while let Some((from, sent)) = waiting.pop() {
        steps += 1;
        assert!(steps < 100_000, "they talk for ever");
        let to = 1 - from;
        let mut replies = Sent::default();
        for bytes in sent.bytes.chunks(piece) {
            let reply = hosts[to].hear(StreamInput::Data {
                bytes,
                at: stamp(steps),
            });
            replies.bytes.extend(reply.bytes);
            replies.finishes |= reply.finishes;
            replies.aborts |= reply.aborts;
        }
        if sent.finishes {
            let reply = hosts[to].hear(StreamInput::Finished);
            replies.bytes.extend(reply.bytes);
            replies.finishes |= reply.finishes;
        }
        if sent.aborts {
            hosts[to].hear(StreamInput::Closed(CloseReason::Done));
        }
        if !replies.bytes.is_empty() || replies.finishes || replies.aborts {
            waiting.push((to, replies));
        }
    }
}

/// A server's side, and its certificate.
fn server() -> (Side, Vec<u8>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["halloo.example".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .expect("they belong together");
    (Side::Server(Arc::new(config)), certificate.der().to_vec())
}

fn client(trust: &Trust) -> Side {
    let config = trust.client(&[]).expect("a client");
    Side::Client(config, "halloo.example".try_into().expect("a name"))
}

/// Both ends, connected, after all that TLS has to say.
fn met(trust: &Trust, side: Side, piece: usize) -> [Host; 2] {
    let mut hosts = [Host::new(client(trust), false), Host::new(side, true)];
    assert!(hosts[0].handle(Input::Wake).connects);
    let hello = hosts[0].hear(StreamInput::Opened {
        path: path(),
        at: stamp(0),
    });
    let nothing = hosts[1].hear(StreamInput::Opened {
        path: path(),
        at: stamp(0),
    });
    assert!(nothing.bytes.is_empty());
    carry(&mut hosts, 0, hello, piece);
    hosts
}

#[test]
fn what_is_said_under_the_seal_arrives_and_the_end_of_it_too() {
    for piece in [usize::MAX >> 1, 1_000, 7] {
        let (side, certificate) = server();
        let mut hosts = met(&Trust::Pinned(Pin::of(&certificate)), side, piece);
        let opened = hosts[0].told();
        assert!(
            opened.len() == 2 && opened[1].starts_with("opened at "),
            "{opened:?}"
        );
        assert_eq!(opened[0], "connected at 0");
        assert_ne!(opened[1], "opened at 0", "the handshake takes its time");
        assert_eq!(hosts[1].told(), ["opened at 0"]);

        let said = hosts[0].handle(Input::Report);
        assert!(
            !said.bytes.windows(20).any(|window| window == [b'x'; 20]),
            "it is sealed"
        );
        assert_eq!(hosts[0].tags, [7]);
        carry(&mut hosts, 0, said, piece);
        for host in &hosts {
            let told = host.told();
            let bytes = told.iter().map(|line| {
                let number = line.strip_suffix(" bytes").expect("bytes alone");
                number.parse::<usize>().expect("a number")
            });
            assert_eq!(bytes.sum::<usize>(), 50_000);
        }

        let end = hosts[0].handle(Input::Drain);
        assert!(end.finishes);
        carry(&mut hosts, 0, end, piece);
        assert_eq!(
            (hosts[0].told(), hosts[1].told()),
            (vec!["finished".into()], vec!["finished".into()])
        );
        hosts[0].hear(StreamInput::Closed(CloseReason::Done));
        assert_eq!(hosts[0].told(), ["Done"]);
        assert!(hosts[0].sealed.channels.is_empty());
    }
}

#[test]
fn who_is_not_trusted_hears_nothing_and_the_reason_is_told() {
    let other = Trust::Pinned(Pin::of(b"another"));
    for (trust, why) in [
        (
            &other,
            "Insecure(\"the certificate is not the one that is pinned\")",
        ),
        (&Trust::Anyone, "opened"),
    ] {
        let (side, _) = server();
        let hosts = met(trust, side, 1 << 20);
        let told = hosts[0].told();
        assert!(told.len() == 2 && told[1].starts_with(why), "{told:?}");
        assert_eq!(hosts[0].sealed.channels.is_empty(), why != "opened");
    }
}

#[test]
fn who_speaks_no_tls_is_let_go_on_both_sides() {
    let (side, _) = server();
    let plain = b"GET / HTTP/1.1\r\nHost: halloo.example\r\n\r\n";
    let mut hosts = [Host::new(client(&Trust::Anyone), false), Host::new(side, true)];
    for host in &mut hosts {
        host.hear(StreamInput::Opened {
            path: path(),
            at: stamp(0),
        });
        let sent = host.hear(StreamInput::Data {
            bytes: plain,
            at: stamp(1),
        });
        assert!(sent.aborts);
        let told = host.told();
        assert_eq!(
            told.last().map(String::as_str),
            Some("Insecure(\"the other side does not speak TLS\")")
        );
        assert!(host.sealed.channels.is_empty());
        // What comes late is nobody's.
        host.hear(StreamInput::Data {
            bytes: plain,
            at: stamp(2),
        });
        host.hear(StreamInput::Closed(CloseReason::Done));
        assert_eq!(host.told(), Vec::<String>::new());
    }
}

#[test]
fn an_end_before_the_seal_is_no_end_of_what_was_said() {
    let mut host = Host::new(client(&Trust::Anyone), false);
    host.hear(StreamInput::Opened {
        path: path(),
        at: stamp(0),
    });
    assert!(host.hear(StreamInput::Finished).aborts);
    let why = "Insecure(\"the other side ended it before TLS was agreed on\")";
    assert_eq!(host.told(), ["connected at 0", why]);
}

#[test]
fn who_connects_has_ten_seconds_for_the_handshake_and_no_byte_of_it_makes_them_more() {
    let (side, _) = server();
    let mut silent = Host::new(side, true);
    let opened = || StreamInput::Opened {
        path: path(),
        at: stamp(0),
    };
    silent.hear(opened());
    let by = Mono(0) + HANDSHAKE_WITHIN;
    assert_eq!(silent.sealed.deadline().map(|deadline| deadline.at), Some(by));
    // The beginning of a record, a byte at a time.
    for (second, byte) in (1..10).zip([22, 3, 1, 1, 0, 1, 0, 0, 252]) {
        silent.now = Mono(0) + Duration::from_secs(second);
        let sent = silent.hear(StreamInput::Data {
            bytes: &[byte],
            at: stamp(1),
        });
        assert!(!sent.aborts);
    }
    silent.now = by;
    assert!(silent.handle(Input::Wake).aborts);
    assert_eq!(silent.told(), ["opened at 0", "HandshakeTimeout"]);
    assert!(silent.sealed.channels.is_empty() && silent.sealed.greeting.is_empty());
    assert_eq!(silent.sealed.deadline(), None);
}

#[test]
fn who_is_secured_or_gone_has_no_more_time_to_keep() {
    let (side, _) = server();
    let secured = met(&Trust::Anyone, side.clone(), 1_000);
    assert_eq!(secured[1].sealed.deadline(), None);
    let mut gone = Host::new(side, true);
    for end in [StreamInput::Finished, StreamInput::Closed(CloseReason::Done)] {
        gone.hear(StreamInput::Opened {
            path: path(),
            at: stamp(0),
        });
        assert!(gone.sealed.deadline().is_some());
        gone.hear(end);
        assert_eq!(
            gone.told(),
            ["opened at 0", "Done"],
            "it is counted as any that goes"
        );
        assert!(gone.sealed.greeting.is_empty() && gone.sealed.deadline().is_none());
    }
}

/// Wants a socket of its own, and closes it when it has it.
struct Wisher;

impl Machine for Wisher {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Wake => cx.out.open(SocketId(3), endpoint()),
            Input::Socket(id, SocketInput::Opened(_)) => cx.out.close(id),
            other => panic!("{other:?}"),
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

fn endpoint() -> Endpoint {
    Endpoint {
        local: path().local,
        link: LinkId(0),
    }
}

#[test]
fn a_wish_for_a_socket_and_its_answer_pass_through() {
    let (side, _) = server();
    let mut sealed = Sealed::new(Wisher, side);
    let mut out = Outbox::new();
    let opened = SocketInput::Opened(path().local);
    for (input, wanted) in [
        (Input::Wake, Output::Open(SocketId(3), endpoint())),
        (Input::Socket(SocketId(3), opened), Output::Close(SocketId(3))),
    ] {
        let env = Env {
            now: Mono(0),
            clock: &Standing,
            rng: &mut Rng::new(1),
        };
        sealed.handle(&mut Cx { env, out: &mut out }, input);
        assert_eq!(out.iter().collect::<Vec<_>>(), [wanted]);
        out.clear();
    }
}
