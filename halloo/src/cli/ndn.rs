//! `halloo ndnping` and `halloo ndnpingserver`.

use crate::ndn::Program;
use clap::Args;
use std::ffi::OsString;

/// `halloo ndnping` and `halloo ndnpingserver`: they read their command lines themselves, as the programs of ndn-tools do.
#[derive(Args, Debug)]
pub struct ProgramArgs {
    /// Options and a name prefix
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
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
