//! The examples in `docs/wire/overlay.md`, made again and compared octet for octet.

use super::*;
use crate::wire::{Cookie, Message};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

/// Exactly these bytes.
struct Scripted(VecDeque<u8>);

impl Entropy for Scripted {
    fn fill(&mut self, out: &mut [u8]) {
        for octet in out {
            *octet = self
                .0
                .pop_front()
                .expect("no more is drawn than was written down");
        }
    }
}

fn scripted(parts: &[&[u8]]) -> Scripted {
    Scripted(parts.concat().into())
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        write!(text, "{octet:02x}").unwrap();
        text
    })
}

/// The names and values in the page's last section.
fn written() -> BTreeMap<String, String> {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wire/overlay.md")).unwrap();
    let examples = page.split("## Examples").nth(1).unwrap();
    let mut values = BTreeMap::new();
    let mut name = String::new();
    for block in examples.split("```").skip(1).step_by(2) {
        for line in block.lines().filter(|line| !line.trim().is_empty()) {
            let value = match line.strip_prefix(' ') {
                Some(more) => more.trim(),
                None => {
                    let (first, value) = line.split_once(' ').expect("a name and a value");
                    name = first.to_owned();
                    value.trim()
                }
            };
            values
                .entry(name.clone())
                .or_insert_with(String::new)
                .push_str(value);
        }
    }
    values
}

fn offer_of(name: &str) -> Offer {
    Offer {
        ciphers: vec![Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305],
        compressions: vec![Compression::Lz4, Compression::None],
        frame: 1_518,
        name: name.into(),
        features: 1,
        software: String::new(),
    }
}

#[test]
fn the_page_has_the_octets_that_the_code_makes() {
    let mut made = BTreeMap::new();
    let mut put = |name: &str, octets: &[u8]| {
        made.insert(name.to_owned(), hex(octets));
    };
    let community = Community::new("garden", b"correct horse battery staple", Cost::FORMAT).unwrap();
    put("psk", community.psk());
    put("community", &community.id().0);
    put("tag", &community.tag().0);
    let [north, south] = [[0x11; 32], [0x22; 32]].map(Identity::from_secret);
    put("north", &north.public().0);
    put("north-id", &north.public().member_id().0);
    put("south", &south.public().0);
    let [north, south] = [
        Local::edge(north, community.clone(), offer_of("north")),
        Local::edge(south, community, offer_of("south")),
    ];
    let mut peer = Peer::new(0, south.public(), Role::Edge);
    let mut numbers = Numbers::default();
    let jitter = [0, 0];
    let mut entropy = scripted(&[&jitter, &[0x33; 32], &[1, 2, 3, 4]]);
    let mut cx = Context {
        now: at(0),
        wall: STARTED,
        entropy: &mut entropy,
        numbers: &mut numbers,
        local: &north,
    };
    peer.begin(at(0));
    let mut initiation = Vec::new();
    assert!(peer.wake(&mut cx, &mut initiation).send);
    put("initiation", &initiation);
    let Ok(Message::Initiation(read)) = Message::parse(&initiation) else {
        panic!("an initiation");
    };
    // A gate that wants a cookie, with secrets of 55s; then one that does not.
    let from = SocketAddr::from(([192, 0, 2, 1], 7_654));
    let mut gate_entropy = scripted(&[&[0x66; 32], &[0x55; 32]]);
    let admission = Gate::new(true).admit(at(0), &mut gate_entropy, &south, from, &read);
    let Admission::Cookie(cookie) = admission else {
        panic!("a cookie");
    };
    put("cookie", &cookie);
    let Ok(Message::Cookie(told)) = Message::parse(&cookie) else {
        panic!("a cookie");
    };
    assert_eq!(cookie.len(), Cookie::LEN);
    let mut shown = Vec::new();
    assert!(peer.take_cookie(at(0), &told, &mut shown).unwrap().send);
    put("mac2", &shown[shown.len() - 16..]);
    let mut there = Peer::new(0, north.public(), Role::Edge);
    let mut there_numbers = Numbers::default();
    let mut there_entropy = scripted(&[&[0x44; 32], &[5, 6, 7, 8]]);
    let request = Request::read(&south, &mut there_entropy, &read).unwrap();
    let mut response = Vec::new();
    let mut there_cx = Context {
        now: at(0),
        wall: STARTED,
        entropy: &mut there_entropy,
        numbers: &mut there_numbers,
        local: &south,
    };
    there.accept(&mut there_cx, request, from, &mut response).unwrap();
    put("response", &response);
    let Ok(Message::Response(read)) = Message::parse(&response) else {
        panic!("a response");
    };
    let mut data = Vec::new();
    let mut cx = Context {
        now: at(0),
        wall: STARTED,
        entropy: &mut scripted(&[]),
        numbers: &mut numbers,
        local: &north,
    };
    assert!(peer.respond(&mut cx, &read, &mut data).unwrap().send);
    put("data", &data);
    for (name, class, octet) in [
        ("data-none", Class::Frames, 0),
        ("data-mac", Class::Frames, 1),
        ("data-aes-128-gcm", Class::Frames, 2),
        ("data-aes-256-gcm", Class::Frames, 3),
        ("data-chacha20-poly1305", Class::Frames, 4),
        ("control-none", Class::Control, 0),
    ] {
        let cipher = Cipher::from_octet(octet).unwrap();
        let mut sealer = Sealer::new(cipher, &[0x77; 32], 0x0506_0708);
        let mut buffer = [0; 64];
        // The second datagram of the path: the counter shows.
        for content in [[0; 4], *b"\x01abc"] {
            let kind = if class == Class::Control { 4 } else { 1 };
            buffer[HEADER_LEN..HEADER_LEN + 4].copy_from_slice(&content);
            buffer[HEADER_LEN] = kind;
            let len = sealer.seal(2, class, &mut buffer, 4).unwrap();
            put(name, &buffer[..len]);
        }
    }
    let authority = AuthorityKey::generate(&mut scripted(&[&[0x88; 32]]));
    put("authority", authority.authority().octets());
    let certificate = authority.sign(&crate::wire::CertificateBody {
        key: north.public(),
        name: "north".into(),
        community: Some(Community::tag_of("garden")),
        macs: Some(vec![crate::Mac([2, 0, 0, 0, 0, 1])]),
        addresses: Some(vec![crate::wire::Prefix {
            address: [192, 168, 1, 2].into(),
            len: 24,
        }]),
        groups: vec!["office".into()],
        not_before: 1_800_000_000,
        not_after: 1_831_536_000,
        serial: 1,
        issuer: [0; 8],
    });
    put("certificate", certificate.unwrap().octets());
    put("revocation", &authority.revoke(1_800_000_000, &[2, 3]).unwrap());
    let text = made.iter().fold(String::new(), |mut text, (name, value)| {
        let lines: Vec<_> = value
            .as_bytes()
            .chunks(96)
            .map(|line| str::from_utf8(line).unwrap())
            .collect();
        writeln!(text, "{name:<23}{}", lines.join(&format!("\n{:23}", ""))).unwrap();
        text
    });
    assert!(written() == made, "the page should have\n{text}");
}
