//! `halloo ndnping` and `halloo ndnpingserver`.

use super::value::parse_listen;
use crate::ndn::Program;
use clap::Args;
use halloo_protocols::ndn::{NameBuf, UriError};
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;

/// `halloo ndnping` and `halloo ndnpingserver`: they read their command lines themselves, as the programs of ndn-tools do.
#[derive(Args, Debug)]
pub struct ProgramArgs {
    /// Options and a name prefix
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// A prefix to answer NDN pings under, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NdnService {
    /// The prefix, without the `ping` behind it.
    pub prefix: NameBuf,
    /// The port of its own, UDP and TCP; without one it is behind this host's forwarder.
    pub address: Option<SocketAddr>,
}

/// `/edu/arizona`, `/edu/arizona@6363`, `/edu/arizona@[::]:6363`. An `@` within a name is written `%40`.
pub(crate) fn parse_ndn_service(text: &str) -> Result<NdnService, String> {
    let (prefix, address) = match text.rsplit_once('@') {
        Some((prefix, address)) => (prefix, Some(parse_listen(address)?)),
        None => (text, None),
    };
    if !prefix.starts_with('/') && !prefix.starts_with("ndn:") {
        return Err("a name begins with `/`".into());
    }
    let prefix = prefix.parse().map_err(|error: UriError| error.to_string())?;
    Ok(NdnService { prefix, address })
}

impl fmt::Display for NdnService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.prefix)?;
        self.address.map_or(Ok(()), |address| write!(f, "@{address}"))
    }
}

pub(super) const NDNPING_ABOUT: &str = "Asks the ping server of an NDN name prefix, by the forwarder of this host or directly. Command line, output \
     and exit status are those of ndn-tools' ndnping (protocol version 1); a link to halloo with the name ndnping is that \
     program. The forwarder is found as NDN programs find it: NDN_CLIENT_TRANSPORT, client.conf, the usual sockets.";

pub(super) const NDNPINGSERVER_ABOUT: &str = "Answers NDN pings under a name prefix, behind the forwarder of this host or directly. Command line, output and exit \
     status are those of ndn-tools' ndnpingserver (protocol version 1); a link to halloo with the name ndnpingserver \
     is that program. It connects and registers again when the forwarder was away.";

const NDNPING_EXAMPLES: &str = "\
EXAMPLES:
  Once a second by this host's forwarder, until Ctrl-C
      $ halloo ndnping /edu/arizona

  Without any forwarder: ten questions to a server's UDP port
      $ halloo ndnping -c 10 --face udp://echo.example.net /edu/arizona

  Why does nobody answer?
      $ halloo ndnping --diagnose /edu/arizona

EXIT STATUS:
  0  every question was answered with Data
  1  one was lost, or came back as a Nack
  2  the command line is wrong, or the forwarder cannot be reached";

const NDNPINGSERVER_EXAMPLES: &str = "\
EXAMPLES:
  Behind this host's forwarder
      $ halloo ndnpingserver /edu/arizona

  Without any forwarder, on UDP and TCP port 6363 of every address
      $ halloo ndnpingserver --listen udp://[::]:6363,tcp://[::]:6363 /edu/arizona

EXIT STATUS:
  0  it was stopped, or has given its answers
  1  the forwarder cannot be reached, or does not register the prefix
  2  the command line is wrong";

/// Options and examples of a program.
pub(super) fn explained(program: Program) -> String {
    let examples = match program {
        Program::Ping => NDNPING_EXAMPLES,
        Program::PingServer => NDNPINGSERVER_EXAMPLES,
    };
    format!("{}\n{examples}", program.usage())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_name_and_perhaps_an_address() {
        let table = [
            ("/edu/arizona", Ok("/edu/arizona")),
            ("ndn:/edu/arizona@6363", Ok("/edu/arizona@[::]:6363")),
            ("/a%40b@192.0.2.7:7", Ok("/a%40b@192.0.2.7:7")),
            ("/", Ok("/")),
            ("edu", Err("a name begins with `/`")),
            ("/a/../b", Err("a component of a name cannot be '..'")),
            ("/a@b", Err("use PORT,")),
        ];
        for (text, expected) in table {
            let service = parse_ndn_service(text).map(|service| service.to_string());
            match (service, expected) {
                (Ok(service), Ok(expected)) => assert_eq!(service, expected),
                (Err(why), Err(expected)) => assert!(why.starts_with(expected), "{text}: {why}"),
                (service, _) => panic!("{text}: {service:?}"),
            }
        }
    }
}
