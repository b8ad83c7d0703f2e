//! The pod templates behind a routed Service, found in the bundles themselves: by the selector of the original. Pure.

use super::services;
use lapdev_api::bundle::Bundle;
use serde_json::{Map, Value};

/// What the Service of this name in `bundle` selects its pods by; none where it has no selector.
#[must_use]
pub fn selector<'a>(bundle: &'a Bundle, service: &str) -> Option<&'a Map<String, Value>> {
    let (_, found) = services(bundle).find(|(name, _)| *name == service)?;
    found.pointer("/spec/selector")?.as_object().filter(|selector| !selector.is_empty())
}

/// Whether labels are what a selector asks for.
pub fn selects<'a>(selector: &Map<String, Value>, label: impl Fn(&str) -> Option<&'a str>) -> bool {
    selector.iter().all(|(key, value)| value.as_str().is_some_and(|value| label(key) == Some(value)))
}

/// The pod templates of a bundle that a selector selects.
pub fn selected<'a>(bundle: &'a Bundle, selector: &Map<String, Value>) -> impl Iterator<Item = &'a Value> {
    let templates = bundle.objects.iter().filter_map(|object| object.pointer("/spec/template"));
    templates.filter(|template| {
        let labels = template.pointer("/metadata/labels");
        selects(selector, |key| labels?.get(key)?.as_str())
    })
}
