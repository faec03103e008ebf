//! Keys, certificates and lists, as files and at the door.

use super::*;
use crate::Mac;
use crate::wire::{CertificateBody, Prefix, Status, kind};

const NOW: u64 = STARTED.0 / 1_000_000_000;

fn authority(seed: u64) -> AuthorityKey {
    AuthorityKey::generate(&mut Replayed::new(seed))
}

fn body(key: PublicKey) -> CertificateBody {
    CertificateBody {
        key,
        name: "north".into(),
        community: Some(community().tag()),
        macs: Some(vec![Mac([2, 0, 0, 0, 0, 1])]),
        addresses: Some(vec![Prefix {
            address: [192, 168, 1, 2].into(),
            len: 24,
        }]),
        groups: vec!["office".into()],
        not_before: NOW - 10,
        not_after: NOW + 1_000,
        serial: 77,
        issuer: [0; 8],
    }
}

/// Two edges that want certificates of one authority, and have them.
fn certified() -> [Local; 2] {
    let key = authority(50);
    edges().map(|mut local| {
        local.certificate = Some(key.sign(&body(local.public())).unwrap());
        local.authority = Some(key.authority());
        local
    })
}

#[test]
fn members_with_certificates_meet_and_know_each_others() {
    let mut story = Story::met(certified());
    story.carries(0);
    for end in 0..2 {
        let agreed = story.ends[end].peer.agreed().unwrap();
        let certificate = agreed.certificate.as_ref().unwrap();
        assert_eq!(certificate.body.key, story.ends[1 - end].local.public());
        assert!(certificate.allows_mac(Mac([2, 0, 0, 0, 0, 1])));
        assert!(!certificate.allows_mac(Mac([2, 0, 0, 0, 0, 2])));
        assert!(certificate.allows_address([192, 168, 1, 2].into()));
        assert!(!certificate.allows_address([192, 168, 1, 3].into()));
    }
    assert_eq!(story.sent_by(0, kind::INITIATION)[0].2.len(), 1_200);
}

#[test]
fn an_address_is_bound_or_a_network() {
    let table: [(&str, u8, &[&str], &[&str]); 7] = [
        (
            "192.168.1.2",
            24,
            &["192.168.1.2"],
            &["192.168.1.3", "192.168.1.0"],
        ),
        ("192.168.1.2", 32, &["192.168.1.2"], &["192.168.1.3"]),
        (
            "192.168.1.0",
            24,
            &["192.168.1.0", "192.168.1.77"],
            &["192.168.2.1", "::c0a8:101"],
        ),
        ("192.168.1.0", 32, &["192.168.1.0"], &["192.168.1.1"]),
        ("0.0.0.0", 0, &["8.8.8.8", "0.0.0.0"], &["::1"]),
        (
            "2001:db8::",
            64,
            &["2001:db8::9"],
            &["2001:db8:0:1::", "32.1.13.184"],
        ),
        ("2001:db8::9", 64, &["2001:db8::9"], &["2001:db8::8"]),
    ];
    for (address, len, may, may_not) in table {
        let bound = CertificateBody {
            addresses: Some(vec![Prefix {
                address: address.parse().unwrap(),
                len,
            }]),
            ..body(PublicKey([1; 32]))
        };
        let certificate = authority(50).sign(&bound).unwrap();
        let allows = |text: &&str| certificate.allows_address(text.parse().unwrap());
        assert!(may.iter().all(allows), "{address}/{len}");
        assert!(!may_not.iter().any(allows), "{address}/{len}");
    }
}

#[test]
fn who_may_not_be_a_member_is_told_why_at_both_ends() {
    type Change = fn(&mut Local, &AuthorityKey);
    let table: [(Change, &str); 8] = [
        (
            |local, _| local.certificate = None,
            "a certificate is wanted and there is none",
        ),
        (
            |local, _| local.certificate = Some(authority(51).sign(&body(local.public())).unwrap()),
            "it is of another authority",
        ),
        (
            |local, key| local.certificate = Some(key.sign(&body(PublicKey([9; 32]))).unwrap()),
            "it is of another member",
        ),
        (
            |local, key| {
                let mut body = body(local.public());
                body.not_after = NOW;
                local.certificate = Some(key.sign(&body).unwrap());
            },
            "it has expired",
        ),
        (
            |local, key| {
                let mut body = body(local.public());
                body.not_before = NOW + 2;
                local.certificate = Some(key.sign(&body).unwrap());
            },
            "it does not hold yet",
        ),
        (
            |local, key| {
                let mut body = body(local.public());
                body.community = Some(Community::tag_of("kitchen"));
                local.certificate = Some(key.sign(&body).unwrap());
            },
            "it is of another community",
        ),
        (
            |local, key| {
                let mut body = body(local.public());
                body.serial = 13;
                local.certificate = Some(key.sign(&body).unwrap());
            },
            "it has been revoked",
        ),
        (
            |local, key| {
                // Another's body under a signature of the authority's.
                let mut octets = key.sign(&body(local.public())).unwrap().octets().to_vec();
                let at = octets.len() - 64 - 15;
                octets[at] ^= 1;
                local.certificate = Certificate::parse(&octets).ok();
                assert!(local.certificate.is_some());
            },
            "its signature is wrong",
        ),
    ];
    let key = authority(50);
    let list = key.revoke(NOW, &[13, 4]).unwrap();
    for (change, words) in table {
        for culprit in 0..2 {
            let mut locals = certified();
            change(&mut locals[culprit], &key);
            locals.iter_mut().for_each(|local| {
                local.authority.as_mut().unwrap().revoke(&list).unwrap();
            });
            let mut story = Story::new(locals);
            story.ends[0].peer.begin(at(0));
            story.run(at(10_000));
            let refusal = Refusal {
                status: Status::Certificate,
                words: format!("certificate: {words}"),
            };
            let events = |end: &End| end.events.clone();
            let [one, other] = story.ends.each_ref().map(events);
            if culprit == 0 {
                assert_eq!(one, [Event::Refused(refusal.clone())], "{words}");
                assert_eq!(other, [Event::Refuses(refusal)]);
            } else {
                // The initiator refuses; the responder is told by a close.
                assert_eq!(one, [Event::Refuses(refusal.clone())], "{words}");
                let close = crate::wire::Control::Close {
                    reason: refusal.status,
                    words: refusal.words,
                };
                let said = crate::wire::Controls::new(&story.ends[1].contents[0][1..]).next();
                assert_eq!(said, Some(Ok(close)));
            }
        }
    }
}

#[test]
fn a_certificate_is_not_wanted_from_a_supernode_and_is_by_one() {
    let key = authority(50);
    let mut edge = edge(1);
    edge.authority = Some(key.authority());
    let mut supernode = supernode(2);
    supernode.authority = Some(key.authority());
    let mut story = Story::new([edge, supernode]);
    story.ends[0].peer.begin(at(0));
    story.run(at(5_000));
    assert!(matches!(&story.ends[0].events[..], [Event::Refused(_)]));
    let public = story.ends[0].local.public();
    story.ends[0].local.certificate = Some(key.sign(&body(public)).unwrap());
    story.ends[0].peer.begin(at(5_000));
    story.run(at(10_000));
    assert!(story.up());
}

#[test]
fn a_later_list_takes_the_place_of_an_earlier_one() {
    let key = authority(50);
    let mut known = key.authority();
    let certificate = key.sign(&body(PublicKey([1; 32]))).unwrap();
    let verify = |known: &Authority| {
        known.verify(
            &certificate,
            &PublicKey([1; 32]),
            Some(community().tag()),
            STARTED,
        )
    };
    assert_eq!(verify(&known), Ok(()));
    known.revoke(&key.revoke(5, &[77]).unwrap()).unwrap();
    assert_eq!(verify(&known), Err(CertificateError::Revoked));
    for issued in [4, 5] {
        let old = key.revoke(issued, &[]).unwrap();
        assert_eq!(known.revoke(&old), Err(CertificateError::Old));
    }
    let foreign = authority(51).revoke(9, &[]).unwrap();
    assert_eq!(known.revoke(&foreign), Err(CertificateError::Foreign));
    let mut damaged = key.revoke(9, &[]).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert_eq!(known.revoke(&damaged), Err(CertificateError::Signature));
    // A list is no certificate, and a certificate no list, whoever signed them.
    assert!(Certificate::parse(&key.revoke(9, &[]).unwrap()).is_err());
    assert!(known.revoke(certificate.octets()).is_err());
    known.revoke(&key.revoke(6, &[]).unwrap()).unwrap();
    assert_eq!(verify(&known), Ok(()));
}

#[test]
fn every_flipped_bit_of_a_certificate_is_refused() {
    let key = authority(50);
    let member = PublicKey([1; 32]);
    let known = key.authority();
    let octets = key.sign(&body(member)).unwrap().octets().to_vec();
    for octet in 0..octets.len() {
        let mut flipped = octets.clone();
        flipped[octet] ^= 1 << (octet % 8);
        let believed = Certificate::parse(&flipped).is_ok_and(|certificate| {
            known
                .verify(&certificate, &member, Some(community().tag()), STARTED)
                .is_ok()
        });
        assert!(!believed, "octet {octet}");
    }
    for len in 0..octets.len() {
        assert!(Certificate::parse(&octets[..len]).is_err());
    }
}

#[test]
fn files_are_read_as_they_were_written() {
    let identity = Identity::generate(&mut Replayed::new(1));
    let text = identity.emit();
    assert!(text.starts_with("-----BEGIN HALLOO OVERLAY PRIVATE KEY-----\n"));
    let again = Identity::parse(&format!("# north's\r\n{}", text.replace('\n', "\r\n"))).unwrap();
    assert_eq!(again.public(), identity.public());
    assert_eq!(identity.public().to_string().parse(), Ok(identity.public()));
    assert_eq!(identity.public().to_string().len(), 44);
    let key = authority(50);
    assert_eq!(AuthorityKey::parse(&key.emit()).unwrap().emit(), key.emit());
    let known = Authority::parse(&key.authority().emit()).unwrap();
    assert_eq!(known.issuer(), key.authority().issuer());
    let certificate = key.sign(&body(identity.public())).unwrap();
    assert_eq!(
        Certificate::parse_text(&certificate.emit_text()),
        Ok(certificate.clone())
    );
    let list = key.revoke(1, &[3]).unwrap();
    assert_eq!(parse_revocation_text(&emit_revocation_text(&list)), Ok(list));
    // What is none says what would be right.
    assert_eq!(
        Identity::parse(&key.emit()).unwrap_err().to_string(),
        "there is no line `-----BEGIN HALLOO OVERLAY PRIVATE KEY-----`"
    );
    let cut = text.rsplit_once("-----END").unwrap().0;
    assert_eq!(
        Identity::parse(cut).unwrap_err(),
        TextError::End(Kind::PrivateKey)
    );
    let wrong = text.replacen("=", "!", 1);
    assert_eq!(Identity::parse(&wrong).unwrap_err(), TextError::Base64);
    assert!("AAAA".parse::<PublicKey>().is_err());
    assert!("A".repeat(44).parse::<PublicKey>().is_err());
    // The point whose signatures anybody can make.
    let weak = authority(50).authority().emit();
    let mut identity_point = [0; 32];
    identity_point[0] = 1;
    let body = super::super::text::emit(Kind::Authority, &identity_point);
    assert_ne!(weak, body);
    assert_eq!(Authority::parse(&body).unwrap_err(), TextError::Authority);
}

#[test]
fn no_secret_is_shown_to_who_debugs() {
    let secret = [0xab; 32];
    let identity = Identity::from_secret(secret);
    for text in [
        format!("{identity:?}"),
        format!("{:?}", authority(50)),
        format!("{:?}", community()),
    ] {
        assert!(!text.to_lowercase().contains("abab") && text.len() < 60, "{text}");
    }
}

#[test]
fn names_and_secrets_have_their_lengths() {
    let new = |name: &str, secret: &str| Community::new(name, secret.as_bytes(), Cost::TEST);
    assert_eq!(new("", "a long secret").unwrap_err(), CommunityError::Name);
    assert_eq!(
        new(&"x".repeat(33), "a long secret").unwrap_err(),
        CommunityError::Name
    );
    assert_eq!(new("a\nb", "a long secret").unwrap_err(), CommunityError::Name);
    assert_eq!(new("garden", "7 chars").unwrap_err(), CommunityError::Secret);
    assert!(new("garden", "8 chars.").is_ok());
}

/// The other end has the answer, and the list comes before what he sends upon it.
#[test]
fn who_was_answered_before_the_list_came_does_not_come_in_after_it() {
    let list = authority(50).revoke(NOW, &[77]).unwrap();
    for (again, revoked) in [(false, true), (true, true), (false, false)] {
        let mut story = if again {
            Story::met(certified())
        } else {
            Story::new(certified())
        };
        story.ends[1].events.clear();
        let start = story.now;
        story.ends[0].peer.begin(start);
        // The initiation, and its answer, are there; what shows the session is not.
        story.run(start + Duration::from_millis(15));
        if revoked {
            let authority = story.ends[1].local.authority.as_mut().unwrap();
            authority.revoke(&list).unwrap();
        }
        story.run(start + Duration::from_millis(200));
        let end = &story.ends[1];
        assert_eq!(end.events.is_empty(), revoked, "{again}: {:?}", end.events);
        assert_eq!(end.peer.agreed().is_some(), again || !revoked);
        assert_eq!(end.numbers.len(), usize::from(again || !revoked));
    }
}
