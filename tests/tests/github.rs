//! `lapdev-forge` against the GitHub double, fault by fault; and the double itself against GitHub's published
//! description and sample webhooks, so that what passes here has a meaning for GitHub.

use lapdev_api::name::{Commit, RepositoryName};
use lapdev_forge::{
    CommitState, CommitStatus, Forge, ForgeError, PullRequestState,
    github::{Credentials, GitHub, GitHubSettings},
};
use lapdev_tests::github::{Command, Double, Fault, Identity, NewPull, Options, Webhook, WebhookPolicy, signature};
use std::{
    path::{Path, PathBuf},
    process::{Command as Process, Stdio},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

type Failed = Box<dyn std::error::Error + Send + Sync>;
type Outcome = Result<(), Failed>;
/// Whether an error is of the kind that a fault must lead to.
type Expected = fn(&ForgeError) -> bool;

const REPOSITORY: &str = "acme/shop";
const MARKER: &str = "<!-- lapdev: acme/shop -->";

/// A double with one repository, and lapdev's view of it.
struct Stage {
    double: Arc<Double>,
    forge: Arc<GitHub>,
    repository: RepositoryName,
    folder: TempDir,
}

impl Stage {
    async fn new() -> Result<Self, Failed> {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut GitHubSettings)) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let double = Double::start(Options::new(folder.path())).await?;
        double.create_repository(REPOSITORY)?;
        let token = folder.path().join("token");
        std::fs::write(&token, double.create_token("lapdev-bot")?)?;
        let mut settings = GitHubSettings::new(double.url().parse()?, Credentials::TokenFile(token));
        settings.request_timeout = Duration::from_secs(60);
        change(&mut settings);
        let forge = Arc::new(GitHub::new(&settings)?);
        Ok(Self { double: Arc::new(double), forge, repository: REPOSITORY.parse()?, folder })
    }

    /// Opens a pull request from a new branch.
    fn pull(&self, branch: &str) -> Result<u64, Failed> {
        self.double.commit(REPOSITORY, branch, &[(&format!("{branch}.txt"), "new\n")])?;
        Ok(self.double.open_pull(REPOSITORY, NewPull { head: branch.to_owned(), ..NewPull::default() })?)
    }

    /// Opens many.
    fn pulls(&self, count: u64) -> Outcome {
        (0..count).try_for_each(|i| self.pull(&format!("b{i}")).map(drop))
    }

    async fn numbers(&self) -> Result<Vec<u64>, ForgeError> {
        Ok(self.forge.open_pull_requests(&self.repository).await?.iter().map(|pull| pull.number).collect())
    }

    async fn comment(&self, number: u64, known: Option<u64>, body: &str) -> Result<u64, ForgeError> {
        let body = format!("{MARKER}\n{body}");
        self.forge.upsert_comment(&self.repository, number, known, MARKER, &body).await
    }

    /// The statuses of the answers to requests whose method and path contain these, in order.
    fn answers(&self, method: &str, path: &str) -> Vec<u16> {
        let exchanges = self.double.exchanges();
        let wanted = exchanges.iter().filter(|exchange| exchange.method == method && exchange.path.contains(path));
        wanted.map(|exchange| exchange.status).collect()
    }

    /// Fails unless everything that was said fits GitHub's published description.
    fn fits_the_description(&self) -> Outcome {
        let recording = self.folder.path().join("recording.json");
        let both = serde_json::json!({"exchanges": self.double.exchanges(), "deliveries": self.double.deliveries()});
        std::fs::write(&recording, both.to_string())?;
        let check = tools_folder().join("check.mjs");
        let output =
            Process::new("node").arg(check).arg(&recording).env("LAPDEV_GITHUB_TOOLS", installed()?).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        Ok(())
    }
}

fn tools_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/github")
}

/// Where GitHub's description and samples are installed.
fn installed() -> Result<PathBuf, Failed> {
    let output = Process::new(tools_folder().join("install")).stderr(Stdio::inherit()).output()?;
    assert!(output.status.success(), "tests/tools/github/install failed");
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

fn failing() -> CommitStatus {
    CommitStatus {
        state: CommitState::Failure,
        context: "lapdev/config".to_owned(),
        description: "x".repeat(500),
        target_url: Some("https://lapdev.example.com/environments/a".to_owned()),
    }
}

#[tokio::test]
async fn a_repository_and_its_pull_requests_are_read() -> Outcome {
    let stage = Stage::new().await?;
    let double = &stage.double;
    let info = stage.forge.repository(&stage.repository).await?;
    assert_eq!((info.name.as_str(), info.default_branch.as_str()), (REPOSITORY, "main"));
    assert_eq!(info.clone_url, format!("{}/{REPOSITORY}.git", double.url()));

    let head = double.commit(REPOSITORY, "feature/x", &[("x", "1")])?;
    let new = NewPull {
        head: "feature/x".to_owned(),
        title: "Add x".to_owned(),
        author: "alice".to_owned(),
        draft: true,
        labels: vec!["preview".to_owned()],
        ..NewPull::default()
    };
    let number = double.open_pull(REPOSITORY, new)?;
    double.run(Command::Fork { repository: REPOSITORY.to_owned(), owner: "mallory".to_owned() })?;
    double.commit("mallory/shop", "fix", &[("y", "1")])?;
    let fork = double.open_pull(REPOSITORY, NewPull { head: "mallory:fix".to_owned(), ..NewPull::default() })?;

    let listed = stage.forge.open_pull_requests(&stage.repository).await?;
    let [own, foreign] = listed.as_slice() else { panic!("two pull requests: {listed:?}") };
    assert_eq!((own.number, own.head.as_str(), own.head_ref.as_str()), (number, head.as_str(), "feature/x"));
    assert_eq!((own.fork, own.draft, own.labels.as_slice()), (false, true, ["preview".to_owned()].as_slice()));
    assert_eq!((own.author.as_str(), own.title.as_str(), own.state), ("alice", "Add x", PullRequestState::Open));
    assert_eq!(own.head_repository_id, Some(info.id));
    assert_eq!((foreign.number, foreign.fork, foreign.author.as_str()), (fork, true, "mallory"));
    assert_ne!(foreign.head_repository_id, own.head_repository_id);

    double.run(Command::MergePull { repository: REPOSITORY.to_owned(), number })?;
    // From here on GitHub's answers do not fit its own description, which has no word for a deleted head repository.
    stage.fits_the_description()?;
    double.run(Command::DeleteRepository { repository: "mallory/shop".to_owned() })?;
    assert_eq!(stage.forge.pull_request(&stage.repository, number).await?.state, PullRequestState::Merged);
    let orphan = stage.forge.pull_request(&stage.repository, fork).await?;
    assert_eq!((orphan.state, orphan.fork, orphan.head_repository_id), (PullRequestState::Open, true, None));
    double.run(Command::ClosePull { repository: REPOSITORY.to_owned(), number: fork })?;
    assert_eq!(stage.forge.pull_request(&stage.repository, fork).await?.state, PullRequestState::Closed);
    assert_eq!(stage.numbers().await?, Vec::<u64>::new());
    assert!(matches!(stage.forge.pull_request(&stage.repository, 99).await, Err(ForgeError::NotFound { .. })));
    let none = stage.forge.repository(&"acme/none".parse()?).await;
    assert!(matches!(none, Err(ForgeError::NotFound { .. })), "{none:?}");
    Ok(())
}

#[tokio::test]
async fn a_branch_with_an_odd_name_hides_no_other_pull_request() -> Outcome {
    let stage = Stage::new().await?;
    let number = stage.pull("plain")?;
    // Legal for git, and for GitHub, but no name that a key could be made of.
    stage.pull("next\u{85}line")?;
    assert_eq!(stage.numbers().await?, [number]);
    Ok(())
}

#[tokio::test]
async fn a_long_listing_is_complete_and_costs_nothing_when_nothing_changed() -> Outcome {
    let stage = Stage::new().await?;
    stage.pulls(205)?;
    let all: Vec<u64> = (1..=205).collect();
    assert_eq!(stage.numbers().await?, all);
    // Three pages, and the same three once more to be sure that nothing moved between them.
    assert_eq!(stage.answers("GET", "/pulls"), [200, 200, 200, 304, 304, 304]);
    assert_eq!(stage.numbers().await?, all);
    assert_eq!(stage.answers("GET", "/pulls")[6..], [304, 304, 304]);
    // A new one goes to the last page. The others differ by what each item repeats about its repository, but they have
    // the same items, so one pass is enough.
    stage.pull("newest")?;
    assert_eq!(stage.numbers().await?.len(), 206);
    assert_eq!(stage.answers("GET", "/pulls")[9..], [200, 200, 200]);
    let all: Vec<u64> = (1..=206).collect();

    stage.double.fault(Some("GET"), "/pulls", u64::MAX, Fault::ChangingEtag)?;
    assert_eq!(stage.numbers().await?, all);
    stage.double.run(Command::ClearFaults {})?;
    stage.double.run(Command::ClosePull { repository: REPOSITORY.to_owned(), number: 3 })?;
    let fewer = stage.numbers().await?;
    assert_eq!((fewer.len(), fewer.contains(&3)), (205, false));
    Ok(())
}

#[tokio::test]
async fn what_is_remembered_is_asked_for_anew_after_a_while() -> Outcome {
    // Else a listing that was once wrong, with the right ETag, would stay wrong for ever.
    let stage = Stage::with(|settings| settings.remember = Duration::ZERO).await?;
    let number = stage.pull("feature")?;
    assert_eq!((stage.numbers().await?, stage.numbers().await?), (vec![number], vec![number]));
    assert_eq!(stage.answers("GET", "/pulls"), [200, 200]);
    Ok(())
}

#[tokio::test]
async fn an_item_that_moves_between_two_pages_is_not_lost() -> Outcome {
    let stage = Stage::new().await?;
    stage.pulls(150)?;
    // With nothing remembered, and then with everything.
    for number in [1, 2] {
        stage.double.fault(Some("GET"), "page=2", 1, Fault::Hold)?;
        let (forge, repository) = (stage.forge.clone(), stage.repository.clone());
        let listing = tokio::spawn(async move { forge.open_pull_requests(&repository).await });
        stage.double.holds(number).await;
        // The first item of page 2 moves to page 1, which was read already; page 2 no longer has it.
        stage.double.run(Command::ClosePull { repository: REPOSITORY.to_owned(), number })?;
        stage.double.run(Command::Release {})?;
        let listed: Vec<u64> = listing.await??.iter().map(|pull| pull.number).collect();
        assert_eq!(listed, (number + 1..=150).collect::<Vec<_>>());
    }
    Ok(())
}

#[tokio::test]
async fn whatever_goes_wrong_with_a_page_is_an_error_and_never_a_shorter_listing() -> Outcome {
    let stage = Stage::new().await?;
    stage.pulls(102)?;
    let unavailable = |error: &ForgeError| matches!(error, ForgeError::Unavailable { .. });
    let partial = |error: &ForgeError| matches!(error, ForgeError::Partial { .. });
    let cases: [(Fault, Expected); 14] = [
        (Fault::Status { status: 500 }, unavailable),
        (Fault::Status { status: 503 }, unavailable),
        (Fault::Status { status: 404 }, |error| matches!(error, ForgeError::NotFound { .. })),
        (Fault::Status { status: 401 }, |error| matches!(error, ForgeError::Unauthorized { .. })),
        (Fault::Status { status: 403 }, |error| matches!(error, ForgeError::Unauthorized { .. })),
        (Fault::Status { status: 202 }, partial),
        (Fault::CutBody, unavailable),
        (Fault::CutHead, unavailable),
        (Fault::Refuse, unavailable),
        (Fault::Slow { milliseconds: 600_000 }, unavailable),
        (Fault::CutJson, partial),
        (Fault::SameNext, partial),
        (Fault::ForeignNext, partial),
        (Fault::Overlap, partial),
    ];
    let (patient, impatient) = (Duration::from_secs(60), Duration::from_secs(1));
    let warm = stage.again(patient)?;
    assert_eq!(warm.open_pull_requests(&stage.repository).await?.len(), 102);
    for (fault, expected) in &cases {
        // The first page with nothing remembered, the last one with everything. Every request is hit, so that no
        // later pass mends it.
        let slow = matches!(fault, Fault::Slow { .. });
        let cold = stage.again(if slow { impatient } else { patient })?;
        for (page, forge) in [("/pulls?state", &cold), ("&page=2", if slow { &cold } else { &warm })] {
            stage.double.fault(Some("GET"), page, u64::MAX, fault.clone())?;
            let failed = forge.open_pull_requests(&stage.repository).await;
            let error = failed.expect_err("no listing from a garbled page");
            assert!(expected(&error), "{fault:?} on {page}: {error}");
            stage.double.run(Command::ClearFaults {})?;
        }
    }
    assert_eq!(warm.open_pull_requests(&stage.repository).await?.len(), 102);
    Ok(())
}

impl Stage {
    /// Another view that remembers nothing.
    fn again(&self, patience: Duration) -> Result<GitHub, Failed> {
        let credentials = Credentials::TokenFile(self.folder.path().join("token"));
        let mut settings = GitHubSettings::new(self.double.url().parse()?, credentials);
        settings.request_timeout = patience;
        Ok(GitHub::new(&settings)?)
    }
}

#[tokio::test]
async fn an_emptied_listing_is_contradicted_by_the_pull_request_itself() -> Outcome {
    // Nothing in such an answer tells it from a true one; this is why a listing alone is no evidence of an end.
    let stage = Stage::new().await?;
    let number = stage.pull("feature")?;
    for fault in [Fault::Empty, Fault::Half] {
        stage.double.fault(Some("GET"), "/pulls?", 1, fault)?;
        assert_eq!(stage.numbers().await?, Vec::<u64>::new());
        let pull = stage.forge.pull_request(&stage.repository, number).await?;
        assert_eq!(pull.state, PullRequestState::Open);
        assert_eq!(stage.numbers().await?, [number]);
    }
    Ok(())
}

#[tokio::test]
async fn a_rate_limit_says_when_it_ends_and_no_call_is_made_before() -> Outcome {
    let limits = [
        (Fault::PrimaryLimit { reset: 900 }, 800..=901),
        (Fault::SecondaryLimit { after: Some(30) }, 20..=31),
        (Fault::SecondaryLimit { after: None }, 50..=61),
        (Fault::Status { status: 429 }, 50..=61),
    ];
    for (fault, range) in limits {
        let stage = Stage::new().await?;
        stage.double.fault(None, "/pulls", 1, fault.clone())?;
        for _ in 0..2 {
            let error = stage.numbers().await.expect_err("limited");
            let ForgeError::RateLimited { until, .. } = error else { panic!("{fault:?}: {error}") };
            let seconds = until.as_second() - jiff::Timestamp::now().as_second();
            assert!(range.contains(&seconds), "{fault:?}: {seconds} s");
        }
        assert_eq!(stage.double.exchanges().len(), 1, "the second call did not leave");
    }
    Ok(())
}

#[tokio::test]
async fn one_comment_is_kept_up_to_date() -> Outcome {
    let stage = Stage::new().await?;
    let number = stage.pull("feature")?;
    // A person who copies our marker does not become us.
    let run = |command| stage.double.run(command);
    let (repository, author) = (REPOSITORY.to_owned(), "mallory".to_owned());
    run(Command::Comment { repository, number, author, body: format!("{MARKER} mine") })?;

    let id = stage.comment(number, None, "one").await?;
    assert_eq!(stage.comment(number, Some(id), "one").await?, id);
    assert_eq!(stage.comment(number, None, "one\r\n").await?, id, "found again without the store");
    let ours = || -> Result<_, Failed> {
        let comments = stage.double.comments(REPOSITORY, number)?.into_iter();
        Ok(comments.filter(|comment| comment.author == "lapdev-bot").collect::<Vec<_>>())
    };
    assert_eq!(ours()?.iter().map(|comment| comment.edits).collect::<Vec<_>>(), [0], "not edited without need");
    assert_eq!(stage.comment(number, Some(id), "two").await?, id);
    assert_eq!((ours()?[0].edits, ours()?[0].body.clone()), (1, format!("{MARKER}\ntwo")));

    let repository = REPOSITORY.to_owned();
    run(Command::EditComment { repository, comment: id, body: "vandalised".to_owned() })?;
    assert_eq!(stage.comment(number, Some(id), "two").await?, id, "put right again");
    assert_eq!(ours()?[0].body, format!("{MARKER}\ntwo"));

    run(Command::DeleteComment { repository: REPOSITORY.to_owned(), comment: id })?;
    let second = stage.comment(number, Some(id), "three").await?;
    assert_ne!(second, id);
    let mallorys = stage.double.comments(REPOSITORY, number)?[0].id;
    assert_eq!(stage.comment(number, Some(mallorys), "three").await?, second, "a stored id of somebody else's");
    assert_eq!(stage.double.comments(REPOSITORY, number)?[0].body, format!("{MARKER} mine"));

    stage.comment(number, Some(second), &"🚀".repeat(70_000)).await?;
    assert!(ours()?[0].body.encode_utf16().count() <= 65_536 && ours()?[0].body.contains(MARKER));
    assert_eq!(ours()?.len(), 1);

    // GitHub also says 404 where it means 403; that a comment cannot be edited does not mean that it is gone.
    let written = stage.answers("POST", "/comments").len();
    stage.double.fault(Some("PATCH"), "/comments", u64::MAX, Fault::Status { status: 404 })?;
    let error = stage.comment(number, Some(second), "four").await.expect_err("it cannot be edited");
    assert!(matches!(error, ForgeError::Unauthorized { .. }), "{error}");
    assert_eq!(stage.answers("POST", "/comments").len(), written);
    assert!(matches!(stage.comment(999, None, "x").await, Err(ForgeError::NotFound { .. })));
    stage.fits_the_description()
}

#[tokio::test]
async fn our_comment_is_found_behind_a_hundred_others() -> Outcome {
    let stage = Stage::new().await?;
    let number = stage.pull("feature")?;
    for i in 0..130 {
        let (repository, author) = (REPOSITORY.to_owned(), "alice".to_owned());
        stage.double.run(Command::Comment { repository, number, author, body: format!("remark {i}") })?;
    }
    let id = stage.comment(number, None, "one").await?;
    assert_eq!(stage.comment(number, None, "two").await?, id);
    // A search that cannot see every comment must not write a new one.
    stage.double.run(Command::EditComment {
        repository: REPOSITORY.to_owned(),
        comment: id,
        body: format!("{MARKER} elsewhere"),
    })?;
    stage.double.fault(Some("GET"), "&page=2", u64::MAX, Fault::Status { status: 502 })?;
    assert!(stage.comment(number, None, "three").await.is_err());
    assert_eq!(stage.answers("POST", "/comments").len(), 1);
    Ok(())
}

#[tokio::test]
async fn many_at_once_write_one_comment() -> Outcome {
    let stage = Stage::new().await?;
    let number = stage.pull("feature")?;
    let (a, b, c, d) = tokio::join!(
        stage.comment(number, None, "a"),
        stage.comment(number, None, "a"),
        stage.comment(number, None, "a"),
        stage.comment(number, None, "a")
    );
    let ids = [a?, b?, c?, d?];
    assert_eq!(ids, [ids[0]; 4]);
    assert_eq!(stage.double.comments(REPOSITORY, number)?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_comment_whose_answer_was_lost_is_not_written_twice() -> Outcome {
    let stage = Stage::new().await?;
    for (branch, fault) in [("a", Fault::Deaf), ("b", Fault::CutHead), ("c", Fault::CutJson)] {
        let number = stage.pull(branch)?;
        stage.double.fault(Some("POST"), "/comments", 1, fault.clone())?;
        stage.comment(number, None, "one").await.expect_err("the answer was lost");
        let id = stage.comment(number, None, "two").await?;
        let comments = stage.double.comments(REPOSITORY, number)?;
        assert_eq!(comments.iter().map(|comment| comment.id).collect::<Vec<_>>(), [id], "{fault:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_comment_that_takes_effect_late_is_not_written_twice() -> Outcome {
    let stage = Stage::new().await?;
    let number = stage.pull("feature")?;
    stage.double.fault(Some("POST"), "/comments", 1, Fault::Late)?;
    for _ in 0..2 {
        let error = stage.comment(number, None, "one").await.expect_err("lost, then in doubt");
        assert!(matches!(error, ForgeError::Unavailable { .. }), "{error}");
    }
    let before = stage.double.exchanges().len() as u64;
    stage.double.run(Command::Release {})?;
    stage.double.recorded(before + 1).await;
    let id = stage.comment(number, None, "two").await?;
    let comments = stage.double.comments(REPOSITORY, number)?;
    assert_eq!(comments.iter().map(|comment| comment.id).collect::<Vec<_>>(), [id]);
    assert_eq!(stage.answers("POST", "/comments"), [201], "one attempt to write, which took effect late");
    Ok(())
}

#[tokio::test]
async fn a_comment_that_never_arrived_is_written_once_that_is_certain() -> Outcome {
    let stage = Stage::with(|settings| settings.settle = Duration::from_millis(200)).await?;
    let number = stage.pull("feature")?;
    stage.double.fault(Some("POST"), "/comments", 1, Fault::Refuse)?;
    stage.comment(number, None, "one").await.expect_err("it never arrived");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while let Err(error) = stage.comment(number, None, "one").await {
        assert!(tokio::time::Instant::now() < deadline, "{error}");
    }
    assert_eq!(stage.double.comments(REPOSITORY, number)?.len(), 1);
    assert_eq!(stage.answers("POST", "/comments"), [0, 201]);
    Ok(())
}

#[tokio::test]
async fn nothing_repeats_a_write_by_itself() -> Outcome {
    let stage = Stage::new().await?;
    let number = stage.pull("feature")?;
    let sha: Commit = stage.forge.pull_request(&stage.repository, number).await?.head;
    for fault in [Fault::Status { status: 500 }, Fault::Status { status: 502 }, Fault::Refuse, Fault::CutBody] {
        let before = stage.answers("POST", "").len();
        stage.double.fault(Some("POST"), "", u64::MAX, fault)?;
        stage.forge.set_commit_status(&stage.repository, &sha, &failing()).await.expect_err("it failed");
        assert_eq!(stage.answers("POST", "").len(), before + 1);
        stage.double.run(Command::ClearFaults {})?;
    }
    Ok(())
}

#[tokio::test]
async fn a_commit_gets_its_status() -> Outcome {
    let stage = Stage::new().await?;
    let sha = stage.double.commit(REPOSITORY, "main", &[("a", "b")])?;
    for state in [CommitState::Pending, CommitState::Error, CommitState::Failure, CommitState::Success] {
        let status = CommitStatus { state, ..failing() };
        stage.forge.set_commit_status(&stage.repository, &sha.parse()?, &status).await?;
    }
    let statuses = stage.double.statuses(REPOSITORY, &sha)?;
    let states: Vec<_> = statuses.iter().map(|status| status.state.as_str()).collect();
    assert_eq!(states, ["pending", "error", "failure", "success"]);
    let cut = statuses[0].description.clone().unwrap_or_default();
    assert_eq!((cut.chars().count(), statuses[0].context.as_str()), (140, "lapdev/config"));
    let unknown = "0123456789012345678901234567890123456789".parse()?;
    let refused = stage.forge.set_commit_status(&stage.repository, &unknown, &failing()).await;
    let error = refused.expect_err("no such commit");
    assert!(error.to_string().contains("No commit found for SHA"), "{error}");
    let empty = CommitStatus { target_url: Some("javascript:alert(1)".to_owned()), ..failing() };
    let refused = stage.forge.set_commit_status(&stage.repository, &sha.parse()?, &empty).await;
    assert!(matches!(refused, Err(ForgeError::Unexpected { .. })), "{refused:?}");
    stage.fits_the_description()
}

#[tokio::test]
async fn a_replaced_token_is_read_again() -> Outcome {
    let stage = Stage::new().await?;
    let path = stage.folder.path().join("token");
    let old = std::fs::read_to_string(&path)?;
    stage.double.run(Command::RevokeToken { token: old.clone() })?;
    let error = stage.numbers().await.expect_err("revoked");
    assert!(matches!(error, ForgeError::Unauthorized { .. }), "{error}");
    let new = stage.double.create_token("lapdev-bot")?;
    std::fs::write(&path, format!("{new}\n"))?;
    assert_eq!(stage.numbers().await?, Vec::<u64>::new());
    for secret in [old, new] {
        assert!(!format!("{:?} {error} {error:?}", stage.forge).contains(&secret));
    }
    stage.fits_the_description()
}

#[tokio::test]
async fn a_token_that_may_not_write_or_see_is_told_apart() -> Outcome {
    let stage = Stage::new().await?;
    let number = stage.pull("feature")?;
    let path = stage.folder.path().join("token");
    let token = |read_only, owners: &[&str]| -> Outcome {
        let owners = Some(owners.iter().map(|owner| (*owner).to_owned()).collect());
        let (login, secret) = ("lapdev-bot".to_owned(), format!("secret-{read_only}-{}", owners.is_some()));
        stage.double.run(Command::CreateToken { login, token: Some(secret.clone()), read_only, owners })?;
        Ok(std::fs::write(&path, secret)?)
    };
    token(true, &["acme"])?;
    let forge = stage.again(Duration::from_secs(60))?;
    let refused = forge.upsert_comment(&stage.repository, number, None, MARKER, MARKER).await;
    assert!(matches!(refused, Err(ForgeError::Unauthorized { .. })), "{refused:?}");
    token(false, &["other"])?;
    let forge = stage.again(Duration::from_secs(60))?;
    let hidden = forge.open_pull_requests(&stage.repository).await;
    assert!(matches!(hidden, Err(ForgeError::NotFound { .. })), "{hidden:?}");
    stage.fits_the_description()
}

#[tokio::test]
async fn an_app_finds_its_installation_and_comments_as_itself() -> Outcome {
    let stage = Stage::new().await?;
    let number = stage.pull("feature")?;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)?;
    let key_file = stage.folder.path().join("app.pem");
    std::fs::write(&key_file, key.serialize_pem())?;
    let slug = "lapdev-acme".to_owned();
    let owners = vec!["acme".to_owned()];
    let made = stage.double.run(Command::CreateApp { slug, public_key_pem: key.public_key_pem(), owners })?;
    let app_id = made["id"].as_u64().expect("an id");
    let settings = GitHubSettings::new(stage.double.url().parse()?, Credentials::App { app_id, key_file });
    let forge = GitHub::new(&settings)?;

    assert_eq!(forge.open_pull_requests(&stage.repository).await?.len(), 1);
    let id = forge.upsert_comment(&stage.repository, number, None, MARKER, MARKER).await?;
    assert_eq!(forge.upsert_comment(&stage.repository, number, None, MARKER, MARKER).await?, id);
    assert_eq!(stage.double.comments(REPOSITORY, number)?[0].author, "lapdev-acme[bot]");
    assert_eq!(stage.answers("POST", "/access_tokens"), [201], "one token serves all calls");

    stage.double.run(Command::ReinstallApp { app: app_id, owner: "acme".to_owned() })?;
    assert_eq!(forge.open_pull_requests(&stage.repository).await?.len(), 1, "the new installation is found");
    let elsewhere = forge.open_pull_requests(&"other/shop".parse()?).await;
    assert!(matches!(elsewhere, Err(ForgeError::NotFound { .. })), "{elsewhere:?}");
    assert!(!format!("{forge:?}").contains("PRIVATE"));
    stage.fits_the_description()
}

#[tokio::test]
async fn a_renamed_repository_is_followed() -> Outcome {
    let stage = Stage::new().await?;
    let number = stage.pull("feature")?;
    let before = stage.forge.repository(&stage.repository).await?;
    stage.double.run(Command::RenameRepository { repository: REPOSITORY.to_owned(), name: "store".to_owned() })?;
    let after = stage.forge.repository(&stage.repository).await?;
    assert_eq!((after.name.as_str(), &after.id), ("acme/store", &before.id));
    assert_eq!(stage.numbers().await?, [number]);
    stage.comment(number, None, "one").await?;
    assert_eq!(stage.double.comments("acme/store", number)?.len(), 1);
    stage.fits_the_description()
}

#[tokio::test]
async fn github_enterprise_has_a_path_and_an_authority_of_its_own() -> Outcome {
    let folder = tempfile::tempdir()?;
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let identity = Some(Identity { certificate: certificate.clone(), key });
    let double = Double::start(Options { identity, ..Options::new(folder.path()) }).await?;
    double.create_repository(REPOSITORY)?;
    for i in 0..120 {
        double.commit(REPOSITORY, &format!("b{i}"), &[("x", &i.to_string())])?;
        double.open_pull(REPOSITORY, NewPull { head: format!("b{i}"), ..NewPull::default() })?;
    }
    let token = folder.path().join("token");
    std::fs::write(&token, double.create_token("lapdev-bot")?)?;
    let address = format!("{}/api/v3", double.url()).parse()?;
    let mut settings = GitHubSettings::new(address, Credentials::TokenFile(token));
    let stranger = GitHub::new(&settings)?.open_pull_requests(&REPOSITORY.parse()?).await;
    assert!(matches!(stranger, Err(ForgeError::Unavailable { .. })), "{stranger:?}");
    settings.ca_file = Some(certificate);
    let pulls = GitHub::new(&settings)?.open_pull_requests(&REPOSITORY.parse()?).await?;
    assert_eq!(pulls.len(), 120);
    assert!(double.exchanges().iter().all(|exchange| exchange.path.starts_with("/api/v3/")));
    Ok(())
}

#[tokio::test]
async fn setup_says_which_file_is_wrong() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (missing, empty) = (folder.path().join("missing"), folder.path().join("empty"));
    std::fs::write(&empty, "")?;
    let url: url::Url = "https://api.example.com".parse()?;
    let refuse = |credentials, ca_file| -> String {
        let settings = GitHubSettings { ca_file, ..GitHubSettings::new(url.clone(), credentials) };
        GitHub::new(&settings).expect_err("wrong on purpose").to_string()
    };
    let said = [
        refuse(Credentials::TokenFile(missing.clone()), None),
        refuse(Credentials::TokenFile(empty.clone()), None),
        refuse(Credentials::App { app_id: 1, key_file: empty.clone() }, None),
        refuse(Credentials::TokenFile(url_token(folder.path())?), Some(empty)),
    ];
    assert!(said[0].contains("cannot read the access token") && said[0].contains("missing"), "{said:?}");
    assert!(said[1].contains("holds no access token"), "{said:?}");
    assert!(said[2].contains("holds no RSA private key"), "{said:?}");
    assert!(said[3].contains("holds no certificate authorities"), "{said:?}");
    Ok(())
}

fn url_token(folder: &Path) -> Result<PathBuf, Failed> {
    let path = folder.join("token");
    std::fs::write(&path, "github_pat_x")?;
    Ok(path)
}

/// Takes deliveries as lapdev would, and keeps them.
struct Receiver {
    url: String,
    got: Arc<std::sync::Mutex<Vec<(http::HeaderMap, bytes::Bytes)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    async fn start() -> Result<Self, Failed> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/webhooks/github", listener.local_addr()?);
        let got: Arc<std::sync::Mutex<Vec<_>>> = Arc::default();
        let kept = got.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let kept = kept.clone();
                let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let kept = kept.clone();
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = http_body_util::BodyExt::collect(body).await?.to_bytes();
                        kept.lock().expect("no panic").push((parts.headers, body));
                        let mut response = http::Response::new(http_body_util::Empty::<bytes::Bytes>::new());
                        *response.status_mut() = http::StatusCode::ACCEPTED;
                        Ok::<_, hyper::Error>(response)
                    }
                });
                connections.spawn(async move {
                    let stream = hyper_util::rt::TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
                });
            }
        });
        Ok(Self { url, got, task })
    }

    /// Event, action and id of each delivery, in the order of arrival.
    fn events(&self) -> Vec<(String, String, String)> {
        let text = |headers: &http::HeaderMap, name: &str| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let action = |body: &[u8]| -> String {
            let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            body["action"].as_str().unwrap_or_default().to_owned()
        };
        let got = self.got.lock().expect("no panic");
        let event = |(headers, body): &(http::HeaderMap, bytes::Bytes)| {
            (text(headers, "x-github-event"), action(body), text(headers, "x-github-delivery"))
        };
        got.iter().map(event).collect()
    }

    /// Event and action alone, and then nothing is left.
    fn take(&self) -> Vec<String> {
        let events = self.events().into_iter().map(|(event, action, _)| format!("{event} {action}"));
        let events = events.map(|event| event.trim().to_owned()).collect();
        self.got.lock().expect("no panic").clear();
        events
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn webhooks_are_signed_and_go_wrong_as_told() -> Outcome {
    let stage = Stage::new().await?;
    let receiver = Receiver::start().await?;
    let double = &stage.double;
    let run = |command| double.run(command);
    let webhook = Webhook { url: receiver.url.clone(), secret: "s3cret".to_owned(), ca_file: None };
    run(Command::Webhook(webhook))?;
    let number = stage.pull("feature")?;
    double.commit(REPOSITORY, "feature", &[("more", "1")])?;
    let repository = || REPOSITORY.to_owned();
    run(Command::LabelPull { repository: repository(), number, label: "preview".to_owned() })?;
    run(Command::UnlabelPull { repository: repository(), number, label: "preview".to_owned() })?;
    run(Command::DraftPull { repository: repository(), number })?;
    run(Command::ReadyPull { repository: repository(), number })?;
    run(Command::ClosePull { repository: repository(), number })?;
    run(Command::ReopenPull { repository: repository(), number })?;
    run(Command::MergePull { repository: repository(), number })?;
    double.delivered().await;
    {
        let got = receiver.got.lock().expect("no panic");
        for (headers, body) in got.iter() {
            assert_eq!(headers["x-hub-signature-256"].to_str()?, signature("s3cret", body));
        }
    }
    let expected = "ping, push, pull_request opened, push, pull_request synchronize, pull_request labeled, \
        pull_request unlabeled, pull_request converted_to_draft, pull_request ready_for_review, \
        pull_request closed, pull_request reopened, push, pull_request closed";
    assert_eq!(receiver.take().join(", "), expected);

    let policy = |policy| run(Command::WebhookPolicy(policy));
    policy(WebhookPolicy { drop: true, ..WebhookPolicy::default() })?;
    double.commit(REPOSITORY, "lost", &[("a", "1")])?;
    policy(WebhookPolicy { duplicates: 1, ..WebhookPolicy::default() })?;
    double.commit(REPOSITORY, "twice", &[("a", "1")])?;
    double.delivered().await;
    let twice = receiver.events();
    assert_eq!((twice.len(), &twice[0]), (2, &twice[1]), "the same id both times");
    receiver.take();
    policy(WebhookPolicy { hold: true, ..WebhookPolicy::default() })?;
    let second = stage.pull("second")?;
    run(Command::ClosePull { repository: repository(), number: second })?;
    double.delivered().await;
    assert_eq!(receiver.take(), Vec::<String>::new());
    run(Command::ReleaseWebhooks { reversed: true })?;
    double.delivered().await;
    assert_eq!(receiver.take(), ["pull_request closed", "pull_request opened", "push"]);
    policy(WebhookPolicy { delay_milliseconds: 150, ..WebhookPolicy::default() })?;
    double.commit(REPOSITORY, "late", &[("a", "1")])?;
    policy(WebhookPolicy::default())?;
    let repository = REPOSITORY.to_owned();
    run(Command::ReopenPull { repository, number: second })?;
    double.delivered().await;
    assert_eq!(receiver.take(), ["pull_request reopened", "push"]);
    stage.fits_the_description()
}

#[tokio::test]
async fn a_push_over_http_is_a_push() -> Outcome {
    let stage = Stage::new().await?;
    let work = stage.folder.path().join("work");
    let token = std::fs::read_to_string(stage.folder.path().join("token"))?;
    let url = stage.double.url().replace("http://", &format!("http://x:{token}@"));
    let git = |arguments: Vec<String>| {
        let work = work.clone();
        async move {
            let run = tokio::task::spawn_blocking(move || {
                let mut git = Process::new("git");
                git.args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(arguments);
                git.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_GLOBAL", "/dev/null");
                git.current_dir(if work.exists() { &work } else { Path::new("/") }).output()
            });
            let output = run.await??;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() { Ok(()) } else { Err::<(), Failed>(said.into()) }
        }
    };
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let anonymous = format!("{}/{REPOSITORY}.git", stage.double.url());
    assert!(git(words(&format!("clone -q {anonymous} {}", work.display()))).await.is_err(), "it is private");
    git(words(&format!("clone -q {url}/{REPOSITORY}.git {}", work.display()))).await?;
    git(words("checkout -q -b feature/x")).await?;
    git(words("commit -q --allow-empty -m one")).await?;
    git(words("push -q origin feature/x")).await?;
    let head = NewPull { head: "feature/x".to_owned(), ..NewPull::default() };
    let number = stage.double.open_pull(REPOSITORY, head)?;
    git(words("commit -q --allow-empty -m two")).await?;
    git(words("push -q origin feature/x")).await?;
    git(words(&format!("fetch -q origin refs/pull/{number}/head"))).await?;
    let before = stage.forge.pull_request(&stage.repository, number).await?;
    git(words("push -q origin :feature/x")).await?;
    let after = stage.forge.pull_request(&stage.repository, number).await?;
    assert_eq!((before.state, after.state), (PullRequestState::Open, PullRequestState::Closed));
    let repository = || REPOSITORY.to_owned();
    assert!(stage.double.run(Command::ReopenPull { repository: repository(), number }).is_err(), "no branch");
    git(words("push -q origin feature/x~1:refs/heads/feature/x")).await?;
    stage.double.run(Command::ReopenPull { repository: repository(), number })?;
    let again = stage.forge.pull_request(&stage.repository, number).await?;
    assert_eq!((again.state, again.head == before.head), (PullRequestState::Open, false), "where its branch is now");
    let events = stage.double.deliveries();
    let told: Vec<_> = events.iter().map(|d| format!("{} {}", d.event, d.action.clone().unwrap_or_default())).collect();
    let expected = "push , pull_request opened, push , pull_request synchronize, push , pull_request closed, \
        push , pull_request reopened";
    assert_eq!(told[told.len() - 8..].join(", "), expected);
    stage.fits_the_description()
}

#[tokio::test]
async fn the_double_refuses_what_github_refuses() -> Outcome {
    let stage = Stage::new().await?;
    let number = stage.pull("feature")?;
    let sha = stage.forge.pull_request(&stage.repository, number).await?.head;
    let token = std::fs::read_to_string(stage.folder.path().join("token"))?;
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let send = |method: &str, path: &str, token: &str, body: &str| {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", stage.double.url()))
            .header("user-agent", "test")
            .header("accept", "application/vnd.github+json")
            .header("authorization", format!("Bearer {token}"))
            .body(http_body_util::Full::new(bytes::Bytes::from(body.to_owned())));
        let client = client.clone();
        async move { Ok::<u16, Failed>(client.request(request?).await?.status().as_u16()) }
    };
    let comments = format!("/repos/{REPOSITORY}/issues/{number}/comments");
    let statuses = format!("/repos/{REPOSITORY}/statuses/{sha}");
    let long = format!("{{\"body\": \"{}\"}}", "x".repeat(65_537));
    let wordy = format!("{{\"state\": \"success\", \"description\": \"{}\"}}", "x".repeat(141));
    let cases = [
        ("POST", comments.as_str(), "{\"body\": ", 400),
        ("POST", &comments, "{}", 422),
        ("POST", &comments, "{\"body\": 7}", 422),
        ("POST", &comments, long.as_str(), 422),
        ("POST", &statuses, "{\"state\": \"maybe\"}", 422),
        ("POST", &statuses, &wordy, 422),
        ("GET", "/repos/acme/shop/pulls?state=strange", "", 422),
        ("GET", "/repos/acme/shop/pulls/99", "", 404),
        ("GET", "/repos/acme/shop/branches", "", 200),
        ("GET", "/repos/acme/shop/pulls?state=all&per_page=1", "", 200),
    ];
    for (method, path, body, expected) in cases {
        assert_eq!(
            send(method, path, &token, body).await?,
            expected,
            "{method} {path} {}",
            &body[..body.len().min(60)]
        );
    }
    assert_eq!(send("GET", "/repos/acme/shop/pulls", "nonsense", "").await?, 401);
    assert_eq!(send("GET", &format!("/repos/acme/shop/commits/{sha}/statuses"), &token, "").await?, 200);
    let id = stage.comment(number, None, "x").await?;
    assert_eq!(send("DELETE", &format!("/repos/acme/shop/issues/comments/{id}"), &token, "").await?, 204);
    stage.fits_the_description()
}

#[tokio::test]
async fn every_published_sample_and_every_delivery_of_the_double_is_understood() -> Outcome {
    let samples = installed()?.join("node_modules/@octokit/webhooks-examples/api.github.com/index.json");
    let events: serde_json::Value = serde_json::from_slice(&std::fs::read(samples)?)?;
    let mut count = 0;
    for event in events.as_array().expect("a list of events") {
        let name = event["name"].as_str().expect("a name");
        for example in event["examples"].as_array().expect("examples") {
            let facts = lapdev_webhook::facts(name, example.to_string().as_bytes())?;
            assert_eq!(facts.is_some(), ["ping", "push", "pull_request"].contains(&name), "{name}");
            count += 1;
        }
    }
    assert_eq!(count, 329);

    let stage = Stage::new().await?;
    let number = stage.pull("feature")?;
    stage.double.run(Command::ClosePull { repository: REPOSITORY.to_owned(), number })?;
    let info = stage.forge.repository(&stage.repository).await?;
    let deliveries = stage.double.deliveries();
    assert_eq!(deliveries.len(), 4);
    for delivery in deliveries {
        let facts = lapdev_webhook::facts(&delivery.event, delivery.payload.as_bytes())?.expect("facts");
        let repository = facts.repository().expect("a repository");
        assert_eq!((&repository.id, &repository.name), (&info.id, &info.name));
        assert_eq!(facts.action(), delivery.action.as_deref());
        assert!(facts.matters());
    }
    Ok(())
}
