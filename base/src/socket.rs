//! UDP sockets that a machine opens and closes itself, as it opens connections.

use crate::{LinkId, UnreachableError};
use std::net::SocketAddr;

/// A UDP socket that a machine opens, by the number that it chooses itself. A number may be used again once it is closed.
/// Sockets that were given to the machine have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u64);

/// Where such a socket is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Address and port to bind; with port 0 the driver chooses one.
    pub local: SocketAddr,
    /// Nothing leaves or arrives by another link; [`LinkId`] 0 for any.
    pub link: LinkId,
}

/// What became of the wish for a socket.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketInput {
    /// It is open, and bound to this address. What the machine sends from there leaves by it.
    Opened(SocketAddr),
    /// There is none, for the operating system's reason, such as `Address already in use`.
    Refused(UnreachableError),
}

impl SocketInput {
    /// Nobody opens sockets here (EOPNOTSUPP): a driver whose sockets are fixed, or a machine around this one.
    pub const UNSUPPORTED: SocketInput = SocketInput::Refused(UnreachableError(95));
}
