//! Every exchange with the API, kept so that a test can hold it against GitHub's published description.

use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// A long demo must not fill the memory.
const MOST: usize = 20_000;

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// `GET`, `POST`, …
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Without `?`.
    pub query: String,
    /// Lower-case names; `authorization` is left out.
    pub request_headers: BTreeMap<String, String>,
    /// As text.
    pub request_body: String,
    /// 0: there was none.
    pub status: u16,
    /// Lower-case names.
    pub response_headers: BTreeMap<String, String>,
    /// As text.
    pub response_body: String,
    /// What went wrong on purpose.
    pub fault: Option<String>,
}

/// The newest exchanges.
#[derive(Default)]
pub(super) struct Recording(VecDeque<Exchange>);

impl Recording {
    pub fn add(&mut self, exchange: Exchange) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(exchange);
    }

    pub fn all(&self) -> Vec<Exchange> {
        self.0.iter().cloned().collect()
    }
}

pub(super) fn headers(headers: &http::HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .filter(|(name, _)| *name != http::header::AUTHORIZATION)
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}
