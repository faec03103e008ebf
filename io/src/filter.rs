//! Filters of packet sockets and raw sockets, as classic BPF programs (Documentation/networking/filter.rst of the kernel).

use crate::sys::Instruction;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kernel's limit (BPF_MAXINSNS).
const MOST: usize = 4_096;

const ARP: u32 = 0x0806;
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
/// Places in a frame.
const TYPE: u32 = 12;
const ARP_OPERATION: u32 = 20;
const ARP_TARGET: u32 = 38;
const IPV4_DESTINATION: u32 = 30;
const IPV6_NEXT_HEADER: u32 = 20;
const IPV6_DESTINATION: u32 = 38;
const ICMPV6_TYPE: u32 = 54;
/// A place in an ICMP message.
const ECHO_IDENTIFIER: u32 = 4;
/// Values there.
const REQUEST: u32 = 1;
const ICMPV6: u32 = 58;
const NEIGHBOUR_SOLICITATION: u32 = 135;
const ICMP_ECHO_REPLY: u32 = 0;
const ICMPV6_ECHO_REPLY: u32 = 129;
/// To us, to everybody, to a group; what is above is to another station, or from us (linux/if_packet.h).
const PACKET_MULTICAST: u32 = 2;

/// A program that lets through what a packet socket for these addresses is to receive.
///
/// # Errors
/// If there are too many addresses for the kernel's longest program.
pub(crate) fn frames_for(addresses: &[IpAddr]) -> io::Result<Vec<Instruction>> {
    let v4: Vec<_> = addresses.iter().filter_map(|ip| v4(*ip)).collect();
    let v6: Vec<_> = addresses.iter().filter_map(|ip| v6(*ip)).collect();
    let arp = [
        refuse_unless(load(Size::Half, ARP_OPERATION), REQUEST),
        any_of(ARP_TARGET, &v4),
    ];
    let mut program = vec![
        load(Size::Word, ancillary(libc::SKF_AD_VLAN_TAG_PRESENT)),
        jump(libc::BPF_JEQ, 0, 1, 0),
        verdict(false),
        load(Size::Word, ancillary(libc::SKF_AD_PKTTYPE)),
        jump(libc::BPF_JGT, PACKET_MULTICAST, 0, 1),
        verdict(false),
        load(Size::Half, TYPE),
    ];
    program.extend(for_type(ARP, &arp.concat()));
    program.extend(for_type(IPV4, &any_of(IPV4_DESTINATION, &v4)));
    program.extend(for_type(IPV6, &ipv6(&v6)));
    program.push(verdict(false));
    if program.len() > MOST {
        let what = format!(
            "{} addresses are more than one packet socket takes",
            addresses.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(program)
}

/// The group in which everybody listens who has this address (RFC 4291 section 2.7.1).
pub(crate) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// A program that lets through what a raw socket for ICMP or ICMPv6 is to receive: echo replies with this identifier. An
/// IPv4 datagram comes with its header, an IPv6 one without.
pub(crate) fn echo_replies(identifier: u16, v6: bool) -> Vec<Instruction> {
    let (reply, begin) = if v6 {
        (ICMPV6_ECHO_REPLY, vec![])
    } else {
        (ICMP_ECHO_REPLY, vec![ipv4_header_length()])
    };
    let at = |size, place| {
        if v6 {
            load(size, place)
        } else {
            load_behind(size, place)
        }
    };
    [
        begin,
        refuse_unless(at(Size::Byte, 0), reply),
        refuse_unless(at(Size::Half, ECHO_IDENTIFIER), u32::from(identifier)),
        vec![verdict(true)],
    ]
    .concat()
}

/// Frames to the addresses, and neighbour solicitations to their groups.
fn ipv6(addresses: &[Ipv6Addr]) -> Vec<Instruction> {
    let to = |ip: &Ipv6Addr| when_equal(IPV6_DESTINATION, *ip);
    let ours: Vec<_> = addresses.iter().flat_map(to).collect();
    let groups: Vec<_> = addresses.iter().map(|ip| solicited_node(*ip)).collect();
    let groups: Vec<_> = groups.iter().flat_map(to).collect();
    [
        ours,
        refuse_unless(load(Size::Byte, IPV6_NEXT_HEADER), ICMPV6),
        refuse_unless(load(Size::Byte, ICMPV6_TYPE), NEIGHBOUR_SOLICITATION),
        groups,
        vec![verdict(false)],
    ]
    .concat()
}

/// `then`, which ends in a verdict, for frames of this type, whose type is loaded. It may be longer than a conditional
/// jump reaches.
fn for_type(kind: u32, then: &[Instruction]) -> Vec<Instruction> {
    let over = Instruction {
        code: (libc::BPF_JMP | libc::BPF_JA) as u16,
        yes: 0,
        no: 0,
        value: then.len() as u32,
    };
    [&[jump(libc::BPF_JEQ, kind, 1, 0), over], then].concat()
}

/// Lets the frame through if the four bytes at `place` are one of the addresses, and else refuses it.
fn any_of(place: u32, addresses: &[Ipv4Addr]) -> Vec<Instruction> {
    let mut program = vec![load(Size::Word, place)];
    for ip in addresses {
        program.extend([jump(libc::BPF_JEQ, ip.to_bits(), 0, 1), verdict(true)]);
    }
    program.push(verdict(false));
    program
}

/// Lets the frame through if the sixteen bytes at `place` are this address.
fn when_equal(place: u32, ip: Ipv6Addr) -> Vec<Instruction> {
    let bits = ip.to_bits();
    let words = [3, 2, 1, 0].map(|word| (bits >> (32 * word)) as u32);
    let mut program = vec![];
    for (number, word) in words.into_iter().enumerate() {
        // Past the other words, two instructions each, and the verdict.
        let past = 2 * (words.len() - 1 - number) as u8 + 1;
        let at = place + 4 * number as u32;
        program.extend([load(Size::Word, at), jump(libc::BPF_JEQ, word, 0, past)]);
    }
    program.push(verdict(true));
    program
}

fn refuse_unless(load: Instruction, value: u32) -> Vec<Instruction> {
    vec![load, jump(libc::BPF_JEQ, value, 1, 0), verdict(false)]
}

#[derive(Clone, Copy)]
enum Size {
    Byte,
    Half,
    Word,
}

/// Loads what is at a place in the frame. A frame that ends before it is refused.
fn load(size: Size, place: u32) -> Instruction {
    load_from(libc::BPF_ABS, size, place)
}

/// The same, counted from the index register on.
fn load_behind(size: Size, place: u32) -> Instruction {
    load_from(libc::BPF_IND, size, place)
}

fn load_from(mode: u32, size: Size, place: u32) -> Instruction {
    let size = match size {
        Size::Byte => libc::BPF_B,
        Size::Half => libc::BPF_H,
        Size::Word => libc::BPF_W,
    };
    Instruction {
        code: (libc::BPF_LD | mode | size) as u16,
        yes: 0,
        no: 0,
        value: place,
    }
}

/// Loads the length of the IPv4 header at the beginning into the index register.
fn ipv4_header_length() -> Instruction {
    Instruction {
        code: (libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16,
        yes: 0,
        no: 0,
        value: 0,
    }
}

/// The place where the kernel keeps what it knows of a frame beside its bytes.
fn ancillary(what: i32) -> u32 {
    (libc::SKF_AD_OFF + what).cast_unsigned()
}

fn jump(condition: u32, value: u32, yes: u8, no: u8) -> Instruction {
    Instruction {
        code: (libc::BPF_JMP | libc::BPF_K | condition) as u16,
        yes,
        no,
        value,
    }
}

/// The end: the whole frame, or nothing of it.
fn verdict(taken: bool) -> Instruction {
    Instruction {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        yes: 0,
        no: 0,
        value: if taken { u32::MAX } else { 0 },
    }
}

fn v4(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

fn v6(ip: IpAddr) -> Option<Ipv6Addr> {
    match ip {
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) => Some(ip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::attach_filter;
    use std::os::unix::net::UnixDatagram;

    fn passed(addresses: &[&str], frames: &[Vec<u8>]) -> Vec<bool> {
        let addresses: Vec<IpAddr> = addresses
            .iter()
            .map(|text| text.parse().expect("an address"))
            .collect();
        passed_by(&frames_for(&addresses).expect("few addresses"), frames)
    }

    /// Which of these frames the kernel lets through. A Unix socket takes a filter too, and needs no rights.
    fn passed_by(program: &[Instruction], frames: &[Vec<u8>]) -> Vec<bool> {
        let (near, far) = UnixDatagram::pair().expect("a pair of sockets");
        far.set_nonblocking(true).expect("it can");
        attach_filter(&far, program).expect("a program that the kernel takes");
        frames
            .iter()
            .map(|frame| {
                // A socket that refuses it says so to the sender.
                let _ = near.send(frame);
                far.recv(&mut [0; 2_048]).is_ok()
            })
            .collect()
    }

    fn frame(kind: u16, packet: &[u8]) -> Vec<u8> {
        let mut bytes = vec![2; 12];
        bytes.extend(kind.to_be_bytes());
        bytes.extend(packet);
        bytes
    }

    fn arp(operation: u8, target: [u8; 4]) -> Vec<u8> {
        let mut packet = vec![0, 1, 8, 0, 6, 4, 0, operation];
        packet.extend([9; 16]);
        packet.extend(target);
        frame(0x0806, &packet)
    }

    fn ipv4(destination: [u8; 4]) -> Vec<u8> {
        let mut packet = vec![0x45; 16];
        packet.extend(destination);
        frame(0x0800, &packet)
    }

    fn ipv6(destination: &str, next_header: u8, kind: u8) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 8, next_header, 64];
        packet.extend([9; 16]);
        packet.extend(destination.parse::<Ipv6Addr>().expect("an address").octets());
        packet.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
        frame(0x86dd, &packet)
    }

    #[test]
    fn only_what_is_for_the_addresses_comes_through() {
        let addresses = ["192.0.2.77", "192.0.2.78", "2001:db8::1:2:77", "2001:db8::1:2:78"];
        let table = [
            (arp(1, [192, 0, 2, 77]), true),
            (arp(1, [192, 0, 2, 78]), true),
            (arp(1, [192, 0, 2, 79]), false),
            (arp(2, [192, 0, 2, 77]), false),
            (ipv4([192, 0, 2, 77]), true),
            (ipv4([192, 0, 2, 78]), true),
            (ipv4([192, 0, 2, 1]), false),
            (ipv4([192, 0, 2, 77])[..33].to_vec(), false),
            (ipv6("2001:db8::1:2:77", 17, 0), true),
            (ipv6("2001:db8::1:2:78", 17, 0), true),
            (ipv6("2001:db8::1:2:79", 17, 0), false),
            (ipv6("2001:db8::2:2:77", 17, 0), false),
            (ipv6("2001:db8::1:2:77", 58, 135), true),
            (ipv6("ff02::1:ff02:77", 58, 135), true),
            (ipv6("ff02::1:ff02:78", 58, 135), true),
            (ipv6("ff02::1:ff02:79", 58, 135), false),
            (ipv6("ff02::1:ff02:77", 58, 136), false),
            (ipv6("ff02::1:ff02:77", 17, 135), false),
            (ipv6("ff02::1", 58, 135), false),
            (frame(0x8100, &ipv4([192, 0, 2, 77])[12..]), false),
            (vec![], false),
            (vec![2; 13], false),
        ];
        let (frames, expected): (Vec<_>, Vec<_>) = table.into_iter().unzip();
        assert_eq!(passed(&addresses, &frames), expected);
    }

    #[test]
    fn a_filter_for_one_version_refuses_the_other() {
        let frames = [ipv4([192, 0, 2, 77]), ipv6("2001:db8::77", 17, 0)];
        assert_eq!(passed(&["192.0.2.77"], &frames), [true, false]);
        assert_eq!(passed(&["2001:db8::77"], &frames), [false, true]);
        assert_eq!(passed(&[], &frames), [false, false]);
    }

    #[test]
    fn only_replies_with_the_identifier_come_to_a_raw_socket() {
        let message = |kind: u8, identifier: u16| {
            let [i0, i1] = identifier.to_be_bytes();
            vec![kind, 0, 0xab, 0xcd, i0, i1, 0, 9]
        };
        let dressed = |header: usize, message: &[u8]| {
            let mut bytes = vec![0; header];
            bytes[0] = 0x40 | (header / 4) as u8;
            [&bytes, message].concat()
        };
        let table = [
            (dressed(20, &message(0, 0x1234)), true),
            (dressed(24, &message(0, 0x1234)), true),
            (dressed(60, &message(0, 0x1234)), true),
            (dressed(20, &message(8, 0x1234)), false),
            (dressed(20, &message(3, 0x1234)), false),
            (dressed(20, &message(0, 0x1235)), false),
            (dressed(20, &message(0, 0x3412)), false),
            (dressed(20, &message(0, 0x1234)[..5]), false),
            (dressed(20, &[]), false),
            (vec![], false),
        ];
        let (frames, expected): (Vec<_>, Vec<_>) = table.into_iter().unzip();
        assert_eq!(passed_by(&echo_replies(0x1234, false), &frames), expected);
        let table = [
            (message(129, 0xfedc), true),
            (message(128, 0xfedc), false),
            (message(0, 0xfedc), false),
            (message(129, 0xfedd), false),
            (message(129, 0xfedc)[..5].to_vec(), false),
        ];
        let (frames, expected): (Vec<_>, Vec<_>) = table.into_iter().unzip();
        assert_eq!(passed_by(&echo_replies(0xfedc, true), &frames), expected);
    }

    #[test]
    fn dozens_of_addresses_fit_and_hundreds_do_not() {
        let v6 = |n: u32| IpAddr::from(Ipv6Addr::from_bits(u128::from(n)));
        let many: Vec<_> = (0..64).map(v6).collect();
        let (_near, far) = UnixDatagram::pair().expect("a pair of sockets");
        attach_filter(&far, &frames_for(&many).expect("they fit")).expect("the kernel takes it");
        let too_many: Vec<_> = (0..400).map(v6).collect();
        assert!(frames_for(&too_many).is_err());
    }
}
