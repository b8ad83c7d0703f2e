//! The comment and the statuses as people read them.

use super::{Links, Sight, comment, head_statuses, marker, newest, of_config, of_environment};
use crate::plan::fixture::{World, branches, commit, hour, pull_request, pull_requests, shop};
use lapdev_api::{
    bundle::DialTarget,
    digest::Digest,
    kinds::{Access, Port},
    name::compose,
    record::{EnvironmentRecord, Evidence, Life, PreviewRecord, Problem, Reason},
    status::{EnvironmentStatus, Health, Phase, WorkloadStatus},
    view::{ConfigView, HeldView},
};
use lapdev_forge::CommitState;

fn record() -> EnvironmentRecord {
    let mut world = World::new(shop(vec![pull_requests()]));
    world.sees(&[("feature/x", 2)], &[pull_request(7, "feature/x")]);
    world.pass();
    let mut record = world.life("feature-x").clone();
    let reason = |workload: &str, text: &str| Reason { workload: Some(workload.to_owned()), text: text.to_owned() };
    record.reasons.push(reason("api", "ConfigMap settings differs from the one at the merge base"));
    record.reasons.push(reason("web", "the branch changes services/web/main.rs and 2 more files"));
    let preview = |service: &str, branch| PreviewRecord {
        service: service.to_owned(),
        host: format!("{}.preview.example.com", compose(service, record.identity.name.as_str())),
        access: if branch { Access::Organization } else { Access::Public },
        routes: vec![(
            "/".to_owned(),
            DialTarget { namespace: record.namespace.clone(), service: service.to_owned(), port: Port::Number(80) },
        )],
        branch,
    };
    record.previews = vec![preview("web", true), preview("admin", false)];
    record
}

fn status(record: &EnvironmentRecord, phase: Phase) -> EnvironmentStatus {
    let workload = |name: &str, health, ready, reason: Option<&str>| WorkloadStatus {
        kind: "Deployment".to_owned(),
        name: compose(name, record.identity.name.as_str()),
        health,
        ready,
        desired: 1,
        reason: reason.map(str::to_owned),
        message: reason.map(|_| "Back-off pulling image \"ghcr.io/acme/web:2\" | denied".to_owned()),
    };
    EnvironmentStatus {
        uid: record.identity.uid.clone(),
        generation: record.generation,
        applied: record.digest,
        phase,
        message: if phase == Phase::Ready { String::new() } else { "web: ImagePullBackOff".to_owned() },
        workloads: vec![
            workload("api", Health::Current, 1, None),
            match phase {
                Phase::Ready => workload("web", Health::Current, 1, None),
                _ => workload("web", Health::Failed, 0, Some("ImagePullBackOff")),
            },
        ],
        notices: vec![],
        traffic: vec![],
    }
}

fn written(record: &EnvironmentRecord, status: Option<&EnvironmentStatus>) -> String {
    shown(record, status, None)
}

fn shown(record: &EnvironmentRecord, status: Option<&EnvironmentStatus>, traffic: Option<&str>) -> String {
    let marker = marker(&"cccccccccccccccc".parse().expect("legal"), &"42".parse().expect("legal"), 7);
    let url = "https://lapdev.example.com:8443".parse().expect("a URL");
    let text = comment(
        &marker,
        &[Sight { record, status, connected: true, traffic }],
        Links { external_url: &url, secret: &[7; 32] },
    );
    text.replace(record.identity.name.as_str(), "KEY")
}

#[test]
fn the_comment_of_a_ready_environment_is_this() {
    let record = record();
    let traffic = Some("42 requests with its key, 3 × 5xx, all at cart (branch)");
    insta::assert_snapshot!("ready", shown(&record, Some(&status(&record, Phase::Ready)), traffic));
}

#[test]
fn the_comment_of_a_failing_environment_carries_the_pods_own_reason() {
    let mut record = record();
    record.problems.push(Problem { reason: "DeletionHeld".to_owned(), message: "ask somebody".to_owned() });
    insta::assert_snapshot!("failed", written(&record, Some(&status(&record, Phase::Failed))));
}

#[test]
fn the_comment_of_one_that_ended_says_why_and_how_to_get_it_back() {
    let mut record = record();
    let evidence = Evidence::PullRequestClosed { numbers: vec![7] };
    record.life = Life::Closed { evidence, at: hour(1) };
    let text = shown(&record, None, Some("42 requests"));
    assert!(!text.contains("42 requests"), "{text}");
    assert!(text.contains("### Environment `KEY` has ended"), "{text}");
    assert!(text.contains("Reopening the pull request brings it back"), "{text}");
    assert!(!text.contains("lapdev-token"), "a closed door needs no key: {text}");
}

#[test]
fn a_status_of_an_older_generation_says_nothing_about_the_newest() {
    let mut record = record();
    let old = status(&record, Phase::Ready);
    record.generation = record.generation.next();
    record.digest = Some(Digest::of(b"newer"));
    let text = written(&record, Some(&old));
    assert!(text.contains("is being rolled out") && text.contains("| web | – |"), "{text}");
}

#[test]
fn commit_statuses_are_pending_green_or_red() {
    let record = record();
    let (ready, failed) = (status(&record, Phase::Ready), status(&record, Phase::Failed));
    let verdict = |record, status| of_environment(&Sight { record, status, connected: true, traffic: None });
    assert_eq!(verdict(&record, None).state, CommitState::Pending);
    assert_eq!(verdict(&record, Some(&ready)).state, CommitState::Success);
    let red = verdict(&record, Some(&failed));
    assert_eq!((red.state, red.context.as_str()), (CommitState::Failure, "lapdev/shop"));
    assert!(red.description.ends_with("cannot become ready: web: ImagePullBackOff"), "{}", red.description);
}

#[test]
fn two_branches_at_one_commit_share_one_status() {
    let mut world = World::new(shop(vec![branches("*")]));
    world.sees(&[("a", 2), ("b", 2)], &[]);
    world.pass();
    let sights: Vec<Sight<'_>> = newest(&world.ledger)
        .into_iter()
        .map(|record| Sight { record, status: None, connected: true, traffic: None })
        .collect();
    assert_eq!(head_statuses(&sights).len(), 1);
}

#[test]
fn a_config_commit_is_red_with_its_first_error_or_with_what_is_held() {
    let head = Some(commit(1));
    let view = ConfigView { head: head.clone(), loaded: head.clone(), ..ConfigView::default() };
    let state = |view: &ConfigView| of_config(view).map(|status| (status.state, status.description));
    assert_eq!(state(&view), Some((CommitState::Success, "in force".to_owned())));
    let errors = vec!["a.yaml:1:1: wrong".to_owned(), "b.yaml:2:2: wrong".to_owned()];
    let broken = ConfigView { errors, loaded: None, ..view.clone() };
    assert_eq!(state(&broken), Some((CommitState::Failure, "2 errors: a.yaml:1:1: wrong".to_owned())));
    let held = Some(HeldView { environments: vec!["staging".parse().expect("legal")], message: String::new() });
    assert_eq!(state(&ConfigView { held, ..view }).map(|s| s.0), Some(CommitState::Failure));
    assert_eq!(state(&ConfigView::default()), None);
}
