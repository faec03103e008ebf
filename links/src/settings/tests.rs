use super::*;

/// A file has other sections too, whose types are elsewhere.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    link: Vec<LinkSettings>,
    anchor: Vec<AnchorSettings>,
    #[serde(default)]
    policy: PolicySettings,
    #[serde(default)]
    judge: JudgeSettings,
    failover: FailoverSettings,
    history: History,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct History {
    path: String,
}

const SMALLEST: &str = r#"
    [[link]]
    name = "wan1"
    device = "w1"
    gateway = "10.1.0.1"
    source = "10.1.0.2"
    cost = 1

    [[anchor]]
    target = "udp://198.51.100.11:7777"

    [failover]
    method = "metric"

    [history]
    path = "history.sqlite"
"#;

fn smallest() -> Settings {
    let file: File = toml::from_str(SMALLEST).expect("the smallest file is understood");
    assert_eq!(file.history.path, "history.sqlite");
    Settings {
        link: file.link,
        anchor: file.anchor,
        policy: file.policy,
        judge: file.judge,
        failover: file.failover,
    }
}

#[test]
fn the_smallest_file_is_enough_and_the_rest_has_defaults() {
    let settings = smallest();
    assert_eq!(settings.check(), Ok(()));
    let link = &settings.link[0];
    assert_eq!(
        (link.gateway.as_str(), link.source.as_deref()),
        ("10.1.0.1", Some("10.1.0.2"))
    );
    assert_eq!((link.cost, link.weight, link.metered), (1, 1, false));
    assert_eq!(settings.policy, PolicySettings::default());
    assert_eq!(settings.failover.method, Method::Metric);
}

#[test]
fn what_is_written_is_read_the_same() {
    let settings = smallest();
    let text = toml::to_string(&settings).expect("settings are a table");
    assert_eq!(toml::from_str::<Settings>(&text).expect("own text"), settings);
    let line = serde_json::to_string(&settings).expect("settings are an object");
    assert_eq!(
        serde_json::from_str::<Settings>(&line).expect("own line"),
        settings
    );
}

#[test]
fn unknown_keys_and_words_are_refused_by_name() {
    let table = [
        ("[policy]\nmargn = 0.2", "margn"),
        ("[[link]]\nname = \"a\"\ndevice = \"b\"\ncoast = 1", "coast"),
        ("[judge]\nstall = \"soon\"", "soon"),
        ("[failover]\nmethod = \"magic\"", "magic"),
        ("[policy]\nmode = \"both\"", "both"),
        ("[[anchor]]\nname = \"a\"", "name"),
    ];
    for (text, word) in table {
        let error = toml::from_str::<Settings>(text).expect_err(text).to_string();
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_key_and_what_would_be_right() {
    let two = |settings: &mut Settings| settings.link.push(settings.link[0].clone());
    type Change = Box<dyn Fn(&mut Settings)>;
    let table: Vec<(Change, &str)> = vec![
        (Box::new(|s| s.link.clear()), "link is missing"),
        (Box::new(two), "link.name wan1 is there twice"),
        (Box::new(|s| s.anchor.clear()), "anchor is missing"),
        (
            Box::new(|s| s.link[0].weight = 0),
            "link.weight is 0, but must be 1 to 1000",
        ),
        (
            Box::new(|s| s.link[0].device.clear()),
            "link.device of wan1 is empty",
        ),
        (
            Box::new(|s| s.anchor[0].links = vec!["wan9".into()]),
            "anchor.links names wan9",
        ),
        (Box::new(|s| s.policy.margin = f64::NAN), "policy.margin is NaN"),
        (
            Box::new(|s| s.policy.hold_down_max = Span::secs(1)),
            "policy.hold_down_max is 1s, but must be 10s to 86400s",
        ),
        (
            Box::new(|s| s.judge.confidence = 99),
            "judge.confidence is 99, but must be 3 to 15",
        ),
        (
            Box::new(|s| s.judge.loss_degraded = 0.01),
            "judge.loss_degraded must be above",
        ),
        (
            Box::new(|s| s.judge.stall = Span::ms(1)),
            "judge.stall is 1ms, but must be 20ms to 10s",
        ),
    ];
    for (change, said) in table {
        let mut settings = smallest();
        change(&mut settings);
        let error = settings.check().expect_err(said).to_string();
        assert!(error.starts_with(said), "{error}, not {said}");
    }
}

#[test]
fn every_link_has_somebody_to_ask() {
    let mut settings = smallest();
    settings.link.push(LinkSettings::new("wan2"));
    settings.anchor[0].links = vec!["wan1".into()];
    let error = settings.check().expect_err("wan2 has none").to_string();
    assert_eq!(error, "anchor.links leaves wan2 without any anchor");
}
