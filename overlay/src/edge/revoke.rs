//! A list of certificates that hold no longer, which came while the edge runs.

use super::{Edge, EdgeEvent, EdgePort, Who};
use crate::crypto::{Authority, CertificateError, Community, Refusal};
use crate::wire::{Control, Status};
use halloo_base::Cx;
use std::time::Duration;

/// Whoever has a new certificate by then is heard again.
const AGAIN: Duration = Duration::from_secs(30);

impl Edge {
    /// Takes a later list, and parts from those who are on it.
    pub(super) fn revoke(&mut self, cx: &mut Cx<'_>, octets: &[u8]) {
        let authority = self.own.local.authority.as_mut();
        let taken = authority.map_or(Err(CertificateError::Foreign), |authority| {
            authority.revoke(octets)?;
            Ok(authority.revoked())
        });
        match taken {
            // It was written anew, or is read twice.
            Err(CertificateError::Old) => return,
            Err(why) => return self.own.tell(EdgeEvent::RevocationRefused(why)),
            Ok(serials) => self.own.tell(EdgeEvent::Revoked { serials }),
        }
        for owner in 0..self.remotes.len() as u32 {
            if let Some(why) = self.holds_no_longer(cx, owner) {
                self.part(cx, owner, why);
            }
        }
    }

    fn holds_no_longer(&self, cx: &Cx<'_>, owner: u32) -> Option<CertificateError> {
        let authority: &Authority = self.own.local.authority.as_ref()?;
        let remote = self.remotes.get(owner as usize)?.as_ref()?;
        let certificate = remote.peer.agreed()?.certificate.as_ref()?;
        let tag = self.own.local.community().map(Community::tag);
        let wall = cx.env.clock.stamp().wall;
        authority.verify(certificate, &remote.peer.key(), tag, wall).err()
    }

    fn part(&mut self, cx: &mut Cx<'_>, owner: u32, why: CertificateError) {
        let now = cx.env.now;
        let refusal = Refusal {
            status: Status::Certificate,
            words: format!("certificate: {why}"),
        };
        let close = Control::Close {
            reason: refusal.status,
            words: refusal.words.clone(),
        };
        self.tell_peer(cx, owner, &close);
        let Some(Some(remote)) = self.remotes.get_mut(owner as usize) else {
            return;
        };
        remote.peer.close(&mut self.own.numbers);
        remote.down();
        remote.refusal = Some(refusal.clone());
        remote.meet(now + AGAIN, now);
        let (key, name) = (remote.peer.key(), remote.name.clone());
        self.carrier.switch.table_mut().forget_port(EdgePort::Peer(owner));
        self.own.tell(EdgeEvent::PeerDown {
            key,
            name: name.clone(),
        });
        self.tell_refusal(Who::Peer(owner), (key, name), true, &refusal);
        self.soon(now);
    }
}
