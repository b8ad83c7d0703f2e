//! The end of a router, while it works.

use super::{
    backend::{Backend, Played, named_h2, played},
    ground::{Ground, SOON},
    talk::{Talk, get},
};
use lapdev_api::route::RoutingTable;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

#[tokio::test]
async fn what_is_under_way_is_finished_and_each_connection_is_told() {
    let (mut ground, backend) = played().await;
    let (mut slow, mut idle) = (Talk::to(ground.web).await, Talk::to(ground.web).await);
    idle.send(get("")).await;
    let mut server = backend.accept().await;
    server.answer_with("").await;
    assert_eq!(idle.answer().await.field("connection"), None);
    slow.send(get("")).await;
    server.until("\r\n\r\n").await;
    let drain = tokio::spawn(ground.drain(Duration::from_secs(15)));
    // Still accepted at first: who was told of this router before must not be refused.
    let mut late = Talk::to(ground.web).await;
    late.send(get("")).await;
    let mut other = backend.accept().await;
    other.answer_with("ok").await;
    assert_eq!(late.answer().await.text(), "ok");
    assert_eq!(idle.rest().await, b"", "an idle connection ends");
    server.ok("slow").await;
    let answer = slow.answer().await;
    assert_eq!((answer.text(), answer.field("connection")), ("slow", Some("close")));
    tokio::time::timeout(SOON, drain).await.expect("nothing is left to wait for").expect("it ends");
    assert!(TcpStream::connect(ground.web).await.is_err());
}

#[tokio::test]
async fn what_is_under_way_is_finished_however_many_ports_are_listened_on() {
    let many = |table: &mut RoutingTable| {
        let like = table.services["web"].clone();
        for number in 1..300 {
            let (name, mut service) = (format!("other-{number}"), like.clone());
            service.baseline = format!("{name}--baseline");
            service.ports[0].listen += number;
            table.services.insert(name, service);
        }
    };
    let (mut ground, backend) = (Ground::with(many).await, Played::new().await);
    ground.baseline(&[backend.address]);
    let (_client, _server) = backend.asked(&ground, get("")).await;
    let begun = Instant::now();
    tokio::time::timeout(SOON, ground.drain(Duration::from_secs(2))).await.expect("it ends");
    assert!(begun.elapsed() >= Duration::from_secs(2), "it waited for the one request");
}

#[tokio::test]
async fn what_takes_too_long_is_cut() {
    let (mut ground, backend) = played().await;
    let (mut client, _server) = backend.asked(&ground, get("")).await;
    let begun = Instant::now();
    tokio::time::timeout(SOON, ground.drain(Duration::from_secs(2))).await.expect("it ends");
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert!(!client.more().await);
}

#[tokio::test]
async fn a_connection_that_nobody_has_used_yet_delays_the_end_only_for_a_moment() {
    let (mut ground, backend) = played().await;
    let mut client = Talk::to(ground.web).await;
    // Silent for so long that its server was asked, and says nothing either.
    let mut server = backend.accept().await;
    tokio::time::timeout(SOON, ground.drain(SOON * 3)).await.expect("nothing is under way");
    assert_eq!((client.rest().await, server.rest().await), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn http2_clients_are_told_to_go_away_and_their_streams_are_finished() {
    let (mut ground, backend) = (Ground::start().await, Backend::http2(named_h2, "base").await);
    ground.baseline(&[backend.address]);
    let mut client = super::http2::connect(&ground).await;
    let (answer, mut body) = super::http2::ask(&mut client, "", false).await;
    let answer = answer.await.expect("it is answered");
    let drain = tokio::spawn(ground.drain(Duration::from_secs(6)));
    tokio::time::timeout(SOON, async {
        // Refused once the client has been told.
        loop {
            let Ok(mut ready) = client.clone().ready().await else { break };
            let Ok((answer, _)) = ready.send_request(super::http2::request(""), true) else { break };
            let Ok(answer) = answer.await else { break };
            super::http2::read(answer.into_body()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("it is told");
    body.send_data("more".into(), true).expect("its stream goes on");
    assert_eq!(super::http2::read(answer.into_body()).await.0, "basemore");
    tokio::time::timeout(SOON, drain).await.expect("nothing is left to wait for").expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_loses_nothing_over_the_end_of_a_router() {
    let (mut ground, backend) = (Ground::of(2, |_| {}).await, Backend::named("base").await);
    ground.baseline(&[backend.address]);
    let web = ground.web;
    let clients: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let mut answered = 0;
                // A client that keeps its connection as HTTP/1.1 has it, and opens another when it is told.
                while let Ok(stream) = TcpStream::connect(web).await {
                    let mut client = Talk::of(stream);
                    loop {
                        let answer = client.ask(&get("")).await;
                        assert_eq!(answer.status, 200);
                        answered += 1;
                        if answer.field("connection") == Some("close") {
                            break;
                        }
                    }
                }
                answered
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::timeout(SOON, ground.drain(Duration::from_secs(3))).await.expect("it ends");
    for client in clients {
        assert!(client.await.expect("nothing was lost") > 10);
    }
}
