//! A broken revision of the config repository: what runs goes on, the error is shown, the fix is taken.

use crate::{
    looks::LIMIT,
    play::{
        Moment::{After, Before},
        Step::{Configured, Moved},
        disturbed,
    },
};
use lapdev_tests::stage::{Error, Playbill, Theatre, forge, until, within};
use serde_json::Value;

const BROKEN: &str = "lapdev/environments/broken.yaml";

/// A field with a typo, in line 6.
const TEXT: &str = "apiVersion: lapdev.dev/v1alpha1
kind: Environment
metadata:
  name: broken
spec:
  catalogue: shop
  type: Shared
  cluster: dev
";

#[tokio::test]
async fn a_config_commit_that_does_not_load_changes_nothing_and_says_why() {
    disturbed("a config commit that does not load", &Playbill::default(), async |theatre, moment| {
        match moment {
            Before(Moved) => {
                let commit = theatre.config.write("main", BROKEN, TEXT)?;
                forge::pushed(&theatre.github, forge::CONFIG)?;
                error_is_shown(theatre, &commit).await?;
            }
            Before(Configured) => {
                let commit = theatre.config.remove("main", BROKEN)?;
                forge::pushed(&theatre.github, forge::CONFIG)?;
                fix_is_taken(theatre, &commit).await?;
            }
            After(Configured) => {
                let config = theatre.plane.environments().await?["config"].clone();
                let head = theatre.config.head("main")?;
                within(config["loaded"] == head.as_str(), config.to_string())?;
            }
            _ => {}
        }
        Ok(())
    })
    .await;
}

/// The error stands in `lapdev get environments` and on the commit, with its place.
pub async fn error_is_shown(theatre: &Theatre, commit: &str) -> Result<(), Error> {
    until("the error is shown by get", LIMIT, async || {
        let config = theatre.plane.environments().await?["config"].clone();
        let errors = config["errors"].as_array().cloned().unwrap_or_default();
        let placed = errors.iter().filter_map(Value::as_str).any(|error| error.contains("lapdev"));
        let behind = config["head"] == commit && config["loaded"] != commit;
        within(placed && behind, config.to_string())
    })
    .await?;
    until("the error stands on the commit", LIMIT, async || {
        let statuses = theatre.github.statuses(forge::CONFIG, commit)?;
        let bad = statuses.last().is_some_and(|status| matches!(status.state.as_str(), "failure" | "error"));
        within(bad, format!("{statuses:?}"))
    })
    .await
}

/// No error is left, and the commit is in force and says so.
pub async fn fix_is_taken(theatre: &Theatre, commit: &str) -> Result<(), Error> {
    until("the fix is taken", LIMIT, async || {
        let config = theatre.plane.environments().await?["config"].clone();
        let fine = config["errors"].as_array().is_none_or(Vec::is_empty) && config["loaded"] == commit;
        within(fine, config.to_string())
    })
    .await?;
    until("the commit is said to be fine", LIMIT, async || {
        let statuses = theatre.github.statuses(forge::CONFIG, commit)?;
        within(statuses.last().is_some_and(|status| status.state == "success"), format!("{statuses:?}"))
    })
    .await
}
