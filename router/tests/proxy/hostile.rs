//! Requests that two readers could read differently, or that are too much, go nowhere.

use super::{
    backend::Backend,
    ground::Ground,
    talk::{Talk, get},
};
use std::sync::atomic::Ordering;

#[tokio::test]
async fn no_request_is_smuggled_behind_another() {
    let (mut ground, backend) = (Ground::start().await, Backend::named("base").await);
    ground.baseline(&[backend.address]);
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: web\r\n\r\n";
    for (status, lines) in [
        (400, "content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, "transfer-encoding: chunked\r\ncontent-length: 6\r\n\r\n0\r\n\r\n"),
        (400, "content-length: 0\r\ncontent-length: 40\r\n\r\n"),
        (400, "content-length: 0, 40\r\n\r\n"),
        (400, "content-length: +0\r\n\r\n"),
        (400, "transfer-encoding : chunked\r\n\r\n"),
        (400, "a: b\r\n transfer-encoding: chunked\r\n\r\n"),
        (400, "a: b\ncontent-length: 40\r\n\r\n"),
        (400, "a: b\r\n\n"),
        (400, "a: b\rc: d\r\n\r\n"),
        (400, "a: b\0\r\n\r\n"),
        (400, "host: other\r\n\r\n"),
        (501, "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        (501, "transfer-encoding: xchunked\r\n\r\n"),
        (400, "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n"),
        (400, "transfer-encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"),
        (400, "transfer-encoding: chunked\r\n\r\n-1\r\n\r\n"),
        (400, "transfer-encoding: chunked\r\n\r\n10000000000000000\r\n\r\n"),
        (400, "transfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"),
    ] {
        let mut client = Talk::to(ground.web).await;
        client.send(format!("POST / HTTP/1.1\r\nhost: web\r\n{lines}{smuggled}")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.field("connection")), (status, Some("close")), "{lines:?}");
        assert_eq!(client.rest().await, b"", "{lines:?}");
    }
    assert_eq!(backend.requests.load(Ordering::SeqCst), 0, "not one byte of them went on");
    assert_eq!(Talk::to(ground.web).await.ask(&get("")).await.status, 200, "others are unharmed");
}

#[tokio::test]
async fn heads_are_bounded_in_fields_and_bytes() {
    let (mut ground, backend) = (Ground::start().await, Backend::named("base").await);
    ground.baseline(&[backend.address]);
    for lines in ["a: b\r\n".repeat(200), format!("a: {}\r\n", "b".repeat(100_000)), "a: b\r\n".repeat(20_000)] {
        let mut client = Talk::to(ground.web).await;
        client.send(get(&lines)).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.field("x-lapdev-error")), (431, Some("too-large")));
    }
    let mut client = Talk::to(ground.web).await;
    let large = format!("a: {}\r\n", "b".repeat(30_000));
    assert_eq!(client.ask(&get(&large)).await.status, 200, "what fits, passes");
}
