//! A STUN server at two addresses, and what a client behind a NAT learns from it (RFC 5780).

use halloo_base::{Counters, Cx, Deadline, Input, LinkId, Machine, Mono, Path, Transmit};
use halloo_protocols::stun::wire::{Change, Class, Message, Transaction, Writer, attribute};
use halloo_protocols::stun::{Places, STUN, StunServer, StunServerOptions};
use halloo_serve::{Guards, Secret, Server, ServerOptions};
use halloo_sim::Dependence::{self, AddressAndPortDependent, AddressDependent, EndpointIndependent};
use halloo_sim::{Fate, NatOptions, Node, Quality, World, ms, secs};
use std::net::SocketAddr;
use std::sync::Arc;

const FIRST: &str = "198.51.100.1:3478";
const OTHER: &str = "198.51.100.2:3479";
const CHANGES: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Asks one place for an answer from each of the four, one a second.
struct Asker {
    target: SocketAddr,
    asked: u8,
    next: Option<Mono>,
    /// Which question was answered, from where, and where the answer says that it is from.
    heard: Vec<(u8, SocketAddr, Option<SocketAddr>)>,
}

impl Asker {
    fn of(target: &str) -> Asker {
        Asker {
            target: addr(target),
            asked: 0,
            next: Some(Mono(0)),
            heard: vec![],
        }
    }

    fn ask(&mut self, cx: &mut Cx<'_>, (ip, port): (bool, bool)) {
        let mut transaction = *b"\x21\x12\xa4\x42a question..";
        transaction[15] = self.asked;
        let mut bytes = [0; 36];
        let mut request =
            Writer::new(&mut bytes, Class::Request, Transaction(transaction), true).expect("room");
        request.change(Change { ip, port }).expect("room");
        let len = request.finish();
        let path = Path {
            link: LinkId(0),
            local: addr("0.0.0.0:0"),
            remote: self.target,
        };
        cx.out.datagram(Transmit::to(path), &bytes[..len]);
        self.asked += 1;
    }
}

impl Machine for Asker {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if let Input::Datagram(rx) = input {
            let answer = Message::parse(rx.payload).expect("a message");
            assert_eq!(answer.class, Class::Success);
            let origin = answer.address(attribute::RESPONSE_ORIGIN);
            self.heard
                .push((answer.transaction.0[15], rx.path.remote, origin));
        }
        if self.next.is_some_and(|next| next <= cx.now()) {
            let change = CHANGES.get(usize::from(self.asked)).copied();
            if let Some(change) = change {
                self.ask(cx, change);
            }
            self.next = change.map(|_| cx.now() + secs(1));
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.next.map(|at| Deadline::new(at, "ask"))
    }
}

/// A server with an address and a port in four places, and the internet around it.
fn served(counters: &Arc<Counters>) -> (World, Node) {
    let mut world = World::new(5);
    let internet = world.cloud("internet");
    let host = world.host("server", &["198.51.100.1", "198.51.100.2"]);
    world.join(host, internet, Quality::delay(ms(5)));
    let places = Places::new(addr(FIRST), addr(OTHER)).expect("two of both");
    let stun = StunServer::new(StunServerOptions { places: vec![places] });
    let options = ServerOptions {
        guards: Guards {
            own_ports: places.all().map(|place| place.port()).to_vec(),
            ..Guards::default()
        },
        reply_limit: STUN.reply_limit,
        ..ServerOptions::new(Secret::new([7; 16]))
    };
    let server = Server::new(options, Box::new(stun), Arc::clone(counters)).expect("the options are right");
    let server = world.add(host, server);
    for place in places.all() {
        world.udp(server, &place.to_string());
    }
    (world, internet)
}

/// The questions whose answers arrived at a client; `None` is one without a NAT.
fn arrived(filtering: Option<Dependence>) -> Vec<u8> {
    let counters = Arc::new(Counters::default());
    let (mut world, internet) = served(&counters);
    let client = match filtering {
        None => {
            let client = world.host("client", &["203.0.113.1"]);
            world.join(client, internet, Quality::delay(ms(5)));
            client
        }
        Some(filtering) => {
            let options = NatOptions::new(EndpointIndependent, filtering);
            let nat = world.nat("NAT", "203.0.113.1", options);
            world.uplink(nat, internet, Quality::delay(ms(5)));
            let client = world.host("client", &["10.0.0.2"]);
            world.join(client, nat, Quality::delay(ms(1)));
            client
        }
    };
    let asker = world.add(client, Asker::of(FIRST));
    world.udp(asker, "0.0.0.0:4000");
    world.run_until(secs(10));
    assert_eq!(
        counters.snapshot().replied,
        4,
        "the server does not know what arrives"
    );
    let heard = &world.machine(asker).heard;
    for (question, from, origin) in heard {
        let (ip, port) = CHANGES[usize::from(*question)];
        let expected = Places::new(addr(FIRST), addr(OTHER))
            .expect("two of both")
            .changed(addr(FIRST), Change { ip, port });
        assert_eq!(Some(*from), expected, "question {question}");
        assert_eq!(Some(*from), *origin, "it says where it is from");
    }
    let filtered = world.trace().count(|packet| packet.fate == Fate::Filtered);
    assert_eq!(filtered, 4 - heard.len());
    heard.iter().map(|(question, ..)| *question).collect()
}

#[test]
fn a_client_learns_what_its_nat_lets_in() {
    assert_eq!(arrived(None), [0, 1, 2, 3]);
    assert_eq!(arrived(Some(EndpointIndependent)), [0, 1, 2, 3]);
    assert_eq!(arrived(Some(AddressDependent)), [0, 1]);
    assert_eq!(arrived(Some(AddressAndPortDependent)), [0]);
}

/// A request whose forged source is a place of another such server, or of this one: neither answers an answer.
#[test]
fn two_such_servers_never_talk_to_each_other() {
    let counters = Arc::new(Counters::default());
    let (mut world, internet) = served(&counters);
    let victim = world.host("another server", &["203.0.113.1", "203.0.113.2"]);
    world.join(victim, internet, Quality::delay(ms(5)));
    // What an attacker sent in its name arrives as if it had asked, from a port that is not served here.
    let asker = world.add(victim, Asker::of(FIRST));
    world.udp(asker, "203.0.113.1:4478");
    // The same from a port of ours.
    let twin = world.add(victim, Asker::of(OTHER));
    world.udp(twin, "203.0.113.2:3478");
    world.run_until(secs(10));
    let counted = counters.snapshot();
    assert_eq!((counted.received, counted.replied), (8, 4), "{counted:?}");
    assert_eq!(counters.count(halloo_base::Reason::OwnPort), 4);
    assert!(world.machine(twin).heard.is_empty());
}
