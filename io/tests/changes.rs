//! Machines and sockets that come to a running worker and go again, with real sockets on loopback.

use halloo_base::{
    ConnId, Cx, Deadline, Endpoint, Input, LinkId, Machine, Path, SocketId, SocketInput, StreamInput,
    Transmit, TxTag, UnreachableError,
};
use halloo_io::{
    Control, Gone, ListenOptions, Newcomer, PostError, Remote, TcpListener, UdpOptions, UdpSocket, Worker,
    WorkerOptions,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends everything back, and says when it starts and stops.
struct Echo {
    name: u64,
    tell: Sender<Said>,
    /// What it sends to whom it heard last, when it is told to stop.
    goodbye: Option<(Path, TxTag)>,
    /// Whom it calls when it is told to stop.
    calls: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Woken(u64),
    Stopped(u64),
    Dropped(u64),
}

impl Machine for Echo {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Wake => self.say(Said::Woken(self.name)),
            Input::Datagram(rx) => {
                self.goodbye = Some((rx.path, TxTag(1)));
                cx.out.datagram(Transmit::to(rx.path), rx.payload);
            }
            Input::Stream(conn, StreamInput::Data { bytes, .. }) => cx.out.write(conn, None, bytes),
            Input::Stream(conn, StreamInput::Finished) => cx.out.finish(conn),
            Input::Stop => {
                if let Some((path, tag)) = self.goodbye {
                    let how = Transmit {
                        tag: Some(tag),
                        ..Transmit::to(path)
                    };
                    cx.out.datagram(how, b"goodbye");
                }
                if let Some(remote) = self.calls {
                    let path = Path {
                        link: LinkId(0),
                        local: "0.0.0.0:0".parse().expect("an address"),
                        remote,
                    };
                    cx.out.connect(ConnId(1), path);
                    cx.out.write(ConnId(1), None, b"too late");
                }
                self.say(Said::Stopped(self.name));
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

impl Echo {
    fn say(&self, what: Said) {
        // The test may have seen enough.
        let _ = self.tell.send(what);
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.say(Said::Dropped(self.name));
    }
}

/// A worker that runs, and what its machines say.
struct Running {
    control: Control,
    remote: Remote,
    thread: JoinHandle<std::io::Result<()>>,
    tell: Sender<Said>,
    said: Receiver<Said>,
}

fn running(options: WorkerOptions) -> Running {
    let mut worker = Worker::new(options).expect("a worker");
    let (tell, said) = channel();
    Running {
        control: worker.control(),
        remote: worker.remote(),
        thread: thread::spawn(move || worker.run()),
        tell,
        said,
    }
}

impl Running {
    fn echo(&self, name: u64) -> Newcomer {
        Newcomer::new(Box::new(Echo {
            name,
            tell: self.tell.clone(),
            goodbye: None,
            calls: None,
        }))
    }

    #[track_caller]
    fn expect(&self, said: Said) {
        assert_eq!(self.said.recv_timeout(PATIENCE), Ok(said));
    }

    /// Ends it without a stop: nobody is there any more.
    fn end(self) {
        drop(self.control);
        let ended = self.thread.join().expect("it does not panic");
        ended.expect("it ends well");
    }
}

fn udp(prober: bool) -> (UdpSocket, SocketAddr) {
    let options = UdpOptions {
        local: "127.0.0.1:0".parse().expect("an address"),
        prober,
        ..UdpOptions::default()
    };
    let socket = UdpSocket::bind(&options).expect("a socket");
    let address = socket.local_addr();
    (socket, address)
}

fn tcp() -> (TcpListener, SocketAddr) {
    let options = ListenOptions {
        local: "127.0.0.1:0".parse().expect("an address"),
        ..ListenOptions::default()
    };
    let listener = TcpListener::bind(&options).expect("a listener");
    let address = listener.local_addr();
    (listener, address)
}

fn client(of: SocketAddr) -> std::net::UdpSocket {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    socket.connect(of).expect("it can be connected");
    socket
}

#[track_caller]
fn assert_echoes(client: &std::net::UdpSocket) {
    let mut room = [0; 16];
    client.send(b"hello").expect("it is sent");
    let len = client.recv(&mut room).expect("an echo");
    assert_eq!(&room[..len], b"hello");
}

/// Nobody is at that port any more: the kernel says so.
#[track_caller]
fn assert_refused(client: &std::net::UdpSocket) {
    let _ = client.send(b"hello");
    let refused = client.recv(&mut [0; 16]).expect_err("nobody answers");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

/// Returns when all that was posted before is done.
fn settle(running: &Running) {
    let joined = running.control.add(running.echo(u64::MAX)).expect("posted");
    running.expect(Said::Woken(u64::MAX));
    running.control.remove(joined.machine).expect("posted");
    running.expect(Said::Stopped(u64::MAX));
    running.expect(Said::Dropped(u64::MAX));
}

#[test]
fn a_machine_joins_a_running_worker_with_its_sockets_and_leaves_it_again() {
    let running = running(WorkerOptions::default());
    let (socket, address) = udp(false);
    let joined = running.control.add(running.echo(1).with(socket)).expect("posted");
    running.expect(Said::Woken(1));
    let client = client(address);
    assert_echoes(&client);
    running.control.remove(joined.machine).expect("posted");
    running.expect(Said::Stopped(1));
    running.expect(Said::Dropped(1));
    let mut room = [0; 16];
    let len = client.recv(&mut room).expect("what it said at the end is sent");
    assert_eq!(&room[..len], b"goodbye");
    assert_refused(&client);
    let again = UdpOptions {
        local: address,
        ..UdpOptions::default()
    };
    UdpSocket::bind(&again).expect("its port is free");
    let stampless = Gone {
        departures: 1,
        ..Gone::default()
    };
    assert_eq!(
        running.control.gone(),
        stampless,
        "its goodbye had asked for a stamp"
    );
    running.end();
}

#[test]
fn sockets_are_taken_away_one_by_one_and_the_others_go_on() {
    let running = running(WorkerOptions::default());
    let sockets = [(); 4].map(|()| udp(false));
    let addresses = sockets.each_ref().map(|(_, address)| *address);
    let mut newcomer = running.echo(1);
    for (socket, _) in sockets {
        newcomer = newcomer.with(socket);
    }
    let joined = running.control.add(newcomer).expect("posted");
    running.expect(Said::Woken(1));
    let clients = addresses.map(client);
    clients.iter().for_each(assert_echoes);
    let mut open = vec![true; 4];
    for gone in [0, 2, 3, 1] {
        running.control.detach(joined.attachments[gone]).expect("posted");
        settle(&running);
        open[gone] = false;
        for (client, open) in clients.iter().zip(&open) {
            if *open {
                assert_echoes(client);
            } else {
                assert_refused(client);
            }
        }
    }
    // Twice is once.
    running.control.detach(joined.attachments[0]).expect("posted");
    running.control.remove(joined.machine).expect("posted");
    running.end();
}

#[test]
fn a_socket_joins_a_machine_that_runs() {
    // It would wait inside its only socket, if nobody could give it another one.
    let running = running(WorkerOptions {
        answers_only: true,
        ..WorkerOptions::default()
    });
    let (socket, address) = udp(false);
    let joined = running.control.add(running.echo(1).with(socket)).expect("posted");
    running.expect(Said::Woken(1));
    assert_echoes(&client(address));
    let (second, address) = udp(false);
    running.control.attach(second, joined.machine).expect("posted");
    assert_echoes(&client(address));
    running.remote.stop();
    running.expect(Said::Stopped(1));
}

#[test]
fn a_number_of_a_machine_that_is_gone_means_nobody() {
    let running = running(WorkerOptions::default());
    let first = running.control.add(running.echo(1)).expect("posted");
    running.control.remove(first.machine).expect("posted");
    for said in [Said::Woken(1), Said::Stopped(1), Said::Dropped(1)] {
        running.expect(said);
    }
    let (socket, address) = udp(false);
    let second = running.control.add(running.echo(2).with(socket)).expect("posted");
    running.expect(Said::Woken(2));
    assert_ne!(first.machine, second.machine);
    running.control.remove(first.machine).expect("posted");
    let (orphan, orphaned) = udp(false);
    running.control.attach(orphan, first.machine).expect("posted");
    settle(&running);
    assert_echoes(&client(address));
    assert_refused(&client(orphaned));
    let gone = Gone {
        refused: 1,
        ..Gone::default()
    };
    assert_eq!(running.control.gone(), gone);
    running.control.remove(second.machine).expect("posted");
    running.end();
}

#[test]
fn connections_outlive_their_listener_and_end_with_their_machine() {
    let running = running(WorkerOptions::default());
    let (listener, address) = tcp();
    let joined = running
        .control
        .add(running.echo(1).with(listener))
        .expect("posted");
    running.expect(Said::Woken(1));
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    let mut exchange = || {
        stream.write_all(b"hello").expect("it is sent");
        let mut room = [0; 5];
        stream.read_exact(&mut room).expect("an echo");
        assert_eq!(&room, b"hello");
    };
    exchange();
    running.control.detach(joined.attachments[0]).expect("posted");
    settle(&running);
    let refused = TcpStream::connect(address).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    exchange();
    running.control.remove(joined.machine).expect("posted");
    running.expect(Said::Stopped(1));
    running.expect(Said::Dropped(1));
    assert_eq!(stream.read(&mut [0; 5]).expect("the end"), 0);
    let gone = Gone {
        connections: 1,
        ..Gone::default()
    };
    assert_eq!(running.control.gone(), gone);
    running.end();
}

#[test]
fn what_was_still_to_be_sent_and_stamped_is_counted() {
    let running = running(WorkerOptions::default());
    let (prober, asked) = udp(true);
    // The kernel answers a call, but a worker hears of that in its next round at the earliest.
    let (_listener, called) = tcp();
    let machine = Echo {
        name: 1,
        tell: running.tell.clone(),
        goodbye: None,
        calls: Some(called),
    };
    let newcomer = Newcomer::new(Box::new(machine)).with(prober);
    let joined = running.control.add(newcomer).expect("posted");
    running.expect(Said::Woken(1));
    assert_echoes(&client(asked));
    running.control.remove(joined.machine).expect("posted");
    running.expect(Said::Stopped(1));
    running.expect(Said::Dropped(1));
    let gone = Gone {
        refused: 0,
        connections: 1,
        bytes: 8,
        departures: 1,
    };
    assert_eq!(running.control.gone(), gone);
    running.end();
}

#[test]
fn changes_that_nobody_makes_are_refused_when_too_many_wait() {
    let mut worker = Worker::new(WorkerOptions::default()).expect("a worker");
    let control = worker.control();
    let (tell, _said) = channel();
    let machine = Echo {
        name: 1,
        tell,
        goodbye: None,
        calls: None,
    };
    let joined = control.add(Newcomer::new(Box::new(machine))).expect("posted");
    let refused = loop {
        if let Err(why) = control.remove(joined.machine) {
            break why;
        }
    };
    assert_eq!(refused, PostError::Full);
    assert_eq!(
        refused.to_string(),
        "the worker has more than 1024 changes to make"
    );
    drop(worker);
    assert_eq!(control.remove(joined.machine), Err(PostError::Ended));
}

#[test]
fn what_was_posted_before_the_last_control_went_is_done() {
    let mut worker = Worker::new(WorkerOptions::default()).expect("a worker");
    let control = worker.control();
    let (tell, said) = channel();
    let machine = Echo {
        name: 1,
        tell,
        goodbye: None,
        calls: None,
    };
    let joined = control.add(Newcomer::new(Box::new(machine))).expect("posted");
    control.clone().remove(joined.machine).expect("posted");
    drop(control);
    worker.run().expect("it ends well");
    let said: Vec<_> = said.try_iter().collect();
    assert_eq!(said, [Said::Woken(1), Said::Stopped(1), Said::Dropped(1)]);
}

/// What an [`Opener`] opens when it has closed another one.
const AFTERWARDS: SocketId = SocketId(u64::MAX);

/// Opens the sockets that it is told to, echoes on all, and closes those that a peer names.
struct Opener {
    wishes: Vec<(SocketId, Endpoint)>,
    tell: Sender<(SocketId, SocketInput)>,
}

impl Machine for Opener {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Wake => {
                for (id, endpoint) in self.wishes.drain(..) {
                    cx.out.open(id, endpoint);
                }
            }
            Input::Socket(id, outcome) => {
                // The test may have seen enough.
                let _ = self.tell.send((id, outcome));
            }
            Input::Datagram(rx) => {
                if let Some((number, rest)) = rx.payload.split_first_chunk()
                    && rest == b"close"
                {
                    cx.out.close(SocketId(u64::from_be_bytes(*number)));
                    cx.out.open(AFTERWARDS, endpoint("127.0.0.1:0", 0));
                }
                cx.out.datagram(Transmit::to(rx.path), rx.payload);
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

fn endpoint(local: &str, link: u32) -> Endpoint {
    Endpoint {
        local: local.parse().expect("an address"),
        link: LinkId(link),
    }
}

/// A machine that wants these, in a worker that runs, and what it was told.
fn opener(options: WorkerOptions, wishes: &[(u64, Endpoint)]) -> (Remote, Receiver<(SocketId, SocketInput)>) {
    let mut worker = Worker::new(options).expect("a worker");
    let (tell, told) = channel();
    let wishes = wishes.iter().map(|&(id, endpoint)| (SocketId(id), endpoint));
    let machine = worker.add(Box::new(Opener {
        wishes: wishes.collect(),
        tell,
    }));
    worker.udp(udp(false).0, machine).expect("it can be watched");
    let remote = worker.remote();
    thread::spawn(move || worker.run());
    (remote, told)
}

fn refused(errno: i32) -> SocketInput {
    SocketInput::Refused(UnreachableError(errno))
}

#[test]
fn a_machine_opens_and_closes_sockets_and_is_told_what_became_of_it() {
    let (_, taken) = {
        let (socket, address) = udp(false);
        (Box::leak(Box::new(socket)), address)
    };
    const LOOPBACK: u32 = 1;
    let wishes = [
        (1, endpoint("127.0.0.1:0", 0)),
        (2, endpoint("[::1]:0", LOOPBACK)),
        (1, endpoint("127.0.0.1:0", 0)),
        (3, endpoint(&taken.to_string(), 0)),
        (4, endpoint("192.0.2.1:0", 0)),
        (5, endpoint("127.0.0.1:0", 0x7fff_ffff)),
    ];
    let (remote, told) = opener(WorkerOptions::default(), &wishes);
    let hear = || told.recv_timeout(PATIENCE).expect("it is told");
    let opened = |id| match hear() {
        (SocketId(told), SocketInput::Opened(address)) if told == id => address,
        other => panic!("{other:?}"),
    };
    let (first, second) = (opened(1), opened(2));
    assert!(first.port() != 0 && second.is_ipv6());
    let hear = || told.recv_timeout(PATIENCE).expect("it is told");
    // EEXIST, EADDRINUSE, EADDRNOTAVAIL, and no such device in one of its two numbers.
    assert_eq!(hear(), (SocketId(1), refused(17)));
    assert_eq!(hear(), (SocketId(3), refused(98)));
    assert_eq!(hear(), (SocketId(4), refused(99)));
    let (id, outcome) = hear();
    assert_eq!(id, SocketId(5));
    assert!([refused(6), refused(19)].contains(&outcome), "{outcome:?}");
    let client = client(first);
    assert_echoes(&client);
    let close = [&1u64.to_be_bytes()[..], b"close"].concat();
    client.send(&close).expect("it is sent");
    let mut room = [0; 16];
    let len = client
        .recv(&mut room)
        .expect("what it said before it closed is sent");
    assert_eq!(room[..len], close);
    let (id, _) = hear();
    assert_eq!(id, AFTERWARDS, "wishes are granted in their order");
    assert_refused(&client);
    remote.stop();
}

#[test]
fn a_worker_that_waits_inside_its_socket_opens_no_other() {
    let options = WorkerOptions {
        answers_only: true,
        ..WorkerOptions::default()
    };
    let (remote, told) = opener(options, &[(1, endpoint("127.0.0.1:0", 0))]);
    let heard = told.recv_timeout(PATIENCE);
    assert_eq!(heard, Ok((SocketId(1), SocketInput::UNSUPPORTED)));
    remote.stop();
}
