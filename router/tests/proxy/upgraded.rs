//! Connections that become something else, such as WebSockets.

use super::{
    backend::{Played, played},
    ground::{Ground, KEY},
    talk::{Talk, get},
};

const WEBSOCKET: &str = "connection: Upgrade\r\nUpgrade: websocket\r\ntracestate: lapdev=feature-x-abc234\r\n";

#[tokio::test]
async fn a_websocket_is_joined_to_the_version_of_its_key() {
    let (mut ground, backend) = (Ground::start().await, Played::new().await);
    ground.branch(KEY, &[backend.address]);
    let mut client = Talk::to(ground.web).await;
    // What follows is no request any more, even if it looks like one.
    client.send(get(WEBSOCKET) + "GET /early").await;
    let mut server = backend.accept().await;
    let head = server.until("\r\n\r\n").await;
    assert!(head.contains("Upgrade: websocket\r\n") && head.ends_with("connection: upgrade\r\n\r\n"), "{head}");
    server.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nfirst").await;
    let answer = client.head().await;
    assert_eq!((answer.status, answer.field("upgrade"), answer.served_by()), (101, Some("websocket"), KEY));
    assert_eq!((client.bytes(5).await, server.bytes(10).await), (b"first".to_vec(), b"GET /early".to_vec()));
    for n in 0..3_u8 {
        client.send([n; 3]).await;
        assert_eq!(server.bytes(3).await, [n; 3]);
        server.send([n; 5]).await;
        assert_eq!(client.bytes(5).await, [n; 5]);
    }
    drop(server);
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn an_upgrade_that_is_refused_is_an_answer_like_any_other() {
    let (mut ground, backend) = (Ground::start().await, Played::new().await);
    ground.branch(KEY, &[backend.address]);
    let (mut client, mut server) = backend.asked(&ground, get(WEBSOCKET)).await;
    server.send("HTTP/1.1 426 Upgrade Required\r\nupgrade: foo\r\ncontent-length: 2\r\n\r\nno").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.field("upgrade"), answer.text()), (426, Some("foo"), "no"));
    client.send(get(WEBSOCKET)).await;
    assert!(backend_of(&backend, &mut server).await, "the client's connection is still HTTP");
}

/// Whether another request arrives, on this connection or another.
async fn backend_of(backend: &Played, server: &mut Talk) -> bool {
    tokio::select! {
        mut new = backend.accept() => new.until("\r\n\r\n").await.starts_with("GET"),
        head = server.until("\r\n\r\n") => head.starts_with("GET"),
    }
}

#[tokio::test]
async fn an_offer_of_http2_is_not_passed_on_and_nobody_switches_unasked() {
    let (ground, backend) = played().await;
    let mut client = Talk::to(ground.web).await;
    client
        .send(get("connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"))
        .await;
    let mut server = backend.accept().await;
    let head = server.until("\r\n\r\n").await.to_lowercase();
    assert!(!head.contains("upgrade") && !head.contains("http2-settings"), "{head}");
    server.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.field("x-lapdev-error")), (502, Some("broken-answer")));
}

#[tokio::test]
async fn connect_becomes_a_tunnel_when_it_is_accepted() {
    let (ground, backend) = played().await;
    let (mut client, mut server) = backend.asked(&ground, "CONNECT db:5432 HTTP/1.1\r\nhost: db:5432\r\n\r\n").await;
    server.send("HTTP/1.1 200 Established\r\n\r\nhello").await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.bytes(5).await, b"hello");
    client.send("any\0thing").await;
    assert_eq!(server.bytes(9).await, b"any\0thing");
}
