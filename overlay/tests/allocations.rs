//! What a session carries is sealed and opened without allocation: a busy edge does it a million times a second.

use halloo_counting::{Counting, allocations};
use halloo_overlay::Cipher;
use halloo_overlay::crypto::{Class, OpenError, Opener, Sealer};
use halloo_overlay::wire::{HEADER_LEN, Message, TAG_LEN};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(Box::new(1))), 1);
}

#[test]
fn sealing_and_opening_allocate_nothing() {
    for octet in 0..5 {
        let cipher = Cipher::from_octet(octet).expect("five ciphers");
        let key = [octet; 32];
        let (mut sealer, mut opener) = (Sealer::new(cipher, &key, 7), Opener::new(cipher, &key));
        let mut datagram = [1; HEADER_LEN + 1_400 + TAG_LEN];
        let mut into = [0; 1_400];
        let mut carry = |class: Class, kind: u8| {
            datagram[HEADER_LEN] = kind;
            let len = sealer
                .seal(3, class, &mut datagram, 1_400)
                .expect("there is room");
            let Ok(Message::Data(header)) = Message::parse(&datagram[..len]) else {
                panic!("data is read");
            };
            let opened = opener
                .open(&header, &datagram[..len], &mut into)
                .expect("it is true");
            assert_eq!((opened.len, into[0]), (1_400, kind));
            // What is false costs none either.
            datagram[len - 1] ^= u8::from(opened.proved);
            let again = opener.open(&header, &datagram[..len], &mut into);
            let wanted = if opened.proved {
                OpenError::Tag
            } else {
                OpenError::Again
            };
            assert_eq!(again, Err(wanted));
        };
        // The first on a path makes its window.
        carry(Class::Frames, 1);
        carry(Class::Control, 4);
        let made = allocations(|| {
            for _ in 0..1_000 {
                carry(Class::Frames, 1);
                carry(Class::Control, 4);
            }
        });
        assert_eq!(made, 0, "{cipher:?}");
    }
}
