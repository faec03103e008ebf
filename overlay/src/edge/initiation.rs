//! Somebody begins a session with an edge.

use super::Edge;
use crate::crypto::{Admission, HandshakeError, Request};
use crate::way::Way;
use crate::wire::Initiation;
use halloo_base::Cx;

impl Edge {
    pub(super) fn initiation(&mut self, cx: &mut Cx<'_>, way: Way, initiation: &Initiation<'_>) {
        let now = cx.env.now;
        let own = &mut self.own;
        match own
            .gate
            .admit(now, &mut *own.entropy, &own.local, way.path.remote, initiation)
        {
            Admission::Stranger => self.counts.strangers += 1,
            Admission::Cookie(cookie) => {
                self.counts.cookies += 1;
                way.send(cx.out, &cookie);
            }
            Admission::Read => {
                if let Some(answer) = self.answers.find(initiation, now) {
                    // It came by another way before. Whether he hears the answer by that one, nobody knows.
                    way.send(cx.out, answer);
                    return;
                }
                let request = Request::read(&own.local, &mut *own.entropy, initiation);
                let request = request.and_then(|request| self.screen(cx, way, request));
                match request {
                    Ok(request) => self.request(cx, way, initiation, request),
                    Err(_) => self.counts.handshakes_refused += 1,
                }
            }
        }
    }

    /// Turns away whom nobody here knows and who comes in vain, before anything is made for him and anybody has to make
    /// room.
    fn screen(&mut self, cx: &mut Cx<'_>, way: Way, request: Request) -> Result<Request, HandshakeError> {
        let wall = cx.env.clock.stamp().wall;
        self.latest.look(wall);
        let key = request.key();
        if self.by_key.contains_key(&key) {
            return Ok(request);
        }
        let own = &mut self.own;
        own.message.clear();
        let screened = request.screen(&own.local, self.latest.of(&key), wall, &mut own.message);
        if screened.is_err() && !own.message.is_empty() {
            way.send(cx.out, &own.message);
        }
        screened
    }

    fn request(&mut self, cx: &mut Cx<'_>, way: Way, initiation: &Initiation<'_>, request: Request) {
        let now = cx.env.now;
        self.make_room(&request.key(), now);
        let Some(owner) = self.remote_for(request.key(), now) else {
            self.counts.handshakes_refused += 1;
            return;
        };
        let name = request.proposal().map(|proposal| proposal.name.clone());
        if let Some(remote) = self.remote(owner).filter(|remote| remote.name.is_empty()) {
            // Should he be refused, it is told who was.
            remote.name = name.clone().unwrap_or_default();
        }
        let seen = way.path.remote;
        let (mut begun, mut refused) = (false, false);
        let result = self.with_peer(cx, owner, way, |peer, context, out| {
            let step = peer.accept(context, request, seen, out)?;
            (begun, refused) = (step.begun, step.event.is_some());
            Ok((step.send, step.event))
        });
        if begun || refused {
            self.answers.keep(initiation, &self.own.message, now);
        }
        let link_mtu = self.options.link_mtu;
        // What came to nothing may be old, and come from anywhere; but for what was only left to us.
        let yields = result == Err(HandshakeError::Yielded);
        let Some(remote) = self.remote(owner).filter(|_| begun || yields) else {
            return;
        };
        remote.consider_begun(way, yields, link_mtu, now);
        if let Some(name) = name.filter(|name| begun && !name.is_empty()) {
            remote.name = name;
        }
    }
}
