//! A config commit that would delete much at once: it stops and asks, says how to go on, and that works.

use crate::{
    difference::same,
    looks::{LIMIT, gone, living, settled, steady},
    scenario::scenario,
};
use lapdev_tests::stage::{Error, Playbill, Theatre, dump, forge, until, within};
use serde_json::Value;
use std::time::Duration;

const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];

#[tokio::test]
async fn a_commit_that_removes_most_environments_is_held_until_a_person_says_so() {
    let playbill = Playbill { poll: Duration::from_secs(1), ..Playbill::default() };
    scenario("a commit that removes 3 of 4 environments", &playbill, async |theatre| {
        let files: Vec<_> = PEOPLE.iter().map(|who| (file(who), declaration(who))).collect();
        let added: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
        theatre.config.change("main", "one for each", &added)?;
        forge::pushed(&theatre.github, forge::CONFIG)?;
        for name in PEOPLE.into_iter().chain(["staging"]) {
            settled(theatre, name, None).await?;
        }
        let (lives, before) = (living(theatre).await?, steady(theatre).await?);

        let removed: Vec<_> = files.iter().map(|(path, _)| (path.as_str(), None)).collect();
        let commit = theatre.config.change("main", "clean up", &removed)?;
        forge::pushed(&theatre.github, forge::CONFIG)?;
        let advice = held(theatre, &commit).await?;
        within(living(theatre).await? == lives, "an environment ended")?;
        same(&dump(&theatre.cluster).await?, &before)?;

        // What the message says is what is done.
        theatre.plane.restart_with(&format!("[limits]\n{advice}\n")).await?;
        for (name, uid) in lives.iter().filter(|(name, _)| PEOPLE.contains(&name.as_str())) {
            gone(theatre, name, uid).await?;
        }
        let left: Vec<_> = living(theatre).await?.into_iter().map(|(name, _)| name).collect();
        within(left == ["staging"], format!("{left:?}"))?;
        let config = theatre.plane.environments().await?["config"].clone();
        within(config["held"].is_null(), config.to_string())
    })
    .await;
}

fn file(who: &str) -> String {
    format!("lapdev/environments/{who}.yaml")
}

fn declaration(who: &str) -> String {
    format!(
        "apiVersion: lapdev.dev/v1alpha1\nkind: Environment\nmetadata:\n  name: {who}\nspec:\n  type: Personal\n  \
         catalog: shop\n  cluster: dev\n  owner: {who}\n"
    )
}

/// Waits until `get` shows what is held, by name and with the reason on each; gives the setting that it advises.
async fn held(theatre: &Theatre, commit: &str) -> Result<String, Error> {
    until("get shows what is held", LIMIT, async || {
        let all = theatre.plane.environments().await?;
        let held = &all["config"]["held"];
        within(held["environments"] == serde_json::json!(PEOPLE), all.to_string())?;
        for who in PEOPLE {
            let view = theatre.plane.environment(who).await?;
            let reasons = view["problems"].as_array().cloned().unwrap_or_default();
            within(reasons.iter().any(|problem| problem["reason"] == "DeletionHeld"), view.to_string())?;
        }
        let message = held["message"].as_str().unwrap_or_default();
        let advised = message.split('`').find_map(|quoted| quoted.strip_prefix("[limits] "));
        let advised = advised.filter(|setting| setting.contains(commit));
        advised.map(str::to_owned).ok_or_else(|| format!("no setting is advised: {}", Value::from(message)).into())
    })
    .await
}
