"""What an echo host does with IPv4: RFC 2075, and the checks of RFC 1122 section 3.2.1 and RFC 1812 section 5.2.2.

An entry is (name, request, what becomes of it). The host's own stack stands in between where it forwards to the echo
host: it takes what is malformed for itself, and fills in recorded routes and timestamps on the way to the echo host
and on the way back. Where that makes a difference the entry says so with `tun`.
"""

from scapy.layers.inet import (
    ICMP,
    IP,
    TCP,
    UDP,
    IPOption,
    IPOption_EOL,
    IPOption_LSRR,
    IPOption_NOP,
    IPOption_Router_Alert,
    IPOption_RR,
    IPOption_Security,
    IPOption_SSRR,
    IPOption_Stream_Id,
)
from scapy.layers.l2 import ARP, Dot1Q
from scapy.packet import Raw

BROADCAST = "ff:ff:ff:ff:ff:ff"
# Of the host's stack: it never comes to the echo host.
KEPT_BY_THE_HOST = None
# Options that Linux passes on though they do not hold together.
LEFT_TO_US = (
    "a source route that points between hops",
    "a source route with half a hop",
    "a recorded route that points between hops",
    "a recorded route with half a hop",
    "timestamps that point between entries",
    "timestamps of an unknown kind",
)


def fill(table):
    Rules(table).fill()


def end(table):
    """A row that goes the longest way through any echo host: with its answer all before it was taken in."""
    table.echo("the last of all", Rules(table).ip(options=[IPOption_NOP()] * 4))


class Rules:
    def __init__(self, table):
        self.table = table
        self.setting = table.setting
        self.echo_address, self.other_echo_address = table.setting.echo4
        network = table.setting.me4.rsplit(".", 1)[0]
        self.me = f"{network}.1"
        self.hops = [f"{network}.{last}" for last in (11, 12, 13, 14)]

    def ip(self, payload=None, **fields):
        fields = {"src": self.me, "dst": self.echo_address, "id": self.table.key(), "ttl": 64} | fields
        payload = payload or UDP(sport=40000, dport=40001) / Raw(b"Halloo, halloo, halloo.")
        return IP(**fields) / payload

    def fill(self):
        self.plain()
        self.time_to_live()
        self.fragments()
        self.headers()
        self.sources()
        self.kept_options()
        self.source_routes()
        self.record_routes()
        self.timestamps()
        self.malformed_options()
        self.icmp()
        if self.setting.path == "wire":
            self.frames()

    def plain(self):
        echo, ip = self.table.echo, self.ip
        echo("UDP", ip())
        echo("UDP to the port of the UDP echo", ip(UDP(sport=40000, dport=7777) / Raw(b"no UDP echo here")))
        echo("UDP to the port of a service", ip(UDP(sport=40000, dport=7) / Raw(b"nobody is there")))
        echo("TCP from the port of a service", ip(TCP(sport=7, dport=40000, flags="A")))
        for port in (7, 13, 17, 19, 37):
            forever = ip(UDP(sport=port, dport=40000) / Raw(b"whoever answers this"))
            self.table.silent(f"UDP from port {port}, which would be answered for ever", forever, "reflection_port")
        echo("UDP without a checksum", ip(UDP(sport=40000, dport=40001, chksum=0) / Raw(b"none")))
        echo("UDP with a wrong checksum", ip(UDP(sport=40000, dport=40001, chksum=0x1234) / Raw(b"not ours to judge")))
        echo("TCP", ip(TCP(sport=40000, dport=40000, flags="S", options=[("MSS", 1460), ("SAckOK", b"")])))
        for protocol in (0, 4, 47, 132, 253, 255):
            echo(f"protocol {protocol}", ip(Raw(b"anything at all, of some length"), proto=protocol))
        echo("no payload", ip(Raw(b""), proto=253))
        echo("one byte of payload", ip(Raw(b"x"), proto=253))
        echo("1,500 bytes", ip(Raw((bytes(range(256)) * 6)[:1480]), proto=253))
        echo("DSCP and ECN", ip(tos=0xB9))
        echo("DF", ip(flags="DF"))
        echo("the reserved flag", ip(flags="evil"))
        echo("identification 0", ip(id=0))
        # The sum of the answer's header is 0xffff, which is to be written as its complement 0x0000 and not as -0.
        echo("a checksum that runs over", self.with_checksum(0xFEFF))

    def with_checksum(self, checksum):
        """A datagram whose identification makes its header checksum this."""
        request = self.ip(id=0)
        # Sums of one's complement are sums modulo 0xffff.
        request.id = (IP(bytes(request)).chksum - checksum) % 0xFFFF
        assert IP(bytes(request)).chksum == checksum
        return request

    def time_to_live(self):
        echo, silent, ip, hops = self.table.echo, self.table.silent, self.ip, self.setting.hops
        echo("TTL 255", ip(ttl=255))
        echo("TTL that is just enough", ip(ttl=hops + 1))
        if self.setting.path == "wire":
            silent("TTL 1", ip(ttl=1), "ttl_expired")
            silent("TTL 0", ip(ttl=0), "ttl_expired")
        else:
            silent("TTL 1", ip(ttl=1), KEPT_BY_THE_HOST)
            silent("TTL that ends at the echo host", ip(ttl=2), "ttl_expired")
            # The host tells the datagram's sender, which is the echo address: an error about what it echoed.
            silent("TTL that ends on the way back", ip(ttl=3), "icmp", lost=True)

    def fragments(self):
        echo, ip = self.table.echo, self.ip
        echo("a first fragment", ip(Raw(b"f" * 64), proto=17, flags="MF", frag=0))
        echo("a middle fragment", ip(Raw(b"m" * 64), proto=17, flags="MF", frag=8))
        echo("a last fragment", ip(Raw(b"l" * 13), proto=17, frag=16))
        self.table.silent("a later fragment of ICMP", ip(Raw(b"i" * 8), proto=1, frag=3), "icmp")
        echo("a fragment with options", ip(Raw(b"o" * 8), proto=17, frag=3, options=[IPOption_NOP()] * 4))

    def headers(self):
        for name, fields, reason in (
            ("version 5", dict(version=5), "malformed"),
            ("a header of 16 bytes", dict(ihl=4), "malformed"),
            ("a header longer than the datagram", dict(ihl=15, len=51), "malformed"),
            ("a total length below the header's", dict(len=19), "malformed"),
            ("a total length beyond the frame", dict(len=1400), "malformed"),
            ("a wrong header checksum", dict(chksum=0x1234), "bad_checksum"),
        ):
            self.table.silent(name, self.ip(**fields), reason, tun=KEPT_BY_THE_HOST)
        self.table.echo("padding behind the datagram", self.ip(Raw(b"short"), proto=253), padding=b"\xa5" * 21)

    def sources(self):
        silent, ip = self.table.silent, self.ip
        for source in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"):
            silent(f"from {source}", ip(src=source), "bogon_source", tun=KEPT_BY_THE_HOST)
        for source in ("0.1.2.3", "240.0.0.1", self.setting.broadcast4, self.echo_address):
            silent(f"from {source}", ip(src=source), "bogon_source")
        silent("from the other echo address", ip(src=self.other_echo_address), "own_address")

    def kept_options(self):
        echo, ip = self.table.echo, self.ip
        # A stack clears what it does not read.
        cleared = dict(options=[IPOption_EOL()] * 4)
        garbage = [IPOption_EOL(), Raw(b"\x83\x00\x07")]
        echo("end of list with something behind it", ip(options=garbage), tun=cleared)
        for name, option in (
            ("no operation", [IPOption_NOP()] * 3),
            ("router alert", [IPOption_Router_Alert()]),
            ("security", [IPOption_Security()]),
            ("stream id", [IPOption_Stream_Id(security=7)]),
            ("an experimental option", [IPOption(copy_flag=0, optclass=2, option=30, value=b"expt")]),
            ("an option without a value", [IPOption(copy_flag=1, optclass=0, option=29, length=2)]),
        ):
            echo(name, ip(options=option))

    def source_routes(self):
        echo, silent, ip = self.table.echo, self.table.silent, self.ip
        first, second, third, _ = self.hops
        for name, option in (("loose", IPOption_LSRR), ("strict", IPOption_SSRR)):

            def route(*hops, pointer):
                return [option(routers=list(hops), pointer=pointer)]

            one, three = ip(options=route(first, pointer=8)), ip(options=route(first, second, third, pointer=16))
            if name == "strict" and self.setting.path == "tun":
                # A stack lets nothing through on a strict route that does not name it.
                silent("a complete strict source route", one, KEPT_BY_THE_HOST)
                continue
            echo(f"a complete {name} source route over one hop", one, dst=first, options=route(self.me, pointer=4))
            three.id += 1
            back = route(second, first, self.me, pointer=4)
            echo(f"a complete {name} source route over three hops", three, dst=third, options=back)
            for where, pointer in (("with one hop to go", 8), ("at its beginning", 4)):
                request = ip(options=route(first, second, pointer=pointer))
                silent(f"a {name} source route {where}", request, "incomplete_source_route")

        for name, hop in (("the echo address", self.echo_address), ("everybody", "255.255.255.255")):
            request = ip(options=[IPOption_LSRR(routers=[first, hop], pointer=12)])
            silent(f"a complete loose source route by {name}", request, "bad_option")

    def record_routes(self):
        echo, ip, none = self.table.echo, self.ip, "0.0.0.0"
        first, second, _, _ = self.hops
        host = self.setting.host4
        for name, recorded, pointer in (
            ("empty", [none, none, none], 4),
            ("partly filled", [first, none, none], 8),
            ("full", [first, second, first], 16),
        ):
            echo(
                f"record route, {name}",
                ip(options=[IPOption_RR(routers=recorded, pointer=pointer)]),
                options=[IPOption_RR(routers=[none, none, none], pointer=4)],
                tun=dict(options=[IPOption_RR(routers=[host, none, none], pointer=8)]),
            )
        echo("record route without room", ip(options=[IPOption_RR(routers=[], pointer=4)]))

    def timestamps(self):
        echo, ip = self.table.echo, self.ip
        me, there, first, host = self.me, self.echo_address, self.hops[0], self.setting.host4
        # What is behind the pointer is forgotten, whatever is left there.
        echo(
            "timestamps with addresses, the source's first",
            ip(options=[timestamp(1, 21, [(me, 1111), (first, 2222), None, None], overflow=0)]),
            options=[timestamp(1, 13, [(there, 1111), None, None, None])],
            unknown=[(20 + 12, 24)],
            tun=dict(options=[timestamp(1, 21, [(there, 1111), (host, 0), None, None])]),
        )
        echo(
            "timestamps with addresses, full and overflown",
            ip(options=[timestamp(1, 21, [(me, 1111), (first, 2222)], overflow=3)]),
            options=[timestamp(1, 13, [(there, 1111), None])],
            unknown=[(20 + 12, 8)],
            tun=dict(options=[timestamp(1, 21, [(there, 1111), (host, 0)])]),
        )
        echo(
            "timestamps at given addresses, the source's first",
            ip(options=[timestamp(3, 13, [(me, 1111), (first, 0)])]),
            options=[timestamp(3, 13, [(there, 1111), None])],
            unknown=[(20 + 12, 8)],
        )
        echo(
            "timestamps with addresses, another host's first",
            ip(options=[timestamp(1, 13, [(first, 2222), None, None])]),
            tun=dict(options=[timestamp(1, 29, [(first, 2222), (host, 0), (host, 0)])]),
            # Of what the host's stack puts in on the way there only the time is known to nobody, and its address is
            # that of whichever device it likes.
            tun_unknown=[(20 + 12, 16)],
        )
        echo(
            "timestamps with addresses, none yet",
            ip(options=[timestamp(1, 5, [None, None, None])]),
            tun=dict(options=[timestamp(1, 21, [(host, 0), (host, 0), None])]),
            tun_unknown=[(20 + 4, 16)],
        )
        echo(
            "timestamps without addresses",
            ip(options=[timestamp(0, 9, [1111, 0, 0, 0])]),
            tun=dict(options=[timestamp(0, 17, [1111, 0, 0, 0])]),
            tun_unknown=[(20 + 8, 8)],
        )
        echo(
            "a recorded route and timestamps together",
            ip(options=[
                IPOption_RR(routers=[first, "0.0.0.0"], pointer=8),
                IPOption_NOP(),
                timestamp(1, 21, [(me, 1111), (first, 2222)]),
            ]),
            options=[
                IPOption_RR(routers=["0.0.0.0"] * 2, pointer=4),
                IPOption_NOP(),
                timestamp(1, 13, [(there, 1111), None]),
            ],
            unknown=[(20 + 12 + 12, 8)],
            tun=dict(options=[
                IPOption_RR(routers=[host, "0.0.0.0"], pointer=8),
                IPOption_NOP(),
                timestamp(1, 21, [(there, 1111), (host, 0)]),
            ]),
        )

    def malformed_options(self):
        for name, octets in (
            ("an unknown option of length 0", "5e00 0000"),
            ("an unknown option of length 1", "5e01 0000"),
            ("an option that runs over the header", "5e09 0000"),
            ("an option without a length", "0101 015e"),
            ("a source route of length 2", "8302 0000"),
            ("a source route that points before its data", "8307 03 c0000201 00"),
            ("a source route that points between hops", "830b 06 c0000201 c0000202 00"),
            ("a source route with half a hop", "8305 06 c000 000000"),
            ("two source routes", "830708 c000020b 01 830708 c000020c 00"),
            ("a strict source route of length 0", "8900 04 00"),
            ("a recorded route of length 2", "0702 0000"),
            ("a recorded route that points before its data", "0707 00 00000000 00"),
            ("a recorded route that points between hops", "070b 05 c0000201 00000000 00"),
            ("a recorded route with half a hop", "0709 04 00000000 0000 000000"),
            ("timestamps of length 3", "4403 0500"),
            ("timestamps that point before their data", "4408 0400 00000000"),
            ("timestamps that point between entries", "440c 0700 00000000 00000000"),
            ("timestamps with addresses that point between entries", "440c 0901 00000000 00000000"),
            ("timestamps of an unknown kind", "4408 0502 00000000"),
            ("timestamps with half an entry", "4406 0500 0000 0000"),
        ):
            request = self.ip(options=[Raw(bytes.fromhex(octets))])
            self.table.silent(name, request, "bad_option", tun="same" if name in LEFT_TO_US else KEPT_BY_THE_HOST)

    def icmp(self):
        safe = self.setting.icmp == "safe"
        silent, ip = self.table.silent, self.ip
        me, there = self.me, self.echo_address
        router = self.hops[0]

        def error(kind, code, quoted, source=router):
            return ip(ICMP(type=kind, code=code) / Raw(bytes(quoted)), src=source)

        def quote(source, destination, **fields):
            return IP(src=source, dst=destination, id=7, ttl=60, **fields) / UDP(sport=1, dport=2) / Raw(b"quoted")

        def echo_if_safe(name, request, **changes):
            if safe:
                self.table.echo(name, request, **changes)
            else:
                silent(name, request, "icmp")

        def passed_on(request, inner):
            """The same error, as if the datagram in it had gone from its destination to its source."""
            payload = bytes(request)[20:28] + bytes(inner)
            return dict(dst=me, payload=payload)

        echo_if_safe("an error whose quoted datagram was sent to its sender", error(3, 3, quote(there, me), source=me))
        silent("an error about a datagram to somebody else", error(3, 1, quote(there, me)), "icmp")
        silent("time exceeded on the way back", error(11, 0, quote(there, me)), "icmp")
        silent("an ICMP echo request", ip(ICMP(type=8) / Raw(b"ping")), "icmp")
        silent("an ICMP echo reply", ip(ICMP(type=0) / Raw(b"pong")), "icmp")
        for name, kind, code in (("too big", 3, 4), ("source quench", 4, 0)):
            request = error(kind, code, quote(there, me))
            echo_if_safe(f"{name}, passed on", request, **passed_on(request, quote(me, there)))
            silent(f"{name}, about a datagram that was not ours", error(kind, code, quote(self.hops[1], me)), "icmp")
            silent(f"{name}, about a datagram to ourselves", error(kind, code, quote(there, there)), "icmp")
            silent(f"{name}, about a datagram to everybody", error(kind, code, quote(there, "255.255.255.255")), "icmp")
            wrong = error(kind, code, quote(there, me))
            wrong[ICMP].chksum = 0x1234
            silent(f"{name}, with a wrong checksum", wrong, "bad_checksum" if safe else "icmp")
            silent(f"{name}, about half a header", error(kind, code, bytes(quote(there, me))[:12]), "icmp")

    def frames(self):
        """What only a host that sees frames can get wrong."""
        silent, ip, ether = self.table.silent, self.ip, self.table.ether
        silent("in a frame to everybody", ip(), "not_unicast", ether=ether(dst=BROADCAST))
        silent("in a frame to a group", ip(), "not_unicast", ether=ether(dst="01:00:5e:00:00:01"))
        silent("in a frame to another station", ip(), None, ether=ether(dst="02:00:00:00:99:99"))
        silent("in a frame of another network (VLAN 7)", ip(), None, ether=ether() / Dot1Q(vlan=7))
        silent("to an address that is not served", ip(dst=self.setting.host4), None)
        self.ask_for(self.echo_address, answered=True)
        self.ask_for(self.other_echo_address, answered=True)
        self.ask_for(self.echo_address.rsplit(".", 1)[0] + ".99", answered=False)

    def ask_for(self, address, answered):
        def judge(packet):
            got = (packet[ARP].op, packet[ARP].hwsrc, packet[ARP].psrc, packet[ARP].hwdst, packet[ARP].pdst)
            wanted = (2, self.setting.host_mac, address, self.setting.mac, self.me)
            return None if got == wanted else f"{got}"

        question = ARP(op=1, hwsrc=self.setting.mac, psrc=self.me, pdst=address)
        frame = self.table.ether(dst=BROADCAST) / question
        self.table.ask(f"who has {address}?", frame, ("arp", address), judge if answered else None)


def timestamp(flags, pointer, entries, overflow=0):
    """The option of RFC 791: entries of (address, time), of a time alone, or empty ones."""
    value = bytes([pointer, overflow << 4 | flags])
    for entry in entries:
        if entry is None:
            value += bytes(8)
        elif isinstance(entry, tuple):
            address, time = entry
            value += bytes(int(octet) for octet in address.split(".")) + time.to_bytes(4, "big")
        else:
            value += entry.to_bytes(4, "big")
    return IPOption(copy_flag=0, optclass=2, option=4, length=2 + len(value), value=value)
