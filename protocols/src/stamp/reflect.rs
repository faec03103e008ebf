//! What a reflector makes of a request's TLVs, in place (RFC 8972 section 4).

use super::sessions::Departure;
use super::timestamp::{ErrorEstimate, Format, Timestamp};
use super::tlv::{self, ClassOfService, Place, Tlvs};
use super::wire::{HMAC, Mode};
use crate::echo::Key;
use halloo_base::{Datagram, StampSource};

/// Whether TLVs may be used (section 4.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Integrity {
    /// They are not protected, and need not be.
    Unprotected,
    /// The HMAC TLV that begins here is right; the answer has one too.
    Verified(usize),
    /// They should be protected and are not, or the HMAC is wrong, or there is no key to tell.
    Failed,
}

/// What the reflector has to tell.
pub(super) struct Telling<'a> {
    /// The request.
    pub(super) rx: &'a Datagram<'a>,
    /// The reflector's clock.
    pub(super) clock: ErrorEstimate,
    /// Whether the address that the request reached may be told.
    pub(super) own_address: bool,
    /// The count of this answer, where there is one.
    pub(super) count: Option<u32>,
    /// When an earlier answer departed.
    pub(super) departure: Option<Departure>,
}

/// What became of one TLV.
enum Outcome {
    Understood,
    Unrecognised,
    Malformed,
}

/// Looks whether the TLVs of a request may be used. The HMAC covers the request's number and everything before it; behind
/// it there may only be padding.
pub(super) fn integrity(key: Option<&Key>, mode: Mode, number: u32, area: &[u8]) -> Integrity {
    let mut tlvs = Tlvs::new(area);
    let (mut all, mut padding, mut cut) = (0, 0, 0);
    for tlv in tlvs.by_ref() {
        all += 1;
        match tlv {
            Ok(found) if found.kind == tlv::HMAC_TLV => {
                let is_last = tlvs.all(|tlv| tlv.is_ok_and(|tlv| tlv.kind == tlv::EXTRA_PADDING));
                let parts = [&number.to_be_bytes()[..], &area[..found.at]];
                let is_right = || {
                    let tag: Option<&[u8; HMAC]> = found.value.try_into().ok();
                    key.zip(tag).is_some_and(|(key, tag)| key.verify_tag(&parts, tag))
                };
                return match is_last && is_right() {
                    true => Integrity::Verified(found.at),
                    false => Integrity::Failed,
                };
            }
            Ok(tlv) => padding += u32::from(tlv.kind == tlv::EXTRA_PADDING),
            Err(_) => cut += 1,
        }
    }
    // Authenticated packets need one, but for the sake of a single padding.
    let needs_none = all == 0 || (all == 1 && padding == 1 && cut == 0);
    match mode {
        Mode::Authenticated if !needs_none => Integrity::Failed,
        _ => Integrity::Unprotected,
    }
}

/// Answers TLVs in place: each keeps its length. Returns whether one of them, that may be used, asked for
/// follow-up telemetry.
pub(super) fn reflect(mut rest: &mut [u8], integrity: Integrity, telling: &Telling<'_>) -> bool {
    let failed = integrity == Integrity::Failed;
    let mut asks_follow_up = false;
    while let Some(next) = tlv::take(&mut rest) {
        let place = match next {
            Ok(place) => place,
            Err(cut) => {
                if let Some(flags) = cut.first_mut() {
                    *flags = tlv::MALFORMED | if failed { tlv::INTEGRITY } else { 0 };
                }
                break;
            }
        };
        if failed {
            *place.flags = tlv::INTEGRITY | looked_at(*place.kind, place.value).flags();
            continue;
        }
        let outcome = answer(*place.kind, place.value, telling);
        *place.flags = outcome.flags();
        match outcome {
            // What follows stays as it came (section 4).
            Outcome::Malformed => break,
            Outcome::Understood => asks_follow_up |= *place.kind == tlv::FOLLOW_UP_TELEMETRY,
            Outcome::Unrecognised => {}
        }
    }
    asks_follow_up
}

/// Writes the HMAC over the answer's number and TLVs, where the request had one.
pub(super) fn protect(key: Option<&Key>, integrity: Integrity, number: u32, area: &mut [u8]) {
    let (Some(key), Integrity::Verified(at)) = (key, integrity) else {
        return;
    };
    let Some((covered, hmac)) = area.split_at_mut_checked(at) else {
        return;
    };
    let place = hmac
        .get_mut(tlv::HEADER..)
        .and_then(|hmac| hmac.first_chunk_mut());
    if let Some(place) = place {
        *place = key.tag(&[&number.to_be_bytes(), covered]);
    }
}

/// What a TLV is, without answering it.
fn looked_at(kind: u8, value: &[u8]) -> Outcome {
    match kind {
        _ if !tlv::is_well_formed(kind, value) => Outcome::Malformed,
        tlv::EXTRA_PADDING..=tlv::HMAC_TLV => Outcome::Understood,
        _ => Outcome::Unrecognised,
    }
}

fn answer(kind: u8, value: &mut [u8], telling: &Telling<'_>) -> Outcome {
    if !tlv::is_well_formed(kind, value) {
        if kind == tlv::FOLLOW_UP_TELEMETRY {
            // Section 4.7 with erratum 8339: its number and its timestamp are zeros even then.
            value.iter_mut().take(12).for_each(|octet| *octet = 0);
        }
        return Outcome::Malformed;
    }
    match kind {
        tlv::LOCATION => answer_location(value, telling),
        tlv::TIMESTAMP_INFORMATION => fill(value, &timestamp_information(telling)),
        tlv::CLASS_OF_SERVICE => answer_class_of_service(value, telling.rx.marks.tos),
        tlv::DIRECT_MEASUREMENT => answer_direct_measurement(value, telling.count),
        tlv::ACCESS_REPORT => answer_access_report(value),
        tlv::FOLLOW_UP_TELEMETRY => fill(value, &follow_up(telling)),
        _ => looked_at(kind, value),
    }
}

/// Writes a value over another of the same length.
fn fill(value: &mut [u8], told: &[u8]) -> Outcome {
    if value.len() == told.len() {
        value.copy_from_slice(told);
    }
    Outcome::Understood
}

/// Sections 4.2 and 4.2.2. What is not told is zeros.
fn answer_location(value: &mut [u8], telling: &Telling<'_>) -> Outcome {
    let path = &telling.rx.path;
    let Some((ports, mut inner)) = value.split_first_chunk_mut::<{ tlv::LOCATION_PORTS }>() else {
        return Outcome::Malformed;
    };
    let reached = if telling.own_address { path.local.port() } else { 0 };
    *ports = {
        let [[a, b], [c, d]] = [reached.to_be_bytes(), path.remote.port().to_be_bytes()];
        [a, b, c, d]
    };
    while let Some(Ok(Place { flags, kind, value })) = tlv::take(&mut inner) {
        let outcome = answer_place(kind, value, telling);
        *flags = outcome.flags();
        if matches!(outcome, Outcome::Malformed) {
            break;
        }
    }
    Outcome::Understood
}

/// What a location asks for, one by one. The answer is of another type, which tells the family (section 4.2.1).
fn answer_place(kind: &mut u8, value: &mut [u8], telling: &Telling<'_>) -> Outcome {
    let path = &telling.rx.path;
    let (at, is_told, v4, v6) = match *kind {
        tlv::SOURCE_MAC if value.len() == tlv::MAC_LEN => {
            // A datagram does not tell which station sent it.
            *kind = tlv::SOURCE_EUI64;
            return fill(value, &[0; tlv::MAC_LEN]);
        }
        tlv::SOURCE_IP => (path.remote, true, tlv::SOURCE_IPV4, tlv::SOURCE_IPV6),
        tlv::DESTINATION_IP => (
            path.local,
            telling.own_address,
            tlv::DESTINATION_IPV4,
            tlv::DESTINATION_IPV6,
        ),
        tlv::SOURCE_MAC => return Outcome::Malformed,
        _ => return Outcome::Unrecognised,
    };
    if value.len() != tlv::IP_LEN {
        return Outcome::Malformed;
    }
    let ip = at.ip().to_canonical();
    *kind = if ip.is_ipv4() { v4 } else { v6 };
    match is_told {
        true => fill(value, &tlv::address_value(ip)),
        false => fill(value, &[0; tlv::IP_LEN]),
    }
}

/// Section 4.3, tables 7 and 9. The clock's source is not known for sure: who writes PTP's format is taken to follow PTP,
/// who is synchronised otherwise NTP, and who is not only himself.
fn timestamp_information(telling: &Telling<'_>) -> [u8; tlv::TIMESTAMP_INFORMATION_LEN] {
    const NTP: u8 = 1;
    const PTP: u8 = 2;
    const FREE_RUNNING: u8 = 5;
    let source = match (telling.clock.is_synchronised(), telling.clock.format()) {
        (false, _) => FREE_RUNNING,
        (true, Format::Ntp) => NTP,
        (true, Format::Ptp) => PTP,
    };
    // T3 is in the answer itself, so it is always software that took it.
    let arrived = method(telling.rx.at.source);
    [source, arrived, source, tlv::SOFTWARE_LOCAL]
}

fn method(source: StampSource) -> u8 {
    match source {
        StampSource::Hardware => tlv::HARDWARE_ASSIST,
        StampSource::Kernel | StampSource::User => tlv::SOFTWARE_LOCAL,
    }
}

/// Section 4.4 with erratum 8199. An answer leaves with the DSCP that its request arrived with
/// ([`Marks::of_answer`](halloo_base::Marks::of_answer)), and RP tells where that is not the one which was asked for.
fn answer_class_of_service(value: &mut [u8], seen_tos: u8) -> Outcome {
    let asked = value.first_chunk().map(ClassOfService::parse).unwrap_or_default();
    let told = ClassOfService {
        requested_dscp: asked.requested_dscp,
        seen_tos,
        reverse_path: u8::from(asked.requested_dscp != seen_tos >> 2),
    };
    fill(value, &told.emit())
}

/// Section 4.5. What is counted are the packets of this very session, the request included, the answer not yet.
fn answer_direct_measurement(value: &mut [u8], count: Option<u32>) -> Outcome {
    let Some(answered) = count else {
        return Outcome::Unrecognised;
    };
    let counts = [answered.wrapping_add(1), answered].map(u32::to_be_bytes);
    match value.get_mut(4..) {
        Some(ours) => fill(ours, counts.as_flattened()),
        None => Outcome::Malformed,
    }
}

/// Section 4.6: it comes back as it is, if it is about a network that there is.
fn answer_access_report(value: &mut [u8]) -> Outcome {
    const NETWORKS: std::ops::RangeInclusive<u8> = 1..=2;
    let [network, _, reserved @ ..] = value else {
        return Outcome::Malformed;
    };
    if !NETWORKS.contains(&(*network >> 4)) {
        return Outcome::Unrecognised;
    }
    *network &= 0xf0;
    reserved.fill(0);
    Outcome::Understood
}

/// Section 4.7. Zeros where nothing is known, and where no sessions are kept.
fn follow_up(telling: &Telling<'_>) -> [u8; tlv::FOLLOW_UP_TELEMETRY_LEN] {
    let mut told = [0; tlv::FOLLOW_UP_TELEMETRY_LEN];
    if let Some(Departure { number, at }) = telling.departure {
        let left = Timestamp::new(at.wall, telling.clock.format());
        told[..4].copy_from_slice(&number.to_be_bytes());
        told[4..12].copy_from_slice(&left.0.to_be_bytes());
        told[12] = method(at.source);
    }
    told
}

impl Outcome {
    fn flags(&self) -> u8 {
        match self {
            Outcome::Understood => 0,
            Outcome::Unrecognised => tlv::UNRECOGNISED,
            Outcome::Malformed => tlv::MALFORMED,
        }
    }
}
