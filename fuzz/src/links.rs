//! Links: journals that anybody may have written, and settings.

use halloo_base::{Mono, Nanos};
use halloo_links::{
    AnchorSettings, Entry, Family, LinkSettings, News, Record, Said, Sample, Settings, Watch, explain, replay,
};

/// What is read is written and read the same, explained and replayed.
pub(crate) fn journal(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let records = match Record::read(text) {
        Ok(records) => records,
        Err(error) => return assert!(error.to_string().starts_with("line ")),
    };
    for record in &records {
        let line = record.line();
        let again = Record::parse(&line, 1).expect("own line");
        assert_eq!(again.line(), line);
    }
    for sentence in explain(&records, None) {
        assert!(sentence.text.ends_with('.'), "{}", sentence.text);
    }
    let begun = records.iter().find_map(|record| match &record.entry {
        Entry::Begin(begin) => Some(begin.settings.clone()),
        _ => None,
    });
    let settings = begun
        .filter(|settings| settings.check().is_ok())
        .unwrap_or_else(usual);
    let said = || replay(records.iter().map(|record| &record.entry), &settings);
    let once = said();
    assert_eq!(once, said());
    for said in &once {
        if let Said::Decision(decision) = said {
            assert!(!decision.carry.is_empty());
        }
    }
}

/// What passes the check can be worked with.
pub(crate) fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(settings) = toml::from_str::<Settings>(text) else {
        return;
    };
    if let Err(error) = settings.check() {
        return assert!(!error.key.is_empty() && !error.why.is_empty());
    }
    let written = toml::to_string(&settings).expect("a table");
    let again: Settings = toml::from_str(&written).expect("own text");
    assert_eq!(toml::to_string(&again).expect("a table"), written);
    let mut watch = Watch::new(&settings);
    for seq in 0..20 {
        for link in settings.link.iter().take(3) {
            let asked = settings
                .anchor
                .iter()
                .filter(|anchor| anchor.is_asked_by(&link.name));
            for anchor in asked.take(3) {
                let at = Mono(1_000_000_000 + seq * 100_000_000);
                let mut tell = |news| {
                    watch.observe(&Sample {
                        at,
                        link: link.name.clone(),
                        family: Family::V4,
                        anchor: anchor.target.clone(),
                        seq,
                        news,
                    });
                };
                tell(News::Sent { late_ns: Nanos::ZERO });
                tell(News::Answered {
                    host_ns: Nanos(1_000_000),
                    wire_ns: None,
                });
            }
        }
    }
    assert_eq!(watch.judge().unknown(), 0);
    let decided = std::iter::from_fn(|| watch.next_said()).any(|said| matches!(said, Said::Decision(_)));
    assert!(decided, "links that answer carry");
}

fn usual() -> Settings {
    Settings {
        link: ["wan1", "wan2"].map(LinkSettings::new).to_vec(),
        anchor: ["a", "b"].map(AnchorSettings::new).to_vec(),
        ..Settings::default()
    }
}
