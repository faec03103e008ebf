//! Datagrams as tshark reads them: taken down on their way between a client and a server.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::thread::{self, JoinHandle};

use crate::common::run;

/// Hands datagrams from one client on to a server and back, and keeps them.
pub(crate) struct Tap {
    socket: UdpSocket,
    address: SocketAddr,
    server: SocketAddr,
    kept: JoinHandle<Vec<Kept>>,
}

/// A datagram that passed.
struct Kept {
    is_request: bool,
    payload: Vec<u8>,
}

/// For requests and answers, whatever the client's port was.
const CLIENT: u16 = 40_000;

impl Tap {
    /// Before this server.
    pub(crate) fn before(server: SocketAddr) -> Tap {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        let own = socket.try_clone().expect("a descriptor");
        let kept = thread::spawn(move || {
            let mut kept = vec![];
            let mut client = None;
            let mut buf = [0; 65536];
            loop {
                let (len, from) = own.recv_from(&mut buf).expect("loopback");
                if from == address {
                    return kept;
                }
                let is_request = from != server;
                let to = if is_request {
                    client = Some(from);
                    server
                } else {
                    client.expect("an answer to a request")
                };
                kept.push(Kept {
                    is_request,
                    payload: buf[..len].to_vec(),
                });
                own.send_to(&buf[..len], to).expect("loopback");
            }
        });
        Tap {
            socket,
            address,
            server,
            kept,
        }
    }

    /// Where clients ask.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What tshark reads in every datagram: a row each, requests and answers in their order.
    pub(crate) fn read(self, tshark: &Path, protocol: &str, fields: &[&str]) -> Vec<Vec<String>> {
        // What comes from the tap itself ends it.
        self.socket.send_to(&[], self.address).expect("loopback");
        let kept = self.kept.join().expect("it ends");
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let port = self.server.port();
        file.write_all(&pcap(&kept, port)).expect("written");
        let (file, decode) = (
            file.path().display().to_string(),
            format!("udp.port=={port},{protocol}"),
        );
        let mut args = vec![
            "-r",
            &file,
            "-n",
            "-d",
            &decode,
            "-T",
            "fields",
            "-e",
            "_ws.malformed",
        ];
        args.extend(["-e", "_ws.expert.message"]);
        args.extend(fields.iter().flat_map(|field| ["-e", field]));
        let (text, code) = run(tshark, args);
        assert_eq!(code, Some(0), "{text}");
        let rows = text
            .lines()
            .filter(|line| line.contains('\t'))
            .map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
        let rows: Vec<_> = rows
            .map(|mut row| {
                let complaints: Vec<_> = row.drain(..2).collect();
                assert!(complaints.iter().all(String::is_empty), "{complaints:?}: {row:?}");
                row
            })
            .collect();
        assert_eq!(rows.len(), kept.len(), "{text}");
        rows
    }
}

/// A capture file of IPv4 datagrams without link headers (LINKTYPE_RAW, 101).
fn pcap(kept: &[Kept], server: u16) -> Vec<u8> {
    let mut file = vec![];
    file.extend(0xa1b2_c3d4_u32.to_le_bytes());
    file.extend([2, 0, 4, 0]);
    for word in [0, 0, 65_535, 101_u32] {
        file.extend(word.to_le_bytes());
    }
    for (second, Kept { is_request, payload }) in kept.iter().enumerate() {
        let (source, destination) = match is_request {
            true => (CLIENT, server),
            false => (server, CLIENT),
        };
        let len = u16::try_from(28 + payload.len()).expect("a datagram");
        for word in [second as u32, 0, len.into(), len.into()] {
            file.extend(word.to_le_bytes());
        }
        file.extend([0x45, 0]);
        file.extend(len.to_be_bytes());
        // TTL 64, UDP, no checksum.
        file.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        file.extend([127, 0, 0, 1, 127, 0, 0, 1]);
        for word in [source, destination, len - 20, 0] {
            file.extend(word.to_be_bytes());
        }
        file.extend(payload);
    }
    file
}
