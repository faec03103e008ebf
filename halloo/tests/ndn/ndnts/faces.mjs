// Connections as the tests describe them, for NDNts.

import { TcpTransport, UdpTransport, UnixTransport } from "@ndn/node-transport";

/** A face at a URI of which all parts are there. */
function connect(uri) {
  const { protocol, hostname, port, pathname } = new URL(uri);
  switch (protocol) {
    case "unix:": {
      return UnixTransport.createFace({}, pathname);
    }
    case "tcp:": {
      return TcpTransport.createFace({}, hostname, Number(port));
    }
    default: {
      return UdpTransport.createFace({}, hostname, Number(port));
    }
  }
}
