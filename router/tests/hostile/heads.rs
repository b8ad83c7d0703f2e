//! Heads that two readers could read differently, and heads without measure.

use super::{backend::Backend, ground::Ground, memory, talk::Talk, witness::Witness};
use lapdev_router::limits::{FIELDS, HEAD_BYTES};
use tokio::io::AsyncWriteExt;

/// Follows every hostile head: what an attacker hopes that somebody takes for a request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: web\r\n\r\n";

/// What the router answers to these bytes on a connection of their own; then it must close.
async fn only_answer(ground: &Ground, bytes: &[u8]) -> u16 {
    let mut talk = Talk::to(ground.web).await;
    talk.send(bytes).await;
    let answer = talk.answer().await;
    assert_eq!(answer.field("connection"), Some("close"), "{answer:?}");
    assert!(answer.field("x-lapdev-error").is_some(), "the router's own: {answer:?}");
    assert!(talk.rest().await.is_empty(), "nothing after {answer:?}");
    answer.status
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /hostile HTTP/1.1\r\nhost: web\r\n{fields}\r\n{body}{SMUGGLED}")
}

#[tokio::test]
async fn no_head_with_two_readings_reaches_a_backend() {
    let _others = memory::others().await;
    let (mut ground, backend) = (Ground::start().await, Backend::start().await);
    ground.baseline(&[backend.address]);
    let witness = Witness::of(&ground);
    let chunked = "transfer-encoding: chunked\r\n";
    let mut hostile = vec![
        // Length and chunks.
        post(&format!("content-length: 6\r\n{chunked}"), "0\r\n\r\nG"),
        post(&format!("{chunked}content-length: 4\r\n"), "5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n"),
        post("content-length: 0\r\ncontent-length: 44\r\n", ""),
        post("content-length: 3, 3\r\n", "abc"),
        post("content-length: 3\r\n content-length: 0\r\n", "abc"),
        // Codings that only some know.
        post("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", "0\r\n\r\n"),
        post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        post("transfer-encoding : chunked\r\n", "0\r\n\r\n"),
        post("transfer-encoding:\r\n chunked\r\n", "0\r\n\r\n"),
        post("transfer-encoding:\r\n\tchunked\r\n", "0\r\n\r\n"),
        post(" transfer-encoding: chunked\r\n", "0\r\n\r\n"),
        post("transfer-encoding\r\n: chunked\r\n", "0\r\n\r\n"),
        post("x: y\rtransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        post("x: y\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        post("x: y\n\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        "POST /hostile HTTP/1.0\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned() + SMUGGLED,
        // Lines, names and values.
        format!("GET /hostile HTTP/1.1\nhost: web\n\n{SMUGGLED}"),
        format!("GET /hostile HTTP/1.1\r\nhost: web\r\n\n{SMUGGLED}"),
        format!("GET /hostile\0 HTTP/1.1\r\nhost: web\r\n\r\n{SMUGGLED}"),
        post("x: a\0b\r\n", ""),
        post("x\0y: a\r\n", ""),
        post("x: a\u{7f}b\r\n", ""),
        post(": nameless\r\n", ""),
        post("no colon\r\n", ""),
        // Hosts.
        format!("GET /hostile HTTP/1.1\r\n\r\n{SMUGGLED}"),
        format!("GET /hostile HTTP/1.1\r\nhost: web\r\nHost: other\r\n\r\n{SMUGGLED}"),
        // First lines.
        format!("GET /hostile  HTTP/1.1\r\nhost: web\r\n\r\n{SMUGGLED}"),
        format!("GET /hostile\tHTTP/1.1\r\nhost: web\r\n\r\n{SMUGGLED}"),
        format!("GET /hostile http/1.1\r\nhost: web\r\n\r\n{SMUGGLED}"),
        format!("GET /hostile HTTP/01.1\r\nhost: web\r\n\r\n{SMUGGLED}"),
        format!("GET /hostile\r\nhost: web\r\n\r\n{SMUGGLED}"),
        format!("CONNECT web:80 HTTP/1.1\r\nhost: web\r\ncontent-length: 3\r\n\r\nabc{SMUGGLED}"),
    ];
    for length in ["+3", "-3", "0x3", "3 3", "3;", "\"3\"", "", "99999999999999999999", "3.0", "３"] {
        hostile.push(post(&format!("content-length: {length}\r\n"), "abc"));
    }
    for head in &hostile {
        assert_eq!(only_answer(&ground, head.as_bytes()).await, 400, "{head:?}");
    }
    for coding in [
        "xchunked",
        "chunked, identity",
        "identity, chunked",
        "gzip, chunked",
        "chunked;q=1",
        "chunked\u{b}x",
        "\"chunked\"",
        "",
    ] {
        let status =
            only_answer(&ground, post(&format!("transfer-encoding: {coding}\r\n"), "0\r\n\r\n").as_bytes()).await;
        assert!(matches!(status, 400 | 501), "{coding:?}: {status}");
    }
    assert_eq!(
        only_answer(&ground, format!("GET /hostile HTTP/2.0\r\nhost: web\r\n\r\n{SMUGGLED}").as_bytes()).await,
        505
    );
    witness.was_unharmed().await;
    let seen: Vec<_> = backend.whole().into_iter().filter(|(path, _)| path != "/kept" && path != "/new").collect();
    assert_eq!(seen, [], "and {} began", backend.begun());
}

#[tokio::test]
async fn what_does_not_begin_as_http_is_the_baselines_untouched_and_never_a_branchs() {
    let _others = memory::others().await;
    let (mut ground, baseline, branch) = (Ground::start().await, Backend::start().await, Backend::start().await);
    ground.baseline(&[baseline.address]);
    ground.branch(super::ground::KEY, &[branch.address]);
    let keyed = format!("host: web\r\ntracestate: lapdev={}\r\n\r\n", super::ground::KEY);
    for first in [
        "GET  / HTTP/1.1\r\n",
        " GET / HTTP/1.1\r\n",
        "get / HTTP/1.1\r\n",
        "GET ?/ HTTP/1.1\r\n",
        "\0GET / HTTP/1.1\r\n",
    ] {
        let mut talk = Talk::to(ground.web).await;
        talk.send(format!("{first}{keyed}GET / HTTP/1.1\r\n{keyed}")).await;
        talk.stream.shutdown().await.expect("it is open");
        // What the baseline makes of it is its own matter; the router adds nothing to it.
        let answer = String::from_utf8(talk.rest().await).expect("it is text");
        assert!(!answer.contains("x-lapdev-"), "{first:?}: {answer}");
    }
    assert_eq!(branch.begun(), 0);
}

#[tokio::test]
async fn requests_that_follow_each_other_are_the_same_ones_to_the_backend() {
    let _others = memory::others().await;
    let (mut ground, backend) = (Ground::start().await, Backend::start().await);
    ground.baseline(&[backend.address]);
    let mut talk = Talk::to(ground.web).await;
    talk.send(
        "GET /1 HTTP/1.1\r\nhost: web\r\ncontent-length: 5\r\n\r\nGET /POST /2 HTTP/1.1\r\nHost:web\r\n\
         Transfer-Encoding: \t Chunked \r\n\r\n3;GET /x HTTP/1.1\r\nabc\r\n0\r\nhost: evil\r\n\r\nPUT /3 HTTP/1.1\r\nhost: web\r\n\
         content-length: 2\r\nContent-Length: 2\r\n\r\n\r\nGET /4 HTTP/1.1\r\nhost: web\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n\
         GET http://web/5 HTTP/1.1\r\nhost: web\r\nconnection: content-length, host\r\ncontent-length: 1\r\n\r\nx",
    )
    .await;
    for path in ["/1", "/2", "/3", "/4", "/5"] {
        assert_eq!(talk.answer().await.text(), path);
    }
    let seen = backend.whole();
    let seen: Vec<(&str, usize)> = seen.iter().map(|(path, length)| (path.as_str(), *length)).collect();
    assert_eq!(seen, [("/1", 5), ("/2", 3), ("/3", 2), ("/4", 0), ("/5", 1)]);
}

#[tokio::test]
async fn what_follows_a_refused_upgrade_is_routed_as_a_request() {
    let _others = memory::others().await;
    let (mut ground, baseline, branch) = (Ground::start().await, Backend::start().await, Backend::start().await);
    ground.baseline(&[baseline.address]);
    ground.branch(super::ground::KEY, &[branch.address]);
    let mut talk = Talk::to(ground.web).await;
    let upgrade = "GET /ws HTTP/1.1\r\nhost: web\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let own = format!("GET /own HTTP/1.1\r\nhost: web\r\ntracestate: lapdev={}\r\n\r\n", super::ground::KEY);
    talk.send(format!("{upgrade}{own}")).await;
    assert_eq!(talk.answer().await.served_by(), "baseline");
    assert_eq!(talk.answer().await.served_by(), super::ground::KEY);
    assert_eq!((baseline.whole().len(), branch.whole().len()), (1, 1));
}

#[tokio::test]
async fn heads_without_measure_are_refused_before_they_fill_memory() {
    let _alone = memory::alone().await;
    let (mut ground, backend) = (Ground::start().await, Backend::start().await);
    ground.baseline(&[backend.address]);
    let witness = Witness::of(&ground);
    let many = "a: b\r\n".repeat(FIELDS + 1);
    assert_eq!(only_answer(&ground, post(&many, "").as_bytes()).await, 431);
    let before = memory::resident();
    let endless = [
        format!("GET /{} HTTP/1.1\r\n", "a".repeat(2 * HEAD_BYTES)),
        format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(2 * HEAD_BYTES)),
        format!("GET / HTTP/1.1\r\n{}", "a".repeat(2 * HEAD_BYTES)),
        format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(2 * HEAD_BYTES / 6)),
    ];
    for head in endless.iter().cycle().take(200) {
        assert_eq!(only_answer(&ground, head.as_bytes()).await, 431, "{:?}", &head[..30]);
    }
    memory::grew_at_most(before, 16);
    witness.was_unharmed().await;
    assert!(backend.whole().iter().all(|(path, _)| path == "/kept" || path == "/new"));
}

#[tokio::test]
async fn forged_keys_go_to_the_baseline_and_leave_nothing() {
    let _alone = memory::alone().await;
    let (mut ground, backend) = (Ground::start().await, Backend::start().await);
    ground.baseline(&[backend.address]);
    ground.branch(super::ground::KEY, &[backend.address]);
    let mut talk = Talk::to(ground.web).await;
    let ask = |n: usize| {
        format!("GET /{n} HTTP/1.1\r\nhost: web\r\ntracestate: lapdev=forged-{n}\r\nbaggage: lapdev=other-{n}\r\n\r\n")
    };
    for n in 0..500 {
        assert_eq!(talk.ask(&ask(n)).await.served_by(), "baseline");
    }
    let before = memory::resident();
    for n in 500..5000 {
        assert_eq!(talk.ask(&ask(n)).await.served_by(), "baseline");
    }
    // The backend of this process remembers each path; the router nothing.
    memory::grew_at_most(before, 4);
    let illegal = ["", "=", "A", "a_b", "-a", "baseline", &"a".repeat(24), &"a".repeat(10_000), "%00", "\u{fc}"];
    for key in illegal {
        let request = format!("GET / HTTP/1.1\r\nhost: web\r\ntracestate: lapdev={key}\r\n\r\n");
        assert_eq!(talk.ask(&request).await.served_by(), "baseline", "{key}");
    }
}
