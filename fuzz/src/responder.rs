//! The UDP echo host, one hostile datagram after another.

use crate::feed::Feed;
use crate::surroundings::{datagram, key, stamp, with_env};
use halloo_base::{Datagram, Mono, Reason, Responder, StampSource, Trust, TxTag, Verdict};
use halloo_protocols::echo::wire::{self, Probe};
use halloo_protocols::echo::{UdpEcho, UdpEchoOptions};
use std::time::Duration;

const KEYED: u8 = 1;
const REQUIRE_KEY: u8 = 2;
const SMALL_TABLE: u8 = 4;

const SIGN: u8 = 1;
const REPEAT: u8 = 2;
const ASK_TRUST: u8 = 4;
const DEPART: u8 = 8;
const RETURN_COOKIE: u8 = 16;

/// First the host's options, then for each datagram how it comes (an octet of switches, the sender, the time since the
/// one before in milliseconds, its length) and its bytes.
pub(crate) fn udp_echo(data: &[u8]) {
    let mut feed = Feed::new(data);
    let options = feed.octet();
    let mut host = Host::new(options);
    let mut payload = Vec::new();
    while !feed.is_empty() {
        let how = feed.octet();
        let sender = feed.octet();
        host.now += Duration::from_millis(u64::from(feed.number()));
        if how & REPEAT == 0 {
            let len = usize::from(feed.number() % 512);
            payload = feed.bytes(len).to_vec();
        }
        host.hear(how, sender, &mut payload);
    }
}

struct Host {
    echo: UdpEcho,
    keyed: bool,
    require_key: bool,
    now: Mono,
    cookie: u64,
    awaited: Option<TxTag>,
}

impl Host {
    fn new(options: u8) -> Host {
        let keyed = options & KEYED != 0;
        let require_key = options & REQUIRE_KEY != 0;
        let sessions = if options & SMALL_TABLE != 0 { 1 } else { 64 };
        let options = UdpEchoOptions {
            key: keyed.then(key),
            require_key,
            sessions,
            ..UdpEchoOptions::default()
        };
        let secret = [7; 32];
        Host {
            echo: UdpEcho::new(options, secret),
            keyed,
            require_key,
            now: Mono(0),
            cookie: 0,
            awaited: None,
        }
    }

    fn hear(&mut self, how: u8, sender: u8, payload: &mut [u8]) {
        self.complete(how, payload);
        let rx = datagram(sender, self.now, payload);
        let mut reply = payload.to_vec();
        let residence = Duration::from_nanos(u64::from(sender) * 50_000_000);
        let (trust, verdict) = with_env(self.now + residence, |env| {
            let trust = (how & ASK_TRUST != 0).then(|| self.echo.trust(env, &rx));
            (trust, self.echo.respond(env, &rx, &mut reply))
        });
        self.check(&rx, trust, verdict, &reply);
        if how & DEPART != 0
            && let Some(tag) = self.awaited.take()
        {
            self.echo
                .departed(tag, stamp(self.now + residence, StampSource::Kernel));
        }
    }

    /// What mutation alone would hardly ever find: the tag, and the cookie that the host gave out.
    fn complete(&self, how: u8, payload: &mut [u8]) {
        let Ok(mut probe) = Probe::parse(payload) else {
            return;
        };
        if how & RETURN_COOKIE != 0
            && let Some(wide) = &mut probe.wide
        {
            wide.cookie = self.cookie;
            probe.emit(payload).expect("it was parsed from these bytes");
        }
        if how & SIGN != 0 && probe.flags.authenticated {
            assert!(
                key().sign(payload, probe.length),
                "a parsed probe has room for its tag"
            );
        }
    }

    fn check(&mut self, rx: &Datagram<'_>, trust: Option<Trust>, verdict: Verdict, reply: &[u8]) {
        let (len, tag) = match verdict {
            Verdict::Reply(len) => (len, None),
            Verdict::ReplyStamped(len, tag) => (len, Some(tag)),
            Verdict::ReplyFrom(..) => panic!("an answer from elsewhere"),
            Verdict::Silent(why) => return self.check_silence(rx, trust, why),
        };
        assert_eq!(len, rx.payload.len(), "a reply is as long as its request");
        assert!(!wire::is_reply(rx.payload), "a reply was answered");
        self.awaited = tag.or(self.awaited);
        match Probe::parse(rx.payload) {
            Ok(asked) if self.keyed == asked.flags.authenticated => self.check_reply(rx, &asked, reply),
            Ok(_) | Err(_) => {
                assert_eq!(reply, rx.payload, "a plain echo is byte for byte");
                assert!(!self.require_key && trust != Some(Trust::Validated));
                assert!(
                    !self.keyed || !wire::has_magic(rx.payload),
                    "answered without proof of the key"
                );
            }
        }
    }

    fn check_silence(&self, rx: &Datagram<'_>, trust: Option<Trust>, why: Reason) {
        assert_ne!(trust, Some(Trust::Validated), "who is trusted is answered");
        match why {
            Reason::Loop => assert!(wire::is_reply(rx.payload)),
            Reason::BadAuth => assert!(self.keyed || self.require_key),
            other => panic!("{other:?} is no reason for an echo host"),
        }
    }

    fn check_reply(&mut self, rx: &Datagram<'_>, asked: &Probe, reply: &[u8]) {
        let told = Probe::parse(reply).expect("a structured reply");
        assert!(told.flags.reply);
        assert_eq!(
            (told.token, told.seq, told.t1),
            (asked.token, asked.seq, asked.t1)
        );
        assert_eq!(
            (told.length, told.wide.is_some()),
            (asked.length, asked.wide.is_some())
        );
        assert_eq!(
            reply[usize::from(told.length)..],
            rx.payload[usize::from(told.length)..],
            "padding"
        );
        assert!(told.received >= 1 && told.window & 1 == 1);
        let covered = if told.wide.is_some() { wire::WINDOW } else { 32 };
        assert!((1..=covered).contains(&told.window_len));
        if self.keyed {
            assert!(
                key().verify(rx.payload, asked.length),
                "answered without proof of the key"
            );
            assert!(key().verify(reply, told.length));
        }
        if let Some(wide) = told.wide {
            assert_ne!(wide.cookie, 0);
            self.cookie = wide.cookie;
        }
    }
}
