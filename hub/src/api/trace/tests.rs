//! The verdict as tables and as people read it, and what may be asked for.

use super::{TraceError, may_be_traced, parse, refusal, verdict::verdict};
use http::Response;
use jiff::Timestamp;
use lapdev_api::{
    digest::Digest,
    record::{EnvironmentRecord, Evidence, Life},
    route::{Hop, Station, TraceReport},
    view::{Outcome, TraceAsked},
    words::version,
};
use serde_json::json;

const KEY: &str = "x-abc234";

/// `web*` is the branch's, `web` the baseline's.
fn station(text: &str) -> Station {
    let key = text.ends_with('*').then(|| KEY.parse().expect("legal"));
    Station { service: text.trim_end_matches('*').to_owned(), key }
}

/// A hop as `from>to:flags`: `t` in the trace, `s` in tracestate, `b` in baggage; nobody is before an empty `from`.
fn hop(text: &str) -> Hop {
    let (way, flags) = text.split_once(':').expect("flags");
    let (from, to) = way.split_once('>').expect("two ends");
    Hop {
        at: Timestamp::UNIX_EPOCH,
        from: (!from.is_empty()).then(|| station(from)),
        to: station(to),
        request: "GET /".to_owned(),
        status: Some(200),
        in_trace: flags.contains('t'),
        in_tracestate: flags.contains('s'),
        in_baggage: flags.contains('b'),
    }
}

fn report(hops: &[&str]) -> TraceReport {
    TraceReport {
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
        key: KEY.parse().expect("legal"),
        service: "web".to_owned(),
        status: Some(200),
        error: None,
        hops: hops.iter().map(|text| hop(text)).collect(),
        languages: [("api", "go"), ("cart", "java")].map(|(s, l)| (s.to_owned(), l.to_owned())).into(),
        routers: 2,
    }
}

#[test]
fn a_report_of_many_hops_is_judged_all_the_same() {
    // As long a way as fits into a report, told from its end: its agent may say what it likes.
    let far: Vec<String> = (0..20_000).rev().map(|n| format!("s{n}>s{}:s", n + 1)).collect();
    let hops: Vec<&str> = [">web:tsb", "web>s0:tsb"].into_iter().chain(far.iter().map(String::as_str)).collect();
    let begun = std::time::Instant::now();
    assert_eq!(verdict(&report(&hops)).outcome, Outcome::Passed);
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// Who is blamed, `?` after whom it is uncertain, and for what.
fn blamed(report: &TraceReport) -> Vec<String> {
    let word = |loss: lapdev_api::view::Loss| {
        let by = loss.by.map_or_else(|| "somebody".to_owned(), |by| version(&by.service, by.key.is_some()));
        let doubt = if loss.certain { "" } else { "?" };
        format!("{by}{doubt}: {} to {}", loss.lost.join("+"), loss.towards.join("+"))
    };
    verdict(report).losses.into_iter().map(word).collect()
}

#[test]
fn who_was_given_the_key_and_called_without_it_is_blamed_and_nobody_else() {
    use Outcome::{Alone, Dropped, Passed};
    let both = "tracestate+baggage";
    let all = "traceparent+tracestate+baggage";
    for (hops, outcome, expected) in [
        (&[">web*:tsb"][..], Alone, vec![]),
        (&[">web*:tsb", "web*>api:tsb", "api>cart*:tsb"], Passed, vec![]),
        // A probe is sent several times.
        (&[">web*:tsb", ">web*:tsb"], Alone, vec![]),
        (&[">web*:tsb", "web*>api:tsb", ">web*:tsb", "web*>api:tsb"], Passed, vec![]),
        // It calls without it, and what is behind it cannot know better.
        (&[">web*:tsb", "web*>api:t", "api>cart:t"], Dropped, vec![format!("web (branch): {both} to api")]),
        (
            &[">web*:tsb", "web*>api:tsb", "api>cart:t", "api>db:t"],
            Dropped,
            vec![format!("api (baseline): {both} to cart+db")],
        ),
        // Two places, each by what it was given itself.
        (
            &[">web*:tsb", "web*>api:tsb", "web*>ads:t", "api>cart:t"],
            Dropped,
            vec![format!("api (baseline): {both} to cart"), format!("web (branch): {both} to ads")],
        ),
        // By one header alone it arrives; whoever drops that one is blamed for that one.
        (&[">web*:tsb", "web*>api:tb", "api>cart*:tb"], Passed, vec![]),
        (&[">web*:tsb", "web*>api:ts", "api>cart*:ts"], Passed, vec![]),
        (&[">web*:tsb", "web*>api:tb", "api>cart:t"], Dropped, vec!["api (baseline): baggage to cart".to_owned()]),
        // A trace begun anew does no harm as long as the key is there.
        (&[">web*:tsb", "web*>api:sb", "api>cart*:sb"], Passed, vec![]),
        // Without trace and key: by address and time, and only where nothing else was seen of it.
        (&[">web*:tsb", "web*>api:"], Dropped, vec![format!("web (branch)?: {all} to api")]),
        (&[">web*:tsb", "web*>api:tsb", "web*>api:"], Passed, vec![]),
        (&[">web*:tsb", "web*>api:t", "web*>ads:"], Dropped, vec![format!("web (branch): {both} to api")]),
        // Somebody else uses the branch meanwhile: what carries its key in another trace shows nothing of the probe.
        (&[">web*:tsb", "web*>api:t", "web*>api:sb"], Dropped, vec![format!("web (branch): {both} to api")]),
        (&[">web*:tsb", "api>cart:t", "ads>api:sb"], Dropped, vec![format!("api (baseline)?: {both} to cart")]),
        (&[">web*:tsb", "ads>api:b", "api>db:"], Alone, vec![]),
        // Somebody that no router knows.
        (&[">web*:tsb", ">api:tsb", "api>cart:tsb"], Passed, vec![]),
        (&[">web*:tsb", ">api:t"], Dropped, vec![format!("somebody: {both} to api")]),
        (&[">web*:tsb", ">api:"], Alone, vec![]),
        // Called both with and without, its own calls prove nothing; who called it without is blamed.
        (
            &[">web*:tsb", "web*>api:tsb", "web*>api:t", "api>cart:t"],
            Dropped,
            vec![format!("web (branch): {both} to api")],
        ),
        // It is in the trace, and no router saw how it was reached.
        (&[">web*:tsb", "cart>db:t"], Dropped, vec![format!("cart (baseline)?: {both} to db")]),
        // The way in is a hop as well.
        (&[">web*:t", "web*>api:t"], Dropped, vec![format!("somebody: {both} to web")]),
        // A Service that only the branch has is reached past the routers.
        (&["web*>cart:tsb"], Passed, vec![]),
        (&["web*>cart:t"], Dropped, vec![format!("web (branch): {both} to cart")]),
        (&[">api:t"], Dropped, vec![format!("somebody: {both} to api")]),
        (&[], Alone, vec![]),
    ] {
        let report = report(hops);
        assert_eq!((verdict(&report).outcome, blamed(&report)), (outcome, expected), "{hops:?}");
    }
}

#[test]
fn a_probe_without_an_answer_failed_unless_it_was_seen_who_dropped_the_key() {
    let silent = |hops: &[&str]| TraceReport { status: None, error: Some("it took 30 s".to_owned()), ..report(hops) };
    let failed = verdict(&silent(&[">web*:tsb", "web*>api:tsb"]));
    assert_eq!(
        (failed.outcome, failed.message.as_str()),
        (Outcome::Failed, "web gave the probe no answer: it took 30 s.")
    );
    assert_eq!(verdict(&silent(&[">web*:tsb", "web*>api:t"])).outcome, Outcome::Dropped);
}

#[test]
fn order_does_not_matter_but_for_the_way_in() {
    // Clocks of two routers may differ by more than a call takes.
    let one = verdict(&report(&[">web*:tsb", "web*>api:tsb", "api>cart:t", "web*>ads:tsb"]));
    let two = verdict(&report(&["api>cart:t", "web*>ads:tsb", ">web*:tsb", "web*>api:tsb"]));
    assert_eq!(one, two);
}

fn text(hops: &[&str]) -> String {
    let verdict = verdict(&report(hops));
    let mut text = format!("{hops:?}\n{:?}: {}\n", verdict.outcome, verdict.message);
    for by in &verdict.passed_on_by {
        text.push_str(&format!("  passed on by {}\n", version(&by.service, by.key.is_some())));
    }
    for loss in &verdict.losses {
        text.push_str(&format!("  - {}\n", loss.message));
        let advice =
            loss.advice.iter().map(|line| format!("    {}: {line}\n", loss.language.as_deref().unwrap_or("any")));
        text.extend(advice);
    }
    text.extend(verdict.notes.iter().map(|note| format!("  note: {note}\n")));
    text
}

#[test]
fn a_verdict_reads_like_this() {
    let texts = [
        &[">web*:tsb"][..],
        &[">web*:tsb", "web*>api:tsb", "api>cart*:tsb", "cart*>db:tsb", "api>web*:"],
        &[">web*:tsb", "web*>api:tsb", "api>cart:t", "api>ads*:tsb"],
        &[">web*:tsb", "web*>cart:", "web*>ads:"],
        &[">web*:tsb", "web*>api:tb", "api>cart:t"],
        &[">web*:tsb", "web*>api:tsb", "web*>api:t", "api>cart:t", ">ads:t"],
        &[">web*:t"],
        &["cart>db:t"],
        &[">web*:tsb", "web*>api:sb", "api>cart:", "ads>cart:sb", ">cart:b"],
    ];
    insta::assert_snapshot!("verdicts", texts.map(text).join("\n"));
}

fn record(life: &Life, key: bool) -> EnvironmentRecord {
    let branch = json!({
        "repositoryId": "42", "repository": "acme/shop", "ref": "x", "key": KEY, "base": "staging",
    });
    let record = json!({
        "identity": {"uid": "aaaaaaaaaaaaaaaa", "name": "x", "type": if key { "Branch" } else { "Shared" }, "catalog": "shop",
            "branch": if key { branch } else { json!(null) }},
        "cluster": "dev", "namespace": "n", "owner": null, "life": life, "generation": 1, "digest": Digest::of(b"x"),
        "firstSeen": "2026-01-01T00:00:00Z", "lastChange": "2026-01-01T00:00:00Z", "expiresAt": null, "head": null,
        "source": null, "pullRequests": [], "reasons": [], "previews": [], "problems": [],
    });
    serde_json::from_value(record).expect("a record")
}

#[test]
fn only_a_branch_that_runs_can_be_traced_and_the_refusal_says_why() {
    let asked = |service: Option<&str>| TraceAsked { service: service.map(str::to_owned), path: "/".to_owned() };
    let refusal = |record: &EnvironmentRecord, service| {
        may_be_traced(record, &asked(service)).map_err(|error| (error.status().as_u16(), error.to_string()))
    };
    assert_eq!(refusal(&record(&Life::Live, true), Some("web")), Ok(()));
    let evidence = Evidence::RefGone { branch: "x".to_owned() };
    let mut unpublished = record(&Life::Live, true);
    unpublished.digest = None;
    for (record, says) in [
        (record(&Life::Live, false), "x is no Branch environment, so it has no key to trace"),
        (
            record(&Life::Queued { reason: "the limit is reached".to_owned() }, true),
            "nothing to trace: the limit is reached",
        ),
        (record(&Life::Closing { evidence, at: Timestamp::UNIX_EPOCH }, true), "nothing to trace: branch x is gone"),
        (unpublished, "nothing to trace: nothing of it was published yet"),
    ] {
        let (status, message) = refusal(&record, Some("web")).expect_err("refused");
        assert!(status == 409 && message.contains(says), "{status} {message}");
    }
    let (_, message) = refusal(&record(&Life::Live, true), None).expect_err("refused");
    assert!(message.contains("--service"), "{message}");
}

#[test]
fn an_agent_that_knows_no_traces_is_told_from_one_that_refuses() {
    let refused = |status: u16, kind: &str| {
        let answer = Response::builder().status(status).header("lapdev-error", kind).body("no such thing\n".into());
        refusal(&answer.expect("legal"), "dev".parse().expect("legal")).to_string()
    };
    assert!(refused(404, "path").contains("agent of cluster dev is too old"), "{}", refused(404, "path"));
    for (status, kind) in [(404, "trace"), (403, "path")] {
        assert_eq!(refused(status, kind), "the agent sent no probe: no such thing");
    }
    assert_eq!(refused(409, "busy"), "no such thing", "it says who is first, and when to come again");
}

#[test]
fn what_is_asked_for_is_checked_before_an_agent_hears_of_it() {
    let whole = parse(br#"{"service": "web-2", "path": "/a?b=%20"}"#).expect("legal");
    assert_eq!((whole.service.as_deref(), whole.path.as_str()), (Some("web-2"), "/a?b=%20"));
    assert_eq!(parse(b"").expect("legal"), TraceAsked { service: None, path: "/".to_owned() });
    let long = format!(r#"{{"path": "/{}"}}"#, "x".repeat(2048));
    for (body, path) in [
        ("nonsense", false),
        (r#"{"servce": "web"}"#, false),
        (r#"{"path": ""}"#, true),
        (r#"{"path": "http://elsewhere/"}"#, true),
        (r#"{"path": "/a b"}"#, true),
        (r#"{"path": "/a\r\nx: y"}"#, true),
        (r#"{"path": "/a#b"}"#, true),
        (&long, true),
    ] {
        let error = parse(body.as_bytes()).expect_err(body);
        assert!(matches!((&error, path), (TraceError::Body(_), false) | (TraceError::Path, true)), "{body}: {error}");
    }
    for name in ["", "Web", "a/b", "a.b", &"x".repeat(64)] {
        let error = parse(json!({ "service": name }).to_string().as_bytes()).expect_err(name);
        assert!(matches!(error, TraceError::Service(_)), "{name}: {error}");
    }
}
