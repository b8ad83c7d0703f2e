//! Faults that the double is told to have: which requests, how often, what goes wrong.

use http::Method;
use serde::Deserialize;

/// Something that goes wrong with certain requests.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Only requests of this method; none: of any.
    #[serde(default)]
    pub method: Option<String>,
    /// Only requests whose path and query contain this.
    #[serde(default)]
    pub path: String,
    /// How many requests it hits before it is over.
    #[serde(default = "once")]
    pub times: u64,
    /// What goes wrong.
    pub fault: Fault,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// This status with GitHub's error body, and nothing is done.
    Status {
        /// 404, 500, 502, …
        status: u16,
    },
    /// The primary rate limit is used up, until so many seconds from now.
    PrimaryLimit {
        /// In seconds.
        reset: i64,
    },
    /// The secondary rate limit, with `Retry-After`.
    SecondaryLimit {
        /// In seconds; none: GitHub does not say.
        after: Option<u64>,
    },
    /// A listing answers `[]` on its first and only page.
    Empty,
    /// A listing answers half of its items, without a link to the rest.
    Half,
    /// The body ends in its middle, against its announced length.
    CutBody,
    /// The body ends in its middle, of the length that was announced.
    CutJson,
    /// The connection ends after the head.
    CutHead,
    /// The connection ends before anything was done.
    Refuse,
    /// It is done, but the connection ends without an answer.
    Deaf,
    /// The connection ends at once; it is done when it is released.
    Late,
    /// It is done this much later, and answered.
    Slow {
        /// How much later.
        milliseconds: u64,
    },
    /// It waits until it is released, and is answered then.
    Hold,
    /// The `ETag` is another one each time.
    ChangingEtag,
    /// The next page is the one that was asked for.
    SameNext,
    /// The next page is on another host.
    ForeignNext,
    /// The next page has the first item of this one.
    Overlap,
}

fn once() -> u64 {
    1
}

/// The faults that are not over.
#[derive(Default)]
pub(super) struct Faults(Vec<FaultRule>);

impl Faults {
    pub fn add(&mut self, rule: FaultRule) {
        self.0.push(rule);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What goes wrong with this request, counted.
    pub fn take(&mut self, method: &Method, path_and_query: &str) -> Option<Fault> {
        let hit = |rule: &&mut FaultRule| {
            let same = rule.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str()));
            same && rule.times > 0 && path_and_query.contains(&rule.path)
        };
        let rule = self.0.iter_mut().find(hit)?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }
}
