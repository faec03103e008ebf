use super::super::{IcmpPolicy, IpProber, SelfProber};
use super::{SOURCE, host};
use crate::ProberOptions;
use crate::echo::tests::{datagram, with_env};
use crate::echo::{Key, wire};
use halloo_base::{Datagram, Heard, IpOptions, ProbeId, Prober, Reason};

const OPTIONS: [u8; 8] = [1, 7, 7, 4, 0, 0, 0, 0];

fn prober(token: u64) -> IpProber {
    IpProber::new(&ProberOptions {
        token,
        ..ProberOptions::default()
    })
}

fn request(prober: &mut IpProber, id: u64) -> Vec<u8> {
    let mut payload = vec![0; 64];
    let len = with_env(9, |env| prober.request(env, ProbeId(id), &mut payload));
    assert_eq!(len, Some(64));
    payload
}

/// The IPv4 datagram that the kernel makes of a payload.
fn dressed(payload: &[u8], options: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let mut bytes = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 253, 0, 0];
    bytes[0] = 0x40 | (header / 4) as u8;
    bytes.extend(SOURCE.parse::<std::net::Ipv4Addr>().expect("an address").octets());
    bytes.extend([192, 0, 2, 7]);
    bytes.extend(options);
    bytes.extend(payload);
    let total = bytes.len() as u16;
    bytes[2..4].copy_from_slice(&total.to_be_bytes());
    let sum = super::super::checksum::of(&bytes[..header]);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn hear(prober: &mut IpProber, remote: &str, payload: &[u8]) -> Result<Heard, Reason> {
    let rx: Datagram<'_> = datagram(remote, 20, payload);
    prober.recognise(&rx)
}

#[test]
fn its_own_request_is_an_answer_when_it_was_turned_round() {
    let mut prober = prober(7);
    let mut echoed = dressed(&request(&mut prober, 3), &OPTIONS);
    host(IcmpPolicy::Discard)
        .turn_round(&mut echoed)
        .expect("an echo");
    let heard = hear(&mut prober, "192.0.2.7:0", &echoed).expect("an answer");
    assert_eq!((heard.low_bits, heard.bits), (3, 32));
    assert_eq!(heard.options, IpOptions::new(&OPTIONS));
}

#[test]
fn over_ipv6_the_payload_comes_alone() {
    let mut prober = prober(7);
    let payload = request(&mut prober, 4);
    let heard = hear(&mut prober, "[2001:db8::7]:0", &payload).expect("an answer");
    assert_eq!((heard.low_bits, heard.options), (4, None));
}

#[test]
fn the_echo_of_another_session_is_foreign() {
    let echoed = dressed(&request(&mut prober(8), 3), &[]);
    assert_eq!(hear(&mut prober(7), "192.0.2.7:0", &echoed), Err(Reason::Foreign));
}

#[test]
fn a_payload_that_changed_is_no_answer() {
    let mut prober = prober(7);
    let mut echoed = dressed(&request(&mut prober, 3), &[]);
    *echoed.last_mut().expect("not empty") ^= 1;
    assert_eq!(hear(&mut prober, "192.0.2.7:0", &echoed), Err(Reason::Malformed));
}

#[test]
fn any_cut_of_an_answer_is_no_answer() {
    let mut prober = prober(7);
    let echoed = dressed(&request(&mut prober, 3), &OPTIONS);
    for len in 0..echoed.len() {
        assert!(hear(&mut prober, "192.0.2.7:0", &echoed[..len]).is_err(), "{len}");
    }
}

#[test]
fn a_quoted_payload_tells_the_request() {
    let mut prober = prober(7);
    let payload = request(&mut prober, 5);
    assert_eq!(prober.quoted(&payload).map(|heard| heard.low_bits), Some(5));
}

#[test]
fn what_the_receiving_kernel_writes_into_the_options_does_no_harm() {
    let mut prober = prober(7);
    let mut echoed = dressed(&request(&mut prober, 3), &OPTIONS);
    // It puts its own address into a recorded route, and leaves the checksum of the header as it was.
    let recorded = [1, 7, 7, 8, 198, 51, 100, 9];
    echoed[20..28].copy_from_slice(&recorded);
    let heard = hear(&mut prober, "192.0.2.7:0", &echoed).expect("an answer");
    assert_eq!(heard.options, IpOptions::new(&recorded));
}

#[test]
fn padding_behind_the_datagram_is_not_looked_at() {
    let mut prober = prober(7);
    let mut echoed = dressed(&request(&mut prober, 3), &[]);
    echoed.extend([0xa5; 9]);
    let heard = hear(&mut prober, "192.0.2.7:0", &echoed).expect("an answer");
    assert_eq!((heard.low_bits, heard.options), (3, None));
}

#[test]
fn who_answers_instead_of_echoing_is_no_echo_host() {
    let options = ProberOptions {
        token: 7,
        ..ProberOptions::default()
    };
    let payload = request(&mut prober(7), 3);
    let mut reply = wire::Probe::parse(&payload).expect("a structured probe");
    reply.flags.reply = true;
    let mut answer = payload.clone();
    reply.emit(&mut answer).expect("the same length");
    let mut oneself = SelfProber::new(&options);
    let mut heard = |payload: &[u8]| oneself.recognise(&datagram("192.0.2.7:7777", 20, payload));
    assert_eq!(heard(&payload).map(|heard| heard.low_bits), Ok(3));
    assert_eq!(heard(&answer), Err(Reason::Foreign));
    assert_eq!(
        hear(&mut prober(7), "192.0.2.7:0", &dressed(&answer, &[])),
        Err(Reason::Foreign)
    );
}

#[test]
fn a_key_changes_nothing() {
    let keyed = ProberOptions {
        token: 7,
        key: Some(Key::new(b"sixteen octets or more").expect("long enough")),
        ..ProberOptions::default()
    };
    let payload = request(&mut prober(7), 3);
    assert_eq!(request(&mut IpProber::new(&keyed), 3), payload);
    assert!(hear(&mut IpProber::new(&keyed), "192.0.2.7:0", &dressed(&payload, &[])).is_ok());
}

#[test]
fn a_payload_too_small_for_a_probe_is_numbered_as_far_as_it_reaches() {
    for size in [0, 1, 8, 63] {
        let mut prober = IpProber::new(&ProberOptions {
            token: 7,
            size,
            ..ProberOptions::default()
        });
        let mut payload = vec![0; size];
        let len = with_env(9, |env| prober.request(env, ProbeId(5), &mut payload));
        assert_eq!(len, Some(size));
        let heard = hear(&mut prober, "192.0.2.7:0", &dressed(&payload, &[])).expect("an answer");
        let bits = (size.min(8) * 8).saturating_sub(1) as u32;
        assert_eq!(
            (heard.low_bits, heard.bits),
            (if size == 0 { 0 } else { 5 }, bits)
        );
    }
}
