use super::*;
use halloo_lab::Lab;

#[test]
fn a_panic_is_a_failure_of_its_own_test_only() {
    let error = attempt::<()>(|| panic!("no line from {}", "iperf3")).unwrap_err();
    assert_eq!(error.to_string(), "no line from iperf3");
    assert_eq!(attempt(|| Ok(7)).unwrap(), 7);
}

#[test]
fn a_long_story_is_told_by_its_two_ends_on_one_line() {
    assert_eq!(brief("a\n  b\n"), "a b");
    let long = format!("start\n{}\nend", "x".repeat(10_000));
    let told = brief(&long);
    assert!(told.starts_with("start xxx") && told.ends_with("xxx end") && told.contains(" ... "));
    assert!(told.len() < 600, "{told}");
}

#[test]
fn contenders_are_found_by_name_and_others_are_told() {
    assert_eq!(named("vxlan").unwrap().name, "vxlan");
    assert!(named("vxlam").unwrap_err().contains("vxlan, halloo-none"));
}

/// As short as it gets.
fn hasty() -> Effort {
    Effort {
        rounds: 1,
        end: Duration::ZERO,
        tcp: [1, 1],
        file: [1.0, 1.0],
        zmq: 0.05,
        udp: (Duration::from_millis(20), 0),
        pings: 20,
        elsewhere: Tests::NONE,
        sizes: &[],
        steady: Duration::ZERO,
    }
}

#[test]
fn a_vxlan_is_started_and_measured_and_loss_is_of_packets_of_the_wire() {
    if Lab::or_skip("an overlay beside its peers").is_none() {
        return;
    }
    let workshop = Workshop::around(std::env::current_exe().unwrap()).unwrap();
    let ground = Ground::new(&workshop.file("ground")).unwrap();
    let up = named("vxlan").unwrap().start(&ground, &workshop).unwrap();
    let bench = Bench {
        ground: &ground,
        workshop: &workshop,
        up: &up,
    };
    let (mut values, mut failures) = (vec![], vec![]);
    let tests = Tests::FILE | Tests::UDP | Tests::TRIPS;
    hasty().measure(bench, Condition::Plain, tests, &mut values, &mut failures);
    assert!(failures.is_empty(), "{failures:?}");
    let measured: Vec<Quantity> = values.iter().map(|(quantity, _)| *quantity).collect();
    assert_eq!(
        measured,
        [
            Quantity::TripP50,
            Quantity::TripP99,
            Quantity::File,
            Quantity::FileMachine,
            Quantity::Datagrams,
        ]
    );
    ground.set(Condition::NoGsoLoss);
    assert_eq!(ground.lost(), 0);
    bench.file(0.0, 1.0).unwrap();
    // 15 MB are 10,000 packets of the wire, of which about 100 are lost, but fewer than 500 super-packets.
    assert!(ground.lost() > 30, "{} lost", ground.lost());
}

#[test]
fn what_is_for_the_inside_never_goes_past_the_overlay() {
    if Lab::or_skip("an overlay beside its peers").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path()).unwrap();
    let [a, b] = ground.seats();
    // The far end has its address already, and both have a default route.
    b.ip(&format!("addr add {}/24 dev {}", b.inside(), b.device));
    let target = b.inside().to_string();
    let pinged = a.host.run("ping", ["-n", "-q", "-c1", "-W1", &target]);
    assert!(!pinged.status.success());
}
