"""aioquic as a client and as a server of echo and of HTTP/3. What it saw is one JSON object on standard output."""

import asyncio
import datetime
import ipaddress
import json
import os
import ssl
import sys
import tempfile

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, DatagramFrameReceived, StreamDataReceived, StreamReset


class Client(QuicConnectionProtocol):
    """Hands over what comes in DATAGRAM frames and how the connection ended, and speaks HTTP/3 if that was agreed on."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.frames = asyncio.Queue()
        self.ended = asyncio.get_running_loop().create_future()
        self.http = None
        self.answers = {}

    def quic_event_received(self, event):
        if isinstance(event, DatagramFrameReceived):
            self.frames.put_nowait(event.data)
        if isinstance(event, ConnectionTerminated) and not self.ended.done():
            self.ended.set_result(event)
        if isinstance(event, StreamReset) and not self.answers[event.stream_id]["done"].done():
            self.answers[event.stream_id]["done"].set_result(None)
        if self.http is None:
            return super().quic_event_received(event)
        for event in self.http.handle_event(event):
            if not isinstance(event, (HeadersReceived, DataReceived)):
                continue
            answer = self.answers[event.stream_id]
            if isinstance(event, HeadersReceived):
                fields = ((name.decode(), value.decode()) for name, value in event.headers)
                answer["headers"].update(fields)
            else:
                answer["body"] += event.data
            if event.stream_ended and not answer["done"].done():
                answer["done"].set_result(None)

    def ask(self, method, path, body=b"", more=()):
        """Begins a request; its answer is complete when `done` is."""
        if self.http is None:
            self.http = H3Connection(self._quic)
        stream = self._quic.get_next_available_stream_id()
        done = asyncio.get_running_loop().create_future()
        answer = {"headers": {}, "body": b"", "done": done}
        self.answers[stream] = answer
        fields = [
            (b":method", method.encode()),
            (b":scheme", b"https"),
            (b":authority", b"halloo.example"),
            (b":path", path.encode()),
            *more,
        ]
        self.http.send_headers(stream, fields, end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        return answer


def configuration(alpn, **more):
    return QuicConfiguration(
        is_client=True,
        alpn_protocols=[alpn],
        verify_mode=ssl.CERT_NONE,
        max_datagram_frame_size=65535,
        **more,
    )


async def echoed(client, size):
    """Whether so many bytes come back on a stream as they were."""
    sent = bytes(place * 7 % 251 for place in range(size))
    reader, writer = await client.create_stream()
    writer.write(sent)
    writer.write_eof()
    return await reader.read() == sent


def was_retried(client):
    return client._quic._retry_source_connection_id is not None


async def stream(host, port):
    async with connect(host, port, configuration=configuration("echo"), create_protocol=Client) as client:
        return {"echoed": await echoed(client, 1 << 20), "retried": was_retried(client)}


async def retried(host, port):
    """A hundred and twenty-eight connections, half of what one source may have, and one more."""
    held = [connect(host, port, configuration=configuration("echo")) for _ in range(128)]
    for connection in held:
        # Left open: to close them all, one after another, takes longer than everything else.
        await connection.__aenter__()
    return await stream(host, port)


async def datagram(host, port):
    async with connect(host, port, configuration=configuration("echo"), create_protocol=Client) as client:
        sent = [bytes([number]) * 100 for number in range(20)]
        for payload in sent:
            client._quic.send_datagram_frame(payload)
            client.transmit()
        return {"echoed": sorted([await client.frames.get() for _ in sent]) == sent}


async def early(host, port):
    """A connection, and another one that asks before its handshake is complete."""
    tickets = asyncio.Queue()
    first = connect(
        host,
        port,
        configuration=configuration("echo"),
        create_protocol=Client,
        session_ticket_handler=tickets.put_nowait,
    )
    async with first as client:
        await echoed(client, 10)
        ticket = await tickets.get()
    second = configuration("echo", session_ticket=ticket)
    async with connect(
        host, port, configuration=second, create_protocol=Client, wait_connected=False
    ) as client:
        answered = await echoed(client, 1000)
        return {
            "echoed": answered,
            "resumed": client._quic.tls.session_resumed,
            "accepted": client._quic.tls.early_data_accepted,
        }


async def wrong(host, port):
    """A protocol that nobody speaks."""
    try:
        async with connect(host, port, configuration=configuration("gopher"), create_protocol=Client):
            return {"connected": True}
    except ConnectionError as error:
        return {"connected": False, "error": str(error)}


async def move(host, port):
    """Goes on from another port, first as if a NAT had forgotten it, then with a connection ID of its own."""
    loop = asyncio.get_running_loop()
    async with connect(host, port, configuration=configuration("echo"), create_protocol=Client) as client:
        results = [await echoed(client, 1000)]
        for change in (False, True):
            old = client._transport
            # The protocol takes the new socket for its own when that is up.
            await loop.create_datagram_endpoint(lambda: client, local_addr=("::", 0))
            old.close()
            if change:
                client.change_connection_id()
            results.append(await echoed(client, 100_000))
        return {"echoed": results}


async def http(host, port):
    async with connect(host, port, configuration=configuration("h3"), create_protocol=Client) as client:
        requests = {
            "anything": client.ask("POST", "/anything?a=1", b"x" * 100_000, [(b"content-type", b"text/plain")]),
            "ip": client.ask("GET", "/ip"),
            "status": client.ask("GET", "/status/418"),
            "bytes": client.ask("GET", "/bytes/300000?seed=1"),
            "none": client.ask("GET", "/generate_204"),
            "trace": client.ask("GET", "/cdn-cgi/trace"),
            "ws": client.ask("GET", "/ws"),
            "long": client.ask("POST", "/post", b"x" * ((1 << 20) + 1)),
            "head_too_long": client.ask("GET", "/", more=[(b"x-long", b"x" * 40_000)]),
        }
        told = {}
        for name, answer in requests.items():
            await answer["done"]
            body = answer["body"]
            told[name] = {"headers": answer["headers"], "length": len(body)}
            if len(body) < 200_000:
                told[name]["text"] = body.decode(errors="replace")
        return told


async def unknown(host, port):
    """A head that never ends: what waits is bounded, and the connection goes on."""
    async with connect(host, port, configuration=configuration("h3"), create_protocol=Client) as client:
        client.http = H3Connection(client._quic)
        stream = client._quic.get_next_available_stream_id()
        # A HEADERS frame of 16 MiB, of which more comes than is kept.
        client._quic.send_stream_data(stream, b"\x01\x81\x00\x00\x00" + b"x" * 500_000)
        client.transmit()
        answer = client.ask("GET", "/generate_204")
        await answer["done"]
        return {"status": answer["headers"][":status"]}


async def taken_back(host, port):
    """Late answers that nobody waits for: far more than there may be at once. Then one that is wanted."""
    async with connect(host, port, configuration=configuration("h3"), create_protocol=Client) as client:
        for _ in range(10):
            asked = [client.ask("GET", "/delay/10") for _ in range(10)]
            await client.ping()
            for stream, answer in client.answers.items():
                if answer in asked:
                    client._quic.stop_stream(stream, 0x10C)
            client.transmit()
            for answer in asked:
                await answer["done"]
        answer = client.ask("GET", "/generate_204")
        await answer["done"]
        print(json.dumps({"status": answer["headers"][":status"]}), flush=True)
        # The connection stays: its end would end them all.
        await client.ended


class Echo(QuicConnectionProtocol):
    """Sends back what comes."""

    def quic_event_received(self, event):
        if isinstance(event, StreamDataReceived):
            self._quic.send_stream_data(event.stream_id, event.data, event.end_stream)
        if isinstance(event, DatagramFrameReceived):
            self._quic.send_datagram_frame(event.data)
        self.transmit()


def certificate():
    """A certificate for loopback, and its key, as the files that the library reads."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peer")])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    signed = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return signed.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)


async def server(host, port, *more):
    """Echoes until it is ended; tickets are kept, so that early data is taken."""
    own = QuicConfiguration(is_client=False, alpn_protocols=["echo"], max_datagram_frame_size=65535)
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ("cert", "key")]
        for path, content in zip(files, certificate()):
            with open(path, "wb") as file:
                file.write(content)
        own.load_cert_chain(*files)
    tickets = {}
    await serve(
        host,
        port,
        configuration=own,
        create_protocol=Echo,
        retry="retry" in more,
        session_ticket_handler=lambda ticket: tickets.update({ticket.ticket: ticket}),
        session_ticket_fetcher=lambda label: tickets.pop(label, None),
    )
    print("listening", flush=True)
    await asyncio.get_running_loop().create_future()


def main():
    role, host, port, *more = sys.argv[1:]
    told = asyncio.new_event_loop().run_until_complete(globals()[role](host, int(port), *more))
    print(json.dumps(told), flush=True)
    os._exit(0)


main()
