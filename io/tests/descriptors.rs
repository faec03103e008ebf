//! A worker whose machines come and go thousands of times holds no more than at the start. In a process of its own, because
//! it counts the process's descriptors.

use halloo_base::{
    Cx, Deadline, Endpoint, Input, LinkId, Machine, SocketId, SocketInput, StreamInput, Transmit,
};
use halloo_io::{ListenOptions, Newcomer, TcpListener, UdpOptions, UdpSocket, Worker, WorkerOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);
const CYCLES: u32 = 3_000;

struct Echo;

impl Machine for Echo {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Datagram(rx) => cx.out.datagram(Transmit::to(rx.path), rx.payload),
            Input::Stream(conn, StreamInput::Data { bytes, .. }) => cx.out.write(conn, None, bytes),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

fn udp() -> (UdpSocket, SocketAddr) {
    let options = UdpOptions {
        local: "127.0.0.1:0".parse().expect("an address"),
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

fn ask(client: &std::net::UdpSocket, server: SocketAddr) {
    client.send_to(b"hello", server).expect("it is sent");
    let (_, from) = client.recv_from(&mut [0; 16]).expect("an echo");
    assert_eq!(from, server);
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("this is Linux").count()
}

#[test]
fn thousands_of_machines_come_and_go_under_traffic_and_nothing_is_left_of_them() {
    let mut worker = Worker::new(WorkerOptions::default()).expect("a worker");
    let control = worker.control();
    let (socket, always) = udp();
    let resident = Newcomer::new(Box::new(Echo)).with(socket);
    let resident = control.add(resident).expect("posted").machine;
    let worker = thread::spawn(move || worker.run());
    let client = || {
        let client = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        client.set_read_timeout(Some(PATIENCE)).expect("it can be set");
        client
    };
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        // Whoever stays is answered all the time, whatever comes and goes.
        scope.spawn(|| {
            let client = client();
            while !over.load(Ordering::Relaxed) {
                ask(&client, always);
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        let client = client();
        ask(&client, always);
        let before = descriptors();
        for cycle in 0..CYCLES {
            let ((socket, address), (listener, listening)) = (udp(), tcp());
            let newcomer = Newcomer::new(Box::new(Echo)).with(socket).with(listener);
            let joined = control.add(newcomer).expect("posted");
            ask(&client, address);
            let mut stream = TcpStream::connect(listening).expect("it listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
            stream.write_all(b"hi").expect("it is sent");
            stream.read_exact(&mut [0; 2]).expect("an echo");
            if cycle % 2 == 0 {
                control.detach(joined.attachments[0]).expect("posted");
            }
            control.remove(joined.machine).expect("posted");
            // The end of the connection tells that it is done.
            assert_eq!(stream.read(&mut [0; 2]).expect("the end"), 0);
        }
        // The last machine's end is not the end of all that is closed with it.
        let joined = control.add(Newcomer::new(Box::new(Echo))).expect("posted");
        control.remove(joined.machine).expect("posted");
        ask(&client, always);
        over.store(true, Ordering::Relaxed);
        // The other thread's socket came before or after the first count.
        let after = descriptors();
        assert!(after <= before + 1, "{before} descriptors became {after}");
    });
    assert!(asked.load(Ordering::Relaxed) > 100);
    let gone = control.gone();
    assert_eq!(
        (gone.refused, gone.connections, gone.bytes),
        (0, u64::from(CYCLES), 0)
    );
    control.remove(resident).expect("posted");
    drop(control);
    worker.join().expect("it does not panic").expect("it ends well");
}

/// Closes each socket that it has opened, and opens another.
struct Restless(u32);

impl Machine for Restless {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Wake => {}
            Input::Socket(id, SocketInput::Opened(_)) => {
                self.0 -= 1;
                cx.out.close(id);
            }
            other => panic!("{other:?}"),
        }
        if !self.finished() {
            let endpoint = Endpoint {
                local: "127.0.0.1:0".parse().expect("an address"),
                link: LinkId(0),
            };
            cx.out.open(SocketId(7), endpoint);
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }

    fn finished(&self) -> bool {
        self.0 == 0
    }
}

#[test]
fn thousands_of_sockets_that_a_machine_opens_and_closes_leave_nothing() {
    let mut worker = Worker::new(WorkerOptions::default()).expect("a worker");
    worker.add(Box::new(Restless(CYCLES)));
    let before = descriptors();
    worker.run().expect("it ends well");
    // The last one may be closed with the worker.
    let after = descriptors();
    assert!(after <= before + 1, "{before} descriptors became {after}");
}
