//! What holds for all packets and all bytes.

use super::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::time::Duration;

prop_compose! {
    fn component()(kind in prop_oneof![Just(8_u16), 1..=u16::MAX], value in vec(any::<u8>(), 0..40)) -> (u16, Vec<u8>) {
        // Digests have their one length.
        if kind <= 2 { (kind, [value, vec![0; 32]].concat()[..32].to_vec()) } else { (kind, value) }
    }
}

prop_compose! {
    fn name_of(least: usize)(components in vec(component(), least..6)) -> NameBuf {
        let mut name = NameBuf::new();
        for (kind, value) in components.iter().filter(|(kind, _)| *kind != 2) {
            name.push(Component { kind: *kind, value }).expect("a possible component");
        }
        if name.as_name().is_empty() && least > 0 { name.with(b"x") } else { name }
    }
}

fn millis() -> impl Strategy<Value = Option<Duration>> {
    option::of(any::<u64>().prop_map(Duration::from_millis))
}

proptest! {
    #[test]
    fn any_name_survives_its_uri(name in name_of(0)) {
        for form in [UriForm::Alternate, UriForm::Canonical] {
            let uri = name.as_name().to_uri(form);
            let again: NameBuf = uri.parse().expect("what we print we read");
            if form == UriForm::Canonical {
                prop_assert_eq!(&again, &name, "{}", uri);
            }
            // Numbers in more bytes than they need come back shorter: the text is the same for ever.
            prop_assert_eq!(again.as_name().to_uri(form), uri);
        }
    }

    #[test]
    fn any_text_is_a_name_or_says_why_not(text in "\\PC*") {
        if let Ok(name) = text.parse::<NameBuf>() {
            prop_assert_eq!(name.as_name().to_uri(UriForm::Canonical).parse::<NameBuf>(), Ok(name));
        }
    }

    #[test]
    fn order_of_names_is_order_by_components(a in name_of(0), b in name_of(0)) {
        let key = |name: &NameBuf| -> Vec<(u16, usize, Vec<u8>)> {
            let parts = name.as_name();
            parts.components().map(|c| (c.kind, c.value.len(), c.value.to_vec())).collect()
        };
        prop_assert_eq!(a.cmp(&b), key(&a).cmp(&key(&b)));
    }

    #[test]
    fn any_interest_is_read_as_it_was_written(
        name in name_of(1),
        flags in any::<(bool, bool)>(),
        hint in vec(name_of(0), 0..3),
        nonce in option::of(any::<[u8; 4]>()),
        lifetime in millis(),
        hop_limit in option::of(any::<u8>()),
        parameters in option::of(vec(any::<u8>(), 0..300)),
        signed in any::<bool>(),
    ) {
        let hint = Names::encode(&hint);
        let interest = Interest {
            can_be_prefix: flags.0,
            must_be_fresh: flags.1,
            forwarding_hint: if hint.is_empty() { Names::default() } else { Names::parse(&hint).expect("names") },
            nonce,
            lifetime,
            hop_limit,
            ..Interest::new(name.as_name())
        };
        let moment = SigningMoment { nonce: [9; 8], time: 77 };
        let signer = Signer::digest();
        let wire = match &parameters {
            None => tlv::written(|writer| interest.emit(writer)).expect("room"),
            Some(value) => {
                interest.with_parameters(value, signed.then_some((&signer, moment))).expect("room")
            }
        };
        let read = Interest::parse(&wire).expect("an Interest");
        prop_assert_eq!(read.parameters.map(|carried| carried.value), parameters.as_deref());
        if parameters.is_some() && signed {
            prop_assert_eq!(read.verify(&Verifier::digest()), Ok(()));
        }
        let plain = Interest { parameters: None, name: interest.name, ..read };
        prop_assert_eq!(plain, interest);
        prop_assert_eq!(tlv::written(|writer| read.emit(writer)).expect("room"), wire);
    }

    #[test]
    fn any_data_is_read_as_it_was_written(
        name in name_of(0),
        content in option::of(vec(any::<u8>(), 0..2000)),
        meta in option::of((option::of(any::<u64>()), millis(), option::of(component()))),
    ) {
        let meta = meta.as_ref().map(|(content_type, freshness, last)| MetaInfo {
            content_type: content_type.map(ContentType::from_number),
            freshness: *freshness,
            final_block: last.as_ref().map(|(kind, value)| Component { kind: *kind, value }),
        });
        let unsigned = Unsigned { name: name.as_name(), meta, content: content.as_deref() };
        let wire = unsigned.sign(&Signer::digest()).expect("room");
        let read = Data::parse(&wire).expect("Data");
        prop_assert_eq!(Unsigned { name: read.name, meta: read.meta, content: read.content }, unsigned);
        prop_assert_eq!(read.verify(&Verifier::digest()), Ok(()));
        prop_assert_eq!(tlv::written(|writer| read.emit(writer)).expect("room"), wire);
    }

    #[test]
    fn no_bytes_make_the_parser_fall(bytes in vec(any::<u8>(), 0..200)) {
        let _either = Packet::parse(&bytes);
        let _either = tlv::measure(&bytes);
        let _either = Name::from_value(&bytes);
    }

    #[test]
    fn damaged_packets_are_refused_or_read_and_never_worse(
        which in 0..33_usize,
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut wire = vectors()[which].1.clone();
        for (place, octet) in damage {
            let place = place.index(wire.len());
            wire[place] = octet;
        }
        if let Ok(packet) = Packet::parse(&wire) {
            // What is written of it is a packet again, and the same one for ever.
            let once = again(&packet);
            if let Ok(read) = Packet::parse(&once) {
                prop_assert_eq!(again(&read), once);
            }
        }
    }
}
