//! A routed Service whose port changes its number under load: it is switched, its branches and later ones stay routed, and
//! nobody is answered by a wrong version on either number.

use crate::{
    expected,
    house::{Branch, FRONT, House, LIMIT, NAMESPACE, PORT, play},
    soak::{judge, plan},
    timeline::{Standing, Timeline},
};
use lapdev_tests::{
    stage::{Error, forge, until, within},
    visitor::{Plan, Protocol, Question, Record, What},
};
use serde_json::Value;

const WEB: &str = "apps/shop/web.yaml";
/// The number that it changes to, and back from.
const OTHER: u16 = 80;
/// Opened after the change, on a Service that was switched by then.
const LATER: Branch = Branch { branch: "feature/later", services: &["web"], asks: None };
/// Requests between two changes.
const BETWEEN: usize = 400;

#[test]
fn a_routed_service_whose_port_number_changes_is_switched_and_later_branches_are_routed() {
    play("another port number", async |house| {
        let key = house.open_branch(FRONT).await?;
        let mut timeline = Timeline::default();
        timeline.now(FRONT, &key, Standing::Open);
        let mut old = house.cast.soak(&on(PORT, &key))?;
        old.more(BETWEEN, LIMIT).await?;
        change(house, PORT, OTHER).await?;
        let mut new = house.cast.soak(&on(OTHER, &key))?;
        new.more(BETWEEN, LIMIT).await?;
        never_wrong(&timeline, &old.end().await?)?;

        let later = house.open_branch(LATER).await?;
        for (branch, key) in [(FRONT, &key), (LATER, &later)] {
            answers(house, OTHER, branch, key).await?;
        }
        new.more(BETWEEN, LIMIT).await?;
        judge(house, &timeline, &new.end().await?, 2 * BETWEEN)?;

        change(house, OTHER, PORT).await?;
        answers(house, PORT, LATER, &later).await?;
        house.close_branch(LATER).await
    });
}

fn on(port: u16, key: &str) -> Plan {
    Plan { port, ..plan(&["web"], vec![key.to_owned()]) }
}

/// The config repository changes the number, and routers answer on the new one.
async fn change(house: &House, from: u16, to: u16) -> Result<(), Error> {
    let line = |port: u16| format!("      port: {port}\n");
    let text = house.cast.config.read("main", WEB)?;
    within(text.contains(&line(from)), &text)?;
    house.cast.config.write("main", WEB, &text.replace(&line(from), &line(to)))?;
    forge::pushed(&house.cast.github, forge::CONFIG)?;
    until(&format!("web is routed on port {to}"), LIMIT, async || {
        let get = ["get", "service", "web", "-n", NAMESPACE, "-o", "json"];
        let service: Value = serde_json::from_str(&house.cast.cluster.kubectl(&get, "").await?)?;
        let ports = service.pointer("/spec/ports").and_then(Value::as_array).cloned().unwrap_or_default();
        let router = service.pointer("/spec/selector").and_then(|all| all.get("lapdev.dev/router"));
        within(ports.len() == 1 && ports[0]["port"] == to && router.is_some(), service.to_string())?;
        // The node's rules follow by a moment.
        let reply = house.cast.ask(&[question(to, None)]).await?;
        within(reply[0].is_fine() && reply[0].served_by.is_some(), format!("{reply:?}"))
    })
    .await?;
    house.cast.ready("staging", None).await.map(drop)
}

async fn answers(house: &House, port: u16, branch: Branch, key: &str) -> Result<(), Error> {
    let replies = house.cast.ask(&[question(port, None), question(port, Some(key))]).await?;
    let versions = [expected::version("web", None), expected::version("web", Some((branch, key)))];
    let fits = replies.iter().zip(&versions).all(|(reply, version)| reply.says["version"] == *version);
    within(fits, format!("not {versions:?} on port {port}: {replies:?}"))
}

fn question(port: u16, key: Option<&str>) -> Question {
    let headers = key.map(|key| ("baggage".to_owned(), format!("lapdev={key}"))).into_iter().collect();
    Question { protocol: Protocol::Http1, to: format!("web.{NAMESPACE}:{port}"), what: What::Alone, headers }
}

/// Whoever still asks on the number that the Service no longer has may be refused, and is never answered wrongly.
fn never_wrong(timeline: &Timeline, records: &[Record]) -> Result<(), Error> {
    let answered = records.iter().filter(|record| record.answer.is_ok());
    let wrong: Vec<_> = answered.filter_map(|record| timeline.objection(record)).take(5).collect();
    let refused = |error: &String| error.contains("Connection refused");
    let lost: Vec<_> =
        records.iter().filter_map(|record| record.answer.as_ref().err()).filter(|e| !refused(e)).collect();
    within(wrong.is_empty() && lost.is_empty(), format!("wrong: {wrong:?}; lost: {:?}", lost.iter().take(5)))?;
    within(records.len() >= BETWEEN, format!("{} requests", records.len()))
}
