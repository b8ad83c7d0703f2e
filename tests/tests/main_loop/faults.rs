//! Faults that change nothing in the end: each is played into the story, and the cluster must end as in the undisturbed
//! run, while the branch lives as well as after it.

use crate::{
    looks::{LIMIT, living, passes},
    play::{BRANCH, Moment, Step, compared, disturbed, undisturbed},
    scenario::scenario_after,
};
use Moment::{After, Before, During};
use Step::{Closed, Configured, Moved, Opened, Staging};
use lapdev_tests::{
    cluster::{ApiCluster, Tools},
    github::{Command, Fault, WebhookPolicy},
    stage::{Error, Gate, Playbill, Theatre, forge, until, within},
};
use std::{process::Stdio, time::Duration};
use tokio::process::Child;

#[tokio::test]
async fn kill_9_of_the_control_plane_right_after_it_took_a_webhook_changes_nothing() {
    disturbed("kill -9 right after the webhook's 2xx", &Playbill::default(), async |theatre, moment| {
        if let During(Opened | Moved | Configured | Closed) = moment {
            theatre.github.delivered().await;
            within(all_taken(theatre), "a delivery was not taken")?;
            theatre.plane.kill().await?;
            theatre.plane.restart().await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn kill_9_of_the_control_plane_again_and_again_while_it_works_changes_nothing() {
    // Each step is worked on for some tens of milliseconds after its webhook; a restart looks at everything anew.
    let mut after = [3, 11, 23, 47, 71, 97, 131, 173].into_iter().map(Duration::from_millis);
    disturbed("kill -9 at eight moments of its work", &Playbill::default(), async |theatre, moment| {
        if let During(Opened | Moved | Configured | Closed) = moment {
            theatre.github.delivered().await;
            for after in after.by_ref().take(2) {
                // The disturbance itself, not a wait for something.
                tokio::time::sleep(after).await;
                theatre.plane.kill().await?;
                theatre.plane.restart().await?;
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn kill_9_of_the_control_plane_while_it_looks_at_the_forge_changes_nothing() {
    let mut held = 0;
    disturbed("kill -9 mid-plan, at the listing of pull requests", &Playbill::default(), async |theatre, moment| {
        match moment {
            Before(Opened | Moved | Configured | Closed) => {
                theatre.github.fault(Some("GET"), "/pulls?", 1, Fault::Hold)?;
            }
            During(Opened | Moved | Configured | Closed) => {
                held += 1;
                killed_while_held(theatre, held).await?;
            }
            _ => {}
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn kill_9_of_the_control_plane_between_publishing_and_the_comment_changes_nothing() {
    let mut held = 0;
    disturbed("kill -9 after publishing, before the comment", &Playbill::default(), async |theatre, moment| {
        match moment {
            Before(Opened) => theatre.github.fault(Some("POST"), "/comments", 1, Fault::Hold)?,
            Before(Moved | Closed) => theatre.github.fault(Some("PATCH"), "/comments/", 1, Fault::Hold)?,
            During(Opened | Moved | Closed) => {
                held += 1;
                killed_while_held(theatre, held).await?;
            }
            _ => {}
        }
        Ok(())
    })
    .await;
}

/// Kills the control plane while the forge holds a request of it, and starts it again.
async fn killed_while_held(theatre: &mut Theatre, count: u64) -> Result<(), Error> {
    let held = tokio::time::timeout(LIMIT, theatre.github.holds(count)).await;
    held.map_err(|_| format!("the forge was not asked within {LIMIT:?}"))?;
    theatre.plane.kill().await?;
    theatre.github.run(Command::ClearFaults {})?;
    theatre.github.run(Command::Release {})?;
    theatre.plane.restart().await
}

#[tokio::test]
async fn kill_9_of_the_agent_mid_apply_and_mid_delete_changes_nothing() {
    let reference = undisturbed().await;
    let gate = Gate::new().await.expect("loopback has a free port");
    let first = async |cluster: &_| gate.close(cluster, &["CREATE"], "web").await;
    let act = async |theatre: &mut Theatre| {
        let disturb = async |theatre: &mut Theatre, moment| {
            match moment {
                Before(Opened) => gate.close(&theatre.cluster, &["CREATE"], "web--").await?,
                Before(Moved) => gate.close(&theatre.cluster, &["UPDATE"], "web--").await?,
                Before(Closed) => gate.close(&theatre.cluster, &["DELETE"], "web--").await?,
                During(Staging) => {
                    gate.holds().await?;
                    half_applied(theatre).await?;
                    killed_at(&gate, theatre).await?;
                }
                During(Opened | Moved | Closed) => {
                    gate.holds().await?;
                    killed_at(&gate, theatre).await?;
                }
                _ => {}
            }
            Ok(())
        };
        compared(theatre, reference, disturb).await
    };
    scenario_after("kill -9 of the agent mid-apply", &Playbill::default(), first, act).await;
}

/// The first object of staging is there, and the last one is not.
async fn half_applied(theatre: &Theatre) -> Result<(), Error> {
    let get = ["get", "services,deployments", "-n", "lapdev-env-staging", "-o", "name"];
    let there = theatre.cluster.kubectl(&get, "").await?;
    let half = there.contains("service/web\n") && !there.contains("deployment.apps/web\n");
    within(half, format!("not half applied: {there}"))
}

async fn killed_at(gate: &Gate, theatre: &mut Theatre) -> Result<(), Error> {
    theatre.agent.kill().await?;
    gate.lift(&theatre.cluster).await?;
    theatre.agent.restart()
}

#[tokio::test]
async fn a_tunnel_cut_for_30_s_while_the_branch_moves_changes_nothing() {
    disturbed("tunnel cut for 30 s", &Playbill::default(), async |theatre, moment| {
        match moment {
            Before(Moved) => theatre.wire.cut(),
            During(Moved) => {
                theatre.connected(false).await?;
                // The disturbance itself, not a wait for something.
                tokio::time::sleep(Duration::from_secs(30)).await;
                theatre.wire.mend();
            }
            _ => {}
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn each_delivery_three_times_changes_nothing() {
    disturbed("each delivery three times", &Playbill::default(), async |theatre, moment| {
        if moment == During(Staging) {
            let policy = WebhookPolicy { duplicates: 2, ..WebhookPolicy::default() };
            theatre.github.run(Command::WebhookPolicy(policy))?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn lost_deliveries_change_nothing_because_the_poll_finds_what_happened() {
    let playbill = Playbill { poll: Duration::from_secs(1), ..Playbill::default() };
    disturbed("all deliveries lost", &playbill, async |theatre, moment| {
        match moment {
            During(Staging) => {
                let policy = WebhookPolicy { drop: true, ..WebhookPolicy::default() };
                theatre.github.run(Command::WebhookPolicy(policy))?;
            }
            After(Closed) => {
                let arrived = theatre.github.deliveries().iter().filter(|d| !d.attempts.is_empty()).count();
                within(arrived <= 1, format!("{arrived} deliveries arrived, and only the ping may"))?;
            }
            _ => {}
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_synchronize_that_comes_after_closed_resurrects_nothing() {
    let (mut uids, mut inventories) = (Vec::new(), None);
    disturbed("deliveries held, and released in reverse", &Playbill::default(), async |theatre, moment| {
        match moment {
            Before(Opened | Moved) => {
                let policy = WebhookPolicy { hold: true, ..WebhookPolicy::default() };
                theatre.github.run(Command::WebhookPolicy(policy))?;
            }
            During(Opened) => released_in_reverse(theatre, 2).await?,
            // The push is heard of; `synchronize` stays behind until after `closed`.
            During(Moved) => {
                let deliveries = theatre.github.deliveries();
                let push = deliveries.iter().rev().find(|delivery| delivery.event == "push").ok_or("no push")?;
                theatre.github.run(Command::Redeliver { delivery: push.id.clone() })?;
            }
            During(Configured) => {
                uids = living(theatre).await?;
                inventories = Some(Inventories::watch(&theatre.cluster)?);
                let deliveries = theatre.github.deliveries();
                let push = deliveries.iter().rev().find(|delivery| delivery.event == "push").ok_or("no push")?;
                theatre.github.run(Command::Redeliver { delivery: push.id.clone() })?;
            }
            During(Closed) => released_in_reverse(theatre, 4).await?,
            After(Closed) => {
                no_resurrection(theatre, &uids).await?;
                let events = inventories.take().ok_or("nobody watched")?.end().await?;
                gone_for_good(&events, &uids)?;
            }
            _ => {}
        }
        Ok(())
    })
    .await;
}

/// Lets go what is held, the newest first.
async fn released_in_reverse(theatre: &Theatre, at_least: u64) -> Result<(), Error> {
    let released = theatre.github.run(Command::ReleaseWebhooks { reversed: true })?;
    theatre.github.delivered().await;
    within(released["released"].as_u64() >= Some(at_least), format!("only {released}"))?;
    within(all_taken(theatre), "a delivery was not taken")
}

/// After everything that was said late has been looked into, nothing of the closed environment is back.
async fn no_resurrection(theatre: &Theatre, before: &[(String, String)]) -> Result<(), Error> {
    let late: Vec<_> = theatre.github.deliveries().iter().filter_map(|delivery| delivery.action.clone()).collect();
    within(late.contains(&"synchronize".to_owned()), format!("no synchronize among {late:?}"))?;
    // One more push to another branch: what it sets off comes after all that was late.
    theatre.github.run(Command::WebhookPolicy(WebhookPolicy::default()))?;
    theatre.app.write("main", "README.md", "The shop.\n")?;
    let looked = passes(theatre, 1);
    let (looked, pushed) = tokio::join!(looked, async { forge::pushed(&theatre.github, forge::APP) });
    looked.and(pushed)?;
    let all = theatre.plane.say(&["get", "environments", "-o", "json"]).await?;
    let closed: Vec<_> = before.iter().filter(|(name, _)| name != "staging").collect();
    within(closed.len() == 1, format!("one environment of {BRANCH}: {before:?}"))?;
    for (_, uid) in closed {
        within(!all.contains(uid), format!("{uid} is back: {all}"))?;
        within(crate::looks::objects_of(theatre, uid).await?.is_empty(), format!("objects of {uid} are back"))?;
    }
    until("staging is all that there is", LIMIT, async || {
        let living = living(theatre).await?;
        within(living.len() == 1, format!("{living:?}"))
    })
    .await
}

/// A running watch over the inventories of all environments, whose names carry the uids.
pub struct Inventories(Child);

impl Inventories {
    pub fn watch(cluster: &ApiCluster) -> Result<Self, Error> {
        let kubectl = Tools::find("kubectl")?.path("kubectl");
        let mut command = tokio::process::Command::new(kubectl);
        command.arg("--kubeconfig").arg(cluster.kubeconfig_path());
        command.args(["get", "configmaps", "--all-namespaces", "-l", "lapdev.dev/environment"]);
        command.args(["--watch", "--output-watch-events"]);
        command.arg("-o=jsonpath={.type} {.object.metadata.name}{\"\\n\"}");
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?))
    }

    /// Ends it; what it saw.
    pub async fn end(mut self) -> Result<String, Error> {
        self.0.start_kill()?;
        Ok(String::from_utf8(self.0.wait_with_output().await?.stdout)?)
    }
}

/// The watch saw the closed environment's inventory go, and nothing of it come again.
fn gone_for_good(events: &str, before: &[(String, String)]) -> Result<(), Error> {
    for (name, uid) in before.iter().filter(|(name, _)| name != "staging") {
        let of_it: Vec<_> = events.lines().filter(|line| line.ends_with(&format!(" lapdev-{uid}"))).collect();
        let last = of_it.iter().position(|line| line.starts_with("DELETED"));
        within(last.is_some_and(|last| last + 1 == of_it.len()), format!("{name}: {of_it:?} of {events}"))?;
    }
    Ok(())
}

/// Whether the newest attempt of each delivery that was sent was answered with 2xx.
fn all_taken(theatre: &Theatre) -> bool {
    let taken = |attempt: &String| attempt.starts_with('2');
    theatre.github.deliveries().iter().all(|delivery| delivery.attempts.last().is_none_or(taken))
}
