"""Reads the examples of docs/wire/overlay.md with an implementation that shares nothing with halloo's.

Run by hand: python3 overlay/tests/examples.py (Python 3.11, `cryptography` 48 or newer from PyPI). It stops at the first
octet that is not as the page says.
"""

import hashlib
import hmac
import pathlib
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def examples():
    page = (pathlib.Path(__file__).parents[2] / "docs/wire/overlay.md").read_text()
    values, name = {}, None
    for block in page.split("## Examples")[1].split("```")[1::2]:
        for line in filter(str.strip, block.splitlines()):
            if line[0] != " ":
                name, line = line.split(None, 1)
            values[name] = values.get(name, "") + line.strip()
    return {name: bytes.fromhex(value) for name, value in values.items()}


def blake(*parts, size=32, key=b""):
    return hashlib.blake2s(b"".join(parts), digest_size=size, key=key).digest()


def hkdf(secret, info, length=32):
    return HKDF(hashes.SHA256(), length, None, info).derive(secret)


def public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def dh(secret, key):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(key))


class Noise:
    """Sections 5.1 and 5.2 of the Noise framework, revision 34, for one handshake."""

    def __init__(self, name, prologue):
        self.h = self.ck = blake(name)
        self.k, self.n = None, 0
        self.mix_hash(prologue)

    def mix_hash(self, data):
        self.h = blake(self.h, data)

    def _hkdf(self, data, outputs):
        mac = lambda key, text: hmac.new(key, text, hashlib.blake2s).digest()
        temp, last, out = mac(self.ck, data), b"", []
        for n in range(outputs):
            last = mac(temp, last + bytes([n + 1]))
            out.append(last)
        return out

    def mix_key(self, data):
        self.ck, self.k = self._hkdf(data, 2)
        self.n = 0

    def mix_key_and_hash(self, data):
        self.ck, temp, self.k = self._hkdf(data, 3)
        self.mix_hash(temp)
        self.n = 0

    def open(self, sealed):
        text = ChaCha20Poly1305(self.k).decrypt(bytes(4) + struct.pack("<Q", self.n), sealed, self.h)
        self.n += 1
        self.mix_hash(sealed)
        return text

    def split(self):
        return self._hkdf(b"", 2)


def tlvs(payload):
    while payload:
        kind, length = struct.unpack("!BH", payload[:3])
        assert len(payload) >= 3 + length
        yield kind, payload[3 : 3 + length]
        payload = payload[3 + length :]


def main():
    page = examples()

    # The community.
    salt = blake(b"halloo overlay 1", b"garden", size=16)
    argon = Argon2id(salt=salt, length=32, iterations=3, lanes=1, memory_cost=65536)
    master = argon.derive(b"correct horse battery staple")
    psk, community = page["psk"], page["community"]
    assert psk == hkdf(master, b"halloo overlay psk")
    assert community == hkdf(master, b"halloo overlay community", 16)
    assert page["tag"] == blake(b"garden", size=8)

    # Who is who.
    north, south = b"\x11" * 32, b"\x22" * 32
    assert page["north"] == public(north) and page["south"] == public(south)
    assert page["north-id"] == blake(public(north))[:8]

    # The initiation, as south reads it.
    initiation = page["initiation"]
    assert len(initiation) == 400 and initiation[:8] == bytes.fromhex("a201000001020304")
    mac1_key = blake(b"mac1", public(south), psk)
    assert initiation[-32:-16] == blake(initiation[:-32], size=16, key=mac1_key)
    assert initiation[-16:] == bytes(16)
    noise = Noise(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s", b"halloo overlay 1e" + community)
    noise.mix_hash(public(south))
    message = initiation[8:-32]
    e = message[:32]
    assert e == public(b"\x33" * 32)
    noise.mix_hash(e)
    noise.mix_key(e)
    noise.mix_key(dh(south, e))
    s = noise.open(message[32:80])
    assert s == public(north)
    noise.mix_key(dh(south, s))
    said = dict(tlvs(noise.open(message[80:])))
    padding = said.pop(255)
    assert padding == bytes(len(padding))
    assert said == {
        1: struct.pack("!Q", 1_800_000_000_000_000_000),
        3: bytes([3, 4]),
        4: bytes([1, 0]),
        5: struct.pack("!H", 1518),
        128: b"north",
        130: struct.pack("!I", 1),
    }

    # The cookie, and what it makes of the initiation.
    cookie = page["cookie"]
    address = bytes.fromhex("00000000000000000000ffffc0000201") + struct.pack("!H", 7654)
    value = blake(address, size=16, key=b"\x55" * 32)
    assert cookie[:40] == bytes.fromhex("a401000001020304") + initiation[-32:-16] + value
    assert cookie[40:] == blake(cookie[:40], size=16, key=mac1_key)
    assert page["mac2"] == blake(initiation[:-16], size=16, key=value)

    # The response, as north reads it.
    response = page["response"]
    assert response[:12] == bytes.fromhex("a30100000506070801020304")
    assert response[-16:] == blake(response[:-16], size=16, key=blake(b"mac1", public(north), psk))
    message = response[12:-16]
    e = message[:32]
    assert e == public(b"\x44" * 32)
    noise.mix_hash(e)
    noise.mix_key(e)
    noise.mix_key(dh(b"\x33" * 32, e))
    noise.mix_key(dh(north, e))
    noise.mix_key_and_hash(psk)
    assert dict(tlvs(noise.open(message[32:]))) == {
        6: b"\0",
        7: b"\3",
        8: b"\1",
        5: struct.pack("!H", 1518),
        128: b"south",
        129: address,
        130: struct.pack("!I", 1),
    }
    there, _ = noise.split()

    # Data, by the session and by each cipher.
    def aead(cipher, secret):
        size = 16 if cipher == 2 else 32
        key = hkdf(secret, b"halloo overlay data" + bytes([cipher]), size)
        return (ChaCha20Poly1305 if cipher == 4 else AESGCM)(key)

    def opened(datagram, cipher):
        header, sealed = datagram[:16], datagram[16:]
        nonce = bytes(3) + header[1:2] + header[8:16]
        return cipher.decrypt(nonce, sealed, header)

    assert opened(page["data"], aead(3, there)) == b"\0"
    secret = b"\x77" * 32
    for name, cipher, flags in [("aes-128-gcm", 2, 0), ("aes-256-gcm", 3, 0), ("chacha20-poly1305", 4, 0)]:
        datagram = page["data-" + name]
        assert datagram[:16] == bytes.fromhex("a5020000050607080000000000000001")
        assert opened(datagram, aead(cipher, secret)) == b"\x01abc"
    datagram = page["data-mac"]
    nonce = bytes(3) + datagram[1:2] + datagram[8:16]
    assert datagram[16:20] == b"\x01abc" and datagram[2:4] == b"\0\4"
    assert aead(1, secret).decrypt(nonce, datagram[20:], datagram[:20]) == b""
    assert page["data-none"] == bytes.fromhex("a5020002050607080000000000000001") + b"\x01abc"
    control = ChaCha20Poly1305(hkdf(secret, b"halloo overlay control"))
    assert page["control-none"][2:4] == b"\0\1" and opened(page["control-none"], control) == b"\x04abc"

    # What the authority signed.
    authority = Ed25519PrivateKey.from_private_bytes(b"\x88" * 32).public_key()
    octets = authority.public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert page["authority"] == octets
    checker = Ed25519PublicKey.from_public_bytes(octets)
    certificate, revocation = page["certificate"], page["revocation"]
    checker.verify(certificate[-64:], b"halloo overlay certificate 1" + certificate[:-64])
    checker.verify(revocation[-64:], b"halloo overlay revocation 1" + revocation[:-64])
    assert certificate[:2] == revocation[:2] == b"\1\0"
    number = struct.Struct("!Q").pack
    assert dict(tlvs(certificate[2:-64])) == {
        1: public(north),
        2: b"north",
        3: page["tag"],
        4: bytes.fromhex("020000000001"),
        5: bytes.fromhex("00000000000000000000ffffc0a8010218"),
        6: b"\6office",
        7: number(1_800_000_000),
        8: number(1_831_536_000),
        9: number(1),
        10: blake(octets)[:8],
    }
    assert dict(tlvs(revocation[2:-64])) == {
        10: blake(octets)[:8],
        11: number(1_800_000_000),
        12: number(2) + number(3),
    }
    print("every example is as the page says")


main()
