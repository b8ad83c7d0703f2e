//! The double behaves as GitHub does where nothing of ours asks it to.

use crate::stage::{Failed, Outcome, REPOSITORY, Stage};
use lapdev_forge::{Forge, PullRequestState};
use lapdev_tests::github::{Command, NewPull};
use std::{path::Path, process::Command as Process};

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
