use super::*;

fn error(text: &str) -> String {
    Config::parse("bad.toml", text).expect_err(text).to_string()
}

#[test]
fn each_mistake_is_told_with_its_place_and_what_would_be_right() {
    let forms = "use PORT, ADDRESS:PORT or [ADDRESS]:PORT (7777, 192.0.2.7:7777, [::]:7777)";
    let table = [
        ("[serve]\nupd = [\"7\"]\n", "bad.toml:2:1: unknown key `upd`; did you mean `udp`?".to_owned()),
        ("[server]\n", "bad.toml:1:2: unknown key `server`; did you mean `serve`?".into()),
        (
            "[access]\ncolour = 1\n",
            "bad.toml:2:1: unknown key `colour`; there are allow, deny".into(),
        ),
        (
            "[serve]\nclassic = \"yes\"\n",
            "bad.toml:2:11: serve.classic: invalid type: string \"yes\", expected a boolean".into(),
        ),
        ("[serve]\nudp = [\"7\", \"localhost\"]\n", format!("bad.toml:2:13: serve.udp: `localhost`: {forms}")),
        (
            "[serve]\ntcp = [\":0\"]\n",
            "bad.toml:2:8: serve.tcp: `:0`: port 0 would be another port at every start; write 1 to 65535".into(),
        ),
        ("[serve]\nudp = [\"7\", \"[::]:7\"]\n", "bad.toml:2:7: serve.udp: [::]:7 is listed twice".into()),
        (
            "[serve]\nrequire_key = true\n",
            "bad.toml:2:15: serve.require_key: there is no key_file to require the key of".into(),
        ),
        (
            "[access]\nallow = [\"10.0.0.0/33\"]\n",
            "bad.toml:2:10: access.allow: `10.0.0.0/33` is not an address or a prefix, such as 10.0.0.0/8 or \
             2001:db8::/32"
                .into(),
        ),
        (
            "[access]\nallow = [\"10.0.0.0/8\"]\ndeny = [\"10.0.0.0/8\"]\n",
            "bad.toml:3:8: access.deny: 10.0.0.0/8 is both allowed and denied".into(),
        ),
        (
            "[limits]\nper_source = { per_second = 0, burst = 1 }\n",
            "bad.toml:2:29: limits.per_source.per_second is 0, but must be 1 to 100000000".into(),
        ),
        (
            "[limits]\nall = \"lots\"\n",
            "bad.toml:2:7: limits.all: invalid value: string \"lots\", expected { per_second = N, burst = N } or \
             \"none\""
                .into(),
        ),
        (
            "[limits]\nper_source = { per_second = 5 }\n",
            "bad.toml:2:14: limits.per_source: missing field `burst`".into(),
        ),
        (
            "[stun]\nother = [\"3479\"]\n",
            "bad.toml:2:10: stun.other: `3479`: use ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT (192.0.2.8, 192.0.2.8:3479)"
                .into(),
        ),
        ("[tcp]\nconnections = 0\n", "bad.toml:2:15: tcp.connections is 0, but must be 1 to 1000000".into()),
        (
            "[tcp]\nidle_timeout = \"soon\"\n",
            "bad.toml:2:16: tcp.idle_timeout: `soon`: must be seconds (0.2) or a number with a unit: 50us, 200ms, \
             1.5s, 10m, 1h"
                .into(),
        ),
        (
            "[tcp]\nper_source = -1\n",
            "bad.toml:2:14: tcp.per_source: invalid value: integer `-1`, expected a number or \"none\"".into(),
        ),
        (
            "[pingback]\nmost_packets = 17\n",
            "bad.toml:2:16: pingback.most_packets is 17, but must be 0 to 16".into(),
        ),
        (
            "[ip_echo]\naddresses = [\"192.0.2.7\", \"ff02::1\"]\n",
            "bad.toml:2:27: ip_echo.addresses: `ff02::1`: ff02::1 is a multicast address; an echo address is one that \
             a host could have"
                .into(),
        ),
        (
            "[ip_echo]\naddresses = [\"192.0.2.7\", \"192.0.2.7@eth0\"]\n",
            "bad.toml:2:13: ip_echo.addresses: 192.0.2.7 is listed twice".into(),
        ),
        (
            "[ip_echo]\nicmp = \"echo\"\n",
            "bad.toml:2:8: ip_echo.icmp: unknown variant `echo`, expected `discard` or `safe`".into(),
        ),
        ("[ip_echo]\nmtu = 576\n", "bad.toml:2:7: ip_echo.mtu is 576, but must be 1280 to 65535".into()),
        ("[ip_echo]\nqueues = 0\n", "bad.toml:2:10: ip_echo.queues is 0, but must be 1 to 64".into()),
        (
            "[ip_echo]\ndevice = \"a name too long for one\"\n",
            "bad.toml:2:10: ip_echo.device: `a name too long for one` is not a device name (1 to 15 characters, no \
             `/`, `:` or blanks)"
                .into(),
        ),
        (
            "[ip_echo]\nadresses = []\n",
            "bad.toml:2:1: unknown key `adresses`; did you mean `addresses`?".into(),
        ),
        (
            "[xdp]\ndevices = [\"eth0,fast\"]\n",
            "bad.toml:2:12: xdp.devices: `eth0,fast`: `fast` is no way to attach; use auto, native or generic".into(),
        ),
        (
            "[xdp]\ndevices = [\"eth0\", \"eth0,native\"]\n",
            "bad.toml:2:11: xdp.devices: eth0 is listed twice".into(),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_toml_at_all_is_told_with_its_place() {
    assert!(
        error("[serve\n").starts_with("bad.toml:1:7: "),
        "{}",
        error("[serve\n")
    );
    assert!(
        error("[serve]\nudp = 7 7\n").starts_with("bad.toml:2:"),
        "{}",
        error("[serve]\nudp = 7 7\n")
    );
}

#[test]
fn an_empty_file_means_the_defaults() {
    let config = Config::parse("empty.toml", "").expect("nothing is wrong with nothing");
    let any = "[::]:7777".parse().expect("an address");
    assert_eq!((config.udp(), config.tcp()), (vec![any], vec![any]));
    assert_eq!(config.guards(), halloo_serve::Guards::default());
    let secret = Secret::new([7; 16]);
    assert_eq!(
        config.stream_options(secret),
        halloo_serve::StreamServerOptions::new(secret)
    );
}

#[test]
fn classic_adds_port_seven_where_it_is_not_listed_yet() {
    let ports = |text: &str| {
        let config = Config::parse("x.toml", text).expect(text);
        config.udp().iter().map(SocketAddr::port).collect::<Vec<_>>()
    };
    assert_eq!(ports("[serve]\nclassic = true\n"), [7777, 7]);
    assert_eq!(ports("[serve]\nclassic = true\nudp = [\"192.0.2.7:7\"]\n"), [7]);
    assert_eq!(ports("[serve]\nudp = []\n"), [0u16; 0]);
}

#[test]
fn a_port_is_taken_once_but_free_ports_are_as_many_as_are_asked_for() {
    let check = |port| {
        let here = vec![SocketAddr::from(([127, 0, 0, 1], port))];
        let args = ServeArgs {
            stamp: here.clone(),
            stun: here.clone(),
            sip: here,
            ..ServeArgs::default()
        };
        let mut config = Config::default();
        config.overlay(&args);
        let given = Given::by(&args);
        config.check_listeners(&given).map_err(|error| error.to_string())
    };
    assert_eq!(check(0), Ok(()));
    let taken = "--stun: 127.0.0.1:3478 is taken by --stamp; leave one of the two out";
    assert_eq!(check(3478), Err(taken.to_owned()));
}

#[test]
fn another_address_of_stun_needs_one_address_of_its_family_that_is_no_wildcard() {
    let table = [
        (
            "listen = [\"192.0.2.1:3478\"]\nother = [\"192.0.2.1\"]",
            "192.0.2.1:3478 and 192.0.2.1:3479: both have the address 192.0.2.1, and need two",
        ),
        (
            "listen = [\"192.0.2.1:3478\"]\nother = [\"192.0.2.2:3478\"]",
            "192.0.2.1:3478 and 192.0.2.2:3478: both have port 3478, and need two",
        ),
        (
            "listen = [\"192.0.2.1:3478\"]\nother = [\"224.0.0.1\"]",
            "192.0.2.1:3478 and 224.0.0.1:3479: 224.0.0.1 is not an address of one host",
        ),
        (
            "listen = [\"3478\"]\nother = [\"192.0.2.2\"]",
            "192.0.2.2 needs stun.listen with one IPv4 address, no more",
        ),
        (
            "listen = [\"0.0.0.0:3478\"]\nother = [\"192.0.2.2\"]",
            "192.0.2.2 needs stun.listen with an address of its own, such as 192.0.2.7:3478, not 0.0.0.0:3478",
        ),
        (
            "listen = [\"192.0.2.1:3478\", \"192.0.2.1:80\"]\nother = [\"192.0.2.2\"]",
            "192.0.2.2 needs stun.listen with one IPv4 address, no more",
        ),
        (
            "listen = [\"192.0.2.1:65535\"]\nother = [\"192.0.2.2\"]",
            "192.0.2.2 needs a port: there is none after 192.0.2.1:65535",
        ),
        (
            "listen = [\"192.0.2.1:3478\"]\nother = [\"192.0.2.2\", \"192.0.2.3:9\"]",
            "192.0.2.3:9 and 192.0.2.2 are of one family; one is enough",
        ),
    ];
    for (text, why) in table {
        assert_eq!(
            error(&format!("[stun]\n{text}\n")),
            format!("bad.toml:3:9: stun.other: {why}")
        );
    }
}

#[test]
fn another_address_of_stun_makes_four_places_that_nobody_else_may_have() {
    let args = ServeArgs {
        stun: vec![
            ([127, 0, 0, 1], 3478).into(),
            (std::net::Ipv6Addr::LOCALHOST, 9).into(),
        ],
        stun_other: vec![crate::cli::other_address("127.0.0.2").expect("an address")],
        sip: vec![([127, 0, 0, 2], 3478).into()],
        ..ServeArgs::default()
    };
    let mut config = Config::default();
    config.overlay(&args);
    let stun = DIALECTS.iter().find(|dialect| dialect.key == "stun");
    let addresses = stun.expect("it is in the table").addresses(&config);
    let told: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let expected = [
        "127.0.0.1:3478",
        "[::1]:9",
        "127.0.0.1:3479",
        "127.0.0.2:3478",
        "127.0.0.2:3479",
    ];
    assert_eq!(told, expected);
    let refused = config.check_listeners(&Given::by(&args)).expect_err("SIP has it");
    assert_eq!(
        refused.to_string(),
        "--sip: 127.0.0.2:3478 is taken by --stun-other; leave one of the two out"
    );
    config.stun.listen.clear();
    let refused = config.check_listeners(&Given::by(&args));
    assert_eq!(
        refused.expect_err("there is nothing beside it").to_string(),
        "--stun-other: 127.0.0.2 needs --stun with one IPv4 address, no more"
    );
}

#[test]
fn what_check_prints_reads_back_as_the_same_rules() {
    let text = "[serve]\nudp = [\"7\"]\nmin_interval = \"1500us\"\n[access]\ndeny = [\"192.0.2.7\"]\n\
                [limits]\nall = \"none\"\n[tcp]\nper_local_source = 9\n\
                [ip_echo]\naddresses = [\"192.0.2.7@eth0\"]\nicmp = \"safe\"\n[xdp]\ndevices = [\"eth0,native\"]\n";
    let config = Config::parse("x.toml", text).expect(text);
    let printed = toml::to_string(&config.complete()).expect("a configuration can be written");
    let again = Config::parse("printed.toml", &printed).expect(&printed);
    assert_eq!(again.guards(), config.guards());
    assert_eq!((again.udp(), again.tcp()), (config.udp(), config.tcp()));
    let secret = Secret::new([0; 16]);
    assert_eq!(again.stream_options(secret), config.stream_options(secret));
    assert_eq!(again.serve.min_interval, config.serve.min_interval);
    assert_eq!(again.echo_addresses(), config.echo_addresses());
    assert_eq!(
        (again.ip_echo.icmp, again.xdp.devices),
        (config.ip_echo.icmp, config.xdp.devices)
    );
}

#[test]
fn every_example_is_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut seen = 0;
    for entry in fs::read_dir(folder).expect("the examples are there").flatten() {
        if entry.path().extension().is_some_and(|ending| ending == "toml") {
            Config::load(&entry.path()).unwrap_or_else(|error| panic!("{error}"));
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen} examples");
}

#[test]
fn the_full_example_shows_every_key_with_its_default() {
    // The members of an overlay have files of their own.
    let text_of = |section: &str| match section {
        "edge" | "metrics" => include_str!("../../../examples/edge.toml"),
        "supernode" => include_str!("../../../examples/supernode.toml"),
        _ => include_str!("../../../examples/serve.toml"),
    };
    // Keys that have no default value to show stand commented out.
    let shown = |text: &str, key: &str| {
        let line = |line: &str| {
            line.trim_start_matches(['#', ' '])
                .starts_with(&format!("{key} ="))
        };
        text.lines().any(line)
    };
    let config = Config::default().complete();
    let table = toml::Table::try_from(&config).expect("a configuration is a table");
    for (section, keys) in &table {
        let text = text_of(section);
        assert!(text.contains(&format!("[{section}]")), "[{section}] is not shown");
        let keys = keys
            .as_table()
            .expect("a section is a table")
            .keys()
            .map(String::as_str);
        for key in keys.chain(
            if section == "serve" {
                ["user", "key_file"].as_slice()
            } else {
                &[]
            }
            .iter()
            .copied(),
        ) {
            assert!(shown(text, key), "{section}.{key} is not shown");
        }
    }
    let example = Config::parse("serve.toml", text_of("serve"))
        .expect("the example is right")
        .complete();
    assert_eq!(
        toml::Table::try_from(&example).expect("a table"),
        table,
        "the example differs from the defaults"
    );
}
