//! TUN devices.

use super::talk::talk;
use super::{PATIENCE, Running, Saw, Swap, converse, own_port, settle};
use halloo_base::{Cx, Deadline, Input, Machine, Transmit, UnreachableError};
use halloo_io::route::{Hop, LinkAddress, LinkChange, Netlink, Route};
use halloo_io::{TunDevice, TunOptions, Worker, WorkerOptions};
use halloo_lab::{Host, Lab};
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;

pub(super) const ECHO: [&str; 2] = ["192.0.2.77", "2001:db8::77"];
pub(super) const OURS: [&str; 2] = ["10.9.0.1/24", "fd00:9::1/64"];

pub(super) fn ip(text: &str) -> IpAddr {
    text.split('/')
        .next()
        .and_then(|ip| ip.parse().ok())
        .expect("an address")
}

/// A device that is on, with addresses for the host and routes to the echo addresses.
pub(super) fn furnish(host: &Host, options: &TunOptions) -> TunDevice {
    let device = host.enter(|| {
        let device = TunDevice::open(options).expect("root may make a TUN");
        let mut netlink = Netlink::open().expect("a netlink socket");
        let up = LinkChange {
            up: Some(true),
            ..LinkChange::default()
        };
        netlink.change_link(device.link(), &up).expect("it goes on");
        let address = LinkAddress {
            link: device.link(),
            net: OURS[0].parse().expect("a prefix"),
        };
        netlink.add_address(address).expect("a new address");
        // Without looking whether it is free, so that it can be used at once.
        host.must("ip", ["addr", "add", OURS[1], "dev", device.name(), "nodad"]);
        for echo in ECHO {
            let route = Route::new(ip(echo).into(), Hop::Link(device.link()));
            netlink.add_route(route).expect("a new route");
        }
        device
    });
    settle(host, ip(OURS[1]));
    device
}

fn swap(host: &Host, devices: Vec<TunDevice>) -> (Vec<Running>, Receiver<Saw>) {
    let (machine, seen) = Swap::new([0; 6]);
    let running = devices.into_iter().map(|device| {
        let machine = Swap {
            mac: machine.mac,
            saw: machine.saw.clone(),
        };
        Running::on(host, move |worker| {
            let owner = worker.add(Box::new(machine));
            worker.tun(device, owner).expect("watched");
        })
    });
    (running.collect(), seen)
}

/// The packet of this length among what the machine saw: the host says things of its own too.
fn hear(seen: &Receiver<Saw>, len: usize) -> Saw {
    loop {
        let saw = seen.recv_timeout(PATIENCE).expect("it comes, in one piece");
        if saw.len == len {
            return saw;
        }
    }
}

#[test]
fn datagrams_come_back_from_a_tun_alone_and_many_in_one_piece() {
    let Some(lab) = Lab::or_skip("a TUN in a namespace") else {
        return;
    };
    let host = lab.host("solo");
    let device = furnish(&host, &TunOptions::default());
    let (_running, seen) = swap(&host, vec![device]);
    for (own, echo) in OURS.map(ip).into_iter().zip(ECHO.map(ip)) {
        let socket = own_port(&host, own);
        for (size, count) in [(0, 1), (64, 1), (1_400, 1), (1_000, 10)] {
            if size > 0 {
                converse(&socket, echo, size, count);
            } else {
                socket.send_to(&[], (echo, super::PORT)).expect("sent");
                assert_eq!(socket.recv_from(&mut [0; 9]).expect("an answer").0, 0);
            }
            let headers = if echo.is_ipv4() { 28 } else { 48 };
            let saw = hear(&seen, headers + size * count);
            assert_eq!(saw.offload.packets(saw.len), count);
        }
    }
}

#[test]
fn a_tcp_holds_a_conversation_with_itself() {
    let Some(lab) = Lab::or_skip("a TCP that talks to itself through a TUN") else {
        return;
    };
    let host = lab.host("solo");
    let device = furnish(&host, &TunOptions::default());
    let (_running, seen) = swap(&host, vec![device]);
    for echo in ECHO {
        talk(&host, ip(echo));
    }
    assert!(
        seen.try_iter().any(|saw| saw.offload.packets(saw.len) > 1),
        "segments came in one piece"
    );
}

#[test]
fn several_queues_serve_one_device() {
    let Some(lab) = Lab::or_skip("a TUN with two queues") else {
        return;
    };
    let host = lab.host("solo");
    let options = TunOptions {
        multi_queue: true,
        ..TunOptions::default()
    };
    let first = furnish(&host, &options);
    let second = host.enter(|| first.another_queue()).expect("a second queue");
    assert_eq!((first.name(), first.link()), (second.name(), second.link()));
    let (_running, seen) = swap(&host, vec![first, second]);
    converse(&own_port(&host, ip(OURS[0])), ip(ECHO[0]), 64, 1);
    assert!(seen.recv_timeout(PATIENCE).is_ok());
}

/// Sends something that is no IP datagram, and tells what became of it.
struct Nonsense {
    device: halloo_base::LinkId,
    tell: std::sync::mpsc::Sender<UnreachableError>,
    told: bool,
}

impl Machine for Nonsense {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Wake => {
                let nobody = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
                let path = halloo_base::Path {
                    link: self.device,
                    local: nobody,
                    remote: nobody,
                };
                cx.out.datagram(Transmit::to(path), b"\0nonsense");
            }
            Input::Unreachable(report, _) => {
                self.told = true;
                self.tell.send(report.error).expect("the test listens");
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }

    fn finished(&self) -> bool {
        self.told
    }
}

#[test]
fn what_a_device_will_not_send_is_told() {
    let Some(lab) = Lab::or_skip("a TUN that is given nonsense") else {
        return;
    };
    let host = lab.host("solo");
    let device = furnish(&host, &TunOptions::default());
    let (tell, told) = channel();
    let _running = Running::on(&host, move |worker| {
        let owner = worker.add(Box::new(Nonsense {
            device: device.link(),
            tell,
            told: false,
        }));
        worker.tun(device, owner).expect("watched");
    });
    let error = told.recv_timeout(PATIENCE).expect("it is told");
    assert_eq!(error, UnreachableError(22), "EINVAL");
}

#[test]
fn a_worker_whose_device_was_taken_away_says_so() {
    let Some(lab) = Lab::or_skip("a TUN that somebody removes") else {
        return;
    };
    let host = lab.host("solo");
    let device = furnish(&host, &TunOptions::default());
    let name = device.name().to_owned();
    let mut worker = Worker::new(WorkerOptions::default()).expect("a worker");
    let owner = worker.add(Box::new(Swap::new([0; 6]).0));
    worker.tun(device, owner).expect("watched");
    let ended = spawn(move || worker.run());
    host.must("ip", ["link", "delete", &name]);
    let error = ended
        .join()
        .expect("no panic")
        .expect_err("nothing left to serve");
    assert_eq!(error.to_string(), "halloo0 was removed while it was in use");
}
