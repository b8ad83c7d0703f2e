//! Which version of each service must answer: what the chain of the shop is, and which branch changes what. Pure.

use crate::house::Branch;
use std::collections::BTreeMap;

/// The chain: who asks whom, and over what.
const CALLS: [(&str, &[&str]); 5] =
    [("web", &["cart", "catalog"]), ("cart", &["pricing"]), ("catalog", &["stock"]), ("pricing", &[]), ("stock", &[])];

/// The versions in the answer of `service` to a request with the key of `branch`, or with none that counts.
pub fn chain(service: &str, branch: Option<(Branch, &str)>) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::from([(service.to_owned(), version(service, branch))]);
    let calls = CALLS.iter().find(|(name, _)| *name == service).map_or(&[][..], |(_, calls)| calls);
    calls.iter().for_each(|called| versions.extend(chain(called, branch)));
    versions
}

/// The version of one service.
pub fn version(service: &str, branch: Option<(Branch, &str)>) -> String {
    let own = branch.filter(|(branch, _)| branch.services.contains(&service));
    own.map_or("baseline", |(_, key)| key).to_owned()
}
