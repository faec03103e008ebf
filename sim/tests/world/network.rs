//! Wires, links, routes and clouds.

use crate::pair;
use crate::scribe::{Act, Scribe, Told, path};
use halloo_base::{LinkId, Marks, Nanos, Path, Transmit};
use halloo_sim::{Fate, Kind, Quality, World, ms, secs, us};

/// Sends `count` numbered datagrams over a wire of this quality and returns the world and their payloads.
fn over(quality: Quality, count: u64) -> (World, Vec<u64>, [halloo_sim::Node; 2]) {
    let (mut world, a, b, _) = pair(3, quality);
    let hear = world.add(b, Scribe::silent());
    world.udp(hear, "0.0.0.0:7");
    let ask = world.add(a, Scribe::silent().send_many(count, ms(1), "192.0.2.2:7"));
    world.udp(ask, "0.0.0.0:0");
    world.run_until(secs(count / 1_000 + 10));
    let number = |payload: &&[u8]| u64::from_be_bytes((*payload).try_into().expect("eight bytes"));
    let heard = world.machine(hear).payloads().iter().map(number).collect();
    (world, heard, [a, b])
}

#[test]
fn the_trace_accounts_for_every_loss() {
    let (world, heard, [a, b]) = over(Quality::delay(ms(5)).loss(0.02), 5_000);
    let lost = world.trace().datagrams(a, b, Fate::Lost);
    assert!((60..140).contains(&lost), "{lost}");
    assert_eq!(lost + heard.len(), 5_000);
    assert_eq!(world.trace().datagrams(a, b, Fate::Delivered), heard.len());
}

#[test]
fn duplicates_are_copies_in_the_trace() {
    let (world, heard, _) = over(Quality::delay(ms(5)).duplicate(0.1), 1_000);
    let copies = world.trace().count(|packet| packet.copy);
    assert!((70..130).contains(&copies), "{copies}");
    assert_eq!(heard.len(), 1_000 + copies);
}

#[test]
fn packets_held_back_are_overtaken() {
    let (_, heard, _) = over(Quality::delay(ms(5)).reorder(0.1, us(2_500)), 1_000);
    let reordered = heard.windows(2).filter(|two| two[1] < two[0]).count();
    assert!((60..140).contains(&reordered), "{reordered}");
    let mut sorted = heard;
    sorted.sort_unstable();
    assert_eq!(sorted, (0..1_000).collect::<Vec<_>>());
}

#[test]
fn an_altered_byte_arrives_and_is_marked() {
    let (world, heard, _) = over(Quality::delay(ms(5)).corrupt(0.1), 1_000);
    let altered = world.trace().count(|packet| packet.altered);
    assert!((70..130).contains(&altered), "{altered}");
    let wrong = heard.iter().enumerate().filter(|&(n, &heard)| n as u64 != heard);
    let bits = wrong
        .map(|(n, &heard)| (n as u64 ^ heard).count_ones())
        .collect::<Vec<_>>();
    assert_eq!(bits, vec![1; altered]);
}

#[test]
fn what_is_too_long_for_a_wire_is_reported_to_its_sender() {
    let (mut world, a, b, wire) = pair(1, Quality::delay(ms(1)));
    world.set(wire, Quality::delay(ms(1)).mtu(128));
    let hear = world.add(b, Scribe::silent());
    world.udp(hear, "0.0.0.0:7");
    let ask = Scribe::silent()
        .send(ms(1), "192.0.2.2:7", &[1; 100])
        .send(ms(2), "192.0.2.2:7", &[2; 101]);
    let ask = world.add(a, ask);
    world.udp(ask, "0.0.0.0:0");
    world.run_until(secs(1));
    assert_eq!(world.machine(hear).payloads(), [&[1; 100]]);
    let ask = world.machine(ask);
    assert_eq!(ask.unreachables()[0].1.error.to_string(), "Message too long");
    assert_eq!(
        ask.unreachables()[0].1.reporter,
        None,
        "this host's own link is too small"
    );
    assert_eq!(ask.quotes(), [b""]);
}

#[test]
fn a_cut_wire_loses_what_is_on_it_and_both_ends_learn_of_it() {
    let (mut world, a, b, wire) = pair(1, Quality::delay(ms(10)));
    let hear = world.add(b, Scribe::silent());
    world.udp(hear, "0.0.0.0:7");
    let ask = world.add(a, Scribe::silent().send_many(60, ms(1), "192.0.2.2:7"));
    world.udp(ask, "0.0.0.0:0");
    world.at(us(20_500), move |world| world.cut(wire));
    world.at(us(40_500), move |world| world.mend(wire));
    world.run_until(secs(1));
    // Sent at 11..=20 ms and not there yet; then twenty that the host itself refuses.
    assert_eq!(world.trace().datagrams(a, b, Fate::Cut), 10);
    assert_eq!(world.trace().datagrams(a, b, Fate::NoRoute), 20);
    assert_eq!(world.machine(hear).payloads().len(), 30);
    let link = LinkId(2);
    let changes = |machine: &Scribe| {
        let is_change = |told: &&Told| matches!(told, Told::Link(..));
        machine
            .told()
            .into_iter()
            .filter(is_change)
            .cloned()
            .collect::<Vec<_>>()
    };
    let expected = [Told::Link(link, false), Told::Link(link, true)];
    assert_eq!(changes(world.machine(ask)), expected);
    assert_eq!(changes(world.machine(hear)), expected);
    let refused = world.machine(ask).unreachables();
    assert_eq!(refused.len(), 20);
    assert_eq!(refused[0].1.error.to_string(), "Network is unreachable");
    assert!(refused[0].1.tag.is_some(), "this host knows what it did not send");
}

#[test]
fn a_host_talks_to_itself_and_six_is_as_good_as_four() {
    let (mut world, a, b, _) = pair(1, Quality::delay(ms(1)));
    let dual = world.add(b, Scribe::silent());
    world.udp(dual, "[::]:7");
    let plan = Scribe::silent()
        .send(ms(1), "[2001:db8::2]:7", b"six")
        .send(ms(2), "192.0.2.2:7", b"four");
    let ask = world.add(a, plan);
    world.udp(ask, "[::]:4000");
    let own = world.add(b, Scribe::silent().send(ms(3), "127.0.0.1:7", b"self"));
    world.udp(own, "0.0.0.0:0");
    world.run_until(secs(1));
    let notes = world.machine(dual);
    assert_eq!(notes.payloads(), [&b"six"[..], b"four", b"self"]);
    let remotes = notes.told().into_iter().filter_map(|told| match told {
        Told::Datagram { path, .. } => Some((path.link, path.remote.ip().to_string())),
        _ => None,
    });
    let expected = [(2, "2001:db8::1"), (2, "192.0.2.1"), (1, "127.0.0.1")];
    let expected = expected.map(|(link, ip)| (LinkId(link), ip.to_owned()));
    assert_eq!(remotes.collect::<Vec<_>>(), expected);
}

/// A host with two links into one cloud, and a listener behind it.
struct TwoLinks {
    world: World,
    host: halloo_sim::Node,
    wires: [halloo_sim::Wire; 2],
    hear: halloo_sim::Handle<Scribe>,
}

fn two_links() -> TwoLinks {
    let mut world = World::new(1);
    let host = world.host("host", &["192.0.2.1"]);
    let far = world.host("far", &["198.51.100.1"]);
    let cloud = world.cloud("cloud");
    let wires = [ms(1), ms(2)].map(|delay| world.join(host, cloud, Quality::delay(delay)));
    world.set_addresses(host, wires[1], &["203.0.113.1"]);
    world.join(cloud, far, Quality::delay(ms(10)));
    let hear = world.add(far, Scribe::echo());
    world.udp(hear, "0.0.0.0:7");
    TwoLinks {
        world,
        host,
        wires,
        hear,
    }
}

/// Who sent what arrived, by address.
fn senders(machine: &Scribe) -> Vec<String> {
    let sender = |told: &Told| match told {
        Told::Datagram { path, .. } => Some(path.remote.ip().to_string()),
        _ => None,
    };
    machine.told().into_iter().filter_map(sender).collect()
}

#[test]
fn the_path_chooses_the_link_and_the_answer_comes_back_by_it() {
    let TwoLinks {
        mut world,
        host,
        wires,
        hear,
    } = two_links();
    let links = wires.map(|wire| world.link(host, wire));
    assert_eq!(links, [LinkId(2), LinkId(3)]);
    let by = |link| Path {
        link,
        ..path("198.51.100.1:7")
    };
    let plan = Scribe::silent()
        .then(ms(1), Act::Send(Transmit::to(by(links[0])), b"first".to_vec()))
        .then(ms(2), Act::Send(Transmit::to(by(links[1])), b"second".to_vec()));
    let ask = world.add(host, plan);
    world.udp(ask, "0.0.0.0:4000");
    world.run_until(secs(1));
    assert_eq!(senders(world.machine(hear)), ["192.0.2.1", "203.0.113.1"]);
    let came = world
        .machine(ask)
        .notes
        .iter()
        .filter_map(|(now, told)| match told {
            Told::Datagram { path, .. } => Some((path.link, *now)),
            _ => None,
        });
    let started = world.machine(ask).started.expect("it was started");
    let expected = [(links[0], started + ms(23)), (links[1], started + ms(26))];
    assert_eq!(came.collect::<Vec<_>>(), expected);
}

#[test]
fn routes_choose_where_the_path_does_not_and_a_link_that_is_down_is_left_out() {
    let TwoLinks {
        mut world,
        host,
        wires,
        hear,
    } = two_links();
    let ask = world.add(host, Scribe::silent().send_many(4, ms(10), "198.51.100.1:7"));
    world.udp(ask, "0.0.0.0:4000");
    let links = wires.map(|wire| world.link(host, wire));
    world.at(ms(5), move |world| {
        world.route(host, "198.51.100.0/24", links[1]);
        world.route(host, "0.0.0.0/0", links[0]);
    });
    world.at(ms(15), move |world| world.cut(wires[1]));
    world.at(ms(25), move |world| {
        world.set_addresses(host, wires[0], &["192.0.2.77"]);
    });
    world.run_until(secs(1));
    let expected = ["192.0.2.1", "203.0.113.1", "192.0.2.1", "192.0.2.77"];
    assert_eq!(senders(world.machine(hear)), expected);
    // The answers to 203.0.113.1 (its link is cut) and to the third's 192.0.2.1 (gone by then) get lost.
    assert_eq!(world.machine(ask).payloads().len(), 2);
}

#[test]
fn a_socket_on_a_device_uses_no_other_link() {
    let TwoLinks {
        mut world,
        host,
        wires,
        hear,
    } = two_links();
    let ask = world.add(host, Scribe::silent().send_many(2, ms(40), "198.51.100.1:7"));
    let second = world.link(host, wires[1]);
    world.udp_on(ask, "0.0.0.0:4000", second);
    world.at(ms(35), move |world| world.cut(wires[1]));
    world.run_until(secs(1));
    assert_eq!(senders(world.machine(hear)), ["203.0.113.1"]);
    let ask = world.machine(ask);
    assert_eq!(ask.payloads().len(), 1);
    assert_eq!(ask.unreachables().len(), 1);
}

#[test]
fn a_cloud_lowers_the_ttl_and_a_wire_may_rewrite_the_tos() {
    let TwoLinks {
        mut world,
        host,
        wires,
        hear,
    } = two_links();
    let how = Transmit {
        tos: Some(0xb8),
        ..Transmit::to(path("198.51.100.1:7"))
    };
    let plan = Scribe::silent()
        .then(ms(1), Act::Send(how, b"kept".to_vec()))
        .then(ms(3), Act::Send(how, b"rewritten".to_vec()))
        .then(ms(5), Act::Send(how, b"expired".to_vec()));
    let ask = world.add(host, plan);
    world.udp(ask, "0.0.0.0:4000");
    world.at(ms(2), move |world| {
        world.set_from(wires[0], host, Quality::delay(ms(1)).rewrite_tos(0x20));
    });
    world.at(ms(4), move |world| world.tune(host, |options| options.ttl = 1));
    world.run_until(secs(1));
    let marks = world
        .machine(hear)
        .told()
        .into_iter()
        .filter_map(|told| match told {
            Told::Datagram { marks, .. } => Some(*marks),
            _ => None,
        });
    let marked = |tos| Marks { tos, ttl: Some(63) };
    assert_eq!(marks.collect::<Vec<_>>(), [marked(0xb8), marked(0x20)]);
    let expired = world.machine(ask).unreachables();
    assert_eq!(expired[0].1.error.to_string(), "No route to host");
    assert_eq!(expired[0].1.reporter, "192.0.0.8".parse().ok());
    assert_eq!(world.trace().count(|packet| packet.fate == Fate::Expired), 1);
}

#[test]
fn an_address_that_nobody_has_is_reported_by_the_cloud() {
    let TwoLinks { mut world, host, .. } = two_links();
    let ask = world.add(host, Scribe::silent().send(ms(1), "198.51.100.9:7", b"anyone"));
    world.udp(ask, "0.0.0.0:4000");
    world.run_until(secs(1));
    let ask = world.machine(ask);
    let (at, report) = ask.unreachables()[0];
    assert_eq!(report.error.to_string(), "No route to host");
    assert_eq!(at - ask.started.expect("it was started"), Nanos::from(ms(3)));
}

#[test]
fn a_host_refuses_itself_as_it_refuses_others() {
    let (mut world, a, _, _) = pair(1, Quality::perfect());
    let ask = world.add(a, Scribe::silent().send(ms(1), "127.0.0.1:9", &[7; 600]));
    world.udp(ask, "0.0.0.0:0");
    world.run_until(secs(1));
    let ask = world.machine(ask);
    let report = ask.unreachables()[0].1;
    assert_eq!(report.error.to_string(), "Connection refused");
    assert_eq!(report.reporter, "127.0.0.1".parse().ok());
    assert_eq!(ask.quotes(), [[7; 520]], "as much as a report has room for");
}

#[test]
fn a_machine_without_a_fitting_socket_is_told_so() {
    let (mut world, a, _, _) = pair(1, Quality::perfect());
    let ask = world.add(a, Scribe::silent().send(ms(1), "192.0.2.2:7", b"in vain"));
    world.run_until(secs(1));
    let reports = world.machine(ask).unreachables();
    assert_eq!(reports[0].1.error.to_string(), "Cannot assign requested address");
    assert_eq!(world.trace().count(|packet| packet.kind == Kind::Datagram), 1);
}

#[test]
fn what_is_sent_at_one_instant_arrives_in_order() {
    let (mut world, a, b, _) = pair(1, Quality::delay(ms(1)));
    let hear = world.add(b, Scribe::silent());
    world.udp(hear, "0.0.0.0:7");
    let plan = (0..50).fold(Scribe::silent(), |plan, n| plan.send(ms(1), "192.0.2.2:7", &[n]));
    let ask = world.add(a, plan);
    world.udp(ask, "0.0.0.0:0");
    world.run_until(secs(1));
    let expected: Vec<Vec<u8>> = (0..50).map(|n| vec![n]).collect();
    assert_eq!(world.machine(hear).payloads(), expected);
}
