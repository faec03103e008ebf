//! One session: two keys and their windows, and how old they are.

use super::keys::{Class, OpenError, Opened, Opener, SealError, Sealer};
use super::local::Timers;
use super::noise::Keys;
use super::request::Agreed;
use crate::wire::{Content, Control, DataHeader, HEADER_LEN, TAG_LEN};
use halloo_base::Mono;
use std::time::Duration;

/// Until something has come by a new session its initiator says so this often that there is one ...
const CONFIRM_EVERY: Duration = Duration::from_secs(1);
/// ... and no more than so many times.
const CONFIRM_TIMES: u8 = 10;

/// A session.
pub(crate) struct Session {
    /// By which this end knows it.
    pub(crate) number: u32,
    /// By which the other end knows it.
    pub(crate) remote: u32,
    pub(crate) agreed: Agreed,
    /// Whether this end began it.
    pub(crate) began_here: bool,
    /// The number, at this end, of the session that it was begun to follow.
    pub(crate) follows: Option<u32>,
    pub(crate) since: Mono,
    /// When something that is proved came by it last.
    pub(crate) heard: Option<Mono>,
    /// When one that was begun to follow it took its place. Where two sessions were begun at once, each end may send by
    /// another, so neither is let go before its time.
    pub(crate) followed: Option<Mono>,
    /// When to say once more that there is a session, and how many times still.
    greet: Option<(Mono, u8)>,
    sealer: Sealer,
    opener: Opener,
}

impl Session {
    pub(crate) fn new(
        agreed: Agreed,
        keys: &Keys,
        number: u32,
        remote: u32,
        began_here: bool,
        now: Mono,
    ) -> Session {
        let (out, back) = if began_here {
            (&keys.there, &keys.back)
        } else {
            (&keys.back, &keys.there)
        };
        Session {
            sealer: Sealer::new(agreed.cipher, out, remote),
            opener: Opener::new(agreed.cipher, back),
            number,
            remote,
            agreed,
            began_here,
            since: now,
            heard: None,
            follows: None,
            followed: None,
            greet: began_here.then_some((now, CONFIRM_TIMES)),
        }
    }

    /// When nothing is sent or taken by it any more.
    pub(crate) fn ends(&self, timers: &Timers) -> Mono {
        let end = self.since + timers.expire;
        match self.followed {
            Some(followed) => end.min(followed.max(self.heard.unwrap_or(followed)) + timers.linger),
            None => end,
        }
    }

    /// When this end is to follow it up.
    pub(crate) fn rekey_at(&self, timers: &Timers) -> Mono {
        if self.sealer.sealed() >= timers.rekey_datagrams {
            return self.since;
        }
        let after = if self.began_here {
            timers.rekey
        } else {
            timers.rekey_other
        };
        self.since + after
    }

    /// When it is to be shown to the other end.
    pub(crate) fn greets_at(&self) -> Option<Mono> {
        self.greet.map(|(at, _)| at)
    }

    /// Whether this end began it and nothing has come by it yet: the other end may not know that there is a session.
    pub(crate) fn is_being_shown(&self) -> bool {
        self.began_here && self.greet.is_some()
    }

    /// The first datagram of the other's has come by it: answer, so that he knows.
    pub(crate) fn answer_greeting(&mut self, now: Mono) {
        self.greet = Some((now, 1));
    }

    /// Appends a datagram that says nothing but that there is a session.
    pub(crate) fn greet(&mut self, now: Mono, out: &mut Vec<u8>) -> Result<(), SealError> {
        self.greet = self
            .greet
            .filter(|&(_, times)| times > 1)
            .map(|(_, times)| (now + CONFIRM_EVERY, times - 1));
        self.say(&[Content::Nothing as u8], out)
    }

    /// Appends a datagram that ends the session, with the reason.
    pub(crate) fn close(&mut self, close: &Control, out: &mut Vec<u8>) -> Result<(), SealError> {
        let mut content = vec![Content::Control as u8];
        close.emit(&mut content).map_err(|_| SealError::Room)?;
        self.say(&content, out)
    }

    fn say(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        let start = out.len();
        out.resize(start + HEADER_LEN, 0);
        out.extend_from_slice(content);
        out.resize(out.len() + TAG_LEN, 0);
        let len = self
            .sealer
            .seal(0, Class::Control, &mut out[start..], content.len())?;
        out.truncate(start + len);
        Ok(())
    }

    pub(crate) fn seal(
        &mut self,
        path: u8,
        class: Class,
        buffer: &mut [u8],
        len: usize,
    ) -> Result<usize, SealError> {
        self.sealer.seal(path, class, buffer, len)
    }

    pub(crate) fn overhead(&self, class: Class) -> usize {
        self.sealer.overhead(class)
    }

    pub(crate) fn open(
        &mut self,
        now: Mono,
        header: &DataHeader,
        datagram: &[u8],
        into: &mut [u8],
    ) -> Result<Opened, OpenError> {
        let opened = self.opener.open(header, datagram, into)?;
        if opened.proved {
            self.heard = Some(now);
            if self.began_here {
                // The other end sends by it, so he knows.
                self.greet = None;
            }
        }
        Ok(opened)
    }
}
