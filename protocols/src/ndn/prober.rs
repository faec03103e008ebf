//! Asks pings (ndnping protocol, version 1), and understands what comes back.

use super::data::Data;
use super::fragments::Reassembler;
use super::interest::{DEFAULT_LIFETIME, Interest, Names, quoted_name};
use super::keys::Verifier;
use super::lp::{Content, Packet};
use super::name::{Component, Name, NameBuf};
use super::server::PING;
use super::tlv::{self, LONGEST_PACKET, Writer, element_len, number_len};
use super::types;
use halloo_base::{Datagram, Env, Heard, ProbeId, Prober, Progress, Reason, Refusal, StreamProber};
use std::time::Duration;

/// What a [`PingProber`] asks for.
#[derive(Clone, Debug)]
pub struct PingProberOptions {
    /// The server's prefix, without `ping`.
    pub prefix: NameBuf,
    /// A component before the number, by which clients with equal numbers are told apart.
    pub identifier: Option<String>,
    /// The first probe's number; the next ones count on from it, modulo 2^64. Drawn at random, so that no cache has it.
    pub start: u64,
    /// Whether caches must not answer with Data that is no longer fresh. Default: true.
    pub must_be_fresh: bool,
    /// For how long a forwarder is to keep each question. Default: 4 s, which is not written down.
    pub lifetime: Duration,
    /// How many forwarders a question may pass.
    pub hop_limit: Option<u8>,
    /// Names that lead to who knows the prefix.
    pub forwarding_hint: Vec<NameBuf>,
    /// Who must have signed the answers; `None` believes all.
    pub verifier: Option<Verifier>,
    /// Each Interest is padded to so many bytes, or one less where no element has that length. Padding is an element that
    /// NDN tells everybody to skip. `None` for no padding.
    pub size: Option<usize>,
}

impl PingProberOptions {
    /// The defaults for this prefix, with this first number.
    pub fn new(prefix: NameBuf, start: u64) -> PingProberOptions {
        PingProberOptions {
            prefix,
            identifier: None,
            start,
            must_be_fresh: true,
            lifetime: DEFAULT_LIFETIME,
            hop_limit: None,
            forwarding_hint: Vec::new(),
            verifier: None,
            size: None,
        }
    }
}

/// Padding: of an application's own range, and not critical.
const PADDING: u32 = 250;

/// Asks by datagrams, each of them a bare Interest; answers may come in link headers and in fragments.
pub struct PingProber {
    /// With `ping` and the identifier.
    prefix: NameBuf,
    /// The name of the probe that is being written.
    name: NameBuf,
    start: u64,
    must_be_fresh: bool,
    lifetime: Option<Duration>,
    hop_limit: Option<u8>,
    forwarding_hint: Vec<u8>,
    verifier: Option<Verifier>,
    size: Option<usize>,
    /// How many were asked.
    asked: u64,
    reassembler: Reassembler,
}

impl PingProber {
    /// A prober for one session.
    pub fn new(options: PingProberOptions) -> PingProber {
        let prefix = options.prefix.with(PING);
        let prefix = match &options.identifier {
            Some(identifier) => prefix.with(identifier.as_bytes()),
            None => prefix,
        };
        PingProber {
            name: prefix.clone(),
            prefix,
            start: options.start,
            must_be_fresh: options.must_be_fresh,
            lifetime: Some(options.lifetime).filter(|&lifetime| lifetime != DEFAULT_LIFETIME),
            hop_limit: options.hop_limit,
            forwarding_hint: Names::encode(&options.forwarding_hint),
            verifier: options.verifier,
            size: options.size,
            asked: 0,
            reassembler: Reassembler::new(),
        }
    }

    /// The number that the probe `id` has in its name.
    pub fn seq(&self, id: ProbeId) -> u64 {
        self.start.wrapping_add(id.0)
    }

    /// The size that a session is to be told: no Interest of this prober is longer.
    pub fn longest(&self) -> usize {
        let number = element_len(types::GENERIC, u64::MAX.to_string().len());
        let interest = self.interest(self.prefix.as_name(), Some([0; 4]));
        // The outer lengths, of Interest and of Name, may grow from one byte to three with the number.
        let natural = tlv::written(|writer| interest.emit(writer)).map_or(LONGEST_PACKET, |wire| wire.len());
        (natural + number + 2 * 2)
            .max(self.size.unwrap_or(0))
            .min(LONGEST_PACKET)
    }

    fn interest<'a>(&'a self, name: Name<'a>, nonce: Option<[u8; 4]>) -> Interest<'a> {
        Interest {
            must_be_fresh: self.must_be_fresh,
            // Encoded from names: they are names.
            forwarding_hint: Names::parse(&self.forwarding_hint).unwrap_or_default(),
            nonce,
            lifetime: self.lifetime,
            hop_limit: self.hop_limit,
            ..Interest::new(name)
        }
    }

    /// Writes the Interest of the probe `id`; `None` if it is longer than `room`.
    fn write(&mut self, env: &mut Env<'_>, id: ProbeId, room: &mut [u8]) -> Option<usize> {
        let mut digits = [0; 20];
        let number = decimal(self.seq(id), &mut digits);
        self.name
            .set_tail(self.prefix.as_name(), Component::generic(number));
        let nonce = (env.rng.next_u64() as u32).to_be_bytes();
        let interest = self.interest(self.name.as_name(), Some(nonce));
        let room_len = room.len();
        let mut writer = Writer::new(&mut *room);
        interest.emit(&mut writer);
        let natural = writer.finish().ok()?;
        let wanted = self.size.unwrap_or(0).min(room_len);
        let len = if natural < wanted {
            let padding = padding(natural, wanted);
            let mut writer = Writer::new(room);
            writer.nested(types::INTEREST, |writer| {
                interest.emit_head(interest.name, writer);
                pad(writer, padding);
            });
            writer.finish().ok()?
        } else {
            natural
        };
        self.asked = self.asked.max(id.0 + 1);
        Some(len)
    }

    /// Which probe this packet answers.
    fn hear(&self, packet: &Packet<'_>) -> Result<Heard, Reason> {
        match &packet.content {
            Content::Data(data) => {
                let id = self.id_of(data.name)?;
                self.believe(data)?;
                Ok(Heard::plain(id, 64))
            }
            Content::Nack(reason, interest) => {
                let id = self.id_of(interest.name)?;
                if interest.can_be_prefix || interest.must_be_fresh != self.must_be_fresh {
                    return Err(Reason::Foreign);
                }
                let refusal = Refusal {
                    code: reason.number() as u32,
                    name: reason.name(),
                };
                Ok(Heard {
                    refusal: Some(refusal),
                    ..Heard::plain(id, 64)
                })
            }
            Content::Interest(_) => Err(Reason::Foreign),
            Content::Fragment(_) | Content::Idle => Err(Reason::Incomplete),
        }
    }

    fn id_of(&self, name: Name<'_>) -> Result<u64, Reason> {
        let mut rest = name
            .strip_prefix(self.prefix.as_name())
            .ok_or(Reason::Foreign)?
            .components();
        let seq = match (rest.next(), rest.next()) {
            (Some(last), None) => number(last).ok_or(Reason::Foreign)?,
            _ => return Err(Reason::Foreign),
        };
        let id = seq.wrapping_sub(self.start);
        if id < self.asked {
            Ok(id)
        } else {
            Err(Reason::Foreign)
        }
    }

    fn believe(&self, data: &Data<'_>) -> Result<(), Reason> {
        match &self.verifier {
            Some(verifier) => data.verify(verifier).map_err(|_| Reason::BadAuth),
            None => Ok(()),
        }
    }
}

impl Prober for PingProber {
    fn request(&mut self, env: &mut Env<'_>, id: ProbeId, buf: &mut [u8]) -> Option<usize> {
        self.write(env, id, buf)
    }

    fn recognise(&mut self, rx: &Datagram<'_>) -> Result<Heard, Reason> {
        let packet = Packet::parse(rx.payload).map_err(|_| Reason::Malformed)?;
        let Content::Fragment(part) = &packet.content else {
            return self.hear(&packet);
        };
        let mut reassembler = std::mem::take(&mut self.reassembler);
        let heard = match reassembler.take(rx.at.mono, &rx.path, part) {
            Ok(Some(whole)) => Packet::parse(whole)
                .map_err(|_| Reason::Malformed)
                .and_then(|packet| self.hear(&packet))
                .map(|heard| Heard {
                    length: Some(whole.len()),
                    ..heard
                }),
            Ok(None) => Err(Reason::Incomplete),
            Err(_) => Err(Reason::Malformed),
        };
        self.reassembler = reassembler;
        heard
    }

    fn quoted(&self, payload: &[u8]) -> Option<Heard> {
        let id = self.id_of(quoted_name(payload)?).ok()?;
        Some(Heard::plain(id, 64))
    }
}

/// Asks on a connection to a forwarder or a server, where packets stand one behind the other.
///
/// Packets that are no answers are told and passed over: a forwarder may send anything that anybody asks of this face.
pub struct PingStreamProber {
    prober: PingProber,
    /// The beginning of the next packet.
    partial: Vec<u8>,
    /// The first probe of this connection; what is older went by another one.
    first: u64,
}

impl PingStreamProber {
    /// A prober for one session.
    pub fn new(options: PingProberOptions) -> PingStreamProber {
        PingStreamProber {
            prober: PingProber::new(options),
            partial: Vec::with_capacity(LONGEST_PACKET),
            first: 0,
        }
    }

    /// The same prober for datagrams, for what only that one tells.
    pub fn prober(&self) -> &PingProber {
        &self.prober
    }

    /// Which probe these `used` bytes, the end of one packet, answer.
    fn hear(&self, used: usize, wire: &[u8]) -> Progress {
        let packet = Packet::parse(wire).map_err(|_| Reason::Malformed);
        let heard = packet.and_then(|packet| self.prober.hear(&packet));
        match heard {
            Ok(heard) if heard.low_bits >= self.first => Progress::Heard(used, heard),
            Ok(_) => Progress::Unused(used, Reason::Foreign),
            Err(why) => Progress::Unused(used, why),
        }
    }

    /// Completes the packet that has begun, as far as `rx` reaches; returns how much of it was used.
    fn complete(&mut self, rx: &[u8]) -> Result<usize, tlv::Malformed> {
        let mut used = 0;
        loop {
            let missing = match tlv::measure(&self.partial)? {
                Some(whole) => whole - self.partial.len(),
                // Not even the header is there: it comes byte by byte.
                None => 1,
            };
            let taken = missing.min(rx.len() - used);
            self.partial.extend_from_slice(&rx[used..used + taken]);
            used += taken;
            if taken == 0 {
                return Ok(used);
            }
        }
    }
}

impl StreamProber for PingStreamProber {
    fn request(&mut self, env: &mut Env<'_>, id: ProbeId, tx: &mut Vec<u8>) {
        let start = tx.len();
        tx.resize(start + self.prober.longest(), 0);
        let written = self.prober.write(env, id, &mut tx[start..]);
        tx.truncate(start + written.unwrap_or(0));
    }

    fn receive(&mut self, rx: &[u8]) -> Progress {
        const LOST: Progress = Progress::Foreign("the peer sends what is no NDN packet");
        if self.partial.is_empty() {
            // Most packets come whole: they need no copy.
            let Ok(measured) = tlv::measure(rx) else {
                return LOST;
            };
            if let Some(wire) = measured.and_then(|len| rx.get(..len)) {
                return self.hear(wire.len(), wire);
            }
        }
        let Ok(used) = self.complete(rx) else {
            return LOST;
        };
        if tlv::measure(&self.partial) != Ok(Some(self.partial.len())) {
            return Progress::Partial(used);
        }
        let progress = self.hear(used, &self.partial);
        self.partial.clear();
        progress
    }

    fn reset(&mut self) {
        self.partial.clear();
        self.first = self.prober.asked;
    }
}

/// The number in decimal digits.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

/// The number that a component holds in the one way that we write it.
fn number(component: Component<'_>) -> Option<u64> {
    if u32::from(component.kind) != types::GENERIC {
        return None;
    }
    let number = std::str::from_utf8(component.value).ok()?.parse().ok()?;
    (decimal(number, &mut [0; 20]) == component.value).then_some(number)
}

/// How many bytes of padding make an Interest of `natural` bytes as long as `wanted`, or nearly.
fn padding(natural: usize, wanted: usize) -> usize {
    let value = natural - 1 - number_len_of_rest(natural);
    (natural..=wanted)
        .rev()
        .find_map(|target| {
            let rest = target - 1 - number_len_of_rest(target);
            let exact = element_len(types::INTEREST, rest) == target;
            let padding = rest.checked_sub(value)?;
            exact.then_some(padding)
        })
        .unwrap_or(0)
}

/// How many bytes the length takes in an element of `whole` bytes with a type of one byte.
fn number_len_of_rest(whole: usize) -> usize {
    number_len(whole.saturating_sub(2) as u64)
}

/// Writes so many bytes that nobody reads. One byte is no element: nothing is written then.
fn pad(writer: &mut Writer<'_>, len: usize) {
    const NOTHING: [u8; 256] = [0; 256];
    // 255 and 256 bytes are no element: its length would need one byte more.
    let (head, rest) = if matches!(len, 255 | 256) {
        (2, len - 2)
    } else {
        (0, len)
    };
    for part in [head, rest].into_iter().filter(|&part| part >= 2) {
        let value = part - 1 - number_len_of_rest(part);
        writer.header(PADDING, value);
        for at in (0..value).step_by(NOTHING.len()) {
            writer.bytes(&NOTHING[..NOTHING.len().min(value - at)]);
        }
    }
}
