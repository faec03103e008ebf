"""A ping server by python-ndn. Its one argument is in JSON: prefix (with the `ping` component), key, and either transport (a
forwarder's face URI) with form (v1: the older library class and command, v2), or listen (udp or tcp: a port of its own).
Prints `ready`, or `ready PORT`, and serves until it is ended."""

import asyncio
import json
import logging
import sys

from ndn import app as appv1
from ndn import appv2, encoding
from ndn.client_conf import default_face
from ndn.encoding import MetaInfo, make_data
from ndn.security import KeychainDigest
from ndn.transport.stream_face import StreamFace

import keys

SETTING = json.loads(sys.argv[1])
SIGNER = keys.signer(SETTING["key"])
CONTENT = b"b" * SETTING.get("size", 4)
logging.basicConfig(level=logging.WARNING)


def data_for(name):
    return make_data(name, MetaInfo(freshness_period=1000), CONTENT, signer=SIGNER)


def ready(port=""):
    print(f"ready {port}".strip(), flush=True)


def behind_forwarder():
    face = default_face(SETTING["transport"])
    if SETTING["form"] == "v1":
        app = appv1.NDNApp(face=face, keychain=KeychainDigest())

        def answer(name, _parameters, _carried):
            app.put_raw_packet(data_for(name))

    else:
        app = appv2.NDNApp(face=face)

        def answer(name, _carried, reply, _context):
            reply(data_for(name))

    async def register():
        if SETTING["form"] == "v1":
            registered = await app.register(SETTING["prefix"], answer)
        else:
            app.attach_handler(SETTING["prefix"], answer)
            registered = await app.register(SETTING["prefix"])
        if not registered:
            sys.exit("not registered")
        ready()

    app.run_forever(after_start=register())


class Accepted(StreamFace):
    """A connection that a client opened, as the library's own classes drive one that they opened."""

    def __init__(self, reader, writer):
        super().__init__()
        self.reader, self.writer, self.running = reader, writer, True

    async def open(self):
        """It is open."""

    def isLocalFace(self):
        return True


async def listen_tcp():
    async def accepted(reader, writer):
        app = appv2.NDNApp(face=Accepted(reader, writer))
        app.attach_handler(SETTING["prefix"], lambda name, _carried, reply, _context: reply(data_for(name)))
        await app.face.run()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    ready(server.sockets[0].getsockname()[1])
    await server.serve_forever()


class Datagrams(asyncio.DatagramProtocol):
    """The library has no socket that waits for strangers; packets are read and written by its codec all the same."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, wire, remote):
        token = None
        if encoding.parse_tl_num(wire)[0] == encoding.LpTypeNumber.LP_PACKET:
            header = encoding.parse_lp_packet_v2(wire)
            token, wire = header.pit_token, header.fragment
        name, _, _, _ = encoding.parse_interest(wire)
        if not encoding.Name.is_prefix(SETTING["prefix"], name):
            return
        data = data_for(name)
        if token is not None:
            outer = encoding.ndnlp_v2.LpPacket()
            outer.lp_packet = encoding.ndnlp_v2.LpPacketValue()
            outer.lp_packet.pit_token, outer.lp_packet.fragment = token, data
            data = outer.encode()
        self.transport.sendto(data, remote)


async def listen_udp():
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    ready(transport.get_extra_info("sockname")[1])
    await asyncio.Event().wait()


match SETTING.get("listen"):
    case "tcp":
        asyncio.run(listen_tcp())
    case "udp":
        asyncio.run(listen_udp())
    case _:
        behind_forwarder()
