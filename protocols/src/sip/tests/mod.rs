//! What the tests of this folder share: messages out of texts, and a server that answers them.

mod message;
mod prober;
mod properties;
mod responder;
mod stream;
mod torture;
mod values;

use super::*;
use crate::echo::tests::{datagram, with_env};
use halloo_base::{Reason, Responder, Trust, Verdict};

pub(super) const HOME: &str = "192.0.2.33:40000";
pub(super) const LONGEST_HOME: &str = "[2001:1db8:1111:2222:3333:4444:5555:6666]:65535";

/// A text with LF as it is on the wire.
pub(super) fn wire(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

pub(super) fn text(wire: &[u8]) -> String {
    String::from_utf8_lossy(wire).replace("\r\n", "\n")
}

/// A complete request with these lines more.
pub(super) fn options(more: &str) -> String {
    format!(
        "OPTIONS sip:echo@example.net SIP/2.0\n\
         Via: SIP/2.0/UDP 192.0.2.33:40000;rport;branch=z9hG4bK1\n\
         Max-Forwards: 70\n\
         From: <sip:me@example.org>;tag=4711\n\
         To: <sip:echo@example.net>\n\
         Call-ID: 99@example.org\n\
         CSeq: 7 OPTIONS\n\
         {more}\n"
    )
}

pub(super) fn server() -> SipServer {
    SipServer::new([7; 16])
}

/// What a server says to a datagram from there, with the room that a sender trusted so far gets.
pub(super) fn answer_to(request: &[u8], remote: &str, trust: Trust) -> Result<Vec<u8>, Reason> {
    let rx = datagram(remote, 1_000, request);
    let mut server = server();
    let room = SIP.reply_limit.longest(request.len(), trust);
    let mut reply = request.to_vec();
    reply.resize(room, 0);
    match with_env(13_000, |env| server.respond(env, &rx, &mut reply)) {
        Verdict::Reply(len) => Ok(reply[..len].to_vec()),
        Verdict::Silent(why) => Err(why),
        Verdict::ReplyStamped(..) | Verdict::ReplyFrom(..) => panic!("nobody needs the stamp"),
    }
}

/// The same to a text with LF, as text.
pub(super) fn answer(request: &str, trust: Trust) -> Result<String, Reason> {
    answer_to(&wire(request), HOME, trust).map(|reply| text(&reply))
}

/// The number of the answer to a text, from a sender that is known.
pub(super) fn code(request: &str) -> Result<u16, Reason> {
    let reply = answer_to(&wire(request), HOME, Trust::Validated)?;
    match Message::parse(&reply).expect("an answer is a message").start {
        Start::Response { code } => Ok(code),
        start => panic!("{start:?}"),
    }
}
