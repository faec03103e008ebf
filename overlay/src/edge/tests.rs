use super::budget::Budget;
use super::carrier::{Carrier, EdgePort};
use super::leg::Leg;
use super::own::Own;
use super::remote::Remote;
use super::{Edge, EdgeEvent, EdgeOptions, EdgeStatus, Observer};
use crate::crypto::{
    AuthorityKey, Certificate, Class, Community, Context, Cost, Gate, Identity, Local, Numbers, Offer, Peer,
    Replayed, Request, Role,
};
use crate::frame::{Cutter, append_frame};
use crate::switch::{Flood, Reason, Switch, TableKey, TableOptions};
use crate::way::Way;
use crate::wire::{CertificateBody, Content, Control, HEADER_LEN, Message, Prefix, TAG_LEN};
use crate::{Cipher, Compression, Mac};
use halloo_base::{
    Clock, Cx, Datagram, Env, Input, LinkId, Machine, Marks, Mono, Nanos, Offload, Outbox, Output, Path, Rng,
    Stamp, StampSource, Wall,
};
use std::net::SocketAddr;
use std::time::Duration;

const TAP: LinkId = LinkId(3);
const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);
const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 2]);

struct Standing;

impl Clock for Standing {
    fn stamp(&self) -> Stamp {
        Stamp {
            mono: Mono(1),
            wall: Wall(1),
            source: StampSource::User,
        }
    }
}

const STARTED: Wall = Wall(1_800_000_000_000_000_000);

struct Moved(Mono);

impl Clock for Moved {
    fn stamp(&self) -> Stamp {
        Stamp {
            mono: self.0,
            wall: Wall(STARTED.0 + self.0.0),
            source: StampSource::User,
        }
    }
}

struct Nobody;

impl Observer for Nobody {
    fn event(&mut self, _event: EdgeEvent) {}
    fn status(&mut self, _status: EdgeStatus) {}
}

fn local(seed: u64) -> Local {
    let mut entropy = Replayed::new(seed);
    let community = Community::new("town", b"a secret of it", Cost::TEST).expect("a community");
    let offer = Offer {
        ciphers: vec![Cipher::Aes256Gcm],
        compressions: vec![Compression::None],
        frame: 1_600,
        name: String::new(),
        features: 0,
        software: String::new(),
    };
    Local::edge(Identity::generate(&mut entropy), community, offer)
}

fn own() -> Own {
    Own {
        local: local(1),
        numbers: Numbers::default(),
        entropy: Box::new(Replayed::new(1)),
        gate: Gate::new(false),
        observer: Box::new(Nobody),
        budget: Budget::default(),
        message: vec![],
    }
}

/// The first part of a super-frame of TCP from this station, whose rest never comes.
fn half(source: Mac) -> Vec<u8> {
    let payload = 4_000u16;
    let mut frame = [&OURS.0[..], &source.0, &[8, 0, 0x45, 0]].concat();
    frame.extend((40 + payload).to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend([0, 7, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    frame.resize(54 + usize::from(payload), 9);
    let offload = Offload {
        flags: 1,
        segmentation: 1,
        header_len: 54,
        segment_size: 1_448,
        checksum_start: 34,
        checksum_offset: 16,
    };
    let mut content = vec![0; 1_400];
    let mut cutter = Cutter::new(0);
    let mut cut = cutter.cut(&frame, offload, 1_400).expect("a super-frame");
    let len = cut.next(&mut content).expect("its first part");
    content.truncate(len);
    content
}

/// A peer with whom there is a session, and what it says that it can do.
fn met(own: &mut Own, owner: u32, features: u32) -> Remote {
    let mut other = local(100 + u64::from(owner));
    other.offer.features = features;
    met_as(own, owner, &other)
}

fn met_as(own: &mut Own, owner: u32, other: &Local) -> Remote {
    let mut remote = Remote::new(owner, other.public(), 0, Mono(1));
    let mut numbers = Numbers::default();
    let mut entropy = Replayed::new(5);
    let (mut sent, mut answer) = (vec![], vec![]);
    remote.peer.begin(Mono(1));
    let mut context = Context {
        now: Mono(1),
        wall: STARTED,
        entropy: &mut *own.entropy,
        numbers: &mut own.numbers,
        local: &own.local,
    };
    remote.peer.wake(&mut context, &mut sent);
    let Ok(Message::Initiation(initiation)) = Message::parse(&sent) else {
        panic!("an initiation");
    };
    let request = Request::read(other, &mut entropy, &initiation).expect("a member's");
    let mut context = Context {
        now: Mono(1),
        wall: STARTED,
        entropy: &mut entropy,
        numbers: &mut numbers,
        local: other,
    };
    let seen = "192.0.2.1:7654".parse().expect("an address");
    Peer::new(0, own.local.public(), Role::Edge)
        .accept(&mut context, request, seen, &mut answer)
        .expect("an answer");
    let Ok(Message::Response(response)) = Message::parse(&answer) else {
        panic!("a response");
    };
    let mut context = Context {
        now: Mono(1),
        wall: STARTED,
        entropy: &mut *own.entropy,
        numbers: &mut own.numbers,
        local: &own.local,
    };
    remote
        .peer
        .respond(&mut context, &response, &mut sent)
        .expect("it is ours");
    remote
}

/// What reaches the device of what two peers send, the first part of each super-frame only, at the end of the batch; the
/// first peer may leave before that.
fn sources(sent: &[(u32, Mac)], leaves: bool) -> Vec<(u32, Mac)> {
    let mut switch = Switch::new(TableOptions::default(), TableKey([7; 16]), Flood::default(), ());
    switch.own(OURS, EdgePort::Tap);
    let mut carrier = Carrier::new(TAP, true, switch);
    let mut own = own();
    let mut remotes: Vec<Option<Remote>> = (0..2).map(|owner| Some(met(&mut own, owner, 0))).collect();
    let (mut out, mut rng) = (Outbox::new(), Rng::new(1));
    let mut cx = Cx {
        env: Env {
            now: Mono(1),
            clock: &Standing,
            rng: &mut rng,
        },
        out: &mut out,
    };
    for (owner, source) in sent {
        carrier
            .receive(&mut cx, (*owner, &mut remotes), &half(*source))
            .expect("a segment");
    }
    if leaves && let Some(remote) = &mut remotes[0] {
        remote.peer.close(&mut own.numbers);
    }
    carrier.flush(&own, &mut cx, &mut remotes);
    let written = cx.out.iter().filter_map(|output| match output {
        Output::Frame(TAP, _, frame) => Some(Mac(frame[6..12].try_into().expect("six octets"))),
        _ => None,
    });
    written
        .map(|source| {
            let owner = (0..2).find(|&owner| {
                let mut stations = carrier.switch.table().stations(Mono(1), EdgePort::Peer(owner));
                stations.any(|(mac, _)| mac == source)
            });
            (owner.expect("it was learned"), source)
        })
        .collect()
}

#[test]
fn what_is_joined_at_the_end_of_a_batch_passes_the_switch_as_its_own_peers() {
    let other = Mac([2, 0, 0, 0, 0, 9]);
    assert_eq!(sources(&[(0, THEIRS)], false), [(0, THEIRS)]);
    assert_eq!(sources(&[(0, OURS)], false), [], "nobody sends with our address");
    // More than are joined at a time: those that make place for others are still of who sent them.
    let mut many = vec![(0, THEIRS)];
    many.extend((0..8).map(|last| (1, Mac([2, 0, 0, 0, 1, last]))));
    many.push((1, other));
    // With whom there is no session any more, nobody knows what he may send from.
    assert_eq!(sources(&[(0, THEIRS), (1, other)], true), [(1, other)]);
    let mut heard = sources(&many, false);
    heard.sort();
    many.sort();
    assert_eq!(heard, many);
}

/// An address that is bound and a checksum that the device is to write over it.
#[test]
fn a_bound_address_is_held_to_what_the_device_makes_of_the_frame() {
    let key = AuthorityKey::generate(&mut Replayed::new(50));
    let his = Prefix {
        address: [192, 0, 2, 1].into(),
        len: 32,
    };
    for (bound, wanted) in [(Some(vec![his]), 1), (None, 3)] {
        let (mut own, mut other) = (own(), local(100));
        own.local.authority = Some(key.authority());
        other.certificate = Some(certificate(&key, &other, bound));
        own.local.certificate = Some(certificate(&key, &own.local, None));
        other.authority = Some(key.authority());
        let mut switch = Switch::new(TableOptions::default(), TableKey([7; 16]), Flood::default(), ());
        switch.own(OURS, EdgePort::Tap);
        let mut carrier = Carrier::new(TAP, true, switch);
        let mut remotes = vec![Some(met_as(&mut own, 0, &other))];
        let (mut out, mut rng) = (Outbox::new(), Rng::new(1));
        let mut cx = Cx {
            env: Env {
                now: Mono(1),
                clock: &Standing,
                rng: &mut rng,
            },
            out: &mut out,
        };
        let mut frame = [
            &OURS.0[..],
            &THEIRS.0,
            &[8, 0, 0x45, 0, 0, 60, 0, 1, 0x40, 0, 64, 17],
        ]
        .concat();
        frame.extend([0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 7, 0, 9, 0, 40, 0, 0]);
        frame.resize(74, 9);
        let room = 1_400;
        for (start, offset, whole) in [(34, 6, true), (20, 8, true), (20, 8, false)] {
            let offload = Offload {
                flags: 1,
                checksum_start: start,
                checksum_offset: offset,
                ..Offload::default()
            };
            let mut content = vec![0; room];
            if whole {
                let len = append_frame(&mut content, 0, &frame, offload).expect("there is room");
                carrier
                    .receive(&mut cx, (0, &mut remotes), &content[..len])
                    .expect("frames");
            } else {
                let mut long = frame.clone();
                long.resize(4_000, 9);
                let mut cutter = Cutter::new(0);
                let mut cut = cutter.cut(&long, offload, room).expect("fragments");
                while let Some(len) = cut.next(&mut content) {
                    carrier
                        .receive(&mut cx, (0, &mut remotes), &content[..len])
                        .expect("a fragment");
                }
            }
        }
        assert_eq!(cx.out.len(), wanted);
        let dropped = carrier.switch.counts().dropped(Reason::AddressNotClaimed);
        assert_eq!(dropped as usize, 3 - wanted);
    }
}

fn leg(link_mtu: u16) -> Leg {
    let path = Path {
        link: LinkId(0),
        local: "0.0.0.0:7654".parse().expect("an address"),
        remote: "192.0.2.1:7654".parse().expect("an address"),
    };
    Leg::new(Way::direct(path), link_mtu, Mono(0))
}

/// Another link of the host carries more than the one that leads to the peer.
#[test]
fn a_size_that_the_hosts_own_link_refuses_ends_in_a_smaller_one_and_not_in_a_new_search() {
    for carried in [1_400, 1_450, 1_500] {
        let mut leg = leg(9_000);
        let (mut now, mut pings) = (Mono(0), 0);
        for _ in 0..400 {
            let mut due = vec![];
            leg.poll(now, true, |ping| due.push(ping));
            for ping in due {
                pings += 1;
                match ping.packet {
                    Some(packet) if packet > carried => leg.too_long(),
                    _ => leg.answered(ping.number, Nanos(1_000_000), now + Duration::from_millis(1)),
                }
            }
            now = now.max(leg.deadline(true)) + Duration::from_millis(2);
        }
        assert!(
            (carried - 8..=carried).contains(&leg.mtu()),
            "{} of {carried}",
            leg.mtu()
        );
        assert!(pings < 500, "{pings} pings: it goes on asking");
    }
}

#[test]
fn a_link_that_carries_less_than_it_did_is_searched_again() {
    let mut leg = leg(1_500);
    for round in 0..50 {
        let now = Mono(round * 10_000_000);
        let mut due = vec![];
        leg.poll(now, true, |ping| due.push(ping));
        for ping in due {
            leg.answered(ping.number, Nanos(1_000_000), now);
        }
    }
    assert_eq!(leg.mtu(), 1_500);
    leg.too_long();
    assert_eq!(leg.mtu(), 1_200, "what every path carries, until more is known");
}

/// An edge that has started, with room for so many peers.
fn edge(local: Local, peers: usize) -> Edge {
    let bind = "0.0.0.0:7654".parse().expect("an address");
    let options = EdgeOptions {
        peers,
        ..EdgeOptions::new(vec![], bind, TAP, OURS)
    };
    let mut edge = Edge::new(options, local, Box::new(Replayed::new(2)), Box::new(Nobody));
    handle(&mut edge, Mono(1), Input::Wake);
    edge
}

/// Has an edge take a datagram that came from somebody. What it sends.
fn take(edge: &mut Edge, now: Mono, payload: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
    let path = Path {
        link: LinkId(0),
        local: "0.0.0.0:7654".parse().expect("an address"),
        remote: "192.0.2.66:7654".parse().expect("an address"),
    };
    let datagram = Datagram {
        path,
        at: Moved(now).stamp(),
        marks: Marks::default(),
        payload,
        offload: Offload::default(),
    };
    handle(edge, now, Input::Datagram(datagram))
}

#[test]
fn pongs_are_no_longer_than_the_pings_that_ask_for_them() {
    let (mut edge, who, now) = (edge(local(1), 8), local(2), Mono(2_000_000_000));
    let mut numbers = Numbers::default();
    let mut peer = Peer::new(0, edge.own.local.public(), Role::Edge);
    peer.begin(now);
    let (mut entropy, mut initiation, mut greeting) = (Replayed::new(7), vec![], vec![]);
    let mut context = Context {
        now,
        wall: Wall(STARTED.0 + now.0),
        entropy: &mut entropy,
        numbers: &mut numbers,
        local: &who,
    };
    assert!(peer.wake(&mut context, &mut initiation).send);
    let answers = take(&mut edge, now, &initiation);
    let Ok(Message::Response(response)) = Message::parse(&answers[0].1) else {
        panic!("a response");
    };
    let step = peer.respond(&mut context, &response, &mut greeting);
    assert!(step.expect("it is ours").send);
    take(&mut edge, now, &greeting);
    let mut answered = |pings: usize, padding: u16, unknown: &[u8]| {
        let mut datagram = vec![0; HEADER_LEN];
        datagram.push(Content::Control as u8);
        for number in 0..pings as u32 {
            let ping = Control::Ping {
                number,
                time: 1,
                padding,
            };
            ping.emit(&mut datagram).expect("it can be written");
        }
        datagram.extend(unknown);
        let len = datagram.len() - HEADER_LEN;
        datagram.resize(datagram.len() + TAG_LEN, 0);
        let sealed = peer.seal((now, &who), 1, Class::Control, &mut datagram, len);
        datagram.truncate(sealed.expect("there is a session"));
        // What it asks by itself it would ask without that.
        let sent = take(&mut edge, now, &datagram).into_iter();
        let answers: Vec<usize> = sent.map(|(_, bytes)| bytes.len()).collect();
        let octets: usize = answers.iter().sum();
        assert!(octets <= datagram.len(), "{octets} for {}", datagram.len());
        answers.len()
    };
    assert_eq!(
        [0, 27, 28, 1_000].map(|padding| answered(1, padding, &[])),
        [0, 0, 1, 1]
    );
    assert_eq!([2, 5, 30].map(|pings| answered(pings, 0, &[])), [0, 1, 4]);
    assert_eq!(answered(8, 100, &[]), 4);
    // A type that is not known, with nothing in it and with something.
    assert_eq!(
        [answered(0, 0, &[99, 0, 0]), answered(0, 0, &[99, 0, 1, 0])],
        [0, 1]
    );
    assert_eq!(answered(1, 28, &[99, 0, 0]), 1);
}

/// A datagram of a session by a subflow's path, to this port of an edge. What it has counted of those that came to a
/// further port and are no answers, and of those that are not of the format.
fn by_subflow(edge: &mut Edge, port: u16, path: u8, receiver: u32) -> (u64, u64) {
    let mut bytes = [0; 60];
    bytes[..4].copy_from_slice(&[crate::wire::kind::DATA, path, 0, 1]);
    bytes[4..8].copy_from_slice(&receiver.to_be_bytes());
    let path = Path {
        link: LinkId(0),
        local: ([0, 0, 0, 0], port).into(),
        remote: "192.0.2.66:7654".parse().expect("an address"),
    };
    let datagram = Datagram {
        path,
        at: Moved(Mono(2)).stamp(),
        marks: Marks::default(),
        payload: &bytes,
        offload: Offload::default(),
    };
    handle(edge, Mono(2), Input::Datagram(datagram));
    (edge.ports.strays, edge.counts.malformed)
}

#[test]
fn subflows_are_of_peers_that_know_them() {
    let mut edge = edge(local(1), 8);
    edge.ports.open = vec![Some(9)];
    let Edge { own, .. } = &mut edge;
    let office = own.numbers.draw(super::SUPERNODES, &mut *own.entropy);
    assert_eq!(by_subflow(&mut edge, 9, 24, office), (1, 0), "a supernode's");
    assert_eq!(by_subflow(&mut edge, 7_654, 16, office), (1, 1));
    for (owner, features) in [(0, 0), (1, crate::wire::feature::SUBFLOWS)] {
        let remote = met(&mut edge.own, owner, features);
        edge.remotes.push(Some(remote));
        let Edge { own, .. } = &mut edge;
        let number = own.numbers.draw(owner, &mut *own.entropy);
        let before = (edge.ports.strays, edge.counts.malformed);
        let after = [
            by_subflow(&mut edge, 9, 24, number),
            by_subflow(&mut edge, 7_654, 16, number),
        ];
        let turned_away = u64::from(features == 0);
        assert_eq!(
            after,
            [
                (before.0 + turned_away, before.1),
                (before.0 + turned_away, before.1 + turned_away)
            ],
            "{features}"
        );
    }
}

/// Somebody who knows the secret begins with an edge. What it answers.
fn come(edge: &mut Edge, who: &Local, now: Mono) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut peer = Peer::new(0, edge.own.local.public(), Role::Edge);
    peer.begin(now);
    let mut initiation = vec![];
    let mut context = Context {
        now,
        wall: Wall(STARTED.0 + now.0),
        entropy: &mut Replayed::new(now.0),
        numbers: &mut Numbers::default(),
        local: who,
    };
    assert!(peer.wake(&mut context, &mut initiation).send);
    let path = Path {
        link: LinkId(0),
        local: "0.0.0.0:7654".parse().expect("an address"),
        remote: "192.0.2.66:7654".parse().expect("an address"),
    };
    let datagram = Datagram {
        path,
        at: Moved(now).stamp(),
        marks: Marks::default(),
        payload: &initiation,
        offload: Offload::default(),
    };
    handle(edge, now, Input::Datagram(datagram))
}

/// What makes somebody a member, with these addresses or any.
fn certificate(key: &AuthorityKey, of: &Local, addresses: Option<Vec<Prefix>>) -> Certificate {
    let body = CertificateBody {
        key: of.public(),
        name: "a member".into(),
        community: None,
        macs: None,
        addresses,
        groups: vec![],
        not_before: 0,
        not_after: u64::MAX,
        serial: 1,
        issuer: [0; 8],
    };
    key.sign(&body).expect("it can be signed")
}

/// The datagrams that an edge sends upon something.
fn handle(edge: &mut Edge, now: Mono, input: Input<'_>) -> Vec<(SocketAddr, Vec<u8>)> {
    let (mut out, mut rng, clock) = (Outbox::new(), Rng::new(1), Moved(now));
    let mut cx = Cx {
        env: Env {
            now,
            clock: &clock,
            rng: &mut rng,
        },
        out: &mut out,
    };
    edge.handle(&mut cx, input);
    let sent = cx.out.iter().filter_map(|output| match output {
        Output::Datagram(how, bytes) => Some((how.path.remote, bytes.to_vec())),
        _ => None,
    });
    sent.collect()
}

#[test]
fn who_knows_the_secret_and_has_no_certificate_pushes_no_member_out() {
    let key = AuthorityKey::generate(&mut Replayed::new(50));
    let mut wants = local(1);
    wants.authority = Some(key.authority());
    let mut edge = edge(wants, 1);
    // A member that a supernode lists, of whom no more is known yet.
    let member = local(3).public();
    edge.remote_for(member, Mono(1));
    let mut outsider = local(4);
    let answers = come(&mut edge, &outsider, Mono(1_000));
    assert_eq!(answers.len(), 1, "he is told why");
    assert!(edge.by_key.contains_key(&member), "and takes nobody's place");
    assert_eq!((edge.by_key.len(), edge.remotes.len()), (1, 1));
    assert_eq!(edge.counts.handshakes_refused, 1);
    assert!(edge.own.numbers.is_empty());
    // With a certificate he is a member, and comes before one who is no more than listed.
    outsider.certificate = Some(certificate(&key, &outsider, None));
    assert_eq!(come(&mut edge, &outsider, Mono(2_000)).len(), 1);
    assert!(edge.by_key.contains_key(&outsider.public()) && !edge.by_key.contains_key(&member));
}

#[test]
fn a_session_that_was_answered_and_not_shown_ends_with_its_certificate() {
    let key = AuthorityKey::generate(&mut Replayed::new(50));
    for (serial, left) in [(1, 0), (2, 1)] {
        let (mut wants, mut member) = (local(1), local(4));
        wants.authority = Some(key.authority());
        member.certificate = Some(certificate(&key, &member, None));
        let mut edge = edge(wants, 4);
        assert_eq!(come(&mut edge, &member, Mono(1_000)).len(), 1, "he is answered");
        let list = key.revoke(1, &[serial]).expect("a list");
        let (mut out, mut rng) = (Outbox::new(), Rng::new(1));
        let mut cx = Cx {
            env: Env {
                now: Mono(2_000),
                clock: &Moved(Mono(2_000)),
                rng: &mut rng,
            },
            out: &mut out,
        };
        edge.revoke(&mut cx, &list);
        assert_eq!(edge.own.numbers.len(), left);
        let remote = edge.remotes[0].as_ref().expect("he is known");
        assert_eq!(remote.refusal.is_some(), left == 0);
    }
}

/// Where initiations go in a minute of an edge that was told of so many members, each at 15 of these addresses.
fn flooded(many: u64, mut addresses: impl Iterator<Item = SocketAddr>) -> (Vec<SocketAddr>, u64) {
    let mut edge = edge(local(1), 1_024);
    for number in 0..many {
        let key = Identity::generate(&mut Replayed::new(1_000 + number)).public();
        let owner = edge.remote_for(key, Mono(1)).expect("there is room");
        let told: Vec<_> = addresses.by_ref().take(15).collect();
        edge.consider_all(owner, &told, Mono(1));
        edge.meet(owner, Mono(1));
    }
    let mut sent = vec![];
    while let Some(next) = edge.deadline().filter(|next| next.at < Mono(60_000_000_000)) {
        let now = next.at.max(Mono(2));
        for remote in edge.remotes.iter_mut().flatten() {
            // A supernode goes on telling of them.
            remote.listed = 1;
        }
        let out = handle(&mut edge, now, Input::Wake);
        sent.extend(out.into_iter().map(|(to, _)| to));
    }
    (sent, edge.own.budget.withheld)
}

#[test]
fn who_is_told_that_everybody_is_at_one_address_sends_little_there() {
    let victim = |port: u16| SocketAddr::from(([192, 0, 2, 66], port));
    let (sent, withheld) = flooded(100, (1..).map(victim));
    assert!((200..=64 + 4 * 60).contains(&sent.len()), "{}", sent.len());
    assert!(withheld > 1_000, "{withheld}");
}

#[test]
fn where_nobody_answers_it_is_asked_ever_more_seldom() {
    let anybody = |number: u32| SocketAddr::from((number.to_be_bytes(), 7_654));
    let (sent, withheld) = flooded(20, (1 << 24..).map(anybody));
    assert_eq!(withheld, 0, "there are few of them");
    for to in sent.iter().copied().take(20) {
        let times = sent.iter().filter(|at| **at == to).count();
        assert!((9..=11).contains(&times), "{times}");
    }
}

/// A peer with whom there is a session, in an edge that has met nobody yet, and the only one of it.
fn meets(edge: &mut Edge) -> &mut Remote {
    assert!(edge.remotes.is_empty());
    let mut remote = met(&mut edge.own, 0, 0);
    remote.proved(leg(1_500).way, 1_500, Mono(1));
    edge.by_key.insert(remote.peer.key(), 0);
    edge.remotes.push(Some(remote));
    edge.remotes[0].as_mut().expect("it is there")
}

/// Lets an edge do what is due for so many seconds, in which the ways that its peers have work. Where it sends something, and
/// when.
fn lives(edge: &mut Edge, seconds: u64) -> Vec<(Mono, SocketAddr)> {
    let mut sent = vec![];
    let until = Mono(seconds * 1_000_000_000);
    while let Some(next) = edge.deadline().filter(|next| next.at < until) {
        let now = next.at.max(Mono(2));
        for remote in edge.remotes.iter_mut().flatten() {
            remote.legs[0].state.proved(now);
        }
        let out = handle(edge, now, Input::Wake);
        sent.extend(out.into_iter().map(|(to, _)| (now, to)));
    }
    sent
}

#[test]
fn where_a_peer_is_said_to_be_and_nobody_answers_it_is_asked_eight_times() {
    let mut edge = edge(local(1), 8);
    meets(&mut edge);
    let other: SocketAddr = "192.0.2.66:9".parse().expect("an address");
    let mut asked = vec![];
    for second in 1..=60 {
        // A supernode goes on telling of it.
        edge.consider_all(0, &[other], Mono(second * 1_000_000_000));
        edge.soon(Mono(second * 1_000_000_000));
        asked.extend(
            lives(&mut edge, second)
                .into_iter()
                .filter(|(_, to)| *to == other),
        );
    }
    assert_eq!(asked.len(), 8, "{asked:?}");
    let remote = edge.remotes[0].as_mut().expect("it is there");
    assert_eq!(remote.legs.len(), 1, "the one by which the session came");
    assert_eq!(remote.best, Some(0));
    // Who comes from there himself is there.
    let way = Way::direct(Path {
        remote: other,
        ..leg(1_500).way.path
    });
    assert_eq!(remote.heard(way, 1_500, Mono(61_000_000_000)), Some(1));
}

#[test]
fn after_a_while_and_in_another_network_it_is_tried_again() {
    let other = Way::direct(Path {
        remote: "192.0.2.66:9".parse().expect("an address"),
        ..leg(1_500).way.path
    });
    let mut edge = edge(local(1), 8);
    meets(&mut edge).consider_told(other, 1_500, Mono(1));
    lives(&mut edge, 60);
    let remote = edge.remotes[0].as_mut().expect("it is there");
    let count = |remote: &Remote| remote.legs.iter().filter(|leg| leg.way == other).count();
    remote.consider_told(other, 1_500, Mono(60_000_000_000));
    assert_eq!(count(remote), 0);
    remote.hurry(1_500, Mono(60_000_000_000));
    assert_eq!(count(remote), 1, "this host is elsewhere now");
    lives(&mut edge, 150);
    let remote = edge.remotes[0].as_mut().expect("it is there");
    assert_eq!(count(remote), 0);
    remote.consider_told(other, 1_500, Mono(300_000_000_000));
    assert_eq!(count(remote), 1);
}

#[test]
fn no_frame_goes_where_nobody_was_ever_heard() {
    let mut edge = edge(local(1), 8);
    let remote = meets(&mut edge);
    remote.consider_told(
        Way::direct(Path {
            remote: "192.0.2.66:9".parse().expect("an address"),
            ..leg(1_500).way.path
        }),
        1_500,
        Mono(1),
    );
    remote.legs[0].state.refused();
    remote.choose();
    assert_eq!(remote.best, Some(0));
    remote.best = None;
    remote.choose();
    assert_eq!(remote.best, Some(0));
}

#[test]
fn who_is_told_that_all_his_peers_are_at_one_address_asks_little_there() {
    let mut edge = edge(local(1), 64);
    let victim = |port: u16| SocketAddr::from(([192, 0, 2, 66], port));
    for owner in 0..40 {
        let mut remote = met(&mut edge.own, owner, 0);
        remote.proved(leg(1_500).way, 1_500, Mono(1));
        edge.by_key.insert(remote.peer.key(), owner);
        edge.remotes.push(Some(remote));
        let told: Vec<_> = (1..=14).map(|port| victim(owner as u16 * 14 + port)).collect();
        edge.consider_all(owner, &told, Mono(1));
    }
    edge.soon(Mono(2));
    let sent = lives(&mut edge, 60);
    let there = sent.iter().filter(|(_, to)| to.ip() == victim(1).ip()).count();
    assert!((64..=64 + 4 * 60).contains(&there), "{there}");
    assert!(edge.own.budget.pings_withheld > 1_000);
}

#[test]
fn what_anybody_sends_gives_an_edge_nothing_to_do() {
    let mut edge = edge(local(1), 8);
    let device = super::VxlanDevice {
        port: 4_789,
        ipv6: false,
    };
    edge.tunnels = Some(super::Tunnels::new(device));
    let before = edge.deadline().map(|next| next.at);
    let datagram = Datagram {
        path: leg(1_500).way.path,
        at: Moved(Mono(5)).stamp(),
        marks: Marks::default(),
        payload: &[0],
        offload: Offload::default(),
    };
    handle(&mut edge, Mono(5), Input::Datagram(datagram));
    assert_eq!(edge.deadline().map(|next| next.at), before);
}
