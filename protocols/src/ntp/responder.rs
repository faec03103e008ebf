//! Answers clients.

use super::clock::{ClockSource, Informed};
use super::wire::{HEADER, Packet, Tail, UNKNOWN_LEAP, VERSION, mode};
use super::{Short, Timestamp};
use halloo_base::{Datagram, Env, Reason, Responder, Verdict};

/// How an [`NtpServer`] answers.
#[derive(Clone, Debug, Default)]
pub struct NtpServerOptions {
    /// Where it learns how good its clock is. By default it says that it is not synchronised, and no client follows it.
    pub clock: ClockSource,
}

/// An NTP server (RFC 5905 section 14, with the wall clock of this host), which remembers no client.
///
/// It answers requests of clients (mode 3) of the versions 1 to 4, and nothing else: no mode is answered that is an answer,
/// and none that asks for more than the time. An answer has 48 bytes. Extension fields of a request are ignored (RFC
/// 7822). A request with a message authentication code is not answered: who signs would not believe an unsigned answer,
/// and the crypto-NAK of section 9.2 is one. Who asks too
/// often is told so now and then by the kiss code RATE (section 7.4), which is as long.
pub struct NtpServer {
    clock: Informed,
}

impl NtpServer {
    /// A server.
    pub fn new(options: NtpServerOptions) -> NtpServer {
        NtpServer {
            clock: Informed::new(options.clock),
        }
    }

    /// The request that a datagram is; why it is none.
    fn request(rx: &Datagram<'_>) -> Result<Packet, Reason> {
        let request = Packet::parse(rx.payload).ok_or(Reason::Malformed)?;
        match request.mode {
            mode::CLIENT if (1..=VERSION).contains(&request.version) => {}
            mode::SERVER | mode::SYMMETRIC_PASSIVE => return Err(Reason::Loop),
            _ => return Err(Reason::NotServed),
        }
        match Tail::parse(rx.payload, request.version) {
            Some(Tail::Unsigned) => Ok(request),
            Some(Tail::Signed) => Err(Reason::BadAuth),
            None => Err(Reason::Malformed),
        }
    }

    fn answer(&mut self, env: &Env<'_>, rx: &Datagram<'_>, reply: &mut [u8]) -> Result<usize, Reason> {
        let request = NtpServer::request(rx)?;
        let reply = reply.first_chunk_mut::<HEADER>().ok_or(Reason::Truncated)?;
        let mut answer = Packet {
            version: request.version,
            mode: mode::SERVER,
            poll: request.poll,
            root_delay: Short::default(),
            root_dispersion: Short::default(),
            origin: request.transmit,
            receive: Timestamp::new(rx.at.wall),
            ..Packet::default()
        };
        let state = self.clock.state(env, rx.at.wall);
        state.tell(env.now, rx.at.wall, &mut answer);
        // Last, so that all work above lies between the stamps. Nothing leaves before it has arrived, whatever a step of
        // the wall clock may say.
        let now = env.clock.stamp().wall.max(rx.at.wall);
        answer.transmit = Timestamp::new(now);
        *reply = answer.emit();
        Ok(HEADER)
    }
}

impl Responder for NtpServer {
    fn respond(&mut self, env: &mut Env<'_>, rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict {
        match self.answer(env, rx, reply) {
            Ok(len) => Verdict::Reply(len),
            Err(why) => Verdict::Silent(why),
        }
    }

    fn warn(&mut self, env: &mut Env<'_>, rx: &Datagram<'_>, reply: &mut [u8]) -> Option<usize> {
        let request = NtpServer::request(rx).ok()?;
        let reply = reply.first_chunk_mut::<HEADER>()?;
        let kiss = Packet {
            leap: UNKNOWN_LEAP,
            version: request.version,
            mode: mode::SERVER,
            stratum: 0,
            poll: request.poll,
            reference_id: *b"RATE",
            origin: request.transmit,
            // They mean nothing, but clients look whether they are there.
            receive: Timestamp::new(rx.at.wall),
            transmit: Timestamp::new(env.clock.stamp().wall.max(rx.at.wall)),
            ..Packet::default()
        };
        *reply = kiss.emit();
        Some(HEADER)
    }
}
