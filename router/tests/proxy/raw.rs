//! What is no HTTP reaches the baseline as if no router were between.

use super::{
    backend::{Backend, Played, played},
    ground::{Ground, KEY},
    talk::{Talk, get_of},
};
use std::{io::ErrorKind, time::Duration};
use tokio::io::AsyncWriteExt;

async fn joined() -> (Ground, Talk, Talk) {
    let (ground, backend) = played().await;
    let mut client = Talk::to(ground.web).await;
    client.send([0x16, 3, 1, 2, 0]).await;
    let mut server = backend.accept().await;
    assert_eq!(server.bytes(5).await, [0x16, 3, 1, 2, 0]);
    (ground, client, server)
}

#[tokio::test]
async fn bytes_pass_untouched_and_each_half_ends_by_itself() {
    let (_ground, mut client, mut server) = joined().await;
    server.send("\r\n\0\u{ff}").await;
    assert_eq!(client.bytes(5).await, "\r\n\0\u{ff}".as_bytes());
    client.stream.shutdown().await.expect("it is open");
    assert_eq!(server.rest().await, b"");
    server.send("the other half goes on").await;
    assert_eq!(client.bytes(22).await, b"the other half goes on");
    drop(server);
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_reset_is_a_reset_on_the_other_side() {
    let (_ground, client, mut server) = joined().await;
    client.stream.set_zero_linger().expect("it is open");
    drop(client);
    assert_eq!(server.broken().await, ErrorKind::ConnectionReset);
    let (_ground, mut client, server) = joined().await;
    server.stream.set_zero_linger().expect("it is open");
    drop(server);
    assert_eq!(client.broken().await, ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn who_does_not_read_makes_the_other_wait() {
    let (_ground, client, mut server) = joined().await;
    let (mut taken, piece) = (0, vec![1; 1 << 16]);
    while let Ok(Ok(())) = tokio::time::timeout(Duration::from_millis(500), client.stream.writable()).await {
        taken += client.stream.try_write(&piece).unwrap_or(0);
        assert!(taken < 64 << 20, "somebody holds all of it");
    }
    assert_eq!(server.bytes(taken).await.len(), taken);
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard() {
    let (ground, backend) = played().await;
    let mut client = Talk::to(ground.web).await;
    let mut server = backend.accept().await;
    server.send("220 mail ready\r\n").await;
    assert_eq!(client.until("\r\n").await, "220 mail ready\r\n");
    // Even if its client then says what looks like HTTP.
    client.send("GET / HTTP/1.1\r\n").await;
    assert_eq!(server.until("\r\n").await, "GET / HTTP/1.1\r\n");
}

#[tokio::test]
async fn a_client_that_is_silent_first_and_then_speaks_http_is_routed_by_request() {
    let (mut ground, backend, branch) = (Ground::start().await, Played::new().await, Backend::named("branch").await);
    ground.baseline(&[backend.address]);
    ground.branch(KEY, &[branch.address]);
    let mut client = Talk::to(ground.web).await;
    let mut undecided = backend.accept().await;
    assert_eq!(client.ask(&get_of(KEY)).await.served_by(), KEY);
    assert_eq!(undecided.rest().await, b"", "the baseline got nothing");
}

#[tokio::test]
async fn bytes_that_could_become_http_but_do_not_go_on_pass_to_the_baseline() {
    let (ground, backend) = played().await;
    let mut client = Talk::to(ground.web).await;
    client.send("QUI").await;
    let mut server = backend.accept().await;
    assert_eq!(server.bytes(3).await, b"QUI");
    client.send("T\r\n").await;
    assert_eq!(server.bytes(3).await, b"T\r\n");
}

#[tokio::test]
async fn without_a_baseline_it_is_refused_after_the_hold() {
    let ground = Ground::with(|table| table.hold_seconds = 1).await;
    let mut client = Talk::to(ground.web).await;
    client.send([0; 30]).await;
    assert_eq!(client.broken().await, ErrorKind::ConnectionReset);
}
