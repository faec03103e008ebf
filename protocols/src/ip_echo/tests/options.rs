use super::super::{Asked, AskedError, Described, HopTime, RouteKind, describe};
use halloo_base::IpOptions;
use std::net::Ipv4Addr;

fn ip(text: &str) -> Ipv4Addr {
    text.parse().expect("an address")
}

fn described(octets: &[u8]) -> Vec<Described> {
    describe(&IpOptions::new(octets).expect("1 to 40 octets"))
}

#[test]
fn a_record_tells_the_hops_so_far_and_the_room_that_is_left() {
    let octets = [1, 7, 11, 8, 192, 0, 2, 1, 0, 0, 0, 0];
    let route = Described::Route {
        kind: RouteKind::Record,
        passed: vec![ip("192.0.2.1")],
        ahead: vec![ip("0.0.0.0")],
    };
    assert_eq!(described(&octets), [route]);
}

#[test]
fn timestamps_are_told_with_and_without_addresses() {
    let with = [68, 20, 13, 0x21, 192, 0, 2, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0];
    let told = Described::Timestamps {
        entries: vec![(Some(ip("192.0.2.1")), HopTime(9))],
        overflow: 2,
    };
    assert_eq!(described(&with), [told]);
    let without = [68, 12, 13, 0, 0, 0, 0, 9, 0, 0, 0, 8];
    let told = Described::Timestamps {
        entries: vec![(None, HopTime(9)), (None, HopTime(8))],
        overflow: 0,
    };
    assert_eq!(described(&without), [told]);
}

#[test]
fn what_does_not_hold_together_is_said_to_be_broken() {
    assert_eq!(
        described(&[148, 4, 0, 0, 7, 9, 4, 0]),
        [Described::Other(148), Described::Broken]
    );
    assert_eq!(described(&[7, 7, 5, 1, 2, 3, 4, 0]), [Described::Broken]);
    assert_eq!(described(&[1, 1, 0, 9]), []);
}

#[test]
fn a_time_reads_as_a_time_of_day_where_it_is_one() {
    assert_eq!(HopTime(45_296_789).to_string(), "12:34:56.789");
    assert_eq!(HopTime(0x8000_0001).to_string(), "0x80000001");
}

#[test]
fn what_is_asked_fills_whole_words_and_reads_back() {
    let asked = |route: &[&str], record, timestamps| Asked {
        source_route: route.iter().map(|hop| ip(hop)).collect(),
        record_route: record,
        timestamps,
    };
    assert_eq!(asked(&[], false, None).octets(), Ok(vec![]));
    let table = [
        (asked(&[], true, None), 40, 1),
        (asked(&[], false, Some(true)), 36, 1),
        (asked(&[], false, Some(false)), 40, 1),
        (asked(&[], true, Some(true)), 40, 2),
        (asked(&["192.0.2.1", "192.0.2.2"], true, Some(false)), 40, 3),
        (asked(&["192.0.2.1"; 9], false, None), 40, 1),
    ];
    for (asked, len, options) in table {
        let octets = asked.octets().expect("they fit");
        assert_eq!((octets.len(), octets.len() % 4), (len, 0), "{asked:?}");
        let told = described(&octets);
        assert_eq!(told.len(), options, "{told:?}");
        assert!(!told.contains(&Described::Broken), "{told:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let hops = |count| Asked {
        source_route: vec![ip("192.0.2.1"); count],
        ..Asked::default()
    };
    assert_eq!(hops(10).octets(), Err(AskedError::TooManyHops(10)));
    let both = Asked {
        record_route: true,
        ..hops(9)
    };
    assert_eq!(both.octets(), Err(AskedError::NoRoom));
}

#[test]
fn what_is_asked_reaches_the_kernel_octet_by_octet() {
    let routed = Asked {
        source_route: vec![ip("192.0.2.1"), ip("192.0.2.2")],
        ..Asked::default()
    };
    let route = vec![1, 131, 11, 4, 192, 0, 2, 1, 192, 0, 2, 2];
    assert_eq!(routed.octets(), Ok(route));
    let recorded = Asked {
        record_route: true,
        ..Asked::default()
    };
    assert_eq!(recorded.octets(), Ok([&[1, 7, 39, 4][..], &[0; 36]].concat()));
    for (with_addresses, head) in [(false, [68, 40, 5, 0]), (true, [68, 36, 5, 1])] {
        let timed = Asked {
            timestamps: Some(with_addresses),
            ..Asked::default()
        };
        let room = usize::from(head[1]) - 4;
        assert_eq!(timed.octets(), Ok([&head[..], &vec![0; room]].concat()));
    }
}
