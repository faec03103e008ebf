//! What a session is asked to do.

use halloo_base::{LinkId, Path};
use std::net::IpAddr;
use std::time::Duration;

/// How a session asks, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// The session's name in every event; the caller's choice.
    pub id: u32,
    /// Whom to ask and from where. A wildcard local address and link 0 leave the choice to routing; what is given
    /// is pinned, and answers that come by another way are counted as `wrong_path` and not used.
    pub path: Path,
    /// Payload bytes of each request. Datagrams: 0 to [`SessionOptions::LONGEST_V4`] or
    /// [`SessionOptions::LONGEST_V6`]. Streams: 1 to [`SessionOptions::LONGEST_STREAM`]; what is sent is up to the codec.
    pub size: usize,
    /// Time between slots. Zero floods: as many probes as [`SessionOptions::outstanding`] are kept in flight.
    pub interval: Duration,
    /// Probes to send; 0 is endless.
    pub count: u64,
    /// When to end, counted from the first input, whatever is still in flight.
    pub deadline: Option<Duration>,
    /// A probe without answer for longer than this is lost. An answer after that is late, not ignored.
    pub lost_after: Duration,
    /// Whether an answer after [`SessionOptions::lost_after`] is no answer: it is counted as
    /// [`stale`](crate::Unused::stale), and its probe stays lost. For protocols whose questions end with their time.
    /// Default: no.
    pub discard_late: bool,
    /// How many probes a flood keeps in flight. Not used when there is an interval.
    pub outstanding: u32,
    /// TOS or traffic class octet for the session's datagrams; `None` leaves the socket's own.
    pub tos: Option<u8>,
    /// Whether who answers sends its answers with the marks that it says a probe arrived with
    /// ([`Marks::of_answer`](halloo_base::Marks::of_answer)), so that it is known how they left. Default: no.
    pub mirrors_marks: bool,
    /// Ask for the instant when each probe left the host. Without it there is no wire round trip.
    pub departure_stamps: bool,
    /// Tell of each probe that it was sent, and of each lost one when it comes to be known which way it was lost
    /// ([`Event::Sent`](crate::Event::Sent), [`Event::Directed`](crate::Event::Directed)): who decides whether a path works
    /// cannot wait for `lost_after`. Default: no.
    pub watched: bool,
}

/// Why options make no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// Longer than any UDP datagram over IPv4.
    #[error("{0} bytes do not fit into a datagram over IPv4 (at most {max})", max = SessionOptions::LONGEST_V4)]
    TooLongForV4(usize),
    /// Longer than any UDP datagram over IPv6.
    #[error("{0} bytes do not fit into a datagram over IPv6 (at most {max})", max = SessionOptions::LONGEST_V6)]
    TooLongForV6(usize),
    /// An answer over a stream needs something to be recognised by, and an end.
    #[error("a request over a stream has 1 to {max} bytes, not {0}", max = SessionOptions::LONGEST_STREAM)]
    NoStreamSize(usize),
    /// Every probe would be lost as it leaves.
    #[error("an answer needs some time: the time until a probe counts as lost must be above zero")]
    LostAtOnce,
    /// A flood with nothing in flight never begins.
    #[error("a flood needs at least one probe in flight")]
    NothingOutstanding,
    /// More in flight than a session remembers.
    #[error("a flood keeps at most {max} probes in flight, not {0}", max = SessionOptions::MOST_OUTSTANDING)]
    TooManyOutstanding(u32),
}

impl SessionOptions {
    /// The longest payload of a UDP datagram over IPv4: 65,535 less 20 of IP (RFC 791) and 8 of UDP (RFC 768).
    pub const LONGEST_V4: usize = 65_507;
    /// The longest payload of a UDP datagram over IPv6, whose length does not count its own header (RFC 8200).
    pub const LONGEST_V6: usize = 65_527;
    /// The longest request over a stream.
    pub const LONGEST_STREAM: usize = 1 << 20;
    /// The widest flood window.
    pub const MOST_OUTSTANDING: u32 = 4_096;

    /// Sixty-four bytes once a second, endless, lost after five seconds, departures stamped.
    pub fn new(id: u32, path: Path) -> SessionOptions {
        SessionOptions {
            id,
            path,
            size: 64,
            interval: Duration::from_secs(1),
            count: 0,
            deadline: None,
            lost_after: Duration::from_secs(5),
            discard_late: false,
            outstanding: 64,
            tos: None,
            mirrors_marks: false,
            departure_stamps: true,
            watched: false,
        }
    }

    /// Whether the session sends as fast as answers come, instead of by the clock.
    pub fn is_flood(&self) -> bool {
        self.interval.is_zero()
    }

    /// Whether news of a link are news for this session: its own link's, or any where routing chooses.
    pub(crate) fn concerns(&self, link: LinkId) -> bool {
        [LinkId::default(), link].contains(&self.path.link)
    }

    /// Whether a [`DatagramSession`](crate::DatagramSession) can be made of these.
    ///
    /// # Errors
    /// What is wrong, in words for the person who chose it.
    pub fn check_datagrams(&self) -> Result<(), OptionsError> {
        match self.path.remote.ip().to_canonical() {
            IpAddr::V4(_) if self.size > SessionOptions::LONGEST_V4 => {
                Err(OptionsError::TooLongForV4(self.size))
            }
            IpAddr::V6(_) if self.size > SessionOptions::LONGEST_V6 => {
                Err(OptionsError::TooLongForV6(self.size))
            }
            _ => self.check_times(),
        }
    }

    /// Whether a [`StreamSession`](crate::StreamSession) can be made of these.
    ///
    /// # Errors
    /// What is wrong, in words for the person who chose it.
    pub fn check_stream(&self) -> Result<(), OptionsError> {
        if !(1..=SessionOptions::LONGEST_STREAM).contains(&self.size) {
            return Err(OptionsError::NoStreamSize(self.size));
        }
        self.check_times()
    }

    fn check_times(&self) -> Result<(), OptionsError> {
        if self.lost_after.is_zero() {
            return Err(OptionsError::LostAtOnce);
        }
        if self.is_flood() && self.outstanding == 0 {
            return Err(OptionsError::NothingOutstanding);
        }
        if self.is_flood() && self.outstanding > SessionOptions::MOST_OUTSTANDING {
            return Err(OptionsError::TooManyOutstanding(self.outstanding));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::options;

    #[test]
    fn options_that_make_no_session_say_why() {
        let flood = SessionOptions {
            interval: Duration::ZERO,
            ..options(1)
        };
        let table = [
            (
                SessionOptions {
                    lost_after: Duration::ZERO,
                    ..options(1)
                },
                Some("an answer needs some time: the time until a probe counts as lost must be above zero"),
            ),
            (
                SessionOptions {
                    outstanding: 0,
                    ..options(1)
                },
                None,
            ),
            (
                SessionOptions {
                    outstanding: 0,
                    ..flood.clone()
                },
                Some("a flood needs at least one probe in flight"),
            ),
            (
                SessionOptions {
                    outstanding: 4_096,
                    ..flood.clone()
                },
                None,
            ),
            (
                SessionOptions {
                    outstanding: 4_097,
                    ..flood
                },
                Some("a flood keeps at most 4096 probes in flight, not 4097"),
            ),
        ];
        for (options, why) in table {
            for said in [options.check_datagrams(), options.check_stream()] {
                let said = said.err().map(|error| error.to_string());
                assert_eq!(said.as_deref(), why, "{options:?}");
            }
        }
    }

    #[test]
    fn sizes_end_where_packets_do() {
        let sized = |size, remote: &str| {
            let mut options = SessionOptions { size, ..options(1) };
            options.path.remote = remote.parse().expect("an address");
            options
        };
        let (v4, mapped, v6) = ("192.0.2.9:7", "[::ffff:192.0.2.9]:7", "[2001:db8::9]:7");
        let datagrams = [
            (0, v4, None),
            (65_507, v4, None),
            (65_508, v4, Some(OptionsError::TooLongForV4(65_508))),
            (65_508, mapped, Some(OptionsError::TooLongForV4(65_508))),
            (65_527, v6, None),
            (65_528, v6, Some(OptionsError::TooLongForV6(65_528))),
        ];
        for (size, remote, why) in datagrams {
            assert_eq!(
                sized(size, remote).check_datagrams().err(),
                why,
                "{size} to {remote}"
            );
        }
        let streams = [
            (0, Some(OptionsError::NoStreamSize(0))),
            (1, None),
            (1 << 20, None),
            ((1 << 20) + 1, Some(OptionsError::NoStreamSize((1 << 20) + 1))),
        ];
        for (size, why) in streams {
            assert_eq!(sized(size, v4).check_stream().err(), why, "{size}");
        }
        let told = OptionsError::TooLongForV4(65_508).to_string();
        assert_eq!(
            told,
            "65508 bytes do not fit into a datagram over IPv4 (at most 65507)"
        );
        let told = OptionsError::NoStreamSize(0).to_string();
        assert_eq!(told, "a request over a stream has 1 to 1048576 bytes, not 0");
    }
}
