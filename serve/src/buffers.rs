//! The memory of requests that have not wholly arrived, and of answers in the making.

use halloo_base::{Env, Next, Reason, Stamp, StreamResponder};

/// Emptied buffers that are kept for the next connection that needs one.
const SPARE_BUFFERS: usize = 64;

/// The memory that connections share, because only one of them is answered at a time.
pub(crate) struct Buffers {
    /// The most that one connection may leave unanswered.
    limit: usize,
    /// What a responder wrote.
    tx: Vec<u8>,
    /// What was left over, together with what followed it.
    joined: Vec<u8>,
    spare: Vec<Vec<u8>>,
}

impl Buffers {
    pub(crate) fn new(limit: usize) -> Buffers {
        Buffers {
            limit,
            tx: Vec::new(),
            joined: Vec::new(),
            spare: Vec::with_capacity(SPARE_BUFFERS),
        }
    }

    /// Has `pending` and `bytes` answered. What was not used of them is `pending` then, or an error if that
    /// is too much.
    pub(crate) fn answer(
        &mut self,
        responder: &mut dyn StreamResponder,
        env: &mut Env<'_>,
        at: Stamp,
        pending: &mut Vec<u8>,
        bytes: &[u8],
    ) -> (&[u8], Next, Result<(), Reason>) {
        self.tx.clear();
        if pending.is_empty() {
            let (used, next) = answer_all(responder, env, at, bytes, &mut self.tx);
            let kept = keep(self.limit, &mut self.spare, pending, &bytes[used..]);
            return (&self.tx, next, kept);
        }
        self.joined.clear();
        self.joined.extend_from_slice(pending);
        self.joined.extend_from_slice(bytes);
        let (used, next) = answer_all(responder, env, at, &self.joined, &mut self.tx);
        let kept = keep(self.limit, &mut self.spare, pending, &self.joined[used..]);
        (&self.tx, next, kept)
    }

    #[cfg(test)]
    pub(crate) fn spare(&self) -> usize {
        self.spare.len()
    }

    /// Takes a connection's buffer back.
    pub(crate) fn reclaim(&mut self, pending: &mut Vec<u8>) {
        reclaim(&mut self.spare, pending);
    }
}

/// Has a responder answer until it wants more bytes, or no more at all.
fn answer_all(
    responder: &mut dyn StreamResponder,
    env: &mut Env<'_>,
    at: Stamp,
    rx: &[u8],
    tx: &mut Vec<u8>,
) -> (usize, Next) {
    let mut used = 0;
    loop {
        let (more, next) = responder.respond(env, at, &rx[used..], tx);
        used = used.saturating_add(more).min(rx.len());
        if more == 0 || next == Next::Close || used == rx.len() {
            return (used, next);
        }
    }
}

/// Makes `rest` the content of `pending`.
fn keep(limit: usize, spare: &mut Vec<Vec<u8>>, pending: &mut Vec<u8>, rest: &[u8]) -> Result<(), Reason> {
    if rest.is_empty() {
        reclaim(spare, pending);
        return Ok(());
    }
    if rest.len() > limit {
        return Err(Reason::Malformed);
    }
    if pending.capacity() == 0 {
        *pending = spare.pop().unwrap_or_else(|| Vec::with_capacity(limit));
    }
    pending.clear();
    pending.extend_from_slice(rest);
    Ok(())
}

fn reclaim(spare: &mut Vec<Vec<u8>>, pending: &mut Vec<u8>) {
    if pending.capacity() > 0 && spare.len() < SPARE_BUFFERS {
        spare.push(std::mem::take(pending));
    } else {
        *pending = Vec::new();
    }
}
