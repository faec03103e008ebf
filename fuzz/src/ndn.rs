//! NDN: names, packets, fragments, and who sends and receives them.

use crate::feed::Feed;
use crate::surroundings::{datagram, with_env};
use halloo_base::{Mono, ProbeId, Prober, Progress, Stamp, StampSource, StreamProber, Trust};
use halloo_protocols::ndn::control::{Command, ControlResponse};
use halloo_protocols::ndn::status::{Dataset, FaceStatus, Fetch, FibEntry, GeneralStatus, RibEntry};
use halloo_protocols::ndn::{
    Content, Data, Interest, LONGEST_PACKET, LpPacket, Malformed, Name, NameBuf, Packet, PingProber,
    PingProberOptions, PingServer, PingServerOptions, PingStreamProber, Reassembler, UriForm, Verifier, tlv,
};
use std::time::Duration;

const PREFIX: &str = "/t";

fn prefix() -> NameBuf {
    PREFIX.parse().expect("a name")
}

pub(crate) fn ping_server() -> PingServer {
    PingServer::new(PingServerOptions::new(prefix()), Box::new(())).expect("options that make a server")
}

/// The bytes as a name's URI, and as a name.
pub(crate) fn name(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(name) = text.parse::<NameBuf>()
    {
        check_name(name.as_name());
    }
    if let Ok(name) = Name::from_value(data) {
        assert_eq!(name.value(), data);
        check_name(name);
    }
}

fn check_name(name: Name<'_>) {
    let exact = name.to_uri(UriForm::Canonical).parse::<NameBuf>();
    assert_eq!(exact.as_ref().map(NameBuf::as_name), Ok(name));
    let readable = name.to_string();
    let again: NameBuf = readable.parse().expect("what we print we read");
    assert_eq!(again.to_string(), readable);
    let built = name
        .components()
        .try_fold(NameBuf::new(), |mut built, component| {
            built.push(component).map(|()| built)
        });
    assert_eq!(built.as_ref().map(NameBuf::as_name), Ok(name));
}

/// What is read is written, read and written the same.
pub(crate) fn packet(data: &[u8]) {
    let Ok(packet) = Packet::parse(data) else { return };
    assert_eq!(tlv::measure(data), Ok(Some(data.len())));
    for len in 0..data.len().min(64) {
        assert!(Packet::parse(&data[..len]).is_err(), "a packet has one length");
    }
    match &packet.content {
        Content::Interest(interest) | Content::Nack(_, interest) => check_interest(interest),
        Content::Data(data) => check_data(data),
        Content::Fragment(lp) => check_fragment(lp),
        Content::Idle => {}
    }
}

fn check_interest(interest: &Interest<'_>) {
    assert!(!interest.name.is_empty());
    let once = tlv::written(|writer| interest.emit(writer)).expect("it came from a packet");
    // Elements that were skipped are gone, and with them the digest may have become wrong.
    match Interest::parse(&once) {
        Ok(read) => assert_eq!(tlv::written(|writer| read.emit(writer)), Ok(once.clone())),
        Err(why) => assert_eq!(why, Malformed::BadDigest),
    }
    let _either = interest.verify(&Verifier::digest());
    let _either = Command::of(interest);
    assert!(interest.forwarding_hint.iter().count() <= once.len());
}

fn check_data(data: &Data<'_>) {
    let once = tlv::written(|writer| data.emit(writer)).expect("it came from a packet");
    let read = Data::parse(&once).expect("what we write we read");
    assert_eq!(tlv::written(|writer| read.emit(writer)), Ok(once.clone()));
    let asked = Interest::new(data.name);
    assert!(asked.matches(data));
    let _either = data.verify(&Verifier::digest());
    let _either = ControlResponse::of(data);
    let _either = Verifier::from_certificate(&once);
}

fn check_fragment(lp: &LpPacket<'_>) {
    let once = tlv::written(|writer| lp.emit(writer)).expect("it came from a packet");
    assert_eq!(LpPacket::parse(&once), Ok(*lp));
}

/// Octets are commands: a sender, a number, an index, a count, a length, the time since the last part.
pub(crate) fn reassembler(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut all = Reassembler::new();
    let mut now = Mono(0);
    while !feed.is_empty() {
        let (sender, message) = (feed.octet() % 3, u64::from(feed.octet() % 8).wrapping_sub(4));
        let (index, count) = (u64::from(feed.number() % 410), u64::from(feed.number() % 410));
        let len = usize::from(feed.number()) % (LONGEST_PACKET + 2);
        now += Duration::from_millis(u64::from(feed.octet()));
        let (fragment, token) = (vec![sender; len], [sender]);
        let lp = LpPacket {
            sequence: Some(message.wrapping_mul(1_000).wrapping_add(index)).filter(|_| len != 1),
            frag_index: Some(index),
            frag_count: Some(count),
            pit_token: Some(&token[..]).filter(|_| message % 2 == 0),
            fragment: Some(&fragment[..]).filter(|_| len != 2),
            ..LpPacket::default()
        };
        let path = datagram(sender, now, &[]).path;
        let Ok(Some(whole)) = all.take(now, &path, &lp) else {
            continue;
        };
        assert!(whole.len() <= LONGEST_PACKET + 64);
        let inside = LpPacket::parse(whole).map_or(whole, |lp| lp.fragment.unwrap_or_default());
        assert!(inside.iter().all(|&byte| byte == sender), "nobody else's bytes");
    }
}

/// First how the stream is cut, then the stream. Each packet of it is a datagram, too.
pub(crate) fn server(data: &[u8]) {
    let mut feed = Feed::new(data);
    let piece = usize::from(feed.octet()).max(1);
    let stream = feed.bytes(data.len());
    let at = Stamp {
        mono: Mono(1),
        wall: halloo_base::Wall(1),
        source: StampSource::User,
    };
    let mut whole = Vec::new();
    let mut server = ping_server();
    let used = server.answer_stream(at, stream, &mut whole, |_, _| {});
    let (mut waiting, mut pieces) = (Vec::new(), Vec::new());
    let cut = stream.chunks(piece).try_for_each(|bytes| {
        waiting.extend_from_slice(bytes);
        let used = server.answer_stream(at, &waiting, &mut pieces, |_, _| {})?;
        waiting.drain(..used);
        Ok::<_, Malformed>(())
    });
    assert_eq!((cut.is_ok(), pieces), (used.is_ok(), whole));
    let mut rest = stream;
    while let Ok(Some(len)) = tlv::measure(rest)
        && let Some(wire) = rest.get(..len)
    {
        rest = &rest[len..];
        check_answer(&mut server, at, wire);
    }
}

fn check_answer(server: &mut PingServer, at: Stamp, wire: &[u8]) {
    let stranger = server.reply_limit().longest(wire.len(), Trust::Stranger);
    for room in [server.room(wire.len()), stranger] {
        check_answer_in(server, at, wire, room);
    }
}

fn check_answer_in(server: &mut PingServer, at: Stamp, wire: &[u8], room: usize) {
    let mut room = vec![0; room];
    let answered = server.answer(at, wire, &mut room);
    let asked = Packet::parse(wire).map(|packet| (packet.pit_token, packet.content));
    let Ok(len) = answered else { return };
    let Ok((token, Content::Interest(interest))) = asked else {
        panic!("only Interests are answered");
    };
    let reply = Packet::parse(&room[..len]).expect("a packet");
    let Content::Data(data) = reply.content else {
        panic!("answers are Data");
    };
    assert_eq!((reply.pit_token, data.name), (token, interest.name));
    assert!(interest.matches(&data));
    assert_eq!(data.verify(&Verifier::digest()), Ok(()));
    assert!(prefix().as_name().is_prefix_of(data.name));
}

/// First the number of probes and how the stream is cut, then the stream. Each packet of it is a datagram, too.
pub(crate) fn prober(data: &[u8]) {
    const ANSWERS_WHOLE: u64 = 3;
    let mut feed = Feed::new(data);
    let count = u64::from(feed.octet() % 8);
    let piece = usize::from(feed.octet()).max(1);
    let stream = feed.bytes(data.len());
    let options = PingProberOptions::new(prefix(), u64::MAX - ANSWERS_WHOLE);
    let mut alone = PingProber::new(options.clone());
    let ask = |prober: &mut PingStreamProber| {
        let mut tx = Vec::new();
        with_env(Mono(1), |env| {
            for id in 0..count {
                prober.request(env, ProbeId(id), &mut tx);
            }
        });
        tx
    };
    let mut heard_by_piece = Vec::new();
    for piece in [piece, stream.len().max(1)] {
        let mut prober = PingStreamProber::new(options.clone());
        ask(&mut prober);
        heard_by_piece.push(heard(&mut prober, stream, piece, count));
    }
    assert_eq!(heard_by_piece[0], heard_by_piece[1]);
    with_env(Mono(1), |env| {
        for id in 0..count {
            let mut room = vec![0; alone.longest()];
            let len = alone.request(env, ProbeId(id), &mut room).expect("room");
            let quoted = alone.quoted(&room[..len]).expect("our own");
            assert_eq!(quoted.low_bits, id);
        }
    });
    let mut rest = stream;
    while let Ok(Some(len)) = tlv::measure(rest)
        && let Some(wire) = rest.get(..len)
    {
        rest = &rest[len..];
        if let Ok(heard) = alone.recognise(&datagram(0, Mono(2), wire)) {
            assert!(heard.low_bits < count);
        }
    }
    let _either = alone.quoted(stream);
}

/// What is heard in the stream; `None` last if it made no sense from there on.
fn heard(prober: &mut PingStreamProber, stream: &[u8], piece: usize, count: u64) -> Vec<Option<u64>> {
    let mut all = Vec::new();
    for mut bytes in stream.chunks(piece) {
        while !bytes.is_empty() {
            match prober.receive(bytes) {
                Progress::Partial(used) => {
                    assert_eq!(used, bytes.len());
                    bytes = &[];
                }
                Progress::Heard(used, heard) => {
                    assert!(used > 0 && heard.low_bits < count);
                    all.push(Some(heard.low_bits));
                    bytes = &bytes[used..];
                }
                Progress::Unused(used, _) => {
                    assert!(used > 0);
                    bytes = &bytes[used..];
                }
                Progress::Foreign(_) => {
                    all.push(None);
                    return all;
                }
            }
        }
    }
    all
}

/// The bytes as each of the datasets, and as a Data of one.
pub(crate) fn status(data: &[u8]) {
    let _either = GeneralStatus::parse(data);
    let _either = FaceStatus::parse_all(data);
    let _either = RibEntry::parse_all(data);
    let _either = FibEntry::parse_all(data);
    let _either = ControlResponse::parse(data);
    let _either = Verifier::from_file(data);
    let mut rest = data;
    let mut fetch = Fetch::new(Dataset::Rib);
    while let Ok(Some(len)) = tlv::measure(rest)
        && let Some(wire) = rest.get(..len)
    {
        rest = &rest[len..];
        if let Ok(data) = Data::parse(wire)
            && fetch.take(&data).is_err()
        {
            return;
        }
        assert!(
            fetch
                .next_name()
                .to_string()
                .starts_with("/localhost/nfd/rib/list")
        );
    }
}
