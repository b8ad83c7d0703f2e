//! Deletion needs evidence: what cannot be seen, or only in part, deletes nothing; and once it can be seen again,
//! things go on.

use crate::{
    config::{error_is_shown, fix_is_taken},
    difference::{Dump, same},
    looks::{LIMIT, environment_of, gone, items, living, looked, passes, settled, steady},
    scenario::scenario,
};
use lapdev_tests::{
    github::{Command, Fault},
    stage::{Error, Playbill, Theatre, dump, forge, until, within},
};
use serde_json::Value;
use std::{path::Path, time::Duration};

/// What the branches of the company change.
const PULLS: [(&str, &str); 3] = [("feature/one", "web"), ("feature/two", "cart"), ("feature/three", "stock")];
const PREVIEW: (&str, &str) = ("preview/four", "pricing");
/// Far more often than any scenario asks.
const ALWAYS: u64 = 1_000_000;

/// Several environments: a baseline, three by pull requests, one by its branch.
struct Company {
    pulls: Vec<u64>,
    lives: Vec<(String, String)>,
    dump: Dump,
}

impl Company {
    async fn gather(theatre: &Theatre) -> Result<Self, Error> {
        settled(theatre, "staging", None).await?;
        let mut pulls = Vec::new();
        for (branch, service) in PULLS.into_iter().chain([PREVIEW]) {
            theatre.app.branch(branch, "main")?;
            greet(theatre, branch, service, "first")?;
        }
        for (branch, _) in PULLS {
            pulls.push(forge::open_pull(&theatre.github, branch, branch)?);
        }
        forge::pushed(&theatre.github, forge::APP)?;
        let lives = until("there are five environments", LIMIT, async || {
            let lives = living(theatre).await?;
            within(lives.len() == 5, format!("{lives:?}"))?;
            Ok(lives)
        })
        .await?;
        for (name, _) in &lives {
            settled(theatre, name, None).await?;
        }
        Ok(Self { pulls, lives, dump: steady(theatre).await? })
    }

    /// Nothing of it was touched.
    async fn stands(&self, theatre: &Theatre) -> Result<(), Error> {
        let lives = living(theatre).await?;
        within(lives == self.lives, format!("{lives:?}, wanted {:?}", self.lives))?;
        same(&dump(&theatre.cluster).await?, &self.dump)
    }

    /// A push is followed; a pull request that is closed, and a branch that is deleted, end their environments.
    async fn goes_on(&self, theatre: &Theatre) -> Result<(), Error> {
        let name = environment_of(theatre, self.pulls[0]).await?;
        let (branch, service) = PULLS[0];
        let head = greet(theatre, branch, service, "second")?;
        settled(theatre, &name, Some(&head)).await?;
        let ending = environment_of(theatre, self.pulls[1]).await?;
        forge::close_pull(&theatre.github, self.pulls[1])?;
        gone(theatre, &ending, self.uid_of(|name| name == ending)?).await?;
        theatre.app.delete_branch(PREVIEW.0)?;
        forge::pushed(&theatre.github, forge::APP)?;
        let preview = |name: &str| name.starts_with("preview-four-");
        gone(theatre, PREVIEW.0, self.uid_of(preview)?).await?;
        let left = living(theatre).await?;
        within(left.len() == 3, format!("only two may go: {left:?}"))
    }

    fn uid_of(&self, is_it: impl Fn(&str) -> bool) -> Result<&str, Error> {
        let found = self.lives.iter().find(|(name, _)| is_it(name)).map(|(_, uid)| uid.as_str());
        found.ok_or_else(|| format!("not there before: {:?}", self.lives).into())
    }
}

fn greet(theatre: &Theatre, branch: &str, service: &str, text: &str) -> Result<String, Error> {
    theatre.app.write(branch, &format!("services/{service}/greeting.txt"), &format!("{text} of {branch}\n"))
}

/// Gathers the company, lets `happen` something until it has certainly been noticed, looks whether all stands, mends it,
/// and looks whether things go on.
async fn nothing_is_deleted(
    name: &str,
    happen: impl AsyncFnOnce(&mut Theatre) -> Result<(), Error>,
    mend: impl AsyncFnOnce(&Theatre) -> Result<(), Error>,
) {
    let playbill = Playbill { poll: Duration::from_millis(300), ..Playbill::default() };
    scenario(name, &playbill, async |theatre| {
        let company = Company::gather(theatre).await?;
        happen(theatre).await?;
        company.stands(theatre).await?;
        mend(theatre).await?;
        company.goes_on(theatre).await
    })
    .await;
}

/// The listing of pull requests has this fault, again and again.
async fn listing(name: &str, fault: Fault, noticed: impl AsyncFnOnce(&Theatre) -> Result<(), Error>) {
    let happen = async |theatre: &mut Theatre| {
        theatre.github.fault(Some("GET"), "/repos/acme/shop/pulls?", ALWAYS, fault)?;
        noticed(theatre).await?;
        let suffered = theatre.github.exchanges().iter().any(|exchange| exchange.fault.is_some());
        within(suffered, "the fault hit nothing")
    };
    nothing_is_deleted(name, happen, mended).await;
}

async fn mended(theatre: &Theatre) -> Result<(), Error> {
    theatre.github.run(Command::ClearFaults {}).map(drop)?;
    Ok(())
}

/// `lapdev get environments` says so: of a repository, or of an environment.
async fn complains(theatre: &Theatre, reason: &str) -> Result<(), Error> {
    until(&format!("lapdev get says {reason}"), LIMIT, async || {
        let all = theatre.plane.environments().await?;
        let of_environments = items(&all).map(|item| &item["problems"]);
        let problems = of_environments.chain([&all["config"]["unreadable"]]).filter_map(Value::as_array).flatten();
        within(problems.into_iter().any(|problem| problem["reason"] == reason), all.to_string())
    })
    .await
}

async fn stays_unavailable(theatre: &Theatre) -> Result<(), Error> {
    complains(theatre, "PullRequestsUnavailable").await?;
    passes(theatre, 3).await?;
    complains(theatre, "PullRequestsUnavailable").await
}

/// Each pull request that the listing no longer has is asked for by its number.
async fn asked_one_by_one(theatre: &Theatre) -> Result<(), Error> {
    passes(theatre, 3).await?;
    let asked = theatre.github.exchanges().iter().any(|exchange| {
        let number = exchange.path.strip_prefix("/repos/acme/shop/pulls/");
        exchange.method == "GET" && number.is_some_and(|number| number.parse::<u64>().is_ok())
    });
    within(asked, "no pull request was asked for by its number")
}

#[tokio::test]
async fn an_empty_listing_though_pull_requests_are_open_deletes_nothing() {
    listing("an empty listing", Fault::Empty, asked_one_by_one).await;
}

#[tokio::test]
async fn half_a_listing_deletes_nothing() {
    listing("half a listing", Fault::Half, asked_one_by_one).await;
}

#[tokio::test]
async fn a_listing_that_breaks_off_deletes_nothing() {
    listing("a listing that breaks off", Fault::CutBody, stays_unavailable).await;
}

#[tokio::test]
async fn a_listing_that_answers_404_deletes_nothing() {
    listing("404", Fault::Status { status: 404 }, stays_unavailable).await;
}

#[tokio::test]
async fn a_listing_that_answers_500_deletes_nothing() {
    listing("500", Fault::Status { status: 500 }, stays_unavailable).await;
}

#[tokio::test]
async fn a_rate_limit_deletes_nothing() {
    // While it lasts nobody need ask again, so there is nothing to count.
    listing("rate limited", Fault::PrimaryLimit { reset: 5 }, async |theatre| {
        complains(theatre, "PullRequestsUnavailable").await
    })
    .await;
}

/// It is said, also by a control plane that begins anew and never saw it otherwise.
async fn complains_even_anew(theatre: &mut Theatre, reason: &str) -> Result<(), Error> {
    complains(theatre, reason).await?;
    theatre.plane.kill().await?;
    theatre.plane.restart().await?;
    // What it says is still what the killed one wrote, until it has looked itself.
    looked(theatre, 4).await?;
    complains(theatre, reason).await
}

#[tokio::test]
async fn a_repository_that_the_forge_denies_deletes_nothing() {
    let happen = async |theatre: &mut Theatre| {
        theatre.github.fault(None, "/repos/acme/shop", ALWAYS, Fault::Status { status: 404 })?;
        complains_even_anew(theatre, "RepositoryUnreadable").await
    };
    nothing_is_deleted("404 for all of the repository", happen, mended).await;
}

/// The repository cannot be found where it is fetched from, though the forge knows it.
async fn unreadable(name: &str, repository: &str, reason: &str) {
    let happen = async |theatre: &mut Theatre| {
        std::fs::remove_file(theatre.fetched_from(repository))?;
        complains_even_anew(theatre, reason).await
    };
    nothing_is_deleted(name, happen, async |theatre| is_back(theatre, repository)).await;
}

/// Another repository, without any branch, is where it is fetched from.
async fn emptied(name: &str, repository: &str, reason: &str) {
    let happen = async |theatre: &mut Theatre| {
        let link = theatre.fetched_from(repository);
        std::fs::remove_file(&link)?;
        git2::Repository::init_bare(&link)?;
        complains_even_anew(theatre, reason).await
    };
    nothing_is_deleted(name, happen, async |theatre| is_back(theatre, repository)).await;
}

fn is_back(theatre: &Theatre, repository: &str) -> Result<(), Error> {
    let link = theatre.fetched_from(repository);
    if link.exists() {
        std::fs::remove_dir_all(&link)?;
    }
    let whole = if repository == forge::CONFIG { &theatre.config } else { &theatre.app };
    Ok(std::os::unix::fs::symlink(whole.path(), link)?)
}

#[tokio::test]
async fn an_unreadable_repository_deletes_nothing() {
    unreadable("the application repository is unreadable", forge::APP, "RepositoryUnreadable").await;
}

#[tokio::test]
async fn a_repository_that_lost_all_its_branches_deletes_nothing() {
    emptied("the application repository is empty", forge::APP, "RepositoryUnreadable").await;
}

#[tokio::test]
async fn an_unreadable_config_repository_deletes_nothing() {
    unreadable("the config repository is unreadable", forge::CONFIG, "ConfigUnreadable").await;
}

#[tokio::test]
async fn a_config_repository_that_lost_all_its_branches_deletes_nothing() {
    emptied("the config repository is empty", forge::CONFIG, "ConfigUnreadable").await;
}

#[tokio::test]
async fn a_config_commit_without_the_configured_path_deletes_nothing() {
    let mut saved = Vec::new();
    let saved = &mut saved;
    let files = std::cell::RefCell::new(saved);
    let happen = async |theatre: &mut Theatre| {
        let paths: Vec<_> = theatre.config.files("main")?;
        for path in paths.into_iter().filter(|path| Path::new(path).starts_with("lapdev")) {
            let content = theatre.config.read("main", &path)?;
            files.borrow_mut().push((path, content));
        }
        let commit = {
            let files = files.borrow();
            let gone: Vec<_> = files.iter().map(|(path, _)| (path.as_str(), None)).collect();
            theatre.config.change("main", "remove the folder that is configured", &gone)?
        };
        forge::pushed(&theatre.github, forge::CONFIG)?;
        error_is_shown(theatre, &commit).await
    };
    let mend = async |theatre: &Theatre| {
        let commit = {
            let files = files.borrow();
            let back: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
            theatre.config.change("main", "bring it back", &back)?
        };
        forge::pushed(&theatre.github, forge::CONFIG)?;
        fix_is_taken(theatre, &commit).await
    };
    nothing_is_deleted("the configured path is missing", happen, mend).await;
}
