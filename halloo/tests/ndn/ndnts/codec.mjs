// NDNts reads and writes packets for halloo's tests: a question in JSON on each line, its answer on the next.
//
// {"make": PACKET} gives {"wire": HEX}; {"read": HEX, "key": KEY} gives {"packet": PACKET, "verified": BOOL}; what cannot be
// read gives {"error": TEXT}. PACKET is what the test's own table calls a packet; what is absent has the value that it
// means there, such as a lifetime of 4000.

import { createInterface } from "node:readline";
import { LpPacket } from "@ndn/lp";
import { Component, Data, FwHint, Interest, NackHeader } from "@ndn/packet";
import { Decoder, Encoder } from "@ndn/tlv";

const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex"));
const hex = (octets) => Buffer.from(octets).toString("hex");
const nameOf = (components) => new Name(components.map((component) => new Component(bytes(component))));
const hexOf = (name) => name.comps.map((component) => hex(component.tlv));
const PARAMETERS_DIGEST = 2;
const [INTEREST, DATA, LP_PACKET] = [0x05, 0x06, 0x64];

async function make(packet) {
  if (packet.kind === "lp") {
    const lp = new LpPacket();
    lp.pitToken = packet.token === null ? undefined : bytes(packet.token);
    lp.nack = packet.nack === null ? undefined : new NackHeader(packet.nack);
    lp.congestionMark = packet.mark || undefined;
    lp.payload = bytes(packet.fragment);
    return Encoder.encode(lp);
  }
  if (packet.kind === "data") {
    const data = new Data(nameOf(packet.name), bytes(packet.content));
    data.contentType = packet.content_type;
    data.freshnessPeriod = packet.freshness;
    data.finalBlockId = packet.final_block === null ? undefined : new Component(bytes(packet.final_block));
    const [signer] = await pair(packet.key);
    await signer.sign(data);
    return Encoder.encode(data);
  }
  const interest = new Interest(nameOf(packet.name));
  interest.canBePrefix = packet.can_be_prefix;
  interest.mustBeFresh = packet.must_be_fresh;
  interest.nonce = Number.parseInt(packet.nonce, 16);
  interest.lifetime = packet.lifetime;
  interest.hopLimit = packet.hop_limit;
  interest.fwHint = packet.hint.length > 0 ? new FwHint(packet.hint.map(nameOf)) : undefined;
  interest.appParameters = packet.parameters === null ? undefined : bytes(packet.parameters);
  if (packet.key) {
    const [signer] = await pair(packet.key);
    await signer.sign(interest);
  } else if (packet.parameters !== null) {
    await interest.updateParamsDigest();
  }
  return Encoder.encode(interest);
}

async function isVerified(packet, key) {
  const [, verifier] = await pair(key);
  try {
    await verifier.verify(packet);
    return true;
  } catch {
    return false;
  }
}

async function read(wire, key) {
  const decoder = new Decoder(wire);
  let packet;
  let l3;
  switch (wire[0]) {
    case LP_PACKET: {
      const lp = decoder.decode(LpPacket);
      return {
        packet: {
          kind: "lp",
          token: lp.pitToken ? hex(lp.pitToken) : null,
          mark: lp.congestionMark ?? 0,
          nack: lp.nack ? lp.nack.reason : null,
          fragment: hex(lp.payload),
        },
      };
    }
    case INTEREST: {
      l3 = decoder.decode(Interest);
      let components = l3.name.comps;
      if (l3.appParameters) {
        await l3.validateParamsDigest();
        components = components.filter((component) => component.type !== PARAMETERS_DIGEST);
      }
      packet = {
        kind: "interest",
        name: hexOf({ comps: components }),
        can_be_prefix: l3.canBePrefix,
        must_be_fresh: l3.mustBeFresh,
        nonce: l3.nonce.toString(16).padStart(8, "0"),
        lifetime: l3.lifetime,
        hop_limit: l3.hopLimit,
        hint: (l3.fwHint?.delegations ?? []).map(hexOf),
        parameters: l3.appParameters ? hex(l3.appParameters) : null,
      };
      break;
    }
    case DATA: {
      l3 = decoder.decode(Data);
      packet = {
        kind: "data",
        name: hexOf(l3.name),
        content_type: l3.contentType,
        freshness: l3.freshnessPeriod,
        final_block: l3.finalBlockId ? hex(l3.finalBlockId.tlv) : null,
        content: hex(l3.content),
      };
      break;
    }
    default: {
      throw new Error(`type ${wire[0]}`);
    }
  }
  return { packet: { ...packet, key }, verified: key ? await isVerified(l3, key) : null };
}

async function answer(question) {
  try {
    if (question.make) {
      return { wire: hex(await make(question.make)) };
    }
    return await read(bytes(question.read), question.key ?? null);
  } catch (error) {
    return { error: `${error}` };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))));
}
