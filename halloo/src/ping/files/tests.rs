use super::seed::{HEADER, SeedFiles};
use super::*;
use crate::ping::sample;
use halloo_base::ProbeId;
use halloo_probe::{Direction, Exchange, LossCause, Verdict};

fn answered(seq: u64) -> Exchange {
    Exchange {
        seq: ProbeId(seq),
        ..sample::exchange()
    }
}

fn lost(seq: u64) -> Exchange {
    let verdict = Verdict::Lost {
        direction: Direction::Unknown,
        cause: LossCause::Timeout,
    };
    Exchange {
        seq: ProbeId(seq),
        ..sample::unanswered(verdict)
    }
}

/// The rows after the header, without their time stamps for people, which depend on the time zone.
fn rows(exchanges: &[Exchange]) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (sender, problems) = mpsc::channel();
    let about = sample::about();
    let mut files =
        SeedFiles::create(dir.path(), "20260501_123045", &about, "halloo", &sender).expect("new files");
    for exchange in exchanges {
        files.event(&about, &Event::Settled(*exchange));
    }
    files.end(&about, Some(&sample::summary()));
    files.flush();
    assert!(problems.try_recv().is_err());
    let text =
        fs::read_to_string(dir.path().join("echo_client_20260501_123045_timings.csv")).expect("the file");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(HEADER));
    let without_time = |line: &str| {
        let fields: Vec<_> = line.split(',').collect();
        assert_eq!(fields.len(), 5, "{line}");
        assert!(fields[1].ends_with(":45.123456"), "{line}");
        format!("{},{},{},{}", fields[0], fields[2], fields[3], fields[4])
    };
    lines.map(without_time).collect()
}

#[test]
fn the_timings_are_those_of_the_seed() {
    assert_eq!(HEADER, "packet_num,timestamp,send_time_ns,receive_time_ns,rtt_us");
    assert_eq!(
        rows(&[answered(0), lost(1)]),
        [
            "1,1777638645123456789,1777638645123869134,412.345",
            "2,1777638645123456789,,"
        ]
    );
}

#[test]
fn rows_stand_in_the_order_of_their_packets() {
    let rows = rows(&[answered(1), answered(2), lost(0), answered(3)]);
    let numbers: Vec<_> = rows.iter().map(|row| &row[..2]).collect();
    assert_eq!(numbers, ["1,", "2,", "3,", "4,"]);
}

#[test]
fn a_late_answer_replaces_a_row_that_waits_and_never_makes_a_second() {
    let late = Exchange {
        verdict: Verdict::Late,
        ..answered(1)
    };
    assert!(rows(&[lost(1), late, answered(0)])[1].ends_with(",412.345"));
    let written = rows(&[answered(0), lost(1), late]);
    assert_eq!(written.len(), 2);
    assert!(written[1].ends_with(",,"));
}

#[test]
fn rows_behind_a_packet_that_never_settled_are_written_at_the_end() {
    assert_eq!(rows(&[answered(1)]).len(), 1);
}

#[test]
fn names_that_are_taken_get_a_number() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (sender, _problems) = mpsc::channel();
    let name = |_| {
        let files =
            SeedFiles::create(dir.path(), "20260501_123045", &sample::about(), "x", &sender).expect("files");
        files
            .paths()
            .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
    };
    let names: Vec<_> = (0..2).map(name).collect();
    assert_eq!(
        names,
        [
            [
                "echo_client_20260501_123045.log",
                "echo_client_20260501_123045_timings.csv"
            ],
            [
                "echo_client_20260501_123045-2.log",
                "echo_client_20260501_123045-2_timings.csv"
            ],
        ]
    );
}

#[test]
fn a_full_disk_is_told_once() {
    let (sender, problems) = mpsc::channel();
    let full = OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("the device of full disks");
    let mut output = Output::of(Path::new("/dev/full"), full, &sender);
    for _ in 0..3 {
        output.line(format_args!("x"));
        output.flush();
    }
    let told: Vec<_> = problems.try_iter().collect();
    let [only] = &told[..] else { panic!("{told:?}") };
    assert!(only.starts_with("/dev/full: No space left on device"), "{only}");
}

#[test]
fn a_wide_row_has_a_field_for_each_column() {
    let fields = wide::fields(&sample::about(), &answered(0));
    assert_eq!(fields.len(), COLUMNS.len());
    let field = |name: &str| {
        &fields[COLUMNS
            .iter()
            .position(|column| *column == name)
            .expect("a column")]
    };
    assert_eq!(field("wire_ns"), "3120");
    assert_eq!(field("t1_source"), "kernel");
    assert_eq!(field("residence_exact"), "true");
    let empty = wide::fields(&sample::about(), &lost(0));
    assert_eq!(empty.len(), COLUMNS.len());
    assert_eq!(empty[COLUMNS.len() - 3..COLUMNS.len() - 1], ["", ""]);
}

#[test]
fn what_the_user_typed_is_quoted_where_it_must_be() {
    let field = |name: &str| {
        let mut about = sample::about();
        about.link = Some(crate::cli::Link::Device(name.into()));
        wide::fields(&about, &answered(0))[2].clone()
    };
    assert_eq!(field("eth0"), "eth0");
    assert_eq!(field("a,b"), "\"a,b\"");
    assert_eq!(field("a\"b"), "\"a\"\"b\"");
}
