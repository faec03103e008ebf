//! What tells answers and requests apart, read from the specifications and not from the code under test.

/// How one protocol's datagrams are told apart by their first look.
#[derive(Clone, Copy)]
pub(crate) struct Marks {
    /// Whether it says of itself that it is an answer: such a datagram is never answered.
    pub(crate) is_answer: fn(&[u8]) -> bool,
    /// Whether it can be a request that is answered at more than its own length.
    pub(crate) is_request: fn(&[u8]) -> bool,
}

/// `docs/wire/probe.md`: the R flag behind the magic. Everything else is a request, of a plain echo at least.
pub(crate) const ECHO: Marks = Marks {
    is_answer: |bytes| bytes.starts_with(b"\xf7hlo") && bytes.get(5).is_some_and(|flags| flags & 0x80 != 0),
    is_request: |_| true,
};

/// RFC 8762 section 4.3.1: a receive timestamp where a sender has zeros, and a timestamp that is a little later. Only
/// NTP's format is looked at.
pub(crate) const STAMP: Marks = Marks {
    is_answer: |bytes| {
        let (Some(left), Some(arrived)) = (number(bytes, 4), number(bytes, 16)) else {
            return false;
        };
        let is_ntp = bytes[12] & 0x40 == 0;
        // In units of 2^-32 s: a tenth of a second, less what rounding may make of it.
        let tenth = (1 << 32) / 10 - 16;
        is_ntp && arrived >> 32 != 0 && left >= arrived && left - arrived < tenth
    },
    is_request: |bytes| bytes.len() >= 14,
};

/// RFC 8489 section 5: one bit of the type says that it is an answer. A Binding request is 1, with its length.
pub(crate) const STUN: Marks = Marks {
    is_answer: |bytes| bytes.len() >= 20 && bytes[0] & 0xc1 == 0x01,
    is_request: |bytes| {
        let said = |len: &[u8]| usize::from(len[0]) << 8 | usize::from(len[1]);
        bytes.len() >= 20 && bytes[..2] == [0, 1] && said(&bytes[2..4]) + 20 == bytes.len()
    },
};

/// RFC 5905 figure 8: a server is mode 4, a passive peer mode 2. A client is mode 3.
pub(crate) const NTP: Marks = Marks {
    is_answer: |bytes| bytes.first().is_some_and(|first| matches!(first & 7, 2 | 4)),
    is_request: |bytes| bytes.len() >= 48 && bytes[0] & 7 == 3,
};

/// RFC 3261 section 7: a response begins with the version. What a response must copy stands in a request (section 8.2.6).
pub(crate) const SIP: Marks = Marks {
    is_answer: |bytes| {
        let text = bytes.trim_ascii_start();
        text.len() >= 4 && text[..4].eq_ignore_ascii_case(b"SIP/")
    },
    is_request: |bytes| {
        let has = |names: [&[u8]; 2]| {
            let named = |line: &[u8]| {
                let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
                let name = name.trim_ascii_end();
                names.iter().any(|known| name.eq_ignore_ascii_case(known))
            };
            bytes.split(|&byte| byte == b'\n' || byte == b'\r').any(named)
        };
        has([b"Via", b"v"])
            && has([b"From", b"f"])
            && has([b"To", b"t"])
            && has([b"Call-ID", b"i"])
            && has([b"CSeq", b"CSeq"])
    },
};

/// NDN packet format 0.3: type 6 is Data. Type 5 is an Interest, 100 the link header that may be around both; the name
/// that is served is in it as it always is.
pub(crate) const NDN: Marks = Marks {
    is_answer: |bytes| bytes.first() == Some(&6),
    is_request: |bytes| {
        const SERVED: &[u8] = b"\x08\x06halloo\x08\x04ping";
        matches!(bytes.first(), Some(5 | 100)) && bytes.windows(SERVED.len()).any(|part| part == SERVED)
    },
};

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let octets = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_be_bytes(*octets))
}
