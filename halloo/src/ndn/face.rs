//! Where a forwarder or a server is, and where programs look for their forwarder.

use super::ethernet::Wire;
use crate::ping::{Family, resolve_host};
use crate::target::{Host, TargetError, parse_port, split_port};
use anyhow::{Context, Result};
use halloo_io::StreamOptions;
use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// NDN's port, UDP and TCP.
pub(crate) const PORT: u16 = 6363;

/// Where forwarders listen: NFD since 24.07 and ndnd, NFD 0.7.1 to 22.12, NFD before.
const SOCKETS: [&str; 3] = ["/run/nfd/nfd.sock", "/run/nfd.sock", "/var/run/nfd.sock"];
/// The variable that says which forwarder to use; it beats every file.
const VARIABLE: &str = "NDN_CLIENT_TRANSPORT";
/// The files that say so, behind the one in the user's home directory. The first that is there counts.
const FILES: [&str; 2] = ["/usr/local/etc/ndn/client.conf", "/etc/ndn/client.conf"];
/// How long it is waited for a connection that only tells why there is none.
const PATIENCE: Duration = Duration::from_secs(4);

/// The near side of a way to a forwarder or a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    /// The first of these sockets at which somebody listens.
    Unix(Vec<PathBuf>),
    /// A connection.
    Tcp(Place),
    /// Datagrams.
    Udp(Place),
    /// Ethernet frames.
    Ethernet(Wire),
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) family: Family,
}

/// Why a text is no face.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FaceError {
    /// A transport that we do not have.
    #[error(
        "unsupported transport '{0}'; use unix:///PATH, tcp://HOST[:{PORT}], udp://HOST[:{PORT}] or dev://DEVICE"
    )]
    Unsupported(String),
    /// Not the path of a socket.
    #[error("'{0}' names no socket; write unix:///PATH")]
    NoPath(String),
    /// Not a device, or not a station on one.
    #[error(
        "'{0}' names no device; write dev://eth0, or ether://[08:00:27:01:01:01%eth0] for one station there"
    )]
    NoWire(String),
    /// Not a host and a port.
    #[error(transparent)]
    NoPlace(#[from] TargetError),
}

impl FromStr for Face {
    type Err = FaceError;

    /// Reads `unix:///run/nfd/nfd.sock`, `tcp://host:6363`, `udp4://192.0.2.7` and the like.
    fn from_str(uri: &str) -> Result<Face, FaceError> {
        let unsupported = || FaceError::Unsupported(uri.to_owned());
        let (scheme, rest) = uri.split_once("://").ok_or_else(unsupported)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "unix" {
            let path = rest.starts_with('/').then(|| PathBuf::from(rest));
            return path
                .map(|path| Face::Unix(vec![path]))
                .ok_or_else(|| FaceError::NoPath(uri.to_owned()));
        }
        if let "dev" | "ether" = scheme.as_str() {
            let wire = Wire::parse(&scheme, rest).map(Face::Ethernet);
            return wire.ok_or_else(|| FaceError::NoWire(uri.to_owned()));
        }
        let (kind, family) = match scheme.strip_suffix(['4', '6']) {
            Some(kind) if scheme.ends_with('4') => (kind, Family::V4),
            Some(kind) => (kind, Family::V6),
            None => (scheme.as_str(), Family::Any),
        };
        let face = match kind {
            "tcp" => Face::Tcp,
            "udp" => Face::Udp,
            _ => return Err(unsupported()),
        };
        Place::parse(rest, family).map(face).map_err(FaceError::from)
    }
}

impl Place {
    fn parse(text: &str, family: Family) -> Result<Place, TargetError> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (host, port) = split_port(text)?;
        Ok(Place {
            host: Host::parse(host)?,
            port: port.map(parse_port).transpose()?.unwrap_or(PORT),
            family,
        })
    }
}

impl Face {
    /// The forwarder that NDN programs of this user use: by [`VARIABLE`], by the first of their files, or where one
    /// usually listens.
    ///
    /// # Errors
    /// If what is set there is no face, or a file cannot be read.
    pub(crate) fn of_host() -> Result<Face> {
        if let Some(uri) = env::var_os(VARIABLE) {
            let uri = uri.to_string_lossy();
            return of_setting(&uri).with_context(|| format!("in the variable {VARIABLE}"));
        }
        let home = env::var_os("HOME").map(|home| Path::new(&home).join(".ndn/client.conf"));
        for file in home.into_iter().chain(FILES.map(PathBuf::from)) {
            let text = match fs::read_to_string(&file) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
            };
            return of_setting(&transport(&text)).with_context(|| format!("in {}", file.display()));
        }
        Ok(Face::usual())
    }

    /// Where forwarders listen when nobody said otherwise: where there is a socket, or else everywhere.
    fn usual() -> Face {
        let all = SOCKETS.map(PathBuf::from).to_vec();
        let there: Vec<_> = all.iter().filter(|path| path.exists()).cloned().collect();
        Face::Unix(if there.is_empty() { all } else { there })
    }

    /// Whether packets stand one behind the other on it.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Face::Unix(_) | Face::Tcp(_))
    }

    /// How its connections are made.
    pub(crate) fn stream_options(&self) -> StreamOptions {
        StreamOptions {
            unix: match self {
                Face::Unix(paths) => paths.clone(),
                _ => vec![],
            },
            ..StreamOptions::default()
        }
    }

    /// The address of the other side; nowhere for a Unix socket.
    ///
    /// # Errors
    /// If there is no such host.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        match self {
            Face::Unix(_) | Face::Ethernet(_) => Ok((Ipv4Addr::UNSPECIFIED, 0).into()),
            Face::Tcp(place) | Face::Udp(place) => resolve_host(&place.host, place.port, place.family),
        }
    }

    /// Tries every way once more, one after the other, and tells why each does not work. `None` if one works now.
    pub(crate) fn failures(&self) -> Option<String> {
        let words = |place: String, error: io::Error| format!("at {place} ({})", plain_words(&error));
        match self {
            Face::Unix(paths) => {
                let failures = paths.iter().map(|path| {
                    let failed = UnixStream::connect(path).err()?;
                    Some(words(path.display().to_string(), failed))
                });
                failures.collect::<Option<Vec<_>>>().map(|all| all.join(", "))
            }
            Face::Tcp(_) => {
                let address = match self.address() {
                    Ok(address) => address,
                    Err(error) => return Some(format!("at {self} ({error:#})")),
                };
                let failed = TcpStream::connect_timeout(&address, PATIENCE).err()?;
                Some(words(address.to_string(), failed))
            }
            Face::Udp(_) | Face::Ethernet(_) => None,
        }
    }

    /// Whether it goes by IP, so that there are addresses to speak of, and kernel stamps.
    pub(crate) fn is_ip(&self) -> bool {
        matches!(self, Face::Tcp(_) | Face::Udp(_))
    }
}

/// What stands in a variable or a file; nothing means the usual.
fn of_setting(uri: &str) -> Result<Face, FaceError> {
    if uri.is_empty() {
        Ok(Face::usual())
    } else {
        uri.parse()
    }
}

/// The transport in a client.conf; empty if it names none.
fn transport(text: &str) -> String {
    let settings = text.lines().filter_map(|line| {
        let line = line.trim();
        let comment = line.starts_with([';', '#']);
        line.split_once('=').filter(|_| !comment)
    });
    let mut transports = settings.filter(|(key, _)| key.trim() == "transport");
    transports
        .next()
        .map_or(String::new(), |(_, uri)| uri.trim().to_owned())
}

/// The system's words without its number.
pub(super) fn plain_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

impl fmt::Display for Face {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |f: &mut fmt::Formatter<'_>, kind: &str, place: &Place| {
            let family = match place.family {
                Family::Any => "",
                Family::V4 => "4",
                Family::V6 => "6",
            };
            write!(f, "{kind}{family}://{}:{}", place.host, place.port)
        };
        match self {
            Face::Unix(paths) => {
                let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
                write!(f, "unix://{}", paths.join(" or "))
            }
            Face::Tcp(at) => place(f, "tcp", at),
            Face::Udp(at) => place(f, "udp", at),
            Face::Ethernet(wire) => wire.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faces_are_written_as_forwarders_write_them() {
        let table = [
            ("unix:///run/nfd/nfd.sock", "unix:///run/nfd/nfd.sock"),
            ("tcp://router.example.net", "tcp://router.example.net:6363"),
            ("TCP4://192.0.2.7:7000/", "tcp4://192.0.2.7:7000"),
            ("udp6://[2001:db8::7]", "udp6://[2001:db8::7]:6363"),
            ("udp://[fe80::1%eth0]:9", "udp://[fe80::1%eth0]:9"),
            ("dev://eth0", "dev://eth0"),
        ];
        for (uri, expected) in table {
            let face: Face = uri.parse().unwrap_or_else(|error| panic!("{uri}: {error}"));
            assert_eq!(face.to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_face_is_told_with_what_would_be_one() {
        let error = |uri: &str| uri.parse::<Face>().expect_err(uri).to_string();
        let unsupported = "unsupported transport 'ws://h'; use unix:///PATH, tcp://HOST[:6363], udp://HOST[:6363] or \
                           dev://DEVICE";
        assert_eq!(error("ws://h"), unsupported);
        assert!(error("router").starts_with("unsupported transport 'router'"));
        assert_eq!(
            error("unix://nfd.sock"),
            "'unix://nfd.sock' names no socket; write unix:///PATH"
        );
        assert_eq!(error("udp://"), "a host is missing");
        assert!(error("ether://eth0").starts_with("'ether://eth0' names no device"));
        assert_eq!(error("udp://h:0"), "`0` is not a port; ports are 1 to 65535");
    }

    #[test]
    fn a_client_conf_names_its_transport() {
        let table = [
            ("transport=tcp://h", "tcp://h"),
            (
                "; transport=tcp://a\n# transport=tcp://b\n  transport = udp://c  \n",
                "udp://c",
            ),
            ("pib=pib-sqlite3\ntpm=tpm-file\n", ""),
            ("", ""),
        ];
        for (text, uri) in table {
            assert_eq!(transport(text), uri, "{text}");
        }
        assert_eq!(of_setting(""), Ok(Face::usual()));
    }

    #[test]
    fn every_path_that_was_tried_is_told() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let paths = ["a.sock", "b.sock"].map(|name| dir.path().join(name));
        let face = Face::Unix(paths.to_vec());
        let [a, b] = paths.clone().map(|path| path.display().to_string());
        let no = "(No such file or directory)";
        assert_eq!(face.failures(), Some(format!("at {a} {no}, at {b} {no}")));
        let _listener = std::os::unix::net::UnixListener::bind(&paths[1]).expect("a new name");
        assert_eq!(face.failures(), None);
    }
}
