//! From an event to what is published, reported and ended, and what no event may do.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_becomes_a_bundle_of_the_workload_that_it_changes() {
    let mut lab = Lab::new().await;
    let record = lab.pull_request_on_web().await;
    let key = record.identity.name.to_string();
    let bundle = lab.bundle(&record).await;
    assert_eq!(names(&bundle), [format!("Service/web--{key}"), format!("Deployment/web--{key}")]);
    let image = &bundle.objects[1]["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(*image, format!("ghcr.io/acme/web:{}", record.head.clone().expect("known")));
    assert_eq!(record.generation, Generation(1));
    assert_eq!(lab.store.clusters().await.expect("read").len(), 1);
    let reason = record.reasons.last().expect("each workload has one");
    assert_eq!((reason.workload.as_deref(), reason.text.as_str()), (Some("web"), "the branch changes services/web/a"));
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_renders_only_what_it_touches_and_a_restart_nothing() {
    let mut lab = Lab::new().await;
    lab.pull_request_on_web().await;
    let staging = lab.get("staging").await;
    let head = lab.shop.commit("feature/x", &[("services/api/a", "2")]);
    lab.open(7, "feature/x", &head);
    lab.nudge("acme/shop").await;
    let record = lab.get("feature-x").await;
    assert_eq!((record.generation, record.head.as_ref()), (Generation(2), Some(&head)));
    assert_eq!(lab.bundle(&record).await.objects.len(), 4, "api has come along");
    assert_eq!(lab.get("staging").await, staging);
    let before = lab.records().await;
    lab.stop().await;
    let watch = lab.store.watch(Topic::Desired);
    lab.start();
    lab.nudge("acme/shop").await;
    assert_eq!(lab.records().await, before);
    assert!(!watch.has_changed().expect("open"), "nothing was written");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pull_request_ends_it_and_a_late_delivery_does_not_bring_it_back() {
    let mut lab = Lab::new().await;
    let first = lab.pull_request_on_web().await;
    lab.set_state(7, PullRequestState::Merged);
    lab.nudge("acme/shop").await;
    let ended = lab.get("feature-x").await;
    let Life::Closing { evidence, .. } = &ended.life else { panic!("{:?}", ended.life) };
    assert_eq!(*evidence, Evidence::PullRequestClosed { numbers: vec![7] });
    assert_eq!(ended.generation, Generation(2));
    lab.nudge("acme/shop").await;
    assert_eq!(lab.get("feature-x").await, ended);
    lab.comment(7, "is being removed").await;
    // Reopened while it is still being removed: the new life waits, and begins when the old one is gone.
    lab.set_state(7, PullRequestState::Open);
    lab.nudge("acme/shop").await;
    assert!(matches!(lab.get("feature-x").await.life, Life::Queued { .. }));
    let dev = name("dev");
    assert!(
        lab.store.confirm_gone(&dev, &ended.identity.uid, ended.generation, Timestamp::now()).await.expect("asked")
    );
    lab.until("a new life", async |lab| lab.get("feature-x").await.life == Life::Live).await;
    assert_ne!(lab.get("feature-x").await.identity.uid, first.identity.uid);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_commit_that_does_not_load_leaves_the_last_good_one_in_force_even_over_a_restart() {
    let mut lab = Lab::new().await;
    lab.pull_request_on_web().await;
    let good = lab.store.config().await.expect("read").loaded;
    let before = lab.records().await;
    let broken = lab.config.commit("main", &[("lapdev/staging.yaml", "kind: Environment\nmetadata: {nam: staging}\n")]);
    lab.nudge("acme/environments").await;
    for _ in 0..2 {
        let view = lab.store.config().await.expect("read");
        assert_eq!((view.head.as_ref(), &view.loaded), (Some(&broken), &good));
        assert!(view.errors.iter().any(|error| error.starts_with("lapdev/staging.yaml:")), "{:?}", view.errors);
        assert_eq!(lab.records().await, before);
        lab.stop().await;
        lab.start();
        lab.nudge("acme/shop").await;
    }
    let key = (broken, "lapdev".to_owned());
    lab.until("the error on the commit", async |lab| lab.forge.facts(|facts| facts.statuses.contains_key(&key))).await;
    assert_eq!(lab.forge.facts(|facts| facts.statuses[&key].state), CommitState::Failure);
    let fixed = lab.config.commit("main", &[("lapdev/staging.yaml", STAGING)]);
    lab.nudge("acme/environments").await;
    assert_eq!(lab.store.config().await.expect("read").loaded, Some(fixed));
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_deletes_nothing_and_is_named() {
    let mut lab = Lab::new().await;
    lab.pull_request_on_web().await;
    lab.forge.facts(|facts| facts.down = true);
    lab.nudge("acme/shop").await;
    assert_eq!(lab.get("feature-x").await.life, Life::Live);
    assert_eq!(lab.get("feature-x").await.problems[0].reason, "PullRequestsUnavailable");
    lab.forge.facts(|facts| facts.down = false);
    let hidden = lab.shop.0.with_extension("hidden");
    std::fs::rename(&lab.shop.0, &hidden).expect("moved");
    lab.nudge("acme/shop").await;
    assert_eq!(lab.get("feature-x").await.life, Life::Live);
    let unreadable = lab.store.config().await.expect("read").unreadable;
    assert!(unreadable[0].message.starts_with("acme/shop: "), "{unreadable:?}");
    std::fs::rename(&hidden, &lab.shop.0).expect("moved back");
    lab.nudge("acme/shop").await;
    assert!(lab.get("feature-x").await.problems.is_empty());
    assert!(lab.store.config().await.expect("read").unreadable.is_empty());
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_does_not_render_keeps_what_runs_and_says_so() {
    let mut lab = Lab::new().await;
    lab.pull_request_on_web().await;
    let before = lab.get("feature-x").await;
    let head = lab.shop.commit("feature/x", &[(".lapdev.yaml", "workloads: [wbe]\n")]);
    lab.open(7, "feature/x", &head);
    lab.nudge("acme/shop").await;
    let record = lab.get("feature-x").await;
    assert_eq!((record.digest, record.generation), (before.digest, before.generation));
    assert_eq!(record.problems[0].reason, "RenderFailed");
    assert!(record.problems[0].message.contains("it has api, web"), "{:?}", record.problems);
    lab.comment(7, "could not be updated").await;
    let head = lab.shop.commit("feature/x", &[(".lapdev.yaml", "workloads: [api]\nenv: {MODE: test}\nttl: 1h\n")]);
    lab.open(7, "feature/x", &head);
    lab.nudge("acme/shop").await;
    let record = lab.get("feature-x").await;
    assert!(record.problems.is_empty());
    assert_eq!(lab.bundle(&record).await.objects.len(), 4);
    let left = record.expires_at.expect("it has a ttl").duration_since(record.last_change);
    assert_eq!(left, jiff::SignedDuration::from_hours(1), "a branch may ask for less time");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_comment_follows_the_pods_and_is_written_only_when_it_changes() {
    let mut lab = Lab::new().await;
    let record = lab.pull_request_on_web().await;
    let key = record.identity.name.to_string();
    lab.comment(7, "is being rolled out").await;
    let status = |phase, health, ready| EnvironmentStatus {
        uid: record.identity.uid.clone(),
        generation: record.generation,
        applied: record.digest,
        phase,
        message: String::new(),
        workloads: vec![WorkloadStatus {
            kind: "Deployment".to_owned(),
            name: format!("web--{key}"),
            health,
            ready,
            desired: 1,
            reason: (ready == 0).then(|| "ImagePullBackOff".to_owned()),
            message: None,
        }],
        notices: vec![],
        traffic: vec![],
    };
    let dev = name("dev");
    let failed = status(Phase::Failed, Health::Failed, 0);
    assert!(lab.store.record_status(&dev, &failed, Timestamp::now()).await.expect("recorded"));
    let text = lab.comment(7, "cannot become ready").await;
    assert!(text.contains("failed 0/1: ImagePullBackOff"), "{text}");
    let ready = status(Phase::Ready, Health::Current, 1);
    assert!(lab.store.record_status(&dev, &ready, Timestamp::now()).await.expect("recorded"));
    let text = lab.comment(7, "is ready").await;
    assert!(text.contains("| web | ready 1/1 | the branch changes services/web/a |"), "{text}");
    assert!(text.contains(&format!("https://web--{key}.preview.example.com:8443/?lapdev-token=")), "{text}");
    let busy = async |requests, errors| {
        let traffic = vec![Traffic { service: "web".to_owned(), branch: true, requests, errors }];
        let status = EnvironmentStatus { traffic, ..ready.clone() };
        assert!(lab.store.record_status(&dev, &status, Timestamp::now()).await.expect("recorded"));
    };
    busy(1, 0).await;
    lab.comment(7, "Traffic: 1 request with its key, none of them 5xx.").await;
    let edits = || lab.forge.facts(|facts| facts.comments[&7].1);
    let before = edits();
    for requests in 2..50 {
        busy(requests, 0).await;
    }
    busy(50, 1).await;
    lab.comment(7, "Traffic: 50 requests with its key, 1 × 5xx, all at web (branch).").await;
    assert_eq!(edits(), before + 1, "counts alone wait, the first error does not");
    let head = record.head.expect("known");
    let state = (head, "lapdev/shop".to_owned());
    lab.until("the status is green", async |lab| {
        lab.forge.facts(|facts| facts.statuses.get(&state).is_some_and(|status| status.state == CommitState::Success))
    })
    .await;
    let written = lab.forge.facts(|facts| facts.comments[&7].1);
    lab.nudge("acme/shop").await;
    lab.stop().await;
    lab.start();
    lab.nudge("acme/shop").await;
    lab.stop().await;
    assert_eq!(lab.forge.facts(|facts| facts.comments[&7].1), written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_delivery_is_found_by_the_poll() {
    let mut lab = Lab::new().await;
    lab.published("staging").await;
    lab.stop().await;
    lab.settings.poll = Duration::from_millis(50);
    lab.start();
    let head = lab.shop.commit_onto("feature/x", "main", &[("services/web/a", "2")]);
    lab.open(7, "feature/x", &head);
    lab.published("feature-x").await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_override_edited_in_the_config_takes_effect() {
    let mut lab = Lab::new().await;
    lab.published("staging").await;
    let overridden = STAGING.replace("cluster: dev}", "cluster: dev, overrides: [{workload: web, replicas: 4}]}");
    lab.config.commit("main", &[("lapdev/staging.yaml", &overridden)]);
    lab.nudge("acme/environments").await;
    let record = lab.get("staging").await;
    let bundle = lab.bundle(&record).await;
    let web =
        bundle.objects.iter().find(|object| object["metadata"]["name"] == "web" && object["kind"] == "Deployment");
    assert_eq!(web.expect("it has web")["spec"]["replicas"], 4);
    assert_eq!(record.generation, Generation(2));
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_unchanged_environments_are_not_rendered_again() {
    let mut lab = Lab::new().await;
    lab.published("staging").await;
    for number in 1..=200 {
        let branch = format!("f{number}");
        let head = lab.shop.commit_onto(&branch, "main", &[("services/web/a", &branch)]);
        lab.open(number, &branch, &head);
    }
    let raised = CATALOG.replace("limit: 50", "limit: 500");
    lab.config.commit("main", &[("lapdev/shop.yaml", &raised)]);
    lab.nudge("acme/environments").await;
    lab.until("all are published", async |lab| {
        lab.records().await.iter().filter(|record| record.digest.is_some()).count() == 201
    })
    .await;
    let head = lab.shop.commit("f100", &[("services/web/a", "once more")]);
    lab.open(100, "f100", &head);
    let before = lab.records().await;
    let begun = std::time::Instant::now();
    lab.nudge("acme/shop").await;
    let took = begun.elapsed();
    let after = lab.records().await;
    let changed = after.iter().filter(|record| !before.contains(record)).count();
    assert_eq!((after.len(), changed), (201, 1));
    assert!(took < Duration::from_secs(5), "even unoptimised, it must not render them all: {took:?}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_lags_behind_its_webhook_is_looked_at_once_more() {
    let mut lab = Lab::new().await;
    lab.published("staging").await;
    let head = lab.shop.commit_onto("feature/x", "main", &[("services/web/a", "2")]);
    lab.nudge("acme/shop").await;
    assert!(lab.find("feature-x").await.is_none());
    lab.open(7, "feature/x", &head);
    lab.published("feature-x").await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_changes_a_manifest_runs_that_workload_and_a_main_that_moves_on_adds_none() {
    let mut lab = Lab::new().await;
    lab.with_source_in_the_app_repository().await;
    let staging = lab.get("staging").await;
    let api = app("api").replace(":v1", ":v2");
    let head = lab.shop.commit_onto("feature/x", "main", &[("deploy/api.yaml", &api)]);
    lab.open(7, "feature/x", &head);
    lab.nudge("acme/shop").await;
    let record = lab.published("feature-x").await;
    let key = record.identity.name.to_string();
    let bundle = lab.bundle(&record).await;
    assert_eq!(names(&bundle), [format!("Service/api--{key}"), format!("Deployment/api--{key}")]);
    assert_eq!(bundle.objects[1]["spec"]["template"]["spec"]["containers"][0]["image"], "ghcr.io/acme/api:v2");
    let why = &record.reasons.last().expect("it has one").text;
    assert_eq!(why, "its manifest differs from the one at the merge base");
    assert_eq!((record.source.as_ref(), lab.get("staging").await), (Some(&head), staging));

    let main = lab.shop.commit("main", &[("deploy/web.yaml", &app("web").replace(":v1", ":v3"))]);
    lab.nudge("acme/shop").await;
    let moved = lab.get("staging").await;
    assert_eq!((moved.generation, moved.source.as_ref()), (Generation(2), Some(&main)), "the baseline follows");
    assert_eq!(lab.get("feature-x").await, record, "the branch is what it was");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_fork_runs_its_head_without_its_own_branch_file() {
    let mut lab = Lab::new().await;
    let catalog = CATALOG.replace("pullRequests: {}", "pullRequests: {forks: allow}");
    lab.config.commit("main", &[("lapdev/shop.yaml", &catalog)]);
    lab.published("staging").await;
    lab.nudge("acme/environments").await;
    // A forge serves a fork's commits under the pull request's own ref, and in no branch.
    let files = [("services/web/a", "2"), (".lapdev.yaml", "workloads: [api]\n")];
    let head = lab.shop.commit_onto("stranger", "main", &files);
    let repository = lab.shop.open();
    let id = git2::Oid::from_str(head.as_str()).expect("an id");
    repository.reference("refs/pull/9/head", id, true, "opened").expect("written");
    repository.find_reference("refs/heads/stranger").expect("there").delete().expect("deleted");
    lab.open(9, "main", &head);
    lab.forge.facts(|facts| facts.pull_requests.get_mut(&9).expect("opened").fork = true);
    lab.nudge("acme/shop").await;
    let record = lab.published("pull-9-head").await;
    let key = record.identity.name.to_string();
    assert_eq!(names(&lab.bundle(&record).await), [format!("Service/web--{key}"), format!("Deployment/web--{key}")]);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_store_was_lost_nothing_begins_before_the_agent_has_said_what_it_holds() {
    let mut lab = Lab::new().await;
    let staging = lab.published("staging").await;
    lab.stop().await;
    let lost = tempfile::tempdir().expect("a folder");
    let id = lab.store.control_plane_id();
    lab.store = Store::open(&lost.path().join("lapdev.db"), &id).await.expect("a store");
    lab.start();
    lab.nudge("acme/environments").await;
    let waiting = lab.get("staging").await;
    assert!(matches!(waiting.life, Life::Queued { .. }) && waiting.identity.uid != staging.identity.uid);
    let (identity, namespace) = (staging.identity.clone(), staging.namespace.clone());
    let held = Held { identity, namespace, generation: staging.generation, digest: staging.digest, ended: None };
    let dev = name("dev");
    lab.store.session_opened(&dev, 1, "0.1.0", Timestamp::now()).await.expect("opened");
    lab.store.adopt(&dev, &held, Timestamp::now()).await.expect("adopted");
    lab.store.session_adopted(&dev, 1).await.expect("that was all");
    // Nobody nudges: the agent's word alone wakes the loop.
    lab.until("published again", async |lab| {
        let adopted = lab.store.environment(&staging.identity.uid).await.expect("read");
        adopted.is_some_and(|record| record.life == Life::Live && record.digest == staging.digest)
    })
    .await;
    let lives = lab.store.environments(Which::Living).await.expect("listed");
    assert_eq!(lives.iter().filter(|record| matches!(record.life, Life::Live)).count(), 1);
    let waited = lab.store.environment(&waiting.identity.uid).await.expect("read").expect("kept");
    assert!(matches!(waited.life, Life::Closed { evidence: Evidence::Superseded { .. }, .. }), "{waited:?}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_repository_of_the_same_name_is_no_evidence_about_the_old_one() {
    let mut lab = Lab::new().await;
    let record = lab.pull_request_on_web().await;
    // Its number 7 is another one, and was closed. At first no delivery says that anything was replaced.
    let other = PullRequest {
        repository_id: name("43"),
        state: PullRequestState::Closed,
        ..lab.forge.facts(|facts| facts.pull_requests[&7].clone())
    };
    lab.forge.facts(|facts| facts.pull_requests.insert(7, other));
    lab.nudge("acme/shop").await;
    assert_eq!(lab.get("feature-x").await.life, Life::Live);
    // Nor does it have the branch. The delivery is the new repository's own.
    let shop = lab.shop.open();
    shop.find_reference("refs/heads/feature/x").expect("there").delete().expect("deleted");
    lab.forge.facts(|facts| facts.replaced = true);
    lab.nudge_of("acme/shop", Some("43")).await;
    let now = lab.get("feature-x").await;
    assert_eq!((&now.identity.uid, &now.life), (&record.identity.uid, &Life::Live));
    assert!(now.problems.iter().any(|problem| problem.reason == "RepositoryReplaced"), "{:?}", now.problems);
    lab.stop().await;
}
