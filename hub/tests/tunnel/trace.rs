//! A trace, from the API's caller to the agent's core and back.

use crate::{
    browser::{Answer, collect, get, open},
    lab::{Environment, Lab, until},
};
use http::Request;
use jiff::Timestamp;
use lapdev_api::{
    route::{Hop, Station, TraceReport, TraceRequest},
    view::{Outcome, TraceView},
};
use lapdev_tunnel::body;

async fn post(lab: &Lab, name: &str, content: &str) -> Answer {
    let request = Request::post(format!("/api/v1/environments/{name}/trace"))
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", lab.admin_token()))
        .body(body::full(content.to_owned()))
        .expect("legal");
    collect(open(lab, request).await).await
}

fn report() -> TraceReport {
    let station = |service: &str, branch: bool| Station {
        service: service.to_owned(),
        key: branch.then(|| "x-abc234".parse().expect("legal")),
    };
    let hop = |from, to, carried| Hop {
        at: Timestamp::UNIX_EPOCH,
        from,
        to,
        request: "GET /".to_owned(),
        status: Some(200),
        in_trace: true,
        in_tracestate: carried,
        in_baggage: carried,
    };
    let hops =
        vec![hop(None, station("web", true), true), hop(Some(station("web", true)), station("cart", false), false)];
    TraceReport {
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
        key: "x-abc234".parse().expect("legal"),
        service: "web".to_owned(),
        status: Some(200),
        error: None,
        hops,
        languages: [("web".to_owned(), "python".to_owned())].into(),
        routers: 2,
    }
}

#[tokio::test]
async fn a_trace_goes_to_the_environments_agent_and_comes_back_with_a_verdict() {
    let lab = Lab::start().await;
    let mut agent = lab.agent("dev").await;
    agent.synced().await;
    let branch = Environment { key: Some("x-abc234"), ..Environment::new('a', "x") };
    lab.publish(&branch, 1).await;
    let refused = post(&lab, "x", "").await;
    assert_eq!(refused.status, 502);
    assert!(
        refused.text().contains("the agent sent no probe: no router of namespace shop is ready"),
        "{}",
        refused.text()
    );
    *agent.memory.trace.lock().expect("sound") = Some(report());
    let answer = post(&lab, "x", r#"{"service": "web", "path": "/a?b"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let view: TraceView = serde_json::from_slice(&answer.body).expect("a view");
    assert_eq!((view.environment.as_str(), &view.report, view.verdict.outcome), ("x", &report(), Outcome::Dropped));
    assert_eq!(view.verdict.losses[0].language.as_deref(), Some("Python"));
    let asked = |service: Option<&str>, path: &str| TraceRequest {
        uid: branch.uid.clone(),
        service: service.map(str::to_owned),
        path: path.to_owned(),
    };
    assert_eq!(*agent.memory.traced.lock().expect("sound"), [asked(Some("web"), "/"), asked(Some("web"), "/a?b")]);
}

#[tokio::test]
async fn what_cannot_be_traced_is_said_in_words() {
    let lab = Lab::start().await;
    let mut agent = lab.agent("dev").await;
    agent.synced().await;
    let branch = Environment { key: Some("x-abc234"), ..Environment::new('a', "x") };
    lab.publish(&branch, 1).await;
    lab.publish(&Environment::new('b', "staging"), 1).await;
    let elsewhere = Environment { cluster: "other".to_owned(), key: Some("y-abc234"), ..Environment::new('c', "y") };
    lab.publish(&elsewhere, 1).await;
    let large = format!("{{\"path\": \"/{}\"}}", "x".repeat(10_000));
    for (name, content, status, says) in [
        ("nobody", "", 404, "there is no environment nobody"),
        ("staging", "", 409, "staging is no Branch environment"),
        ("y", "", 503, "the agent of cluster other is not connected"),
        ("x", "{", 400, "the request's body is not"),
        ("x", r#"{"path": "x"}"#, 400, "the path must begin with a slash"),
        ("x", large.as_str(), 400, "larger than"),
    ] {
        let answer = post(&lab, name, content).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert!(answer.text().contains(says), "{name}: {}", answer.text());
    }
    assert!(agent.memory.traced.lock().expect("sound").is_empty(), "no agent heard of it");
    let anonymous = Request::post("/api/v1/environments/x/trace").header("host", "localhost").body(body::empty());
    assert_eq!(open(&lab, anonymous.expect("legal")).await.status(), 401);
    assert_eq!(crate::browser::ask(&lab, get("localhost", "/api/v1/environments/x/trace")).await.status, 401);
    lab.close(&branch, 2).await;
    assert!(post(&lab, "x", "").await.text().contains("nothing to trace: branch x is gone"));
    drop(agent);
    until("the session's end", async || !lab.connected("dev").await).await;
}
