//! The IP echo host on hostile datagrams, and its prober on what may come back.

use crate::feed::Feed;
use crate::surroundings::{datagram, with_env};
use halloo_base::{IpHeader, IpOptions, Mono, ProbeId, Prober, Responder, Verdict};
use halloo_protocols::ProberOptions;
use halloo_protocols::ip_echo::{
    Described, IcmpPolicy, IpEcho, IpEchoOptions, IpProber, describe, vectors::ADDRESSES,
};
use std::net::IpAddr;

const SAFE: u8 = 1;
const ON_LINK: u8 = 2;
const SEAL: u8 = 4;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

/// First an octet of switches, then the datagram.
pub(crate) fn respond(data: &[u8]) {
    let mut feed = Feed::new(data);
    let how = feed.octet();
    let mut request = feed.bytes(data.len()).to_vec();
    if how & SEAL != 0 {
        seal(&mut request);
    }
    let mut host = IpEcho::new(&IpEchoOptions {
        addresses: echo_addresses().to_vec(),
        icmp: if how & SAFE != 0 {
            IcmpPolicy::Safe
        } else {
            IcmpPolicy::Discard
        },
        on_link: how & ON_LINK != 0,
    });
    let mut reply = request.clone();
    let verdict = with_env(Mono(1_000), |env| {
        host.respond(env, &datagram(0, Mono(900), &request), &mut reply)
    });
    match verdict {
        Verdict::Reply(len) => check(&request, &reply[..len]),
        Verdict::Silent(_) => {}
        Verdict::ReplyStamped(..) | Verdict::ReplyFrom(..) => {
            panic!("nobody asked when it left, or for another way")
        }
    }
}

fn check(request: &[u8], reply: &[u8]) {
    let asked = IpHeader::parse(request).expect("it was answered");
    let told = IpHeader::parse(reply).expect("an answer is IP");
    assert!(reply.len() == asked.length && told.length == asked.length);
    assert!(reply.len() <= request.len(), "nothing is amplified");
    assert!(echo_addresses().contains(&told.source) && told.source == asked.destination);
    assert!(!echo_addresses().contains(&told.destination) && !told.destination.is_multicast());
    assert_eq!(told.marks.ttl, asked.marks.ttl.map(|ttl| ttl - 1));
    assert_ne!(told.marks.ttl, Some(0));
    assert_eq!((told.marks.tos, told.protocol), (asked.marks.tos, asked.protocol));
    match header_len(reply) {
        Some(header) => {
            assert_eq!(sum(&reply[..header]), 0xffff, "the header's checksum");
            assert_eq!(reply[2..8], request[2..8], "length, identification and fragment");
            let payload = (&reply[header..], &request[header..asked.length]);
            // An error about a datagram that was too big is the one thing that is not passed on as it is.
            assert!(payload.0 == payload.1 || asked.protocol == 1 && sum(payload.0) == 0xffff);
            check_options(&reply[IPV4_HEADER..header]);
        }
        None => {
            assert_eq!(told.destination, asked.source);
            assert_eq!(reply[IPV6_HEADER..], request[IPV6_HEADER..asked.length]);
        }
    }
}

/// Options that were sent back hold together, and no route in them has been begun.
fn check_options(octets: &[u8]) {
    for option in IpOptions::new(octets)
        .map(|options| describe(&options))
        .into_iter()
        .flatten()
    {
        match option {
            Described::Route { passed, .. } => assert!(passed.is_empty()),
            Described::Broken => panic!("{octets:02x?}"),
            _ => {}
        }
    }
}

/// First the version, the size and the number of the request and the octets of options, then for each datagram whether
/// it is noise or the echo, its damage, and for noise its bytes.
pub(crate) fn prober(data: &[u8]) {
    let mut feed = Feed::new(data);
    // Which of the senders in `surroundings` it is: the first is reached over IPv4, the third over IPv6.
    let remote = if feed.octet() & 1 == 0 { 0 } else { 2 };
    let size = usize::from(feed.octet());
    let id = ProbeId(u64::from(feed.number()));
    let option_words = usize::from(feed.octet() % 11);
    let mut options = feed.bytes(4 * option_words).to_vec();
    options.resize(4 * option_words, 0);

    let mut prober = IpProber::new(&ProberOptions {
        key: None,
        token: 0x0123_4567_89ab_cdef,
        size,
        ..ProberOptions::default()
    });
    let mut payload = vec![0; size];
    let asked = with_env(Mono(1_000), |env| prober.request(env, id, &mut payload));
    assert_eq!(asked, Some(size));
    let echo = if remote == 0 {
        dressed(&payload, &options)
    } else {
        payload.clone()
    };
    let known = prober.quoted(&payload).expect("its own request");
    assert!(known.bits == 0 || known.resolve(id).is_some());

    while !feed.is_empty() {
        let is_echo = feed.octet() & 1 != 0;
        let mut back = if is_echo {
            echo.clone()
        } else {
            let len = usize::from(feed.octet());
            feed.bytes(len).to_vec()
        };
        feed.damage(&mut back);
        let heard = prober.recognise(&datagram(remote, Mono(9_000), &back));
        let Ok(heard) = heard else {
            assert!(back != echo, "{heard:?}");
            continue;
        };
        assert!(heard.reflection.is_none() && heard.refusal.is_none());
        assert!(heard.options.is_none() || remote == 0);
        if let Some(options) = heard.options {
            let _ = describe(&options);
        }
        if back == echo {
            assert_eq!((heard.low_bits, heard.bits), (known.low_bits, known.bits));
            let expected = IpOptions::new(&options).filter(|_| remote == 0);
            assert_eq!(heard.options, expected);
        }
    }
}

fn echo_addresses() -> [IpAddr; 3] {
    ADDRESSES.map(|text| text.parse().expect("an address"))
}

/// What a raw socket delivers of an echo over IPv4. Its prober does not look at addresses and checksum.
fn dressed(payload: &[u8], options: &[u8]) -> Vec<u8> {
    let header = IPV4_HEADER + options.len();
    let mut bytes = vec![0; IPV4_HEADER];
    bytes[0] = 0x40 | (header / 4) as u8;
    bytes[2..4].copy_from_slice(&((header + payload.len()) as u16).to_be_bytes());
    [&bytes, options, payload].concat()
}

/// Octets of a whole IPv4 header.
fn header_len(datagram: &[u8]) -> Option<usize> {
    let first = datagram.first().filter(|&first| first >> 4 == 4)?;
    let len = usize::from(first & 15) * 4;
    (IPV4_HEADER..=datagram.len()).contains(&len).then_some(len)
}

/// Makes the checksum of an IPv4 header right, which mutation alone hardly ever does.
fn seal(datagram: &mut [u8]) {
    if let Some(header) = header_len(datagram) {
        datagram[10..12].fill(0);
        let checksum = !sum(&datagram[..header]);
        datagram[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// The sum under every Internet checksum (RFC 1071).
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
    let sum: u64 = bytes.chunks(2).map(word).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}
