//! What goes wrong on real hosts, while halloo asks: each ends in a right and readable report.

use crate::asking::{
    PATIENCE, assert_accounted, assert_slots_explained, finished, ping, pinged, serve, wait_for_seq,
};
use halloo_base::Nanos;
use halloo_lab::{ClockStep, Direction, Fate, Hogs, Lab, Link, Side, Traffic};
use nix::sys::signal::Signal;

fn pair(title: &str) -> Option<(Lab, Link)> {
    let lab = Lab::or_skip(title)?;
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    Some((lab, link))
}

#[test]
fn a_server_that_dies_and_comes_back() {
    let Some((_lab, link)) = pair("the server dies") else {
        return;
    };
    let server = serve(link.b().host(), &[]);
    let target = format!("udp://{}", link.b().v4());
    let asking = ping(
        link.a().host(),
        &["-c", "150", "-i", "0.01", "-W", "0.3", &target],
    );
    wait_for_seq(&asking, 20);
    server.signal(Signal::SIGKILL);
    asking.wait_for_line("Connection refused", PATIENCE);
    drop(server);
    let _server = serve(link.b().host(), &[]);
    let (code, said) = finished(&asking);
    assert_eq!(code, 1);
    assert_accounted(said.summary());
    assert_eq!(said.count("sent"), 150);
    assert!(
        said.count("lost") > 0 && said.count("answered") > 20,
        "{:#}",
        said.summary()
    );
    let last = *said.all("exchange").last().expect("exchanges");
    assert_eq!(last["verdict"], "answered", "it found the new server");
    assert_eq!(said.summary()["unreachable"][0]["error"], "Connection refused");
}

#[test]
fn a_connection_that_breaks_is_opened_again_and_counted() {
    let Some((_lab, link)) = pair("the connection breaks") else {
        return;
    };
    let server = serve(link.b().host(), &[]);
    let target = format!("tcp://{}:7777", link.b().v4());
    let asking = ping(link.a().host(), &["-c", "150", "-i", "0.01", "-W", "1", &target]);
    wait_for_seq(&asking, 20);
    server.signal(Signal::SIGKILL);
    asking.wait_for_line("\"kind\":\"connection\"", PATIENCE);
    drop(server);
    let _server = serve(link.b().host(), &[]);
    let (code, said) = finished(&asking);
    assert_eq!(code, 1, "slots without a connection are not answered");
    assert_accounted(said.summary());
    assert_eq!(
        (said.count("sent"), said.count("broken"), said.count("reconnects")),
        (150, 1, 1)
    );
    assert!(
        said.count("unsent") + said.count("lost_connection") > 0,
        "{:#}",
        said.summary()
    );
    assert_eq!(
        said.all("exchange").last().expect("exchanges")["verdict"],
        "answered"
    );
}

#[test]
fn an_address_that_changes_under_a_session() {
    let Some((_lab, mut link)) = pair("the address changes") else {
        return;
    };
    let _server = serve(link.b().host(), &[]);
    let target = format!("udp://{}", link.b().v4());
    let asking = ping(
        link.a().host(),
        &["-c", "100", "-i", "0.01", "-W", "0.5", &target],
    );
    wait_for_seq(&asking, 20);
    let octets = link.a().v4().octets();
    link.set_address(
        Side::A,
        std::net::Ipv4Addr::new(octets[0], octets[1], octets[2], 77).into(),
    );
    let (_, said) = finished(&asking);
    assert_accounted(said.summary());
    let summary = said.summary();
    assert_eq!(summary["observed"]["address_changes"], 1, "{summary:#}");
    let seen = summary["observed"]["seen_addr"]
        .as_str()
        .expect("told by the responder");
    assert!(seen.contains(".77:"), "{seen}");
    assert_eq!(
        said.all("exchange").last().expect("exchanges")["verdict"],
        "answered"
    );
}

#[test]
fn a_cable_that_is_pulled_out() {
    let Some((_lab, link)) = pair("the cable is pulled") else {
        return;
    };
    let _server = serve(link.b().host(), &[]);
    let near = link.a().host().clone();
    let (device, target) = (link.a().device().to_owned(), format!("udp://{}", link.b().v4()));
    let asking = ping(
        &near,
        &["-c", "60", "-i", "0.01", "-W", "0.3", "-I", &device, &target],
    );
    wait_for_seq(&asking, 20);
    link.remove();
    let (code, said) = finished(&asking);
    assert_eq!(code, 1);
    assert_accounted(said.summary());
    assert_eq!(said.count("sent"), 60, "it went on at every slot");
    assert!(said.count("lost") > 0);
    let reasons = said.summary()["unreachable"].as_array().expect("a list").clone();
    assert!(
        !reasons.is_empty(),
        "the operating system said why: {:#}",
        said.summary()
    );
    let text = format!("{:?}", said.0);
    assert!(text.contains("down"), "the link's end is told: {text}");
}

#[test]
fn loss_is_told_apart_by_direction() {
    let Some((_lab, link)) = pair("loss by direction") else {
        return;
    };
    let _server = serve(link.b().host(), &[]);
    let target = format!("udp://{}", link.b().v4());
    for (direction, lossy, clean) in [
        (Direction::AToB, "lost_forward", "lost_backward"),
        (Direction::BToA, "lost_backward", "lost_forward"),
    ] {
        link.fate(direction, Traffic::Udp, Fate::Lose(0.1));
        let (code, said) = pinged(
            link.a().host(),
            &["-c", "400", "-i", "0.005", "-W", "0.3", &target],
        );
        let dropped = link.dropped(direction);
        link.fate(direction, Traffic::Udp, Fate::Pass);
        assert_accounted(said.summary());
        assert_eq!(
            (code, said.count("lost")),
            (i32::from(dropped > 0), dropped),
            "nftables counted the same"
        );
        assert_eq!(said.count(clean), 0, "{:#}", said.summary());
        // A run of losses at the very end may stay unattributed; 0.1^9 says how likely more than eight are.
        assert!(said.count(lossy) + 8 >= dropped, "{:#}", said.summary());
    }
}

#[test]
fn a_stepped_clock_is_marked_and_spoils_nothing() {
    let Some((_lab, link)) = pair("the clock steps") else {
        return;
    };
    let _server = serve(link.b().host(), &[]);
    let target = format!("udp://{}", link.b().v4());
    let asking = ping(link.a().host(), &["-c", "100", "-i", "0.01", &target]);
    wait_for_seq(&asking, 20);
    let step = match ClockStep::by(Nanos(7_000_000_000)) {
        Ok(step) => step,
        Err(error) => return eprintln!("SKIPPED a stepped clock: the clock cannot be set: {error}"),
    };
    wait_for_seq(&asking, 60);
    drop(step);
    let (code, said) = finished(&asking);
    assert_eq!(code, 0, "{:#}", said.summary());
    assert_accounted(said.summary());
    assert!(
        said.count("clock_steps") >= 2,
        "there and back: {:#}",
        said.summary()
    );
    for quantity in ["wire", "host", "intended"] {
        let most = said.summary()[quantity]["max_ns"].as_i64().expect("measured");
        assert!(
            (0..5_000_000_000).contains(&most),
            "{quantity} {most} ns holds the step"
        );
    }
}

#[test]
fn a_busy_machine_delays_but_hides_nothing() {
    let Some((_lab, link)) = pair("CPU hogs") else {
        return;
    };
    let _server = serve(link.b().host(), &[]);
    let _hogs = Hogs::start(4);
    let target = format!("udp://{}", link.b().v4());
    let (_, said) = pinged(link.a().host(), &["-c", "2000", "-i", "0.001", &target]);
    let summary = said.summary();
    assert_accounted(summary);
    assert_slots_explained(summary, 1_000_000);
    assert_eq!(
        (said.count("sent"), said.count("lost")),
        (2_000, 0),
        "{summary:#}"
    );
    let most = |quantity: &str| summary[quantity]["max_ns"].as_i64().expect("measured");
    assert!(
        most("wire") <= most("host") && most("host") <= most("intended"),
        "{summary:#}"
    );
}

#[test]
fn two_ends_with_more_to_send_than_fits_between_them_do_not_wait_for_each_other() {
    let Some((_lab, link)) = pair("big exchanges, small buffers") else {
        return;
    };
    for host in [link.a().host(), link.b().host()] {
        host.sysctl("net.ipv4.tcp_rmem", "4096 16384 131072");
        host.sysctl("net.ipv4.tcp_wmem", "4096 16384 131072");
    }
    let _server = serve(link.b().host(), &[]);
    let target = format!("tcp://{}:7777", link.b().v4());
    let args = ["-s", "1048576", "-c", "5", "-i", "0.05", "-W", "5", &target];
    let (code, said) = pinged(link.a().host(), &args);
    assert_eq!((code, said.count("answered")), (0, 5), "{:#}", said.summary());
}

#[test]
fn each_family_is_answered_where_both_are_listened_on_by_name() {
    let Some((_lab, link)) = pair("two listeners on one port") else {
        return;
    };
    let args = ["--udp", "[::]:7777", "--udp", "0.0.0.0:7777", "--tcp", "7777"];
    let _server = serve(link.b().host(), &args);
    for target in [link.b().v4().to_string(), link.b().v6().to_string()] {
        let (code, _) = pinged(link.a().host(), &["-c", "3", "-i", "0.01", "-W", "1", &target]);
        assert_eq!(code, 0, "{target}");
    }
}
