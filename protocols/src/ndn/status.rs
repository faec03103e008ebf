//! What a forwarder tells about itself (NFD management, "Status Datasets"): for people who wonder where their pings go.

use super::control::printable;
use super::data::Data;
use super::interest::Interest;
use super::name::{Name, NameBuf};
use super::tlv::{Element, Malformed, Reader};
use super::types::{self, component};
use std::time::Duration;

/// A dataset of more segments is given up.
const MOST_SEGMENTS: u64 = 1_000;
/// A dataset of more bytes is given up.
const MOST_BYTES: usize = 4 << 20;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dataset {
    /// Version and counters: [`GeneralStatus::parse`].
    General,
    /// Connections: [`FaceStatus::parse_all`].
    Faces,
    /// Routes that were registered: [`RibEntry::parse_all`].
    Rib,
    /// Where Interests really go: [`FibEntry::parse_all`].
    Fib,
}

/// Fetches one dataset, segment by segment, in bounded memory.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The dataset's name; with its version as soon as that is known.
    name: NameBuf,
    next: Option<u64>,
    content: Vec<u8>,
}

/// What comes next in a [`Fetch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// That Data was about something else.
    Unrelated,
    /// There is more: ask again.
    More,
    /// This is all of it.
    Whole(Vec<u8>),
}

/// The forwarder as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneralStatus {
    /// Its version in words.
    pub version: String,
    /// When it started, in time since the Unix epoch.
    pub started: Duration,
    /// When it said this.
    pub current: Duration,
    /// Entries in its table of names.
    pub name_tree: u64,
    /// Entries in its table of routes.
    pub fib: u64,
    /// Interests that wait for Data.
    pub pit: u64,
    /// Entries of measurements.
    pub measurements: u64,
    /// Data that it keeps.
    pub cs: u64,
    /// What it received.
    pub received: PacketCounts,
    /// What it sent.
    pub sent: PacketCounts,
    /// Interests that were answered.
    pub satisfied: u64,
    /// Interests that were not.
    pub unsatisfied: u64,
}

/// Packets by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PacketCounts {
    /// Interests.
    pub interests: u64,
    /// Data.
    pub data: u64,
    /// Interests sent back.
    pub nacks: u64,
}

/// One of the forwarder's faces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaceStatus {
    /// Its number.
    pub id: u64,
    /// The far end.
    pub remote: String,
    /// The near end.
    pub local: String,
    /// Whether names under `/localhost` may pass.
    pub is_local: bool,
    /// The longest packet it carries whole, in bytes, where there is a limit.
    pub mtu: Option<u64>,
    /// What came in by it.
    pub received: PacketCounts,
    /// What went out by it.
    pub sent: PacketCounts,
}

/// A prefix and the routes that were registered for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RibEntry {
    /// The prefix.
    pub name: NameBuf,
    /// Its routes.
    pub routes: Vec<Route>,
}

/// One route of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The face that it leads to.
    pub face_id: u64,
    /// Who made it.
    pub origin: u64,
    /// Its cost.
    pub cost: u64,
    /// Its flags.
    pub flags: u64,
    /// How long it still stands; `None` for as long as its face.
    pub expiration: Option<Duration>,
}

/// A prefix and where Interests for it go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FibEntry {
    /// The prefix.
    pub name: NameBuf,
    /// Faces and costs.
    pub next_hops: Vec<(u64, u64)>,
}

/// An entry of a list, and in a FibEntry a next hop.
const ENTRY: u32 = 128;
const ROUTE: u32 = 129;
const NEXT_HOP: u32 = 129;

impl Dataset {
    /// The name to ask for.
    pub fn name(self) -> NameBuf {
        let (module, what) = match self {
            Dataset::General => ("status", "general"),
            Dataset::Faces => ("faces", "list"),
            Dataset::Rib => ("rib", "list"),
            Dataset::Fib => ("fib", "list"),
        };
        NameBuf::new()
            .with(b"localhost")
            .with(b"nfd")
            .with(module.as_bytes())
            .with(what.as_bytes())
    }
}

impl Fetch {
    /// A fetch that has not begun.
    pub fn new(dataset: Dataset) -> Fetch {
        Fetch {
            name: dataset.name(),
            next: None,
            content: Vec::new(),
        }
    }

    /// The name of the next question.
    pub fn next_name(&self) -> NameBuf {
        match self.next {
            None => self.name.clone(),
            Some(segment) => self.name.clone().with_number(component(types::SEGMENT), segment),
        }
    }

    /// The next question.
    pub fn interest<'a>(&self, name: &'a NameBuf, nonce: [u8; 4]) -> Interest<'a> {
        let is_first = self.next.is_none();
        Interest {
            can_be_prefix: is_first,
            must_be_fresh: is_first,
            nonce: Some(nonce),
            ..Interest::new(name.as_name())
        }
    }

    /// Takes an answer.
    ///
    /// # Errors
    /// If it is longer than a dataset can be, or its name has not the form that datasets have.
    pub fn take(&mut self, data: &Data<'_>) -> Result<Fetched, Malformed> {
        let Some(rest) = data.name.strip_prefix(self.name.as_name()) else {
            return Ok(Fetched::Unrelated);
        };
        let mut rest = rest.components();
        let expected = match self.next {
            // The newest version answers with its first segment.
            None => {
                let version = rest.next().ok_or(Malformed::BadName)?;
                self.name.push(version)?;
                0
            }
            Some(segment) => segment,
        };
        let segment = rest
            .next()
            .filter(|segment| u32::from(segment.kind) == types::SEGMENT);
        let number = segment.and_then(|segment| segment.number());
        if number != Some(expected) || rest.next().is_some() {
            return Err(Malformed::BadName);
        }
        self.content.extend_from_slice(data.content.unwrap_or_default());
        if self.content.len() > MOST_BYTES || expected >= MOST_SEGMENTS {
            return Err(Malformed::TooLong);
        }
        if data.meta.and_then(|meta| meta.final_block) == segment {
            return Ok(Fetched::Whole(std::mem::take(&mut self.content)));
        }
        self.next = Some(expected + 1);
        Ok(Fetched::More)
    }
}

impl GeneralStatus {
    /// Reads the content of [`Dataset::General`].
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(content: &[u8]) -> Result<GeneralStatus, Malformed> {
        let mut reader = Reader::new(content);
        let version = text(&reader.required(128)?);
        let mut number = |kind| reader.required(kind).and_then(|element| element.integer());
        Ok(GeneralStatus {
            version,
            started: Duration::from_millis(number(129)?),
            current: Duration::from_millis(number(130)?),
            name_tree: number(131)?,
            fib: number(132)?,
            pit: number(133)?,
            measurements: number(134)?,
            cs: number(135)?,
            received: PacketCounts {
                interests: number(144)?,
                data: number(145)?,
                nacks: number(151)?,
            },
            sent: PacketCounts {
                interests: number(146)?,
                data: number(147)?,
                nacks: number(152)?,
            },
            satisfied: number(153)?,
            unsatisfied: number(154)?,
        })
    }
}

impl FaceStatus {
    /// Reads the content of [`Dataset::Faces`].
    ///
    /// # Errors
    /// If it is none.
    pub fn parse_all(content: &[u8]) -> Result<Vec<FaceStatus>, Malformed> {
        entries(content, FaceStatus::of)
    }

    fn of(entry: &Element<'_>) -> Result<FaceStatus, Malformed> {
        let mut face = FaceStatus {
            id: 0,
            remote: String::new(),
            local: String::new(),
            is_local: false,
            mtu: None,
            received: PacketCounts::default(),
            sent: PacketCounts::default(),
        };
        let mut reader = entry.inner();
        while let Some(field) = reader.element()? {
            match field.kind {
                types::FACE_ID => face.id = field.integer()?,
                types::URI => face.remote = text(&field),
                types::LOCAL_URI => face.local = text(&field),
                132 => face.is_local = field.integer()? == 1,
                137 => face.mtu = Some(field.integer()?),
                144 => face.received.interests = field.integer()?,
                145 => face.received.data = field.integer()?,
                151 => face.received.nacks = field.integer()?,
                146 => face.sent.interests = field.integer()?,
                147 => face.sent.data = field.integer()?,
                152 => face.sent.nacks = field.integer()?,
                _ => {}
            }
        }
        Ok(face)
    }
}

impl RibEntry {
    /// Reads the content of [`Dataset::Rib`].
    ///
    /// # Errors
    /// If it is none.
    pub fn parse_all(content: &[u8]) -> Result<Vec<RibEntry>, Malformed> {
        entries(content, |entry| {
            let mut reader = entry.inner();
            let name = Name::read(&mut reader)?.to_buf();
            let mut routes = Vec::new();
            while let Some(field) = reader.element()? {
                if field.kind == ROUTE {
                    routes.push(Route::of(&field)?);
                }
            }
            Ok(RibEntry { name, routes })
        })
    }
}

impl Route {
    fn of(element: &Element<'_>) -> Result<Route, Malformed> {
        let fields = super::control::ControlParameters::of(element.inner())?;
        Ok(Route {
            face_id: fields.face_id.ok_or(Malformed::Missing(types::FACE_ID))?,
            origin: fields.origin.unwrap_or(0),
            cost: fields.cost.unwrap_or(0),
            flags: fields.flags.unwrap_or(0),
            expiration: fields.expiration,
        })
    }
}

impl FibEntry {
    /// Reads the content of [`Dataset::Fib`].
    ///
    /// # Errors
    /// If it is none.
    pub fn parse_all(content: &[u8]) -> Result<Vec<FibEntry>, Malformed> {
        entries(content, |entry| {
            let mut reader = entry.inner();
            let name = Name::read(&mut reader)?.to_buf();
            let mut next_hops = Vec::new();
            while let Some(field) = reader.element()? {
                if field.kind == NEXT_HOP {
                    let hop = Route::of(&field)?;
                    next_hops.push((hop.face_id, hop.cost));
                }
            }
            Ok(FibEntry { name, next_hops })
        })
    }
}

fn entries<T>(
    content: &[u8],
    of: impl Fn(&Element<'_>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut reader = Reader::new(content);
    let mut all = Vec::new();
    while let Some(element) = reader.element()? {
        if element.kind != ENTRY {
            return Err(Malformed::Unexpected(element.kind));
        }
        all.push(of(&element)?);
    }
    Ok(all)
}

fn text(element: &Element<'_>) -> String {
    printable(&String::from_utf8_lossy(element.value))
}
