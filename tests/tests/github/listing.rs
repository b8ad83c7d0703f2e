//! Reading: a listing is complete or an error, whatever goes wrong on the way.

use crate::stage::{Outcome, REPOSITORY, Stage};
use lapdev_forge::{Forge, ForgeError, PullRequestState};
use lapdev_tests::github::{Command, Fault, NewPull};
use std::time::Duration;

/// Whether an error is of the kind that a fault must lead to.
type Expected = fn(&ForgeError) -> bool;

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
    let onto_it = NewPull { head: "plain".to_owned(), base: "next\u{85}line".to_owned(), ..NewPull::default() };
    stage.double.open_pull(REPOSITORY, onto_it)?;
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
