//! TLVs taken apart, and put together.

use super::super::tlv::*;
use proptest::prelude::*;
use std::net::IpAddr;

fn taken(area: &[u8]) -> Vec<Result<Tlv<'_>, Cut>> {
    Tlvs::new(area).collect()
}

#[test]
fn tlvs_come_in_their_order_until_one_is_cut() {
    let area = [0x80, 1, 0, 2, 0xaa, 0xbb, 0x40, 9, 0, 0, 0x20, 3, 0, 1, 0xcc];
    let all = [
        Tlv {
            at: 0,
            flags: 0x80,
            kind: 1,
            value: &[0xaa, 0xbb],
        },
        Tlv {
            at: 6,
            flags: 0x40,
            kind: 9,
            value: &[],
        },
        Tlv {
            at: 10,
            flags: 0x20,
            kind: 3,
            value: &[0xcc],
        },
    ];
    let ends = [6, 10, 15];
    for cut in 0..=area.len() {
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        let mut expected: Vec<_> = all[..whole].iter().copied().map(Ok).collect();
        let end = whole.checked_sub(1).map_or(0, |last| ends[last]);
        if cut > end {
            expected.push(Err(Cut { at: end }));
        }
        assert_eq!(taken(&area[..cut]), expected, "{cut}");
    }
}

#[test]
fn each_type_has_its_length() {
    let table = [
        (EXTRA_PADDING, 0, 300),
        (TIMESTAMP_INFORMATION, 4, 4),
        (CLASS_OF_SERVICE, 4, 4),
        (DIRECT_MEASUREMENT, 12, 12),
        (ACCESS_REPORT, 4, 4),
        (FOLLOW_UP_TELEMETRY, 16, 16),
        (HMAC_TLV, 16, 16),
        (0, 0, 300),
        (200, 0, 300),
    ];
    for (kind, least, most) in table {
        for len in 0..=300 {
            let fits = (least..=most).contains(&len);
            assert_eq!(
                is_well_formed(kind, &vec![0; len]),
                fits,
                "type {kind}, {len} bytes"
            );
        }
    }
    for len in 0..4 {
        assert!(!is_well_formed(LOCATION, &vec![0; len]));
    }
    let whole = [
        &[0; 4][..],
        &super::tlv(SOURCE_IP, &[0; 16]),
        &super::tlv(SOURCE_MAC, &[0; 8]),
    ]
    .concat();
    for cut in 4..=whole.len() {
        let fits = [4, 24, 36].contains(&cut);
        assert_eq!(is_well_formed(LOCATION, &whole[..cut]), fits, "{cut}");
    }
}

#[test]
fn a_class_of_service_has_its_bits_where_the_figure_has_them() {
    // DSCP1 46, DSCP2 and ECN of the octet 0xb9, RP 2: 101110 101110 01 10.
    let told = ClassOfService {
        requested_dscp: 46,
        seen_tos: 0xb9,
        reverse_path: 2,
    };
    assert_eq!(told.emit(), [0b1011_1010, 0b1110_0110, 0, 0]);
    assert_eq!(ClassOfService::parse(&told.emit()), told);
    assert_eq!(
        ClassOfService::parse(&[0b1011_1010, 0b1110_0110, 0xff, 0xff]),
        told,
        "reserved bits are ignored"
    );
}

#[test]
fn addresses_are_of_the_family_that_the_type_says() {
    let table = [
        (SOURCE_IPV4, "192.0.2.33"),
        (DESTINATION_IPV4, "192.0.2.33"),
        (SOURCE_IPV6, "2001:db8::5"),
        (DESTINATION_IPV6, "2001:db8::5"),
    ];
    for (kind, text) in table {
        let ip: IpAddr = text.parse().expect("an address");
        assert_eq!(address(kind, &address_value(ip)), Some(ip));
        for len in (0..20).filter(|&len| len != 16) {
            assert_eq!(address(kind, &vec![1; len]), None, "{len}");
        }
    }
    for kind in [SOURCE_MAC, SOURCE_EUI64, SOURCE_IP, DESTINATION_IP, 99] {
        assert_eq!(address(kind, &[1; 16]), None);
    }
}

proptest! {
    #[test]
    fn any_octets_are_tlvs_up_to_a_cut(area in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut at = 0;
        for tlv in Tlvs::new(&area) {
            match tlv {
                Ok(tlv) => {
                    prop_assert_eq!(tlv.at, at);
                    at += HEADER + tlv.value.len();
                    prop_assert_eq!(&area[at - tlv.value.len()..at], tlv.value);
                }
                Err(cut) => {
                    prop_assert_eq!(cut.at, at);
                    at = area.len();
                }
            }
        }
        prop_assert_eq!(at, area.len());
    }

    #[test]
    fn any_class_of_service_survives(requested_dscp in 0..64_u8, seen_tos: u8, reverse_path in 0..4_u8) {
        let told = ClassOfService { requested_dscp, seen_tos, reverse_path };
        prop_assert_eq!(ClassOfService::parse(&told.emit()), told);
    }
}
