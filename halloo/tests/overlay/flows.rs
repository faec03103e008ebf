//! Several UDP ports to a peer that is sent much.

use crate::common::{Edge, Net, PATIENCE, acquainted, v4};
use std::net::UdpSocket;
use std::time::Instant;

const LISTEN: &str = "7655";
/// Flows of the hosts, each from a port of its own, and how many datagrams of each are under way at once.
const INNER: usize = 32;
const AT_ONCE: usize = 2;

/// Programs on two hosts, one of which sends to the other over the overlay.
struct Programs {
    senders: Vec<UdpSocket>,
    receiver: UdpSocket,
    sent: u32,
}

impl Programs {
    fn new([a, b]: [&Edge; 2]) -> Programs {
        let receiver = b
            .host
            .enter(|| UdpSocket::bind((v4(1).as_str(), 9_000)).expect("its address"));
        receiver.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let sender = || {
            let socket = UdpSocket::bind((v4(0).as_str(), 0)).expect("its address");
            socket.connect((v4(1).as_str(), 9_000)).expect("a route");
            socket
        };
        Programs {
            senders: a.host.enter(|| (0..INNER).map(|_| sender()).collect()),
            receiver,
            sent: 0,
        }
    }

    /// Each sends a few; all of them come, and those of one sender in order.
    fn round(&mut self) {
        let mut buffer = [0; 1_200];
        for more in 0..AT_ONCE as u32 {
            buffer[..4].copy_from_slice(&(self.sent + more).to_be_bytes());
            for sender in &self.senders {
                assert_eq!(sender.send(&buffer).expect("it leaves"), buffer.len());
            }
        }
        let mut next = [self.sent; INNER];
        for _ in 0..INNER * AT_ONCE {
            let (len, from) = self.receiver.recv_from(&mut buffer).expect("none is lost");
            let is_sender = |sender: &UdpSocket| sender.local_addr().is_ok_and(|own| own == from);
            let place = self.senders.iter().position(is_sender).expect("one of them");
            let number = u32::from_be_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]);
            assert_eq!((len, number), (buffer.len(), next[place]));
            next[place] += 1;
        }
        self.sent += AT_ONCE as u32;
    }

    /// Goes on until something is so.
    fn until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "{what}");
            self.round();
        }
    }
}

fn counters(text: &str) -> Vec<u64> {
    let counters = text.split("counter packets ").skip(1);
    counters
        .map(|rest| rest.split(' ').next().and_then(|count| count.parse().ok()))
        .map(|count| count.expect("a number"))
        .collect()
}

#[test]
fn many_flows_leave_by_several_ports() {
    let Some(net) = Net::or_skip("several UDP ports to a peer") else {
        return;
    };
    let args = ["--flows", "4", "--flows-above", "0", "--listen", LISTEN];
    let (_supernode, edges) = net.full(&["a", "b"], &args);
    edges[0].wait("b is reached directly");
    let mut programs = Programs::new([&edges[0], &edges[1]]);
    programs.until("four flows", || edges[0].peer("b")["flows"] == 4);
    for rule in [
        "add table inet t",
        "add set inet t ports { type inet_service; size 64; flags dynamic; }",
        "add chain inet t out { type filter hook output priority 0; }",
        "add rule inet t out meta oifname != \"ov*\" udp length > 1000 update @ports { udp sport counter }",
    ] {
        edges[0].host.must("nft", [rule]);
    }
    for _ in 0..10 {
        programs.round();
    }
    let text = edges[0].host.must("nft", ["list", "set", "inet", "t", "ports"]);
    let used = counters(&text);
    assert!(used.len() >= 3, "{text}");
    assert!(used.iter().filter(|count| **count >= 20).count() >= 2, "{text}");
    assert_eq!(edges[0].status()["counters"]["wrong_port"], 0);
}

#[test]
fn a_firewall_that_refuses_further_ports_costs_nothing() {
    let Some(net) = Net::or_skip("a firewall that knows one port") else {
        return;
    };
    let (a, b) = (net.host("a"), net.host("b"));
    for rule in [
        "add table inet t",
        "add chain inet t in { type filter hook input priority 0; }",
        "add rule inet t in udp dport 7655 udp sport != { 7654, 7655 } counter reject",
    ] {
        b.a().host().must("nft", [rule]);
    }
    let args = ["--flows-above", "0", "--listen", LISTEN];
    let _supernode = net.supernode(&[]);
    let edges = [
        net.numbered(a.a().host(), 0, &args),
        net.numbered(b.a().host(), 1, &args),
    ];
    acquainted(&edges);
    edges[0].wait("b is reached directly");
    let refused = || counters(&edges[1].host.must("nft", ["list", "table", "inet", "t"]))[0];
    let mut programs = Programs::new([&edges[0], &edges[1]]);
    programs.until("a port is tried", || refused() >= 3);
    for _ in 0..20 {
        programs.round();
    }
    let peer = edges[0].peer("b");
    assert_eq!(peer["flows"], 1, "{peer:#}");
    let paths = peer["paths"].as_array().expect("paths");
    let used = paths.iter().find(|path| path["in_use"] == true).expect("one");
    assert_eq!(
        (&used["relayed"], &used["health"]),
        (&false.into(), &"good".into()),
        "{peer:#}"
    );
}
