//! QUIC in a world of virtual time: bad networks, forgetful NATs, and strangers in the names of others.

mod abuse;
mod stage;

use halloo_base::AnyProber;
use halloo_probe::{DatagramSession, StreamSession, Summary};
use halloo_protocols::quic::{QUIC, QUIC_DATAGRAM};
use halloo_quic::{QuicDatagrams, QuicStreams};
use halloo_sim::{NatOptions, Quality, ms, secs};
use stage::{Log, Stage, base, client, options, prober};

/// So many probes over a stream, or in DATAGRAM frames; the session's summary.
fn asked(stage: &mut Stage, over_stream: bool, count: u64) -> Summary {
    let log = Log::default();
    let client = client(&stage.certificate);
    let nobody = Box::new(|_| {});
    let machine = if over_stream {
        let AnyProber::Stream(prober) = prober(&QUIC) else {
            panic!("a stream has a stream's prober");
        };
        let session = StreamSession::new(options(count), prober, Box::new(log.clone())).expect("options");
        let machine = QuicStreams::new(session, client, base(), nobody);
        let machine = stage.world.add(stage.here, machine);
        stage.world.udp(machine, "0.0.0.0:0");
        machine.into()
    } else {
        let AnyProber::Datagram(prober) = prober(&QUIC_DATAGRAM) else {
            panic!("a datagram has a datagram's prober");
        };
        let session = DatagramSession::new(options(count), prober, Box::new(log.clone())).expect("options");
        let machine = QuicDatagrams::new(session, client, options(count).path, base(), nobody);
        let machine = stage.world.add(stage.here, machine);
        stage.world.udp(machine, "0.0.0.0:0");
        halloo_sim::MachineId::from(machine)
    };
    stage.world.run_until_finished(machine, secs(3_600));
    log.summary()
}

#[test]
fn what_a_bad_network_loses_on_a_stream_is_sent_again() {
    let quality = Quality::delay(ms(10))
        .loss(0.05)
        .reorder(0.1, ms(15))
        .duplicate(0.05);
    let mut stage = Stage::new(3, quality);
    let summary = asked(&mut stage, true, 200);
    assert_eq!((summary.counts.answered, summary.counts.lost()), (200, 0));
    assert_eq!(stage.counters.connections.snapshot().received, 1);
}

#[test]
fn what_it_loses_in_datagram_frames_stays_lost_and_nothing_else() {
    let quality = Quality::delay(ms(10))
        .loss(0.05)
        .reorder(0.1, ms(15))
        .duplicate(0.05);
    let mut stage = Stage::new(4, quality);
    let summary = asked(&mut stage, false, 400);
    let counts = &summary.counts;
    assert_eq!(counts.answered + counts.lost(), 400);
    // Lost one way or the other: 9.75 in a hundred.
    assert!((15..=70).contains(&counts.lost()), "{counts:?}");
    assert_eq!(counts.duplicates, 0, "QUIC drops second copies");
}

#[test]
fn a_nat_that_forgets_costs_nothing_on_a_stream_and_a_frame_or_two() {
    for over_stream in [true, false] {
        let nat = NatOptions {
            port_preservation: false,
            ..NatOptions::default()
        };
        let mut stage = Stage::behind_nat(5, nat);
        for at in [secs(1), secs(2)] {
            let nat = stage.nat.expect("there is one");
            stage.world.at(at, move |world| world.restart_nat(nat));
        }
        let summary = asked(&mut stage, over_stream, 300);
        let (lost, connections) = (
            summary.counts.lost(),
            stage.counters.connections.snapshot().received,
        );
        assert_eq!(connections, 1, "it is the same connection, stream: {over_stream}");
        assert!(
            lost <= if over_stream { 0 } else { 6 },
            "{lost} lost, stream: {over_stream}"
        );
    }
}
