"""What an echo host does with IPv6: the rules of RFC 2075 carried over, with RFC 8200 and RFC 5095."""

import socket

from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    RouterAlert,
    in6_getnsma,
    in6_getnsmac,
)
from scapy.packet import Raw

KEPT_BY_THE_HOST = None


def fill(table):
    Rules(table).fill()


class Rules:
    def __init__(self, table):
        self.table = table
        self.setting = table.setting
        self.echo_address, self.other_echo_address = table.setting.echo6
        self.me = table.setting.me6 + "1"

    def ip(self, payload=None, **fields):
        fields = {"src": self.me, "dst": self.echo_address, "fl": self.table.key(), "hlim": 64} | fields
        payload = payload or UDP(sport=40000, dport=40001) / Raw(b"Halloo, halloo, halloo.")
        return IPv6(**fields) / payload

    def fill(self):
        self.plain()
        self.hop_limit()
        self.headers()
        self.sources()
        self.extensions()
        self.icmp()
        if self.setting.path == "wire":
            self.frames()

    def plain(self):
        echo, ip = self.table.echo, self.ip
        echo("IPv6: UDP", ip())
        echo("IPv6: UDP to the port of the UDP echo", ip(UDP(sport=40000, dport=7777) / Raw(b"no UDP echo here")))
        echo("IPv6: TCP", ip(TCP(sport=40000, dport=40000, flags="S")))
        for protocol in (4, 41, 47, 132, 253):
            echo(f"IPv6: protocol {protocol}", ip(Raw(b"anything at all, of some length"), nh=protocol))
        echo("IPv6: no next header", ip(Raw(b""), nh=59))
        echo("IPv6: 1,500 bytes", ip(Raw((bytes(range(256)) * 6)[:1460]), nh=253))
        echo("IPv6: traffic class", ip(tc=0xB9))
        echo("IPv6: padding behind the datagram", ip(Raw(b"short"), nh=253), padding=b"\xa5" * 11)

    def hop_limit(self):
        echo, silent, ip, hops = self.table.echo, self.table.silent, self.ip, self.setting.hops
        echo("IPv6: hop limit 255", ip(hlim=255))
        echo("IPv6: hop limit that is just enough", ip(hlim=hops + 1))
        if self.setting.path == "wire":
            silent("IPv6: hop limit 1", ip(hlim=1), "ttl_expired")
            silent("IPv6: hop limit 0", ip(hlim=0), "ttl_expired")
        else:
            silent("IPv6: hop limit 1", ip(hlim=1), KEPT_BY_THE_HOST)
            silent("IPv6: hop limit that ends at the echo host", ip(hlim=2), "ttl_expired")
            # The host tells the datagram's sender, which is the echo address: an error about what it echoed.
            silent("IPv6: hop limit that ends on the way back", ip(hlim=3), "icmp", lost=True)

    def headers(self):
        silent, ip = self.table.silent, self.ip
        silent("IPv6: version 7", ip(version=7), "malformed", tun=KEPT_BY_THE_HOST)
        silent("IPv6: a length beyond the frame", ip(plen=1400), "malformed", tun=KEPT_BY_THE_HOST)

    def sources(self):
        silent, ip = self.table.silent, self.ip
        for source in ("::", "::1", "ff02::1"):
            silent(f"IPv6: from {source}", ip(src=source), "bogon_source", tun=KEPT_BY_THE_HOST)
        silent("IPv6: from the echo address", ip(src=self.echo_address), "bogon_source")
        silent("IPv6: from the other echo address", ip(src=self.other_echo_address), "own_address")
        neighbour = ip(src="fe80::1:2:3")
        if self.setting.path == "wire":
            self.table.echo("IPv6: from a neighbour's link-local address", neighbour)
        else:
            silent("IPv6: from a link-local address", neighbour, KEPT_BY_THE_HOST)

    def extensions(self):
        echo, silent, ip = self.table.echo, self.table.silent, self.ip

        def behind(*headers, protocol=253):
            """Whatever stands behind extension headers."""
            packet = Raw(b"behind all headers")
            for header in reversed(headers):
                header.nh = protocol
                protocol, packet = number(header), header / packet
            return dict(payload=packet, nh=protocol)

        skipped = HBHOptUnknown(otype=0x1E, optdata=b"expt")
        for name, headers in (
            ("hop-by-hop options", [IPv6ExtHdrHopByHop(options=[skipped])]),
            ("a router alert", [IPv6ExtHdrHopByHop(options=[RouterAlert()])]),
            ("destination options", [IPv6ExtHdrDestOpt(options=[skipped])]),
            ("a first fragment", [IPv6ExtHdrFragment(offset=0, m=1, id=7)]),
            ("a later fragment", [IPv6ExtHdrFragment(offset=3, m=0, id=7)]),
            ("a routing header of type 0 that is done", [routing(0, 0)]),
            ("a routing header of type 4 that is done", [routing(4, 0)]),
            ("options, routing and a fragment", [
                IPv6ExtHdrHopByHop(options=[skipped]),
                IPv6ExtHdrDestOpt(options=[skipped]),
                routing(4, 0),
                IPv6ExtHdrFragment(offset=0, m=1, id=8),
            ]),
        ):
            echo(f"IPv6: {name}", ip(**behind(*headers)))
        for name, headers in (
            ("a routing header of type 0 with a hop to go", [routing(0, 1)]),
            ("a routing header of type 4 with a hop to go", [routing(4, 1)]),
            ("a routing header of an unknown type with a hop to go", [routing(99, 1)]),
            ("a routing header with a hop to go behind options", [
                IPv6ExtHdrDestOpt(options=[skipped]),
                routing(0, 1),
            ]),
        ):
            silent(f"IPv6: {name}", ip(**behind(*headers)), "routing_header")
        cut = Raw(bytes([253, 9, 0, 0, 0, 0, 0, 0]))
        silent("IPv6: destination options that run over the datagram", ip(cut, nh=60), "malformed")
        silent("IPv6: hop-by-hop options that run over the datagram", ip(cut, nh=0), "malformed", tun=KEPT_BY_THE_HOST)
        silent("IPv6: half a fragment header", ip(Raw(bytes([253, 0, 0, 0])), nh=44), "malformed")

    def icmp(self):
        silent, ip = self.table.silent, self.ip
        quoted = IPv6(src=self.echo_address, dst=self.me) / UDP(sport=1, dport=2) / Raw(b"quoted")
        silent("IPv6: an ICMPv6 echo request", ip(ICMPv6EchoRequest(data=b"ping")), "icmp")
        silent("IPv6: unreachable", ip(ICMPv6DestUnreach(code=4) / quoted), "icmp")
        silent("IPv6: packet too big", ip(ICMPv6PacketTooBig(mtu=1280) / quoted, src=self.setting.me6 + "9"), "icmp")
        behind = IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x1E, optdata=b"expt")])
        silent("IPv6: ICMPv6 behind options", ip(behind / ICMPv6EchoRequest(data=b"ping")), "icmp")

    def frames(self):
        silent, ip, ether = self.table.silent, self.ip, self.table.ether
        silent("IPv6: in a frame to a group", ip(), "not_unicast", ether=ether(dst="33:33:00:00:00:01"))
        self.ask_for(self.echo_address, answered=True)
        self.ask_for(self.other_echo_address, answered=True)
        self.ask_for(self.echo_address.rsplit(":", 1)[0] + ":99", answered=False)

    def ask_for(self, address, answered):
        def judge(packet):
            got = (packet[IPv6].src, packet[IPv6].dst, packet[IPv6].hlim, packet[ICMPv6ND_NA].tgt)
            option = packet.getlayer(ICMPv6NDOptDstLLAddr)
            got += (packet[ICMPv6ND_NA].S, option and option.lladdr)
            wanted = (address, self.me, 255, address, 1, self.setting.host_mac)
            return None if got == wanted else f"{got}"

        group = in6_getnsma(socket.inet_pton(socket.AF_INET6, address))
        question = IPv6(src=self.me, dst=socket.inet_ntop(socket.AF_INET6, group), hlim=255)
        question /= ICMPv6ND_NS(tgt=address) / ICMPv6NDOptSrcLLAddr(lladdr=self.setting.mac)
        frame = self.table.ether(dst=in6_getnsmac(group)) / question
        self.table.ask(f"who has {address}?", frame, ("nd", address), judge if answered else None)



def number(header):
    """What the header before this one calls it."""
    numbers = {IPv6ExtHdrHopByHop: 0, IPv6ExtHdrRouting: 43, IPv6ExtHdrFragment: 44, IPv6ExtHdrDestOpt: 60}
    return numbers[type(header)]


def routing(kind, left):
    """A routing header of that type with so many hops to go; types 0 and 4 have the same shape."""
    return IPv6ExtHdrRouting(type=kind, segleft=left, addresses=["2001:db8::77"] if kind in (0, 4) else [])
