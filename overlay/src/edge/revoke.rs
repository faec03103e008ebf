//! A list of certificates that hold no longer, which came while the edge runs.

use super::{Edge, EdgeEvent, EdgePort, Who};
use crate::crypto::{Certificate, CertificateError, Community, Refusal};
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
            self.judge(cx, owner);
        }
    }

    /// Parts from a member whose certificate holds no longer; what he has begun with it and not shown yet goes too.
    fn judge(&mut self, cx: &mut Cx<'_>, owner: u32) {
        let Some(authority) = self.own.local.authority.as_ref() else {
            return;
        };
        let Some(Some(remote)) = self.remotes.get_mut(owner as usize) else {
            return;
        };
        let tag = self.own.local.community().map(Community::tag);
        let wall = cx.env.clock.stamp().wall;
        let key = remote.peer.key();
        let holds = |certificate: &Certificate| authority.verify(certificate, &key, tag, wall);
        let begun = remote.peer.drop_next(&mut self.own.numbers, holds);
        let agreed = remote.peer.agreed();
        let in_use = agreed.and_then(|agreed| holds(agreed.certificate.as_ref()?).err());
        if let Some(why) = in_use {
            self.part(cx, owner, why);
        } else if let Some(why) = begun {
            let refusal = refusal(why);
            remote.refused(refusal.clone(), cx.env.now);
            let who = (key, remote.name.clone());
            self.tell_refusal(Who::Peer(owner), who, true, &refusal);
        }
    }

    fn part(&mut self, cx: &mut Cx<'_>, owner: u32, why: CertificateError) {
        let now = cx.env.now;
        let refusal = refusal(why);
        let close = Control::Close {
            reason: refusal.status,
            words: refusal.words.clone(),
        };
        self.tell_peer(cx, owner, &close);
        let Some(Some(remote)) = self.remotes.get_mut(owner as usize) else {
            return;
        };
        remote.peer.close(&mut self.own.numbers);
        remote.down(self.options.link_mtu, now);
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

fn refusal(why: CertificateError) -> Refusal {
    Refusal {
        status: Status::Certificate,
        words: format!("certificate: {why}"),
    }
}
