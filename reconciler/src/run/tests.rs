//! The loop with real git repositories, a real store and a forge in memory.

mod bases;
mod late;

use super::{Reconciler, Settings};
use crate::git::RepositoryUrl;
use async_trait::async_trait;
use jiff::Timestamp;
use lapdev_api::{
    bundle::Bundle,
    name::{BranchRef, Commit, Generation, RepositoryId, RepositoryName},
    record::{EnvironmentRecord, Evidence, Life},
    route::Traffic,
    status::{EnvironmentStatus, Health, Phase, WorkloadStatus},
    wire::Held,
};
use lapdev_forge::{
    CommitState, CommitStatus, Complete, Forge, ForgeError, Listing, Page, Progress, PullRequest, PullRequestState,
    RepositoryInfo,
};
use lapdev_store::{Delivery, Recorded, Store, Topic, Which};
use std::{
    collections::BTreeMap,
    fmt::Debug,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

fn name<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("a legal name")
}

/// What a forge remembers.
#[derive(Default)]
struct Facts {
    pull_requests: BTreeMap<u64, PullRequest>,
    comments: BTreeMap<u64, (String, u32)>,
    statuses: BTreeMap<(Commit, String), CommitStatus>,
    down: bool,
    listings: u32,
    /// The name acme/shop leads to another repository.
    replaced: bool,
}

#[derive(Default)]
struct MemoryForge(Mutex<Facts>);

impl MemoryForge {
    fn facts<T>(&self, read: impl FnOnce(&mut Facts) -> T) -> T {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn answer<T>(&self, what: &str, read: impl FnOnce(&mut Facts) -> T) -> Result<T, ForgeError> {
        self.facts(|facts| match facts.down {
            true => Err(ForgeError::Unavailable { what: what.to_owned(), message: "502".to_owned(), source: None }),
            false => Ok(read(facts)),
        })
    }
}

#[async_trait]
impl Forge for MemoryForge {
    async fn repository(&self, repository: &RepositoryName) -> Result<RepositoryInfo, ForgeError> {
        self.answer("repository", |facts| RepositoryInfo {
            id: name(match (repository.as_str(), facts.replaced) {
                ("acme/shop", false) => "42",
                ("acme/shop", true) => "43",
                _ => "7",
            }),
            name: repository.clone(),
            default_branch: name("main"),
            clone_url: "https://forge.invalid/".to_owned(),
        })
    }

    async fn open_pull_requests(&self, _: &RepositoryName) -> Result<Complete<Vec<PullRequest>>, ForgeError> {
        let items = self.answer("list", |facts| {
            facts.listings += 1;
            let open = facts.pull_requests.values().filter(|p| p.state == PullRequestState::Open);
            open.map(|p| (p.number, p.clone())).collect()
        })?;
        let page = Page { items, next: None };
        match Listing::starting_at("/").with_page(page) {
            Ok(Progress::Done(complete)) => Ok(complete),
            _ => Err(ForgeError::Partial { what: "list".to_owned(), message: "twice".to_owned() }),
        }
    }

    async fn pull_request(&self, _: &RepositoryName, number: u64) -> Result<PullRequest, ForgeError> {
        let found = self.answer("pull request", |facts| facts.pull_requests.get(&number).cloned())?;
        found.ok_or(ForgeError::NotFound { what: "pull request".to_owned() })
    }

    async fn upsert_comment(
        &self,
        _: &RepositoryName,
        number: u64,
        _: Option<u64>,
        marker: &str,
        body: &str,
    ) -> Result<u64, ForgeError> {
        assert!(body.contains(marker));
        self.answer("comment", |facts| {
            let comment = facts.comments.entry(number).or_default();
            *comment = (body.to_owned(), comment.1 + 1);
            number
        })
    }

    async fn set_commit_status(
        &self,
        _: &RepositoryName,
        commit: &Commit,
        status: &CommitStatus,
    ) -> Result<(), ForgeError> {
        self.answer("status", |facts| {
            facts.statuses.insert((commit.clone(), status.context.clone()), status.clone());
        })
    }
}

/// A repository on disk that commits without a work tree.
struct Repository(PathBuf);

impl Repository {
    fn make(path: PathBuf) -> Self {
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).initial_head("main");
        git2::Repository::init_opts(&path, &options).expect("a repository");
        Self(path)
    }

    fn open(&self) -> git2::Repository {
        git2::Repository::open_bare(&self.0).expect("it is there")
    }

    /// Commits these files on top of `from`, onto `branch`; empty content removes a file.
    fn commit_onto(&self, branch: &str, from: &str, files: &[(&str, &str)]) -> Commit {
        let repository = self.open();
        let parent = repository.find_reference(&format!("refs/heads/{from}")).ok();
        let parent = parent.map(|reference| reference.peel_to_commit().expect("a commit"));
        let mut index = git2::Index::new().expect("an index");
        if let Some(parent) = &parent {
            index.read_tree(&parent.tree().expect("a tree")).expect("read");
        }
        for (path, content) in files {
            if content.is_empty() {
                index.remove_path(Path::new(path)).expect("removed");
                continue;
            }
            let id = repository.blob(content.as_bytes()).expect("written");
            let time = git2::IndexTime::new(0, 0);
            let entry = git2::IndexEntry {
                ctime: time,
                mtime: time,
                dev: 0,
                ino: 0,
                mode: 0o100_644,
                uid: 0,
                gid: 0,
                file_size: 0,
                id,
                flags: 0,
                flags_extended: 0,
                path: path.as_bytes().to_vec(),
            };
            index.add(&entry).expect("added");
        }
        let tree = repository.find_tree(index.write_tree_to(&repository).expect("written")).expect("a tree");
        let who = git2::Signature::new("a", "a@example.com", &git2::Time::new(0, 0)).expect("a signature");
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        let id = repository.commit(None, &who, &who, "change", &tree, &parents).expect("committed");
        repository.reference(&format!("refs/heads/{branch}"), id, true, "push").expect("pushed");
        name(&id.to_string())
    }

    fn commit(&self, branch: &str, files: &[(&str, &str)]) -> Commit {
        self.commit_onto(branch, branch, files)
    }
}

const CLUSTER: &str = "apiVersion: lapdev.dev/v1alpha1
kind: Cluster
metadata: {name: dev}
spec:
  permissions: {personal: true, shared: true}
  namespacePrefix: lapdev-env-
  previewDomain: preview.example.com
";

const CATALOG: &str = "apiVersion: lapdev.dev/v1alpha1
kind: AppCatalog
metadata: {name: shop}
spec:
  source: {path: apps/shop}
  workloads:
    - {name: web, repository: acme/shop, paths: ['services/web/**'], image: {container: web, name: ghcr.io/acme/web, tag: '{sha}'}}
    - {name: api, repository: acme/shop, paths: ['services/api/**']}
  previews:
    - {service: web, port: http}
  branchEnvironments:
    base: staging
    on: [{repository: acme/shop, pullRequests: {}}]
    ttl: 72h
    limit: 50
";

const STAGING: &str = "apiVersion: lapdev.dev/v1alpha1
kind: Environment
metadata: {name: staging}
spec: {type: Shared, catalog: shop, cluster: dev}
";

fn app(workload: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {workload}}}\nspec:\n  selector: {{matchLabels: \
         {{app: {workload}}}}}\n  template:\n    metadata: {{labels: {{app: {workload}}}}}\n    spec: {{containers: \
         [{{name: {workload}, image: 'ghcr.io/acme/{workload}:v1'}}]}}\n---\napiVersion: v1\nkind: Service\nmetadata: \
         {{name: {workload}}}\nspec: {{selector: {{app: {workload}}}, ports: [{{name: http, port: 80}}]}}\n"
    )
}

/// A whole control plane's thinking, on real repositories.
struct Lab {
    _folder: TempDir,
    config: Repository,
    shop: Repository,
    store: Store,
    forge: Arc<MemoryForge>,
    settings: Settings,
    running: Option<(CancellationToken, JoinHandle<()>)>,
    deliveries: u32,
}

impl Lab {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, shop) =
            (Repository::make(folder.path().join("config.git")), Repository::make(folder.path().join("shop.git")));
        let (web, api) = (app("web"), app("api"));
        config.commit(
            "main",
            &[
                ("lapdev/cluster.yaml", CLUSTER),
                ("lapdev/shop.yaml", CATALOG),
                ("lapdev/staging.yaml", STAGING),
                ("apps/shop/web.yaml", &web),
                ("apps/shop/api.yaml", &api),
            ],
        );
        shop.commit("main", &[("services/web/a", "1"), ("services/api/a", "1")]);
        let mut settings = Settings::new(
            name("acme/environments"),
            name("main"),
            folder.path().join("mirrors"),
            "https://lapdev.example.com:8443".parse().expect("a URL"),
        );
        settings.config_path = "lapdev".to_owned();
        settings.poll = Duration::from_secs(3600);
        settings.report_interval = Duration::from_millis(1);
        for (named, repository) in [("acme/environments", &config), ("acme/shop", &shop)] {
            let url = RepositoryUrl::from_path(&repository.0).expect("an absolute path");
            settings.repositories.insert(name(named), url);
        }
        let store = Store::open(&folder.path().join("lapdev.db"), &"a".repeat(16).parse().expect("legal"))
            .await
            .expect("a store");
        store.session_opened(&name("dev"), 1, "0.1.0", Timestamp::now()).await.expect("opened");
        store.session_adopted(&name("dev"), 1).await.expect("it holds nothing");
        let forge = Arc::new(MemoryForge::default());
        let mut lab = Self { _folder: folder, config, shop, store, forge, settings, running: None, deliveries: 0 };
        lab.start();
        lab
    }

    fn start(&mut self) {
        let forge = Arc::clone(&self.forge) as Arc<dyn Forge>;
        let reconciler = Reconciler::new(self.settings.clone(), self.store.clone(), forge).expect("it opens");
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(reconciler.run(shutdown.clone()));
        self.running = Some((shutdown, task));
    }

    async fn stop(&mut self) {
        if let Some((shutdown, task)) = self.running.take() {
            shutdown.cancel();
            task.await.expect("it ends by itself");
        }
    }

    /// As the forge's webhook would, and waits until the pass that saw it has committed.
    async fn nudge(&mut self, repository: &str) {
        self.nudge_of(repository, None).await;
    }

    /// The same from the repository of this id.
    async fn nudge_of(&mut self, repository: &str, id: Option<&str>) {
        self.deliveries += 1;
        let delivery = Delivery {
            id: format!("d{}", self.deliveries),
            forge: "github".to_owned(),
            event: "push".to_owned(),
            action: None,
            repository_id: id.map(str::to_owned),
            repository: Some(repository.to_owned()),
            received_at: Timestamp::now(),
            ignored: false,
        };
        assert_eq!(self.store.record_delivery(&delivery).await.expect("recorded"), Recorded::New);
        self.until("the delivery is processed", async |lab| {
            lab.store.pending_deliveries(1).await.expect("listed").is_empty()
        })
        .await;
    }

    async fn until(&self, what: &str, done: impl AsyncFn(&Self) -> bool) {
        let wait = async {
            while !done(self).await {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(30), wait).await.is_err() {
            panic!("not within 30 s: {what}; {:#?}", self.records().await);
        }
    }

    async fn records(&self) -> Vec<EnvironmentRecord> {
        self.store.environments(Which::All).await.expect("listed")
    }

    async fn find(&self, prefix: &str) -> Option<EnvironmentRecord> {
        let found = self.records().await.into_iter().filter(|record| record.identity.name.as_str().starts_with(prefix));
        found.max_by_key(|record| record.first_seen)
    }

    async fn get(&self, prefix: &str) -> EnvironmentRecord {
        self.find(prefix).await.unwrap_or_else(|| panic!("no environment {prefix}"))
    }

    async fn published(&self, prefix: &str) -> EnvironmentRecord {
        self.until(prefix, async |lab| lab.find(prefix).await.is_some_and(|record| record.digest.is_some())).await;
        self.get(prefix).await
    }

    async fn bundle(&self, record: &EnvironmentRecord) -> Bundle {
        let bytes = self.store.bundle(&record.digest.expect("published")).await.expect("read").expect("stored");
        serde_json::from_slice(&bytes).expect("a bundle")
    }

    fn open(&self, number: u64, branch: &str, head: &Commit) {
        let pull_request = PullRequest {
            number,
            title: "Change".to_owned(),
            repository_id: name::<RepositoryId>("42"),
            head: head.clone(),
            head_ref: name::<BranchRef>(branch),
            head_repository_id: Some(name::<RepositoryId>("42")),
            fork: false,
            base_ref: name("main"),
            draft: false,
            labels: vec![],
            author: "alice".to_owned(),
            state: PullRequestState::Open,
            url: String::new(),
        };
        self.forge.facts(|facts| facts.pull_requests.insert(number, pull_request));
    }

    fn set_state(&self, number: u64, state: PullRequestState) {
        self.forge.facts(|facts| facts.pull_requests.get_mut(&number).expect("opened before").state = state);
    }

    async fn comment(&self, number: u64, contains: &str) -> String {
        let text =
            |lab: &Self| lab.forge.facts(|facts| facts.comments.get(&number).map(|c| c.0.clone()).unwrap_or_default());
        self.until(contains, async |lab| text(lab).contains(contains)).await;
        text(self)
    }

    async fn pull_request_on_web(&mut self) -> EnvironmentRecord {
        self.published("staging").await;
        let head = self.shop.commit_onto("feature/x", "main", &[("services/web/a", "2")]);
        self.open(7, "feature/x", &head);
        self.nudge("acme/shop").await;
        self.published("feature-x").await
    }
}

fn names(bundle: &Bundle) -> Vec<String> {
    bundle.objects.iter().map(|o| format!("{}/{}", o["kind"], o["metadata"]["name"]).replace('"', "")).collect()
}

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

impl Lab {
    /// The catalog's source moves into the app repository itself.
    async fn with_source_in_the_app_repository(&mut self) {
        let (web, api) = (app("web"), app("api"));
        self.shop.commit("main", &[("deploy/web.yaml", &web), ("deploy/api.yaml", &api)]);
        let catalog = CATALOG.replace("{path: apps/shop}", "{repository: acme/shop, path: deploy, ref: main}");
        self.config.commit("main", &[("lapdev/shop.yaml", &catalog)]);
        self.published("staging").await;
        self.nudge("acme/environments").await;
    }
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
