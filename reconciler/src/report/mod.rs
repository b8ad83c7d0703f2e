//! What people read at the forge: one comment per pull request, a status per commit. It follows the store, apart from the
//! passes, so that a slow forge delays no environment.
//!
//! What changes quickly is written once per interval; what did not change is not written. A call that failed is made
//! again in the next round, at the latest when the poll interval has gone by.

mod comment;
mod commit_status;
mod escape;
mod state;
#[cfg(test)]
mod tests;
mod traffic;

pub use comment::{Links, comment, marker};
pub use commit_status::{of_config, of_environment};
pub use state::Sight;

use crate::{plan::Subject, run::Settings};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use lapdev_api::{
    digest::Digest,
    link,
    name::{Commit, RepositoryId, RepositoryName, Uid},
    record::{EnvironmentRecord, Life},
    status::EnvironmentStatus,
    view::ConfigView,
    words::error_chain,
};
use lapdev_forge::{CommitStatus, Forge, ForgeError, RepositoryInfo};
use lapdev_store::{CommentRecord, Store, StoreError, Topic, Which};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many writes to the forge at once. GitHub asks for few.
const AT_ONCE: usize = 2;

/// Writes comments and statuses.
pub(crate) struct Reporter {
    settings: Arc<Settings>,
    store: Store,
    forge: Arc<dyn Forge>,
}

/// One thing to be written.
#[derive(Debug, Clone, PartialEq)]
enum Post {
    Comment { repository_id: RepositoryId, repository: RepositoryName, number: u64, body: String },
    Status { repository_id: RepositoryId, repository: RepositoryName, commit: Commit, status: CommitStatus },
}

/// What the rounds remember.
#[derive(Default)]
struct Memory {
    /// Digests of what is known to stand at the forge, by place.
    written: BTreeMap<Digest, Digest>,
    config: Option<RepositoryInfo>,
    traffic: traffic::Shown,
    not_before: Option<Timestamp>,
}

/// A write that failed.
#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error("the forge did not answer in time")]
    Timeout,
}

impl Reporter {
    pub(crate) fn new(settings: Arc<Settings>, store: Store, forge: Arc<dyn Forge>) -> Self {
        Self { settings, store, forge }
    }

    /// Reports until `shutdown`.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        let mut topics = [Topic::Desired, Topic::Status, Topic::Config].map(|topic| self.store.watch(topic));
        let mut memory = Memory::default();
        loop {
            let next_round = Instant::now() + self.settings.report_interval;
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.round(&mut memory) => {}
            }
            let [desired, status, config] = &mut topics;
            tokio::select! {
                () = shutdown.cancelled() => return,
                Ok(()) = desired.changed() => {}
                Ok(()) = status.changed() => {}
                Ok(()) = config.changed() => {}
                () = tokio::time::sleep(self.settings.poll) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep_until(next_round) => {}
            }
            for topic in &mut topics {
                topic.mark_unchanged();
            }
        }
    }

    /// Writes everything that differs from what stands at the forge.
    async fn round(&self, memory: &mut Memory) {
        if memory.not_before.is_some_and(|until| until > Timestamp::now()) {
            return;
        }
        memory.not_before = None;
        let posts = match self.posts(memory).await {
            Ok(posts) => posts,
            Err(error) => {
                tracing::error!(error = %error_chain(&error), "nothing is reported this time");
                return;
            }
        };
        let places: BTreeSet<Digest> = posts.iter().map(Post::place).collect();
        memory.written.retain(|place, _| places.contains(place));
        let news: Vec<&Post> =
            posts.iter().filter(|post| memory.written.get(&post.place()) != Some(&post.digest())).collect();
        let writes = news.into_iter().map(|post| async move { (post, self.write(post).await) }).collect::<Vec<_>>();
        let mut written = stream::iter(writes).buffer_unordered(AT_ONCE);
        while let Some((post, outcome)) = written.next().await {
            match outcome {
                Ok(()) => {
                    memory.written.insert(post.place(), post.digest());
                }
                Err(error) => {
                    tracing::warn!(post = %post.name(), error = %error_chain(&error), "not reported; tried again later");
                    if let PostError::Forge(ForgeError::RateLimited { until, .. }) = error {
                        memory.not_before = Some(until);
                        return;
                    }
                }
            }
        }
    }

    async fn posts(&self, memory: &mut Memory) -> Result<Vec<Post>, StoreError> {
        let records = self.store.environments(Which::All).await?;
        let statuses = self.store.statuses().await?;
        let sessions = self.store.sessions().await?;
        let secret = self.store.secret(link::SECRET).await?;
        memory.traffic.update(statuses.iter().map(|(_, status)| status), Timestamp::now());
        let statuses: BTreeMap<&Uid, &EnvironmentStatus> =
            statuses.iter().map(|(_, status)| (&status.uid, status)).collect();
        let connected = |record: &EnvironmentRecord| {
            sessions.iter().any(|session| session.cluster == record.cluster && session.connected)
        };
        let newest = newest(&records);
        let sights: Vec<Sight<'_>> = newest
            .into_iter()
            .map(|record| Sight {
                record,
                status: statuses.get(&record.identity.uid).copied(),
                connected: connected(record),
                traffic: memory.traffic.of(&record.identity.uid),
            })
            .collect();
        let links = Links { external_url: &self.settings.external_url, secret: &secret };
        let mut posts = comments(&sights, &self.store.control_plane_id(), links);
        posts.extend(head_statuses(&sights));
        posts.extend(self.config_status(memory, &self.store.config().await?).await);
        Ok(posts)
    }

    async fn config_status(&self, memory: &mut Memory, view: &ConfigView) -> Option<Post> {
        let (status, commit) = (of_config(view)?, view.head.clone()?);
        let name = &self.settings.config_repository;
        if memory.config.is_none() {
            let asked = tokio::time::timeout(self.settings.forge_timeout, self.forge.repository(name)).await;
            memory.config = asked.ok().and_then(Result::ok);
        }
        let info = memory.config.as_ref()?;
        Some(Post::Status { repository_id: info.id.clone(), repository: name.clone(), commit, status })
    }

    async fn write(&self, post: &Post) -> Result<(), PostError> {
        let digest = post.digest();
        match post {
            Post::Comment { repository_id, repository, number, body } => {
                let known = self.store.comment(repository_id, *number).await?;
                if known.is_some_and(|known| known.body_digest == digest) {
                    return Ok(());
                }
                let marker = marker(&self.store.control_plane_id(), repository_id, *number);
                let known = known.map(|known| known.comment_id);
                let upsert = self.forge.upsert_comment(repository, *number, known, &marker, body);
                let comment_id = self.bounded(upsert).await?;
                let comment = CommentRecord { comment_id, body_digest: digest };
                self.store.put_comment(repository_id, *number, &comment).await?;
            }
            Post::Status { repository_id, repository, commit, status } => {
                if self.store.commit_status(repository_id, commit, &status.context).await? == Some(digest) {
                    return Ok(());
                }
                self.bounded(self.forge.set_commit_status(repository, commit, status)).await?;
                let now = Timestamp::now();
                self.store.put_commit_status(repository_id, commit, &status.context, &digest, now).await?;
            }
        }
        Ok(())
    }

    async fn bounded<T>(&self, call: impl Future<Output = Result<T, ForgeError>>) -> Result<T, PostError> {
        match tokio::time::timeout(self.settings.forge_timeout, call).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(PostError::Timeout),
        }
    }
}

impl Post {
    /// Where it stands, whatever it says.
    fn place(&self) -> Digest {
        Digest::of(self.name().as_bytes())
    }

    /// What it says.
    fn digest(&self) -> Digest {
        match self {
            Self::Comment { body, .. } => Digest::of(body.as_bytes()),
            Self::Status { status, .. } => {
                Digest::of(format!("{:?}\0{}\0{:?}", status.state, status.description, status.target_url).as_bytes())
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Comment { repository, number, .. } => format!("the comment on {repository}#{number}"),
            Self::Status { repository, commit, status, .. } => {
                format!("the status {} on {repository}@{commit}", status.context)
            }
        }
    }
}

/// Of each environment the life that counts: the living one, else the one that was first seen last.
fn newest(records: &[EnvironmentRecord]) -> Vec<&EnvironmentRecord> {
    let mut newest: BTreeMap<Subject, &EnvironmentRecord> = BTreeMap::new();
    let rank = |record: &EnvironmentRecord| {
        (matches!(record.life, Life::Live | Life::Queued { .. }), record.first_seen, record.identity.uid.clone())
    };
    for record in records {
        let known = newest.entry(Subject::of(&record.identity)).or_insert(record);
        if rank(record) > rank(known) {
            *known = record;
        }
    }
    newest.into_values().collect()
}

fn comments(sights: &[Sight<'_>], control_plane: &lapdev_api::name::ControlPlaneId, links: Links<'_>) -> Vec<Post> {
    let mut by_pull_request: BTreeMap<(&RepositoryId, u64), (&RepositoryName, Vec<Sight<'_>>)> = BTreeMap::new();
    for sight in sights {
        let Some(branch) = &sight.record.identity.branch else { continue };
        for number in &sight.record.pull_requests {
            let entry = by_pull_request.entry((&branch.repository_id, *number));
            entry.or_insert_with(|| (&branch.repository, Vec::new())).1.push(*sight);
        }
    }
    let post =
        |((repository_id, number), (repository, sights)): ((&RepositoryId, u64), (&RepositoryName, Vec<Sight<'_>>))| {
            let marker = marker(control_plane, repository_id, number);
            let body = comment(&marker, &sights, links);
            Post::Comment { repository_id: repository_id.clone(), repository: repository.clone(), number, body }
        };
    by_pull_request.into_iter().map(post).collect()
}

/// One status per head and catalog; of two branches at one commit, the first by name speaks for it.
fn head_statuses(sights: &[Sight<'_>]) -> Vec<Post> {
    let mut posts = BTreeMap::new();
    for sight in sights {
        let (Some(branch), Some(commit)) = (&sight.record.identity.branch, &sight.record.head) else { continue };
        if !matches!(sight.record.life, Life::Live | Life::Queued { .. }) {
            continue;
        }
        let status = of_environment(sight);
        let key = (branch.repository_id.clone(), commit.clone(), status.context.clone());
        posts.entry(key).or_insert_with(|| Post::Status {
            repository_id: branch.repository_id.clone(),
            repository: branch.repository.clone(),
            commit: commit.clone(),
            status,
        });
    }
    posts.into_values().collect()
}
