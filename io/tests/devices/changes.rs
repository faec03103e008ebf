//! Devices that come to a running worker and go again.

use super::tun::{ECHO, OURS, furnish, ip};
use super::{PATIENCE, Swap, converse, own_port, settle};
use halloo_base::{Cx, Deadline, Input, Machine};
use halloo_io::route::Netlink;
use halloo_io::{
    AttachmentId, Control, Newcomer, PacketOptions, PacketSocket, TunDevice, TunOptions, Worker,
    WorkerOptions,
};
use halloo_lab::Lab;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{Sender, channel};

/// Says that it was woken.
struct Word(Sender<()>);

impl Machine for Word {
    fn handle(&mut self, _cx: &mut Cx<'_>, input: Input<'_>) {
        if let Input::Wake = input {
            self.0.send(()).expect("the test listens");
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

/// Takes an attachment away, and returns when it is gone: changes are made in their order.
fn detach(control: &Control, attachment: AttachmentId) {
    control.detach(attachment).expect("posted");
    let (word, heard) = channel();
    control.add(Newcomer::new(Box::new(Word(word)))).expect("posted");
    heard.recv_timeout(PATIENCE).expect("it is woken");
}

#[test]
fn a_device_that_is_taken_away_is_gone_and_the_others_go_on() {
    let Some(lab) = Lab::or_skip("devices that come and go") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let links = [lab.link(&near, &far), lab.link(&near, &far)];
    let tun = |name: &str| TunOptions {
        name: name.into(),
        ..TunOptions::default()
    };
    let (idle, busy) = far.enter(|| {
        let open = |name| TunDevice::open(&tun(name)).expect("root may make a TUN");
        (open("idle0"), open("idle1"))
    });
    let echo = furnish(&far, &tun("echo0"));
    let mut worker = far.enter(|| Worker::new(WorkerOptions::default()).expect("a worker"));
    let (control, remote) = (worker.control(), worker.remote());
    let thread = far.thread(move || worker.run());

    let newcomer = Newcomer::new(Box::new(Swap::new([0; 6]).0));
    let newcomer = newcomer.with(idle).with(busy).with(echo);
    let tuns = control.add(newcomer).expect("posted");
    let socket = own_port(&far, ip(OURS[0]));
    converse(&socket, ip(ECHO[0]), 64, 1);
    // The last one takes the first one's place, and then the second one's.
    for gone in [0, 1] {
        detach(&control, tuns.attachments[gone]);
        converse(&socket, ip(ECHO[0]), 64, 1);
    }
    let is_there = |name: &str| {
        far.enter(|| {
            let mut netlink = Netlink::open().expect("a netlink socket");
            netlink.link(name).expect("an answer").is_some()
        })
    };
    assert_eq!(["idle0", "idle1", "echo0"].map(is_there), [false, false, true]);

    // The same with packet sockets, of which the second one answers.
    let spare = |link: &halloo_lab::Link| {
        let [a, b, c, _] = link.b().v4().octets();
        IpAddr::from(Ipv4Addr::new(a, b, c, 77))
    };
    let [first, second] = links.each_ref().map(|link| {
        settle(&near, link.a().v6().into());
        let options = PacketOptions {
            device: link.b().device().to_owned(),
            addresses: vec![spare(link)],
            receive_buffer: None,
        };
        far.enter(|| PacketSocket::open(&options)).expect("root may")
    });
    let machine = Swap::new(second.mac()).0;
    let newcomer = Newcomer::new(Box::new(machine)).with(first).with(second);
    let packets = control.add(newcomer).expect("posted");
    let asker = own_port(&near, links[1].a().v4().into());
    detach(&control, packets.attachments[0]);
    converse(&asker, spare(&links[1]), 64, 1);

    for machine in [packets.machine, tuns.machine] {
        control.remove(machine).expect("posted");
    }
    remote.stop();
    thread.join().expect("it does not panic").expect("it ends well");
    assert!(!is_there("echo0"));
}
