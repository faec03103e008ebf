use super::report::{Report, object, plan, row_texts};
use super::*;
use halloo_base::Dependence;
use halloo_protocols::nat::{Kind, Lack, Lifetime};
use std::io::Write;
use std::sync::{Arc, Mutex};

fn about() -> About {
    About {
        names: vec!["udp://echo.example.net:7777".into()],
        remotes: vec!["192.0.2.7:7777".parse().expect("an address")],
        link: None,
        longest: Duration::from_secs(180),
    }
}

fn known(kind: Dependence) -> Kind {
    Kind {
        possible: vec![kind],
        lack: None,
    }
}

fn found() -> Findings {
    Findings {
        stage: Stage::Ended { stopped: false },
        local: "10.0.0.2:40000".parse().ok(),
        reflexive: "203.0.113.1:40000".parse().ok(),
        translated: Some(true),
        mapping: Kind {
            possible: vec![Dependence::EndpointIndependent, Dependence::AddressDependent],
            lack: Some(Lack::SecondAddress),
        },
        filtering: known(Dependence::AddressAndPortDependent),
        ports_kept: 8,
        ports_seen: 8,
        hairpin: Err(Lack::Hidden),
        lifetime: Lifetime {
            at_least: Some(Duration::from_millis(29_750)),
            below: Some(Duration::from_millis(30_900)),
        },
        lifetime_lack: None,
        inbound_refresh: Ok(true),
    }
}

#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("alone").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn findings_are_a_table_and_a_plan() {
    let pipe = Pipe::default();
    let mut report = Report::new(Screen::pipe(pipe.clone()), false);
    report.start(&about()).expect("it prints");
    report.end(&about(), &found()).expect("it prints");
    let text = String::from_utf8(pipe.0.lock().expect("alone").clone()).expect("text");
    assert_eq!(
        anstream::adapter::strip_str(&text).to_string(),
        "NAT between here and echo.example.net:7777 (192.0.2.7)\n\
         \n\
         inside      10.0.0.2:40000\n\
         outside     203.0.113.1:40000\n\
         NAT         yes\n\
         mapping     endpoint-independent, or address-dependent: needs a second address (another HOST, or one that has two)\n\
         filtering   address- and port-dependent\n\
         ports       kept\n\
         hairpin     unknown: the filter would hide it\n\
         lifetime    29.8 s to 30.9 s in silence\n\
         refresh     by what is sent, and by what comes in\n\
         \n\
         Keep-alive: send something every 20 s.\n\
         Whether two such hosts can meet directly depends on what is not known.\n"
    );
}

#[test]
fn plans_say_what_follows() {
    let lasting = Findings {
        mapping: known(Dependence::EndpointIndependent),
        lifetime: Lifetime {
            at_least: Some(Duration::from_secs(180)),
            below: None,
        },
        ..found()
    };
    let symmetric = Findings {
        mapping: known(Dependence::AddressAndPortDependent),
        ..found()
    };
    let open = Findings {
        translated: Some(false),
        mapping: Kind {
            possible: vec![],
            lack: Some(Lack::NotTranslated),
        },
        filtering: known(Dependence::EndpointIndependent),
        lifetime: Lifetime::default(),
        lifetime_lack: Some(Lack::Unfiltered),
        ..found()
    };
    let table = [
        (
            lasting,
            "Keep-alive: every 126 s is enough; how much rarer is, nobody tried. | Two such hosts can meet directly.",
        ),
        (
            symmetric,
            "Keep-alive: send something every 20 s. | Two such hosts cannot meet directly: they need a relay.",
        ),
        (
            open,
            "Keep-alive: none is needed. | Two such hosts can meet directly.",
        ),
    ];
    for (found, expected) in table {
        let text = plan(&found).join(" | ");
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), expected);
    }
}

#[test]
fn every_reason_is_told_in_both_forms() {
    let deaf = Findings {
        stage: Stage::Ended { stopped: true },
        mapping: Kind {
            possible: vec![],
            lack: Some(Lack::Unasked),
        },
        lifetime: Lifetime::default(),
        lifetime_lack: Some(Lack::NothingCame),
        inbound_refresh: Err(Lack::NothingCame),
        ..found()
    };
    let rows = row_texts(&deaf);
    let row = |name| {
        rows.iter()
            .find(|(row, _)| *row == name)
            .expect("a row")
            .1
            .as_str()
    };
    assert_eq!(row("mapping"), "unknown: stopped before it was known");
    assert_eq!(
        row("lifetime"),
        "unknown: nothing came back, not even from the port that was asked"
    );
    let object = serde_json::to_value(object(&about(), &deaf)).expect("it can be written");
    assert_eq!(object["complete"], false);
    assert!(object["mapping"].is_null());
    let unknown: Vec<_> = object["unknown"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["row"])
        .collect();
    assert_eq!(unknown, ["mapping", "hairpin", "lifetime", "inbound_refresh"]);
}
