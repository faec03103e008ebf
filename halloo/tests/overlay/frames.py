"""Frames of any bytes from and to one device.

  frames.py send DEVICE     each line of standard input is a frame in hexadecimal digits
  frames.py receive DEVICE SOURCE
                            prints `listening`, then each frame from that source address that arrives, its VLAN tag put back
"""
import socket
import struct
import sys

PACKET_AUXDATA = 8
SOL_PACKET = 263
PACKET_OUTGOING = 4
TP_STATUS_VLAN_VALID = 1 << 4
TP_STATUS_VLAN_TPID_VALID = 1 << 6
RCVBUFFORCE = 33
ALL = 3


def opened(device):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    s.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, 16 << 20)
    s.bind((device, ALL))
    return s


def with_tag(frame, control):
    """The kernel takes a frame's outer tag off, and tells of it beside."""
    for level, kind, data in control:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", data[:20])
            if status & TP_STATUS_VLAN_VALID:
                tpid = tpid if status & TP_STATUS_VLAN_TPID_VALID else 0x8100
                return frame[:12] + struct.pack(">HH", tpid, tci) + frame[12:]
    return frame


def main():
    what, device = sys.argv[1:3]
    s = opened(device)
    if what == "send":
        for line in sys.stdin:
            s.send(bytes.fromhex(line))
        return
    source = bytes.fromhex(sys.argv[3])
    print("listening", flush=True)
    while True:
        frame, control, _, address = s.recvmsg(1 << 17, 256)
        if address[2] != PACKET_OUTGOING and frame[6:12] == source:
            print(with_tag(frame, control).hex(), flush=True)


main()
