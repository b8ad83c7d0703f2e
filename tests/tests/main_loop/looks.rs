//! What a scenario waits for, each with a limit, and with what was seen last in the error.

use crate::difference::{Dump, same};
use lapdev_tests::stage::{Error, Theatre, dump, forge, until, within};
use serde_json::Value;
use std::time::Duration;

/// How long anything may take on a machine that is busy with another theatre.
pub const LIMIT: Duration = Duration::from_secs(90);

/// Waits until the agent applied what was published of an environment, of this commit if it is a branch's; gives what
/// `lapdev get` shows.
pub async fn settled(theatre: &Theatre, name: &str, head: Option<&str>) -> Result<Value, Error> {
    until(&format!("environment {name} is applied"), LIMIT, async || {
        let view = theatre.plane.environment(name).await?;
        let applied = view["observedGeneration"] == view["generation"];
        // Without a node no pod ever runs, so Progressing is as far as it gets.
        let phase = view["phase"] == "Progressing" || view["phase"] == "Ready";
        let at_head = head.is_none_or(|head| view.pointer("/branch/head").and_then(Value::as_str) == Some(head));
        within(applied && phase && at_head && is_live(&view), view.to_string())?;
        Ok(view)
    })
    .await
}

/// Waits until an environment is gone, with everything that it had.
pub async fn gone(theatre: &Theatre, name: &str, uid: &str) -> Result<(), Error> {
    until(&format!("environment {name} is gone"), LIMIT, async || {
        let all = theatre.plane.environments().await?;
        let still = items(&all).find(|item| item["uid"] == uid);
        within(still.is_none(), format!("{still:?}"))?;
        within(objects_of(theatre, uid).await?.is_empty(), format!("objects of {uid} are left"))
    })
    .await
}

/// The objects that carry an environment's uid.
pub async fn objects_of(theatre: &Theatre, uid: &str) -> Result<String, Error> {
    let label = format!("lapdev.dev/environment={uid}");
    let kinds = "namespaces,all,configmaps,serviceaccounts";
    Ok(theatre.cluster.kubectl(&["get", kinds, "--all-namespaces", "-l", &label, "-o", "name"], "").await?)
}

/// The environment that a pull request of the application repository has; waits until it has one.
pub async fn environment_of(theatre: &Theatre, number: u64) -> Result<String, Error> {
    until(&format!("pull request #{number} has an environment"), LIMIT, async || {
        let all = theatre.plane.environments().await?;
        let pulls = |item: &Value| item.pointer("/branch/pullRequests").and_then(Value::as_array).cloned();
        let of_it = |item: &&Value| pulls(item).is_some_and(|pulls| pulls.contains(&number.into()));
        let found = items(&all).find(of_it).and_then(|item| item["name"].as_str());
        Ok(found.ok_or_else(|| all.to_string())?.to_owned())
    })
    .await
}

/// Waits until the cluster is as wanted.
pub async fn like(theatre: &Theatre, wanted: &Dump) -> Result<(), Error> {
    until("the cluster is as wanted", LIMIT, async || same(&dump(&theatre.cluster).await?, wanted)).await
}

/// Waits until nothing changes any more, and gives what there is.
pub async fn steady(theatre: &Theatre) -> Result<Dump, Error> {
    let mut last = dump(&theatre.cluster).await?;
    until("the cluster does not change any more", LIMIT, async || {
        let now = dump(&theatre.cluster).await?;
        same(&std::mem::replace(&mut last, now.clone()), &now)?;
        Ok(now)
    })
    .await
}

/// Waits until the control plane asked the forge for the open pull requests so many times more, answered or not.
pub async fn passes(theatre: &Theatre, more: usize) -> Result<(), Error> {
    let listing = format!("/repos/{}/pulls", forge::APP);
    asked(theatre, more, |path| path == listing).await
}

/// Waits until it asked for anything of the application repository so many times more.
pub async fn looked(theatre: &Theatre, more: usize) -> Result<(), Error> {
    let repository = format!("/repos/{}", forge::APP);
    asked(theatre, more, |path| path.starts_with(&repository)).await
}

async fn asked(theatre: &Theatre, more: usize, this: impl Fn(&str) -> bool) -> Result<(), Error> {
    let exchanges = || theatre.github.exchanges().into_iter().filter(|e| e.method == "GET" && this(&e.path)).count();
    let wanted = exchanges() + more;
    until(&format!("{more} more questions to the forge"), LIMIT, async || {
        within(exchanges() >= wanted, format!("{} of {wanted}", exchanges()))
    })
    .await
}

/// `lapdev audit` finds nothing.
pub async fn clean_audit(theatre: &Theatre) -> Result<(), Error> {
    until("lapdev audit finds nothing", LIMIT, async || {
        let (code, stdout, stderr) = theatre.plane.lapdev(&["audit"]).await?;
        within(code == 0, format!("exit {code}: {stdout}{stderr}"))
    })
    .await
}

/// Name and uid of each living environment, every one of which must be live.
pub async fn living(theatre: &Theatre) -> Result<Vec<(String, String)>, Error> {
    let all = theatre.plane.environments().await?;
    let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
    let ending = items(&all).find(|item| !is_live(item));
    within(ending.is_none(), format!("not live: {ending:?}"))?;
    Ok(items(&all).map(|item| (text(item, "name"), text(item, "uid"))).collect())
}

/// The environments in what `lapdev get environments -o json` shows.
pub fn items(all: &Value) -> impl Iterator<Item = &Value> {
    all["items"].as_array().into_iter().flatten()
}

/// Its uid.
pub fn uid(view: &Value) -> Result<String, Error> {
    Ok(view["uid"].as_str().ok_or_else(|| format!("no uid: {view}"))?.to_owned())
}

fn is_live(view: &Value) -> bool {
    view.pointer("/life/state").and_then(Value::as_str) == Some("live")
}
