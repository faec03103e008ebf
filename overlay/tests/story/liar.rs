//! A supernode that lies: it says that it is every member, and is at every address.

use crate::town::{Flat, Town, offer};
use halloo_base::{Cx, Deadline, Input, Machine, Path, Transmit};
use halloo_overlay::crypto::{
    Admission, Class, Context, Gate, Identity, Local, Numbers, Peer, Replayed, Request, Role,
};
use halloo_overlay::supernode::SupernodeOptions;
use halloo_overlay::wire::{
    Bookmark, Content, Control, Controls, HEADER_LEN, Introduced, Message, Prefix, SupernodeAt, TAG_LEN,
};
use halloo_overlay::{Cipher, Mac, PublicKey};
use halloo_sim::{Handle, Quality, ms, secs};
use std::net::SocketAddr;

/// Members that it makes up.
const MADE_UP: u64 = 20;

pub(crate) struct Liar {
    local: Local,
    numbers: Numbers,
    entropy: Replayed,
    gate: Gate,
    clients: Vec<(Peer, Path)>,
    here: SocketAddr,
    /// Real members of whom it has heard, and those that it makes up.
    names: Vec<PublicKey>,
    /// What came to it as if it were an edge.
    begun: u64,
    said: u64,
    /// What it says of those whom it makes up.
    pub(crate) features: u32,
    /// The address that it gives to everybody, one after the other.
    pub(crate) addresses: Vec<Prefix>,
    /// All that edges told it.
    pub(crate) told: Vec<Control>,
}

impl Liar {
    fn new(here: SocketAddr) -> Liar {
        let mut entropy = Replayed::new(77);
        let names = (0..MADE_UP)
            .map(|_| Identity::generate(&mut entropy).public())
            .collect();
        let mut offer = offer("liar");
        offer.ciphers = (0..).map_while(Cipher::from_octet).collect();
        Liar {
            local: Local::supernode(Identity::generate(&mut entropy), offer),
            numbers: Numbers::default(),
            entropy,
            gate: Gate::new(true),
            clients: vec![],
            here,
            names,
            begun: 0,
            said: 0,
            features: 0,
            addresses: vec![],
            told: vec![],
        }
    }

    fn lies(&mut self, to: PublicKey) -> Vec<Vec<Control>> {
        let introduced = |key: &PublicKey| Introduced {
            key: *key,
            features: self.features,
            candidates: vec![self.here],
            name: "a friend".into(),
        };
        let address = (!self.addresses.is_empty()).then(|| self.addresses.remove(0));
        let others = self.names.iter().filter(|key| **key != to);
        let mut lies: Vec<Vec<Control>> = others
            .clone()
            .enumerate()
            .map(|(number, key)| {
                vec![
                    Control::Members {
                        next: Bookmark { cursor: 1, begun: 1 },
                        more: 0,
                        anew: number == 0,
                        members: vec![introduced(key)],
                        gone: vec![],
                    },
                    Control::Meet {
                        key: *key,
                        candidates: vec![self.here; 16],
                    },
                    Control::Channel {
                        key: *key,
                        number: number as u32 + 1,
                        lifetime: 100,
                    },
                ]
            })
            .collect();
        lies.push(vec![Control::Registered {
            lifetime: 60,
            address,
            members: 99,
            strangers: 0,
        }]);
        let somewhere = (0..20).map(|number| SupernodeAt {
            address: SocketAddr::new(self.here.ip(), 9_000 + number),
            key: self.names[0],
        });
        lies.push(vec![Control::Supernodes(somewhere.collect())]);
        lies
    }

    fn say(&mut self, cx: &mut Cx<'_>, at: usize, controls: &[Control]) {
        let mut datagram = vec![0; HEADER_LEN];
        datagram.push(Content::Control as u8);
        for control in controls {
            control.emit(&mut datagram).expect("it can be written");
        }
        let len = datagram.len() - HEADER_LEN;
        datagram.resize(datagram.len() + TAG_LEN, 0);
        let (peer, path) = &mut self.clients[at];
        let sealed = peer.seal((cx.env.now, &self.local), 1, Class::Control, &mut datagram, len);
        if let Ok(len) = sealed {
            self.said += 1;
            cx.out.datagram(Transmit::to(*path), &datagram[..len]);
        }
    }

    fn request(&mut self, cx: &mut Cx<'_>, path: Path, request: Request) {
        let key = request.key();
        if !self.names.contains(&key) {
            self.names.push(key);
        }
        let at = match self.clients.iter().position(|(peer, _)| peer.key() == key) {
            Some(at) => at,
            None => {
                let owner = self.clients.len() as u32;
                self.clients.push((Peer::new(owner, key, Role::Edge), path));
                self.clients.len() - 1
            }
        };
        let mut out = vec![];
        let mut context = Context {
            now: cx.env.now,
            wall: cx.env.clock.stamp().wall,
            entropy: &mut self.entropy,
            numbers: &mut self.numbers,
            local: &self.local,
        };
        if self.clients[at]
            .0
            .accept(&mut context, request, path.remote, &mut out)
            .is_ok()
        {
            cx.out.datagram(Transmit::to(path), &out);
        }
    }
}

impl Machine for Liar {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        let Input::Datagram(rx) = input else { return };
        match Message::parse(rx.payload) {
            Ok(Message::Hello(hello)) => {
                let reply = hello.reply(self.local.public(), 0);
                cx.out.datagram(Transmit::to(rx.path), &reply.emit());
            }
            Ok(Message::Initiation(initiation)) => {
                let (now, remote) = (cx.env.now, rx.path.remote);
                match self
                    .gate
                    .admit(now, &mut self.entropy, &self.local, remote, &initiation)
                {
                    Admission::Cookie(cookie) => cx.out.datagram(Transmit::to(rx.path), &cookie),
                    Admission::Read => {
                        if let Ok(request) = Request::read(&self.local, &mut self.entropy, &initiation) {
                            self.request(cx, rx.path, request);
                        }
                    }
                    // For a member that it says is here.
                    Admission::Stranger => self.begun += 1,
                }
            }
            Ok(Message::Channel(_)) => self.begun += 1,
            Ok(Message::Data(header)) => {
                let owner = self.numbers.owner(header.receiver);
                let Some(at) = owner.map(|owner| owner as usize) else {
                    return;
                };
                let mut opened = vec![0; rx.payload.len()];
                let keys = (cx.env.now, &self.local, &mut self.numbers);
                let Ok((what, _)) = self.clients[at].0.open(keys, &header, rx.payload, &mut opened) else {
                    return;
                };
                assert_eq!(what.class, Class::Control, "no frame comes to a supernode");
                let controls = opened.get(1..what.len).unwrap_or_default();
                let told = Controls::new(controls).map(|control| control.expect("it is understood"));
                let told: Vec<Control> = told.collect();
                let registers = told.iter().any(|control| matches!(control, Control::Register(_)));
                self.told.extend(told);
                if registers {
                    let to = self.clients[at].0.key();
                    for lies in self.lies(to) {
                        self.say(cx, at, &lies);
                    }
                }
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

/// A town whose only supernode is a liar.
pub(crate) fn liar_town(seed: u64, how: impl FnOnce(&mut Liar)) -> (Town, Handle<Liar>, SocketAddr) {
    let mut town = Town::new(seed);
    let (liar, here) = settle(&mut town, how);
    (town, liar, here)
}

fn settle(town: &mut Town, how: impl FnOnce(&mut Liar)) -> (Handle<Liar>, SocketAddr) {
    let host = town.world.host("liar", &["198.51.100.200"]);
    town.world.join(host, town.cloud, Quality::delay(ms(5)));
    let here: SocketAddr = "198.51.100.200:7654".parse().expect("an address");
    let mut liar = Liar::new(here);
    how(&mut liar);
    let liar = town.world.add(host, liar);
    town.world.udp(liar, "0.0.0.0:7654");
    town.also = vec![here];
    (liar, here)
}

#[test]
fn a_supernode_that_lies_gets_no_frame_and_keeps_no_pair_apart() {
    let mut town = Town::new(950);
    town.supernode(SupernodeOptions::default());
    // The second supernode of the configuration is a liar.
    let (liar, here) = settle(&mut town, |_| ());
    for _ in 0..3 {
        town.edge(Flat::default());
    }
    town.edges.iter().for_each(|edge| {
        let mut seen = edge.seen.lock().expect("nobody panicked");
        seen.looks = true;
        seen.sent = Some(vec![]);
    });
    town.flow_to((0, Mac::BROADCAST, "all"), secs(3), ms(20), 200, 300);
    town.flow((1, 2), secs(3), ms(20), 200, 300);
    town.world.run_until(secs(40));
    town.all_came(1, 2, 200);
    assert_eq!(
        (town.came(1, "all ").len(), town.came(2, "all ").len()),
        (200, 200)
    );
    for at in 0..3 {
        let peers = town.status(at).peers;
        assert_eq!(peers.iter().filter(|peer| peer.up).count(), 2, "real ones");
        let seen = town.edges[at].seen.lock().expect("nobody panicked");
        assert_eq!(seen.clear, 0);
        // Initiations go where it says that members are; to one place a few, not a flood.
        let sent = seen.sent.as_ref().expect("it was watched");
        let to_liar = sent.iter().filter(|(to, _)| to.ip() == here.ip()).count();
        assert!(to_liar < 2_000, "{to_liar}");
    }
    let liar = town.world.machine(liar);
    assert!(
        liar.said > 20 && liar.begun > 20,
        "it did lie, and was asked for its members"
    );
}
