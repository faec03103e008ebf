use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

const RED: CommunityId = CommunityId([1; 16]);
const BLUE: CommunityId = CommunityId([2; 16]);
const TAG: CommunityTag = CommunityTag([9; 8]);

fn key(number: u8) -> PublicKey {
    PublicKey([number; 32])
}

fn profile(name: &str) -> Profile {
    Profile {
        features: 0,
        candidates: vec!["192.0.2.1:7654".parse().expect("an address")],
        name: name.into(),
    }
}

#[test]
fn members_come_change_leave_and_the_others_hear_of_each() {
    let mut registry = Registry::new(RegistryLimits::default());
    assert_eq!(registry.register(RED, TAG, key(1), profile("one")), Ok(true));
    assert_eq!(registry.register(RED, TAG, key(2), profile("two")), Ok(true));
    assert_eq!(registry.register(RED, TAG, key(1), profile("one")), Ok(false));
    let first = registry.changes(RED, Bookmark::default(), 10);
    assert!(first.anew && first.changes.len() == 2 && first.more == 0);
    let bookmark = first.next;
    assert_eq!(registry.register(RED, TAG, key(1), profile("uno")), Ok(true));
    assert!(registry.remove(RED, &key(2)));
    assert!(!registry.remove(RED, &key(2)), "once");
    let second = registry.changes(RED, bookmark, 10);
    let (uno, two) = (profile("uno"), key(2));
    assert!(!second.anew);
    assert_eq!(
        second.changes,
        [Change::Member(&key(1), &uno), Change::Gone(&two)]
    );
    assert!(registry.changes(RED, second.next, 10).changes.is_empty());
}

#[test]
fn a_version_of_another_life_is_answered_with_everything() {
    let mut registry = Registry::new(RegistryLimits::default());
    registry.register(RED, TAG, key(1), profile("one")).expect("room");
    let strange = Bookmark {
        cursor: 77,
        begun: 77,
    };
    let changes = registry.changes(RED, strange, 10);
    assert!(changes.anew && changes.changes.len() == 1);
    assert!(registry.changes(BLUE, strange, 10).anew);
}

#[test]
fn communities_know_nothing_of_each_other_but_that_they_share_a_name() {
    let mut registry = Registry::new(RegistryLimits::default());
    registry.register(RED, TAG, key(1), profile("one")).expect("room");
    assert_eq!(
        (registry.namesakes(RED, TAG), registry.namesakes(BLUE, TAG)),
        (0, 1)
    );
    registry
        .register(BLUE, TAG, key(1), profile("one"))
        .expect("room");
    assert_eq!((registry.len(), registry.communities()), (2, 2));
    assert_eq!(
        (registry.namesakes(RED, TAG), registry.namesakes(BLUE, TAG)),
        (1, 1)
    );
    registry.remove(RED, &key(1));
    assert_eq!(registry.keys(BLUE).collect::<Vec<_>>(), [&key(1)]);
    assert_eq!((registry.communities(), registry.namesakes(BLUE, TAG)), (1, 0));
}

#[test]
fn there_is_an_end_to_it() {
    let limits = RegistryLimits {
        members: 3,
        per_community: 2,
        communities: 2,
        departures: 1,
    };
    let mut registry = Registry::new(limits);
    let mut take =
        |community, number| registry.register(CommunityId([community; 16]), TAG, key(number), profile("x"));
    assert_eq!((take(1, 1), take(1, 2)), (Ok(true), Ok(true)));
    assert_eq!(take(1, 3), Err(Full::Community));
    assert_eq!(take(2, 1), Ok(true));
    assert_eq!(take(3, 1), Err(Full::Registry));
    assert_eq!(take(1, 1), Ok(false), "who is in stays in");
    registry.remove(CommunityId([1; 16]), &key(2));
    assert_eq!(
        registry.register(CommunityId([3; 16]), TAG, key(1), profile("x")),
        Err(Full::Communities)
    );
}

proptest! {
    /// Whatever happens, somebody who asks for changes page by page knows the members in the end.
    #[test]
    fn who_follows_the_changes_knows_the_members(
        deeds in vec((0u8..12, any::<bool>(), 0u8..3), 1..120),
        departures in 0usize..8,
        page in 1usize..5,
    ) {
        let mut registry = Registry::new(RegistryLimits { departures, ..RegistryLimits::default() });
        let mut known: BTreeMap<PublicKey, Profile> = BTreeMap::new();
        let mut bookmark = Bookmark::default();
        // Somebody who stays, or the community would end and begin anew.
        registry.register(RED, TAG, key(200), profile("me")).expect("room");
        for (place, (who, comes, name)) in deeds.into_iter().enumerate() {
            if comes {
                registry.register(RED, TAG, key(who), profile(&name.to_string())).expect("room");
            } else {
                registry.remove(RED, &key(who));
            }
            // A page now and then, so that the list changes while it is read.
            if place % 3 == 1 {
                turn(&registry, &mut known, &mut bookmark, page);
            }
        }
        while turn(&registry, &mut known, &mut bookmark, page) {}
        prop_assert_eq!(known.len(), registry.members(RED));
        let all = registry.changes(RED, Bookmark::default(), usize::MAX).changes;
        for change in all {
            let Change::Member(key, profile) = change else { panic!("{change:?}") };
            prop_assert_eq!(known.get(key), Some(profile));
        }
    }
}

/// Reads a page; returns whether there are more.
fn turn(
    registry: &Registry,
    known: &mut BTreeMap<PublicKey, Profile>,
    bookmark: &mut Bookmark,
    page: usize,
) -> bool {
    let changes = registry.changes(RED, *bookmark, page);
    if changes.anew {
        known.clear();
    }
    for change in changes.changes {
        match change {
            Change::Member(key, profile) => known.insert(*key, profile.clone()),
            Change::Gone(key) => known.remove(key),
        };
    }
    *bookmark = changes.next;
    changes.more > 0
}
