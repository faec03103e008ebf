//! Why a content is not taken, or a frame not carried.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal: $words:literal,)+) => {
        /// Why a content from a peer was not taken. Each is worth a counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Refused { $($(#[doc = $doc])+ #[error($words)] $variant,)+ }

        impl Refused {
            /// Every reason, in the order of their numbers.
            pub const ALL: &'static [Refused] = &[$(Refused::$variant,)+];

            /// The counter's name in every output.
            pub fn name(self) -> &'static str {
                match self { $(Refused::$variant => $name,)+ }
            }
        }
    };
}

reasons! {
    /// It ends before what it announces.
    Truncated = "truncated": "the content ends too early",
    /// Its kind is not known.
    UnknownKind = "unknown_kind": "the content's kind is not known",
    /// A frame of less than 14 octets.
    ShortFrame = "short_frame": "a frame is shorter than 14 octets",
    /// What is left to the device makes no sense.
    BadOffload = "bad_offload": "what is left to the device makes no sense",
    /// Offsets and lengths contradict each other.
    BadSizes = "bad_sizes": "offsets and lengths contradict each other",
    /// A super-frame's headers are not what its type says.
    BadHeaders = "bad_headers": "the headers are not those of such a super-frame",
    /// A fragment that was there already.
    Repeated = "repeated": "this part was there already",
    /// A fragment that covers a part of another, or says something else of its frame than the others: the whole frame is
    /// given up (RFC 5722 does the same).
    Contradiction = "contradiction": "parts of one frame contradict each other",
    /// A frame in too many pieces at once.
    TooManyParts = "too_many_parts": "a frame is in too many pieces",
    /// It cannot be decompressed, or not to the length that it announces, or announces more than can be.
    Corrupt = "corrupt": "it cannot be decompressed to what it announces",
    /// Compressed content of a kind that is never compressed, or where no compression was agreed.
    NotCompressible = "not_compressible": "content of this kind is never compressed here",
}

/// Why a frame cannot be cut for a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CutError {
    /// It has less than 14 octets.
    #[error("the frame is shorter than 14 octets")]
    Short,
    /// It is longer than any frame.
    #[error("the frame is longer than 65,605 octets")]
    Long,
    /// What is left to the device makes no sense, or is of a kind that is not carried.
    #[error("what the frame leaves to the device makes no sense")]
    Offload,
    /// The path has room for less than [`LEAST_ROOM`](super::LEAST_ROOM) octets.
    #[error("the path has room for too little")]
    Room,
}
