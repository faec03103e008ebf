// A ping server by NDNts. Its one argument is in JSON: prefix (with the `ping` component), key, and either transport (a
// forwarder's face URI), or listen (udp or tcp: a port of its own). Prints `ready`, or `ready PORT`, and serves until
// it is ended.

import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { produce } from "@ndn/endpoint";
import { L3Face, StreamTransport } from "@ndn/l3face";
import { Forwarder, ReadvertiseDestination } from "@ndn/fw";
import { LpPacket } from "@ndn/lp";
import { enableNfdPrefixReg } from "@ndn/nfdmgmt";
import { Data, Interest } from "@ndn/packet";
import { Decoder, Encoder } from "@ndn/tlv";

const setting = JSON.parse(process.argv[1]);
const [signer] = await pair(setting.key);
const content = Buffer.alloc(setting.size ?? 4, "b");

async function answer(interest) {
  const data = new Data(interest.name, Data.FreshnessPeriod(1000), content);
  await signer.sign(data);
  return data;
}

async function behindForwarder() {
  const face = await connect(setting.transport);
  const registration = enableNfdPrefixReg(face, { signer: digestSigning });
  produce(setting.prefix, answer);
  // The library tells nobody when the forwarder has said yes, but its table shows it.
  const { ADVERTISED } = ReadvertiseDestination.Status;
  const isRegistered = () => [...registration.table].some(([, { status }]) => status === ADVERTISED);
  while (!isRegistered()) {
    await new Promise((wake) => setTimeout(wake, 1));
  }
  console.log("ready");
}

function listenTcp() {
  const server = createServer((connection) => {
    const face = Forwarder.getDefault().addFace(new L3Face(new StreamTransport(connection)));
    connection.on("close", () => face.close());
  });
  produce(setting.prefix, answer);
  server.listen(0, "127.0.0.1", () => console.log(`ready ${server.address().port}`));
}

// The library has no socket that waits for strangers; packets are read and written by its codec all the same.
function listenUdp() {
  const socket = createSocket("udp4");
  socket.on("message", async (wire, remote) => {
    const outer = new LpPacket();
    const inner = wire[0] === 0x64 ? new Decoder(wire).decode(LpPacket) : { payload: wire };
    outer.pitToken = inner.pitToken;
    const interest = new Decoder(inner.payload).decode(Interest);
    outer.payload = Encoder.encode(await answer(interest));
    socket.send(Encoder.encode(outer), remote.port, remote.address);
  });
  socket.bind(0, "127.0.0.1", () => console.log(`ready ${socket.address().port}`));
}

switch (setting.listen) {
  case "tcp": {
    listenTcp();
    break;
  }
  case "udp": {
    listenUdp();
    break;
  }
  default: {
    await behindForwarder();
  }
}
