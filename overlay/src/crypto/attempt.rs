//! Initiations of this end's until one is answered.

use super::community::mac1_key;
use super::entropy::draw;
use super::hash::keyed;
use super::local::{Role, Timers};
use super::noise::{FIRST, Noise};
use super::numbers::Numbers;
use super::peer::own_certificate;
use super::request::HandshakeError;
use super::step::Context;
use crate::PublicKey;
use crate::wire::{Initiation, Proposal};
use halloo_base::Mono;
use std::time::Duration;

/// When the next one follows. The first ones follow soon, since some lost datagrams should not cost five seconds.
const AGAIN: [Duration; 7] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(1),
    Duration::from_secs(1),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// Up to so much is added, so that many that lost the same end do not all come back at once.
const JITTER_MS: u64 = 333;

/// Times that the same initiation is sent again with a cookie.
const COOKIES: u8 = 3;

/// Whoever goes first insists on it for so many initiations; if they lead nowhere, the other's turn has come.
const INSISTENCE: u32 = 2;

/// What this end does to get a session.
pub(crate) struct Attempt {
    since: Mono,
    sent: u32,
    next: Mono,
    flight: Option<Flight>,
}

/// An initiation that may be answered yet.
pub(crate) struct Flight {
    pub(crate) noise: Box<Noise>,
    number: u32,
    pub(crate) mac1: [u8; 16],
    /// Of the responder: a cookie has its mark.
    pub(crate) mac1_key: [u8; 32],
    /// Up to `mac2`.
    octets: Vec<u8>,
    /// The number, at this end, of the session that is to be followed.
    follows: Option<u32>,
    cookies: u8,
}

impl Attempt {
    pub(crate) fn new(now: Mono) -> Attempt {
        Attempt {
            since: now,
            sent: 0,
            next: now,
            flight: None,
        }
    }

    /// When the next initiation is due, or the end of it all.
    pub(crate) fn next_at(&self, timers: &Timers) -> Mono {
        self.next.min(self.since + timers.give_up)
    }

    pub(crate) fn is_over(&self, now: Mono, timers: &Timers) -> bool {
        now >= self.since + timers.give_up
    }

    /// Whether an initiation of the other's that comes now is to wait for this end's, if this end goes first.
    pub(crate) fn insists(&self, now: Mono) -> bool {
        self.flight.is_some() && self.sent <= INSISTENCE && now < self.next
    }

    /// There is something new to try it by: the next one now.
    pub(crate) fn hurry(&mut self, now: Mono) {
        self.next = self.next.min(now);
    }

    pub(crate) fn wait_until(&mut self, at: Mono) {
        self.next = self.next.max(at);
    }

    /// The initiation of this number, if it may be answered yet.
    pub(crate) fn flight(&mut self, number: u32) -> Option<&mut Flight> {
        self.flight.as_mut().filter(|flight| flight.number == number)
    }

    /// The other end wants a later time: the next initiation soon, but not at once, else he could make this end run.
    pub(crate) fn again(&mut self, now: Mono, numbers: &mut Numbers) {
        self.drop_flight(numbers);
        self.next = now + AGAIN[0];
    }

    pub(crate) fn drop_flight(&mut self, numbers: &mut Numbers) {
        if let Some(flight) = self.flight.take() {
            numbers.release(flight.number);
        }
    }

    /// Answered: its number is a session's now. The number of the session that the new one follows.
    pub(crate) fn land(mut self) -> Option<u32> {
        self.flight.take()?.follows
    }

    #[expect(clippy::too_many_arguments, reason = "what a message is made of")]
    pub(crate) fn initiate(
        &mut self,
        cx: &mut Context<'_>,
        owner: u32,
        (key, role): (&PublicKey, Role),
        time: u64,
        follows: Option<(u32, u32)>,
        cookie: Option<[u8; 16]>,
        out: &mut Vec<u8>,
    ) -> Result<(), HandshakeError> {
        let wait = AGAIN.get(self.sent as usize).unwrap_or(&AGAIN[AGAIN.len() - 1]);
        let jitter = u64::from(u16::from_be_bytes(draw(cx.entropy))) * JITTER_MS / 65_536;
        self.next = cx.now + *wait + Duration::from_millis(jitter);
        self.sent = self.sent.saturating_add(1);
        self.drop_flight(cx.numbers);
        let local = cx.local;
        let community = local.community_with(role);
        if role == Role::Edge && community.is_none() {
            return Err(HandshakeError::Noise);
        }
        let noise = Noise::initiator(local.identity(), key, community, draw(cx.entropy));
        let mut noise = Box::new(noise.map_err(|_| HandshakeError::Noise)?);
        let offer = &local.offer;
        let to_supernode = local.community().filter(|_| role == Role::Supernode);
        let proposal = Proposal {
            time,
            community: to_supernode.map(|community| (community.id(), community.tag())),
            ciphers: offer.ciphers.clone(),
            compressions: offer.compressions.clone(),
            frame: offer.frame,
            certificate: own_certificate(local),
            rekey: follows.map(|(_, theirs)| theirs),
            name: offer.name.clone(),
            features: offer.features,
            software: offer.software.clone(),
        };
        // The answer's certificate must fit into as many octets.
        let least = if role == Role::Edge && local.authority.is_some() {
            Initiation::LONGEST
        } else {
            Initiation::SHORTEST
        };
        let mut payload = Vec::new();
        proposal
            .emit(&mut payload, least - Initiation::AROUND - FIRST)
            .map_err(|_| HandshakeError::Room)?;
        if payload.len() + Initiation::AROUND + FIRST > Initiation::LONGEST {
            return Err(HandshakeError::Room);
        }
        let number = cx.numbers.draw(owner, cx.entropy);
        let mut octets = Initiation::head(number).to_vec();
        if noise.write(&payload, &mut octets).is_err() {
            cx.numbers.release(number);
            return Err(HandshakeError::Noise);
        }
        let mac1_key = mac1_key(key, community);
        let mac1 = keyed(&mac1_key, &[&octets]);
        octets.extend_from_slice(&mac1);
        let mut flight = Flight {
            noise,
            number,
            mac1,
            mac1_key,
            octets,
            follows: follows.map(|(ours, _)| ours),
            cookies: COOKIES,
        };
        match cookie {
            Some(cookie) => {
                flight.show(&cookie, out);
            }
            None => {
                out.extend_from_slice(&flight.octets);
                out.extend_from_slice(&[0; 16]);
            }
        }
        self.flight = Some(flight);
        Ok(())
    }
}

impl Flight {
    /// Appends the initiation with a cookie's mark, unless that was done too often.
    pub(crate) fn show(&mut self, cookie: &[u8; 16], out: &mut Vec<u8>) -> bool {
        let Some(left) = self.cookies.checked_sub(1) else {
            return false;
        };
        self.cookies = left;
        let mac2 = keyed(cookie, &[&self.octets]);
        out.extend_from_slice(&self.octets);
        out.extend_from_slice(&mac2);
        true
    }
}
