//! NDN straight in Ethernet frames (EtherType 0x8624, NDN link protocols; NFD's "Ethernet" transports).

use anyhow::{Context, Result};
use halloo_base::{
    Counters, Cx, Datagram, Deadline, Env, Frame, Input, LinkId, Machine, Marks, Outbox, Output, Path, Reason,
};
use halloo_io::route::Netlink;
use halloo_io::{PacketSocket, Worker};
use halloo_probe::DatagramSession;
use halloo_protocols::ndn::{LpPacket, PingServer, Reassembler, fragments, tlv};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// The type of NDN's frames.
const NDN: u16 = 0x8624;
/// The group in which all of NDN is spoken to, unless somebody is meant.
const GROUP: Mac = Mac([0x01, 0x00, 0x5e, 0x00, 0x17, 0xaa]);
/// Destination, source and type.
const HEADER: usize = 14;
/// Room for a tenth of a second of the fastest that one thread answers.
const RECEIVE_BUFFER: usize = 8 << 20;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mac([u8; 6]);

/// A device, and whom it is to reach there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) device: String,
    /// One station; `None` for the group.
    pub(crate) station: Option<Mac>,
}

/// A socket for NDN's frames on a device.
pub(super) struct Port {
    pub(super) socket: PacketSocket,
    /// The longest packet that a frame carries, in bytes.
    mtu: usize,
}

impl Mac {
    fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl FromStr for Mac {
    type Err = ();

    fn from_str(text: &str) -> Result<Mac, ()> {
        let mut mac = [0; 6];
        let mut octets = text.split(':');
        for octet in &mut mac {
            let digits = octets.next().filter(|digits| digits.len() == 2).ok_or(())?;
            *octet = u8::from_str_radix(digits, 16).map_err(|_| ())?;
        }
        octets.next().is_none().then_some(Mac(mac)).ok_or(())
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Wire {
    /// What stands behind `dev://` and `ether://`: a device; or a station and its device, in brackets.
    pub(crate) fn parse(scheme: &str, rest: &str) -> Option<Wire> {
        let (station, device) = match scheme {
            "dev" => (None, rest),
            _ => {
                let (station, device) = rest.strip_prefix('[')?.strip_suffix(']')?.split_once('%')?;
                (Some(station.parse().ok()?), device)
            }
        };
        let is_name = (1..=15).contains(&device.len()) && !device.contains(['/', ':', '[', ']', '%', ' ']);
        is_name.then(|| Wire {
            device: device.to_owned(),
            station,
        })
    }
}

impl Wire {
    /// Has a session ask by this wire.
    ///
    /// # Errors
    /// As [`Port::open`].
    pub(crate) fn give(&self, session: DatagramSession, worker: &mut Worker) -> Result<()> {
        let port = Port::open(&self.device).with_context(|| self.to_string())?;
        let machine = worker.add(Box::new(Framed::new(session, &port, self)));
        worker
            .packet(port.socket, machine)
            .context("cannot watch a packet socket")
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.station {
            None => write!(f, "dev://{}", self.device),
            Some(station) => write!(f, "ether://[{station}%{}]", self.device),
        }
    }
}

impl Port {
    /// Opens a device for NDN.
    ///
    /// # Errors
    /// If there is no such device, it is no Ethernet, or this process may not (CAP_NET_RAW).
    pub(super) fn open(device: &str) -> Result<Port> {
        let socket = PacketSocket::of_type(device, NDN, GROUP.0, Some(RECEIVE_BUFFER));
        let socket = socket.map_err(crate::hint::explain)?;
        let link = Netlink::open()?.link(device)?.context("the device is gone")?;
        Ok(Port {
            socket,
            mtu: link.mtu as usize,
        })
    }
}

/// Writes a frame around one packet.
fn frame(to: Mac, from: [u8; 6], packet: &[u8]) -> Vec<u8> {
    [&to.0[..], &from, &NDN.to_be_bytes(), packet].concat()
}

/// Destination, source and the packet of a frame that may be for `own`, without the padding behind it.
fn opened(bytes: &[u8], own: [u8; 6]) -> Result<(Mac, Mac, &[u8]), Reason> {
    let (header, rest) = bytes.split_at_checked(HEADER).ok_or(Reason::Malformed)?;
    let mac = |at: usize| <[u8; 6]>::try_from(&header[at..at + 6]).map(Mac);
    let (Ok(to), Ok(from)) = (mac(0), mac(6)) else {
        return Err(Reason::Malformed);
    };
    if to.0 != own && to != GROUP || header[12..] != NDN.to_be_bytes() {
        return Err(Reason::NotUnicast);
    }
    if from.is_group() || from.0 == own || from.0 == [0; 6] {
        return Err(Reason::BogonSource);
    }
    let len = tlv::measure(rest).map_err(|_| Reason::Malformed)?;
    let packet = len.and_then(|len| rest.get(..len)).ok_or(Reason::Malformed)?;
    Ok((to, from, packet))
}

/// Packets on their way into frames: as they are where they fit, else in parts.
struct Parts {
    link: LinkId,
    mac: [u8; 6],
    mtu: usize,
    /// The number of the next part, once there was one: the first is drawn, so that the parts of two stations that answer the
    /// same group do not pass for each other's.
    sequence: Option<u64>,
}

impl Parts {
    fn new(port: &Port) -> Parts {
        Parts {
            link: port.socket.link(),
            mac: port.socket.mac(),
            mtu: port.mtu,
            sequence: None,
        }
    }

    /// Sends a packet. Returns whether it could be: it may be too long for the parts that there may be.
    #[must_use]
    fn send(&mut self, env: &mut Env<'_>, out: &mut Outbox, to: Mac, packet: &[u8]) -> bool {
        if packet.len() <= self.mtu {
            out.frame(self.link, &frame(to, self.mac, packet));
            return true;
        }
        // What goes in parts has its link header with the first one.
        let (token, network) = match LpPacket::parse(packet) {
            Ok(lp) => (lp.pit_token, lp.fragment.unwrap_or_default()),
            Err(_) => (None, packet),
        };
        let sequence = self.sequence.get_or_insert_with(|| env.rng.next_u64());
        let Ok(parts) = fragments(network, token, self.mtu, sequence) else {
            return false;
        };
        for part in parts {
            out.frame(self.link, &frame(to, self.mac, &part));
        }
        true
    }
}

/// Answers pings in frames.
///
/// Who asked the group is answered there, since it listens there; who asked this station is answered alone. What is longer
/// than a frame comes and goes in parts: nobody beyond the cable can make us answer them.
pub(super) struct EthernetServer {
    server: PingServer,
    parts: Parts,
    counters: Arc<Counters>,
    room: Vec<u8>,
    reassembler: Reassembler,
    stopped: bool,
}

impl EthernetServer {
    pub(super) fn new(server: PingServer, port: &Port, counters: Arc<Counters>) -> EthernetServer {
        EthernetServer {
            server,
            parts: Parts::new(port),
            counters,
            room: vec![],
            reassembler: Reassembler::new(),
            stopped: false,
        }
    }

    fn answer(&mut self, cx: &mut Cx<'_>, rx: &Frame<'_>) -> Result<usize, Reason> {
        let (to, from, packet) = opened(rx.bytes, self.parts.mac)?;
        let lp = LpPacket::parse(packet).ok().filter(LpPacket::is_part);
        let asked = match &lp {
            None => packet,
            Some(lp) => {
                let path = path_from(self.parts.link, from);
                let whole = self.reassembler.take(rx.at.mono, &path, lp);
                whole.map_err(|_| Reason::Malformed)?.ok_or(Reason::Incomplete)?
            }
        };
        self.room.clear();
        // A frame comes from our own network.
        self.room.resize(self.server.room(asked.len()), 0);
        let len = self.server.answer(rx.at, asked, &mut self.room)?;
        let to = if to.is_group() { to } else { from };
        match self.parts.send(&mut cx.env, cx.out, to, &self.room[..len]) {
            true => Ok(len),
            false => Err(Reason::ReplyTooLong),
        }
    }
}

impl Machine for EthernetServer {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Frame(rx) if !self.stopped => {
                let outcome = self.answer(cx, &rx);
                self.counters.receive(rx.bytes.len());
                match outcome {
                    Ok(len) => self.counters.reply(len),
                    Err(why) => self.counters.silent(why),
                }
            }
            Input::Unreachable(..) => self.counters.silent(Reason::SendFailed),
            Input::Stop => self.stopped = true,
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }

    fn finished(&self) -> bool {
        self.stopped
    }
}

/// A machine that speaks datagrams, its packets in frames to one station or the group.
struct Framed<M> {
    machine: M,
    parts: Parts,
    to: Mac,
    out: Outbox,
}

impl<M: Machine> Framed<M> {
    fn new(machine: M, port: &Port, wire: &Wire) -> Framed<M> {
        Framed {
            machine,
            parts: Parts::new(port),
            to: wire.station.unwrap_or(GROUP),
            out: Outbox::new(),
        }
    }

    fn tell(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        self.machine.handle(&mut cx.with(&mut self.out), input);
        for output in self.out.iter() {
            if let Output::Datagram(_, packet) = output {
                // No device is so narrow that the longest packet would be too many parts; if one were, it is lost.
                let _sent = self.parts.send(&mut cx.env, cx.out, self.to, packet);
            }
        }
        self.out.clear();
    }
}

/// The path of whatever comes by frames, which have no IP addresses.
fn nowhere(link: LinkId) -> Path {
    let anywhere: SocketAddr = (Ipv4Addr::UNSPECIFIED, 0).into();
    Path {
        link,
        local: anywhere,
        remote: anywhere,
    }
}

/// What tells one station's parts from another's: its address stands where that of a host would.
fn path_from(link: LinkId, Mac([a, b, c, d, e, f]): Mac) -> Path {
    let station = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d, e, f];
    Path {
        link,
        local: SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        remote: SocketAddr::from((Ipv6Addr::from(station), 0)),
    }
}

impl<M: Machine> Machine for Framed<M> {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        let Input::Frame(rx) = input else {
            return self.tell(cx, input);
        };
        // What others say to the group is none of ours, and no news.
        let Ok((_, from, packet)) = opened(rx.bytes, self.parts.mac) else {
            return;
        };
        if self.to.is_group() || from == self.to {
            let datagram = Datagram {
                path: nowhere(self.parts.link),
                at: rx.at,
                marks: Marks::default(),
                payload: packet,
                offload: rx.offload,
            };
            self.tell(cx, Input::Datagram(datagram));
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.machine.deadline()
    }

    fn finished(&self) -> bool {
        self.machine.finished()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);
    /// An empty Data, as far as its length goes.
    const PACKET: [u8; 2] = [6, 0];

    #[test]
    fn a_wire_is_a_device_and_perhaps_a_station() {
        let table = [
            ("dev", "eth0", Some("dev://eth0")),
            (
                "ether",
                "[08:00:27:01:0A:ff%eth0]",
                Some("ether://[08:00:27:01:0a:ff%eth0]"),
            ),
            ("dev", "", None),
            ("dev", "a/b", None),
            ("ether", "[08:00:27:01:0a:ff]", None),
            ("ether", "[08:00:27:01:0a%eth0]", None),
            ("ether", "[08:00:27:01:0a:ff:00%eth0]", None),
            ("ether", "08:00:27:01:0a:ff%eth0", None),
        ];
        for (scheme, rest, expected) in table {
            let wire = Wire::parse(scheme, rest).map(|wire| wire.to_string());
            assert_eq!(wire.as_deref(), expected, "{scheme}://{rest}");
        }
    }

    #[test]
    fn frames_for_us_are_opened_without_their_padding() {
        let padded = [&PACKET[..], &[0; 44]].concat();
        for to in [Mac(OWN), GROUP] {
            let bytes = frame(to, OTHER.0, &padded);
            assert_eq!(opened(&bytes, OWN), Ok((to, OTHER, &PACKET[..])));
        }
    }

    #[test]
    fn frames_that_are_not_for_us_have_a_reason() {
        let mut of_other_type = frame(GROUP, OTHER.0, &PACKET);
        of_other_type[13] ^= 1;
        let table = [
            (frame(OTHER, OTHER.0, &PACKET), Reason::NotUnicast),
            (of_other_type, Reason::NotUnicast),
            (frame(GROUP, GROUP.0, &PACKET), Reason::BogonSource),
            (frame(GROUP, OWN, &PACKET), Reason::BogonSource),
            (frame(GROUP, [0; 6], &PACKET), Reason::BogonSource),
            (frame(GROUP, OTHER.0, &[6, 2, 0]), Reason::Malformed),
            (frame(GROUP, OTHER.0, &[]), Reason::Malformed),
            (vec![0; 13], Reason::Malformed),
        ];
        for (bytes, why) in table {
            assert_eq!(opened(&bytes, OWN), Err(why), "{bytes:02x?}");
        }
    }
}
