//! The UDP prober, and what may come back to it.

use crate::feed::Feed;
use crate::surroundings::{datagram, key, with_env};
use halloo_base::{Mono, ProbeId, Prober, Reason, Responder, Verdict};
use halloo_protocols::ProberOptions;
use halloo_protocols::echo::wire::{self, Probe};
use halloo_protocols::echo::{UdpEcho, UdpEchoOptions, UdpProber};

const TOKEN: u64 = 0x0123_4567_89ab_cdef;

const SIGN: u8 = 4;

/// Where a datagram is from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// Anything; a damaged datagram counts as that.
    Noise,
    /// The network, which sent the request back.
    Echo,
    /// A host that answered it.
    Host,
}

/// First whether there is a key, the size and the number of the request, then for each datagram an octet that says what
/// it is made of (noise, the request's echo, a host's answer), its damage, and for noise its bytes.
pub(crate) fn udp_recognise(data: &[u8]) {
    let mut feed = Feed::new(data);
    let keyed = feed.octet() & 1 != 0;
    let size = usize::from(feed.number() % 256);
    let id = ProbeId(u64::from(feed.number()) << 24 | u64::from(feed.number()));
    let mut prober = UdpProber::new(&ProberOptions {
        key: keyed.then(key),
        token: TOKEN,
        size,
        ..ProberOptions::default()
    });
    let mut request = vec![0; size];
    let asked = with_env(Mono(1_000), |env| prober.request(env, id, &mut request));
    assert_eq!(
        asked,
        Some(size).filter(|&size| !keyed || size >= wire::BASE + wire::TAG)
    );
    let answer = answer_to(&request, keyed);

    while !feed.is_empty() {
        let how = feed.octet();
        let (made_by, mut back) = match how % 3 {
            0 => {
                let len = usize::from(feed.octet());
                (Maker::Noise, feed.bytes(len).to_vec())
            }
            1 => (Maker::Echo, request.clone()),
            _ => (Maker::Host, answer.clone()),
        };
        let whole = back.clone();
        feed.damage(&mut back);
        if how & SIGN != 0
            && let Ok(probe) = Probe::parse(&back)
        {
            // Without H the signed bytes are a forger's guess at best.
            let _room = key().sign(&mut back, probe.length);
        }
        let made_by = if back == whole && asked.is_some() {
            made_by
        } else {
            Maker::Noise
        };
        check(&mut prober, &back, id, keyed, made_by);
    }
}

fn check(prober: &mut UdpProber, back: &[u8], id: ProbeId, keyed: bool, made_by: Maker) {
    let heard = prober.recognise(&datagram(0, Mono(9_000), back));
    match made_by {
        Maker::Echo if keyed => assert_eq!(heard, Err(Reason::BadAuth), "our own tag proves nothing"),
        Maker::Echo | Maker::Host => assert!(heard.is_ok(), "{heard:?}"),
        Maker::Noise => {}
    }
    let Ok(heard) = heard else { return };
    assert!(heard.bits == 64 || heard.low_bits >> heard.bits == 0, "{heard:?}");
    if made_by != Maker::Noise && heard.bits > 0 {
        assert_eq!(heard.resolve(id), Some(id));
    }
    if keyed {
        let probe = Probe::parse(back).expect("only probes carry a tag");
        assert!(probe.flags.reply && key().verify(back, probe.length));
    }
    if let Some(told) = heard.reflection {
        let arrivals = told.arrivals.expect("a structured answer counts");
        assert!(arrivals.window_len <= 64 && wire::is_reply(back));
    }
}

fn answer_to(request: &[u8], keyed: bool) -> Vec<u8> {
    let options = UdpEchoOptions {
        key: keyed.then(key),
        sessions: 1,
        ..UdpEchoOptions::default()
    };
    let mut echo = UdpEcho::new(options, [7; 32]);
    let mut reply = request.to_vec();
    let verdict = with_env(Mono(5_000), |env| {
        echo.respond(env, &datagram(0, Mono(4_000), request), &mut reply)
    });
    assert!(!matches!(verdict, Verdict::Silent(_)), "{verdict:?}");
    reply
}
