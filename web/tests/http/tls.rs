//! HTTP under TLS, with a client that trusts one certificate.

use crate::client::{address, connect, read_all, server};
use crate::http2::{block_on, json};
use axum::body::Body;
use halloo_base::Reason;
use halloo_web::{HttpServer, TlsOptions};
use hyper::Request;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

fn certificate() -> TlsOptions {
    TlsOptions::self_signed(["echo.example", "127.0.0.1"]).unwrap()
}

fn with_tls(tls: &TlsOptions) -> HttpServer {
    server(|options| options.tls = Some(tls.clone()))
}

async fn handshake(
    server: &HttpServer,
    tls: &TlsOptions,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(tls.certificate().to_vec()))
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(address(server)).await?;
    let name = ServerName::try_from("echo.example").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

fn request(uri: &str) -> Request<Body> {
    Request::get(uri)
        .header("host", "echo.example")
        .body(Body::empty())
        .unwrap()
}

#[test]
fn http2_is_preferred_where_both_speak_it() {
    let tls = certificate();
    let server = with_tls(&tls);
    block_on(async {
        let stream = handshake(&server, &tls, &[b"http/1.1", b"h2"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(
            stream.get_ref().1.protocol_version(),
            Some(ProtocolVersion::TLSv1_3)
        );
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let answer = client
            .send_request(request("https://echo.example/get"))
            .await
            .unwrap();
        assert_eq!(json(answer).await["url"], "https://echo.example/get");
    });
    server.stop().unwrap();
}

#[test]
fn http1_is_spoken_with_who_asks_for_it_or_for_nothing() {
    let tls = certificate();
    let server = with_tls(&tls);
    for protocols in [&[&b"http/1.1"[..]][..], &[]] {
        block_on(async {
            let stream = handshake(&server, &tls, protocols).await.unwrap();
            let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let answer = client.send_request(request("/anything")).await.unwrap();
            assert_eq!(answer.version(), hyper::Version::HTTP_11);
            assert_eq!(json(answer).await["url"], "https://echo.example/anything");
        });
    }
    server.stop().unwrap();
}

#[test]
fn who_trusts_another_certificate_does_not_get_through() {
    let server = with_tls(&certificate());
    let error = block_on(handshake(&server, &certificate(), &[b"h2"])).unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    server.stop().unwrap();
}

#[test]
fn who_speaks_no_tls_is_refused_and_counted() {
    let server = with_tls(&certificate());
    let mut stream = connect(&server);
    stream.write_all(b"GET /ip HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(!String::from_utf8_lossy(&read_all(&mut stream)).contains("200"));
    let counters = server.counters().clone();
    server.stop().unwrap();
    assert_eq!(counters.count(Reason::Malformed), 1);
}

#[test]
fn a_handshake_that_does_not_end_is_ended() {
    let tls = certificate();
    let server = server(|options| {
        options.tls = Some(tls);
        options.header_timeout = Duration::from_millis(50);
    });
    for sent in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = connect(&server);
        stream.write_all(sent).unwrap();
        assert_eq!(read_all(&mut stream), b"");
    }
    let counters = server.counters().clone();
    server.stop().unwrap();
    assert_eq!(counters.count(Reason::IdleTimeout), 2);
}
