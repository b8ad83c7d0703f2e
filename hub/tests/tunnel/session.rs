//! Who may have a session, and how each kind of end is taken.

use crate::{
    app,
    browser::{ask, collect, get, http1, tls},
    lab::{Agent, Environment, Lab, cluster, until},
    relay::Relay,
};
use http::Response;
use hyper::service::service_fn;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use lapdev_agent::tunnel::TunnelState;
use lapdev_api::wire::{AgentMessage, EPOCH_HEADER, SUBPROTOCOL, TUNNEL_PATH, close};
use lapdev_tunnel::{
    body, h2,
    lines::encode,
    link::{Ended, Heartbeat, link},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{client_async, tungstenite::client::IntoClientRequest};
use tokio_util::task::TaskTracker;

fn disconnected(with: &'static str) -> impl Fn(&TunnelState) -> bool {
    move |state| matches!(state, TunnelState::Disconnected(why) if why.contains(with))
}

#[tokio::test]
async fn revoking_a_token_ends_the_live_session_and_lets_no_new_one_in() {
    let lab = Lab::start().await;
    let mut agent = lab.agent("dev").await;
    agent.synced().await;
    let cluster = "dev".parse().expect("legal");
    assert!(lab.store.revoke_token(&cluster, &agent.token_id).await.expect("stored"));
    agent.reaches("code 4003", disconnected("4003")).await;
    until("the session's end in the store", async || !lab.connected("dev").await).await;
    let request = get("localhost", TUNNEL_PATH)
        .header("authorization", format!("Bearer {}", agent.token))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", SUBPROTOCOL)
        .header(EPOCH_HEADER, "9");
    assert_eq!(ask(&lab, request).await.status, 401);
}

#[tokio::test]
async fn a_newer_epoch_takes_over_and_an_older_one_stands_by() {
    let lab = Lab::start().await;
    let mut first = Agent::start(&lab, "dev", lab.address, 5, Arc::default()).await;
    first.synced().await;
    let mut second = Agent::start(&lab, "dev", lab.address, 6, Arc::default()).await;
    second.synced().await;
    first.reaches("stand-by", |state| *state == TunnelState::StandBy).await;
    let mut third = Agent::start(&lab, "dev", lab.address, 4, Arc::default()).await;
    // It stands by from the start; a session is what would change that.
    third.state.mark_unchanged();
    third.state.changed().await.expect("the tunnel runs");
    assert_eq!(*third.state.borrow(), TunnelState::StandBy);
    assert_eq!(*second.state.borrow(), TunnelState::Synced);
    // The Lease moves on, and so does the session, at once.
    first.epoch.send_replace(Some(7));
    first.synced().await;
    second.reaches("stand-by", |state| *state == TunnelState::StandBy).await;
}

#[tokio::test]
async fn after_a_restart_agents_are_back_within_moments() {
    let mut lab = Lab::start().await;
    let mut agent = lab.agent("dev").await;
    agent.synced().await;
    // Looked for while it happens: the agent dials anew at once, and then says why that failed.
    tokio::join!(lab.stop(), agent.reaches("code 1012", disconnected("1012")));
    assert!(!lab.connected("dev").await);
    lab.serve().await;
    let started = Instant::now();
    agent.synced().await;
    // 2 s of spread, and what a busy machine adds.
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

#[tokio::test]
async fn what_git_permits_reaches_a_connected_agent() {
    let lab = Lab::start().await;
    let mut agent = lab.agent("dev").await;
    agent.synced().await;
    let mut changed = cluster("dev");
    changed.source_namespaces = vec!["shop".parse().expect("legal")];
    lab.store.put_clusters(&[changed.clone(), cluster("other")]).await.expect("stored");
    let told = async || {
        let begun = agent.memory.begun.lock().expect("sound");
        begun.last().is_some_and(|policy| policy.source_namespaces == changed.source_namespaces)
    };
    until("the new policy", told).await;
    // A cluster that git no longer declares loses its session.
    lab.store.put_clusters(&[cluster("other")]).await.expect("stored");
    agent.reaches("the refusal", disconnected("declares no cluster dev")).await;
}

#[tokio::test]
async fn a_request_that_is_under_way_ends_before_the_hub_does() {
    let mut lab = Lab::start().await;
    let (mut agent, environment, counts) = lab.with_web().await;
    let mut sender = http1(&lab).await;
    let request = get(&environment.host(), "/gather?late").body(body::empty()).expect("legal");
    let asked = tokio::spawn(async move { sender.send_request(request).await });
    until("the request at the application", async || *counts.gathered.borrow() == 1).await;
    let stopped = tokio::spawn(async move { lab.stop().await });
    // The agent is told only when the request had its time.
    counts.gathered.send_replace(app::GATHERED);
    let answer = async { collect(asked.await.expect("asked").expect("an answer")).await };
    let (answer, stopped, _) = tokio::join!(answer, stopped, agent.reaches("code 1012", disconnected("1012")));
    assert_eq!(answer.text(), "true late");
    stopped.expect("it ends");
}

#[tokio::test]
async fn an_agent_of_another_protocol_is_told_so() {
    let lab = Lab::start().await;
    let name = "dev".parse().expect("legal");
    let token = lab.store.create_token(&name, jiff::Timestamp::now()).await.expect("made").secret.expect("once");
    let mut request = format!("wss://localhost{TUNNEL_PATH}").into_client_request().expect("legal");
    for (name, value) in [
        ("authorization", format!("Bearer {token}")),
        ("sec-websocket-protocol", SUBPROTOCOL.to_owned()),
        (EPOCH_HEADER, "1".to_owned()),
    ] {
        request.headers_mut().insert(name, value.parse().expect("legal"));
    }
    let (socket, _) = client_async(request, tls(&lab, "http/1.1").await).await.expect("a WebSocket");
    let (bytes, _closer, pump) = link(socket, Heartbeat::default());
    let hello = AgentMessage::Hello { protocol: 99, version: String::new(), kubernetes: String::new(), held: vec![] };
    let (said, lines) = tokio::sync::mpsc::channel(1);
    said.send(encode(&hello)).await.expect("open");
    let lines = std::sync::Mutex::new(Some(lines));
    let service = service_fn(move |_| {
        let lines = lines.lock().expect("sound").take().expect("one control stream");
        std::future::ready(Ok::<_, std::convert::Infallible>(Response::new(body::channel(lines))))
    });
    let tasks = TaskTracker::new();
    let connection = h2::server(&tasks).serve_connection(TokioIo::new(bytes), service);
    let (ended, _) = tokio::join!(pump.run(), connection);
    let Ended::Peer { code, reason } = ended else { panic!("{ended}") };
    assert_eq!(code, close::PROTOCOL);
    assert_eq!(reason, "the agent speaks protocol 99, the control plane 1; upgrade the older of the two");
}

#[tokio::test]
async fn what_is_no_tunnel_is_refused_in_words() {
    let lab = Lab::start().await;
    let plain = ask(&lab, get("localhost", TUNNEL_PATH)).await;
    assert_eq!((plain.status.as_u16(), plain.header("upgrade")), (426, "websocket"));
    let websocket = |token: &str| {
        get("localhost", TUNNEL_PATH)
            .header("authorization", format!("Bearer {token}"))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let unknown = ask(&lab, websocket("lapdev_unknown").header("sec-websocket-protocol", SUBPROTOCOL)).await;
    assert_eq!(unknown.status, 401);
    assert!(unknown.text().contains("lapdev token create"), "{}", unknown.text());
    let other = ask(&lab, websocket("lapdev_unknown").header("sec-websocket-protocol", "lapdev.v9")).await;
    assert_eq!(other.status, 426);
    let name = "undeclared".parse().expect("legal");
    let token = lab.store.create_token(&name, jiff::Timestamp::now()).await.expect("made").secret.expect("once");
    let request = websocket(&token).header("sec-websocket-protocol", SUBPROTOCOL).header(EPOCH_HEADER, "1");
    let undeclared = ask(&lab, request).await;
    assert_eq!(undeclared.status, 503);
    assert!(undeclared.text().contains("declares no cluster undeclared"), "{}", undeclared.text());
}

#[tokio::test]
async fn a_cut_wire_is_dialled_again() {
    let lab = Lab::start().await;
    let relay = Relay::to(lab.address).await;
    let mut agent = Agent::start(&lab, "dev", relay.address, 1, Arc::default()).await;
    agent.synced().await;
    relay.cut_after(0);
    // Anything that the hub says runs into the cut.
    lab.publish(&Environment::new('a', "staging"), 1).await;
    agent.reaches("the loss", |state| matches!(state, TunnelState::Disconnected(_))).await;
    agent.synced().await;
    assert_eq!(relay.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_unknown_certificate_is_not_trusted() {
    let lab = Lab::start().await;
    let forget = |settings: &mut lapdev_agent::tunnel::TunnelSettings| settings.ca_file = None;
    let mut agent = Agent::through(&lab, "dev", lab.address, 1, Arc::default(), forget).await;
    agent.reaches("no TLS", disconnected("authority that this agent trusts")).await;
}

#[tokio::test]
async fn the_tunnel_goes_through_a_proxy_with_its_password() {
    let lab = Lab::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let proxy = listener.local_addr().expect("an address");
    let target = lab.address;
    let served = tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(near.read_u8().await.expect("a request"));
        }
        let mut far = TcpStream::connect(target).await.expect("the hub");
        near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("answered");
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        String::from_utf8(head).expect("text")
    });
    let through = move |settings: &mut lapdev_agent::tunnel::TunnelSettings| {
        settings.proxy = Arc::new(Matcher::builder().https(format!("http://user:secret@{proxy}")).build());
    };
    let mut agent = Agent::through(&lab, "dev", lab.address, 1, Arc::default(), through).await;
    agent.synced().await;
    let head = served.await.expect("served").to_ascii_lowercase();
    assert!(head.starts_with(&format!("connect localhost:{} http/1.1\r\n", target.port())), "{head}");
    assert!(head.contains("proxy-authorization: basic dxnlcjpzzwnyzxq="), "{head}");
    // Only the envelope of CONNECT may be seen on the way.
    assert!(!head.contains("lapdev"), "{head}");
}

#[tokio::test]
async fn a_session_needs_no_http2_on_the_outside() {
    let lab = Lab::start().await;
    assert_eq!(tls(&lab, "http/1.1").await.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}
