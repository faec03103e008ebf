//! Elements (NDN packet format 0.3, section "TLV Encoding"), read and written apart from halloo's own codec: what judges
//! that must not share its mistakes.

/// The longest packet that forwarders take, in bytes.
pub(super) const LONGEST_PACKET: usize = 8_800;

/// A type, a length and so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) kind: u64,
    pub(super) value: &'a [u8],
    /// All of it, header included.
    pub(super) wire: &'a [u8],
}

/// What the front of a byte stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// An element of so many bytes.
    Whole(usize),
    /// The beginning of one.
    Partial,
    /// What cannot become one, or becomes too long: the stream is of no more use.
    Hopeless,
}

/// The element that `bytes` begin with, and what follows it. Longer forms of a number than the shortest are taken, as
/// NFD takes them.
pub(super) fn take(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (kind, rest) = number(bytes)?;
    let (len, rest) = number(rest)?;
    let (value, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    let wire = &bytes[..bytes.len() - rest.len()];
    let legal = (1..=u64::from(u32::MAX)).contains(&kind);
    legal.then_some((Element { kind, value, wire }, rest))
}

/// The one element that `bytes` are, with nothing behind it.
pub(super) fn only(bytes: &[u8]) -> Option<Element<'_>> {
    take(bytes)
        .filter(|(_, rest)| rest.is_empty())
        .map(|(element, _)| element)
}

/// The elements that `bytes` are.
pub(super) fn elements(mut bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (element, rest) = take(bytes)?;
        all.push(element);
        bytes = rest;
    }
    Some(all)
}

/// What the front of a stream holds.
pub(super) fn front(bytes: &[u8]) -> Front {
    let header = number(bytes).and_then(|(_, rest)| Some((bytes.len() - rest.len(), number(rest)?)));
    let Some((kind_len, (len, rest))) = header else {
        return Front::Partial;
    };
    let header_len = kind_len + (bytes.len() - kind_len - rest.len());
    match usize::try_from(len).map(|len| header_len.saturating_add(len)) {
        Ok(whole) if whole > LONGEST_PACKET => Front::Hopeless,
        Ok(whole) if whole > bytes.len() => Front::Partial,
        Ok(whole) => Front::Whole(whole),
        Err(_) => Front::Hopeless,
    }
}

/// A NonNegativeInteger: 1, 2, 4 or 8 bytes.
pub(super) fn integer(value: &[u8]) -> Option<u64> {
    matches!(value.len(), 1 | 2 | 4 | 8).then(|| big_endian(value))
}

/// An element.
pub(super) fn element(kind: u64, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len() + 10);
    push_number(&mut bytes, kind);
    push_number(&mut bytes, value.len() as u64);
    bytes.extend(value);
    bytes
}

/// An element that holds these elements.
pub(super) fn nested(kind: u64, parts: &[Vec<u8>]) -> Vec<u8> {
    element(kind, &parts.concat())
}

/// An element that holds a NonNegativeInteger in its shortest form.
pub(super) fn integer_element(kind: u64, number: u64) -> Vec<u8> {
    let octets = number.to_be_bytes();
    let len = match number {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    };
    element(kind, &octets[8 - len..])
}

fn push_number(bytes: &mut Vec<u8>, number: u64) {
    let octets = number.to_be_bytes();
    match number {
        0..=252 => bytes.push(octets[7]),
        253..=0xffff => {
            bytes.push(253);
            bytes.extend(&octets[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            bytes.push(254);
            bytes.extend(&octets[4..]);
        }
        _ => {
            bytes.push(255);
            bytes.extend(octets);
        }
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
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

fn big_endian(octets: &[u8]) -> u64 {
    octets
        .iter()
        .fold(0, |number, &octet| number << 8 | u64::from(octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_short_and_read_in_any_form() {
        for (kind, header) in [
            (252, &[252, 0][..]),
            (253, &[253, 0, 253, 0]),
            (0x1_0000, &[254, 0, 1, 0, 0, 0]),
        ] {
            let bytes = element(kind, &[]);
            assert_eq!(bytes, header);
            assert_eq!(only(&bytes).map(|element| element.kind), Some(kind));
        }
        let loose = [253, 0, 5, 253, 0, 1, 9];
        assert_eq!(
            only(&loose).map(|element| (element.kind, element.value)),
            Some((5, &[9][..]))
        );
        assert_eq!(only(&[0, 0]), None, "type 0 is illegal");
        assert_eq!(only(&[5, 1]), None);
        assert_eq!(only(&[5, 0, 0]), None, "something follows");
    }

    #[test]
    fn a_stream_is_cut_into_elements_and_given_up_when_one_is_too_long() {
        assert_eq!(front(&[]), Front::Partial);
        assert_eq!(front(&[5, 2, 1]), Front::Partial);
        assert_eq!(front(&[5, 2, 1, 1, 6]), Front::Whole(4));
        assert_eq!(
            front(&[5, 253, 0x22, 0x5c]),
            Front::Partial,
            "8,796 and a header of 4"
        );
        assert_eq!(front(&[5, 253, 0x22, 0x5d]), Front::Hopeless);
        assert_eq!(
            front(&[5, 255, 255, 255, 255, 255, 255, 255, 255, 255]),
            Front::Hopeless
        );
    }
}
