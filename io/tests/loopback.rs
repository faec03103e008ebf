//! The driver with real sockets on loopback, and machines small enough to see through.

use halloo_base::{
    CloseReason, ConnId, Cx, Deadline, Input, LinkId, Machine, Mono, Nanos, Path, StampSource, StreamInput,
    Transmit, TxTag, UnreachableError,
};
use halloo_io::{ListenOptions, StreamOptions, TcpListener, UdpOptions, UdpSocket, Worker, WorkerOptions};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where a Unix socket is said to be.
const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

fn loopback(family: &str) -> SocketAddr {
    family.parse().expect("an address")
}

/// Sends every datagram back along its path, and every stream byte too.
struct Echo;

impl Machine for Echo {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Datagram(rx) => cx.out.datagram(Transmit::to(rx.path), rx.payload),
            Input::Stream(conn, StreamInput::Data { bytes, .. }) => cx.out.write(conn, None, bytes),
            Input::Stream(conn, StreamInput::Finished) => cx.out.finish(conn),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

/// What a [`Script`] saw.
#[derive(Debug)]
enum Saw {
    Datagram {
        path: Path,
        source: StampSource,
        ttl: Option<u8>,
        bytes: Vec<u8>,
        age: Nanos,
    },
    Departed(TxTag, StampSource),
    Unreachable(UnreachableError, Vec<u8>),
    Opened,
    Data(Vec<u8>),
    Finished,
    Closed(CloseReason),
}

/// Does one thing when it starts, tells all that it sees, and ends after so many sightings.
struct Script<F> {
    start: Option<F>,
    saw: Sender<Saw>,
    heard: Vec<u8>,
    left: usize,
}

impl<F: FnOnce(&mut Cx<'_>) + Send> Machine for Script<F> {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        let saw = match input {
            Input::Wake => {
                if let Some(start) = self.start.take() {
                    start(cx);
                }
                return;
            }
            Input::Datagram(rx) => Saw::Datagram {
                path: rx.path,
                source: rx.at.source,
                ttl: rx.marks.ttl,
                bytes: rx.payload.to_vec(),
                age: cx.now() - rx.at.mono,
            },
            Input::Departed(tag, stamp) => Saw::Departed(tag, stamp.source),
            Input::Unreachable(report, quoted) => Saw::Unreachable(report.error, quoted.to_vec()),
            Input::Stream(conn, StreamInput::Opened { .. }) => {
                cx.out.write(conn, Some(TxTag(5)), b"line\n");
                Saw::Opened
            }
            Input::Stream(conn, StreamInput::Data { bytes, .. }) => {
                self.heard.extend(bytes);
                if !bytes.ends_with(b"\n") {
                    return;
                }
                cx.out.finish(conn);
                Saw::Data(std::mem::take(&mut self.heard))
            }
            Input::Stream(_, StreamInput::Finished) => Saw::Finished,
            Input::Stream(_, StreamInput::Closed(why)) => Saw::Closed(why),
            _ => return,
        };
        self.left -= 1;
        self.saw.send(saw).expect("the test listens");
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }

    fn finished(&self) -> bool {
        self.left == 0
    }
}

/// Runs a script with a UDP socket until it has seen `sightings` things.
fn ask(
    local: SocketAddr,
    sightings: usize,
    start: impl FnOnce(&mut Cx<'_>) + Send + 'static,
) -> Receiver<Saw> {
    let (saw, seen) = channel();
    let mut worker = Worker::new(WorkerOptions::default()).expect("a worker");
    let machine = worker.add(Box::new(Script {
        start: Some(start),
        saw,
        heard: vec![],
        left: sightings,
    }));
    let options = UdpOptions {
        local,
        prober: true,
        ..UdpOptions::default()
    };
    worker
        .udp(UdpSocket::bind(&options).expect("a socket"), machine)
        .expect("watched");
    worker.streams(StreamOptions::default(), machine);
    worker.run().expect("runs to its end");
    seen
}

/// Runs a script that connects to the first of these Unix sockets until it has seen `sightings` things.
fn ask_unix(
    unix: Vec<PathBuf>,
    sightings: usize,
    start: impl FnOnce(&mut Cx<'_>) + Send + 'static,
) -> Receiver<Saw> {
    let (saw, seen) = channel();
    let mut worker = Worker::new(WorkerOptions::default()).expect("a worker");
    let machine = worker.add(Box::new(Script {
        start: Some(start),
        saw,
        heard: vec![],
        left: sightings,
    }));
    let options = StreamOptions {
        unix,
        ..StreamOptions::default()
    };
    worker.streams(options, machine);
    worker.run().expect("runs to its end");
    seen
}

/// An echo host for the length of a test.
struct Host {
    udp: SocketAddr,
    tcp: SocketAddr,
    remote: halloo_io::Remote,
    thread: Option<thread::JoinHandle<()>>,
}

impl Host {
    fn start(local: SocketAddr, busy_poll: bool) -> Host {
        let mut worker = Worker::new(WorkerOptions {
            busy_poll,
            ..WorkerOptions::default()
        })
        .expect("a worker");
        let machine = worker.add(Box::new(Echo));
        let udp = UdpSocket::bind(&UdpOptions {
            local,
            merge: true,
            ..UdpOptions::default()
        })
        .expect("a socket");
        let tcp = TcpListener::bind(&ListenOptions {
            local,
            ..ListenOptions::default()
        })
        .expect("a listener");
        let (udp_addr, tcp_addr) = (udp.local_addr(), tcp.local_addr());
        worker.udp(udp, machine).expect("watched");
        worker.listen(tcp, machine).expect("watched");
        let remote = worker.remote();
        let thread = thread::spawn(move || worker.run().expect("runs until it is stopped"));
        Host {
            udp: udp_addr,
            tcp: tcp_addr,
            remote,
            thread: Some(thread),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.remote.stop();
        let ended = self.thread.take().expect("taken only here").join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

fn path(local: SocketAddr, remote: SocketAddr) -> Path {
    let local = SocketAddr::new(local.ip(), 0);
    Path {
        link: LinkId(0),
        local,
        remote,
    }
}

#[test]
fn a_datagram_comes_back_with_its_path_marks_and_kernel_stamps() {
    for (any, one) in [
        ("[::]:0", "[::1]:0"),
        ("[::]:0", "127.0.0.1:0"),
        ("127.0.0.1:0", "127.0.0.1:0"),
    ] {
        for busy_poll in [false, true] {
            let host = Host::start(loopback(any), busy_poll);
            let client = loopback(one);
            let target = SocketAddr::new(client.ip(), host.udp.port());
            let seen = ask(client, 2, move |cx| {
                let how = Transmit {
                    tag: Some(TxTag(77)),
                    ..Transmit::to(path(client, target))
                };
                cx.out.datagram(how, b"hello");
            });
            let mut departed = false;
            let mut answered = false;
            for saw in seen {
                match saw {
                    Saw::Departed(tag, source) => {
                        departed = tag == TxTag(77) && source == StampSource::Kernel;
                    }
                    Saw::Datagram {
                        path,
                        source,
                        ttl,
                        bytes,
                        age,
                    } => {
                        assert_eq!((path.remote, path.local.ip()), (target, client.ip()));
                        assert_eq!((ttl, bytes.as_slice()), (Some(64), &b"hello"[..]));
                        // The first packets of a fresh socket may come before stamps are switched on.
                        assert!(age >= Nanos::ZERO && source >= StampSource::User, "{age}");
                        answered = true;
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert!(departed && answered, "{any} {one} busy {busy_poll}");
        }
    }
}

#[test]
fn many_datagrams_in_one_handle_arrive_each_by_itself_in_order() {
    let host = Host::start(loopback("[::]:0"), false);
    let client = loopback("127.0.0.1:0");
    let target = SocketAddr::new(client.ip(), host.udp.port());
    // Two sizes in turn, runs of one size, a shorter one at a run's end: single sends and segmented ones.
    let sizes: Vec<usize> = [
        vec![10, 20, 10],
        vec![64; 100],
        vec![0, 1, 1_472, 3_000],
        vec![100, 100, 7, 100, 8, 9],
    ]
    .concat();
    let expected = sizes.clone();
    let seen = ask(client, sizes.len(), move |cx| {
        for (number, size) in sizes.iter().enumerate() {
            cx.out
                .datagram(Transmit::to(path(client, target)), &vec![number as u8; *size]);
        }
    });
    let got: Vec<Vec<u8>> = seen
        .into_iter()
        .map(|saw| match saw {
            Saw::Datagram { bytes, .. } => bytes,
            other => panic!("{other:?}"),
        })
        .collect();
    let want: Vec<Vec<u8>> = expected
        .iter()
        .enumerate()
        .map(|(number, size)| vec![number as u8; *size])
        .collect();
    assert_eq!(got, want);
}

#[test]
fn a_closed_port_and_a_datagram_too_big_are_told() {
    let client = loopback("127.0.0.1:0");
    let closed = UdpSocket::bind(&UdpOptions {
        local: client,
        ..UdpOptions::default()
    })
    .expect("a socket");
    let target = closed.local_addr();
    drop(closed);
    let seen = ask(client, 1, move |cx| {
        cx.out.datagram(Transmit::to(path(client, target)), b"anyone?");
    });
    match seen.recv() {
        Ok(Saw::Unreachable(UnreachableError(111), quoted)) => assert_eq!(quoted, b"anyone?"),
        other => panic!("{other:?}"),
    }
    let seen = ask(client, 1, move |cx| {
        cx.out.datagram(Transmit::to(path(client, target)), &[0; 65_508]);
    });
    assert!(
        matches!(seen.recv(), Ok(Saw::Unreachable(UnreachableError(90), _))),
        "EMSGSIZE"
    );
}

#[test]
fn a_stream_opens_echoes_half_closes_and_ends() {
    let host = Host::start(loopback("[::]:0"), false);
    let client = loopback("127.0.0.1:0");
    let target = SocketAddr::new(client.ip(), host.tcp.port());
    // What is written before the connection stands waits for it.
    let seen = ask(client, 5, move |cx| {
        cx.out.connect(ConnId(3), path(client, target));
        cx.out.write(ConnId(3), None, b"a ");
    });
    let seen: Vec<Saw> = seen.into_iter().collect();
    assert!(matches!(seen[0], Saw::Opened), "{seen:?}");
    assert!(
        seen.iter()
            .any(|saw| matches!(saw, Saw::Data(bytes) if bytes == b"a line\n")),
        "{seen:?}"
    );
    let departed = |saw: &Saw| matches!(saw, Saw::Departed(TxTag(5), StampSource::Kernel));
    assert!(seen.iter().any(departed), "{seen:?}");
    assert!(matches!(seen[seen.len() - 2], Saw::Finished), "{seen:?}");
    assert!(
        matches!(seen[seen.len() - 1], Saw::Closed(CloseReason::Done)),
        "{seen:?}"
    );
}

#[test]
fn a_connection_that_nobody_takes_is_told_with_its_reason() {
    let client = loopback("127.0.0.1:0");
    let closed = TcpListener::bind(&ListenOptions {
        local: client,
        ..ListenOptions::default()
    })
    .expect("bound");
    let target = closed.local_addr();
    drop(closed);
    let seen = ask(client, 1, move |cx| {
        cx.out.connect(ConnId(0), path(client, target));
    });
    let saw = seen.recv();
    assert!(
        matches!(
            saw,
            Ok(Saw::Closed(CloseReason::ConnectFailed(UnreachableError(111))))
        ),
        "{saw:?}"
    );
}

#[test]
fn the_first_unix_socket_that_listens_is_talked_to() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (missing, there) = (dir.path().join("missing"), dir.path().join("there"));
    let listener = UnixListener::bind(&there).expect("a new name");
    let echo = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the worker connects");
        let mut line = [0; 5];
        stream.read_exact(&mut line).expect("the worker writes");
        stream.write_all(&line).expect("the worker reads");
        stream.read_to_end(&mut vec![]).expect("the worker finishes");
    });
    let seen = ask_unix(vec![missing, there], 4, move |cx| {
        cx.out.connect(ConnId(0), path(ANYWHERE, ANYWHERE));
    });
    echo.join().expect("no panic");
    let seen: Vec<Saw> = seen.into_iter().collect();
    let as_hoped = match &seen[..] {
        // Nothing departs: the kernel stamps no Unix sockets.
        [
            Saw::Opened,
            Saw::Data(line),
            Saw::Finished,
            Saw::Closed(CloseReason::Done),
        ] => line == b"line\n",
        _ => false,
    };
    assert!(as_hoped, "{seen:?}");
}

#[test]
fn unix_sockets_that_are_not_there_are_told_with_their_reason() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let seen = ask_unix(vec![dir.path().join("missing")], 1, move |cx| {
        cx.out.connect(ConnId(0), path(ANYWHERE, ANYWHERE));
    });
    let saw = seen.recv();
    assert!(
        matches!(
            saw,
            Ok(Saw::Closed(CloseReason::ConnectFailed(UnreachableError(2))))
        ),
        "{saw:?}"
    );
}

#[test]
fn an_end_that_comes_with_the_last_bytes_is_heard() {
    let host = Host::start(loopback("127.0.0.1:0"), false);
    // Opened first and written to together, so that most of them wait for the worker with both in hand.
    let streams: Vec<TcpStream> = (0..64)
        .map(|_| TcpStream::connect(host.tcp).expect("the host listens"))
        .collect();
    for mut stream in &streams {
        stream.write_all(b"the last words").expect("room in the buffer");
        stream.shutdown(Shutdown::Write).expect("it is connected");
    }
    for mut stream in streams {
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a time above zero");
        let mut answer = vec![];
        stream.read_to_end(&mut answer).expect("the host ends it too");
        assert_eq!(answer, b"the last words");
    }
}

#[test]
fn more_than_the_worker_reads_in_one_turn_comes_back_whole() {
    let host = Host::start(loopback("127.0.0.1:0"), false);
    let stream = TcpStream::connect(host.tcp).expect("the host listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a time above zero");
    stream
        .set_write_timeout(Some(PATIENCE))
        .expect("a time above zero");
    let sent: Vec<u8> = (0..16 << 20).map(|place: u32| (place / 977) as u8).collect();
    let mut answer = vec![];
    thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(&sent).expect("the host reads on");
            stream.shutdown(Shutdown::Write).expect("it is connected");
        });
        (&stream).read_to_end(&mut answer).expect("the host ends it too");
    });
    assert!(answer == sent, "{} of {} bytes", answer.len(), sent.len());
}

#[test]
fn an_error_about_one_peer_does_not_cost_another_its_datagram() {
    let host = Host::start(loopback("127.0.0.1:0"), false);
    let client = loopback("127.0.0.1:0");
    let closed = UdpSocket::bind(&UdpOptions {
        local: client,
        ..UdpOptions::default()
    })
    .expect("a socket");
    let (nobody, somebody) = (closed.local_addr(), host.udp);
    drop(closed);
    let seen = ask(client, 4, move |cx| {
        for (number, remote) in [nobody, somebody].into_iter().enumerate() {
            let how = Transmit {
                tag: Some(TxTag(number as u64)),
                ..Transmit::to(path(client, remote))
            };
            cx.out.datagram(how, b"anyone?");
        }
    });
    let seen: Vec<Saw> = seen.into_iter().collect();
    let answered = |saw: &Saw| matches!(saw, Saw::Datagram { path, .. } if path.remote == somebody);
    assert!(seen.iter().any(answered), "{seen:?}");
    assert!(
        seen.iter()
            .all(|saw| !matches!(saw, Saw::Departed(_, StampSource::User))),
        "{seen:?}"
    );
}

#[test]
fn each_family_is_answered_by_its_own_socket_on_one_port() {
    let mut worker = Worker::new(WorkerOptions::default()).expect("a worker");
    let machine = worker.add(Box::new(Echo));
    let bind = |local: SocketAddr| {
        UdpSocket::bind(&UdpOptions {
            local,
            v6_only: true,
            ..UdpOptions::default()
        })
    };
    let v6 = bind(loopback("[::]:0")).expect("a socket");
    let port = v6.local_addr().port();
    let v4 = bind(SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), port)).expect("the other family");
    worker.udp(v6, machine).expect("watched");
    worker.udp(v4, machine).expect("watched");
    let remote = worker.remote();
    let thread = thread::spawn(move || worker.run());
    for client in ["127.0.0.1:0", "[::1]:0"].map(loopback) {
        let target = SocketAddr::new(client.ip(), port);
        let seen = ask(client, 1, move |cx| {
            cx.out.datagram(Transmit::to(path(client, target)), b"hello");
        });
        assert!(matches!(seen.recv(), Ok(Saw::Datagram { .. })), "{client}");
    }
    remote.stop();
    thread.join().expect("no panic").expect("it ran to its end");
}

/// Wants to be woken at once, and moves its deadline by so many nanoseconds each time.
struct Restless {
    step: u64,
    wakes: u64,
}

impl Machine for Restless {
    fn handle(&mut self, _: &mut Cx<'_>, _: Input<'_>) {
        self.wakes += 1;
    }

    fn deadline(&self) -> Option<Deadline> {
        Some(Deadline::new(Mono(self.wakes * self.step), "nothing at all"))
    }

    fn finished(&self) -> bool {
        self.wakes > 300_000
    }
}

#[test]
fn a_deadline_that_never_moves_is_named_and_one_that_moves_is_served() {
    let run = |step| {
        let mut worker = Worker::new(WorkerOptions::default()).expect("a worker");
        worker.add(Box::new(Restless { step, wakes: 0 }));
        worker.run()
    };
    let error = run(0).expect_err("it would never end");
    assert!(error.to_string().contains("nothing at all"), "{error}");
    run(1).expect("busy is not mad");
}

#[test]
fn a_worker_that_waits_inside_its_only_socket_answers_and_stops() {
    let options = WorkerOptions {
        answers_only: true,
        ..WorkerOptions::default()
    };
    let mut worker = Worker::new(options).expect("a worker");
    let machine = worker.add(Box::new(Echo));
    let local = loopback("127.0.0.1:0");
    let socket = UdpSocket::bind(&UdpOptions {
        local,
        ..UdpOptions::default()
    })
    .expect("a socket");
    let target = socket.local_addr();
    worker.udp(socket, machine).expect("watched");
    let remote = worker.remote();
    let thread = thread::spawn(move || worker.run());
    for _ in 0..3 {
        let seen = ask(local, 1, move |cx| {
            cx.out.datagram(Transmit::to(path(local, target)), b"hello");
        });
        assert!(matches!(seen.recv(), Ok(Saw::Datagram { .. })));
    }
    remote.stop();
    thread.join().expect("no panic").expect("it ran to its end");
}
