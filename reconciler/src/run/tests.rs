//! The loop with real git repositories, a real store and a forge in memory: what every test of it begins with.

mod bases;
mod course;
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
