use super::*;

fn tunnels() -> Tunnels {
    Tunnels::new(VxlanDevice {
        port: 4_789,
        ipv6: false,
    })
}

fn mac(number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([2, 0, a, b, c, d])
}

fn at(millis: u64) -> Mono {
    Mono(millis * 1_000_000)
}

#[test]
fn stations_that_are_known_stay_before_those_that_come() {
    let mut tunnels = tunnels();
    let known: Vec<Mac> = (5_000..5_100).map(mac).collect();
    tunnels.stations_are(known.clone(), at(0));
    let mut many: Vec<Mac> = (0..4_000).map(mac).collect();
    many.extend(&known);
    tunnels.stations_are(many, at(10));
    assert_eq!(tunnels.stations.len(), MOST_STATIONS - 1);
    assert!(
        known
            .iter()
            .all(|mac| tunnels.stations.binary_search(mac).is_ok())
    );
    assert!(tunnels.gone.is_empty());
}

#[test]
fn what_came_is_said_three_times_and_what_changes_all_the_time_once_a_second() {
    let mut tunnels = tunnels();
    let tell = |tunnels: &mut Tunnels, now| {
        tunnels.fresh.retain(|(_, until)| now < *until);
        if tunnels.deadline().is_none_or(|at| at > now) {
            return None;
        }
        let said = (tunnels.fresh.len(), tunnels.gone.len());
        tunnels.told(now);
        Some(said)
    };
    tunnels.stations_are(vec![mac(1)], at(0));
    let said: Vec<u64> = (0..20_000)
        .filter(|&now| tell(&mut tunnels, at(now)).is_some())
        .collect();
    assert_eq!(said, [0, 1_000, 3_000, 7_000]);
    // One after another, each for a moment.
    let mut said = vec![];
    for now in (20_000..30_000).step_by(100) {
        tunnels.stations_are(vec![mac(now as u32)], at(now));
        said.extend(tell(&mut tunnels, at(now)));
    }
    assert_eq!(said.len(), 10, "{said:?}");
    assert!(
        said.iter().all(|(fresh, gone)| *fresh == 1 && *gone <= 10),
        "{said:?}"
    );
}

#[test]
fn who_went_and_is_back_is_not_gone() {
    let mut tunnels = tunnels();
    for stations in [vec![mac(1)], vec![], vec![mac(1)]] {
        tunnels.stations_are(stations, at(0));
    }
    assert!(tunnels.gone.is_empty());
    assert_eq!(tunnels.fresh(), [mac(1)]);
}
