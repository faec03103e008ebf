//! Servers that do not tell the truth.

use super::{PATIENCE, at, success};
use crate::echo::tests::{datagram, with_env};
use crate::nat::{Investigation, InvestigationOptions, SOCKETS};
use crate::stun::wire::Message;
use halloo_base::{Cx, Datagram, Input, LinkId, Machine, Mono, Outbox, Output};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

fn handle(investigation: &mut Investigation, now: Mono, out: &mut Outbox, input: Input<'_>) {
    with_env(now.0, |env| {
        let mut cx = Cx {
            env: halloo_base::Env {
                now: env.now,
                clock: env.clock,
                rng: env.rng,
            },
            out,
        };
        investigation.handle(&mut cx, input);
    });
}

/// Whom an investigation asks, where each STUN server answers that there is one more, at an address which nobody has heard of.
fn asked(hosts: &[&str]) -> BTreeSet<SocketAddr> {
    let local = |nth: usize| SocketAddr::new([10, 0, 0, 2].into(), 40_000 + nth as u16);
    let options = InvestigationOptions {
        hosts: hosts.iter().map(|host| at(host)).collect(),
        stun_port: 3478,
        link: LinkId(0),
        locals: (0..SOCKETS).map(local).collect(),
        longest: Duration::from_secs(10),
        token: 7,
        patience: PATIENCE,
        tries: 3,
        lost_after: Duration::from_secs(1),
    };
    let mut investigation = Investigation::new(options, Box::new(|_| {}));
    let (mut now, mut out, mut made_up, mut asked) = (Mono(0), Outbox::new(), 0, BTreeSet::new());
    // Far more than an honest one takes.
    for _ in 0..2_000 {
        handle(&mut investigation, now, &mut out, Input::Wake);
        let mut questions = vec![];
        for output in out.iter() {
            let Output::Datagram(how, bytes) = output else {
                panic!("{output:?}")
            };
            if Message::parse(bytes).is_ok() {
                asked.insert(how.path.remote);
                questions.push((how.path, bytes.to_vec()));
            }
        }
        out.clear();
        for (path, question) in questions {
            made_up += 1;
            let other = format!("10.9.{}.{}:3479", made_up / 256, made_up % 256);
            let answer = success(&question, "203.0.113.1:5000", Some(&other));
            let rx = Datagram {
                path,
                ..datagram("192.0.2.1:3478", now.0, &answer)
            };
            handle(&mut investigation, now, &mut out, Input::Datagram(rx));
        }
        let Some(deadline) = investigation.deadline() else {
            return asked;
        };
        assert!(asked.len() < 50, "it does not end");
        now = deadline.at.max(now + Duration::from_millis(1));
    }
    panic!("it does not end: {asked:?}")
}

#[test]
fn a_server_that_makes_up_ever_more_servers_leads_to_one() {
    let of_one = asked(&["192.0.2.1:7777"]);
    // Two ports of the host, the address that it made up, and its own with that one's port.
    assert_eq!(of_one.len(), 4, "{of_one:?}");
    let of_two = asked(&["192.0.2.1:7777", "192.0.2.2:7777"]);
    assert!(of_two.len() <= 8, "{of_two:?}");
}
