//! Many edges on one supernode. `cargo xtask bench supernode` has thousands, and says what they cost.

use crate::common::{Net, PATIENCE, PORT};
use halloo_base::LinkId;
use halloo_io::{UdpOptions, UdpSocket, Worker, WorkerOptions};
use halloo_overlay::crypto::{Community, Cost, Identity, Local, Offer, Replayed};
use halloo_overlay::edge::{Edge, EdgeEvent, EdgeOptions, EdgeStatus, Observer, SupernodePlace};
use halloo_overlay::{Cipher, Compression, Mac};
use nix::sys::signal::Signal;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

const EDGES: usize = 200;
/// Edges of a community: each of them meets all the others.
const CIRCLE: usize = 4;
/// No device has this number, so no frame goes.
const NO_TAP: LinkId = LinkId(u32::MAX);

struct Listener(Sender<EdgeEvent>);

impl Observer for Listener {
    fn event(&mut self, event: EdgeEvent) {
        let _ = self.0.send(event);
    }

    fn status(&mut self, _status: EdgeStatus) {}
}

fn edge(number: usize, bind: SocketAddr, supernode: SocketAddr, told: Sender<EdgeEvent>) -> Edge {
    let mut entropy = Replayed::new(0x00ed_6e00 + number as u64);
    let identity = Identity::generate(&mut entropy);
    let name = format!("circle{}", number / CIRCLE);
    let community = Community::new(&name, b"a secret of the lab", Cost::TEST).expect("a community");
    let offer = Offer {
        ciphers: vec![Cipher::Aes256Gcm],
        compressions: vec![Compression::None],
        frame: 1_522,
        name: format!("edge{number}"),
        features: 0,
        software: "lab".into(),
    };
    let place = SupernodePlace {
        address: supernode,
        key: None,
    };
    let mac = Mac([2, 0, 0, 0, (number >> 8) as u8, number as u8]);
    let options = EdgeOptions::new(vec![place], bind, NO_TAP, mac);
    let local = Local::edge(identity, community, offer);
    Edge::new(options, local, Box::new(entropy), Box::new(Listener(told)))
}

#[test]
fn two_hundred_edges_register_at_once_and_each_community_meets() {
    let Some(net) = Net::or_skip("two hundred edges on a supernode") else {
        return;
    };
    let supernode = net.supernode_json(&["--json"]);
    let address: SocketAddr = format!("{}:{PORT}", net.supernode_address())
        .parse()
        .expect("an address");
    let home = net.host("home");
    let (told, events) = channel();
    // Sockets are of the namespace in which they are made.
    let mut worker = home.a().host().enter(|| {
        let mut worker = Worker::new(WorkerOptions::default()).expect("a worker");
        for number in 0..EDGES {
            let options = UdpOptions {
                local: "0.0.0.0:0".parse().expect("an address"),
                ..UdpOptions::default()
            };
            let socket = UdpSocket::bind(&options).expect("a socket");
            let edge = edge(number, socket.local_addr(), address, told.clone());
            let machine = worker.add(Box::new(edge));
            worker.udp(socket, machine).expect("it is watched");
        }
        worker
    });
    let remote = worker.remote();
    let running = std::thread::spawn(move || worker.run());
    let (mut registered, mut met) = (0, 0);
    let begun = Instant::now();
    while registered < EDGES || met < EDGES * (CIRCLE - 1) {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        match events.recv_timeout(left) {
            Ok(EdgeEvent::Registered { .. }) => registered += 1,
            Ok(EdgeEvent::PeerUp { .. }) => met += 1,
            Ok(EdgeEvent::PathChanged { .. }) => {}
            other => panic!("{registered} registered, {met} met: {other:?}"),
        }
    }
    supernode.signal(Signal::SIGUSR1);
    let line = supernode.wait_for_line("\"type\":\"supernode_status\"", PATIENCE);
    let status: serde_json::Value = serde_json::from_str(&line).expect("an object");
    assert_eq!(
        (&status["members"], &status["communities"]),
        (&EDGES.into(), &(EDGES / CIRCLE).into())
    );
    remote.stop();
    running.join().expect("it did not panic").expect("it worked");
}
