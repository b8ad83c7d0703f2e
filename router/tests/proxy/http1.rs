//! HTTP/1: each request by its own key, and everything that HTTP/1 can do passes.

use super::{
    backend::{Backend, Played, played},
    ground::{Ground, KEY},
    talk::{Talk, get, get_of},
};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

async fn two_versions() -> (Ground, Backend, Backend) {
    let (mut ground, baseline, branch) =
        (Ground::start().await, Backend::named("base").await, Backend::named("branch").await);
    ground.baseline(&[baseline.address]);
    ground.branch(KEY, &[branch.address]);
    (ground, baseline, branch)
}

#[tokio::test]
async fn requests_on_one_connection_each_go_to_their_own_version() {
    let (ground, _baseline, _branch) = two_versions().await;
    let mut client = Talk::to(ground.web).await;
    for _ in 0..3 {
        for (lines, version) in [
            ("", "baseline"),
            ("tracestate: lapdev=feature-x-abc234\r\n", KEY),
            ("baggage: a=1,lapdev=feature%2Dx-abc234;p=1\r\n", KEY),
            ("tracestate: a=1\r\nX: y\r\nTraceState: b=2,lapdev=feature-x-abc234\r\n", KEY),
            ("tracestate: lapdev=other-abc234\r\n", "baseline"),
            ("tracestate: lapdev=NO\r\n", "baseline"),
            ("tracestate: lapdev=other-abc234\r\nbaggage: lapdev=feature-x-abc234\r\n", "baseline"),
            ("traceparent: broken\r\ntracestate: lapdev=feature-x-abc234\r\n", KEY),
        ] {
            let answer = client.ask(&get(lines)).await;
            let body = if version == KEY { "branch" } else { "base" };
            assert_eq!(
                (answer.status, answer.served_by(), answer.field("X-Case")),
                (200, version, Some("Kept")),
                "{lines}"
            );
            let expected = format!(
                "{body}\nGET / HTTP/1.1\r\nHost: web\r\n{lines}forwarded: for=127.0.0.1\r\nx-forwarded-for: 127.0.0.1\r\n\r\n"
            );
            assert_eq!(answer.text(), expected);
        }
    }
    assert_eq!(ground.metric("endpoint_connections_total"), "2", "both were kept");
}

#[tokio::test]
async fn who_answered_is_said_only_if_the_table_wants_it() {
    let mut ground = Ground::with(|table| table.served_by = false).await;
    let baseline = Backend::named("base").await;
    ground.baseline(&[baseline.address]);
    let answer = Talk::to(ground.web).await.ask(&get("")).await;
    assert_eq!(answer.field("x-lapdev-served-by"), None);
}

#[tokio::test]
async fn requests_that_are_sent_ahead_are_answered_in_order() {
    let (ground, _baseline, _branch) = two_versions().await;
    let mut client = Talk::to(ground.web).await;
    client.send([get(""), get_of(KEY), get(""), get_of(KEY)].concat()).await;
    for version in ["baseline", KEY, "baseline", KEY] {
        assert_eq!(client.answer().await.served_by(), version);
    }
}

#[tokio::test]
async fn a_body_waits_for_100_continue_and_other_interim_answers_pass() {
    let (ground, backend) = played().await;
    let mut client = Talk::to(ground.web).await;
    client.send("PUT /a HTTP/1.1\r\nhost: web\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n").await;
    let mut server = backend.accept().await;
    assert!(server.until("\r\n\r\n").await.contains("expect: 100-continue\r\n"));
    server.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.head().await.status, 100);
    client.send("hello").await;
    assert_eq!(server.bytes(5).await, b"hello");
    server
        .send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.head().await.field("link"), Some("</a>"));
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text()), (201, "ok"));
    client.send(get("")).await;
    server.until("\r\n\r\n").await;
    server.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 204, "the connections stay");
}

#[tokio::test]
async fn chunks_and_trailer_fields_pass_both_ways() {
    let (ground, backend) = played().await;
    let mut client = Talk::to(ground.web).await;
    client.send("POST / HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n").await;
    let mut server = backend.accept().await;
    assert!(server.until("\r\n\r\n").await.contains("transfer-encoding: chunked\r\n"));
    assert_eq!(server.bytes(8).await, b"3\r\nabc\r\n");
    client.send("0\r\nx-sum: 1\r\n\r\n").await;
    assert_eq!(server.until("\r\n\r\n").await, "0\r\nx-sum: 1\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-After: 2\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.text(), answer.field("X-After")), ("hi", Some("2")));
}

#[tokio::test]
async fn a_large_body_passes_and_nobody_holds_more_of_it_than_the_sockets() {
    const LARGE: usize = 64 << 20;
    let (ground, backend) = played().await;
    let (mut client, mut server) =
        backend.asked(&ground, format!("POST / HTTP/1.1\r\nhost: web\r\ncontent-length: {LARGE}\r\n\r\n")).await;
    // Nobody reads: the sender has to wait long before all of it is taken.
    let (mut taken, piece) = (0, vec![7_u8; 1 << 16]);
    while let Ok(Ok(())) = tokio::time::timeout(Duration::from_millis(500), client.stream.writable()).await {
        match client.stream.try_write(&piece[..piece.len().min(LARGE - taken)]) {
            Ok(count) => taken += count,
            Err(why) => assert_eq!(why.kind(), std::io::ErrorKind::WouldBlock),
        }
        assert!(taken < LARGE, "all of it was taken, and nobody read it");
    }
    let exchange = async {
        while taken < LARGE {
            let count = piece.len().min(LARGE - taken);
            client.send(&piece[..count]).await;
            taken += count;
        }
        client.answer().await
    };
    let read = async {
        for _ in 0..LARGE / piece.len() {
            assert_eq!(server.bytes(piece.len()).await, piece);
        }
        server.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n")).await;
        for _ in 0..LARGE / piece.len() {
            server.send(&piece).await;
        }
    };
    let (answer, ()) = tokio::join!(exchange, read);
    assert_eq!(answer.body.len(), LARGE);
}

#[tokio::test]
async fn http_1_0_is_answered_without_chunks_and_closed() {
    let (ground, backend) = played().await;
    let mut client = Talk::to(ground.web).await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let mut server = backend.accept().await;
    assert!(server.until("\r\n\r\n").await.starts_with("GET / HTTP/1.0\r\n"));
    server.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.text(), answer.field("transfer-encoding"), answer.field("connection")),
        ("hi", None, Some("close"))
    );
}

#[tokio::test]
async fn what_was_asked_as_http_1_0_leaves_no_connection_to_others() {
    let (ground, backend) = played().await;
    let mut client = Talk::to(ground.web).await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let mut server = backend.accept().await;
    // It names the newer version, and does not say that it is about to close, as many do.
    server.answer_with("old").await;
    assert_eq!(client.answer().await.text(), "old");
    let mut other = Talk::to(ground.web).await;
    other.send(get("")).await;
    backend.accept().await.answer_with("new").await;
    assert_eq!(other.answer().await.text(), "new");
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_in_step() {
    let (ground, backend) = played().await;
    let (mut client, mut server) = backend.asked(&ground, "HEAD / HTTP/1.1\r\nhost: web\r\n\r\n").await;
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n").await;
    assert_eq!(client.head().await.field("content-length"), Some("100"));
    client.send(get("")).await;
    server.until("\r\n\r\n").await;
    server.send("HTTP/1.1 304 Not Modified\r\ncontent-length: 100\r\n\r\n").await;
    assert_eq!(client.head().await.status, 304);
    client.send(get("")).await;
    server.answer_with("ok").await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_ends_the_clients_too() {
    let (ground, backend) = played().await;
    let (mut client, mut server) = backend.asked(&ground, get("")).await;
    server.send("HTTP/1.1 200 OK\r\n\r\nall of it").await;
    drop(server);
    let answer = client.answer().await;
    assert_eq!((answer.text(), answer.field("connection")), ("all of it", Some("close")));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_taken_for_a_whole_one() {
    let (ground, backend) = played().await;
    for head in ["transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "content-length: 10\r\n\r\nhello"] {
        let (mut client, mut server) = backend.asked(&ground, get("")).await;
        server.send(format!("HTTP/1.1 200 OK\r\n{head}")).await;
        client.until("hello").await;
        drop(server);
        assert_eq!(client.broken().await, std::io::ErrorKind::ConnectionReset, "{head}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_has_arrived_gets_through() {
    let (ground, backend) = played().await;
    let mut client = Talk::to(ground.web).await;
    client.send("POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 100000000\r\n\r\nbegin").await;
    let mut server = backend.accept().await;
    server.until("begin").await;
    server.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 4\r\nconnection: close\r\n\r\nmuch").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text()), (413, "much"));
    assert_eq!(client.rest().await, b"", "the connection ends, since the rest of the body is no request");
}

#[tokio::test]
async fn a_client_that_gives_up_ends_the_endpoints_work() {
    let (ground, backend) = played().await;
    let (client, mut server) = backend.asked(&ground, get("")).await;
    client.stream.set_zero_linger().expect("it is open");
    drop(client);
    assert!(!server.more().await, "its connection ends");
}

#[tokio::test]
async fn a_client_that_ends_its_half_while_an_answer_is_due_may_end_the_endpoints_work() {
    let (ground, backend) = played().await;
    for request in [get(""), "POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 5\r\n\r\nhe".to_owned()] {
        let (mut client, mut server) = kept(&ground, &backend).await;
        client.send(&request).await;
        server.until("\r\n\r\n").await;
        if request.starts_with("POST") {
            assert_eq!(server.bytes(2).await, b"he");
            client.send("llo").await;
            assert_eq!(server.bytes(3).await, b"llo");
        }
        client.stream.shutdown().await.expect("it is open");
        assert_eq!(server.rest().await, b"", "it is told at once");
        drop(server);
        assert_eq!(client.rest().await, b"", "it gave up, so nobody says that the endpoint erred");
        // Nor is it sent again, although the connection was a kept one.
        let again = tokio::time::timeout(Duration::from_millis(200), backend.accept()).await;
        assert!(again.is_err(), "it was sent again");
    }
}

/// A client's connection and its endpoint's, both of which have carried a request.
async fn kept(ground: &Ground, backend: &Played) -> (Talk, Talk) {
    let mut client = Talk::to(ground.web).await;
    client.send(get("")).await;
    let mut server = backend.accept().await;
    server.answer_with("").await;
    assert_eq!(client.answer().await.status, 200);
    (client, server)
}

#[tokio::test]
async fn the_end_of_a_clients_half_is_passed_on_only_behind_its_last_request() {
    let (ground, backend) = played().await;
    let mut client = Talk::to(ground.web).await;
    client.send([get("x: first\r\n"), get("x: second\r\n")].concat()).await;
    let mut server = backend.accept().await;
    assert!(server.until("\r\n\r\n").await.contains("first"));
    // More requests than are read at once, and then the end.
    client.send(get(&format!("x: {}\r\n", "third".repeat(5000)))).await;
    client.stream.shutdown().await.expect("it is open");
    for _ in 0..2 {
        let early = tokio::time::timeout(Duration::from_millis(300), server.more()).await;
        assert!(early.is_err(), "another request follows, and the connection is kept for it");
        server.ok("ok").await;
        assert_eq!(client.answer().await.text(), "ok");
        server.until("\r\n\r\n").await;
    }
    assert_eq!(server.rest().await, b"", "that was the last one");
    server.ok("last").await;
    assert_eq!(client.answer().await.text(), "last");
    assert_eq!(client.rest().await, b"");
    let mut other = Talk::to(ground.web).await;
    other.send(get("")).await;
    backend.accept().await.until("\r\n\r\n").await;
}

#[tokio::test]
async fn a_client_that_only_ends_its_half_is_answered() {
    let (ground, backend) = played().await;
    let mut client = Talk::to(ground.web).await;
    client.send(get("")).await;
    client.stream.shutdown().await.expect("it is open");
    let mut server = backend.accept().await;
    server.answer_with("ok").await;
    assert_eq!(client.answer().await.text(), "ok");
}
