//! `halloo key`.

use crate::common::{halloo, stderr, stdout};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Runs `halloo key` with words of which those that begin with `@` are files in `folder`.
fn key(folder: &Path, words: &str) -> std::process::Output {
    let words: Vec<String> = words
        .split(' ')
        .map(|word| match word.strip_prefix('@') {
            Some(file) => folder.join(file).display().to_string(),
            None => word.to_owned(),
        })
        .collect();
    let words: Vec<&str> = std::iter::once("key")
        .chain(words.iter().map(String::as_str))
        .collect();
    halloo(&words)
}

fn well(folder: &Path, words: &str) -> String {
    let output = key(folder, words);
    assert!(output.status.success(), "{words}: {}", stderr(&output));
    stdout(&output)
}

fn badly(folder: &Path, words: &str) -> String {
    let output = key(folder, words);
    assert_eq!(output.status.code(), Some(2), "{words}: {}", stdout(&output));
    stderr(&output)
}

fn fields(folder: &Path, words: &str) -> Value {
    let object: Value = serde_json::from_str(&well(folder, words)).expect("an object");
    assert_eq!(object["type"], "key");
    object["fields"].clone()
}

fn mode(folder: &Path, file: &str) -> u32 {
    fs::metadata(folder.join(file))
        .expect("it is there")
        .permissions()
        .mode()
        & 0o777
}

#[test]
fn secrets_are_written_for_their_owner_alone_and_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    well(folder, "new @edge.key");
    well(folder, "new --ca @ca");
    well(folder, "new --secret @secret");
    assert_eq!(
        ["edge.key", "ca", "secret", "ca.pub"].map(|file| mode(folder, file)),
        [0o600, 0o600, 0o600, 0o644]
    );
    let shown = well(folder, "show @edge.key")
        + &well(folder, "show @ca")
        + &well(folder, "show --community lab @secret");
    for file in ["edge.key", "ca", "secret"] {
        let text = fs::read_to_string(folder.join(file)).expect("text");
        let secret = text.lines().find(|line| !line.starts_with('-')).expect("a line");
        assert!(!shown.contains(secret), "{file}");
    }
    let complaint = badly(folder, "new @edge.key");
    assert!(complaint.contains("edge.key: it is there already"), "{complaint}");
    fs::set_permissions(folder.join("edge.key"), fs::Permissions::from_mode(0o644)).expect("ours");
    let complaint = badly(folder, "show @edge.key");
    assert!(complaint.contains("chmod o="), "{complaint}");
}

#[test]
fn an_authority_signs_shows_and_takes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    well(folder, "new @edge.key");
    well(folder, "new --ca @ca");
    let key = fields(folder, "show --json @edge.key")["public_key"]
        .as_str()
        .expect("a key")
        .to_owned();
    let sign = "sign --ca @ca --community lab --name press --mac 02:00:00:00:00:03 --address 10.9.0.3";
    well(folder, &format!("{sign} -o @by-file.crt @edge.key"));
    let printed = well(folder, &format!("{sign} {key}"));
    fs::write(folder.join("by-key.crt"), printed).expect("written");
    for file in ["by-file.crt", "by-key.crt"] {
        let shown = fields(folder, &format!("show --json @{file}"));
        assert_eq!(
            (&shown["public_key"], &shown["name"]),
            (&Value::from(key.clone()), &"press".into())
        );
        assert_eq!(
            (&shown["macs"], &shown["addresses"]),
            (&"02:00:00:00:00:03".into(), &"10.9.0.3/32".into())
        );
    }
    let serial = |file| {
        fields(folder, &format!("show --json @{file}"))["serial"]
            .as_str()
            .expect("text")
            .to_owned()
    };
    let (one, two) = (serial("by-file.crt"), serial("by-key.crt"));
    assert_ne!(one, two);
    well(folder, "revoke --ca @ca --list @list @by-file.crt");
    well(folder, "revoke --ca @ca --list @list @by-key.crt");
    let revoked = fields(folder, "show --json @list")["serials"]
        .as_str()
        .expect("text")
        .to_owned();
    assert!(revoked.contains(&one) && revoked.contains(&two), "{revoked}");
}

#[test]
fn what_is_no_key_is_told_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    well(folder, "new @edge.key");
    well(folder, "new --ca @ca");
    well(folder, "new --ca @other");
    well(
        folder,
        "sign --ca @other --community lab --name x -o @foreign.crt @edge.key",
    );
    fs::write(folder.join("empty"), "").expect("written");
    fs::set_permissions(folder.join("empty"), fs::Permissions::from_mode(0o600)).expect("ours");
    fs::write(
        folder.join("cut"),
        "-----BEGIN HALLOO OVERLAY CERTIFICATE-----\nAAAA\n",
    )
    .expect("written");
    let table = [
        ("show @nothing", "No such file"),
        ("show @empty", "no key and no certificate"),
        ("show @cut", "-----END HALLOO OVERLAY CERTIFICATE-----"),
        (
            "sign --ca @ca.pub --community lab --name x @edge.key",
            "signing needs the other",
        ),
        (
            "sign --ca @edge.key --community lab --name x @edge.key",
            "not an authority's key",
        ),
        (
            "sign --ca @ca --community lab --name x nobody",
            "neither a public key",
        ),
        (
            "sign --ca @ca --community lab --name x --mac 01:00:00:00:00:00 @edge.key",
            "address of a group",
        ),
        (
            "revoke --ca @ca --list @list @foreign.crt",
            "of another authority",
        ),
        ("revoke --ca @ca --list @empty @foreign.crt", "empty"),
        ("show --community lab @empty", "at least 8 octets"),
    ];
    for (words, expected) in table {
        let complaint = badly(folder, words);
        assert!(complaint.contains(expected), "{words}: {complaint}");
    }
    assert!(!folder.join("list").exists());
}
