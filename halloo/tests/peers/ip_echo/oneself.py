"""A conversation with oneself through an IP echo host, over the kernel's own TCP and UDP.

usage: oneself.py tcp|udp OUR_ADDRESS ECHO_ADDRESS BYTES

Both ends have the same port. For TCP the echo host makes our SYN the other side's: a simultaneous open (RFC 9293
section 3.5), after which all that is written can be read. For UDP the bytes go in datagrams of 8,000 bytes, one in
flight, which the kernel cuts into fragments and puts together again. Prints how many bytes came back as they went.
"""

import hashlib
import random
import socket
import sys
import threading

PORT = 40007
CHUNK = 1 << 20
DATAGRAM = 8000
# Longer than anything takes here, so that a hang ends.
PATIENCE = 60


def open_socket(kind, ours, echo):
    family = socket.AF_INET6 if ":" in ours else socket.AF_INET
    conversation = socket.socket(family, kind)
    conversation.settimeout(PATIENCE)
    conversation.bind((ours, PORT))
    conversation.connect((echo, PORT))
    return conversation


def chunks(total, size):
    """The same bytes in every call."""
    source = random.Random(2075)
    for start in range(0, total, size):
        yield source.randbytes(min(size, total - start))


def over_tcp(ours, echo, total):
    conversation = open_socket(socket.SOCK_STREAM, ours, echo)
    written = hashlib.sha256()

    def write():
        for chunk in chunks(total, CHUNK):
            written.update(chunk)
            conversation.sendall(chunk)
        conversation.shutdown(socket.SHUT_WR)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    read, count = hashlib.sha256(), 0
    while chunk := conversation.recv(CHUNK):
        read.update(chunk)
        count += len(chunk)
    writer.join()
    assert read.digest() == written.digest(), f"{count} of {total} bytes came back, and not as they were"
    return count


def over_udp(ours, echo, total):
    conversation = open_socket(socket.SOCK_DGRAM, ours, echo)
    for chunk in chunks(total, DATAGRAM):
        conversation.send(chunk)
        assert conversation.recv(1 << 16) == chunk, "a datagram came back changed"
    return total


def main():
    protocol, ours, echo, total = sys.argv[1:]
    talk = {"tcp": over_tcp, "udp": over_udp}[protocol]
    print(f"{talk(ours, echo, int(total))} bytes came back as they went")


if __name__ == "__main__":
    main()
