//! SIP under TLS: sipsak (GnuTLS) and openssl ask us; sipp behind socat (OpenSSL) answers us.

use crate::common::{HALLOO, Port, Running, own_address, ping, run};
use crate::identity::Identity;
use crate::sip::sipp_answers;
use halloo_lab::program_or_skip;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn sipsak_is_answered_under_tls() {
    let (Some(openssl), Some(sipsak)) = (program_or_skip("openssl"), program_or_skip("sipsak")) else {
        return;
    };
    let identity = Identity::of(&openssl, "127.0.0.1");
    let server = identity.server(&[]);
    let uri = format!("sip:ping@{}", server.address("sips"));
    // It compares the certificate's name with the target's, cut short by one letter.
    let (text, code) = run(
        &sipsak,
        ["-vv", "-E", "tls", "--tls-ignore-cert-failure", "-s", &uri],
    );
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("SIP/2.0 200 OK"), "{text}");
    let counted = server.counters("sips");
    assert_eq!(counted["silent"], serde_json::json!({}), "{counted:#}");
}

#[test]
fn openssl_sees_our_certificate_and_our_answer() {
    let Some(openssl) = program_or_skip("openssl") else {
        return;
    };
    let identity = Identity::of(&openssl, "127.0.0.1");
    let server = identity.server(&[]);
    let address = server.address("sips");
    let request = format!(
        "OPTIONS sips:{address} SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1;rport;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sips:a@192.0.2.1>;tag=1\r\nTo: <sips:{address}>\r\nCall-ID: 1@192.0.2.1\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    );
    for version in ["-tls1_2", "-tls1_3"] {
        let mut client = Command::new(&openssl)
            .args(["s_client", "-quiet", "-verify_return_error", version, "-CAfile"])
            .arg(identity.file("cert.pem"))
            .args(["-connect", &address.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        let mut stdin = client.stdin.take().expect("piped");
        stdin.write_all(request.as_bytes()).expect("it takes it");
        let mut answer = String::new();
        let mut bytes = [0; 1];
        let mut stdout = client.stdout.take().expect("piped");
        while !answer.ends_with("\r\n\r\n") && stdout.read(&mut bytes).is_ok_and(|n| n > 0) {
            answer.push(char::from(bytes[0]));
        }
        assert!(
            answer.starts_with("SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS 192.0.2.1;"),
            "{version}: {answer}"
        );
        drop(stdin);
        // It waits for our end, which comes after its own.
        let _ = client.kill();
        let _ = client.wait();
    }
    let counted = server.counters("sips");
    assert_eq!(counted["received"], 2, "{counted:#}");
}

/// What answers at `plain`, under the TLS of socat, on the usual port of an address of its own.
fn behind_tls(socat: &Path, identity: &Identity, plain: SocketAddrV4) -> (Running, SocketAddrV4) {
    let address = SocketAddrV4::new(own_address(), 5061);
    let listen = format!(
        "OPENSSL-LISTEN:5061,bind={},fork,reuseaddr,verify=0,cert={},key={}",
        address.ip(),
        identity.path("cert.pem"),
        identity.path("key.pem")
    );
    let mut running = Running::start(socat, [listen, format!("TCP:{plain}")]);
    running.wait_until_bound(Port::Tcp, address);
    (running, address)
}

#[test]
fn our_client_asks_under_tls_and_trusts_whom_it_is_told_to() {
    let programs = ["openssl", "sipp", "socat"].map(program_or_skip);
    let [Some(openssl), Some(sipp), Some(socat)] = programs else {
        return;
    };
    let identity = Identity::of(&openssl, "127.0.0.1");
    let (_sipp, plain) = sipp_answers(&sipp, "t1", Port::Tcp, "answers");
    let (_socat, address) = behind_tls(&socat, &identity, plain);
    let ip = address.ip();
    for target in [
        format!("sips:{ip}"),
        format!("sip:{ip};transport=tls"),
        format!("sip+tls://{address}"),
    ] {
        for trust in [&["--pin", &identity.fingerprint][..], &["--insecure"]] {
            let pinged = ping(&[trust, &["-c", "5", &target]].concat());
            pinged.assert_answered(5);
            let first = pinged.exchanges().next().expect("an exchange");
            assert!(first["tls_ns"].as_u64() > Some(0), "{first:#}");
            assert!(pinged.exchanges().skip(1).all(|one| one["tls_ns"].is_null()));
        }
        // Nobody whom this host knows has signed it.
        let (text, code) = run(HALLOO, ["ping", "-c", "1", "-W", "2", &target]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("the certificate "), "{text}");
    }
}

#[test]
fn half_open_connections_are_capped_under_tls_as_without_it() {
    let Some(openssl) = program_or_skip("openssl") else {
        return;
    };
    let identity = Identity::of(&openssl, "127.0.0.1");
    let config = identity.file("serve.toml");
    std::fs::write(&config, "[tcp]\nper_local_source = 2\n").expect("a file");
    let server = identity.server(&["--config", &config.display().to_string()]);
    let address = server.address("sips");
    let connect = || TcpStream::connect(address).expect("the kernel takes it");
    let is_refused = |mut stream: TcpStream| match stream.read(&mut [0; 1]) {
        Ok(n) => n == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    };
    // Neither says a word, or but the beginning of one.
    let (silent, mut slow) = (connect(), connect());
    slow.write_all(&[22, 3, 1]).expect("it is open");
    assert!(is_refused(connect()), "two are the most");
    assert!(is_refused(connect()), "and stay the most");
    // What is no TLS ends at once, and its place is free.
    slow.write_all(b"OPTIONS sips:x SIP/2.0\r\n\r\n")
        .expect("it is open");
    slow.read_to_end(&mut vec![]).ok();
    let target = format!("sips:{address}");
    ping(&["-c", "3", "--pin", &identity.fingerprint, &target]).assert_answered(3);
    drop(silent);
    let counted = server.counters("sips");
    assert_eq!(
        (
            &counted["silent"]["too_many_from_source"],
            &counted["silent"]["malformed"]
        ),
        (&2.into(), &1.into()),
        "{counted:#}"
    );
}
