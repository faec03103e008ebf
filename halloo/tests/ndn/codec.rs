//! What we write they read, and what they write we read: the same table, both ways.

use crate::peers::{PEERS, Peer};
use halloo_protocols::ndn::tlv::{Writer, written};
use halloo_protocols::ndn::{
    Component, ContentType, Data, Interest, LpPacket, MetaInfo, NackReason, Name, NameBuf, Names, Signer,
    SigningMoment, Unsigned, Verifier,
};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

/// Made for these tests by `openssl genpkey`.
const ECDSA: [&str; 2] = [
    "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgsPDOD+ZnfBsJG93f
iVYvEgjyfW/WzXKH+Ft/kRJEP8ahRANCAATGGBwaFD6IxBD1HcFKmrD42Wh5jJww
JDhn9acrXEisDFpBqbqq3M5dzqU3s4CsNOjQh2dLrLIhON4WOW0m9Eh1
-----END PRIVATE KEY-----
",
    "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExhgcGhQ+iMQQ9R3BSpqw+NloeYyc
MCQ4Z/WnK1xIrAxaQam6qtzOXc6lN7OArDTo0IdnS6yyITjeFjltJvRIdQ==
-----END PUBLIC KEY-----
",
];
const ED25519: [&str; 2] = [
    "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIHqwuZGanU2y6mckEvCyEzQ8+I/pJbK5pd3Tg3alx9vE
-----END PRIVATE KEY-----
",
    "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAMzqZajHrl9tDjZRkKmPUhGUXQcjgu15FF+GvxurHnvY=
-----END PUBLIC KEY-----
",
];
const SECRET: &str = "612073656372657420746861742074776f206b6e6f77";

/// A peer that answers questions.
struct Dialog {
    peer: Peer,
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Dialog {
    fn open(peer: Peer) -> Option<Dialog> {
        let mut command = peer.command("codec", [] as [&str; 0])?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Some(Dialog {
            peer,
            questions: child.stdin.take().expect("piped"),
            answers: BufReader::new(child.stdout.take().expect("piped")),
            child,
        })
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions, "{question}").expect("it reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{:?}: {error}: {line}", self.peer))
    }
}

impl Drop for Dialog {
    fn drop(&mut self) {
        // It may have ended already, and it has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn keys() -> Vec<Value> {
    let key = |kind: &str, [private, public]: [&str; 2]| json!({"type": kind, "name": format!("/lab/KEY/{kind}"), "private": private, "public": public});
    vec![
        json!({"type": "digest"}),
        key("ecdsa", ECDSA),
        key("ed25519", ED25519),
        json!({"type": "hmac", "name": "/lab/KEY/hmac", "secret": SECRET}),
    ]
}

/// Packets, as words that every peer understands. What is absent on the wire has the value that it means there.
fn packets() -> Vec<Value> {
    let probe = json!({
        "kind": "interest", "name": name("/edu/arizona/ping/18446744073709551614"), "can_be_prefix": false,
        "must_be_fresh": true, "nonce": "afc51bd2", "lifetime": 4000, "hop_limit": 255, "hint": [],
        "parameters": null, "key": null,
    });
    let reply = json!({
        "kind": "data", "name": name("/edu/arizona/ping/7"), "content_type": 0, "freshness": 1000,
        "final_block": null, "content": "61616161", "key": {"type": "digest"},
    });
    let nack = json!({"kind": "lp", "token": null, "mark": 0, "nack": 150, "fragment": hex(&emit(&probe))});
    let mut all = vec![
        probe.clone(),
        with(
            &probe,
            &json!({"must_be_fresh": false, "can_be_prefix": true, "lifetime": 1500}),
        ),
        with(
            &probe,
            &json!({"lifetime": 1, "hop_limit": 1, "nonce": "00000000"}),
        ),
        with(
            &probe,
            &json!({"lifetime": 70_000, "hint": [name("/net/a"), name("/net/b/c")]}),
        ),
        with(&probe, &json!({"name": name("/t/ping/seq=4660")})),
        with(
            &probe,
            &json!({"name": name("/8=%00%FF%2F/65535=x/.../v=1700000000000/seg=0/off=256/t=1")}),
        ),
        with(&probe, &json!({"name": name(&"/0123456789".repeat(60))})),
        with(&probe, &json!({"parameters": ""})),
        with(&probe, &json!({"parameters": "00ff"})),
        reply.clone(),
        with(&reply, &json!({"content": "", "freshness": 0})),
        with(
            &reply,
            &json!({"content_type": 2, "freshness": 3_600_000, "final_block": "320105"}),
        ),
        with(&reply, &json!({"content": "61".repeat(8_000)})),
        nack.clone(),
        with(&nack, &json!({"nack": 50})),
        with(&nack, &json!({"nack": null, "token": "aabbccdd"})),
        with(&nack, &json!({"nack": null, "token": "ff".repeat(32), "mark": 1})),
    ];
    for key in keys() {
        all.push(with(&probe, &json!({"parameters": "", "key": key})));
        all.push(with(
            &probe,
            &json!({"parameters": "6162", "key": key, "lifetime": 10_000}),
        ));
        all.push(with(&reply, &json!({"key": key})));
    }
    all
}

#[test]
fn what_we_write_they_read() {
    for mut dialog in PEERS.into_iter().filter_map(Dialog::open) {
        for packet in packets() {
            let answer = dialog.ask(&json!({"read": hex(&emit(&packet)), "key": packet.get("key")}));
            assert_eq!(answer["packet"], packet, "{:?}: {answer:#}", dialog.peer);
            if !packet["key"].is_null() {
                assert_eq!(answer["verified"], true, "{:?}: {packet:#}", dialog.peer);
            }
        }
    }
}

#[test]
fn what_they_write_we_read() {
    for mut dialog in PEERS.into_iter().filter_map(Dialog::open) {
        for packet in packets() {
            let answer = dialog.ask(&json!({"make": packet}));
            let wire = answer["wire"]
                .as_str()
                .unwrap_or_else(|| panic!("{:?}: {answer:#} for {packet:#}", dialog.peer));
            assert_eq!(
                parse(&unhex(wire), &packet["key"]),
                packet,
                "{:?}: {wire}",
                dialog.peer
            );
        }
    }
}

#[test]
fn they_believe_no_signature_that_we_damaged_and_we_none_that_they_did() {
    for mut dialog in PEERS.into_iter().filter_map(Dialog::open) {
        for packet in packets().into_iter().filter(|packet| packet["kind"] == "data") {
            let mut ours = emit(&packet);
            let last = ours.len() - 1;
            ours[last] ^= 1;
            let answer = dialog.ask(&json!({"read": hex(&ours), "key": packet["key"]}));
            assert_eq!(answer["verified"], false, "{:?}: {answer:#}", dialog.peer);
            let answer = dialog.ask(&json!({"make": packet}));
            let mut theirs = unhex(answer["wire"].as_str().expect("made"));
            let last = theirs.len() - 1;
            theirs[last] ^= 1;
            let data = Data::parse(&theirs).expect("the damage is in the signature");
            assert!(data.verify(&verifier(&packet["key"])).is_err());
        }
    }
}

/// The packet that these words mean.
fn emit(packet: &Value) -> Vec<u8> {
    match packet["kind"].as_str() {
        Some("interest") => emit_interest(packet),
        Some("data") => emit_data(packet),
        _ => emit_lp(packet),
    }
}

fn emit_interest(packet: &Value) -> Vec<u8> {
    let name = name_buf(&packet["name"]);
    let hints: Vec<_> = list(&packet["hint"]).iter().map(name_buf).collect();
    let hints = Names::encode(&hints);
    let interest = Interest {
        can_be_prefix: packet["can_be_prefix"] == true,
        must_be_fresh: packet["must_be_fresh"] == true,
        // A hint without names is none.
        forwarding_hint: Names::parse(&hints).unwrap_or_default(),
        nonce: Some(bytes(&packet["nonce"]).try_into().expect("four bytes")),
        lifetime: number(&packet["lifetime"])
            .filter(|ms| *ms != 4000)
            .map(Duration::from_millis),
        hop_limit: number(&packet["hop_limit"])
            .filter(|hops| *hops != 255)
            .map(|hops| hops as u8),
        ..Interest::new(name.as_name())
    };
    if packet["parameters"].is_null() {
        return written(|writer| interest.emit(writer)).expect("short");
    }
    let moment = SigningMoment {
        nonce: [7; 8],
        time: 1_795_187_109_846,
    };
    let signer = (!packet["key"].is_null()).then(|| signer(&packet["key"]));
    let signed = signer.as_ref().map(|signer| (signer, moment));
    interest
        .with_parameters(&bytes(&packet["parameters"]), signed)
        .expect("short")
}

fn emit_data(packet: &Value) -> Vec<u8> {
    let name = name_buf(&packet["name"]);
    let last = (!packet["final_block"].is_null()).then(|| bytes(&packet["final_block"]));
    let last = last
        .as_deref()
        .map(|wire| Name::from_value(wire).expect("a component"));
    let content = bytes(&packet["content"]);
    let unsigned = Unsigned {
        name: name.as_name(),
        meta: Some(MetaInfo {
            content_type: number(&packet["content_type"])
                .filter(|kind| *kind > 0)
                .map(ContentType::from_number),
            freshness: number(&packet["freshness"])
                .filter(|ms| *ms > 0)
                .map(Duration::from_millis),
            final_block: last.and_then(Name::last),
        }),
        content: Some(&content),
    };
    unsigned.sign(&signer(&packet["key"])).expect("short")
}

fn emit_lp(packet: &Value) -> Vec<u8> {
    let token = (!packet["token"].is_null()).then(|| bytes(&packet["token"]));
    let fragment = bytes(&packet["fragment"]);
    let lp = LpPacket {
        pit_token: token.as_deref(),
        nack: number(&packet["nack"]).map(NackReason::from_number),
        congestion_mark: number(&packet["mark"]).filter(|mark| *mark > 0),
        fragment: Some(&fragment),
        ..LpPacket::default()
    };
    written(|writer: &mut Writer<'_>| lp.emit(writer)).expect("short")
}

/// The words for a packet; panics where its signature is not the key's.
fn parse(wire: &[u8], key: &Value) -> Value {
    match wire[0] {
        0x05 => parse_interest(wire, key),
        0x06 => parse_data(wire, key),
        _ => parse_lp(wire),
    }
}

fn parse_interest(wire: &[u8], key: &Value) -> Value {
    let interest = Interest::parse(wire).unwrap_or_else(|error| panic!("{error}: {}", hex(wire)));
    if !key.is_null() {
        interest
            .verify(&verifier(key))
            .unwrap_or_else(|error| panic!("{error}: {}", hex(wire)));
    }
    let is_digest = |component: &Component<'_>| component.kind == 2;
    json!({
        "kind": "interest",
        "name": interest.name.components().filter(|component| !is_digest(component)).map(component).collect::<Vec<_>>(),
        "can_be_prefix": interest.can_be_prefix,
        "must_be_fresh": interest.must_be_fresh,
        "nonce": interest.nonce.map(|nonce| hex(&nonce)),
        "lifetime": interest.lifetime.map_or(4000, |lifetime| lifetime.as_millis() as u64),
        "hop_limit": interest.hop_limit.unwrap_or(255),
        "hint": interest.forwarding_hint.iter().map(components).collect::<Vec<_>>(),
        "parameters": interest.parameters.map(|parameters| hex(parameters.value)),
        "key": key,
    })
}

fn parse_data(wire: &[u8], key: &Value) -> Value {
    let data = Data::parse(wire).unwrap_or_else(|error| panic!("{error}: {}", hex(wire)));
    data.verify(&verifier(key))
        .unwrap_or_else(|error| panic!("{error}: {}", hex(wire)));
    let meta = data.meta.unwrap_or_default();
    json!({
        "kind": "data",
        "name": components(data.name),
        "content_type": meta.content_type.map_or(0, ContentType::number),
        "freshness": meta.freshness.map_or(0, |freshness| freshness.as_millis() as u64),
        "final_block": meta.final_block.map(component),
        "content": hex(data.content.unwrap_or_default()),
        "key": key,
    })
}

fn parse_lp(wire: &[u8]) -> Value {
    let lp = LpPacket::parse(wire).unwrap_or_else(|error| panic!("{error}: {}", hex(wire)));
    json!({
        "kind": "lp",
        "token": lp.pit_token.map(hex),
        "mark": lp.congestion_mark.unwrap_or(0),
        "nack": lp.nack.map(NackReason::number),
        "fragment": lp.fragment.map(hex),
    })
}

pub(crate) fn signer(key: &Value) -> Signer {
    let name = || text(&key["name"]).parse().expect("a name");
    match text(&key["type"]) {
        "digest" => Signer::digest(),
        "hmac" => Signer::hmac(&bytes(&key["secret"]), name()).expect("a secret"),
        _ => Signer::from_pem(text(&key["private"]), name()).expect("a private key"),
    }
}

pub(crate) fn verifier(key: &Value) -> Verifier {
    match text(&key["type"]) {
        "digest" => Verifier::digest(),
        "hmac" => Verifier::hmac(&bytes(&key["secret"])).expect("a secret"),
        _ => Verifier::from_file(text(&key["public"]).as_bytes()).expect("a public key"),
    }
}

/// The components of a name, each as the bytes of its element.
fn name(uri: &str) -> Vec<String> {
    components(uri.parse::<NameBuf>().expect(uri).as_name())
}

fn components(name: Name<'_>) -> Vec<String> {
    name.components().map(component).collect()
}

fn component(component: Component<'_>) -> String {
    hex(&written(|writer| writer.element(u32::from(component.kind), component.value)).expect("short"))
}

fn name_buf(components: &Value) -> NameBuf {
    let value: Vec<u8> = list(components).iter().flat_map(bytes).collect();
    Name::from_value(&value).expect("a name").to_buf()
}

fn with(packet: &Value, changes: &Value) -> Value {
    let mut packet = packet.clone();
    for (field, value) in changes.as_object().expect("an object") {
        packet[field] = value.clone();
    }
    packet
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64()
}

fn bytes(value: &Value) -> Vec<u8> {
    unhex(text(value))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16).expect("a digit") as u8;
    hex.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}
