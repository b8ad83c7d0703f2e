//! Deliveries as they come: over a connection, to the filter behind a real HTTP server, into a real store.

use crate::{
    WebhookSecret,
    body::Bounds,
    intake::{Intake, bounded_routes},
};
use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac as _};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use lapdev_store::{Delivery, Store, Topic};
use proptest::{collection::vec, prelude::*, test_runner::Config};
use sha2::Sha256;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

const OLD_SECRET: &str = "the secret of last year";
const SECRET: &str = "It's a Secret to Everybody";

/// Far more than anything here takes; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

const PUSH: &str = r#"{"ref": "refs/heads/x", "repository": {"id": 42, "full_name": "acme/shop"}}"#;

/// A control plane's intake on loopback. Gone when dropped.
struct Server {
    address: SocketAddr,
    store: Store,
    bounds: Bounds,
    _folder: TempDir,
    _task: JoinSet<()>,
}

impl Server {
    async fn start(bounds: Bounds) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("lapdev.db"), &"a".repeat(16).parse().expect("legal"))
            .await
            .expect("opened");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let secret = WebhookSecret::from_lines(&format!("{SECRET}\n{OLD_SECRET}")).expect("two");
        let intake = Intake { store: store.clone(), secret, bounds: bounds.clone() };
        let mut task = JoinSet::new();
        task.spawn(serve(listener, intake));
        Self { address, store, bounds, _folder: folder, _task: task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connected")
    }

    /// Sends these bytes, keeps the connection open, and returns the status of the answer. A server that has heard
    /// enough does not read on, so both go on at once.
    async fn send(&self, request: &[u8]) -> u16 {
        let (read, mut write) = self.connect().await.into_split();
        let sending = async {
            let _ = write.write_all(request).await;
            std::future::pending().await
        };
        let answered = async {
            tokio::select! { status = read_status(read) => status, never = sending => never }
        };
        timeout(PATIENCE, answered).await.expect("an answer in time").expect("an answer")
    }

    async fn deliver(&self, id: &str, event: &str, body: &[u8]) -> u16 {
        self.send(&request(&headers(id, event, &signature(SECRET, body)), body)).await
    }

    async fn pending(&self) -> Vec<Delivery> {
        self.store.pending_deliveries(100).await.expect("read")
    }
}

async fn serve(listener: TcpListener, intake: Intake) {
    let service = TowerToHyperService::new(warp::service(bounded_routes(intake)));
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let service = service.clone();
        connections.spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            // What a client did wrong is its own to see.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The status of the answer; none when the connection ends without one.
async fn read_status(mut read: impl AsyncRead + Unpin) -> Option<u16> {
    let mut answer = Vec::new();
    while read.read_buf(&mut answer).await.unwrap_or(0) > 0 {
        if let Some(status) = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3)) {
            return std::str::from_utf8(status).expect("digits").parse().ok();
        }
    }
    None
}

fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    format!("sha256={}", HEXLOWER.encode(&mac.finalize().into_bytes()))
}

fn headers(id: &str, event: &str, signature: &str) -> Vec<u8> {
    format!("X-GitHub-Delivery: {id}\r\nX-GitHub-Event: {event}\r\nX-Hub-Signature-256: {signature}\r\n").into_bytes()
}

fn request(headers: &[u8], body: &[u8]) -> Vec<u8> {
    let start = "POST /webhooks/github HTTP/1.1\r\nHost: lapdev\r\nContent-Type: application/json\r\n";
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    [start.as_bytes(), headers, length.as_bytes(), body].concat()
}

/// The same in chunks of that length.
fn chunked(headers: &[u8], body: &[u8], length: usize) -> Vec<u8> {
    let start = "POST /webhooks/github HTTP/1.1\r\nHost: lapdev\r\nTransfer-Encoding: chunked\r\n";
    let mut request = [start.as_bytes(), headers, b"\r\n"].concat();
    for chunk in body.chunks(length) {
        request.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    }
    request.extend(b"0\r\n\r\n");
    request
}

fn small() -> Bounds {
    Bounds { size: 64 << 10, memory: Arc::new(Semaphore::new(256 << 10)), ..Bounds::default() }
}

#[tokio::test]
async fn what_is_answered_with_202_is_in_the_ledger_once() {
    let server = Server::start(Bounds::default()).await;
    let mut watch = server.store.watch(Topic::Deliveries);
    assert_eq!(server.deliver("one", "push", PUSH.as_bytes()).await, 202);
    watch.changed().await.expect("open");
    let body = r#"{"action": "opened", "repository": {"id": 42, "full_name": "acme/shop"}}"#;
    assert_eq!(server.deliver("two", "pull_request", body.as_bytes()).await, 202);
    assert_eq!(server.deliver("one", "push", PUSH.as_bytes()).await, 202, "a repeated delivery");
    let pending = server.pending().await;
    let told: Vec<_> = pending
        .iter()
        .map(|d| {
            (d.id.as_str(), d.event.as_str(), d.action.as_deref(), d.repository_id.as_deref(), d.repository.as_deref())
        })
        .collect();
    let shop = (Some("42"), Some("acme/shop"));
    assert_eq!(told, [("one", "push", None, shop.0, shop.1), ("two", "pull_request", Some("opened"), shop.0, shop.1)]);
    server.store.mark_processed(&["one".to_owned(), "two".to_owned()], jiff::Timestamp::now()).await.expect("marked");
    assert_eq!(server.deliver("two", "pull_request", body.as_bytes()).await, 202);
    assert_eq!(server.pending().await, [], "a redelivery of what was processed is no news");
}

#[tokio::test]
async fn events_that_nobody_uses_are_taken_and_wake_nobody() {
    let server = Server::start(Bounds::default()).await;
    let watch = server.store.watch(Topic::Deliveries);
    for (id, event) in [("one", "ping"), ("two", "workflow_run"), ("three", "an_event_of_the_future")] {
        assert_eq!(server.deliver(id, event, br#"{"action": "completed", "zen": "Grow."}"#).await, 202, "{event}");
    }
    assert_eq!(server.pending().await, []);
    assert!(!watch.has_changed().expect("open"));
}

#[tokio::test]
async fn a_signature_that_is_missing_or_wrong_by_one_bit_is_refused_before_anything_else_is_looked_at() {
    let server = Server::start(Bounds::default()).await;
    let right = signature(SECRET, PUSH.as_bytes());
    for bit in [0, 100, 255] {
        let mut bytes = HEXLOWER.decode(right.trim_start_matches("sha256=").as_bytes()).expect("hexadecimal");
        bytes[bit / 8] ^= 1 << (bit % 8);
        let wrong = format!("sha256={}", HEXLOWER.encode(&bytes));
        assert_eq!(server.send(&request(&headers("one", "push", &wrong), PUSH.as_bytes())).await, 401, "bit {bit}");
    }
    let mut flipped = PUSH.as_bytes().to_vec();
    flipped[20] ^= 1;
    assert_eq!(server.send(&request(&headers("one", "push", &right), &flipped)).await, 401);
    assert_eq!(
        server.send(&request(b"X-GitHub-Delivery: one\r\nX-GitHub-Event: push\r\n", PUSH.as_bytes())).await,
        401
    );
    let stranger = signature("a stranger's", PUSH.as_bytes());
    assert_eq!(server.send(&request(&headers("one", "push", &stranger), PUSH.as_bytes())).await, 401);
    assert_eq!(server.send(&request(&headers("one", "push", &stranger), b"")).await, 401);
    for nonsense in ["", "sha256=", "sha256=zz", "sha1=757107ea0eb2509fc211221cce984b8a37570b6d"] {
        assert_eq!(server.send(&request(&headers("", "", nonsense), b"no JSON")).await, 401, "{nonsense}");
    }
    assert_eq!(server.pending().await, []);
}

#[tokio::test]
async fn while_secrets_change_both_count() {
    let server = Server::start(Bounds::default()).await;
    for (id, secret) in [("one", OLD_SECRET), ("two", SECRET)] {
        let signature = signature(secret, PUSH.as_bytes());
        assert_eq!(server.send(&request(&headers(id, "push", &signature), PUSH.as_bytes())).await, 202);
    }
    assert_eq!(server.pending().await.len(), 2);
}

#[tokio::test]
async fn a_signed_delivery_that_is_none_is_400() {
    let server = Server::start(Bounds::default()).await;
    for body in [&PUSH[..PUSH.len() - 1], "", "payload=%7B%22ref%22%3A1%7D", "{}", "null"] {
        assert_eq!(server.deliver("one", "push", body.as_bytes()).await, 400, "{body}");
    }
    let signed = format!("X-Hub-Signature-256: {}\r\n", signature(SECRET, PUSH.as_bytes()));
    let long = format!("X-GitHub-Delivery: {}\r\nX-GitHub-Event: push\r\n", "x".repeat(200));
    for rest in ["", "X-GitHub-Delivery: one\r\n", "X-GitHub-Event: push\r\n", &long] {
        assert_eq!(server.send(&request(format!("{signed}{rest}").as_bytes(), PUSH.as_bytes())).await, 400, "{rest}");
    }
    assert_eq!(server.pending().await, []);
}

#[tokio::test]
async fn a_body_may_be_as_large_as_the_bound_and_not_a_byte_larger_however_it_is_framed() {
    let server = Server::start(small()).await;
    let size = server.bounds.size;
    let fits = format!("{PUSH}{}", " ".repeat(size - PUSH.len()));
    assert_eq!(server.deliver("one", "push", fits.as_bytes()).await, 202);
    let larger = format!("{fits} ");
    let headers = headers("two", "push", &signature(SECRET, larger.as_bytes()));
    let whole = request(&headers, larger.as_bytes());
    assert_eq!(server.send(&whole).await, 413);
    assert_eq!(server.send(&whole[..whole.len() - larger.len()]).await, 413, "it says so; no byte of it is waited for");
    for length in [1000, 8 << 10, size + 1] {
        assert_eq!(server.send(&chunked(&headers, larger.as_bytes(), length)).await, 413, "chunks of {length}");
    }
    assert_eq!(server.pending().await.len(), 1);
    assert_eq!(server.bounds.memory.available_permits(), 256 << 10);
}

#[tokio::test]
async fn a_body_without_an_end_is_refused_once_it_is_larger_than_any_of_githubs() {
    let server = Server::start(Bounds::default()).await;
    let headers = headers("one", "push", &signature(SECRET, b""));
    assert_eq!(server.send(&chunked(&headers, &vec![b'x'; 26 << 20], 1 << 20)).await, 413);
    assert_eq!(server.deliver("two", "push", PUSH.as_bytes()).await, 202);
}

#[tokio::test]
async fn a_body_that_is_cut_off_leaves_nothing_behind() {
    let server = Server::start(small()).await;
    let headers = headers("one", "push", &signature(SECRET, PUSH.as_bytes()));
    for whole in [request(&headers, PUSH.as_bytes()), chunked(&headers, PUSH.as_bytes(), 10)] {
        let (read, mut write) = server.connect().await.into_split();
        write.write_all(&whole[..whole.len() - 8]).await.expect("sent");
        write.shutdown().await.expect("shut");
        // Whether the server still answers or hangs up: it must not say that it took it.
        let status = timeout(PATIENCE, read_status(read)).await.expect("an end in time");
        assert!(matches!(status, None | Some(400)), "{status:?}");
    }
    assert_eq!(server.pending().await, []);
    assert_eq!(server.bounds.memory.available_permits(), 256 << 10);
    assert_eq!(server.deliver("one", "push", PUSH.as_bytes()).await, 202);
}

#[tokio::test]
async fn a_body_that_does_not_come_to_its_end_is_not_waited_for() {
    let server = Server::start(Bounds { time: Duration::from_millis(100), ..small() }).await;
    let whole = request(&headers("one", "push", &signature(SECRET, PUSH.as_bytes())), PUSH.as_bytes());
    assert_eq!(server.send(&whole[..whole.len() - 1]).await, 408);
    assert_eq!(server.pending().await, []);
    assert_eq!(server.bounds.memory.available_permits(), 256 << 10);
}

#[tokio::test]
async fn bodies_in_any_script_and_framing_are_taken_byte_for_byte() {
    let server = Server::start(Bounds::default()).await;
    let body = r#"{"ref": "refs/heads/größe-東京-🎉", "x": "\ud83c\udf89 \u0000",
                   "repository": {"id": 42, "full_name": "acme/shop"}, "ключ": "שלום"}"#;
    assert_eq!(server.deliver("one", "push", body.as_bytes()).await, 202);
    let headers = headers("two", "push", &signature(SECRET, body.as_bytes()));
    assert_eq!(server.send(&chunked(&headers, body.as_bytes(), 1)).await, 202, "characters cut across chunks");
    assert_eq!(server.pending().await.len(), 2);
    let latin1 = b"{\"repository\": {\"id\": 42, \"full_name\": \"acme/gr\xf6sse\"}}";
    assert_eq!(server.deliver("three", "push", latin1).await, 400);
}

#[tokio::test]
async fn a_delivery_that_cannot_be_recorded_is_503_so_that_it_can_come_again() {
    let server = Server::start(Bounds::default()).await;
    server.store.close().await;
    assert_eq!(server.deliver("one", "push", PUSH.as_bytes()).await, 503);
}

#[tokio::test]
async fn other_paths_and_methods_are_left_to_others() {
    let server = Server::start(Bounds::default()).await;
    let get = "GET /webhooks/github HTTP/1.1\r\nHost: lapdev\r\n\r\n";
    assert_eq!(server.send(get.as_bytes()).await, 405);
    for path in ["/webhooks", "/webhooks/github/x", "/webhooks/gitlab"] {
        let post = format!("POST {path} HTTP/1.1\r\nHost: lapdev\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(server.send(post.as_bytes()).await, 404, "{path}");
    }
}

#[derive(Debug, Clone)]
enum Sent {
    /// Signed, with these headers' values and this body.
    Signed(String, String, Vec<u8>),
    /// Signed, in chunks.
    Chunked(Vec<u8>, usize),
    /// Whatever.
    Raw(Vec<u8>),
}

/// Bytes, and true payloads in which some bytes were replaced.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let damaged = (0..PUSH.len(), vec(any::<u8>(), 0..4), 0..4usize).prop_map(|(at, with, instead)| {
        let mut body = PUSH.as_bytes().to_vec();
        body.splice(at..(at + instead).min(PUSH.len()), with);
        body
    });
    prop_oneof![vec(any::<u8>(), 0..200), damaged, Just(PUSH.as_bytes().to_vec())]
}

fn sent() -> impl Strategy<Value = Sent> {
    let value = || "[ -~]{0,40}|[\u{80}-\u{ff}]{1,3}";
    let event = prop_oneof![3 => Just("push".to_owned()), 1 => value().prop_map(String::from)];
    prop_oneof![
        (value(), event, body()).prop_map(|(id, event, body)| Sent::Signed(id, event, body)),
        (body(), 1..50usize).prop_map(|(body, length)| Sent::Chunked(body, length)),
        vec(any::<u8>(), 1..300).prop_map(Sent::Raw),
    ]
}

async fn any_bytes_are_answered(server: &Server, sent: Sent) {
    let bytes = match &sent {
        Sent::Signed(id, event, body) => request(&headers(id, event, &signature(SECRET, body)), body),
        Sent::Chunked(body, length) => chunked(&headers("id", "push", &signature(SECRET, body)), body, *length),
        Sent::Raw(bytes) => bytes.clone(),
    };
    if matches!(sent, Sent::Raw(_)) {
        let (read, mut write) = server.connect().await.into_split();
        write.write_all(&bytes).await.expect("sent");
        write.shutdown().await.expect("shut");
        let status = timeout(PATIENCE, read_status(read)).await.expect("an end in time");
        assert!(status.is_none_or(|status| status < 500), "{status:?}");
    } else {
        let status = server.send(&bytes).await;
        assert!(matches!(status, 202 | 400), "{status}");
    }
    assert_eq!(server.deliver("alive", "push", PUSH.as_bytes()).await, 202);
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_bytes_cause_a_panic_or_a_server_error(all in vec(sent(), 1..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let server = Server::start(small()).await;
            for sent in all {
                any_bytes_are_answered(&server, sent).await;
            }
            assert_eq!(server.bounds.memory.available_permits(), 256 << 10);
        });
    }
}
