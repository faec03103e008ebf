//! What a session asks for under an NDN name, and by which way.

use super::face::{Face, Place};
use crate::ping::Family;
use crate::target::{Host, Target};
use anyhow::Result;
use halloo_base::{AnyProber, Transport};
use halloo_protocols::ndn::{NameBuf, PingProber, PingProberOptions, PingStreamProber, Verifier};
use std::time::Duration;

/// What is asked for by name. The default is what `ndnping` asks unless told otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The server's prefix, without the `ping` behind it.
    pub(crate) prefix: NameBuf,
    /// By which way; `None` for the target's host, or this host's forwarder.
    pub(crate) face: Option<Face>,
    /// The first probe's number; `None` draws one.
    pub(crate) start: Option<u64>,
    /// A component before the number.
    pub(crate) identifier: Option<String>,
    /// Whether caches may answer with what is no longer fresh.
    pub(crate) cache: bool,
    /// How long forwarders keep the question; `None` for as long as an answer is waited for.
    pub(crate) lifetime: Option<Duration>,
    pub(crate) hop_limit: Option<u8>,
    pub(crate) forwarding_hint: Vec<NameBuf>,
    /// Who must have signed the answers.
    pub(crate) verifier: Option<Verifier>,
    /// Bytes of each Interest, where it is to be padded.
    pub(crate) size: Option<usize>,
}

impl Question {
    pub(crate) fn new(prefix: NameBuf) -> Question {
        Question {
            prefix,
            face: None,
            start: None,
            identifier: None,
            cache: false,
            lifetime: None,
            hop_limit: None,
            forwarding_hint: vec![],
            verifier: None,
            size: None,
        }
    }

    /// What a prober is made of. An answer is waited for as long as `lost_after`; `token` is a random number.
    pub(crate) fn options(&self, lost_after: Duration, token: u64) -> PingProberOptions {
        PingProberOptions {
            identifier: self.identifier.clone(),
            must_be_fresh: !self.cache,
            lifetime: self.lifetime.unwrap_or(lost_after),
            hop_limit: self.hop_limit,
            forwarding_hint: self.forwarding_hint.clone(),
            verifier: self.verifier.clone(),
            size: self.size,
            ..PingProberOptions::new(self.prefix.clone(), self.start.unwrap_or(token))
        }
    }

    /// How many bytes an Interest has at most.
    pub(crate) fn longest(&self, lost_after: Duration) -> u32 {
        // No packet is longer than 8800 bytes.
        PingProber::new(self.options(lost_after, 0)).longest() as u32
    }
}

impl Face {
    /// Who asks by it.
    pub(crate) fn prober(&self, options: PingProberOptions) -> AnyProber {
        if self.is_stream() {
            AnyProber::Stream(Box::new(PingStreamProber::new(options)))
        } else {
            AnyProber::Datagram(Box::new(PingProber::new(options)))
        }
    }
}

/// By which way a target is asked; `None` for one that is asked at an address, and not by name.
///
/// # Errors
/// If it is to be this host's forwarder, and what is set for that makes no sense.
pub(crate) fn face_of(target: &Target) -> Result<Option<Face>> {
    let Some(question) = &target.question else {
        return Ok(None);
    };
    if let Some(face) = &question.face {
        return Ok(Some(face.clone()));
    }
    if target.host == Host::Forwarder {
        return Face::of_host().map(Some);
    }
    let place = Place {
        host: target.host.clone(),
        port: target.port,
        family: Family::Any,
    };
    Ok(Some(match target.protocol.transport {
        Transport::Tcp => Face::Tcp(place),
        _ => Face::Udp(place),
    }))
}
