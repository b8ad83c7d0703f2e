//! What a person is told about requests: `lapdev trace` names who drops the key, and counters reach `explain`.

use crate::house::{Branch, CART, House, LIMIT, NAMESPACE, PORT, play};
use lapdev_tests::{
    stage::{Error, until, within},
    visitor::{Protocol, Question, What},
};
use serde_json::Value;

/// Its cart passes only `traceparent` on, as a service does whose tracing library is old.
const FORGETFUL: Branch = Branch {
    branch: "feature/forgetful",
    services: &["cart", "pricing"],
    asks: Some("env: {DROPS: \"tracestate,baggage\"}\n"),
};

#[test]
fn a_trace_names_the_service_that_drops_the_key_and_who_passes_it_on() {
    play("lapdev trace", async |house| {
        let key = house.open_branch(FORGETFUL).await?;
        let trace: Value = serde_json::from_str(&house.cast.plane.lapdev(&["trace", &key, "-o", "json"]).await?.1)?;
        let at = |path: &str| trace.pointer(path).cloned().unwrap_or_default();
        within(at("/verdict/outcome") == "Dropped", trace.to_string())?;
        let losses = at("/verdict/losses");
        within(losses.as_array().is_some_and(|losses| losses.len() == 1), trace.to_string())?;
        within(at("/verdict/losses/0/by/service") == "cart", trace.to_string())?;
        within(at("/verdict/losses/0/by/key") == key, trace.to_string())?;
        within(at("/verdict/losses/0/towards") == serde_json::json!(["pricing"]), trace.to_string())?;
        let passed_on = at("/verdict/passedOnBy").to_string();
        within(passed_on.contains(r#""web""#) && passed_on.contains(r#""catalog""#), trace.to_string())?;
        let (code, told, _) = house.cast.plane.lapdev(&["trace", &key]).await?;
        within(code == 1 && told.contains("cart (branch)"), format!("exit {code}: {told}"))?;
        house.close_branch(FORGETFUL).await?;

        let key = house.open_branch(CART).await?;
        let told = house.cast.plane.say(&["trace", &key]).await?;
        within(!told.contains("drop"), told)?;
        one_at_a_time(house, &key).await
    });
}

/// Of two at once, neither breaks the other: each has its own right verdict, or is told when to come again.
async fn one_at_a_time(house: &House, key: &str) -> Result<(), Error> {
    until("a second trace is told when to come again", LIMIT, async || {
        let trace = async || house.cast.plane.lapdev(&["trace", key]).await;
        let (one, two) = tokio::join!(trace(), trace());
        let mut refused = 0;
        for (code, told, error) in [one?, two?] {
            let is_refusal = error.contains("another probe is on its way") && error.contains("try again in");
            let fine = code == 0 && told.contains("The key reached every service");
            // Whatever else it says, waiting does not mend it.
            assert!(fine || is_refusal && code != 0, "exit {code}: {told}{error}");
            refused += usize::from(is_refusal);
        }
        within(refused == 1, format!("{refused} were refused"))
    })
    .await
}

#[test]
fn explain_counts_the_requests_of_a_key_and_says_whose_errors_there_were() {
    play("counters", async |house| {
        // A life of its own, so that what other tests asked is not counted.
        house.close_branch(CART).await?;
        let key = house.open_branch(CART).await?;
        let ask = |service: &str, protocol, what| Question {
            protocol,
            to: format!("{service}.{NAMESPACE}:{PORT}"),
            what,
            headers: vec![("tracestate".to_owned(), format!("lapdev={key}"))],
        };
        let mut questions = vec![ask("web", Protocol::Http2, What::Alone); 39];
        questions.extend([Protocol::Http1, Protocol::Http2, Protocol::Grpc].map(|how| ask("cart", how, What::Fail)));
        house.cast.ask(&questions).await?;
        until("explain has the counters", LIMIT, async || {
            let explained = house.cast.plane.say(&["explain", &key]).await?;
            let line = "42 requests with its key, 3 × 5xx, all at cart (branch)";
            within(explained.contains(line), explained.clone())
        })
        .await
    });
}
