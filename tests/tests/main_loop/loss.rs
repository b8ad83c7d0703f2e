//! The control plane's store is lost altogether: what runs goes on, and is taken up again as it is.

use crate::{
    faults::Inventories,
    looks::{LIMIT, clean_audit, environment_of, gone, like, settled, steady, uid},
    play::{BRANCH, one_comment},
    scenario::scenario,
};
use lapdev_tests::stage::{Error, Playbill, Theatre, environment_namespaces, forge, until, within};
use serde_json::Value;
use std::collections::BTreeMap;

#[tokio::test]
async fn the_store_is_lost_and_everything_is_adopted() {
    scenario("the store is lost", &Playbill::default(), async |theatre| {
        let staging = uid(&settled(theatre, "staging", None).await?)?;
        theatre.app.branch(BRANCH, "main")?;
        let head = theatre.app.write(BRANCH, "services/web/greeting.txt", "This is web, louder.\n")?;
        let number = forge::open_pull(&theatre.github, BRANCH, "A louder web")?;
        let name = environment_of(theatre, number).await?;
        let branch = uid(&settled(theatre, &name, Some(&head)).await?)?;
        one_comment(theatre, number, &head).await?;
        let comment = theatre.github.comments(forge::APP, number)?[0].id;
        let (before, objects) = (steady(theatre).await?, objects(theatre).await?);

        let inventories = Inventories::watch(&theatre.cluster)?;
        lose_the_store(theatre).await?;
        for waits in ["staging", &name] {
            waits_for_the_agent(theatre, waits).await?;
        }
        // As an operator does: the tokens were in the store.
        std::fs::write(theatre.folder().join("agent/token"), theatre.plane.token("dev").await?)?;
        theatre.connected(true).await?;
        for (adopted, head, known) in [("staging", None, &staging), (&*name, Some(&*head), &branch)] {
            let view = settled(theatre, adopted, head).await?;
            within(uid(&view)? == *known, format!("{known} was not taken up, but another life was begun: {view}"))?;
        }
        like(theatre, &before).await?;
        same_objects(theatre, &objects).await?;
        undisturbed_inventories(&inventories.end().await?)?;
        one_comment(theatre, number, &head).await?;
        within(theatre.github.comments(forge::APP, number)?[0].id == comment, "the comment is another one")?;
        clean_audit(theatre).await?;

        forge::close_pull(&theatre.github, number)?;
        gone(theatre, &name, &branch).await?;
        clean_audit(theatre).await?;
        let left = self::objects(theatre).await?;
        let other: Vec<_> = left.iter().filter(|(id, uid)| objects.get(*id) != Some(*uid)).collect();
        within(other.is_empty(), format!("not staging's as it was: {other:?}"))?;
        let of_staging = objects.keys().filter(|id| !id.contains(&name) && !id.contains(&branch));
        let missing: Vec<_> = of_staging.filter(|id| !left.contains_key(*id)).collect();
        within(missing.is_empty(), format!("of staging is missing: {missing:?}"))
    })
    .await;
}

/// As after the loss of a disk: killed, and started again where there is no database.
async fn lose_the_store(theatre: &mut Theatre) -> Result<(), Error> {
    theatre.plane.kill().await?;
    let data = theatre.folder().join("control-plane/data");
    for file in std::fs::read_dir(&data)? {
        let file = file?;
        if file.file_name().to_string_lossy().starts_with("lapdev.db") {
            std::fs::remove_file(file.path())?;
        }
    }
    theatre.plane.restart().await
}

async fn waits_for_the_agent(theatre: &Theatre, name: &str) -> Result<(), Error> {
    until(&format!("environment {name} waits for the agent"), LIMIT, async || {
        let view = theatre.plane.environment(name).await?;
        let says_so = view["message"].as_str().is_some_and(|message| message.contains("the agent of cluster dev"));
        within(view["phase"] == "Queued" && says_so, view.to_string())
    })
    .await
}

/// `kind/namespace/name` → the uid that the API server gave it, for everything in the environments' namespaces.
async fn objects(theatre: &Theatre) -> Result<BTreeMap<String, String>, Error> {
    let kinds = theatre.cluster.kubectl(&["api-resources", "--verbs=list", "--namespaced", "-o", "name"], "").await?;
    let kinds: Vec<_> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    let mut objects = BTreeMap::new();
    for namespace in environment_namespaces(&theatre.cluster).await? {
        let list = theatre.cluster.kubectl(&["get", &kinds.join(","), "-n", &namespace, "-o", "json"], "").await?;
        let list: Value = serde_json::from_str(&list)?;
        let text = |item: &Value, at: &str| item.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        objects.extend(list["items"].as_array().into_iter().flatten().map(|item| {
            let id = format!("{}/{namespace}/{}", text(item, "/kind"), text(item, "/metadata/name"));
            (id, text(item, "/metadata/uid"))
        }));
    }
    Ok(objects)
}

async fn same_objects(theatre: &Theatre, wanted: &BTreeMap<String, String>) -> Result<(), Error> {
    let now = objects(theatre).await?;
    let both = wanted.keys().chain(now.keys());
    let other: Vec<_> = both.filter(|id| wanted.get(*id) != now.get(*id)).collect();
    within(!wanted.is_empty() && other.is_empty(), format!("deleted, made or made again: {other:?}"))
}

/// Not even for a moment was there an inventory more or less, or another routing table.
fn undisturbed_inventories(events: &str) -> Result<(), Error> {
    const TABLE: &str = "lapdev-routes";
    let added = events.lines().filter(|line| line.starts_with("ADDED lapdev-") && !line.ends_with(TABLE)).count();
    let table = events.contains(&format!("ADDED {TABLE}")) && !events.contains(&format!("MODIFIED {TABLE}"));
    within(added == 2 && table && !events.contains("DELETED"), format!("inventories came or went: {events}"))
}
