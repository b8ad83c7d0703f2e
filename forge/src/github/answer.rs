//! What an answer of GitHub means: its status, headers and message, sorted into [`ForgeError`]. Pure.

use crate::ForgeError;
use http::{HeaderMap, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

/// GitHub advises a minute when a secondary limit comes without a time.
const SECONDARY_LIMIT: SignedDuration = SignedDuration::from_secs(60);
/// Primary limits last an hour at most; whatever says more is not believed.
pub(super) const LONGEST_LIMIT: SignedDuration = SignedDuration::from_secs(65 * 60);
const LONGEST_MESSAGE: usize = 300;

/// GitHub's error body. Everything is optional: proxies answer as well.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    message: String,
    errors: Value,
}

/// The error that an answer without success stands for.
pub(super) fn refusal(what: &str, status: StatusCode, headers: &HeaderMap, body: &[u8], now: Timestamp) -> ForgeError {
    let message = message(status, body);
    let what = what.to_owned();
    if let Some(until) = rate_limit(status, headers, &message, now) {
        return ForgeError::RateLimited { what, until };
    }
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => ForgeError::NotFound { what },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ForgeError::Unauthorized { what, message },
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            ForgeError::Unavailable { what, message, source: None }
        }
        _ => ForgeError::Unexpected { what, message },
    }
}

/// Until when GitHub wants no more calls, if that is what it said: by 429 always, by 403 only with a sign of it.
fn rate_limit(status: StatusCode, headers: &HeaderMap, message: &str, now: Timestamp) -> Option<Timestamp> {
    if !matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
        return None;
    }
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    let after =
        number(header::RETRY_AFTER.as_str()).map(|seconds| now.saturating_add(SignedDuration::from_secs(seconds)));
    let used_up = number("x-ratelimit-remaining") == Some(0);
    let reset = used_up.then(|| number("x-ratelimit-reset")).flatten();
    let limited = status == StatusCode::TOO_MANY_REQUESTS
        || used_up
        || after.is_some()
        || message.contains("secondary rate limit");
    let until = after.and_then(Result::ok).or_else(|| Timestamp::from_second(reset?).ok());
    let soonest = now + SignedDuration::from_secs(1);
    limited.then(|| until.unwrap_or(now + SECONDARY_LIMIT).clamp(soonest, now + LONGEST_LIMIT))
}

fn message(status: StatusCode, body: &[u8]) -> String {
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let mut text = format!("{status}");
    if !refusal.message.is_empty() {
        text = format!("{text}: {}", refusal.message);
    }
    if !refusal.errors.is_null() {
        text = format!("{text} {}", refusal.errors);
    }
    text.chars().take(LONGEST_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).expect("a time")
    }

    fn sort(status: u16, headers: &[(&'static str, &str)], body: &str) -> ForgeError {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a value")))
            .collect();
        refusal("trying", StatusCode::from_u16(status).expect("a status"), &headers, body.as_bytes(), now())
    }

    fn seconds(error: &ForgeError) -> i64 {
        match error {
            ForgeError::RateLimited { until, .. } => until.as_second() - now().as_second(),
            other => panic!("no rate limit: {other}"),
        }
    }

    #[test]
    fn rate_limits_say_when_they_end() {
        let primary = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000900")];
        assert_eq!(seconds(&sort(403, &primary, "{}")), 900);
        assert_eq!(seconds(&sort(429, &[("retry-after", "7")], "")), 7);
        let secondary = r#"{"message": "You have exceeded a secondary rate limit. Please wait"}"#;
        assert_eq!(seconds(&sort(403, &[("x-ratelimit-remaining", "4000")], secondary)), 60);
        assert_eq!(seconds(&sort(429, &[("retry-after", "99999999999999")], "")), 65 * 60);
        assert_eq!(seconds(&sort(429, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")], "")), 1);
    }

    #[test]
    fn a_plain_403_is_about_permissions() {
        let body = r#"{"message": "Resource not accessible by integration"}"#;
        let error = sort(403, &[("x-ratelimit-remaining", "4999")], body);
        assert!(
            matches!(&error, ForgeError::Unauthorized { message, .. } if message.contains("integration")),
            "{error}"
        );
    }

    #[test]
    fn other_statuses_are_told_apart() {
        assert!(matches!(sort(404, &[], "{}"), ForgeError::NotFound { .. }));
        assert!(matches!(sort(401, &[], "{}"), ForgeError::Unauthorized { .. }));
        assert!(matches!(sort(502, &[], "<html>"), ForgeError::Unavailable { .. }));
        assert!(matches!(sort(422, &[], "{}"), ForgeError::Unexpected { .. }));
    }
}
