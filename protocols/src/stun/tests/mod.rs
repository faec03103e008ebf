//! What the tests of this folder share: requests, answers, and a server between them.

mod beside_echo;
mod places;
mod prober;
mod responder;
mod vectors;
mod wire;

use super::wire::{Class, Message, Transaction, Writer};
use super::{Places, STUN, StunServer, StunServerOptions};
use crate::echo::tests::{datagram, with_env};
use halloo_base::{Datagram, Reason, ReplyLimit, Responder, Trust, Verdict};
use std::net::SocketAddr;

const HOME: &str = "192.0.2.33:40000";
const HOME_V6: &str = "[2001:db8::33]:40000";
/// Where the datagrams of these tests come to.
const ASKED: &str = "198.51.100.1:7777";
const ASKED_V6: &str = "[2001:db8::1]:7777";
const OTHER: &str = "198.51.100.2:3479";
const OTHER_V6: &str = "[2001:db8::2]:3479";

/// A transaction with the cookie.
const MODERN: Transaction = Transaction(*b"\x21\x12\xa4\x42abcdefghijkl");
/// One of RFC 3489.
const CLASSIC: Transaction = Transaction(*b"0123456789abcdef");

/// Types and values, as they are to be written.
type Written<'a> = &'a [(u16, &'a [u8])];

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A message of these attributes.
fn message(class: Class, transaction: Transaction, attributes: Written<'_>, fingerprint: bool) -> Vec<u8> {
    let mut bytes = vec![0xee; 2_048];
    let mut writer = Writer::new(&mut bytes, class, transaction, fingerprint).expect("room");
    for (kind, value) in attributes {
        let fill = |to: &mut [u8]| to.copy_from_slice(value);
        writer.attribute(*kind, value.len(), fill).expect("room");
    }
    let len = writer.finish();
    bytes.truncate(len);
    bytes
}

fn request(transaction: Transaction, attributes: Written<'_>) -> Vec<u8> {
    message(Class::Request, transaction, attributes, false)
}

/// Options of a server whose other address with its other port is this.
fn options(other: Option<&str>) -> StunServerOptions {
    let places = other.map(|other| {
        let other = addr(other);
        let is_v4 = other.ip().to_canonical().is_ipv4();
        let first = addr(if is_v4 { ASKED } else { ASKED_V6 });
        Places::new(first, other).expect("two of both")
    });
    StunServerOptions {
        places: places.into_iter().collect(),
    }
}

/// What a server with these options does with a datagram, in as much room as `limit` leaves it.
fn hear_within(
    other: Option<&str>,
    limit: ReplyLimit,
    remote: &str,
    payload: &[u8],
) -> Result<Vec<u8>, Reason> {
    let rx = datagram(remote, 1_000, payload);
    let mut reply = payload.to_vec();
    reply.resize(limit.longest(payload.len(), Trust::Stranger), 0);
    respond(&mut StunServer::new(options(other)), &rx, &mut reply)?;
    Ok(reply)
}

fn respond(server: &mut StunServer, rx: &Datagram<'_>, reply: &mut Vec<u8>) -> Result<(), Reason> {
    match with_env(2_000, |env| server.respond(env, rx, reply)) {
        Verdict::Reply(len) => {
            reply.truncate(len);
            Ok(())
        }
        Verdict::Silent(why) => Err(why),
        other => panic!("{other:?}: no stamp and no other way is wanted"),
    }
}

/// The same of a server with one address.
fn hear(remote: &str, payload: &[u8]) -> Result<Vec<u8>, Reason> {
    hear_within(None, STUN.reply_limit, remote, payload)
}

/// Types and values of a message's attributes.
fn attributes(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let message = Message::parse(bytes).expect("a message");
    message
        .attributes()
        .map(|(kind, value)| (kind, value.to_vec()))
        .collect()
}
