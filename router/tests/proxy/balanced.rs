//! Which endpoint answers, and what happens when one does not.

use super::{
    backend::{Backend, played, refusing},
    ground::{Ground, KEY},
    talk::{Talk, get, get_of},
};
use std::{collections::BTreeSet, net::SocketAddr, sync::atomic::Ordering};

#[tokio::test]
async fn an_endpoint_that_refuses_costs_no_request_and_is_left_out_after_a_while() {
    let (mut ground, alive) = (Ground::start().await, Backend::named("alive").await);
    let (_socket, refuses) = refusing();
    ground.baseline(&[alive.address, refuses]);
    for _ in 0..60 {
        let mut client = Talk::to(ground.web).await;
        assert_eq!(client.ask(&get("")).await.status, 200);
    }
    assert_eq!(alive.requests.load(Ordering::SeqCst), 60);
    assert_eq!(ground.metric("endpoint_connection_failures_total"), "3");
    assert_eq!(ground.metric("ejections_total"), "1");
}

#[tokio::test]
async fn a_get_on_a_kept_connection_that_the_endpoint_closes_is_sent_again() {
    let (ground, backend) = played().await;
    let (mut client, mut server) = backend.asked(&ground, get("")).await;
    server.ok("").await;
    client.answer().await;
    client.send(get("x: second\r\n")).await;
    // It has the request, and closes without one byte: as a server does that was just about to close.
    assert!(server.until("\r\n\r\n").await.contains("second"));
    drop(server);
    let mut server = backend.accept().await;
    assert!(server.until("\r\n\r\n").await.contains("second"));
    server.ok("ok").await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_post_is_never_sent_twice_and_takes_no_connection_that_the_endpoint_closed() {
    let (ground, backend) = played().await;
    let (mut client, mut server) = backend.asked(&ground, get("")).await;
    server.ok("").await;
    client.answer().await;
    drop(server);
    let post = "POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 2\r\n\r\nhi";
    client.send(post).await;
    let mut server = backend.accept().await;
    server.until("\r\n\r\nhi").await;
    drop(server);
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.field("x-lapdev-error")), (502, Some("broken-answer")));
    let again = tokio::time::timeout(std::time::Duration::from_millis(300), backend.accept()).await;
    assert!(again.is_err(), "it was sent again");
}

#[tokio::test]
async fn a_client_stays_with_its_endpoint_where_the_service_wants_it() {
    let mut ground = Ground::with(|table| {
        table.services.values_mut().for_each(|service| service.affinity_seconds = Some(60));
    })
    .await;
    let (a, b, c) = (Backend::named("a").await, Backend::named("b").await, Backend::named("c").await);
    ground.baseline(&[a.address, b.address, c.address]);
    let mut names = BTreeSet::new();
    for _ in 0..20 {
        let answer = Talk::to(ground.web).await.ask(&get("")).await;
        names.insert(answer.text().lines().next().expect("a name").to_owned());
    }
    assert_eq!(names.len(), 1, "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_come_and_go_under_load_and_nothing_is_lost() {
    let mut ground = Ground::of(2, |_| {}).await;
    let (a, b, c) = (Backend::named("a").await, Backend::named("b").await, Backend::named("c").await);
    let branch = Backend::named("branch").await;
    let pools: [Vec<SocketAddr>; 3] =
        [vec![a.address], vec![b.address, c.address], vec![a.address, b.address, c.address]];
    ground.baseline(&pools[0]);
    let (web, requests) = (ground.web, 600);
    let clients: Vec<_> = (0..8)
        .map(|number| {
            tokio::spawn(async move {
                let mut client = Talk::to(web).await;
                for n in 0..requests {
                    let of_branch = (n + number) % 2 == 0;
                    let answer = client.ask(&if of_branch { get_of(KEY) } else { get("") }).await;
                    assert_eq!(answer.status, 200);
                    // The branch comes and goes meanwhile: but what the head says answered is what answered.
                    assert_eq!(answer.text().starts_with("branch\n"), answer.served_by() == KEY);
                    assert!(of_branch || answer.served_by() == "baseline");
                }
            })
        })
        .collect();
    let mut changes = 0;
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
        ground.baseline(&pools[changes % 3]);
        if changes % 2 == 0 {
            ground.branch(KEY, &[branch.address]);
        } else {
            ground.close(KEY);
        }
        changes += 1;
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    for client in clients {
        client.await.expect("every request was answered rightly");
    }
    assert!(changes > 10);
}
