//! What an agent knows when it begins anew: alone, behind another one, or killed in the middle.

use crate::{
    lab::{ACCOUNT, Agent, HOME, LIMIT, Outcome, installed, settled},
    objects::{branch, config_map, deployment, shared, shop, uid},
};
use lapdev_agent::{
    applyset::{Parent, Version},
    tunnel::{Accept, Cluster as _},
};
use lapdev_api::{
    bundle::Bundle,
    name::{ControlPlaneId, Generation},
    status::Phase,
    wire::Assignment,
};
use lapdev_tests::{
    cluster::ApiCluster,
    stage::{Error, Program, Running, until, within},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, ffi::OsStr, path::Path, sync::Arc};

/// The environment of the killed agent: objects that are applied at once, and workloads, which come last.
const MANY: usize = 200;
const LATE: usize = 5;

#[tokio::test]
async fn an_agent_that_starts_alone_goes_on_and_ends_what_was_ended() -> Outcome {
    let agent = Agent::start('g').await?;
    let base = shop('g', "alone");
    agent.publish_and_wait(3, &base).await?;
    let beside = branch(&base, 'b', "key", vec![config_map("web--key", "1")]);
    agent.publish_and_wait(1, &beside).await?;
    let (plane, memory) = agent.stop().await?;

    let admin = Agent::start_with(plane.clone(), Arc::default()).await?;
    admin.kubectl("set image deployment/web web=evil:1 -n lapdev-env-alone", "").await?;
    admin.kubectl("delete configmap web--key -n lapdev-env-alone", "").await?;
    admin.stop().await?;

    let agent = Agent::start_with(plane.clone(), memory.clone()).await?;
    let image = "/spec/template/spec/containers/0/image";
    agent.until_object("deployment web -n lapdev-env-alone", |web| web.pointer(image) == Some(&"web:1".into())).await?;
    agent.until_object("configmap web--key -n lapdev-env-alone", |map| map["data"]["key"] == "1").await?;
    let held: Vec<_> = agent.core.held().into_iter().map(|held| (held.generation.0, held.digest)).collect();
    assert_eq!(held, [(3, Some(base.clone().canonical().digest())), (1, Some(beside.clone().canonical().digest()))]);
    let stale = Assignment {
        uid: base.environment.uid.clone(),
        generation: Generation(2),
        digest: beside.clone().canonical().digest(),
    };
    assert_eq!(agent.core.assign(&stale).await, Accept::Refused(Generation(3)), "the fence survives a restart");

    // A tombstone that a finalizer holds up is remembered over a restart, without a hub.
    agent.kubectl("patch configmap web--key -n lapdev-env-alone --type=merge -p {\"metadata\":{\"finalizers\":[\"test/held\"]}}", "").await?;
    agent.begin().await;
    agent.core.tombstone(&beside.environment.uid, Generation(2), "branch x is gone").await;
    agent
        .until_object("configmap web--key -n lapdev-env-alone", |map| {
            map["metadata"].get("deletionTimestamp").is_some()
        })
        .await?;
    agent.stop().await?;
    let agent = Agent::start_with(plane, memory).await?;
    agent.until(&beside.environment.uid, |status| status.phase == Phase::Terminating).await?;
    agent
        .kubectl(
            "patch configmap web--key -n lapdev-env-alone --type=merge -p {\"metadata\":{\"finalizers\":null}}",
            "",
        )
        .await?;
    agent.until_gone(&beside.environment.uid).await?;
    agent.until_missing("configmap lapdev-bggggggggggggggg -n lapdev-env-alone").await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn what_the_cluster_remembers_fences_an_agent_that_does_not_know_it() -> Outcome {
    let (behind, ahead) = (Agent::start('o').await?, Agent::start('o').await?);
    let (old, new) = (shop('o', "fence"), shared('o', "fence", vec![config_map("new", "1")]));
    let uid = &new.environment.uid;
    ahead.publish_and_wait(3, &new).await?;
    behind.publish(2, &old).await?;
    behind.until(uid, |status| status.generation == Generation(3) && status.applied.is_some()).await?;
    behind.until_missing("configmap web -n lapdev-env-fence").await?;
    behind.get("configmap new -n lapdev-env-fence").await?;
    // An end that is under way, and that this agent never heard of.
    behind.stop().await?;
    let behind = Agent::start('o').await?;
    let patch = "patch configmap new -n lapdev-env-fence --type=merge -p";
    ahead.kubectl(&format!("{patch} {{\"metadata\":{{\"finalizers\":[\"test/held\"]}}}}"), "").await?;
    ahead.core.tombstone(uid, Generation(4), "branch x is gone").await;
    ahead
        .until_object("configmap new -n lapdev-env-fence", |map| map["metadata"].get("deletionTimestamp").is_some())
        .await?;
    ahead.stop().await?;
    behind.core.resync(true);
    behind.until(uid, |status| status.phase == Phase::Progressing || status.phase == Phase::Terminating).await?;
    behind.publish(3, &new).await?;
    behind.until(uid, |status| status.phase == Phase::Terminating && status.generation == Generation(4)).await?;
    behind.kubectl(&format!("{patch} {{\"metadata\":{{\"finalizers\":null}}}}"), "").await?;
    behind.until_gone(uid).await?;
    behind.stop().await.map(drop)
}

/// The process that users run, alone: what it is to apply stands in the cluster, accepted but not applied.
#[tokio::test]
async fn an_agent_that_is_killed_while_it_applies_ends_in_the_same_state() -> Outcome {
    let many = |name: &str| {
        let objects = (0..MANY).map(|number| config_map(&format!("c-{number}"), "1"));
        let late = (0..LATE).map(|number| deployment(&format!("d-{number}"), "web:1", 1));
        shared('m', name, objects.chain(late).collect())
    };
    let agent = Agent::start('m').await?;
    // An undisturbed run, to compare with.
    agent.publish_and_wait(1, &many("calm")).await?;
    settled(&agent).await?;
    let calm = names(&agent.versions("lapdev-env-calm").await?);

    // The same, but killed between the first objects and the last, twice.
    let mut bundle = many("killed");
    bundle.environment.uid = uid('b', 'm');
    agent.publish_and_wait(1, &shared_as(&bundle, vec![])).await?;
    let folder = tempfile::tempdir()?;
    let (plane, _) = agent.stop().await?;
    let (cluster, kubeconfig) = installed().await?;
    accept_only(cluster, &plane, &bundle).await?;
    let (mut kills, log) = (0, folder.path().join("agent.log"));
    std::fs::write(folder.path().join("token"), "none")?;
    until("it was killed in the middle twice", LIMIT, async || {
        let mut process = start_process(&kubeconfig, folder.path(), &log)?;
        let before = count(cluster).await?;
        until("more objects are applied", LIMIT, async || {
            process.still_runs()?;
            let made = count(cluster).await?;
            within(made > before, format!("{made} objects"))
        })
        .await?;
        process.kill().await?;
        // Where this test's machine was slower than the agent, the kill came too late, and is done over.
        match count(cluster).await? {
            made if made < MANY + LATE => kills += 1,
            _ => forget(cluster).await?,
        }
        within(kills == 2, format!("{kills} kills in the middle"))
    })
    .await?;
    let mut process = start_process(&kubeconfig, folder.path(), &log)?;
    let watcher = Agent::start_with(plane, Arc::default()).await?;
    until("everything is applied", LIMIT, async || {
        process.still_runs()?;
        let now = names(&watcher.versions("lapdev-env-killed").await?);
        let renamed: Vec<_> = calm.iter().map(|name| name.replace("lapdev-ammmmm", "lapdev-bmmmmm")).collect();
        within(now == renamed, format!("{now:?} instead of {renamed:?}"))
    })
    .await?;
    watcher
        .until_object("configmap lapdev-bmmmmmmmmmmmmmmm -n lapdev-env-killed", |parent| {
            parent["metadata"]["annotations"]["lapdev.dev/generation"] == "2"
        })
        .await?;
    let ended = process.terminate().await?;
    assert!(ended.success(), "{ended}: {}", process.log_tail());
    watcher.stop().await.map(drop)
}

fn names(versions: &BTreeMap<String, String>) -> Vec<String> {
    versions.keys().cloned().collect()
}

fn shared_as(bundle: &Bundle, objects: Vec<Value>) -> Bundle {
    Bundle { objects, ..bundle.clone() }
}

/// How many objects of the killed environment are there.
async fn count(cluster: &ApiCluster) -> Result<usize, Error> {
    Ok(present(cluster).await?.len())
}

/// The killed environment's objects, as `kind/name`, without the parent.
async fn present(cluster: &ApiCluster) -> Result<Vec<String>, Error> {
    let words =
        ["get", "configmaps,deployments", "-n", "lapdev-env-killed", "-l", "lapdev.dev/environment", "-o", "name"];
    let listed = cluster.kubectl(&words, "").await?;
    Ok(listed.lines().filter(|name| !name.contains("lapdev-")).map(str::to_owned).collect())
}

/// Takes all of the killed environment's objects away, so that there is something to apply again.
async fn forget(cluster: &ApiCluster) -> Outcome {
    let made = present(cluster).await?;
    let words = ["delete", "-n", "lapdev-env-killed"].into_iter().chain(made.iter().map(String::as_str));
    cluster.kubectl(&words.collect::<Vec<_>>(), "").await?;
    Ok(())
}

/// Writes the parent as an agent does that accepted generation 2 and was killed before it applied anything of it.
async fn accept_only(cluster: &ApiCluster, plane: &ControlPlaneId, bundle: &Bundle) -> Outcome {
    let words = ["get", "configmap", "lapdev-bmmmmmmmmmmmmmmm", "-n", "lapdev-env-killed", "-o", "json"];
    let found: k8s_openapi::api::core::v1::ConfigMap = serde_json::from_str(&cluster.kubectl(&words, "").await?)?;
    let mut parent = Parent::read(&found)?;
    let canonical = bundle.clone().canonical();
    parent.accepted = Version { generation: Generation(2), digest: canonical.digest() };
    parent.bundle = Some(canonical.into_bytes());
    let apply = ["apply", "--server-side", "--field-manager=lapdev", "--force-conflicts", "-f", "-"];
    cluster.kubectl(&apply, &parent.render().to_string()).await?;
    let annotation = format!("lapdev.dev/control-plane={plane}");
    // The Lease may not be there yet: the process makes it.
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "killed", "namespace": HOME}});
    cluster.kubectl(&["apply", "-f", "-"], &lease.to_string()).await?;
    cluster.kubectl(&["annotate", "lease", "killed", "-n", HOME, &annotation], "").await?;
    // The chart's Role names one Lease; this test has one of its own, so that tests do not wait for each other.
    let allow = [
        "create",
        "role",
        "killed",
        "-n",
        HOME,
        "--verb=get,update,patch",
        "--resource=leases",
        "--resource-name=killed",
    ];
    cluster.kubectl(&allow, "").await?;
    let account = format!("--serviceaccount={HOME}:{ACCOUNT}");
    cluster.kubectl(&["create", "rolebinding", "killed", "-n", HOME, "--role=killed", &account], "").await?;
    Ok(())
}

fn start_process(kubeconfig: &Path, folder: &Path, log: &Path) -> Result<Running, Error> {
    let token = folder.join("token");
    let environment = [
        ("LAPDEV_URL", OsStr::new("http://127.0.0.1:9")),
        ("LAPDEV_TOKEN_FILE", token.as_os_str()),
        ("LAPDEV_LEASE", OsStr::new("killed")),
        ("LAPDEV_IDENTITY", OsStr::new("killed")),
        ("LAPDEV_REQUIRE_POLICY", OsStr::new("true")),
        ("KUBECONFIG", kubeconfig.as_os_str()),
        ("RUST_LOG", OsStr::new("info")),
    ];
    Running::start(&Program::Agent.path()?, &[], &[], &environment, log)
}
