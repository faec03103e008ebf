//! What a forwarder knows of a prefix: `ndnping --diagnose`.

use super::face::{Face, plain_words};
use super::{Failure, MISUSED};
use crate::screen::{Screen, Styled};
use anyhow::{Context, Result, bail};
use halloo_protocols::ndn::status::{
    Dataset, FaceStatus, Fetch, Fetched, GeneralStatus, PacketCounts, RibEntry,
};
use halloo_protocols::ndn::{Content, LONGEST_PACKET, NameBuf, PING, Packet, tlv};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

/// How long it is waited for each answer; a forwarder on this host needs no more.
const PATIENCE: Duration = Duration::from_secs(4);

/// Tells what the forwarder says: its status is 0 if a route leads on from there, 1 if none does.
pub(super) fn run(face: &Face, prefix: Option<&NameBuf>, mut screen: Screen) -> Result<ExitCode, Failure> {
    let told = |error: anyhow::Error| Failure::Told {
        status: MISUSED,
        what: format!("{error:#}"),
    };
    let mut forwarder = Forwarder::connect(face).map_err(told)?;
    let general = forwarder.fetch(Dataset::General).map_err(told)?;
    let general = GeneralStatus::parse(&general)
        .context("its status")
        .map_err(told)?;
    let faces = forwarder.fetch(Dataset::Faces).map_err(told)?;
    let faces = FaceStatus::parse_all(&faces).context("its faces").map_err(told)?;
    let routes = forwarder.fetch(Dataset::Rib).map_err(told)?;
    let routes = RibEntry::parse_all(&routes).context("its routes").map_err(told)?;
    for line in forwarder_lines(face, &general, &faces) {
        screen.line(line)?;
    }
    let (lines, found) = route_lines(prefix, &routes, &faces);
    for line in lines {
        screen.line(line)?;
    }
    Ok(ExitCode::from(if found { 0 } else { crate::FAILED }))
}

fn row(name: &str, text: impl std::fmt::Display) -> String {
    format!(
        "{} {text}",
        Styled(crate::screen::DIM, format_args!("{name:<10}"))
    )
}

fn forwarder_lines(face: &Face, general: &GeneralStatus, faces: &[FaceStatus]) -> Vec<String> {
    let up = general.current.saturating_sub(general.started);
    let counts = |what: PacketCounts| {
        format!(
            "{} Interests, {} Data, {} Nacks",
            what.interests, what.data, what.nacks
        )
    };
    vec![
        row(
            "forwarder",
            format_args!("{face}, version {}, up {} s", general.version, up.as_secs()),
        ),
        row("received", counts(general.received)),
        row("sent", counts(general.sent)),
        row(
            "tables",
            format_args!(
                "{} routes, {} questions pending, {} Data cached",
                general.fib, general.pit, general.cs
            ),
        ),
        row("faces", faces.len()),
    ]
}

/// The routes that questions under the prefix may take, or all of them; and whether there are any.
fn route_lines(prefix: Option<&NameBuf>, routes: &[RibEntry], faces: &[FaceStatus]) -> (Vec<String>, bool) {
    let asked = prefix.map(|prefix| prefix.clone().with(PING));
    let leads = |entry: &&RibEntry| {
        let asked = asked.as_ref().map(NameBuf::as_name);
        asked.is_none_or(|asked| entry.name.as_name().is_prefix_of(asked))
    };
    let mut lines = vec![];
    for entry in routes.iter().filter(leads) {
        for route in &entry.routes {
            let face = faces.iter().find(|face| face.id == route.face_id);
            let face = face.map_or_else(|| "gone".into(), |face| face.remote.clone());
            let origin = match route.origin {
                0 => "an application",
                64..=66 => "a client",
                128 | 129 => "routing",
                255 => "the operator",
                _ => "somebody",
            };
            lines.push(row(
                "route",
                format_args!(
                    "{} by face {} ({face}), cost {}, from {origin}",
                    entry.name, route.face_id, route.cost
                ),
            ));
        }
    }
    let found = !lines.is_empty();
    if let (false, Some(asked)) = (found, &asked) {
        lines.push(row(
            "route",
            format_args!(
                "none leads to {asked}: is the server running and its prefix registered here, or a route to it made by \
                 `nfdc route add` or a routing protocol?"
            ),
        ));
    }
    (lines, found)
}

/// A connection on which questions are asked one after the other.
struct Forwarder {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
}

trait Stream: Read + Write {}
impl Stream for UnixStream {}
impl Stream for TcpStream {}

impl Forwarder {
    fn connect(face: &Face) -> Result<Forwarder> {
        let cannot = || {
            anyhow::anyhow!(
                "could not connect to NDN forwarder {}",
                face.failures().unwrap_or_default()
            )
        };
        let stream: Box<dyn Stream> = match face {
            Face::Unix(paths) => {
                let stream = paths.iter().find_map(|path| UnixStream::connect(path).ok());
                let stream = stream.ok_or_else(cannot)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Box::new(stream)
            }
            Face::Tcp(_) => {
                let stream = TcpStream::connect_timeout(&face.address()?, PATIENCE).map_err(|_| cannot())?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Box::new(stream)
            }
            Face::Udp(_) | Face::Ethernet(_) => {
                bail!("a forwarder tells about itself over unix:// and tcp:// of its own host alone")
            }
        };
        Ok(Forwarder { stream, read: vec![] })
    }

    fn fetch(&mut self, dataset: Dataset) -> Result<Vec<u8>> {
        let mut fetch = Fetch::new(dataset);
        loop {
            let name = fetch.next_name();
            let question = fetch.interest(&name, crate::random()?);
            let wire = tlv::written(|writer| question.emit(writer))?;
            self.stream.write_all(&wire)?;
            loop {
                let packet = self.packet().with_context(|| format!("no answer about {name}"))?;
                let fetched = match Packet::parse(&packet).map(|packet| packet.content) {
                    Ok(Content::Data(data)) => fetch.take(&data)?,
                    Ok(Content::Nack(reason, _)) => bail!(
                        "Nack {} for {name}: this is no forwarder, or not one of this host",
                        reason.name()
                    ),
                    _ => Fetched::Unrelated,
                };
                match fetched {
                    Fetched::Unrelated => {}
                    Fetched::More => break,
                    Fetched::Whole(content) => return Ok(content),
                }
            }
        }
    }

    /// The next packet.
    fn packet(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(len) = tlv::measure(&self.read)?.filter(|&len| len <= self.read.len()) {
                return Ok(self.read.drain(..len).collect());
            }
            let mut more = [0; LONGEST_PACKET];
            match self.stream.read(&mut more) {
                Ok(0) => bail!("the connection was closed"),
                Ok(len) => self.read.extend_from_slice(&more[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    bail!("nothing for {} s", PATIENCE.as_secs())
                }
                Err(error) => bail!(plain_words(&error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halloo_protocols::ndn::status::Route;

    fn entry(name: &str, face_id: u64, origin: u64) -> RibEntry {
        RibEntry {
            name: name.parse().expect("a name"),
            routes: vec![Route {
                face_id,
                origin,
                cost: 10,
                flags: 1,
                expiration: None,
            }],
        }
    }

    fn face(id: u64, remote: &str) -> FaceStatus {
        FaceStatus {
            id,
            remote: remote.to_owned(),
            local: "unix:///run/nfd/nfd.sock".to_owned(),
            is_local: true,
            mtu: None,
            received: PacketCounts::default(),
            sent: PacketCounts::default(),
        }
    }

    fn plain(lines: &[String]) -> Vec<String> {
        lines
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect()
    }

    #[test]
    fn only_routes_that_the_question_may_take_are_told() {
        let routes = [
            entry("/edu", 7, 255),
            entry("/edu/arizona/ping", 8, 0),
            entry("/edu/ucla", 7, 128),
        ];
        let faces = [face(7, "udp4://192.0.2.7:6363")];
        let prefix: NameBuf = "/edu/arizona".parse().expect("a name");
        let (lines, found) = route_lines(Some(&prefix), &routes, &faces);
        assert!(found);
        assert_eq!(
            plain(&lines),
            [
                "route      /edu by face 7 (udp4://192.0.2.7:6363), cost 10, from the operator",
                "route      /edu/arizona/ping by face 8 (gone), cost 10, from an application",
            ]
        );
        assert_eq!(route_lines(None, &routes, &faces).0.len(), 3);
        let nowhere: NameBuf = "/org".parse().expect("a name");
        let (lines, found) = route_lines(Some(&nowhere), &routes, &faces);
        assert!(
            !found && lines[0].contains("none leads to /org/ping"),
            "{lines:?}"
        );
    }
}
