//! What is said when there is no way to the forwarder, in the words of ndn-cxx where it has some.

use super::face::Face;
use halloo_base::{CloseReason, UnreachableError};
use halloo_probe::Break;
use halloo_protocols::ndn::FaceBreak;
use std::fmt;

const END_OF_FILE: &str = "socket read error (End of file)";
const NOT_NDN: &str = "the other side sends what is no NDN packet";

/// Why a server's connection is of no use.
pub(super) fn of_server(why: FaceBreak, face: &Face) -> String {
    match why {
        FaceBreak::Closed(why) => closed(why, face),
        FaceBreak::ConnectTimeout => no_connection(face, "it does not answer"),
        FaceBreak::Finished => END_OF_FILE.into(),
        FaceBreak::Foreign => NOT_NDN.into(),
        _ => "the connection is gone".into(),
    }
}

/// Why a client's connection is of no use.
pub(super) fn of_client(why: Break, face: &Face) -> String {
    match why {
        Break::Closed(why) => closed(why, face),
        Break::ConnectTimeout { .. } => no_connection(face, "it does not answer"),
        Break::Finished => END_OF_FILE.into(),
        Break::Foreign(_) => NOT_NDN.into(),
        _ => "the connection is gone".into(),
    }
}

fn closed(why: CloseReason, face: &Face) -> String {
    match why {
        CloseReason::ConnectFailed(error) => refused(error, face),
        CloseReason::Broken(error) => format!("socket read error ({error})"),
        CloseReason::Insecure(why) => why.into(),
        CloseReason::HandshakeTimeout => "it was not secured in time".into(),
        CloseReason::Done => END_OF_FILE.into(),
        CloseReason::Overflow => "the other side does not read what it is sent".into(),
    }
}

fn refused(error: UnreachableError, face: &Face) -> String {
    // Which of several sockets failed for which reason is not kept: it is found out by trying each once more.
    match face.failures() {
        Some(failures) => format!("could not connect to NDN forwarder {failures}"),
        None => no_connection(face, error),
    }
}

fn no_connection(face: &Face, why: impl fmt::Display) -> String {
    format!("could not connect to NDN forwarder at {face} ({why})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn both_sides_say_the_same() {
        let face: Face = "udp://192.0.2.7".parse().expect("a face");
        let reset = CloseReason::Broken(UnreachableError(nix::libc::ECONNRESET));
        let refused = CloseReason::ConnectFailed(UnreachableError(nix::libc::ECONNREFUSED));
        let after = Duration::from_secs(4);
        let at = "could not connect to NDN forwarder at udp://192.0.2.7:6363";
        let table = [
            (
                FaceBreak::Closed(reset),
                Break::Closed(reset),
                "socket read error (Connection reset by peer)".to_owned(),
            ),
            (
                FaceBreak::Closed(refused),
                Break::Closed(refused),
                format!("{at} (Connection refused)"),
            ),
            (
                FaceBreak::ConnectTimeout,
                Break::ConnectTimeout {
                    after,
                    connected: false,
                },
                format!("{at} (it does not answer)"),
            ),
            (FaceBreak::Finished, Break::Finished, END_OF_FILE.into()),
            (FaceBreak::Foreign, Break::Foreign("x"), NOT_NDN.into()),
        ];
        for (server, client, text) in table {
            assert_eq!(of_server(server, &face), text);
            assert_eq!(of_client(client, &face), text);
        }
    }
}
