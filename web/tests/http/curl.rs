//! A client that others wrote.

use crate::client::{address, server};
use halloo_lab::program_or_skip;
use halloo_web::TlsOptions;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The protocol that was spoken, the status, and the body.
fn curl(curl: &Path, arguments: &[&str]) -> (String, String, Value) {
    let output = Command::new(curl)
        .args(["--silent", "--show-error", "--insecure", "--noproxy", "*"])
        .args(["--write-out", "\n%{http_version} %{http_code}"])
        .args(arguments)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (body, spoken) = told.rsplit_once('\n').unwrap();
    let (version, status) = spoken.split_once(' ').unwrap();
    let body = serde_json::from_str(body).unwrap_or(Value::Null);
    (version.to_owned(), status.to_owned(), body)
}

#[test]
fn curl_is_answered_in_every_version_it_speaks() {
    let Some(program) = program_or_skip("curl") else {
        return;
    };
    let plain = server(|_| {});
    let tls = server(|options| options.tls = Some(TlsOptions::self_signed(["127.0.0.1"]).unwrap()));
    let (http, https) = (
        format!("http://{}", address(&plain)),
        format!("https://{}", address(&tls)),
    );
    for (option, base, version) in [
        ("--http1.0", &http, "1.0"),
        ("--http1.1", &http, "1.1"),
        ("--http2-prior-knowledge", &http, "2"),
        ("--http1.1", &https, "1.1"),
        ("--http2", &https, "2"),
    ] {
        let url = format!("{base}/anything?a=1");
        let told = curl(
            &program,
            &[option, "--form", "file=@Cargo.toml", "--form", "b=2", &url],
        );
        // Some curls call version 1.0 `1`.
        assert!(version.starts_with(&told.0), "{option} {url}: {}", told.0);
        assert_eq!(told.1, "200", "{option} {url}");
        let told = told.2;
        assert_eq!(
            (&told["args"]["a"], &told["form"]["b"]),
            (&"1".into(), &"2".into()),
            "{option}"
        );
        assert_eq!(
            told["files"]["file"],
            std::fs::read_to_string("Cargo.toml").unwrap(),
            "{option}"
        );
        assert_eq!(told["url"], url, "{option}");
    }
    plain.stop().unwrap();
    tls.stop().unwrap();
}

#[test]
fn curl_sends_a_long_body_when_it_was_told_to_go_on() {
    let Some(program) = program_or_skip("curl") else {
        return;
    };
    let server = server(|_| {});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, vec![b'x'; 1 << 20]).unwrap();
    let data = format!("@{}", file.display());
    let url = format!("http://{}/post", address(&server));
    let expect = [
        "--http1.1",
        "--expect100-timeout",
        "3600",
        "--header",
        "Expect: 100-continue",
    ];
    let told = curl(
        &program,
        &[
            &expect[..],
            &[
                "--data-binary",
                &data,
                "--header",
                "Content-Type: text/plain",
                &url,
            ],
        ]
        .concat(),
    );
    assert_eq!(told.1, "200");
    assert_eq!(told.2["data"].as_str().unwrap().len(), 1 << 20);
    std::fs::write(&file, vec![b'x'; (1 << 20) + 1]).unwrap();
    let told = curl(&program, &[&expect[..], &["--data-binary", &data, &url]].concat());
    assert_eq!(told.1, "413");
    server.stop().unwrap();
}
