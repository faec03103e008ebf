"""mdns.py DEVICE ADDRESS NAME: asks the group for a name's IPv4 address, and prints it."""
import socket
import struct
import sys

GROUP, PORT = "224.0.0.251", 5353
A, IN = 1, 1


def skip_name(message, at):
    while message[at]:
        if message[at] >= 192:
            return at + 2
        at += 1 + message[at]
    return at + 1


def addresses(message):
    """The IPv4 addresses among the answers."""
    questions, answers = struct.unpack(">HH", message[4:8])
    at = 12
    for _ in range(questions):
        at = skip_name(message, at) + 4
    for _ in range(answers):
        at = skip_name(message, at)
        kind, _, _, length = struct.unpack(">HHIH", message[at:at + 10])
        at += 10
        if kind == A:
            yield socket.inet_ntoa(message[at:at + length])
        at += length


def main():
    device, address, name = sys.argv[1:]
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton(address))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    s.bind(("", PORT))
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack(">HHHHHH", 0, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", A, IN)
    s.settimeout(1)
    for _ in range(20):
        s.sendto(query, (GROUP, PORT))
        try:
            while True:
                message = s.recv(9000)
                if message[2] & 0x80:
                    for found in addresses(message):
                        print(found)
                        return
        except TimeoutError:
            pass
    sys.exit("no answer")


main()
