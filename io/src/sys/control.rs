//! Control messages (cmsg): written before a send, read after a receive.

use super::address::unmapped;
use std::mem;
use std::net::{IpAddr, Ipv4Addr};

/// Enough for every message that is asked for or written here (about 200 bytes), aligned as cmsghdr wants.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct ControlSpace(pub(super) [u8; 320]);

impl ControlSpace {
    pub(super) const fn empty() -> ControlSpace {
        ControlSpace([0; 320])
    }
}

/// asm-generic/socket.h, since Linux 6.13.
const SCM_TS_OPT_ID: i32 = 81;
const HEADER: usize = mem::size_of::<libc::cmsghdr>();

const fn aligned(len: usize) -> usize {
    (len + mem::size_of::<usize>() - 1) & !(mem::size_of::<usize>() - 1)
}

/// Writes messages one behind the other.
pub(super) struct ControlWriter<'a> {
    space: &'a mut ControlSpace,
    /// Where the next message begins.
    used: usize,
    /// Where the last one ends, without the padding behind it.
    end: usize,
}

impl<'a> ControlWriter<'a> {
    pub(super) fn new(space: &'a mut ControlSpace) -> ControlWriter<'a> {
        ControlWriter {
            space,
            used: 0,
            end: 0,
        }
    }

    /// Appends one message. Bytes of the kernel's cmsghdr layout: length, level, type, then data.
    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let end = self.used + aligned(HEADER) + aligned(data.len());
        let Some(room) = self.space.0.get_mut(self.used..end) else {
            debug_assert!(false, "ControlSpace holds every message that this module writes");
            return;
        };
        room.fill(0);
        room[..mem::size_of::<usize>()].copy_from_slice(&(aligned(HEADER) + data.len()).to_ne_bytes());
        let fields = mem::size_of::<usize>();
        room[fields..fields + 4].copy_from_slice(&level.to_ne_bytes());
        room[fields + 4..fields + 8].copy_from_slice(&kind.to_ne_bytes());
        room[aligned(HEADER)..aligned(HEADER) + data.len()].copy_from_slice(data);
        self.end = self.used + aligned(HEADER) + data.len();
        self.used = end;
    }

    /// Pins the source address and the interface (0: any), as ip(7) IP_PKTINFO or ipv6(7) IPV6_PKTINFO.
    pub(super) fn source(&mut self, source: IpAddr, link: u32, v6_socket: bool) {
        match (source, v6_socket) {
            (IpAddr::V4(ip), false) => {
                let mut info = [0u8; 12];
                info[..4].copy_from_slice(&(link as i32).to_ne_bytes());
                info[4..8].copy_from_slice(&ip.octets());
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            (ip, _) => {
                let octets = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                };
                let mut info = [0u8; 20];
                info[..16].copy_from_slice(&octets);
                info[16..].copy_from_slice(&link.to_ne_bytes());
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
    }

    /// TOS or traffic class of this datagram.
    pub(super) fn tos(&mut self, tos: u8, v6_packet: bool) {
        let value = i32::from(tos).to_ne_bytes();
        if v6_packet {
            self.push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &value);
        } else {
            self.push(libc::IPPROTO_IP, libc::IP_TOS, &value);
        }
    }

    /// Asks for a software departure stamp of this message, to be told with this number; without one the kernel
    /// counts by itself.
    pub(super) fn departure_stamp(&mut self, key: Option<u32>) {
        self.push(
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPING,
            &libc::SOF_TIMESTAMPING_TX_SOFTWARE.to_ne_bytes(),
        );
        if let Some(key) = key {
            self.push(libc::SOL_SOCKET, SCM_TS_OPT_ID, &key.to_ne_bytes());
        }
    }

    /// Tells the kernel to cut the payload into datagrams of `size` bytes (udp(7) UDP_SEGMENT).
    pub(super) fn segment(&mut self, size: u16) {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
    }

    /// Bytes written. The padding behind the last message does not count: up to 36 bytes the kernel copies to
    /// its stack, beyond that to memory that it must find first, and a source address is just so long.
    pub(super) fn len(&self) -> usize {
        self.end
    }
}

/// What the kernel said about a received message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Control {
    pub(super) local: Option<IpAddr>,
    pub(super) link: u32,
    pub(super) tos: u8,
    pub(super) ttl: Option<u8>,
    /// Kernel stamp, nanoseconds of CLOCK_REALTIME.
    pub(super) stamp: Option<u64>,
    /// Size of the datagrams that the kernel merged (udp(7) UDP_GRO).
    pub(super) segment: Option<u16>,
    /// The extended error, for a message from the error queue.
    pub(super) error: Option<ExtendedError>,
}

/// `struct sock_extended_err` (linux/errqueue.h) and the address of who reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExtendedError {
    pub(super) errno: u32,
    pub(super) origin: u8,
    pub(super) info: u32,
    pub(super) data: u32,
    pub(super) reporter: Option<IpAddr>,
}

/// Reads all control messages in `bytes`. Unknown or short ones are passed over.
pub(super) fn parse(bytes: &[u8]) -> Control {
    let mut control = Control::default();
    let mut rest = bytes;
    while let Some((level, kind, data, next)) = split(rest) {
        take(&mut control, level, kind, data);
        rest = next;
    }
    control
}

fn split(bytes: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let len = usize::from_ne_bytes(bytes.get(..mem::size_of::<usize>())?.try_into().ok()?);
    let fields = mem::size_of::<usize>();
    let level = int(bytes.get(fields..)?)?;
    let kind = int(bytes.get(fields + 4..)?)?;
    let data = bytes.get(aligned(HEADER)..len)?;
    Some((level, kind, data, bytes.get(aligned(len)..).unwrap_or_default()))
}

fn take(control: &mut Control, level: i32, kind: i32, data: &[u8]) {
    match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            // The kernel sends this beside IPV6_PKTINFO on a dual-stack socket; both say the same.
            if let (Some(link), Some(ip)) = (int(data), octets::<4>(data, 8)) {
                control.link = link as u32;
                control.local = Some(Ipv4Addr::from(ip).into());
            }
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            if let (Some(ip), Some(link)) = (octets::<16>(data, 0), octets::<4>(data, 16)) {
                control.local = Some(unmapped(ip));
                control.link = u32::from_ne_bytes(link);
            }
        }
        // IP_TOS comes as one octet, IPV6_TCLASS as an int.
        (libc::IPPROTO_IP, libc::IP_TOS) => control.tos = data.first().copied().unwrap_or(0),
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => control.tos = int(data).unwrap_or(0) as u8,
        (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
            control.ttl = int(data).and_then(|ttl| u8::try_from(ttl).ok());
        }
        (libc::SOL_SOCKET, libc::SO_TIMESTAMPING) => control.stamp = stamp(data),
        (libc::SOL_UDP, libc::UDP_GRO) => {
            control.segment = int(data).and_then(|size| u16::try_from(size).ok());
        }
        (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
            control.error = extended_error(data);
        }
        _ => {}
    }
}

/// SCM_TIMESTAMPING holds three timespecs: software, (unused), hardware.
fn stamp(data: &[u8]) -> Option<u64> {
    let seconds = u64::from_ne_bytes(octets::<8>(data, 0)?);
    let nanos = u64::from_ne_bytes(octets::<8>(data, 8)?);
    let total = seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?;
    (total != 0).then_some(total)
}

fn extended_error(data: &[u8]) -> Option<ExtendedError> {
    let errno = u32::from_ne_bytes(octets::<4>(data, 0)?);
    let origin = *data.get(4)?;
    let info = u32::from_ne_bytes(octets::<4>(data, 8)?);
    let tail = u32::from_ne_bytes(octets::<4>(data, 12)?);
    // struct sockaddr of the offender follows the 16 bytes.
    let family = octets::<2>(data, 16).map(u16::from_ne_bytes).map_or(0, i32::from);
    let reporter = match family {
        libc::AF_INET => octets::<4>(data, 20).map(|ip| Ipv4Addr::from(ip).into()),
        libc::AF_INET6 => octets::<16>(data, 24).map(unmapped),
        _ => None,
    };
    Some(ExtendedError {
        errno,
        origin,
        info,
        data: tail,
        reporter,
    })
}

fn int(bytes: &[u8]) -> Option<i32> {
    octets::<4>(bytes, 0).map(i32::from_ne_bytes)
}

fn octets<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut space = ControlSpace::empty();
        let mut writer = ControlWriter::new(&mut space);
        writer.source("2001:db8::7".parse().expect("an address"), 3, true);
        writer.tos(0xb8, true);
        let used = writer.len();
        let control = parse(&space.0[..used]);
        assert_eq!(control.local, Some("2001:db8::7".parse().expect("an address")));
        assert_eq!((control.link, control.tos), (3, 0xb8));
    }

    #[test]
    fn an_ipv4_source_on_a_dual_stack_socket_is_mapped_there_and_back() {
        let mut space = ControlSpace::empty();
        let mut writer = ControlWriter::new(&mut space);
        writer.source("192.0.2.1".parse().expect("an address"), 0, true);
        let used = writer.len();
        assert_eq!(
            parse(&space.0[..used]).local,
            Some("192.0.2.1".parse().expect("an address"))
        );
    }

    #[test]
    fn any_bytes_are_read_without_panic() {
        let mut rng = halloo_base::Rng::new(1);
        for round in 0..20_000 {
            let mut bytes = [0u8; 96];
            bytes.fill_with(|| rng.next_u64() as u8);
            // A plausible length now and then, so that the parser goes on past the first header.
            if round % 2 == 0 {
                bytes[..8].copy_from_slice(&(16 + rng.below(90) as usize).to_ne_bytes());
            }
            let _ = parse(&bytes[..rng.below(97) as usize]);
        }
    }
}
