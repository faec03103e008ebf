//! Sealing and opening what a session carries.

use super::hash::hkdf;
use super::window::{Seen, Window};
use crate::Cipher;
use crate::wire::{Content, DataHeader, HEADER_LEN, TAG_LEN, flag};
use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};

/// Datagrams by one key at most, after which it seals and opens nothing more. A new session is long under way then.
pub const MOST_DATAGRAMS: u64 = 1 << 33;

/// By which key a content goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Frames: as the session's cipher says.
    Frames,
    /// Control: always sealed.
    Control,
}

/// Seals what goes out of a session. It is the only owner of its counters: two sealers of one key would repeat nonces.
pub struct Sealer {
    keys: Keys,
    /// By which the other end knows the session.
    receiver: u32,
    counters: [u64; DataHeader::PATHS as usize],
    sealed: u64,
}

/// Opens what comes into a session.
pub struct Opener {
    keys: Keys,
    /// By path; made when the first datagram of a path has been proved true.
    windows: [Option<Box<Window>>; DataHeader::PATHS as usize],
    /// As many again for what nobody proves (cipher `none`), so that it cannot shut out what is proved.
    clear: [Option<Box<Window>>; DataHeader::PATHS as usize],
    opened: u64,
}

/// What was in a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Octets of content, at the beginning of the buffer that was given.
    pub len: usize,
    /// By which key it came. What came as [`Class::Frames`] under cipher `none` may be anybody's.
    pub class: Class,
    /// Whether the datagram is proved to be the other end's.
    pub proved: bool,
    /// On which path.
    pub path: u8,
    /// How many went before it on that path.
    pub counter: u64,
}

/// Why nothing was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// There is no session, or none that may still be used.
    #[error("there is no session")]
    NoSession,
    /// Path above 31, an empty content, or a buffer without room for header and tag.
    #[error("the buffer or the path is out of range")]
    Room,
}

/// Why a datagram was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OpenError {
    /// No session of this number, or it is over.
    #[error("no session of this number")]
    NoSession,
    /// In the clear, by a session that the other end has not shown to be his: his initiation may be one that was recorded.
    #[error("its session has not been shown yet")]
    NotShown,
    /// Sealed in another way than the session's cipher allows.
    #[error("not sealed as was agreed")]
    Flags,
    /// Control unsealed, or frames by the control key.
    #[error("a content that may not come by this key")]
    Content,
    /// Not the other end's, or changed on the way.
    #[error("the tag is wrong")]
    Tag,
    /// It was here before.
    #[error("it came twice")]
    Again,
    /// Too old to tell whether it was here before.
    #[error("it came too late")]
    Older,
    /// Too short for its tag, or the buffer is too short for it.
    #[error("a length is wrong")]
    Length,
}

/// The keys of one direction.
struct Keys {
    cipher: Cipher,
    /// Of frames; none where they are not sealed.
    data: Option<LessSafeKey>,
    /// Of control, where the cipher does not seal.
    control: Option<LessSafeKey>,
}

/// How a content is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Sealed,
    Marked,
    Clear,
}

impl Cipher {
    /// Whether frames are secret under it.
    pub fn seals(self) -> bool {
        !matches!(self, Cipher::None | Cipher::Mac)
    }

    /// The word that people write.
    pub fn name(self) -> &'static str {
        match self {
            Cipher::None => "none",
            Cipher::Mac => "mac",
            Cipher::Aes128Gcm => "aes-128-gcm",
            Cipher::Aes256Gcm => "aes-256-gcm",
            Cipher::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }
}

impl Keys {
    fn new(cipher: Cipher, key: &[u8; 32]) -> Keys {
        let info: [&[u8]; 2] = [b"halloo overlay data", &[cipher as u8]];
        let data = match cipher {
            Cipher::None => None,
            Cipher::Aes128Gcm => Some(aead(&AES_128_GCM, &hkdf::<16>(key, &info)[..])),
            Cipher::Mac | Cipher::Aes256Gcm => Some(aead(&AES_256_GCM, &hkdf::<32>(key, &info)[..])),
            Cipher::ChaCha20Poly1305 => Some(aead(&CHACHA20_POLY1305, &hkdf::<32>(key, &info)[..])),
        };
        let control = (!cipher.seals()).then(|| {
            let key = hkdf::<32>(key, &[b"halloo overlay control"]);
            aead(&CHACHA20_POLY1305, &key[..])
        });
        Keys {
            cipher,
            data,
            control,
        }
    }

    /// How a class goes under this cipher, and the flags that say so.
    fn mode(&self, class: Class) -> (Mode, u16) {
        match (self.cipher, class) {
            (Cipher::None, Class::Frames) => (Mode::Clear, flag::CLEAR),
            (Cipher::Mac, Class::Frames) => (Mode::Marked, flag::MARKED),
            (Cipher::None | Cipher::Mac, Class::Control) => (Mode::Sealed, flag::CONTROL),
            _ => (Mode::Sealed, 0),
        }
    }

    fn key(&self, flags: u16) -> Option<&LessSafeKey> {
        if flags == flag::CONTROL {
            self.control.as_ref()
        } else {
            self.data.as_ref()
        }
    }
}

fn aead(algorithm: &'static Algorithm, key: &[u8]) -> LessSafeKey {
    // It refuses keys of another length only.
    let key = UnboundKey::new(algorithm, key).unwrap_or_else(|_| unreachable!("{} octets of key", key.len()));
    LessSafeKey::new(key)
}

/// Three zeros, the path, the counter: the key is of one direction and of one session, and a path's counter only grows.
fn nonce(path: u8, counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3] = path;
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

impl Sealer {
    /// For the direction whose key of Noise this is, to an end that knows the session as `receiver`.
    pub fn new(cipher: Cipher, key: &[u8; 32], receiver: u32) -> Sealer {
        Sealer {
            keys: Keys::new(cipher, key),
            receiver,
            counters: [0; DataHeader::PATHS as usize],
            sealed: 0,
        }
    }

    /// Makes a datagram of the `len` octets of content at offset [`HEADER_LEN`] of `buffer`, which has room for
    /// [`TAG_LEN`] more behind them, and says how long it is.
    ///
    /// # Errors
    /// If the path or the buffer is out of range, or the key has done its work.
    pub fn seal(
        &mut self,
        path: u8,
        class: Class,
        buffer: &mut [u8],
        len: usize,
    ) -> Result<usize, SealError> {
        if self.sealed >= MOST_DATAGRAMS {
            return Err(SealError::NoSession);
        }
        let counter = self.counters.get_mut(usize::from(path)).ok_or(SealError::Room)?;
        let (mode, flags) = self.keys.mode(class);
        let tagged = if mode == Mode::Clear { 0 } else { TAG_LEN };
        let whole = HEADER_LEN
            .checked_add(len)
            .and_then(|whole| whole.checked_add(tagged));
        let buffer = whole.and_then(|whole| buffer.get_mut(..whole));
        let buffer = buffer.filter(|_| len > 0).ok_or(SealError::Room)?;
        let header = DataHeader {
            path,
            flags,
            receiver: self.receiver,
            counter: *counter,
        };
        buffer[..HEADER_LEN].copy_from_slice(&header.emit());
        let nonce = nonce(path, *counter);
        *counter += 1;
        self.sealed += 1;
        let (before, tag) = buffer.split_at_mut(HEADER_LEN + len);
        if mode == Mode::Clear {
            return Ok(before.len());
        }
        let key = self.keys.key(flags).ok_or(SealError::NoSession)?;
        let made = if mode == Mode::Marked {
            key.seal_in_place_separate_tag(nonce, Aad::from(&before[..]), &mut [])
        } else {
            let (header, content) = before.split_at_mut(HEADER_LEN);
            key.seal_in_place_separate_tag(nonce, Aad::from(&header[..]), content)
        };
        // It fails past 2^36 octets only.
        tag.copy_from_slice(made.map_err(|_| SealError::Room)?.as_ref());
        Ok(before.len() + TAG_LEN)
    }

    /// Datagrams so far.
    pub fn sealed(&self) -> u64 {
        self.sealed
    }

    #[cfg(test)]
    pub(crate) fn flags(&self, class: Class) -> u16 {
        self.keys.mode(class).1
    }

    /// Octets that a content of this class grows by on the wire.
    pub fn overhead(&self, class: Class) -> usize {
        let tagged = self.keys.mode(class).0 != Mode::Clear;
        HEADER_LEN + if tagged { TAG_LEN } else { 0 }
    }
}

impl Opener {
    /// For the direction whose key of Noise this is.
    pub fn new(cipher: Cipher, key: &[u8; 32]) -> Opener {
        Opener {
            keys: Keys::new(cipher, key),
            windows: Default::default(),
            clear: Default::default(),
            opened: 0,
        }
    }

    /// Opens `datagram`, whose header was read, into the beginning of `into`, which must be as long as the content (as
    /// long as the datagram is long enough). What is in `into` after an error means nothing.
    ///
    /// # Errors
    /// If it is not the other end's, was here before, or was not sealed as agreed. The windows change only for what is
    /// proved true.
    pub fn open(
        &mut self,
        header: &DataHeader,
        datagram: &[u8],
        into: &mut [u8],
    ) -> Result<Opened, OpenError> {
        let class = if header.flags == self.keys.mode(Class::Frames).1 {
            Class::Frames
        } else {
            Class::Control
        };
        let (mode, flags) = self.keys.mode(class);
        if header.flags != flags {
            return Err(OpenError::Flags);
        }
        if self.opened >= MOST_DATAGRAMS {
            return Err(OpenError::NoSession);
        }
        let (aad, rest) = datagram.split_at_checked(HEADER_LEN).ok_or(OpenError::Length)?;
        let (content, tag) = if mode == Mode::Clear {
            (rest, &[][..])
        } else {
            let (content, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(OpenError::Length)?;
            (content, &tag[..])
        };
        let into = into.get_mut(..content.len()).ok_or(OpenError::Length)?;
        let nonce = nonce(header.path, header.counter);
        let opened = match (mode, self.keys.key(flags)) {
            (Mode::Sealed, Some(key)) => key.open_separate_gather(nonce, Aad::from(aad), content, tag, into),
            (Mode::Marked, Some(key)) => {
                let marked = &datagram[..HEADER_LEN + content.len()];
                into.copy_from_slice(content);
                key.open_separate_gather(nonce, Aad::from(marked), &[], tag, &mut [])
            }
            _ => {
                into.copy_from_slice(content);
                Ok(())
            }
        };
        opened.map_err(|_| OpenError::Tag)?;
        let kind = into.first().and_then(|&octet| Content::parse(octet));
        // Where the cipher seals all goes by one key, and the content says what it is.
        let class = match kind {
            None => return Err(OpenError::Content),
            Some((kind, _)) if self.keys.cipher.seals() => {
                if kind.is_control() {
                    Class::Control
                } else {
                    Class::Frames
                }
            }
            Some((kind, _)) if kind.is_control() != (class == Class::Control) => {
                return Err(OpenError::Content);
            }
            Some(_) => class,
        };
        let proved = mode != Mode::Clear;
        let windows = if proved {
            &mut self.windows
        } else {
            &mut self.clear
        };
        let window = windows
            .get_mut(usize::from(header.path))
            .ok_or(OpenError::Length)?;
        match window.get_or_insert_default().take(header.counter) {
            Seen::First => {}
            Seen::Again => return Err(OpenError::Again),
            Seen::Older if proved => return Err(OpenError::Older),
            // A false number may have moved this window far ahead: frames that may come twice are better than none.
            Seen::Older => {}
        }
        self.opened += 1;
        Ok(Opened {
            len: into.len(),
            class,
            proved,
            path: header.path,
            counter: header.counter,
        })
    }
}
