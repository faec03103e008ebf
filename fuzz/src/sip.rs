//! SIP OPTIONS: who answers it and who asks it, by datagrams and on streams in any pieces.

use crate::feed::Feed;
use crate::surroundings::{datagram, stamp, with_env};
use halloo_base::{
    Mono, Next, ProbeId, Prober, Progress, ReplyLimit, Responder, StampSource, StreamProber, StreamResponder,
    Trust, Verdict,
};
use halloo_protocols::ProberOptions;
use halloo_protocols::sip::{
    LONGEST, Message, Name, SIP, STRANGER, SipProber, SipServer, SipStreamProber, Start,
};

const TOKEN: u64 = 0xfeed;

/// First the sender and how the stream is cut, then the message, which is also a stream.
pub(crate) fn server(data: &[u8]) {
    let mut feed = Feed::new(data);
    let sender = feed.octet();
    let piece = usize::from(feed.octet()).max(1);
    let bytes = feed.bytes(data.len());
    for trust in [Trust::Stranger, Trust::Validated] {
        check_answer(sender, bytes, SIP.reply_limit.longest(bytes.len(), trust));
    }
    if let Some(limit) = SipServer::new([1; 16]).reply_limit(&datagram(sender, Mono(1), bytes)) {
        assert_eq!(limit, ReplyLimit::SameAsRequest);
        let reply = check_answer(sender, bytes, bytes.len()).expect("room for everything");
        assert!(has_line(&reply, b"\r\nContent-Length: 0\r\n"), "and it is there");
    }
    let whole = serve(sender, bytes, bytes.len().max(1));
    assert_eq!(serve(sender, bytes, piece), whole, "however it is cut");
}

/// The answer to a datagram in so much room, found to be in order.
fn check_answer(sender: u8, bytes: &[u8], room: usize) -> Option<Vec<u8>> {
    let reply = answer(sender, bytes, room)?;
    let asked = Message::parse(bytes).expect("only messages are answered");
    let (Start::Request { method, .. } | Start::BadRequest { method }) = asked.start else {
        panic!("a response is answered");
    };
    assert!(!matches!(method, b"ACK" | b"CANCEL"));
    let told = Message::parse(&reply).expect("an answer is a message");
    assert!(matches!(told.start, Start::Response { code: 200.. }));
    assert!(told.body.is_empty());
    assert!(reply.len() <= room && reply.len() <= bytes.len() + room.saturating_sub(bytes.len()));
    if room <= bytes.len() + STRANGER && has_line(&reply, b"\r\nAccept-Encoding: identity\r\n") {
        assert!(reply.len() <= bytes.len(), "a stranger gets no more than he gave");
    }
    let count = |message: &Message<'_>, name| message.fields.filter(|field| field.name == name).count();
    assert_eq!(count(&told, Name::Via), count(&asked, Name::Via));
    for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
        assert_eq!(count(&told, name), 1);
        let value = |message: &Message<'_>| {
            let first = message.fields.clone().find(|field| field.name == name);
            first.expect("it is there").value.to_vec()
        };
        assert!(value(&told).starts_with(&value(&asked)), "only To may have more");
    }
    assert_eq!(
        answer(sender, &reply, LONGEST + reply.len()),
        None,
        "an answer is answered"
    );
    Some(reply)
}

fn answer(sender: u8, bytes: &[u8], room: usize) -> Option<Vec<u8>> {
    let mut reply = bytes.to_vec();
    reply.resize(room, 0);
    let rx = datagram(sender, Mono(1_000), bytes);
    match with_env(Mono(5_000), |env| {
        SipServer::new([1; 16]).respond(env, &rx, &mut reply)
    }) {
        Verdict::Reply(len) => {
            reply.truncate(len);
            Some(reply)
        }
        Verdict::Silent(_) => None,
        Verdict::ReplyStamped(..) | Verdict::ReplyFrom(..) => {
            panic!("nobody needs the stamp, or another way")
        }
    }
}

fn has_line(message: &[u8], line: &[u8]) -> bool {
    message.windows(line.len()).any(|window| window == line)
}

/// What a connection answers, and whether it goes on, when the bytes come in pieces of so many.
fn serve(sender: u8, bytes: &[u8], piece: usize) -> (Vec<u8>, Next) {
    let at = stamp(Mono(1_000), StampSource::Kernel);
    let mut connection = SipServer::new([1; 16]).connection(&datagram(sender, at.mono, &[]).path);
    let (mut waiting, mut tx) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        waiting.extend_from_slice(piece);
        let (used, next) = with_env(Mono(5_000), |env| connection.respond(env, at, &waiting, &mut tx));
        assert!(used <= waiting.len());
        if next == Next::Close {
            return (tx, next);
        }
        waiting.drain(..used);
        assert!(waiting.len() < LONGEST, "what is waited for has a bound");
    }
    (tx, Next::Continue)
}

/// First how many were asked, a size, and how the stream is cut; then the stream, which is also a datagram.
pub(crate) fn prober(data: &[u8]) {
    let mut feed = Feed::new(data);
    let count = u64::from(feed.octet() % 8);
    let size = usize::from(feed.number() % 1_200);
    let piece = usize::from(feed.octet()).max(1);
    let stream = feed.bytes(data.len());
    let options = ProberOptions {
        token: TOKEN,
        size,
        authority: "echo.example.net".to_owned(),
        ..ProberOptions::default()
    };
    check_datagrams(&options, count, stream);
    let by_piece = [piece, stream.len().max(1)].map(|piece| {
        let mut prober = SipStreamProber::new(&options);
        let asked = ask(&mut prober, count);
        let (answers, next) = serve(0, &asked, asked.len().max(1));
        assert_eq!(next, Next::Continue);
        let own = heard(&mut prober, &answers, piece, count);
        assert_eq!(own, (0..count).map(Some).collect::<Vec<_>>());
        heard(&mut prober, stream, piece, count)
    });
    assert_eq!(by_piece[0], by_piece[1], "however it is cut");
}

fn check_datagrams(options: &ProberOptions, count: u64, bytes: &[u8]) {
    let mut prober = SipProber::new(options);
    for id in 0..count {
        let mut request = vec![0; options.size];
        let made = with_env(Mono(1), |env| prober.request(env, ProbeId(id), &mut request));
        if made.is_none() {
            return;
        }
        assert_eq!(prober.quoted(&request).expect("our own").low_bits, id);
        let answer = answer(
            2,
            &request,
            SIP.reply_limit.longest(request.len(), Trust::Stranger),
        );
        let answer = answer.expect("our own requests are complete");
        let heard = prober.recognise(&datagram(2, Mono(9), &answer));
        assert_eq!(heard.map(|heard| (heard.low_bits, heard.refusal)), Ok((id, None)));
    }
    if let Ok(heard) = prober.recognise(&datagram(0, Mono(9), bytes)) {
        assert!(heard.low_bits < count && heard.bits == 64);
    }
    let _either = prober.quoted(bytes);
}

fn ask(prober: &mut SipStreamProber, count: u64) -> Vec<u8> {
    let mut tx = Vec::new();
    for id in 0..count {
        with_env(Mono(1), |env| prober.request(env, ProbeId(id), &mut tx));
    }
    tx
}

/// What is heard in the stream; `None` last if it made no sense from there on.
fn heard(prober: &mut SipStreamProber, stream: &[u8], piece: usize, count: u64) -> Vec<Option<u64>> {
    let mut all = Vec::new();
    for mut bytes in stream.chunks(piece) {
        while !bytes.is_empty() {
            let used = match prober.receive(bytes) {
                Progress::Partial(used) => {
                    assert_eq!(used, bytes.len());
                    used
                }
                Progress::Heard(used, heard) => {
                    assert!(heard.low_bits < count);
                    all.push(Some(heard.low_bits));
                    used
                }
                Progress::Unused(used, _) => used,
                Progress::Foreign(_) => {
                    all.push(None);
                    return all;
                }
            };
            assert!(used > 0);
            bytes = &bytes[used..];
        }
    }
    all
}
