//! At an echo host's port.

use super::*;
use crate::echo::wire::Probe;
use crate::echo::{UdpEcho, UdpEchoOptions};
use crate::stun::StunBeside;

fn both() -> StunBeside<UdpEcho> {
    let echo = UdpEcho::new(UdpEchoOptions::default(), [7; 32]);
    StunBeside::new(StunServer::new(StunServerOptions::default()), echo)
}

/// What comes back, and how long it might have been.
fn hear(payload: &[u8]) -> (Vec<u8>, Option<ReplyLimit>) {
    let mut both = both();
    let rx = datagram(HOME, 1_000, payload);
    let limit = both.reply_limit(&rx);
    let longest = limit.unwrap_or(ReplyLimit::SameAsRequest);
    let mut reply = payload.to_vec();
    reply.resize(longest.longest(payload.len(), Trust::Stranger), 0);
    let verdict = with_env(2_000, |env| both.respond(env, &rx, &mut reply));
    let (Verdict::Reply(len) | Verdict::ReplyStamped(len, _) | Verdict::ReplyFrom(len, _)) = verdict else {
        panic!("{verdict:?}");
    };
    reply.truncate(len);
    (reply, limit)
}

#[test]
fn a_binding_request_is_told_its_address_and_everything_else_is_echoed() {
    let asked = request(MODERN, &[]);
    let (answer, limit) = hear(&asked);
    let answer = Message::parse(&answer).expect("a message");
    assert_eq!(answer.class, Class::Success);
    assert_eq!(limit, Some(STUN.reply_limit));
    let others = [
        b"hello".to_vec(),
        vec![],
        // Without the cookie it may be anything.
        request(CLASSIC, &[]),
        message(Class::Success, MODERN, &[], false),
        asked[..19].to_vec(),
    ];
    for other in others {
        assert_eq!(hear(&other), (other.clone(), None), "{other:02x?}");
    }
    let mut probe = vec![0; 64];
    Probe::request(1, 2, false, false).emit(&mut probe).expect("room");
    let (answer, limit) = hear(&probe);
    assert!(Probe::parse(&answer).expect("a probe").flags.reply && limit.is_none());
}
