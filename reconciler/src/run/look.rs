//! Looking at an app repository: its id, its branches, its open pull requests. Whatever fails is written down as not
//! known, with the reason; nothing here is an error of the pass.

use super::{Reconciler, error_chain, world::Seen};
use crate::{
    git::{Listing, Mirror, RepositoryUrl},
    plan::{Confirmation, OpenPullRequests, PullRequest, Refs},
};
use lapdev_api::name::{RepositoryId, RepositoryName};
use lapdev_forge::{ForgeError, PullRequestState, RepositoryInfo};
use std::collections::BTreeSet;

/// How closely to look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closely {
    /// List its pull requests.
    pub pull_requests: bool,
    /// Ask again for its id and address, too.
    pub identity: bool,
}

impl Reconciler {
    /// Looks at one repository. What is known of it from before is used only for what cannot have changed.
    pub(super) async fn look(&self, name: &RepositoryName, before: Option<Seen>, closely: Closely) -> Seen {
        let before = before.unwrap_or_default();
        let known = before.info.clone().filter(|_| !closely.identity);
        let info = match known {
            Some(info) => info,
            None => match self.identify(name, before.info.clone()).await {
                Ok(info) => info,
                Err(why) => return unreadable(before, &why),
            },
        };
        let mut seen = Seen { info: Some(info.clone()), mirror: before.mirror.clone(), ..Seen::default() };
        seen.repository.id = Some(info.id.clone());
        seen.repository.branch_ttl = before.repository.branch_ttl.clone();
        match self.url(name, &info) {
            Ok(url) => self.look_inside(name, &url, &info, &mut seen, closely).await,
            Err(why) => seen.repository.refs = Refs::Unreadable(why),
        }
        if let Some(why) = seen.repository.refs.unknown_because() {
            tracing::warn!(repository = %name, why, "repository not readable; its environments stay");
        }
        seen
    }

    async fn look_inside(
        &self,
        name: &RepositoryName,
        url: &RepositoryUrl,
        info: &RepositoryInfo,
        seen: &mut Seen,
        closely: Closely,
    ) {
        let listed = async {
            match closely.pull_requests {
                true => self.list_pull_requests(name, &info.id).await,
                false => OpenPullRequests::Unavailable("nothing asks for them".to_owned()),
            }
        };
        let none = BTreeSet::new();
        let ((mirror, refs), pull_requests) = tokio::join!(self.fetch(url, &none, info), listed);
        seen.mirror = mirror.or(seen.mirror.take());
        seen.repository.refs = refs;
        // The commits of a fork are in no branch of this repository.
        let forks = forks_to_fetch(&pull_requests, seen.mirror.as_ref());
        if !forks.is_empty() && seen.repository.refs.known().is_some() {
            let (mirror, refs) = self.fetch(url, &forks, info).await;
            seen.mirror = mirror.or(seen.mirror.take());
            seen.repository.refs = refs;
        }
        seen.repository.pull_requests = pull_requests;
    }

    async fn identify(&self, name: &RepositoryName, before: Option<RepositoryInfo>) -> Result<RepositoryInfo, String> {
        let asked = tokio::time::timeout(self.settings.forge_timeout, self.forge.repository(name)).await;
        match (asked, before) {
            (Ok(Ok(info)), _) => Ok(info),
            (Ok(Err(error @ ForgeError::NotFound { .. })), _) => Err(error_chain(&error)),
            // It has the id that it had; whether it can be read is seen next.
            (_, Some(before)) => Ok(before),
            (Ok(Err(error)), None) => Err(error_chain(&error)),
            (Err(_), None) => Err("the forge did not answer in time".to_owned()),
        }
    }

    fn url(&self, name: &RepositoryName, info: &RepositoryInfo) -> Result<RepositoryUrl, String> {
        match self.settings.repositories.get(name) {
            Some(url) => Ok(url.clone()),
            None => info.clone_url.parse().map_err(|error| error_chain(&error)),
        }
    }

    async fn fetch(&self, url: &RepositoryUrl, pulls: &BTreeSet<u64>, info: &RepositoryInfo) -> (Option<Mirror>, Refs) {
        match self.mirrors.fetch(url, pulls).await {
            Ok(fetched) => {
                let refs = match fetched.listing {
                    Listing::Complete(refs) => Refs::Complete {
                        branches: refs.branches().clone(),
                        default: refs.default_branch().cloned().or(Some(info.default_branch.clone())),
                    },
                    Listing::Suspicious { had } => {
                        Refs::Unreadable(format!("its listing has no branch, where there were {had}"))
                    }
                };
                (Some(fetched.mirror), refs)
            }
            Err(error) => (None, Refs::Unreadable(error_chain(&error))),
        }
    }

    async fn list_pull_requests(&self, name: &RepositoryName, id: &RepositoryId) -> OpenPullRequests {
        match self.ask_forge(self.forge.open_pull_requests(name)).await {
            Ok(complete) if complete.iter().all(|found| found.repository_id == *id) => {
                OpenPullRequests::Complete(complete.into_inner().into_iter().map(pull_request).collect())
            }
            Ok(_) => OpenPullRequests::Unavailable(replaced(name)),
            Err(why) => OpenPullRequests::Unavailable(why),
        }
    }

    /// Asks about one pull request of the repository of this id that the listing no longer has.
    pub(super) async fn confirm(&self, name: &RepositoryName, id: Option<&RepositoryId>, number: u64) -> Confirmation {
        match self.ask_forge(self.forge.pull_request(name, number)).await {
            // Of the same number, but not the one that was asked for.
            Ok(found) if Some(&found.repository_id) != id => Confirmation::Unavailable(replaced(name)),
            Ok(found) => match found.state {
                PullRequestState::Closed | PullRequestState::Merged => Confirmation::Ended,
                PullRequestState::Open => Confirmation::StillOpen(pull_request(found)),
            },
            Err(why) => Confirmation::Unavailable(why),
        }
    }

    pub(super) async fn ask_forge<T>(&self, call: impl Future<Output = Result<T, ForgeError>>) -> Result<T, String> {
        match tokio::time::timeout(self.settings.forge_timeout, call).await {
            Ok(answer) => answer.map_err(|error| error_chain(&error)),
            Err(_) => Err(format!("the forge did not answer within {} s", self.settings.forge_timeout.as_secs())),
        }
    }
}

fn replaced(name: &RepositoryName) -> String {
    format!("{name} began to lead to another repository while it was looked at; the next poll looks again")
}

/// Keeps the id, so that it is known whose environments must stay.
fn unreadable(before: Seen, why: &str) -> Seen {
    let mut seen = Seen { info: before.info, mirror: before.mirror, ..Seen::default() };
    seen.repository.id = seen.info.as_ref().map(|info| info.id.clone());
    seen.repository.refs = Refs::Unreadable(why.to_owned());
    seen.repository.pull_requests = OpenPullRequests::Unavailable(why.to_owned());
    seen
}

fn forks_to_fetch(listed: &OpenPullRequests, mirror: Option<&Mirror>) -> BTreeSet<u64> {
    let OpenPullRequests::Complete(listed) = listed else { return BTreeSet::new() };
    let missing = |head| mirror.is_none_or(|mirror| !mirror.has(head));
    listed.iter().filter(|open| open.fork && missing(&open.head)).map(|open| open.number).collect()
}

fn pull_request(found: lapdev_forge::PullRequest) -> PullRequest {
    PullRequest {
        number: found.number,
        head: found.head,
        head_ref: found.head_ref,
        fork: found.fork,
        draft: found.draft,
        labels: found.labels,
    }
}
