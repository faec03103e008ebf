"""Asks a ping server by python-ndn: as many probes as wanted, each answer checked. Its one argument is in JSON:
transport (a face URI), prefix (with the `ping` component), start, count, key."""

import asyncio
import json
import logging
import sys

from ndn import appv2, encoding
from ndn.client_conf import default_face
from ndn.types import InterestNack, InterestTimeout, ValidationFailure, ValidResult

import keys

SETTING = json.loads(sys.argv[1])
logging.basicConfig(level=logging.WARNING)


async def validate(name, signature, _context):
    right = await keys.verified(SETTING["key"], name, signature)
    return ValidResult.PASS if right else ValidResult.FAIL


async def main(app):
    for number in range(SETTING["start"], SETTING["start"] + SETTING["count"]):
        name = encoding.Name.from_str(f"{SETTING['prefix']}/{number}")
        try:
            answered, content, _ = await app.express(name, validate, must_be_fresh=True, lifetime=4000)
            right = encoding.Name.to_bytes(answered) == encoding.Name.to_bytes(name)
            print(f"{'content' if right else 'WRONG NAME'} {number} {len(content or b'')}", flush=True)
        except InterestNack as nack:
            print(f"nack {number} {nack.reason}", flush=True)
        except InterestTimeout:
            print(f"timeout {number}", flush=True)
        except ValidationFailure:
            print(f"unverified {number}", flush=True)
    app.shutdown()


app = appv2.NDNApp(face=default_face(SETTING["transport"]))
app.run_forever(after_start=main(app))
