//! HTTP/2 with prior knowledge, and gRPC over it.

use super::{
    backend::{Answering, Backend, named_h2},
    ground::{Ground, KEY, SOON},
    talk::{Talk, get_of},
};
use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
    server::SendResponse,
};
use http::{HeaderMap, Request, Response};
use lapdev_router::limits::CONNECT;
use std::{
    net::SocketAddr,
    pin::Pin,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, task::JoinSet};

pub async fn connect(ground: &Ground) -> SendRequest<Bytes> {
    connect_to(ground.web).await
}

pub async fn connect_to(web: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(web).await.expect("it accepts");
    let (requests, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    requests
}

pub fn request(key: &str) -> Request<()> {
    let request = Request::post("http://web/package.Service/Call").header("te", "trailers");
    let request = request.header("content-type", "application/grpc");
    let request = if key.is_empty() { request } else { request.header("tracestate", format!("a=1,lapdev={key}")) };
    request.body(()).expect("legal")
}

pub async fn ask(client: &mut SendRequest<Bytes>, key: &str, over: bool) -> (ResponseFuture, SendStream<Bytes>) {
    let mut ready = client.clone().ready().await.expect("it takes streams");
    ready.send_request(request(key), over).expect("it takes the request")
}

/// A body as text, and its trailers.
pub async fn read(mut body: RecvStream) -> (String, Option<HeaderMap>) {
    let mut text = String::new();
    while let Some(data) = tokio::time::timeout(SOON, body.data()).await.expect("something happens") {
        let data = data.expect("it is not reset");
        body.flow_control().release_capacity(data.len()).expect("it was received");
        text += std::str::from_utf8(&data).expect("it is text");
    }
    (text, body.trailers().await.expect("it ends well"))
}

fn served_by<T>(answer: &Response<T>) -> &str {
    answer.headers()["x-lapdev-served-by"].to_str().expect("text")
}

#[tokio::test]
async fn streams_on_one_connection_each_go_to_their_own_version_at_the_same_time() {
    let mut ground = Ground::start().await;
    let (baseline, branch) = (Backend::http2(named_h2, "base").await, Backend::http2(named_h2, "branch").await);
    ground.baseline(&[baseline.address]);
    ground.branch(KEY, &[branch.address]);
    let mut client = connect(&ground).await;
    let mut under_way = Vec::new();
    for n in 0..40 {
        let key = ["", KEY, "closed-abc234"][n % 3];
        under_way.push((key, ask(&mut client, key, false).await));
    }
    // All are open at once; each is ended in another order than it was begun.
    for (key, (answer, mut body)) in under_way.into_iter().rev() {
        let answer = answer.await.expect("it is answered");
        let (version, name) = if key == KEY { (KEY, "branch") } else { ("baseline", "base") };
        assert_eq!(served_by(&answer), version);
        assert_eq!(answer.headers()["x-got"], "for=127.0.0.1");
        body.send_data("ping".into(), true).expect("it is open");
        let (text, trailers) = read(answer.into_body()).await;
        assert_eq!(text, format!("{name}ping"));
        assert_eq!(trailers.expect("gRPC has some")["grpc-status"], "0");
    }
    assert_eq!(ground.metric("endpoint_connections_total"), "2");
}

#[tokio::test]
async fn a_stream_goes_both_ways_at_once_and_its_trailers_too() {
    let (mut ground, baseline) = (Ground::start().await, Backend::http2(named_h2, "base").await);
    ground.baseline(&[baseline.address]);
    let mut client = connect(&ground).await;
    let (answer, mut up) = ask(&mut client, "", false).await;
    let mut down = answer.await.expect("it is answered before its request is over").into_body();
    let first = down.data().await.expect("its name").expect("it is not reset");
    assert_eq!(first, "base");
    for n in 0..50 {
        up.send_data(format!("{n}").into(), false).expect("it is open");
        let echo = tokio::time::timeout(SOON, down.data()).await.expect("at once").expect("an echo");
        let echo = echo.expect("it is not reset");
        assert_eq!(echo, format!("{n}"));
        down.flow_control().release_capacity(echo.len()).expect("it was received");
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", "1".parse().expect("legal"));
    up.send_trailers(trailers).expect("it is open");
    assert_eq!(read(down).await.1.expect("gRPC has some")["grpc-status"], "0");
}

#[tokio::test]
async fn a_large_body_waits_for_its_reader() {
    let (mut ground, baseline) = (Ground::start().await, Backend::http2(named_h2, "").await);
    ground.baseline(&[baseline.address]);
    let mut client = connect(&ground).await;
    let (answer, mut up) = ask(&mut client, "", false).await;
    let answer = answer.await.expect("it is answered");
    let piece = Bytes::from(vec![b'x'; 16 * 1024]);
    let sender = async {
        for n in 0..1024 {
            up.reserve_capacity(piece.len());
            while up.capacity() < piece.len() {
                std::future::poll_fn(|cx| up.poll_capacity(cx)).await.expect("open").expect("open");
            }
            up.send_data(piece.clone(), n == 1023).expect("it is open");
        }
    };
    let reader = async {
        let mut body = answer.into_body();
        let mut length = 0;
        while let Some(data) = body.data().await {
            let count = data.expect("it is not reset").len();
            length += count;
            body.flow_control().release_capacity(count).expect("it was received");
        }
        length
    };
    let ((), length) = tokio::time::timeout(SOON, async { tokio::join!(sender, reader) }).await.expect("it moves");
    assert_eq!(length, 16 << 20);
}

#[tokio::test]
async fn a_stream_that_its_client_resets_ends_at_the_endpoint_too() {
    fn waits(
        _: &'static str,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let mut send = respond.send_response(Response::new(()), false).expect("it is wanted");
            let reason = std::future::poll_fn(|cx| send.poll_reset(cx)).await;
            RESET.store(reason.is_ok(), Ordering::SeqCst);
            drop(request);
        })
    }
    static RESET: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    let (mut ground, baseline) = (Ground::start().await, Backend::http2(waits, "").await);
    ground.baseline(&[baseline.address]);
    let mut client = connect(&ground).await;
    let (answer, mut up) = ask(&mut client, "", false).await;
    let answer = answer.await.expect("it is answered");
    up.send_reset(h2::Reason::CANCEL);
    drop(answer);
    tokio::time::timeout(SOON, async {
        while !RESET.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the endpoint learns of it");
}

#[tokio::test]
async fn a_stream_that_the_endpoint_refuses_unseen_is_sent_to_another() {
    fn refuses(
        _: &'static str,
        _: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { respond.send_reset(h2::Reason::REFUSED_STREAM) })
    }
    let mut ground = Ground::start().await;
    let (refusing, alive) = (Backend::http2(refuses, "").await, Backend::http2(named_h2, "alive").await);
    ground.baseline(&[refusing.address]);
    let mut client = connect(&ground).await;
    let (answer, _up) = ask(&mut client, "", true).await;
    assert_eq!(answer.await.expect("it is answered").headers()["grpc-status"], "14");
    assert_eq!(refusing.requests.load(Ordering::SeqCst), 3, "it was tried so often");
    ground.baseline(&[refusing.address, alive.address]);
    let mut answered = 0;
    for _ in 0..20 {
        let (answer, mut up) = ask(&mut client, "", false).await;
        up.send_data("kept".into(), true).expect("it is open");
        let answer = answer.await.expect("it is answered");
        if !answer.headers().contains_key("grpc-status") {
            assert_eq!(read(answer.into_body()).await.0, "alivekept", "its body is sent again too");
            answered += 1;
        }
    }
    // Each has three chances; all three at the refusing one is rare.
    assert!(answered >= 12, "{answered}");
}

#[tokio::test]
async fn grpc_is_told_in_its_own_way_that_nobody_is_ready_and_others_by_http() {
    let mut ground = Ground::with(|table| table.hold_seconds = 1).await;
    ground.branch(KEY, &[]);
    let mut client = connect(&ground).await;
    let (answer, _) = ask(&mut client, KEY, true).await;
    let answer = answer.await.expect("it is answered");
    assert_eq!((answer.status().as_u16(), served_by(&answer)), (200, KEY));
    assert_eq!(answer.headers()["grpc-status"], "14");
    assert_eq!(answer.headers()["x-lapdev-error"], "not-ready");
    let message = answer.headers()["grpc-message"].to_str().expect("text").to_owned();
    assert_eq!(message, format!("lapdev: service web of branch environment {KEY} has no ready endpoint"));
    let mut ready = client.clone().ready().await.expect("it takes streams");
    let plain = Request::get("http://web/").header("baggage", format!("lapdev={KEY}")).body(()).expect("legal");
    let (answer, _) = ready.send_request(plain, true).expect("it takes the request");
    let answer = answer.await.expect("it is answered");
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].as_bytes()), (503, &b"2"[..]));
}

#[tokio::test]
async fn a_held_stream_is_answered_when_its_branch_is_ready() {
    let (mut ground, branch) = (Ground::start().await, Backend::http2(named_h2, "branch").await);
    ground.branch(KEY, &[]);
    let mut client = connect(&ground).await;
    let (answer, mut up) = ask(&mut client, KEY, false).await;
    up.send_data("early".into(), true).expect("it is open");
    let http1 = Backend::named("base").await;
    ground.baseline(&[http1.address]);
    let other = Talk::to(ground.web).await.ask(&get_of("none-abc234")).await;
    assert_eq!(other.served_by(), "baseline");
    ground.branch(KEY, &[branch.address]);
    let answer = answer.await.expect("it is answered");
    assert_eq!(read(answer.into_body()).await.0, "branchearly");
}

/// Answers with a megabyte where it is asked for one, else with its name.
fn greedy_h2(name: &'static str, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Answering {
    Box::pin(async move {
        let mut send = respond.send_response(Response::new(()), false).expect("it is wanted");
        let body = if request.headers().contains_key("x-big") { vec![b'x'; 1 << 20].into() } else { name.into() };
        send.send_data(body, true).expect("it is wanted");
        // It lives for as long as somebody may read.
        let _ = std::future::poll_fn(|cx| send.poll_reset(cx)).await;
    })
}

#[tokio::test]
async fn a_client_that_takes_no_data_keeps_it_from_no_other_client_of_the_endpoint() {
    let (mut ground, baseline) = (Ground::start().await, Backend::http2(greedy_h2, "base").await);
    ground.baseline(&[baseline.address]);
    let stream = TcpStream::connect(ground.web).await.expect("it accepts");
    let builder = h2::client::Builder::new().initial_window_size(0).handshake::<_, Bytes>(stream);
    let (mut idle, connection) = builder.await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    let mut untaken = Vec::new();
    for _ in 0..20 {
        let mut big = request("");
        big.headers_mut().insert("x-big", "1".parse().expect("legal"));
        let (answer, _) = idle.send_request(big, true).expect("it takes streams");
        untaken.push(answer.await.expect("it is answered"));
    }
    let mut client = connect(&ground).await;
    for _ in 0..20 {
        let (answer, _) = ask(&mut client, "", true).await;
        assert_eq!(read(answer.await.expect("it is answered").into_body()).await.0, "base");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(ground.metric("endpoint_connections_total"), "1", "they shared it");
    drop(untaken);
}

/// Takes requests, and nothing of their bodies.
fn deaf_h2(_: &'static str, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Answering {
    Box::pin(async move {
        let mut send = respond.send_response(Response::new(()), false).expect("it is wanted");
        let _ = std::future::poll_fn(|cx| send.poll_reset(cx)).await;
        drop(request);
    })
}

/// Sends so much of a body, and its end, as fast as it is taken.
async fn upload(mut to: SendStream<Bytes>, mut left: usize) {
    let piece = Bytes::from_static(&[b'x'; 16 << 10]);
    while left > 0 {
        to.reserve_capacity(left.min(piece.len()));
        let capacity = std::future::poll_fn(|cx| to.poll_capacity(cx)).await;
        let count = capacity.expect("it is open").expect("it is open").min(left).min(piece.len());
        left -= count;
        to.send_data(piece.slice(..count), left == 0).expect("it is open");
    }
}

#[tokio::test]
async fn an_endpoint_that_takes_nothing_stops_no_upload_of_the_same_client_to_others() {
    let mut ground = Ground::with(|table| table.hold_seconds = 600).await;
    let (deaf, branch) = (Backend::http2(deaf_h2, "").await, Backend::http2(named_h2, "branch").await);
    ground.baseline(&[deaf.address]);
    ground.branch(KEY, &[branch.address]);
    // And nobody is ready here: what is held stands still as well.
    ground.branch("none-abc234", &[]);
    let (mut client, mut standing) = (connect(&ground).await, JoinSet::new());
    for n in 0..60 {
        let (answer, to) = ask(&mut client, ["", "none-abc234"][n % 2], false).await;
        standing.spawn(async move {
            upload(to, 1 << 20).await;
            drop(answer);
        });
    }
    let (answer, to) = ask(&mut client, KEY, false).await;
    let moving = async {
        let echo = async { read(answer.await.expect("it is answered").into_body()).await.0.len() };
        tokio::join!(upload(to, 8 << 20), echo).1
    };
    let echoed = tokio::time::timeout(SOON, moving).await.expect("it moves");
    assert_eq!(echoed, (8 << 20) + "branch".len());
    assert!(standing.try_join_next().is_none(), "the others stand still");
}

#[tokio::test]
async fn requests_that_wait_for_one_connection_fail_together_and_not_one_after_the_other() {
    let (mut ground, baseline) = (Ground::start().await, Backend::http2(named_h2, "base").await);
    // Nobody accepts, and when its queue is full it says nothing at all.
    let (hangs, address) = super::backend::refusing();
    let _hangs = hangs.listen(0).expect("it can listen");
    let mut queue = Vec::new();
    while let Ok(queued) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        queue.push(queued);
    }
    ground.baseline(&[address]);
    let (mut client, begun) = (connect(&ground).await, Instant::now());
    let mut under_way = Vec::new();
    for _ in 0..8 {
        under_way.push(ask(&mut client, "", true).await.0);
    }
    while ground.metric("endpoint_connection_failures_total") == "0" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    ground.baseline(&[baseline.address]);
    for answer in under_way {
        assert_eq!(served_by(&answer.await.expect("it is answered")), "baseline");
    }
    assert!(begun.elapsed() < CONNECT * 3, "{:?}", begun.elapsed());
}
