//! Noise (revision 34) by `snow`, with AWS-LC's primitives and with randomness that is given.

use super::community::Community;
use super::identity::{Identity, public_of};
use crate::PublicKey;
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use blake2::digest::consts::U32;
use blake2::digest::{FixedOutput, Update};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState};
use zeroize::Zeroizing;

const WITH_EDGE: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
const WITH_SUPERNODE: &str = "Noise_IK_25519_ChaChaPoly_BLAKE2s";

/// Octets that Noise adds to the payload of the first message.
pub(crate) const FIRST: usize = 32 + 48 + 16;

/// A handshake under way.
pub(crate) struct Noise(HandshakeState);

/// The two keys that a handshake ends in.
pub(crate) struct Keys {
    /// From the initiator to the responder.
    pub(crate) there: Zeroizing<[u8; 32]>,
    /// From the responder to the initiator.
    pub(crate) back: Zeroizing<[u8; 32]>,
}

impl Noise {
    /// Begins, with an edge of the community or, without one, with a supernode.
    pub(crate) fn initiator(
        identity: &Identity,
        remote: &PublicKey,
        community: Option<&Community>,
        ephemeral: [u8; 32],
    ) -> Result<Noise, Error> {
        let prologue = prologue(community);
        builder(identity, community, &prologue, ephemeral)?
            .remote_public_key(&remote.0)?
            .build_initiator()
            .map(Noise)
    }

    /// Waits for the first message, as an edge of the community or, without one, as a supernode.
    pub(crate) fn responder(
        identity: &Identity,
        community: Option<&Community>,
        ephemeral: [u8; 32],
    ) -> Result<Noise, Error> {
        let prologue = prologue(community);
        builder(identity, community, &prologue, ephemeral)?
            .build_responder()
            .map(Noise)
    }

    /// Appends the next message.
    pub(crate) fn write(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        out.resize(start + payload.len() + FIRST, 0);
        let written = self.0.write_message(payload, &mut out[start..])?;
        out.truncate(start + written);
        Ok(())
    }

    /// Reads the next message's payload.
    pub(crate) fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut payload = vec![0; message.len()];
        let len = self.0.read_message(message, &mut payload)?;
        payload.truncate(len);
        Ok(payload)
    }

    /// Who the other end is; known to a responder from the first message on.
    pub(crate) fn remote(&self) -> Option<PublicKey> {
        self.0.get_remote_static()?.try_into().ok().map(PublicKey)
    }

    /// The keys, after the second message.
    pub(crate) fn keys(&mut self) -> Keys {
        let (there, back) = self.0.dangerously_get_raw_split();
        Keys {
            there: Zeroizing::new(there),
            back: Zeroizing::new(back),
        }
    }

    #[cfg(test)]
    pub(crate) fn hash(&self) -> &[u8] {
        self.0.get_handshake_hash()
    }

    /// A handshake with a prologue of others' choice, to be compared with theirs.
    #[cfg(test)]
    pub(crate) fn example(
        secret: &[u8; 32],
        remote: Option<&[u8; 32]>,
        psk: Option<&[u8; 32]>,
        prologue: &[u8],
        ephemeral: [u8; 32],
    ) -> Noise {
        let name = if psk.is_some() { WITH_EDGE } else { WITH_SUPERNODE };
        let resolver = Box::new(Resolver(Zeroizing::new(ephemeral)));
        let mut builder = Builder::with_resolver(name.parse().unwrap(), resolver)
            .local_private_key(secret)
            .unwrap()
            .prologue(prologue)
            .unwrap();
        if let Some(psk) = psk {
            builder = builder.psk(2, psk).unwrap();
        }
        Noise(match remote {
            Some(key) => builder.remote_public_key(key).unwrap().build_initiator().unwrap(),
            None => builder.build_responder().unwrap(),
        })
    }
}

fn prologue(community: Option<&Community>) -> Vec<u8> {
    match community {
        Some(community) => [&b"halloo overlay 1e"[..], &community.id().0].concat(),
        None => b"halloo overlay 1s".to_vec(),
    }
}

fn builder<'a>(
    identity: &'a Identity,
    community: Option<&'a Community>,
    prologue: &'a [u8],
    ephemeral: [u8; 32],
) -> Result<Builder<'a>, Error> {
    let name = if community.is_some() {
        WITH_EDGE
    } else {
        WITH_SUPERNODE
    };
    let resolver = Box::new(Resolver(Zeroizing::new(ephemeral)));
    let builder = Builder::with_resolver(name.parse()?, resolver)
        .local_private_key(identity.secret())?
        .prologue(prologue)?;
    match community {
        Some(community) => builder.psk(2, community.psk()),
        None => Ok(builder),
    }
}

/// Noise's needs, met: the one secret that a handshake draws, and the primitives.
struct Resolver(Zeroizing<[u8; 32]>);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Given(Some(self.0.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::<X>::default() as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::Blake2s).then(|| Box::<Blake>::default() as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::ChaChaPoly).then(|| Box::<ChaCha>::default() as Box<dyn Cipher>)
    }
}

/// 32 octets, once: a second draw would be the same key again.
struct Given(Option<Zeroizing<[u8; 32]>>);

impl Random for Given {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        let given = self.0.take().ok_or(Error::Rng)?;
        if dest.len() != given.len() {
            return Err(Error::Rng);
        }
        dest.copy_from_slice(&given[..]);
        Ok(())
    }
}

/// X25519 (RFC 7748). A public key of low order, whose secrets all know, is refused by AWS-LC.
#[derive(Default)]
struct X {
    secret: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl Dh for X {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, secret: &[u8]) {
        if let Ok(secret) = <[u8; 32]>::try_from(secret) {
            *self.secret = secret;
            self.public = public_of(&self.secret).unwrap_or_default();
        }
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        let mut secret = Zeroizing::new([0; 32]);
        rng.try_fill_bytes(&mut secret[..])?;
        self.set(&secret[..]);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &self.secret[..]
    }

    fn dh(&self, remote: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let key = PrivateKey::from_private_key(&X25519, &self.secret[..]).map_err(|_| Error::Dh)?;
        // Noise hands over its longest key's room.
        let remote = remote.get(..32).ok_or(Error::Dh)?;
        agree(
            &key,
            UnparsedPublicKey::new(&X25519, remote),
            Error::Dh,
            |secret| {
                let out = out.get_mut(..secret.len()).ok_or(Error::Dh)?;
                out.copy_from_slice(secret);
                Ok(())
            },
        )
    }
}

/// BLAKE2s-256 (RFC 7693).
#[derive(Default)]
struct Blake(blake2::Blake2s<U32>);

impl Hash for Blake {
    fn name(&self) -> &'static str {
        "BLAKE2s"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = blake2::Blake2s::default();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let hash = std::mem::take(&mut self.0).finalize_fixed();
        out[..32].copy_from_slice(&hash);
    }
}

/// ChaCha20-Poly1305 (RFC 8439) with Noise's nonce: four zeros, then the number in little-endian (section 12.3).
#[derive(Default)]
struct ChaCha(Option<LessSafeKey>);

impl ChaCha {
    fn nonce(number: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&number.to_le_bytes());
        Nonce::assume_unique_for_key(nonce)
    }
}

impl Cipher for ChaCha {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = UnboundKey::new(&CHACHA20_POLY1305, key)
            .ok()
            .map(LessSafeKey::new);
    }

    fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let (text, tag) = out.split_at_mut(plaintext.len());
        text.copy_from_slice(plaintext);
        let key = self
            .0
            .as_ref()
            .unwrap_or_else(|| unreachable!("snow sets the key first"));
        let made = key
            .seal_in_place_separate_tag(ChaCha::nonce(nonce), Aad::from(authtext), text)
            .unwrap_or_else(|_| unreachable!("a message of Noise is short"));
        tag[..16].copy_from_slice(made.as_ref());
        plaintext.len() + 16
    }

    fn decrypt(&self, nonce: u64, authtext: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let (text, tag) = sealed.split_last_chunk::<16>().ok_or(Error::Decrypt)?;
        let out = out.get_mut(..text.len()).ok_or(Error::Decrypt)?;
        let key = self.0.as_ref().ok_or(Error::Decrypt)?;
        key.open_separate_gather(ChaCha::nonce(nonce), Aad::from(authtext), text, tag, out)
            .map_err(|_| Error::Decrypt)?;
        Ok(text.len())
    }
}
