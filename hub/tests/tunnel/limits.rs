//! Clients that mean harm, or stand still.

use crate::{
    browser::{ask, get, tls},
    lab::{Lab, PATIENCE, until},
};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const QUICK: Duration = Duration::from_secs(1);

async fn impatient() -> Lab {
    Lab::with(|settings| settings.limits.header_timeout = QUICK).await
}

/// Everything until the hub hangs up.
async fn rest(mut io: impl AsyncReadExt + Unpin) -> String {
    let mut text = Vec::new();
    // A reset is an end, too.
    let _ = tokio::time::timeout(PATIENCE, io.read_to_end(&mut text)).await.expect("the hub hangs up");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_client_that_says_nothing_is_dropped_at_every_step() {
    let lab = impatient().await;
    let started = Instant::now();
    rest(TcpStream::connect(lab.address).await.expect("connected")).await;
    rest(tls(&lab, "http/1.1").await).await;
    rest(tls(&lab, "h2").await).await;
    assert!(started.elapsed() >= QUICK * 3, "{:?}", started.elapsed());
}

#[tokio::test]
async fn headers_that_drip_in_are_not_waited_for() {
    let lab = impatient().await;
    let (read, mut write) = tokio::io::split(tls(&lab, "http/1.1").await);
    let drip = tokio::spawn(async move {
        let mut at = write.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n").await;
        while at.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            at = write.write_all(b"x: y\r\n").await;
        }
    });
    let started = Instant::now();
    rest(read).await;
    assert!(started.elapsed() >= QUICK && started.elapsed() < QUICK * 20, "{:?}", started.elapsed());
    drip.abort();
}

#[tokio::test]
async fn too_many_or_too_large_headers_are_refused() {
    let lab = Lab::start().await;
    let mut many = get("localhost", "/healthz");
    for n in 0..200 {
        many = many.header(format!("x-{n}"), "1");
    }
    assert_eq!(ask(&lab, many).await.status, 431);
    let large = get("localhost", "/healthz").header("x", "y".repeat(100 << 10));
    assert_eq!(ask(&lab, large).await.status, 431);
}

#[tokio::test]
async fn a_message_with_two_lengths_does_not_become_two_messages() {
    let lab = Lab::start().await;
    for head in [
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "content-length: 4\r\ncontent-length: 5",
        "transfer-encoding: xchunked",
        "transfer-encoding : chunked",
    ] {
        let mut io = tls(&lab, "http/1.1").await;
        let request = format!(
            "POST /healthz HTTP/1.1\r\nhost: localhost\r\n{head}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        );
        io.write_all(request.as_bytes()).await.expect("written");
        let _ = io.shutdown().await;
        let answers = rest(io).await;
        // Refused, or read by the length that counts; either way the connection ends, and what is left is no request.
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{head}: {answers}");
        assert!(answers.starts_with("HTTP/1.1 40") && answers.contains("connection: close"), "{head}: {answers}");
    }
}

#[tokio::test]
async fn a_full_hub_takes_the_next_connection_when_one_ends() {
    let lab = Lab::with(|settings| settings.limits.connections = 1).await;
    let first = tls(&lab, "http/1.1").await;
    let second = tokio::time::timeout(Duration::from_millis(500), tls(&lab, "http/1.1")).await;
    assert!(second.is_err(), "one connection is the limit");
    drop(first);
    assert_eq!(ask(&lab, get("localhost", "/healthz")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_never_reads_on_is_dropped_and_its_place_is_free() {
    let lab = Lab::with(|settings| settings.limits.stall_timeout = QUICK).await;
    let (_agent, environment, counts) = lab.with_web().await;
    let mut io = tls(&lab, "http/1.1").await;
    let request = format!("GET /endless HTTP/1.1\r\nhost: {}\r\n\r\n", environment.host());
    io.write_all(request.as_bytes()).await.expect("written");
    // The application's connection ends with the browser's, though that is still open here.
    until("the application's end", async || counts.ended.load(Ordering::SeqCst) == 1).await;
    drop(io);
}
