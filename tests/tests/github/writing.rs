//! Writing: one comment, one status, and nothing twice.

use crate::stage::{Failed, MARKER, Outcome, REPOSITORY, Stage};
use lapdev_api::name::Commit;
use lapdev_forge::{CommitState, CommitStatus, Forge, ForgeError};
use lapdev_tests::github::{Command, Fault};
use std::time::Duration;

fn failing() -> CommitStatus {
    CommitStatus {
        state: CommitState::Failure,
        context: "lapdev/config".to_owned(),
        description: "x".repeat(500),
        target_url: Some("https://lapdev.example.com/environments/a".to_owned()),
    }
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
