//! What an edge and a supernode print: lines for people, or objects for programs.

use crate::json::Head;
use crate::screen::{BAD, GOOD, STRONG, Screen, Styled};
use halloo_base::Nanos;
use halloo_overlay::edge::EdgeEvent;
use halloo_overlay::wire::Prefix;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io;
use std::net::SocketAddr;

/// Prints to standard output.
pub(super) struct Reporter {
    screen: Screen,
    json: bool,
}

#[derive(Serialize)]
struct Object<'a> {
    #[serde(flatten)]
    head: Head,
    #[serde(flatten)]
    fields: &'a Map<String, Value>,
}

impl Reporter {
    pub(super) fn new(json: bool) -> Reporter {
        Reporter {
            screen: Screen::stdout(),
            json,
        }
    }

    /// Something in words, and as an object of this kind.
    pub(super) fn say(&mut self, kind: &'static str, words: &str, fields: &Value) -> io::Result<()> {
        if !self.json {
            return self
                .screen
                .line(format_args!("{} {words}", Styled(STRONG, "halloo:")));
        }
        let empty = Map::new();
        let object = Object {
            head: Head::new(kind),
            fields: fields.as_object().unwrap_or(&empty),
        };
        self.screen
            .line(serde_json::to_string(&object).map_err(io::Error::from)?)
    }

    /// An object as it is, or what is to be shown of it to people.
    pub(super) fn show(
        &mut self,
        line: &str,
        people: impl FnOnce(&mut Screen) -> io::Result<()>,
    ) -> io::Result<()> {
        match self.json {
            true => self.screen.line(line),
            false => people(&mut self.screen),
        }
    }

    /// Where numbers are told.
    pub(super) fn metrics(&mut self, address: SocketAddr) -> io::Result<()> {
        let url = format!("http://{address}/metrics");
        let words = format!("metrics are at {url}");
        self.say("metrics", &words, &json!({ "url": url }))
    }

    /// Something that happened to an edge.
    pub(super) fn event(&mut self, event: &EdgeEvent) -> io::Result<()> {
        match event {
            EdgeEvent::Registered {
                supernode,
                key,
                seen,
                members,
                strangers,
            } => {
                let others = members.saturating_sub(1);
                let words = format!(
                    "registered with {supernode} ({}); {others} other {} there{}",
                    key.member_id(),
                    if others == 1 { "member is" } else { "members are" },
                    match strangers {
                        0 => String::new(),
                        _ => format!(
                            ". {}: a community of this name with another secret is known there, too",
                            Styled(BAD, "Look at --secret-file")
                        ),
                    }
                );
                let fields = json!({
                    "supernode": supernode, "key": key.to_string(), "seen": seen, "members": members,
                    "strangers": strangers,
                });
                self.say("registered", &words, &fields)
            }
            EdgeEvent::Address(prefix) => {
                let address = format!("{}/{}", prefix.address, prefix.len);
                self.say(
                    "address",
                    &format!("the address is {address}"),
                    &json!({ "address": address }),
                )
            }
            EdgeEvent::AddressRefused {
                supernode,
                address,
                why,
            } => {
                let Prefix { address, len } = address;
                let words =
                    format!("{supernode} gave the address {address}/{len}, which is not taken: {why}");
                self.say("notice", &words, &json!({ "message": words }))
            }
            EdgeEvent::SupernodeLost(supernode) => self.say(
                "supernode_lost",
                &format!("{} {supernode} does not answer", Styled(BAD, "supernode")),
                &json!({ "supernode": supernode }),
            ),
            EdgeEvent::Refused {
                key,
                name,
                by_us,
                refusal,
            } => {
                let who = if *by_us { "we refuse" } else { "refused by" };
                let words = format!("{} {}: {}", Styled(BAD, who), named(name, key), refusal.words);
                let fields = json!({
                    "key": key.to_string(), "name": name, "by_us": by_us, "reason": refusal.words,
                });
                self.say("refused", &words, &fields)
            }
            EdgeEvent::PeerUp {
                key,
                name,
                cipher,
                compression,
            } => {
                let words = format!(
                    "{} {} ({})",
                    named(name, key),
                    Styled(GOOD, "is there"),
                    cipher.name()
                );
                let fields = json!({
                    "key": key.to_string(), "name": name, "cipher": cipher.name(),
                    "compression": compression.name(),
                });
                self.say("peer_up", &words, &fields)
            }
            EdgeEvent::PathChanged {
                key,
                name,
                remote,
                relayed,
                round_trip,
            } => {
                let how = if *relayed { "relayed by" } else { "directly at" };
                let took = round_trip
                    .map(|span| format!(", {}", millis(span)))
                    .unwrap_or_default();
                let words = format!("{} is reached {how} {remote}{took}", named(name, key));
                let fields = json!({
                    "key": key.to_string(), "name": name, "remote": remote, "relayed": relayed,
                    "round_trip_ns": round_trip.map(|span| span.0),
                });
                self.say("path", &words, &fields)
            }
            EdgeEvent::Vtep { key, name, vtep } => {
                let words = match vtep {
                    Ok(to) => format!("{}: the kernel sends frames to {to}", named(name, key)),
                    Err(why) => format!(
                        "{}: {}: {why}",
                        named(name, key),
                        Styled(BAD, "not reachable by the kernel data plane")
                    ),
                };
                let fields = json!({
                    "key": key.to_string(), "name": name, "vtep": vtep.ok(),
                    "unreachable": vtep.err().map(|why| why.to_string()),
                });
                self.say("vtep", &words, &fields)
            }
            EdgeEvent::Revoked { serials } => {
                let words = format!("a new list takes {serials} certificates back");
                self.say("notice", &words, &json!({ "message": words }))
            }
            EdgeEvent::RevocationRefused(why) => {
                let words = format!("the list at --revoked is not taken: {why}; the one before holds");
                self.say("notice", &words, &json!({ "message": words }))
            }
            EdgeEvent::PortsRefused(why) => {
                let words =
                    format!("not as many UDP ports as --flows wants: {why}; frames go by those there are");
                self.say("notice", &words, &json!({ "message": words }))
            }
            EdgeEvent::PeerDown { key, name } => {
                let words = format!("{} {}", named(name, key), Styled(BAD, "is gone"));
                self.say(
                    "peer_down",
                    &words,
                    &json!({ "key": key.to_string(), "name": name }),
                )
            }
        }
    }
}

/// A peer as people tell it from others.
pub(super) fn named(name: &str, key: &halloo_overlay::PublicKey) -> String {
    if name.is_empty() {
        key.member_id().to_string()
    } else {
        name.to_owned()
    }
}

pub(super) fn millis(span: Nanos) -> String {
    format!("{:.3} ms", span.0 as f64 / 1e6)
}
