use super::super::{IcmpPolicy, IpProber};
use super::{SOURCE, host};
use crate::ProberOptions;
use crate::echo::tests::{datagram, with_env};
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
