use super::*;
use proptest::prelude::*;

fn list(allow: &[&str], deny: &[&str]) -> AccessList {
    let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a prefix")).collect();
    AccessList {
        allow: parse(allow),
        deny: parse(deny),
    }
}

fn allows(list: &AccessList, ip: &str) -> bool {
    let ip: IpAddr = ip.parse().expect("an address");
    list.table().expect("no contradiction").allows(ip.to_canonical())
}

#[test]
fn the_longest_prefix_decides_and_nothing_means_yes() {
    let nested = list(&["10.1.0.0/16", "10.1.2.3/32"], &["10.0.0.0/8", "10.1.2.0/24"]);
    let closed = list(&["10.0.0.0/8", "2001:db8::/32"], &["0.0.0.0/0", "::/0"]);
    let ends = list(&["255.255.255.255/32"], &["255.255.255.254/31", "ffff::/16"]);
    let twins = list(&[], &["192.0.2.0/25", "192.0.2.128/25", "192.0.2.0/25"]);
    let mapped = list(&["::ffff:192.0.2.1/128"], &["::ffff:192.0.2.0/120"]);
    let table = [
        (&nested, "9.255.255.255", true),
        (&nested, "10.0.0.0", false),
        (&nested, "10.1.0.0", true),
        (&nested, "10.1.2.2", false),
        (&nested, "10.1.2.3", true),
        (&nested, "10.1.2.4", false),
        (&nested, "10.1.3.0", true),
        (&nested, "10.2.0.0", false),
        (&nested, "11.0.0.0", true),
        (&nested, "::ffff:10.0.0.1", false),
        (&nested, "::a00:1", true),
        (&closed, "10.9.9.9", true),
        (&closed, "9.9.9.9", false),
        (&closed, "2001:db8:1::", true),
        (&closed, "2001:db9::", false),
        (&ends, "255.255.255.254", false),
        (&ends, "255.255.255.255", true),
        (&ends, "ffff::1", false),
        (&ends, "fffe::1", true),
        (&twins, "192.0.2.127", false),
        (&twins, "192.0.2.128", false),
        (&twins, "192.0.3.0", true),
        (&mapped, "192.0.2.1", true),
        (&mapped, "192.0.2.2", false),
        (&mapped, "::ffff:192.0.2.2", false),
    ];
    for (list, ip, expected) in table {
        assert_eq!(allows(list, ip), expected, "{ip} in {list:?}");
    }
}

#[test]
fn a_prefix_cannot_be_both_allowed_and_denied() {
    let error = list(&["10.0.0.0/8", "192.0.2.77/24"], &["192.0.2.0/24"])
        .check()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "access: 192.0.2.0/24 is both allowed and denied"
    );
    assert_eq!(list(&["10.0.0.0/8"], &["10.0.0.0/9"]).check(), Ok(()));
}

#[test]
fn an_empty_list_needs_no_table() {
    let table = AccessList::default().table().expect("no contradiction");
    assert!(table.v4.is_empty() && table.v6.is_empty());
}

/// What the documentation says, word for word.
fn longest_prefix(allow: &[IpNet], deny: &[IpNet], ip: IpAddr) -> bool {
    let longest = |prefixes: &[IpNet]| {
        let holding = prefixes.iter().filter(|prefix| prefix.contains(&ip));
        holding
            .map(|prefix| i16::from(prefix.prefix_len()))
            .max()
            .unwrap_or(-1)
    };
    longest(allow) >= longest(deny)
}

/// Prefixes that often nest and touch: 16 neighbouring addresses, at either end of the address line or not.
fn prefix() -> impl Strategy<Value = IpNet> {
    let base = prop_oneof![Just(0u32), Just(0x0a00_0000), Just(u32::MAX - 15)];
    (base, 0u32..16, prop_oneof![Just(0u8), 26u8..=32]).prop_map(|(base, low, len)| {
        let net = Ipv4Net::new((base + low).into(), len).expect("a length up to 32");
        IpNet::V4(net.trunc())
    })
}

proptest! {
    #[test]
    fn the_table_says_what_the_longest_prefix_says(
        allow in prop::collection::vec(prefix(), 0..6),
        deny in prop::collection::vec(prefix(), 0..6),
    ) {
        let list = AccessList { allow: allow.clone(), deny: deny.clone() };
        prop_assume!(list.check().is_ok());
        let table = list.table().expect("it was checked");
        for base in [0u32, 0x0a00_0000 - 80, u32::MAX - 95] {
            for low in 0..=95 {
                let ip = IpAddr::V4((base + low).into());
                prop_assert_eq!(table.allows(ip), longest_prefix(&allow, &deny, ip), "{}", ip);
            }
        }
    }
}
