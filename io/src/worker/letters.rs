//! Which datagrams leave in one send.

use halloo_base::{Outbox, Train, Transmit};

/// The kernel's own limits for one segmented send (UDP_MAX_SEGMENTS, and 16 bits of length).
const MOST_SEGMENTS: usize = 64;
const MOST_SEGMENTED_BYTES: usize = 65_000;

/// A train of datagrams of the outbox on its way to a port.
#[derive(Clone, Copy)]
pub(super) struct Letter {
    /// The outbox's place.
    pub(super) place: usize,
    pub(super) port: usize,
    /// Equal for datagrams that could leave in one send.
    pub(super) key: u64,
}

/// A datagram: one of a letter's, by the octet of the train that it begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    pub(super) letter: usize,
    pub(super) octet: usize,
}

/// Datagrams from `first` to before `end`, sent as one message.
#[derive(Clone, Copy)]
pub(super) struct Message {
    pub(super) first: At,
    pub(super) end: At,
    /// The number of its departure stamp.
    pub(super) key: Option<u32>,
    /// The size by which the kernel cuts it, if it is more than one.
    pub(super) segment: Option<u16>,
}

/// The letters of a port, of which some datagrams at a time are taken.
pub(super) struct Letters<'a> {
    pub(super) outbox: &'a Outbox,
    pub(super) order: &'a [Letter],
}

impl<'a> Letters<'a> {
    pub(super) fn train(&self, letter: usize) -> Option<Train<'a>> {
        self.outbox.train(self.order.get(letter)?.place)
    }

    /// As many datagrams from `first` on as may leave in one message: all of one size, but that the last may be shorter, and
    /// not larger than `largest`. Returns where the next message begins, and the size, if they are more than one.
    pub(super) fn message(&self, first: At, largest: usize) -> (At, Option<u16>) {
        let (mut at, mut count, mut size, mut most) = (first, 0, 0, 1);
        let how = self.train(first.letter).map(|train| train.how);
        while count < most
            && let Some(train) = self.train(at.letter).filter(|train| Some(train.how) == how)
        {
            let rest = train.bytes.len() - at.octet;
            let next = train.size.min(rest);
            if count == 0 {
                size = next;
                if train.how.tag.is_none() && !train.how.alone && (1..=largest).contains(&size) {
                    most = MOST_SEGMENTS.min(MOST_SEGMENTED_BYTES / size);
                }
            } else if next == 0 || next > size {
                break;
            }
            let (taken, ends) = if next < size {
                // A shorter one is the last.
                (1, true)
            } else {
                ((rest / next.max(1)).clamp(1, most - count), false)
            };
            count += taken;
            at.octet += taken * next;
            if at.octet == train.bytes.len() {
                at = At {
                    letter: at.letter + 1,
                    octet: 0,
                };
            }
            if ends {
                break;
            }
        }
        (at, (count > 1).then_some(size as u16))
    }

    /// The bytes of a message, in as many pieces as they lie in.
    pub(super) fn pieces(&self, message: &Message) -> impl Iterator<Item = &'a [u8]> {
        self.trains(message).map(|(_, bytes)| bytes)
    }

    /// Each datagram of a message.
    pub(super) fn datagrams(&self, message: &Message) -> impl Iterator<Item = (Transmit, &'a [u8])> {
        self.trains(message).flat_map(|(train, bytes)| {
            Train { bytes, ..train }
                .datagrams()
                .map(move |bytes| (train.how, bytes))
        })
    }

    fn trains(&self, message: &Message) -> impl Iterator<Item = (Train<'a>, &'a [u8])> {
        let Message { first, end, .. } = *message;
        (first.letter..=end.letter).filter_map(move |letter| {
            let train = self.train(letter)?;
            let from = if letter == first.letter { first.octet } else { 0 };
            let to = match letter == end.letter {
                // It ends before this one.
                true if end.octet == 0 => return None,
                true => end.octet,
                false => train.bytes.len(),
            };
            Some((train, &train.bytes[from..to]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halloo_base::{LinkId, Path, TxTag};

    fn how(port: u16, tag: Option<u64>) -> Transmit {
        let local = "192.0.2.1:7777".parse().expect("an address");
        let path = Path {
            link: LinkId(0),
            local,
            remote: ([192, 0, 2, 2], port).into(),
        };
        Transmit {
            tag: tag.map(TxTag),
            ..Transmit::to(path)
        }
    }

    /// The messages that these lengths to one peer leave in, as lengths; 0 between them is a datagram to somebody else.
    fn messages(lengths: &[usize], largest: usize) -> Vec<Vec<usize>> {
        let mut outbox = Outbox::new();
        for &len in lengths {
            let port = if len == 0 { 2 } else { 1 };
            outbox.datagram(how(port, None), &vec![len as u8; len]);
        }
        let letter = |place| Letter {
            place,
            port: 0,
            key: 0,
        };
        let mut order: Vec<_> = (0..outbox.parts().count()).map(letter).collect();
        order.sort_by_key(|letter| {
            outbox
                .train(letter.place)
                .map(|train| train.how.path.remote.port())
        });
        let letters = Letters {
            outbox: &outbox,
            order: &order,
        };
        let (mut all, mut first) = (vec![], At { letter: 0, octet: 0 });
        while letters.train(first.letter).is_some() {
            let (end, segment) = letters.message(first, largest);
            let message = Message {
                first,
                end,
                key: None,
                segment,
            };
            let sent: Vec<_> = letters.datagrams(&message).collect();
            assert_eq!(segment.is_some(), sent.len() > 1);
            assert!(sent.iter().all(|(how, _)| *how == sent[0].0), "one way");
            let joined: usize = letters.pieces(&message).map(<[u8]>::len).sum();
            assert_eq!(joined, sent.iter().map(|(_, bytes)| bytes.len()).sum());
            all.push(sent.iter().map(|(_, bytes)| bytes.len()).collect());
            first = end;
        }
        all
    }

    #[test]
    fn datagrams_of_one_size_leave_together() {
        type Lengths<'a> = &'a [usize];
        let table: [(Lengths<'_>, usize, &[Lengths<'_>]); 8] = [
            (&[5], 9, &[&[5]]),
            (&[5, 5, 5], 9, &[&[5, 5, 5]]),
            (&[5, 5, 3, 5, 5], 9, &[&[5, 5, 3], &[5, 5]]),
            (&[5, 6], 9, &[&[5], &[6]]),
            (&[5, 3, 3], 9, &[&[5, 3], &[3]]),
            (&[10, 10], 9, &[&[10], &[10]]),
            (&[10, 10], 0, &[&[10], &[10]]),
            // To somebody else in between: those of one peer are brought together all the same.
            (&[5, 0, 5, 0, 2], 9, &[&[5, 5, 2], &[0], &[0]]),
        ];
        for (lengths, largest, expected) in table {
            assert_eq!(messages(lengths, largest), expected, "{lengths:?}, {largest}");
        }
    }

    #[test]
    fn a_send_stays_within_what_the_kernel_takes() {
        assert_eq!(
            messages(&[9; 130], 1_500)
                .iter()
                .map(Vec::len)
                .collect::<Vec<_>>(),
            [64, 64, 2]
        );
        let long = messages(&[1_472; 50], 1_500);
        assert_eq!(long.iter().map(Vec::len).collect::<Vec<_>>(), [44, 6]);
    }

    #[test]
    fn whatever_is_sent_is_sent_once_and_in_order() {
        let mut seed = 1u32;
        for _ in 0..300 {
            let mut random = |below: u32| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 16) % below
            };
            let lengths: Vec<usize> = (0..random(200)).map(|_| 1 + random(4) as usize).collect();
            let largest = random(5) as usize;
            let sent = messages(&lengths, largest);
            assert_eq!(sent.concat(), lengths);
            for message in sent {
                let (last, others) = message.split_last().expect("none is empty");
                assert!(others.iter().all(|len| len == &message[0]) && last <= &message[0]);
                assert!(message.len() == 1 || message[0] <= largest);
            }
        }
    }

    #[test]
    fn what_is_stamped_leaves_alone() {
        let mut outbox = Outbox::new();
        outbox.datagram(how(1, Some(1)), b"ab");
        outbox.datagram(how(1, None), b"cd");
        let order = [0, 1].map(|place| Letter {
            place,
            port: 0,
            key: 0,
        });
        let letters = Letters {
            outbox: &outbox,
            order: &order,
        };
        let (end, segment) = letters.message(At { letter: 0, octet: 0 }, 9);
        assert!(end == At { letter: 1, octet: 0 } && segment.is_none());
    }
}
