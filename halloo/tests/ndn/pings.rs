//! Probes between our programs and theirs, in both directions, with and without a forwarder.

use crate::codec::keys;
use crate::forwarder::{Any, Fake, VARIABLE};
use crate::ours::{COUNT, KeyFiles, assert_answered, ndnping, ndnpingserver, serve_behind};
use crate::peers::{PEERS, Peer, Running};
use halloo_lab::ndn::{Behaviour, CommandForm};
use serde_json::{Value, json};

fn digest() -> Value {
    keys().swap_remove(0)
}

/// What a peer's client must say when every probe was answered with `size` bytes.
fn all_answered(start: u64, size: usize) -> String {
    (start..start + COUNT)
        .map(|number| format!("content {number} {size}\n"))
        .collect()
}

#[test]
fn the_forwarder_carries_what_others_say_to_each_other() {
    for (server, client) in [(Peer::Python, Peer::Ndnts), (Peer::Ndnts, Peer::Python)] {
        let forwarder = Any::start(Behaviour::default());
        let prefix = format!("/others/{server:?}/ping");
        let setting =
            json!({"transport": forwarder.transport(), "prefix": prefix, "key": digest(), "form": "v2"});
        let Some(serving) = Running::peer(server, "server", &setting) else {
            return;
        };
        serving.line_with("ready");
        let setting = json!({
            "transport": forwarder.transport(), "prefix": prefix, "key": digest(), "start": 7, "count": COUNT,
        });
        let Some(asking) = Running::peer(client, "client", &setting) else {
            return;
        };
        assert_eq!(asking.finish(), (all_answered(7, 4), Some(0)));
    }
}

#[test]
fn both_forms_of_a_command_are_obeyed() {
    for (form, expected) in [("v1", CommandForm::Old), ("v2", CommandForm::Signed)] {
        let fake = Fake::start();
        let setting = json!({"transport": fake.unix(), "prefix": "/py/ping", "key": digest(), "form": form});
        let Some(serving) = Running::peer(Peer::Python, "server", &setting) else {
            return;
        };
        serving.line_with("ready");
        let view = fake.wait_for_route("/py/ping");
        assert_eq!(view.commands.len(), 1);
        assert_eq!(
            (view.commands[0].form, view.commands[0].digests_are_right),
            (expected, true)
        );
    }
}

#[test]
fn our_client_and_their_servers_behind_a_forwarder() {
    for (peer, form) in [(Peer::Python, "v1"), (Peer::Python, "v2"), (Peer::Ndnts, "v2")] {
        let forwarder = Any::start(Behaviour::default());
        let prefix = format!("/theirs/{peer:?}/{form}");
        let setting = json!({
            "transport": forwarder.transport(), "prefix": format!("{prefix}/ping"), "key": digest(), "form": form,
        });
        let Some(serving) = Running::peer(peer, "server", &setting) else {
            return;
        };
        serving.line_with("ready");
        let mut command = ndnping(&[&prefix]);
        command.env(VARIABLE, forwarder.transport());
        let asking = Running::start(command);
        assert_answered(&asking.finish(), &prefix);
    }
}

#[test]
fn their_clients_and_our_server_behind_a_forwarder() {
    let usual = Behaviour::default();
    let other = Behaviour {
        pit_tokens: true,
        congestion_marks: true,
        ..Behaviour::default()
    };
    for (peer, behaviour) in PEERS
        .into_iter()
        .flat_map(|peer| [(peer, usual.clone()), (peer, other.clone())])
    {
        let forwarder = Any::start(behaviour);
        let prefix = format!("/ours/{peer:?}");
        let _serving = serve_behind(&forwarder, &["-s", "100", &prefix]);
        let setting = json!({
            "transport": forwarder.transport(), "prefix": format!("{prefix}/ping"), "key": digest(), "start": 0,
            "count": COUNT,
        });
        let Some(asking) = Running::peer(peer, "client", &setting) else {
            return;
        };
        assert_eq!(asking.finish(), (all_answered(0, 100), Some(0)));
        if let Any::Fake(fake) = &forwarder {
            let counts = fake.forwarder.view().counts;
            assert_eq!(
                (counts.token_lost, counts.unsolicited, counts.undecodable),
                (0, 0, 0)
            );
        }
    }
}

#[test]
fn our_client_asks_their_servers_directly() {
    for (peer, scheme) in PEERS.into_iter().flat_map(|peer| [(peer, "udp"), (peer, "tcp")]) {
        let setting = json!({"listen": scheme, "prefix": "/direct/ping", "key": digest()});
        let Some(serving) = Running::peer(peer, "server", &setting) else {
            return;
        };
        let ready = serving.line_with("ready");
        let face = format!("{scheme}://127.0.0.1:{}", ready.trim_start_matches("ready "));
        let asking = Running::start(ndnping(&["--face", &face, "/direct"]));
        assert_answered(&asking.finish(), "/direct");
    }
}

#[test]
fn their_clients_ask_our_server_directly() {
    let serving = Running::start(ndnpingserver(&[
        "--listen",
        "udp://127.0.0.1:0,tcp://127.0.0.1:0",
        "/direct",
    ]));
    let faces = [serving.line_with("udp://"), serving.line_with("tcp://")];
    for (peer, face) in PEERS
        .into_iter()
        .flat_map(|peer| faces.each_ref().map(|face| (peer, face)))
    {
        let face = face.trim_start_matches("listening on ");
        let setting = json!({
            "transport": face, "prefix": "/direct/ping", "key": digest(), "start": 1, "count": COUNT,
        });
        let Some(asking) = Running::peer(peer, "client", &setting) else {
            return;
        };
        assert_eq!(
            asking.finish(),
            (all_answered(1, 0), Some(0)),
            "{peer:?} over {face}"
        );
    }
}

#[test]
fn they_verify_what_our_server_signs() {
    for key in keys().into_iter().filter(|key| key["type"] != "digest") {
        let files = KeyFiles::of(&key);
        let name = key["name"].as_str().expect("a name");
        let serving = Running::start(ndnpingserver(&[
            "--listen",
            "udp://127.0.0.1:0",
            "--sign",
            &files.private,
            "--key-name",
            name,
            "/signed",
        ]));
        let face = serving.line_with("udp://");
        for peer in PEERS {
            let setting = json!({
                "transport": face.trim_start_matches("listening on "), "prefix": "/signed/ping", "key": key,
                "start": 0, "count": 2,
            });
            let Some(asking) = Running::peer(peer, "client", &setting) else {
                continue;
            };
            assert_eq!(
                asking.finish().0,
                "content 0 0\ncontent 1 0\n",
                "{peer:?} {}",
                key["type"]
            );
            let setting = json!({
                "transport": face.trim_start_matches("listening on "), "prefix": "/signed/ping", "key": digest(),
                "start": 2, "count": 1,
            });
            let Some(asking) = Running::peer(peer, "client", &setting) else {
                continue;
            };
            let (text, _) = asking.finish();
            assert!(!text.contains("content"), "it was signed otherwise: {text}");
        }
    }
}

#[test]
fn our_client_verifies_what_they_sign() {
    for (peer, key) in PEERS
        .into_iter()
        .flat_map(|peer| keys().into_iter().map(move |key| (peer, key)))
    {
        let setting = json!({"listen": "udp", "prefix": "/signed/ping", "key": key});
        let Some(serving) = Running::peer(peer, "server", &setting) else {
            continue;
        };
        let ready = serving.line_with("ready");
        let face = format!("udp://127.0.0.1:{}", ready.trim_start_matches("ready "));
        let right = KeyFiles::of(&key);
        let asking = Running::start(ndnping(&["--face", &face, "--verify", &right.public, "/signed"]));
        assert_answered(&asking.finish(), "/signed");
        let other = KeyFiles::of(&keys()[usize::from(key["type"] == "digest")]);
        let args = ["-o", "200", "--face", &face, "--verify", &other.public, "/signed"];
        let asking = Running::start(ndnping(&args));
        let (text, code) = asking.finish();
        assert!(
            text.contains("0 received") && code == Some(1),
            "{peer:?} {}: {text}",
            key["type"]
        );
    }
}

#[test]
fn answers_in_parts_are_put_together() {
    let fake = Fake::with(Behaviour {
        mtu: Some(200),
        ..Behaviour::default()
    });
    let setting = json!({
        "transport": fake.unix(), "prefix": "/big/ping", "key": digest(), "form": "v2", "size": 4_000,
    });
    let Some(serving) = Running::peer(Peer::Python, "server", &setting) else {
        return;
    };
    serving.line_with("ready");
    let asking = Running::start(ndnping(&["--face", &fake.udp(), "/big"]));
    assert_answered(&asking.finish(), "/big");
}
