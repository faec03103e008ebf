//! Names and their URI form.

use super::*;

#[test]
fn uris_are_read_and_written() {
    let table = [
        ("/", ""),
        ("", ""),
        ("ndn:/", ""),
        ("ndn://authority", ""),
        ("//authority", ""),
        ("/A", "080141"),
        ("A", "080141"),
        ("/A/", "080141"),
        ("ndn:/A", "080141"),
        ("ndn:A", "080141"),
        ("ndn://authority/A", "080141"),
        ("//authority/A/B", "080141 080142"),
        ("/...", "0800"),
        ("/....", "08012e"),
        ("/.....", "08022e2e"),
        ("/.a", "08022e61"),
        ("/%41%42", "08024142"),
        ("/%e4", "0801e4"),
        ("/%00", "080100"),
        ("/%zz", "08 03 257a7a"),
        ("/%4", "08 02 2534"),
        ("/a+b", "08 03 612b62"),
        ("/a%3Db", "08 03 613d62"),
        ("/8=A", "080141"),
        ("/32=PA", "20025041"),
        ("/65535=x", "fdffff0178"),
        ("/seg=0", "320100"),
        ("/off=256", "34020100"),
        ("/v=1795187875797", "3608000001a1f9891fd5"),
        ("/t=65536", "380400010000"),
        ("/seq=4660", "3a021234"),
        // What stands before a colon is a scheme, unless a slash comes first.
        ("a:b/c", "080162 080163"),
        ("/a:b/c", "0803613a62 080163"),
    ];
    for (uri, value) in table {
        let name: NameBuf = uri.parse().unwrap_or_else(|why| panic!("{uri}: {why}"));
        assert_eq!(name.as_name().value(), hex(value), "{uri}");
        let printed = name.to_string();
        assert_eq!(printed.parse(), Ok(name), "{uri} printed as {printed}");
    }
}

#[test]
fn digests_are_components_of_their_own() {
    let digest = "28bad4b5275bd392dbb670c75cf0b66f13f7942021e80f55c0e86b374753a548";
    for (word, kind) in [("sha256digest", "01"), ("params-sha256", "02")] {
        let uri = format!("/a/{word}={digest}");
        let name = named(&uri);
        assert_eq!(name.as_name().value(), hex(&format!("080161 {kind}20 {digest}")));
        assert_eq!(name.to_string(), uri);
        assert_eq!(named(&format!("/a/{word}={}", digest.to_uppercase())), name);
    }
    let canonical = named(&format!("/sha256digest={digest}"))
        .as_name()
        .to_uri(UriForm::Canonical);
    assert!(canonical.starts_with("/1=%28%BA%D4%B5%27%5B"), "{canonical}");
    assert_eq!(named(&canonical), named(&format!("/sha256digest={digest}")));
}

#[test]
fn what_is_no_name_says_why() {
    let short = "sha256digest=28ba";
    let table = [
        ("/.", "a component of a name cannot be '.'"),
        ("/a/../b", "a component of a name cannot be '..'"),
        ("/a//b", "a component of a name cannot be ''"),
        ("/a//", "a component of a name cannot be ''"),
        ("/%2E%2e", "a component of a name cannot be '%2E%2e'"),
        ("/32=.", "a component of a name cannot be '.'"),
        ("/32=", "a component of a name cannot be ''"),
        ("/a=b", "'a' is no type of name component"),
        ("/=b", "'' is no type of name component"),
        ("/0=b", "'0' is no type of name component"),
        ("/065=b", "'065' is no type of name component"),
        ("/65536=b", "'65536' is no type of name component"),
        ("/-1=b", "'-1' is no type of name component"),
        ("/SEG=1", "'SEG' is no type of name component"),
        ("/seg=", "'' is not what a 'seg' component holds"),
        ("/seg=01", "'01' is not what a 'seg' component holds"),
        ("/seg=+1", "'+1' is not what a 'seg' component holds"),
        (
            "/v=18446744073709551616",
            "'18446744073709551616' is not what a 'v' component holds",
        ),
        (short, "'28ba' is not what a 'sha256digest' component holds"),
        ("/1=abc", "'abc' is not what a '1' component holds"),
    ];
    for (uri, why) in table {
        let said = uri.parse::<NameBuf>().expect_err(uri).to_string();
        assert_eq!(said, why, "{uri}");
    }
}

#[test]
fn printing_escapes_what_reading_would_take_for_something_else() {
    let table = [
        ("080161", "/a", "/a"),
        ("0805 617e2d5f2e", "/a~-_.", "/a~-_."),
        ("0803 613d62", "/a%3Db", "/a%3Db"),
        ("0802 2f20", "/%2F%20", "/%2F%20"),
        ("0801 e4", "/%E4", "/%E4"),
        ("0800", "/...", "/..."),
        ("0803 2e2e2e", "/......", "/......"),
        ("3a021234", "/seq=4660", "/58=%124"),
        ("3201 00", "/seg=0", "/50=%00"),
        // Any of the four lengths is a number; another is not.
        ("3202 0005", "/seg=5", "/50=%00%05"),
        ("3203 000005", "/50=%00%00%05", "/50=%00%00%05"),
        ("3200", "/50=...", "/50=..."),
        ("2001 41", "/32=A", "/32=A"),
    ];
    for (value, alternate, canonical) in table {
        let value = hex(value);
        let name = Name::from_value(&value).expect("a name");
        assert_eq!(name.to_uri(UriForm::Alternate), alternate);
        assert_eq!(name.to_uri(UriForm::Canonical), canonical);
        assert_eq!(named(canonical).as_name(), name);
    }
    assert_eq!(NameBuf::new().to_string(), "/");
}

#[test]
fn names_are_ordered_by_type_then_length_then_bytes() {
    let sorted = [
        "/",
        "/sha256digest=0000000000000000000000000000000000000000000000000000000000000000",
        "/a",
        "/a/b",
        "/b",
        "/zz",
        "/aaa",
        "/32=a",
        "/65535=a",
    ];
    for pair in sorted.windows(2) {
        assert!(named(pair[0]) < named(pair[1]), "{pair:?}");
    }
}

#[test]
fn prefixes_end_between_components() {
    let name = named("/a/bc/d");
    for prefix in ["/", "/a", "/a/bc", "/a/bc/d"] {
        assert!(named(prefix).as_name().is_prefix_of(name.as_name()), "{prefix}");
    }
    for other in ["/a/b", "/b", "/a/bc/d/e", "/a/bc/32=d"] {
        assert!(!named(other).as_name().is_prefix_of(name.as_name()), "{other}");
    }
    let rest = name.as_name().strip_prefix(named("/a").as_name());
    assert_eq!(rest.map(|rest| rest.to_string()).as_deref(), Some("/bc/d"));
}

#[test]
fn components_are_built_and_looked_at() {
    let name = named("/a").with(b"ping").with_number(58, 4660);
    assert_eq!(name.to_string(), "/a/ping/seq=4660");
    let last = name.as_name().last().expect("a component");
    assert_eq!((last.kind, last.number()), (58, Some(4660)));
    assert_eq!(name.as_name().components().count(), 3);
    assert_eq!(NameBuf::new().as_name().last(), None);
    let long = NameBuf::new().with(&[b'x'; 300]);
    assert_eq!(long.as_name().value()[..4], hex("08fd012c"));
    assert_eq!(
        long.as_name().components().next(),
        Some(Component::generic(&[b'x'; 300]))
    );
    let mut broken = NameBuf::new();
    for (kind, value) in [(0, &b"a"[..]), (1, b"a"), (2, b"")] {
        assert_eq!(broken.push(Component { kind, value }), Err(Malformed::BadName));
    }
    assert!(broken.as_name().is_empty());
}
