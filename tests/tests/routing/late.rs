//! Late take-over with real pods: a branch changes a workload that the catalog does not map.

use crate::{
    house::{Branch, House, LIMIT, NAMESPACE, PORT, UNMAPPED, play},
    soak::{judge, plan},
    timeline::Timeline,
};
use lapdev_tests::{
    stage::{Error, forge, until, within},
    visitor::{Protocol, Question, What},
};
use serde_json::Value;
use std::time::Duration;

/// It changes nothing that is mapped, and asks for the workload by name.
const MAIL: Branch = Branch { branch: "feature/mail", services: &[UNMAPPED], asks: Some("workloads: [mail]\n") };
const ROUTED: &str = "lapdev.dev/routed";

#[test]
fn an_unmapped_workload_is_taken_over_while_a_branch_runs_it_and_put_back_after_the_last() {
    play("late take-over", async |house| {
        let before = service(house).await?;
        within(
            before.pointer("/metadata/annotations").is_none_or(|all| all.get(ROUTED).is_none()),
            before.to_string(),
        )?;
        let mut soak = house.cast.soak(&plan(&[UNMAPPED], Vec::new()))?;
        soak.more(500, LIMIT).await?;

        let (number, head) = house.propose(MAIL).await?;
        let key = house.cast.environment_of(number).await?;
        agent_restarts(house).await?;
        house.cast.ready(&key, Some(&head)).await?;
        taken_over(house, &key).await?;
        for (headers, version) in [(None, "baseline"), (Some(key.as_str()), key.as_str())] {
            answered_by(house, headers, version).await?;
        }
        soak.more(500, LIMIT).await?;

        forge::close_pull(&house.cast.github, number)?;
        agent_restarts(house).await?;
        house.cast.gone(NAMESPACE, &key).await?;
        house.forget(MAIL);
        put_back(house, &before).await?;
        answered_by(house, Some(&key), "baseline").await?;
        soak.more(500, LIMIT).await?;
        // Those without a key, on connections from before, during and after: the baseline answered each of them.
        judge(house, &Timeline::default(), &soak.end().await?, 1_500)
    });
}

async fn agent_restarts(house: &House) -> Result<(), Error> {
    let delete = ["delete", "pod", "-n", "lapdev-system", "--all", "--wait=false", "--grace-period=1"];
    house.cast.cluster.kubectl(&delete, "").await?;
    let rolled = ["rollout", "status", "deployment/lapdev-agent", "-n", "lapdev-system", "--timeout=90s"];
    house.cast.cluster.kubectl(&rolled, "").await?;
    house.cast.connected().await
}

async fn service(house: &House) -> Result<Value, Error> {
    let get = ["get", "service", UNMAPPED, "-n", NAMESPACE, "-o", "json"];
    Ok(serde_json::from_str(&house.cast.cluster.kubectl(&get, "").await?)?)
}

/// The Service leads to the routers, under its old address, and the environment says which connections do not.
async fn taken_over(house: &House, key: &str) -> Result<(), Error> {
    until("mail is routed, and it is said", LIMIT, async || {
        let service = service(house).await?;
        let annotations = service.pointer("/metadata/annotations").cloned().unwrap_or_default();
        within(annotations.get(ROUTED).is_some(), service.to_string())?;
        let view = house.cast.plane.environment(key).await?;
        within(view.to_string().contains("RoutingPending"), view.to_string())
    })
    .await
}

/// The Service is what it was before the branch came, and its second is gone.
async fn put_back(house: &House, before: &Value) -> Result<(), Error> {
    until("mail is put back", LIMIT, async || {
        let now = service(house).await?;
        let same =
            ["/spec", "/metadata/labels", "/metadata/uid"].iter().all(|at| now.pointer(at) == before.pointer(at));
        let routed = now.pointer("/metadata/annotations").and_then(|all| all.get(ROUTED));
        within(same && routed.is_none(), format!("{now}\nbefore: {before}"))?;
        let get = ["get", "services", "-n", NAMESPACE, "-o", "name"];
        let services = house.cast.cluster.kubectl(&get, "").await?;
        within(!services.contains("mail--"), services)
    })
    .await
}

async fn answered_by(house: &House, key: Option<&str>, version: &str) -> Result<(), Error> {
    let headers: Vec<_> = key.iter().map(|key| ("baggage".to_owned(), format!("lapdev={key}"))).collect();
    let question = |protocol| Question {
        protocol,
        to: format!("{UNMAPPED}.{NAMESPACE}:{PORT}"),
        what: What::Chain,
        headers: headers.clone(),
    };
    // The node's rules follow a Service by a moment.
    until(&format!("mail with {key:?} is answered by {version}"), Duration::from_secs(10), async || {
        let replies = house.cast.ask(&Protocol::ALL.map(question)).await?;
        let fit = replies.iter().all(|reply| reply.is_fine() && reply.says["version"] == version);
        within(fit, format!("{replies:?}"))
    })
    .await
}
