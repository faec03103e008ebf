// Keys as the tests describe them, for NDNts. This and faces.mjs stand in front of each program here, imports included.
import { createPrivateKey, createPublicKey, webcrypto } from "node:crypto";
import { ECDSA, Ed25519, HMAC, generateSigningKey } from "@ndn/keychain";
import { digestSigning, Name } from "@ndn/packet";

// What Node 18, which Debian 12 has, lacks and NDNts uses.
globalThis.crypto ??= webcrypto;
Array.prototype.toSpliced ??= function (...change) {
  const copy = [...this];
  copy.splice(...change);
  return copy;
};

const der = (key, type) => new Uint8Array(key.export({ type, format: "der" }));

/** What signs and what verifies with the key. */
async function pair(key) {
  if (key.type === "digest") {
    return [digestSigning, digestSigning];
  }
  const name = new Name(key.name);
  if (key.type === "hmac") {
    return generateSigningKey(name, HMAC, { importRaw: Buffer.from(key.secret, "hex") });
  }
  const algorithm = { ecdsa: ECDSA, ed25519: Ed25519 }[key.type];
  const importPkcs8 = [der(createPrivateKey(key.private), "pkcs8"), der(createPublicKey(key.public), "spki")];
  return generateSigningKey(name, algorithm, { importPkcs8 });
}
