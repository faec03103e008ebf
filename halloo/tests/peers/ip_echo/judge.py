"""Plays every row of the rules of an IP echo host (RFC 2075), and judges what comes back.

The rules stand in rules4.py and rules6.py, written down from RFC 2075 and not from halloo. Requests are made, and
answers read, by scapy. The one argument is an object in JSON, see Setting. When every row has been sent a line
"sent" is printed; when standard input ends, the echo host is known to be silent for good, and the verdicts follow,
a line for each row and an object in JSON at the end.
"""

import json
import select
import socket
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6ND_NA, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

import rules4
import rules6

ETH_P_ALL = 3
PACKET_OUTGOING = 4
PARAMETER_PROBLEM = 12
# Longer than all answers together take anywhere, so that a hang ends with a verdict.
PATIENCE = 20


@dataclass
class Setting:
    """Where the rows are played."""

    device: str  # ours, towards the echo host
    mac: str  # ours
    host_mac: str  # of the echo host's interface
    host4: str  # the host's own addresses, which are no echo addresses
    host6: str
    broadcast4: str  # of the network that joins the two
    echo4: list  # the echo addresses
    echo6: list
    me4: str  # a network of documentation that the host routes to us: /24 and /64
    me6: str
    path: str  # "wire": Ethernet frames in, frames out; "tun": through a forwarding host
    icmp: str  # "discard" or "safe"

    @property
    def hops(self):
        """How much of its TTL a datagram loses between our sending and our receiving it."""
        return 1 if self.path == "wire" else 3


@dataclass
class Row:
    """One request, and what must become of it."""

    name: str
    frame: bytes
    key: tuple
    # What must come back: bytes of IP, or fields of an ARP or ND packet; nothing at all if None.
    answer: object = None
    # Where the answer's bytes are not ours to foretell: (start, length).
    unknown: list = field(default_factory=list)
    # The counter that must count its silence; None where the echo host never gets to see it.
    reason: str = None
    # Whether the echo host counts an answer, though none arrives.
    lost: bool = False


class Table:
    """Rows in the order in which they are played."""

    def __init__(self, setting):
        self.setting = setting
        self.rows = []

    def key(self):
        """A number that no other row has: an IPv4 identification or an IPv6 flow label."""
        return 0x4000 + len(self.rows)

    def ether(self, **fields):
        return Ether(**{"src": self.setting.mac, "dst": self.setting.host_mac} | fields)

    def echo(self, name, request, tun=None, tun_unknown=(), unknown=(), padding=b"", **changes):
        """A row that is turned round: the addresses change places, the TTL shrinks, and `changes` are made beside.

        Through a forwarding host `tun` are changes on top of them.
        """
        through_tun = self.setting.path == "tun"
        if through_tun:
            changes |= tun or {}
            unknown = [*unknown, *tun_unknown]
        answer = turned(request, self.setting.hops, changes)
        self.add(name, request, padding=padding, answer=answer, unknown=list(unknown))

    def silent(self, name, request, reason, tun="same", ether=None, lost=False):
        """A row that is not answered, and counted as `reason`; through a forwarding host as `tun`, None if the
        host's own stack keeps it."""
        if self.setting.path == "tun" and tun != "same":
            reason = tun
        self.add(name, request, ether, reason=reason, lost=lost)

    def add(self, name, request, ether=None, padding=b"", **rest):
        frame = bytes((ether or self.ether()) / request) + padding
        key = ("4", request.id) if isinstance(request, IP) else ("6", request.fl)
        self.rows.append(Row(name, frame, key, **rest))

    def ask(self, name, frame, key, judge):
        """A question for the place of an address; `judge` tells what is wrong with the answer, None: no answer."""
        self.rows.append(Row(name, bytes(frame), key, answer=judge))


def turned(request, hops, changes):
    """The answer that RFC 2075 asks for: a header made anew by scapy, and what is behind it as it was."""
    changes = {"src": request.dst, "dst": request.src} | changes
    whole = bytes(request)
    if isinstance(request, IP):
        behind = changes.pop("payload", whole[4 * (whole[0] & 15) :])
        changes = {"ttl": request.ttl - hops, "proto": whole[9], "chksum": None} | changes
    else:
        behind = whole[40:]
        changes = {"hlim": request.hlim - hops, "nh": whole[6]} | changes
    head = request.copy()
    head.remove_payload()
    for name, value in changes.items():
        setattr(head, name, value)
    return bytes(head / Raw(behind))


class Wire:
    """The device: all that is sent to it, and all that comes from it."""

    def __init__(self, setting):
        self.setting = setting
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.bind((setting.device, ETH_P_ALL))
        self.heard = defaultdict(list)
        self.patience_ends = time.monotonic() + PATIENCE

    def send(self, frame):
        self.socket.send(frame)

    def hear(self, seconds):
        """Takes in what has come, or the first that comes within so many seconds. Whether there was anything."""
        if not select.select([self.socket], [], [], seconds)[0]:
            return False
        frame, address = self.socket.recvfrom(1 << 16)
        if address[2] != PACKET_OUTGOING and not self.is_talk_of_the_host(frame):
            self.heard[key_of(frame)].append(frame)
        return True

    def wait_for(self, key):
        while key not in self.heard and (rest := self.patience_ends - time.monotonic()) > 0:
            self.hear(rest)

    def is_talk_of_the_host(self, frame):
        """What the host's own stack says: its questions for neighbours and its reports of groups, always; its errors,
        where it forwards. Elsewhere it has nothing to say about datagrams that are not for it, but that it cannot read
        their options."""
        packet = Ether(frame).payload
        if isinstance(packet, ARP):
            return packet.op == 1
        errors = self.setting.path == "tun"
        if isinstance(packet, IP):
            about_options = isinstance(packet.payload, ICMP) and packet.payload.type == PARAMETER_PROBLEM
            return packet.src == self.setting.host4 and (errors or about_options)
        if isinstance(packet, IPv6) and not isinstance(packet.payload, ICMPv6ND_NA):
            return packet.src.startswith("fe80:") or packet.src == "::" or (errors and packet.src == self.setting.host6)
        return False


def key_of(frame):
    packet = Ether(frame).payload
    if isinstance(packet, ARP):
        return ("arp", packet.psrc)
    if isinstance(packet, IP):
        return ("4", packet.id)
    if isinstance(packet, IPv6):
        advertisement = packet.payload
        return ("nd", advertisement.tgt) if isinstance(advertisement, ICMPv6ND_NA) else ("6", packet.fl)
    return ("?", frame)


def verdict(setting, row, frames):
    """What is wrong with the answers to a row; None if nothing is."""
    if row.answer is None:
        return f"answered: {describe(frames[0])}" if frames else None
    if len(frames) != 1:
        return f"{len(frames)} answers"
    frame = frames[0]
    packet = Ether(frame)
    if (packet.src, packet.dst) != (setting.host_mac, setting.mac):
        return f"the frame goes from {packet.src} to {packet.dst}"
    if len(frame) > len(row.frame):
        return f"{len(row.frame)} bytes were answered with {len(frame)}"
    if callable(row.answer):
        return row.answer(packet)
    heard = frame[14 : 14 + len(row.answer)]
    if isinstance(packet.payload, IP) and not is_whole(packet.payload):
        return f"bad header checksum: {describe(frame)}"
    wanted, got = bytearray(row.answer), bytearray(heard)
    # What is not known is in the header checksum too, which was looked at above.
    for start, length in [(10, 2), *row.unknown] if row.unknown else []:
        wanted[start : start + length] = got[start : start + length] = bytes(length)
    if wanted != got:
        return f"\n  wanted {row.answer.hex()}\n  got    {heard.hex()}\n  that is {describe(frame)}"
    return None


def is_whole(header):
    """Whether scapy would compute the same checksum."""
    again = header.copy()
    again.chksum = None
    return IP(bytes(again)).chksum == header.chksum


def describe(frame):
    return Ether(frame).command()


def main():
    setting = Setting(**json.loads(sys.argv[1]))
    table = Table(setting)
    rules4.fill(table)
    rules6.fill(table)
    rules4.end(table)
    keys = Counter(row.key for row in table.rows)
    assert max(keys.values()) == 1, f"rows that cannot be told apart: {keys.most_common(3)}"

    wire = Wire(setting)
    for row in table.rows:
        wire.send(row.frame)
        if row.answer is not None:
            wire.wait_for(row.key)
    print("sent", flush=True)
    sys.stdin.read()
    while wire.hear(0):
        pass

    failed = 0
    for row in table.rows:
        wrong = verdict(setting, row, wire.heard.pop(row.key, []))
        outcome = "turned round" if row.answer is not None else f"silence ({row.reason or 'of the host'})"
        print(f"{'ok  ' if wrong is None else 'FAIL'} {row.name}: {outcome if wrong is None else wrong}")
        failed += wrong is not None
    for key, frames in wire.heard.items():
        print(f"FAIL {key}: {len(frames)} frames that answer nothing: {describe(frames[0])}")
        failed += 1
    reasons = Counter(row.reason for row in table.rows if row.reason is not None)
    echoed = sum(row.lost or isinstance(row.answer, bytes) for row in table.rows)
    print(json.dumps({"rows": len(table.rows), "failed": failed, "echoed": echoed, "reasons": reasons}))


if __name__ == "__main__":
    main()
