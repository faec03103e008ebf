//! The ICMP prober, and what may come back to it.

use crate::feed::Feed;
use crate::ip::sum;
use crate::surroundings::{datagram, with_env};
use halloo_base::{Mono, ProbeId, Prober};
use halloo_protocols::ProberOptions;
use halloo_protocols::icmp::{Echo, Family, HEADER, IcmpProber, IcmpProberOptions, Kind};

const REQUEST: u8 = 2;
const SEAL: u8 = 4;

/// First the IP version, the size, the identifier and the number of the request, then for each message an octet that says
/// what it is made of (noise, a host's answer, the request itself) and whether its checksum is made right, its damage, and
/// for noise its bytes.
pub(crate) fn prober(data: &[u8]) {
    let mut feed = Feed::new(data);
    let family = match feed.octet() & 1 {
        0 => Family::V4,
        _ => Family::V6,
    };
    let size = usize::from(feed.octet());
    let identifier = feed.number();
    let id = ProbeId(u64::from(feed.number()) << 8 | u64::from(feed.octet()));
    let mut prober = IcmpProber::new(&ProberOptions {
        token: 0x0123_4567_89ab_cdef,
        size,
        icmp: IcmpProberOptions { identifier, family },
        ..ProberOptions::default()
    });
    let mut request = vec![0; size];
    let asked = with_env(Mono(1_000), |env| prober.request(env, id, &mut request));
    assert_eq!(asked, Some(size).filter(|&size| size >= HEADER));
    let answer = asked.map_or(vec![], |_| answer_to(&request, family));

    while !feed.is_empty() {
        let how = feed.octet();
        let mut back = match how & 3 {
            0 => {
                let len = usize::from(feed.octet());
                feed.bytes(len).to_vec()
            }
            REQUEST => request.clone(),
            _ => answer.clone(),
        };
        feed.damage(&mut back);
        if how & SEAL != 0 && family == Family::V4 {
            seal(&mut back);
        }
        check_answer(&mut prober, &back, &answer, family, id);
        check_quote(&prober, &back, &request, family, id);
        check_codec(&back, family);
    }
}

/// Whatever is heard is the answer itself, but for its number, with a right checksum.
fn check_answer(prober: &mut IcmpProber, back: &[u8], answer: &[u8], family: Family, id: ProbeId) {
    let heard = prober.recognise(&datagram(0, Mono(9_000), back));
    let Ok(heard) = heard else {
        assert!(back != answer || answer.is_empty(), "{heard:?}");
        return;
    };
    assert_eq!((&back[..2], &back[4..6]), (&answer[..2], &answer[4..6]));
    assert_eq!(back[HEADER..], answer[HEADER..]);
    assert!(family == Family::V6 || sum(back) == 0xffff);
    assert_eq!((heard.low_bits, heard.bits), (number(back), 16));
    assert!(heard.reflection.is_none() && heard.refusal.is_none() && heard.options.is_none());
    if back == answer {
        assert_eq!(heard.resolve(id), Some(id));
    }
}

/// An error is about this session where it quotes the beginning of a request of its, as far as that goes.
fn check_quote(prober: &IcmpProber, quote: &[u8], request: &[u8], family: Family, id: ProbeId) {
    let told = prober.quoted(quote);
    if request.starts_with(quote) && quote.len() >= HEADER {
        assert_eq!(told.and_then(|heard| heard.resolve(id)), Some(id));
    }
    let Some(heard) = told else { return };
    let (echo, _) = Echo::parse(quote, family).expect("it tells the number");
    assert_eq!(echo.kind, Kind::Request);
    assert_eq!((heard.low_bits, heard.bits), (number(quote), 16));
}

/// What is read is written the same, with a right checksum.
fn check_codec(message: &[u8], family: Family) {
    let Ok((echo, data)) = Echo::parse(message, family) else {
        return;
    };
    assert_eq!(data, &message[HEADER..]);
    let mut again = message.to_vec();
    echo.emit(family, &mut again).expect("the same length");
    assert_eq!(again[..2], message[..2]);
    assert_eq!(again[4..], message[4..]);
    match family {
        Family::V4 => assert_eq!(sum(&again), 0xffff),
        Family::V6 => assert_eq!(again[2..4], [0, 0]),
    }
}

fn number(message: &[u8]) -> u64 {
    u64::from(u16::from_be_bytes([message[6], message[7]]))
}

/// What a host's kernel makes of a request.
fn answer_to(request: &[u8], family: Family) -> Vec<u8> {
    let mut reply = request.to_vec();
    reply[0] = match family {
        Family::V4 => 0,
        Family::V6 => 129,
    };
    if family == Family::V4 {
        seal(&mut reply);
    }
    reply
}

/// Makes the checksum right, which mutation alone hardly ever does.
fn seal(message: &mut [u8]) {
    if message.len() >= HEADER {
        message[2..4].fill(0);
        let checksum = !sum(message);
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
}
