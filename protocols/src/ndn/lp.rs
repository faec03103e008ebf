//! The link protocol between neighbours (NDNLPv2): a header around a packet or a part of one.

use super::tlv::{Element, LONGEST_PACKET, Malformed, Reader, Writer, only};
use super::{Data, Interest, types};

/// The longest PIT token, in bytes.
pub(super) const LONGEST_TOKEN: usize = 32;

/// One link packet. Fields that matter to forwarders alone are accepted and forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LpPacket<'a> {
    /// The packet's own number on its link.
    pub sequence: Option<u64>,
    /// Which part of a packet this is, counted from 0.
    pub frag_index: Option<u64>,
    /// How many parts the packet has.
    pub frag_count: Option<u64>,
    /// The neighbour's mark on an Interest, 1 to 32 bytes, which the answer must carry too.
    pub pit_token: Option<&'a [u8]>,
    /// The packet is an Interest that comes back, for this reason.
    pub nack: Option<NackReason>,
    /// Above 0: a queue on the way is long.
    pub congestion_mark: Option<u64>,
    /// A packet, or a part of one; `None` says nothing at all.
    pub fragment: Option<&'a [u8]>,
}

/// Why an Interest comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NackReason {
    /// 0, none given, or one that nobody knows.
    None,
    /// 50: the link is overloaded.
    Congestion,
    /// 100: the same name with the same nonce has been seen.
    Duplicate,
    /// 150: no route leads to the name.
    NoRoute,
}

/// What one network packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A question.
    Interest(Interest<'a>),
    /// An answer.
    Data(Data<'a>),
    /// A question that came back.
    Nack(NackReason, Interest<'a>),
    /// A part of a packet: for [`Reassembler`](super::Reassembler).
    Fragment(LpPacket<'a>),
    /// A link header with nothing in it.
    Idle,
}

/// A packet as it came, bare or in a link header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The neighbour's mark, which the answer must carry too.
    pub pit_token: Option<&'a [u8]>,
    /// Above 0: a queue on the way is long.
    pub congestion_mark: u64,
    /// What it is.
    pub content: Content<'a>,
}

impl<'a> Packet<'a> {
    /// Reads the one packet that these bytes are.
    ///
    /// # Errors
    /// [`Malformed`] says what is wrong.
    pub fn parse(wire: &'a [u8]) -> Result<Packet<'a>, Malformed> {
        if wire.len() > LONGEST_PACKET {
            return Err(Malformed::TooLong);
        }
        let outer = only(wire)?;
        if outer.kind != types::LP_PACKET {
            return Ok(Packet {
                pit_token: None,
                congestion_mark: 0,
                content: Content::bare(&outer)?,
            });
        }
        let lp = LpPacket::of(&outer)?;
        Ok(Packet {
            pit_token: lp.pit_token,
            congestion_mark: lp.congestion_mark.unwrap_or(0),
            content: Content::of(lp)?,
        })
    }
}

impl<'a> Content<'a> {
    fn of(lp: LpPacket<'a>) -> Result<Content<'a>, Malformed> {
        let Some(fragment) = lp.fragment else {
            return Ok(Content::Idle);
        };
        if lp.is_part() {
            return Ok(Content::Fragment(lp));
        }
        let network = only(fragment)?;
        match (lp.nack, Content::bare(&network)?) {
            (None, content) => Ok(content),
            (Some(reason), Content::Interest(interest)) => Ok(Content::Nack(reason, interest)),
            _ => Err(Malformed::Unexpected(types::LP_NACK)),
        }
    }

    fn bare(network: &Element<'a>) -> Result<Content<'a>, Malformed> {
        match network.kind {
            types::INTEREST => Interest::parse(network.wire).map(Content::Interest),
            types::DATA => Data::parse(network.wire).map(Content::Data),
            other => Err(Malformed::Unexpected(other)),
        }
    }
}

impl<'a> LpPacket<'a> {
    /// Reads the link packet that these bytes are. What its fragment holds is not looked at.
    ///
    /// # Errors
    /// [`Malformed`] says what is wrong.
    pub fn parse(wire: &'a [u8]) -> Result<LpPacket<'a>, Malformed> {
        let outer = only(wire)?;
        if outer.kind == types::LP_PACKET {
            LpPacket::of(&outer)
        } else {
            Err(Malformed::Unexpected(outer.kind))
        }
    }

    fn of(outer: &Element<'a>) -> Result<LpPacket<'a>, Malformed> {
        let mut lp = LpPacket::default();
        let mut reader = outer.inner();
        let mut before = 0;
        while let Some(field) = reader.element()? {
            let place = place(field.kind);
            let is_repeated = place == before && field.kind != types::LP_ACK;
            if place < before || is_repeated {
                return Err(Malformed::Unexpected(field.kind));
            }
            before = place;
            lp.take(&field)?;
        }
        match (lp.frag_index.unwrap_or(0), lp.frag_count.unwrap_or(1)) {
            (index, count) if index >= count => Err(Malformed::BadValue(types::LP_FRAG_INDEX)),
            (_, count) if count > 1 && lp.sequence.is_none() => Err(Malformed::Missing(types::LP_SEQUENCE)),
            _ => Ok(lp),
        }
    }

    fn take(&mut self, field: &Element<'a>) -> Result<(), Malformed> {
        match field.kind {
            types::LP_FRAGMENT => self.fragment = Some(field.value),
            types::LP_SEQUENCE => self.sequence = Some(u64::from_be_bytes(field.array()?)),
            types::LP_FRAG_INDEX => self.frag_index = Some(field.integer()?),
            types::LP_FRAG_COUNT => self.frag_count = Some(field.integer()?),
            types::LP_PIT_TOKEN if (1..=LONGEST_TOKEN).contains(&field.value.len()) => {
                self.pit_token = Some(field.value);
            }
            types::LP_PIT_TOKEN => return Err(Malformed::BadValue(field.kind)),
            types::LP_NACK => self.nack = Some(NackReason::of(field)?),
            types::LP_CONGESTION_MARK => self.congestion_mark = Some(field.integer()?),
            types::LP_INCOMING_FACE_ID
            | types::LP_NEXT_HOP_FACE_ID
            | types::LP_CACHE_POLICY
            | types::LP_ACK
            | types::LP_TX_SEQUENCE
            | types::LP_NON_DISCOVERY
            | types::LP_PREFIX_ANNOUNCEMENT => {}
            unknown if is_ignorable(unknown) => {}
            unknown => return Err(Malformed::Unexpected(unknown)),
        }
        Ok(())
    }

    /// Whether the fragment is less than a whole packet.
    pub fn is_part(&self) -> bool {
        self.frag_count.is_some_and(|count| count > 1)
    }

    /// Writes the link packet.
    pub fn emit(&self, writer: &mut Writer<'_>) {
        writer.nested(types::LP_PACKET, |writer| {
            if let Some(sequence) = self.sequence {
                writer.element(types::LP_SEQUENCE, &sequence.to_be_bytes());
            }
            if let Some(index) = self.frag_index {
                writer.integer(types::LP_FRAG_INDEX, index);
            }
            if let Some(count) = self.frag_count {
                writer.integer(types::LP_FRAG_COUNT, count);
            }
            if let Some(token) = self.pit_token {
                writer.element(types::LP_PIT_TOKEN, token);
            }
            if let Some(reason) = self.nack {
                writer.nested(types::LP_NACK, |writer| reason.emit(writer));
            }
            if let Some(mark) = self.congestion_mark {
                writer.integer(types::LP_CONGESTION_MARK, mark);
            }
            if let Some(fragment) = self.fragment {
                writer.element(types::LP_FRAGMENT, fragment);
            }
        });
    }
}

/// Where a field stands: in the order of types, the fragment behind all others.
fn place(kind: u32) -> u64 {
    match kind {
        types::LP_FRAGMENT => u64::MAX,
        other => u64::from(other),
    }
}

/// Whether a link field that nobody knows may be skipped (NDNLPv2, section "Packet Format").
fn is_ignorable(kind: u32) -> bool {
    (800..=959).contains(&kind) && kind.is_multiple_of(4)
}

impl NackReason {
    fn of(nack: &Element<'_>) -> Result<NackReason, Malformed> {
        let mut reader: Reader<'_> = nack.inner();
        match reader.element()? {
            None => Ok(NackReason::None),
            Some(field) if field.kind == types::LP_NACK_REASON => {
                Ok(NackReason::from_number(field.integer()?))
            }
            Some(other) => Err(Malformed::Unexpected(other.kind)),
        }
    }

    fn emit(self, writer: &mut Writer<'_>) {
        if self != NackReason::None {
            writer.integer(types::LP_NACK_REASON, self.number());
        }
    }

    /// Its number.
    pub fn number(self) -> u64 {
        match self {
            NackReason::None => 0,
            NackReason::Congestion => 50,
            NackReason::Duplicate => 100,
            NackReason::NoRoute => 150,
        }
    }

    /// The one with this number; one that nobody knows is none.
    pub fn from_number(number: u64) -> NackReason {
        match number {
            50 => NackReason::Congestion,
            100 => NackReason::Duplicate,
            150 => NackReason::NoRoute,
            _ => NackReason::None,
        }
    }

    /// The word for it in every output.
    pub fn name(self) -> &'static str {
        match self {
            NackReason::None => "None",
            NackReason::Congestion => "Congestion",
            NackReason::Duplicate => "Duplicate",
            NackReason::NoRoute => "NoRoute",
        }
    }
}
