//! What an agent does about what it may not see, does not hold, or hears too late.

use crate::{
    gate::{Gate, Way},
    lab::{Agent, LIMIT, Outcome, settled},
    objects::{branch, config_map, shared, shop},
    routing::{KEY, beside, routed_shop, table_in, table_words},
};
use lapdev_agent::tunnel::{Accept, Cluster as _};
use lapdev_api::{bundle::Bundle, name::Generation, status::Phase};
use lapdev_tests::stage::{Error, until, within};
use serde_json::json;

/// An agent that holds a branch but not its base, whose objects are all there.
async fn without_base(plane: char, name: &str) -> Result<(Agent, Bundle, Bundle), Error> {
    let agent = Agent::start(plane).await?;
    let base = shop(plane, name);
    agent.publish_and_wait(1, &base).await?;
    let beside = branch(&base, 'b', "key", vec![config_map("web--key", "1")]);
    agent.publish_and_wait(1, &beside).await?;
    let (plane, memory) = agent.stop().await?;
    let parent = format!("lapdev-{}", base.environment.uid);
    let namespace = format!("lapdev-env-{name}");
    let cluster = crate::lab::installed().await?.0;
    cluster.kubectl(&["delete", "configmap", &parent, "-n", &namespace], "").await?;
    let agent = Agent::start_with(plane, memory).await?;
    agent.begin().await;
    agent.until(&beside.environment.uid, |status| status.applied.is_some()).await?;
    assert_eq!(agent.core.held().len(), 1);
    Ok((agent, base, beside))
}

#[tokio::test]
async fn where_the_agent_may_not_look_nothing_is_said_to_be_gone() -> Outcome {
    let (agent, _, beside) = without_base('p', "unbound").await?;
    let uid = &beside.environment.uid;
    agent.kubectl("delete rolebinding lapdev-agent -n lapdev-env-unbound", "").await?;
    let asked = format!("get configmaps -n lapdev-env-unbound --kubeconfig={}", agent.kubeconfig.display());
    until("the API server minds it", LIMIT, async || {
        let denied = agent.kubectl(&asked, "").await.err().ok_or("it is still allowed")?.to_string();
        within(denied.contains("orbidden"), denied)
    })
    .await?;
    assert_eq!(agent.core.tombstone(uid, Generation(2), "branch x is gone").await, Accept::Accepted);
    agent.until_gone(uid).await?;
    for gone in ["web--key", "lapdev-bppppppppppppppp"] {
        let left = agent.get(&format!("configmap {gone} -n lapdev-env-unbound")).await;
        assert!(left.is_err_and(|error| error.to_string().contains("NotFound")), "{gone} is gone when that is said");
    }
    for kept in ["configmap web", "deployment web", "rolebinding lapdev-agent"] {
        agent.get(&format!("{kept} -n lapdev-env-unbound")).await?;
    }
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn the_end_of_a_base_that_is_not_held_takes_no_living_branch_along() -> Outcome {
    let (agent, base, beside) = without_base('q', "swept").await?;
    let answer = agent.core.tombstone(&base.environment.uid, Generation(2), "its file is gone").await;
    assert_eq!(answer, Accept::Accepted);
    // What is the base's own goes, and when the agent no longer does anything the branch is as it was.
    agent.until_missing("deployment web -n lapdev-env-swept").await?;
    agent.until_missing("configmap web -n lapdev-env-swept").await?;
    settled(&agent).await?;
    let namespace = agent.get("namespace lapdev-env-swept").await?;
    assert_eq!(namespace["metadata"].get("deletionTimestamp"), None);
    agent.get("configmap web--key -n lapdev-env-swept").await?;
    // Its own end lets the namespace go.
    agent.core.tombstone(&beside.environment.uid, Generation(2), "branch x is gone").await;
    agent.until_gone(&beside.environment.uid).await?;
    agent.until_missing("namespace lapdev-env-swept").await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn a_write_that_comes_late_does_not_undo_a_tombstone() -> Outcome {
    let gate = Gate::new();
    let before = Agent::start_behind(&gate, 'r').await?;
    let bundle = |value| shared('r', "late", vec![config_map("kept", value)]);
    let uid = bundle("1").environment.uid;
    before.publish_and_wait(1, &bundle("1")).await?;
    let finalizers = |value: &str| {
        format!("patch configmap kept -n lapdev-env-late --type=merge -p {{\"metadata\":{{\"finalizers\":{value}}}}}")
    };
    before.kubectl(&finalizers("[\"test/held\"]"), "").await?;
    settled(&before).await?;
    // It sends what it accepted, loses the Lease, and its successor hears of the end first.
    let parent = format!("lapdev-{uid}");
    gate.close(Way::There, format!("configmaps/{parent}"));
    before.publish(2, &bundle("2")).await?;
    gate.held().await?;
    let after = Agent::start('r').await?;
    assert_eq!(after.core.tombstone(&uid, Generation(3), "branch x is gone").await, Accept::Accepted);
    let words = format!("configmap {parent} -n lapdev-env-late");
    after.until_object(&words, |parent| parent["data"]["tombstone"].is_string()).await?;
    after.stop().await?;
    gate.open();
    before.until(&uid, |status| status.phase == Phase::Terminating && status.generation == Generation(3)).await?;
    assert!(before.get(&words).await?["data"]["tombstone"].is_string());
    before.kubectl(&finalizers("null"), "").await?;
    before.until_gone(&uid).await?;
    before.stop().await.map(drop)
}

#[tokio::test]
async fn the_agents_own_table_is_no_drift_though_a_watch_is_faster_than_the_answer() -> Outcome {
    let gate = Gate::new();
    let agent = Agent::start_behind(&gate, 's').await?;
    let base = routed_shop('s', "own");
    agent.publish_and_wait(1, &base).await?;
    let beside = beside(&base);
    agent.publish_and_wait(1, &beside).await?;
    agent
        .until_object(&table_words(&base), |table| table_in(table).is_ok_and(|table| table.branches.len() == 1))
        .await?;
    settled(&agent).await?;
    gate.close(Way::Back, "configmaps/lapdev-routes".into());
    let other = branch(&base, 'b', KEY, vec![config_map("note--x", "1")]);
    agent.publish(2, &other).await?;
    gate.held().await?;
    // The watch has told of it once the base's pass waits too, for its turn at the table.
    until("the base's pass waits", LIMIT, async || {
        let (_, backlog) = agent.core.progress();
        within(backlog >= 2, format!("{backlog} passes"))
    })
    .await?;
    gate.open();
    agent.until(&other.environment.uid, |status| status.applied == Some(other.clone().canonical().digest())).await?;
    settled(&agent).await?;
    for uid in [&base.environment.uid, &other.environment.uid] {
        let notices = agent.core.status(uid).ok_or("held")?.notices;
        assert!(!json!(notices).to_string().contains("had changed"), "{notices:?}");
    }
    agent.stop().await.map(drop)
}
