//! A version without endpoints: its requests wait, for so long.

use super::{
    backend::{Backend, refusing},
    ground::{Ground, KEY},
    talk::{Talk, get, get_of},
};
use std::time::{Duration, Instant};

async fn held(ground: &Ground) {
    tokio::time::timeout(super::ground::SOON, async {
        while ground.metric("holding") != "1" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it is held");
}

#[tokio::test]
async fn a_request_waits_for_its_branch_and_is_answered_when_that_is_ready() {
    let (mut ground, baseline, branch) =
        (Ground::start().await, Backend::named("base").await, Backend::named("branch").await);
    ground.baseline(&[baseline.address]);
    ground.branch(KEY, &[]);
    let (mut client, mut other) = (Talk::to(ground.web).await, Talk::to(ground.web).await);
    client.send(get_of(KEY)).await;
    held(&ground).await;
    assert_eq!(other.ask(&get("")).await.served_by(), "baseline", "others do not wait");
    ground.branch(KEY, &[branch.address]);
    let answer = client.answer().await;
    assert_eq!((answer.served_by(), answer.status), (KEY, 200));
    assert_eq!(ground.metric("holding"), "0");
}

#[tokio::test]
async fn a_request_that_waits_in_vain_is_told_so_and_when_to_try_again() {
    let mut ground = Ground::with(|table| table.hold_seconds = 1).await;
    ground.branch(KEY, &[]);
    let (mut client, begun) = (Talk::to(ground.web).await, Instant::now());
    let answer = client.ask(&get_of(KEY)).await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("2")));
    assert_eq!((answer.served_by(), answer.field("x-lapdev-error")), (KEY, Some("not-ready")));
    assert_eq!(answer.text(), format!("lapdev: service web of branch environment {KEY} has no ready endpoint\n"));
    let answer = client.ask(&get("")).await;
    assert_eq!((answer.status, answer.served_by()), (503, "baseline"));
    assert_eq!(answer.text(), "lapdev: the baseline of service web has no ready endpoint\n");
}

#[tokio::test]
async fn a_branch_that_closes_while_a_request_waits_gives_it_to_the_baseline() {
    let (mut ground, baseline) = (Ground::start().await, Backend::named("base").await);
    ground.baseline(&[baseline.address]);
    ground.branch(KEY, &[]);
    let mut client = Talk::to(ground.web).await;
    client.send(get_of(KEY)).await;
    held(&ground).await;
    ground.close(KEY);
    assert_eq!(client.answer().await.served_by(), "baseline");
}

#[tokio::test]
async fn endpoints_that_all_refuse_are_tried_again_while_there_is_time() {
    let mut ground = Ground::with(|table| table.hold_seconds = 1).await;
    let (socket, address) = refusing();
    ground.baseline(&[address]);
    let answer = Talk::to(ground.web).await.ask(&get("")).await;
    assert_eq!((answer.status, answer.field("x-lapdev-error")), (503, Some("unreachable")));
    assert_eq!(answer.text(), "lapdev: the baseline of service web accepts no connections\n");
    drop(socket);

    let mut ground = Ground::start().await;
    let (socket, address) = refusing();
    ground.baseline(&[address]);
    let mut client = Talk::to(ground.web).await;
    client.send(get("")).await;
    held(&ground).await;
    let listener = socket.listen(8).expect("it listens now");
    let mut server = Talk::of(listener.accept().await.expect("it is tried again").0);
    server.until("\r\n\r\n").await;
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_client_that_gives_up_while_it_waits_is_not_waited_for() {
    let mut ground = Ground::start().await;
    ground.branch(KEY, &[]);
    let mut client = Talk::to(ground.web).await;
    client.send(get_of(KEY)).await;
    held(&ground).await;
    client.stream.set_zero_linger().expect("it is open");
    drop(client);
    tokio::time::timeout(Duration::from_secs(5), async {
        while ground.metric("holding") != "0" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it is given up");
}
