//! Questions and answers with the kernel over rtnetlink(7).

use crate::sys::set_int;
use netlink_packet_core::{
    ErrorMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// The kernel writes a list in pieces of at most 32 KiB.
const BUFFER: usize = 64 * 1024;
/// A list is asked for again when it changed while it was written, but not for ever.
const ATTEMPTS: u32 = 8;
/// Bytes of a netlink header, which the kernel quotes in front of its own words.
const HEADER: usize = 16;
/// The attribute that holds those words (NLMSGERR_ATTR_MSG of linux/netlink.h).
const WORDS: u16 = 1;

/// A socket on which one question at a time is asked.
pub(super) struct Dialogue {
    socket: OwnedFd,
    sequence: u32,
    buffer: Box<[u8]>,
}

/// Why the kernel would not.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) error: io::Error,
    /// What it said beside the number.
    pub(super) words: Option<String>,
}

impl Dialogue {
    pub(super) fn open() -> io::Result<Dialogue> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        // Kernels before 4.12 explain nothing, and answer all the same.
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            let _ = set_int(&socket, libc::SOL_NETLINK, option, 1);
        }
        Ok(Dialogue {
            socket,
            sequence: 0,
            buffer: vec![0; BUFFER].into_boxed_slice(),
        })
    }

    /// Has something changed; `flags` are those of the request beside the usual ones.
    pub(super) fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<(), Refused> {
        self.send(message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        self.receive().map(drop)
    }

    /// Asks for everything of a kind.
    pub(super) fn list(
        &mut self,
        message: &RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, Refused> {
        for _ in 0..ATTEMPTS {
            self.send(message.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            if let Some(whole) = self.receive()? {
                return Ok(whole);
            }
        }
        Err(io::Error::from_raw_os_error(libc::EAGAIN).into())
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        send(self.socket.as_raw_fd(), &bytes, MsgFlags::empty())?;
        Ok(())
    }

    /// Everything up to the end of the answer; `None` if it changed while it was told.
    fn receive(&mut self) -> Result<Option<Vec<RouteNetlinkMessage>>, Refused> {
        let mut told = vec![];
        let mut interrupted = false;
        loop {
            let len = recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty())
                .map_err(io::Error::from)?;
            let mut rest = &self.buffer[..len];
            while rest.len() >= HEADER {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
                let taken = (message.header.length as usize).next_multiple_of(4).max(HEADER);
                rest = rest.get(taken..).unwrap_or_default();
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(inner) => told.push(inner),
                    NetlinkPayload::Done(_) => return Ok((!interrupted).then_some(told)),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(refused(&error)),
                    NetlinkPayload::Error(_) => return Ok(Some(told)),
                    _ => {}
                }
            }
        }
    }
}

fn refused(message: &ErrorMessage) -> Refused {
    Refused {
        error: message.to_io(),
        words: message.header.get(HEADER..).and_then(words),
    }
}

/// What the kernel says in the attributes behind an error.
fn words(mut attributes: &[u8]) -> Option<String> {
    loop {
        let (&[a, b, c, d], _) = attributes.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_ne_bytes([a, b]));
        let value = attributes.get(4..len)?;
        if u16::from_ne_bytes([c, d]) == WORDS {
            let text = String::from_utf8_lossy(value);
            return Some(text.trim_end_matches('\0').to_owned());
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused { error, words: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_found_among_its_attributes() {
        let attribute = |kind: u16, value: &[u8]| {
            let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let both = [attribute(2, &[1, 2, 3, 4]), attribute(WORDS, b"No such thing\0")].concat();
        assert_eq!(words(&both).as_deref(), Some("No such thing"));
        assert_eq!(words(&attribute(2, &[1])), None);
        for len in 0..both.len() {
            let _ = words(&both[..len]);
        }
        assert_eq!(words(&[0; 64]), None, "no length, no end");
    }
}
