//! Ethernet segments.

use crate::scribe::{Act, Scribe, Told};
use halloo_base::LinkId;
use halloo_sim::{Fate, Handle, Joint, Quality, World, ms, secs};

fn frame(to: u8, from: u8) -> Vec<u8> {
    let mut bytes = vec![0x02, 0, 0, 0, 0, to, 0x02, 0, 0, 0, 0, from, 0x88, 0xb5];
    bytes.extend([from; 46]);
    bytes
}

/// Three hosts on a segment; the first asks the second, which answers, and the first asks again.
fn talk(joint: Joint, quality: &Quality) -> (World, [Handle<Scribe>; 3]) {
    let mut world = World::new(1);
    let segment = world.segment(joint);
    let link = LinkId(2);
    let plans = [
        Scribe::silent()
            .then(ms(1), Act::Frame(link, frame(2, 1)))
            .then(ms(30), Act::Frame(link, frame(2, 1))),
        Scribe::silent().then(ms(20), Act::Frame(link, frame(1, 2))),
        Scribe::silent(),
    ];
    let machines = plans.map(|plan| {
        let host = world.host("host", &[]);
        let machine = world.add(host, plan);
        assert_eq!(world.device(machine, segment, quality), link);
        machine
    });
    world.run_until(secs(1));
    (world, machines)
}

fn heard(world: &World, machine: Handle<Scribe>) -> usize {
    let is_frame = |told: &&Told| matches!(told, Told::Frame { link: LinkId(2), bytes } if bytes.len() == 60);
    world.machine(machine).told().into_iter().filter(is_frame).count()
}

#[test]
fn a_hub_repeats_everything_to_everyone_else() {
    let (world, machines) = talk(Joint::Hub, &Quality::delay(ms(1)));
    assert_eq!(machines.map(|machine| heard(&world, machine)), [1, 2, 3]);
}

#[test]
fn a_switch_learns_where_addresses_are() {
    let (world, machines) = talk(Joint::Switch, &Quality::delay(ms(1)));
    assert_eq!(machines.map(|machine| heard(&world, machine)), [1, 2, 1]);
    assert_eq!(world.trace().count(|packet| packet.fate == Fate::Delivered), 4);
}

#[test]
fn cables_lose_and_duplicate_frames_too() {
    let (world, machines) = talk(Joint::Hub, &Quality::delay(ms(1)).loss(1.0));
    assert_eq!(machines.map(|machine| heard(&world, machine)), [0, 0, 0]);
    let (world, machines) = talk(Joint::Switch, &Quality::delay(ms(1)).duplicate(1.0));
    assert_eq!(machines.map(|machine| heard(&world, machine)), [4, 8, 4]);
}
