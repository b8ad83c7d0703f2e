//! Clients that take their time, many of them.

use super::{backend::Backend, ground::Ground, memory, talk::Talk, witness::Witness};
use lapdev_router::limits::HEAD_TIME;
use std::time::{Duration, Instant};
use tokio::{io::AsyncWriteExt, task::JoinSet};

/// Sends a byte now and then until it is answered; the answer's status and after how long.
async fn drip(web: std::net::SocketAddr, begin: &str) -> (u16, Duration) {
    let (mut talk, start) = (Talk::to(web).await, Instant::now());
    talk.send(begin).await;
    let answer = loop {
        tokio::select! {
            answer = talk.head() => break answer,
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
        // It may have been answered and closed in the meantime.
        let _ = talk.stream.write_all(b"a").await;
    };
    (answer.status, start.elapsed())
}

#[tokio::test]
async fn a_head_that_drips_is_answered_408_in_time_however_many_drip() {
    let _alone = memory::alone().await;
    let (mut ground, backend) = (Ground::start().await, Backend::start().await);
    ground.baseline(&[backend.address]);
    let witness = Witness::of(&ground);
    // One who used its connection before, and will again: that is not slow.
    let mut idle = Talk::to(ground.web).await;
    let ask = "GET /kept HTTP/1.1\r\nhost: web\r\n\r\n";
    assert_eq!(idle.ask(ask).await.text(), "/kept");
    let (before, mut slow) = (memory::resident(), JoinSet::new());
    for n in 0..500 {
        let begin = ["GET /slow", "GET /slow HTTP/1.1\r\nho", "GET /slow HTTP/1.1\r\nhost: web\r\nx: "][n % 3];
        slow.spawn(drip(ground.web, begin));
    }
    while let Some(ended) = slow.join_next().await {
        let (status, after) = ended.expect("it is answered");
        assert_eq!(status, 408);
        assert!(after >= HEAD_TIME / 2 && after < HEAD_TIME * 3, "{after:?}");
    }
    memory::grew_at_most(before, 32);
    assert_eq!(idle.ask(ask).await.text(), "/kept");
    witness.was_unharmed().await;
    assert!(backend.whole().iter().all(|(path, _)| path != "/slow"));
}

#[tokio::test]
async fn bodies_that_drip_keep_nobody_waiting() {
    let _others = memory::others().await;
    let (mut ground, backend) = (Ground::start().await, Backend::start().await);
    ground.baseline(&[backend.address]);
    let mut slow = Vec::new();
    for n in 0..300 {
        let mut talk = Talk::to(ground.web).await;
        let framing = if n % 2 == 0 { "content-length: 100" } else { "transfer-encoding: chunked" };
        talk.send(format!("POST /slow HTTP/1.1\r\nhost: web\r\n{framing}\r\n\r\n0")).await;
        slow.push(talk);
    }
    let witness = Witness::of(&ground);
    for _ in 0..3 {
        for talk in &mut slow {
            // A byte of the length, or of the chunk's size.
            talk.send("0").await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    witness.was_unharmed().await;
}

#[tokio::test]
async fn clients_that_say_nothing_or_do_not_read_keep_nobody_waiting() {
    let _others = memory::others().await;
    let (mut ground, backend) = (Ground::start().await, Backend::start().await);
    ground.baseline(&[backend.address]);
    let (mut silent, mut deaf) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        silent.push(Talk::to(ground.web).await);
        let mut talk = Talk::to(ground.web).await;
        talk.send("GET /large HTTP/1.1\r\nhost: web\r\n\r\n".repeat(5)).await;
        deaf.push(talk);
    }
    let witness = Witness::of(&ground);
    tokio::time::sleep(Duration::from_secs(1)).await;
    witness.was_unharmed().await;
    // And those who were slow are served when they want to be.
    assert_eq!(deaf[0].answer().await.body.len(), 4 << 20);
    assert_eq!(silent[0].ask("GET /late HTTP/1.1\r\nhost: web\r\n\r\n").await.text(), "/late");
}
