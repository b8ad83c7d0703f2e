//! Previews as people meet them, and the routes beside them.

use crate::{
    app,
    browser::{ask, collect, get, http1, http2},
    lab::{Agent, Environment, Lab, target, until},
};
use http::Request;
use hyper_util::rt::TokioIo;
use lapdev_api::{
    kinds::Access,
    link,
    record::Life,
    status::Phase,
    view::{AuditReport, ClusterView, EnvironmentList, EnvironmentView, TokenView},
    wire::TUNNEL_PATH,
};
use lapdev_store::Publication;
use lapdev_tunnel::body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn served(access: Access) -> (Lab, Agent, Environment) {
    let lab = Lab::start().await;
    let mut agent = lab.agent("dev").await;
    agent.synced().await;
    for service in ["web", "api"] {
        agent.memory.serve(service, app::start(service).await.0);
    }
    let mut environment = Environment { access, ..Environment::new('a', "staging") };
    environment.routes.push(("/api".to_owned(), target("api")));
    lab.show(&agent, &environment).await;
    (lab, agent, environment)
}

#[tokio::test]
async fn a_request_reaches_the_service_of_its_path_and_says_whom_it_is_from() {
    let (lab, _agent, environment) = served(Access::Public).await;
    let host = environment.host();
    assert_eq!(ask(&lab, get(&host, "/index")).await.text(), "web /index");
    assert_eq!(ask(&lab, get(&host, "/api/carts")).await.text(), "api /api/carts");
    assert_eq!(ask(&lab, get(&host, "/apis")).await.text(), "web /apis");
    let request = get(&host, "/request?x=%20y")
        .header("lapdev-forward", "bbbbbbbbbbbbbbbb/kube-system/secrets/443")
        .header("connection", "keep-alive, x-private")
        .header("x-private", "1")
        .header("cookie", "lapdev-preview=abc; theme=dark");
    let seen = ask(&lab, request).await.text();
    let expected = format!(
        "GET /request?x=%20y\ncookie: theme=dark\nhost: {host}\nx-forwarded-for: 127.0.0.1\nx-forwarded-host: {host}\n\
         x-forwarded-proto: https"
    );
    assert_eq!(seen, expected);
    let teapot = ask(&lab, get(&host, "/teapot")).await;
    assert_eq!(
        (teapot.status.as_u16(), teapot.text().as_str(), teapot.header("lapdev-error")),
        (418, "short and stout", "")
    );
}

#[tokio::test]
async fn a_branchs_preview_carries_its_key_and_nobody_elses() {
    let (lab, agent, _) = served(Access::Public).await;
    let branch = Environment { key: Some("x-abc234"), ..Environment::new('b', "x") };
    lab.show(&agent, &branch).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = get(&branch.host(), "/request")
        .header("traceparent", parent)
        .header("tracestate", "a=1,lapdev=evil")
        .header("baggage", "%6Capdev=evil,user=1");
    let seen = ask(&lab, request).await.text();
    for line in [
        "\ntracestate: lapdev=x-abc234,a=1",
        "\nbaggage: lapdev=x-abc234,user=1\n",
        &format!("\ntraceparent: {parent}\n"),
    ] {
        assert!(seen.contains(line), "{line}: {seen}");
    }
    let seen = ask(&lab, get(&branch.host(), "/request")).await.text();
    assert!(seen.contains("\ntraceparent: 00-") && seen.contains("\ntracestate: lapdev=x-abc234"), "{seen}");
}

#[tokio::test]
async fn a_browser_waits_at_a_page_for_what_a_router_holds_back_and_a_program_gets_the_routers_answer() {
    let (lab, agent, environment) = served(Access::Public).await;
    let page = async || ask(&lab, get(&environment.host(), "/held").header("accept", "text/html")).await;
    let answer = page().await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "5"));
    assert!(
        answer.text().contains("<h1>staging is not ready</h1>") && answer.text().contains("http-equiv"),
        "{}",
        answer.text()
    );
    agent.memory.outbox.status(environment.status(1, Phase::Failed, "cart: ImagePullBackOff"));
    until("the pods' own reason", async || page().await.text().contains("Cart: ImagePullBackOff.")).await;
    let program = ask(&lab, get(&environment.host(), "/held")).await;
    assert_eq!((program.status.as_u16(), program.header("retry-after")), (503, "1"));
    assert_eq!(program.text(), "cart (x-abc234) has no ready pod");
}

#[tokio::test]
async fn a_link_becomes_a_cookie_and_opens_one_host_only() {
    let (lab, agent, environment) = served(Access::Organization).await;
    let other = Environment { access: Access::Organization, ..Environment::new('b', "other") };
    lab.show(&agent, &other).await;
    let host = environment.host();
    let stranger = ask(&lab, get(&host, "/").header("accept", "text/html")).await;
    assert_eq!(stranger.status, 401);
    assert!(stranger.text().contains("<h1>This preview needs its link</h1>"), "{}", stranger.text());
    let secret = lab.store.secret(link::SECRET).await.expect("made");
    let token = link::sign(&secret, &environment.uid, &host);
    let followed = ask(&lab, get(&host, &format!("/cart?a=1&lapdev-token={token}&b=2"))).await;
    assert_eq!((followed.status.as_u16(), followed.header("location")), (303, "/cart?a=1&b=2"));
    let cookie = followed.header("set-cookie").to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax; Secure") && !cookie.contains("Domain"), "{cookie}");
    let cookie = cookie.split(';').next().expect("a pair");
    let seen = ask(&lab, get(&host, "/request").header("cookie", format!("{cookie}; a=b"))).await;
    assert_eq!(seen.status, 200);
    assert!(seen.text().contains("cookie: a=b\n") && !seen.text().contains(&token), "{}", seen.text());
    // Neither cookie nor token is worth anything elsewhere.
    assert_eq!(ask(&lab, get(&other.host(), "/").header("cookie", cookie)).await.status, 401);
    assert_eq!(ask(&lab, get(&other.host(), &format!("/?lapdev-token={token}"))).await.status, 401);
    // A request that is no page view is let through without a detour, and the token stays here.
    let post = Request::post(format!("/request?lapdev-token={token}")).header("host", &host);
    let posted = ask(&lab, post).await;
    assert!(posted.text().contains("POST /request") && !posted.text().contains(&token), "{}", posted.text());
}

#[tokio::test]
async fn a_host_belongs_to_a_preview_or_to_the_control_plane_never_to_both() {
    let (lab, _agent, environment) = served(Access::Public).await;
    let host = environment.host();
    let admin = format!("Bearer {}", lab.admin_token());
    assert_eq!(
        ask(&lab, get(&host, "/api/v1/environments").header("authorization", &admin)).await.text(),
        "api /api/v1/environments"
    );
    assert_eq!(ask(&lab, get(&host, "/healthz")).await.text(), "web /healthz");
    assert_eq!(ask(&lab, get(&host, TUNNEL_PATH)).await.text(), format!("api {TUNNEL_PATH}"));
    assert_eq!(ask(&lab, get("localhost", "/healthz")).await.text(), "ok\n");
    assert_eq!(ask(&lab, get("localhost", "/webhooks/github")).await.text(), "webhook");
    assert_eq!(ask(&lab, get(&format!("{}.:8443", host.to_uppercase()), "/x")).await.text(), "web /x");
    let unknown = ask(&lab, get("web--nobody.preview.test", "/healthz")).await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("No environment has the address web--nobody.preview.test"), "{}", unknown.text());
    let two = get(&host, "/healthz").header("host", "localhost");
    assert_eq!(ask(&lab, two).await.status, 400);
    let absolute = Request::get("https://localhost/healthz").header("host", &host);
    assert_eq!(ask(&lab, absolute).await.status, 400);
}

#[tokio::test]
async fn what_is_not_there_is_said_in_words() {
    let (lab, agent, environment) = served(Access::Public).await;
    let host = environment.host();
    // Applied, but the Service is not there (yet): the agent's words, then the environment's own state.
    agent.memory.services.lock().expect("sound").clear();
    let making = ask(&lab, get(&host, "/")).await;
    assert_eq!(making.status, 503);
    assert!(making.text().contains("Its cluster has not reported yet."), "{}", making.text());
    agent.memory.outbox.status(environment.status(1, Phase::Failed, "web: ImagePullBackOff"));
    until("the status", async || lab.store.status(&environment.uid).await.expect("read").is_some()).await;
    let failed = ask(&lab, get(&host, "/")).await;
    assert_eq!((failed.status.as_u16(), failed.header("retry-after")), (503, "5"));
    assert!(failed.text().starts_with("staging is not ready: Failed\n\nWeb: ImagePullBackOff."), "{}", failed.text());
    // A target that no bundle declares is refused by the agent, whatever the store says.
    let mut wider = environment.record(
        1,
        lab.store.environment(&environment.uid).await.expect("read").expect("there").digest,
        Life::Live,
    );
    wider.previews[0].routes = vec![("/".to_owned(), target("undeclared"))];
    wider.generation = lapdev_api::name::Generation(1);
    lab.store.publish(Publication { records: vec![wider], bundles: vec![] }).await.expect("published");
    agent.memory.outbox.status(environment.status(1, Phase::Ready, ""));
    let undeclared = async || ask(&lab, get(&host, "/")).await.text().contains("declares shop/undeclared");
    until("the refusal", undeclared).await;
    assert_eq!(ask(&lab, get(&host, "/")).await.status, 502);
    drop(agent);
    until("the session's end", async || !lab.connected("dev").await).await;
    let away = ask(&lab, get(&host, "/")).await;
    assert_eq!(away.status, 503);
    assert!(away.text().contains("Cluster dev is not connected"), "{}", away.text());
    lab.close(&environment, 2).await;
    let closed = ask(&lab, get(&host, "/")).await;
    assert_eq!(closed.status, 410);
    assert!(closed.text().contains("It runs again when its file is back"), "{}", closed.text());
}

#[tokio::test]
async fn a_websocket_passes_both_ways() {
    let (lab, _agent, environment) = served(Access::Public).await;
    let request = get(&environment.host(), "/socket")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let mut sender = http1(&lab).await;
    let response = sender.send_request(request.body(body::empty()).expect("legal")).await.expect("an answer");
    assert_eq!(response.status(), 101);
    // RFC 6455, 1.3: the answer to that very key.
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let mut io = TokioIo::new(hyper::upgrade::on(response).await.expect("upgraded"));
    for message in [&b"one"[..], &[7; 100_000]] {
        io.write_all(message).await.expect("written");
        let mut back = vec![0; message.len()];
        io.read_exact(&mut back).await.expect("read");
        assert_eq!(back, message);
    }
    drop(io);
    // Over HTTP/2 a browser asks by an extended CONNECT.
    let mut sender = http2(&lab).await;
    let uri = format!("https://{}/socket", environment.host());
    let mut request = Request::connect(uri).header("sec-websocket-version", "13").body(body::empty()).expect("legal");
    request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
    let response = sender.send_request(request).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let mut io = TokioIo::new(hyper::upgrade::on(response).await.expect("upgraded"));
    io.write_all(b"two").await.expect("written");
    let mut back = [0; 3];
    io.read_exact(&mut back).await.expect("read");
    assert_eq!(&back, b"two");
    drop(io);
    // Where the application has none, its own answer comes back.
    let plain = get(&environment.host(), "/teapot")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let mut sender = http1(&lab).await;
    let refused = sender.send_request(plain.body(body::empty()).expect("legal")).await.expect("an answer");
    assert_eq!(collect(refused).await.status, 418);
}

#[tokio::test]
async fn the_api_shows_what_is_and_makes_and_revokes_tokens() {
    let (lab, agent, environment) = served(Access::Public).await;
    let admin = format!("Bearer {}", lab.admin_token());
    for path in ["/api/v1", "/api/v1/", "/api/v1/environments", "/api/v1/nothing", "/metrics"] {
        assert_eq!(ask(&lab, get("localhost", path)).await.status, 401, "{path}");
        let wrong = get("localhost", path).header("authorization", "Bearer lapdev_admin_wrong");
        assert_eq!(ask(&lab, wrong).await.status, 401, "{path}");
    }
    let read = async |path: &str| ask(&lab, get("localhost", path).header("authorization", &admin)).await;
    agent.memory.outbox.status(environment.status(1, Phase::Ready, ""));
    until("the status", async || lab.store.status(&environment.uid).await.expect("read").is_some()).await;
    let list: EnvironmentList = serde_json::from_slice(&read("/api/v1/environments").await.body).expect("a list");
    let one: EnvironmentView =
        serde_json::from_slice(&read("/api/v1/environments/staging").await.body).expect("a view");
    assert_eq!((list.items.len(), &list.items[0], one.phase), (1, &one, Phase::Ready));
    assert_eq!(one.links[0].url, format!("https://{}:8443/", environment.host()));
    let clusters: Vec<ClusterView> = serde_json::from_slice(&read("/api/v1/clusters").await.body).expect("a list");
    let summary: Vec<_> = clusters.iter().map(|c| (c.name.as_str(), c.connected, c.environments)).collect();
    assert_eq!(summary, [("dev", true, 1), ("other", false, 0)]);
    let audit: AuditReport = serde_json::from_slice(&read("/api/v1/audit").await.body).expect("a report");
    let kinds: Vec<_> = audit.findings.iter().map(|f| (f.cluster.as_str(), f.kind.as_str())).collect();
    assert_eq!((audit.checked, kinds.as_slice()), (1, &[("other", "NotConnected")][..]));
    let nobody = read("/api/v1/environments/stagin").await;
    assert_eq!(nobody.status, 404);
    assert!(nobody.text().contains("no environment stagin; did you mean staging?"), "{}", nobody.text());
    assert_eq!(read("/api/v1/clusters/dve/tokens").await.status, 404);
    let metrics = read("/metrics").await;
    assert!(metrics.text().contains("lapdev_agents_connected 1"));
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text; version=1.0.0"));
    let token = |method: &str, path: &str| {
        Request::builder()
            .method(method)
            .uri(path.to_owned())
            .header("host", "localhost")
            .header("authorization", &admin)
    };
    let made = ask(&lab, token("POST", "/api/v1/clusters/dev/tokens")).await;
    assert_eq!(made.status, 201);
    let made: TokenView = serde_json::from_slice(&made.body).expect("a token");
    assert!(made.secret.is_some_and(|secret| secret.starts_with("lapdev_")));
    let tokens: Vec<TokenView> =
        serde_json::from_slice(&read("/api/v1/clusters/dev/tokens").await.body).expect("a list");
    assert_eq!((tokens.len(), tokens.iter().filter(|token| token.secret.is_some()).count()), (2, 0));
    let path = format!("/api/v1/clusters/dev/tokens/{}", made.id);
    assert_eq!(ask(&lab, token("DELETE", &path)).await.status, 204);
    assert_eq!(ask(&lab, token("DELETE", &path)).await.status, 404);
    assert_eq!(ask(&lab, token("POST", "/api/v1/clusters/nobody/tokens")).await.status, 404);
    assert!(lab.connected("dev").await, "another token's end leaves the session alone");
}
