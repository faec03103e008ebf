"""python-ndn reads and writes packets for halloo's tests: a question in JSON on each line, its answer on the next.

{"make": PACKET} gives {"wire": HEX}; {"read": HEX, "key": KEY} gives {"packet": PACKET, "verified": BOOL}; what cannot be
read gives {"error": TEXT}. PACKET is what the test's own table calls a packet; what is absent has the value that it means
there, such as a lifetime of 4000.
"""

import asyncio
import json
import sys

from ndn.encoding import (
    Component,
    InterestParam,
    MetaInfo,
    Name,
    make_data,
    make_interest,
    parse_data,
    parse_interest,
    parse_tl_num,
)
from ndn.encoding.ndnlp_v2 import LpPacket, LpPacketValue, NetworkNack, parse_lp_packet_v2
from ndn.security.validator.digest_validator import params_sha256_checker

import keys

INTEREST, DATA, LP_PACKET = 5, 6, 100


def name_of(components):
    return [bytearray.fromhex(component) for component in components]


def hex_of(name):
    return [bytes(component).hex() for component in name]


def make(packet):
    match packet["kind"]:
        case "interest":
            parameters = InterestParam(
                can_be_prefix=packet["can_be_prefix"],
                must_be_fresh=packet["must_be_fresh"],
                nonce=int(packet["nonce"], 16),
                lifetime=packet["lifetime"],
                hop_limit=packet["hop_limit"],
                forwarding_hint=[name_of(hint) for hint in packet["hint"]],
            )
            carried = packet["parameters"]
            return make_interest(
                name_of(packet["name"]),
                parameters,
                None if carried is None else bytes.fromhex(carried),
                packet["key"] and keys.signer(packet["key"], for_interest=True),
            )
        case "data":
            last = packet["final_block"]
            meta = MetaInfo(packet["content_type"], packet["freshness"], last and bytes.fromhex(last))
            content = bytes.fromhex(packet["content"])
            return make_data(name_of(packet["name"]), meta, content, keys.signer(packet["key"]))
        case "lp":
            outer = LpPacket()
            outer.lp_packet = value = LpPacketValue()
            value.pit_token = packet["token"] and bytes.fromhex(packet["token"])
            value.congestion_mark = packet["mark"] or None
            if packet["nack"] is not None:
                value.nack = NetworkNack()
                value.nack.nack_reason = packet["nack"]
            value.fragment = bytes.fromhex(packet["fragment"])
            return outer.encode()


async def read(wire, key):
    kind, _ = parse_tl_num(wire)
    if kind == LP_PACKET:
        value = parse_lp_packet_v2(wire)
        return {
            "packet": {
                "kind": "lp",
                "token": value.pit_token and bytes(value.pit_token).hex(),
                "mark": value.congestion_mark or 0,
                "nack": value.nack and value.nack.nack_reason,
                "fragment": bytes(value.fragment).hex(),
            }
        }
    if kind == INTEREST:
        name, parameters, carried, signature = parse_interest(wire)
        if carried is not None:
            if not await params_sha256_checker(name, signature):
                raise ValueError("the parameters' digest is wrong")
            name = [component for component in name if Component.get_type(component) != 2]
        packet = {
            "kind": "interest",
            "name": hex_of(name),
            "can_be_prefix": parameters.can_be_prefix,
            "must_be_fresh": parameters.must_be_fresh,
            "nonce": f"{parameters.nonce:08x}",
            "lifetime": 4000 if parameters.lifetime is None else parameters.lifetime,
            "hop_limit": 255 if parameters.hop_limit is None else parameters.hop_limit,
            "hint": [hex_of(hint) for hint in parameters.forwarding_hint],
            "parameters": None if carried is None else bytes(carried).hex(),
        }
    elif kind == DATA:
        name, meta, content, signature = parse_data(wire)
        packet = {
            "kind": "data",
            "name": hex_of(name),
            "content_type": meta.content_type or 0,
            "freshness": meta.freshness_period or 0,
            "final_block": meta.final_block_id and bytes(meta.final_block_id).hex(),
            "content": bytes(content or b"").hex(),
        }
    else:
        raise ValueError(f"type {kind}")
    verified = await keys.verified(key, name, signature) if key else None
    return {"packet": packet | {"key": key}, "verified": verified}


async def answer(question):
    try:
        if "make" in question:
            return {"wire": bytes(make(question["make"])).hex()}
        return await read(bytes.fromhex(question["read"]), question.get("key"))
    except Exception as error:  # whatever it is, the test tells it
        return {"error": f"{type(error).__name__}: {error}"}


for line in sys.stdin:
    print(json.dumps(asyncio.run(answer(json.loads(line)))), flush=True)
