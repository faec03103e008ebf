//! Type, length, value (NDN packet format 0.3, section "TLV encoding"): what every NDN packet is made of.

/// The longest packet that NDN's forwarders and libraries take, link header included, in bytes.
pub const LONGEST_PACKET: usize = 8_800;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The bytes end inside an element.
    #[error("cut short")]
    Truncated,
    /// A type or length in more bytes than it needs.
    #[error("a number that is not in its shortest form")]
    NotShortest,
    /// A type of 0, or one above 2^32 - 1.
    #[error("an element of an impossible type")]
    BadType,
    /// A critical element that is unknown, repeated or out of its order.
    #[error("element {0} does not belong here")]
    Unexpected(u32),
    /// A required element is not there.
    #[error("element {0} is missing")]
    Missing(u32),
    /// The element's value has a length or a content that its type does not allow.
    #[error("element {0} has an impossible value")]
    BadValue(u32),
    /// More bytes than the packet.
    #[error("bytes behind the end of the packet")]
    Trailing,
    /// No such name can be asked for, or it has a component of an impossible type or length.
    #[error("an impossible name")]
    BadName,
    /// The name's parameters digest is not that of the parameters, missing, superfluous or not alone.
    #[error("the parameters digest is wrong")]
    BadDigest,
    /// Longer than [`LONGEST_PACKET`].
    #[error("longer than any NDN packet")]
    TooLong,
}

/// The packet does not fit where it is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet would be longer than its room")]
pub struct NoRoom;

/// One element, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its type.
    pub kind: u32,
    /// Its value.
    pub value: &'a [u8],
    /// The whole of it: type, length and value.
    pub wire: &'a [u8],
    /// From its first byte to the end of the structure that holds it.
    pub from: &'a [u8],
}

/// Elements one after the other. Numbers must be in their shortest form.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// A structure whose elements stand in a fixed order. Unknown, repeated and out of order elements are skipped unless
/// they are critical (section "Considerations for evolvability": types up to 31, and odd ones).
pub struct Fields<'a> {
    reader: Reader<'a>,
    order: &'static [u32],
}

impl<'a> Reader<'a> {
    /// Reads the elements that these bytes hold.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// Reads inside the one element that these bytes are.
    ///
    /// # Errors
    /// If they are not exactly one element of this type.
    pub fn inside(wire: &'a [u8], kind: u32) -> Result<Reader<'a>, Malformed> {
        let element = only(wire)?;
        if element.kind == kind {
            Ok(Reader::new(element.value))
        } else {
            Err(Malformed::Unexpected(element.kind))
        }
    }

    /// The next element; `None` at the end.
    ///
    /// # Errors
    /// If the next bytes are not a whole element in its shortest form.
    pub fn element(&mut self) -> Result<Option<Element<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let from = self.rest;
        let (kind, rest) = number(from)?;
        let (len, rest) = number(rest)?;
        let kind = u32::try_from(kind).map_err(|_| Malformed::BadType)?;
        if kind == 0 {
            return Err(Malformed::BadType);
        }
        let len = usize::try_from(len).map_err(|_| Malformed::Truncated)?;
        let (value, rest) = rest.split_at_checked(len).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(Some(Element {
            kind,
            value,
            wire: &from[..from.len() - rest.len()],
            from,
        }))
    }

    /// The next element, which must be of this type.
    ///
    /// # Errors
    /// As [`Reader::element`], or if it is another one or not there.
    pub fn required(&mut self, kind: u32) -> Result<Element<'a>, Malformed> {
        match self.element()? {
            Some(element) if element.kind == kind => Ok(element),
            _ => Err(Malformed::Missing(kind)),
        }
    }

    /// What is left, in this order.
    pub fn fields(self, order: &'static [u32]) -> Fields<'a> {
        Fields { reader: self, order }
    }
}

impl<'a> Fields<'a> {
    /// The next element of the order; `None` at the end.
    ///
    /// # Errors
    /// As [`Reader::element`], or if a critical element does not belong here.
    pub fn field(&mut self) -> Result<Option<Element<'a>>, Malformed> {
        while let Some(element) = self.reader.element()? {
            if let Some(place) = self.order.iter().position(|&kind| kind == element.kind) {
                self.order = &self.order[place + 1..];
                return Ok(Some(element));
            }
            if is_critical(element.kind) {
                return Err(Malformed::Unexpected(element.kind));
            }
        }
        Ok(None)
    }
}

impl<'a> Element<'a> {
    /// The value as a NonNegativeInteger: 1, 2, 4 or 8 bytes.
    ///
    /// # Errors
    /// If it has another length.
    pub fn integer(&self) -> Result<u64, Malformed> {
        integer(self.value).ok_or(Malformed::BadValue(self.kind))
    }

    /// The value, which must have exactly `N` bytes.
    ///
    /// # Errors
    /// If it has more or fewer.
    pub fn array<const N: usize>(&self) -> Result<[u8; N], Malformed> {
        self.value.try_into().map_err(|_| Malformed::BadValue(self.kind))
    }

    /// The value, which must be empty: the element's presence is all it says.
    ///
    /// # Errors
    /// If it is not empty.
    pub fn flag(&self) -> Result<bool, Malformed> {
        self.array::<0>().map(|_| true)
    }

    /// The elements that the value holds.
    pub fn inner(&self) -> Reader<'a> {
        Reader::new(self.value)
    }
}

/// Whether whoever does not know an element of this type must not use the packet.
pub fn is_critical(kind: u32) -> bool {
    kind <= 31 || kind % 2 == 1
}

/// The one element that these bytes are.
///
/// # Errors
/// If they are not exactly one.
pub fn only(wire: &[u8]) -> Result<Element<'_>, Malformed> {
    let mut reader = Reader::new(wire);
    let element = reader.element()?.ok_or(Malformed::Truncated)?;
    if reader.rest.is_empty() {
        Ok(element)
    } else {
        Err(Malformed::Trailing)
    }
}

/// How long the packet at the start of a stream is, as soon as that can be told. Longer forms of its numbers are no
/// reason to lose the stream: forwarders pass them on, and whoever parses the packet refuses them.
///
/// # Errors
/// [`Malformed::TooLong`]: the stream has no meaning from here on.
pub fn measure(stream: &[u8]) -> Result<Option<usize>, Malformed> {
    let header = loose_number(stream).and_then(|(_, rest)| loose_number(rest));
    let Some((len, rest)) = header else {
        return Ok(None);
    };
    let header_len = stream.len() - rest.len();
    usize::try_from(len)
        .ok()
        .and_then(|len| len.checked_add(header_len))
        .filter(|&whole| whole <= LONGEST_PACKET)
        .map(Some)
        .ok_or(Malformed::TooLong)
}

/// How many bytes a type or length takes in its shortest form.
pub fn number_len(number: u64) -> usize {
    match number {
        0..=252 => 1,
        253..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// How many bytes an element with a value of this length takes.
pub fn element_len(kind: u32, value: usize) -> usize {
    number_len(u64::from(kind)) + number_len(value as u64) + value
}

/// A NonNegativeInteger, or nothing if it is not 1, 2, 4 or 8 bytes.
pub(super) fn integer(value: &[u8]) -> Option<u64> {
    matches!(value.len(), 1 | 2 | 4 | 8).then(|| big_endian(value))
}

/// The shortest NonNegativeInteger.
pub(super) fn integer_bytes(number: u64, octets: &mut [u8; 8]) -> &[u8] {
    *octets = number.to_be_bytes();
    let len = match number {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    };
    &octets[8 - len..]
}

fn number(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let (number, rest) = loose_number(bytes).ok_or(Malformed::Truncated)?;
    if number_len(number) == bytes.len() - rest.len() {
        Ok((number, rest))
    } else {
        Err(Malformed::NotShortest)
    }
}

fn loose_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let len = match first {
        253 => 2,
        254 => 4,
        255 => 8,
        small => return Some((u64::from(small), rest)),
    };
    let (octets, rest) = rest.split_at_checked(len)?;
    Some((big_endian(octets), rest))
}

/// At most eight octets.
fn big_endian(octets: &[u8]) -> u64 {
    octets
        .iter()
        .fold(0, |number, &octet| number << 8 | u64::from(octet))
}

/// Writes elements into memory that is already there. What does not fit is not written, and [`Writer::finish`] tells.
pub struct Writer<'a> {
    room: &'a mut [u8],
    at: usize,
    full: bool,
}

impl<'a> Writer<'a> {
    /// Writes from the start of `room`.
    pub fn new(room: &'a mut [u8]) -> Writer<'a> {
        Writer {
            room,
            at: 0,
            full: false,
        }
    }

    /// How many bytes were written.
    ///
    /// # Errors
    /// [`NoRoom`] if that was not all.
    pub fn finish(self) -> Result<usize, NoRoom> {
        if self.full { Err(NoRoom) } else { Ok(self.at) }
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        match self.room.get_mut(self.at..end) {
            Some(place) if !self.full => {
                place.copy_from_slice(bytes);
                self.at = end;
            }
            _ => self.full = true,
        }
    }

    /// A type or a length.
    pub fn number(&mut self, number: u64) {
        let octets = number.to_be_bytes();
        match number_len(number) {
            1 => self.bytes(&octets[7..]),
            len => {
                let mark = match len {
                    3 => 253,
                    5 => 254,
                    _ => 255,
                };
                self.bytes(&[mark]);
                self.bytes(&octets[9 - len..]);
            }
        }
    }

    /// The type and length of an element whose value comes next.
    pub fn header(&mut self, kind: u32, len: usize) {
        self.number(u64::from(kind));
        self.number(len as u64);
    }

    /// An element.
    pub fn element(&mut self, kind: u32, value: &[u8]) {
        self.header(kind, value.len());
        self.bytes(value);
    }

    /// An element with a NonNegativeInteger in its shortest form.
    pub fn integer(&mut self, kind: u32, number: u64) {
        self.element(kind, integer_bytes(number, &mut [0; 8]));
    }

    /// An element whose value `write` writes.
    pub fn nested(&mut self, kind: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.number(u64::from(kind));
        // Most values are short: one byte for the length, and more are made where needed.
        let len_at = self.at;
        self.bytes(&[0]);
        let start = self.at;
        write(self);
        let len = self.at - start;
        let shift = number_len(len as u64) - 1;
        let end = self.at + shift;
        if self.full || end > self.room.len() {
            self.full = true;
            return;
        }
        self.room.copy_within(start..self.at, start + shift);
        self.at = len_at;
        self.number(len as u64);
        self.at = end;
    }
}

/// What `write` writes, in memory of its own.
///
/// # Errors
/// [`NoRoom`] if it is longer than [`LONGEST_PACKET`].
pub fn written(write: impl FnOnce(&mut Writer<'_>)) -> Result<Vec<u8>, NoRoom> {
    let mut room = vec![0; LONGEST_PACKET];
    let mut writer = Writer::new(&mut room);
    write(&mut writer);
    let len = writer.finish()?;
    room.truncate(len);
    Ok(room)
}
