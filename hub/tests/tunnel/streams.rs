//! Many streams in one tunnel: none waits for another, and none fills the memory.

use crate::{
    app,
    browser::{collect, get, http1, http2, open},
    lab::{Lab, PATIENCE, until},
};
use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use lapdev_api::status::Phase;
use lapdev_tunnel::body::{self, BoxError};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// What may be under way for one stream in all buffers together: the browser's and the application's sockets (several
/// MiB on loopback), TLS, both windows.
const UNDER_WAY: u64 = 16 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_pass_while_one_stalls() {
    let lab = Lab::start().await;
    let mut agent = lab.agent("dev").await;
    agent.synced().await;
    let (environment, counts) = lab.show_web(&agent).await;
    // Nobody reads its body.
    let stalled = open(&lab, get(&environment.host(), "/endless").body(body::empty()).expect("legal")).await;
    let still = stalls(&counts.sent).await;
    let mut asked = Vec::new();
    for connection in 0..10 {
        let sender = http2(&lab).await;
        for n in 0..100 {
            let mut sender = sender.clone();
            // None is answered before all have arrived, so they are all open at once.
            let uri = format!("https://{}/gather?{connection}/{n}", environment.host());
            asked.push(async move {
                let request = Request::get(uri).body(body::empty()).expect("legal");
                collect(sender.send_request(request).await.expect("an answer")).await.text()
            });
        }
    }
    assert_eq!(asked.len(), app::GATHERED);
    let answers = tokio::time::timeout(PATIENCE, join_all(asked)).await.expect("in time");
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!(*answer, format!("true {}/{}", at / 100, at % 100));
    }
    // The control stream has its way too.
    agent.memory.outbox.status(environment.status(1, Phase::Ready, ""));
    until("the status", async || lab.store.status(&environment.uid).await.expect("read").is_some()).await;
    assert_eq!(counts.sent.load(Ordering::SeqCst), still);
    drop(stalled);
}

/// Waits until the count stands still, and says where.
async fn stalls(count: &AtomicU64) -> u64 {
    let standing = async {
        let mut before = u64::MAX;
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = count.load(Ordering::SeqCst);
            if now == before && now > 0 {
                return now;
            }
            before = now;
        }
    };
    tokio::time::timeout(PATIENCE, standing).await.expect("it stalls")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_does_not_read_stops_the_application() {
    let lab = Lab::start().await;
    let mut agent = lab.agent("dev").await;
    agent.synced().await;
    let (environment, counts) = lab.show_web(&agent).await;
    let response = open(&lab, get(&environment.host(), "/endless").body(body::empty()).expect("legal")).await;
    let sent = stalls(&counts.sent).await;
    tracing::info!(sent, "under way when it stalled");
    assert!(sent < UNDER_WAY, "{sent} bytes are under way");
    // It goes on where it stood once somebody reads.
    let mut body = response.into_body();
    let mut got = 0;
    while got < 2 * UNDER_WAY {
        let frame = body.frame().await.expect("endless").expect("whole");
        got += frame.into_data().map_or(0, |data| data.len() as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_does_not_read_stops_the_browser() {
    let lab = Lab::start().await;
    let mut agent = lab.agent("dev").await;
    agent.synced().await;
    let (environment, _) = lab.show_web(&agent).await;
    let sent = Arc::<AtomicU64>::default();
    let count = sent.clone();
    let chunks = futures_util::stream::repeat_with(move || {
        count.fetch_add(16 << 10, Ordering::SeqCst);
        Ok::<_, BoxError>(Frame::data(Bytes::from_static(&[b'x'; 16 << 10])))
    });
    let request = Request::post("/deaf").header("host", environment.host());
    let request = request.body(StreamBody::new(chunks).boxed_unsync()).expect("legal");
    let mut sender = http1(&lab).await;
    let asking = tokio::spawn(async move { sender.send_request(request).await });
    let under_way = stalls(&sent).await;
    tracing::info!(under_way, "under way when it stalled");
    assert!(under_way < UNDER_WAY, "{under_way} bytes are under way");
    asking.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_comes_back_as_it_went() {
    const CHUNKS: usize = 4096;
    let lab = Lab::start().await;
    let mut agent = lab.agent("dev").await;
    agent.synced().await;
    let (environment, _) = lab.show_web(&agent).await;
    let chunk = |n: usize| Bytes::from(vec![(n % 251) as u8; 16 << 10]);
    let chunks = futures_util::stream::iter((0..CHUNKS).map(move |n| Ok::<_, BoxError>(Frame::data(chunk(n)))));
    let request = Request::post("/echo").header("host", environment.host());
    let request = request.body(StreamBody::new(chunks).boxed_unsync()).expect("legal");
    let mut body = open(&lab, request).await.into_body();
    let mut at = 0_usize;
    while let Some(frame) = body.frame().await {
        for byte in frame.expect("whole").into_data().unwrap_or_default() {
            assert_eq!(byte, (at / (16 << 10) % 251) as u8, "at byte {at}");
            at += 1;
        }
    }
    assert_eq!(at, CHUNKS << 14);
}
