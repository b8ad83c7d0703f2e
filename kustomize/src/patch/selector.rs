//! Which objects a patch applies to: anchored regular expressions on type, name and namespace, and
//! Kubernetes label selectors on labels and annotations.

use super::elements;
use crate::error::{Error, Problem};
use crate::expression;
use crate::kustomization::{Field, Fields};
use crate::resource::{Gvk, Id, Resource};
use regex_lite::Regex;
use serde_json::{Map, Value};

/// Which objects are meant: a `target:` of a patch, a `select:` or `reject:` of a replacement.
/// What is not given matches everything.
#[derive(Debug, Default)]
pub struct Selector {
    group: Option<Pattern>,
    version: Option<Pattern>,
    kind: Option<Pattern>,
    name: Option<Pattern>,
    namespace: Option<Pattern>,
    labels: Requirements,
    annotations: Requirements,
}

const FIELDS: &[&str] = &["group", "version", "kind", "name", "namespace", "labelSelector", "annotationSelector"];

impl Selector {
    pub fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let fields = field.mapping(FIELDS)?;
        let regex = |name: &str| -> Result<Option<Pattern>, Error> {
            let Some(text) = fields.text(name)? else { return Ok(None) };
            Pattern::parse(&text.value).map(Some).map_err(|why| Error::new(text.place, Problem::Invalid(why)))
        };
        Ok(Self {
            group: regex("group")?,
            version: regex("version")?,
            kind: regex("kind")?,
            name: regex("name")?,
            namespace: regex("namespace")?,
            labels: Requirements::decode(&fields, "labelSelector")?,
            annotations: Requirements::decode(&fields, "annotationSelector")?,
        })
    }

    /// Whether the name counts.
    pub fn has_name(&self) -> bool {
        self.name.is_some()
    }

    /// Whether a patch means the object, by its present or its original name and namespace.
    pub fn matches(&self, resource: &Resource) -> bool {
        if !self.may_be_named(resource) || !is_match(&self.kind, resource.kind()) {
            return false;
        }
        let (now, before) = (resource.id(), resource.original_id());
        let either = |pattern: &Option<Pattern>, a: &str, b: &str| is_match(pattern, a) || is_match(pattern, b);
        self.matches_type(&now.gvk)
            && either(&self.name, &before.name, &now.name)
            && either(&self.namespace, &before.namespace, &now.namespace)
            && self.matches_labels(resource)
    }

    /// Whether a replacement takes the object, by any one identity that it has had.
    pub fn takes(&self, resource: &Resource) -> bool {
        self.may_be_named(resource) && self.matches_labels(resource) && self.matches_any_id(resource)
    }

    /// Whether a replacement leaves the object out: by its labels or by its names, if either is given.
    pub fn rejects(&self, resource: &Resource) -> bool {
        let by_labels = !(self.labels.0.is_empty() && self.annotations.0.is_empty());
        let parts = [&self.group, &self.version, &self.kind, &self.name, &self.namespace];
        let by_id = parts.iter().any(|part| part.is_some());
        (by_labels && self.matches_labels(resource)) || (by_id && self.matches_any_id(resource))
    }

    fn matches_type(&self, gvk: &Gvk) -> bool {
        is_match(&self.group, &gvk.group) && is_match(&self.version, &gvk.version) && is_match(&self.kind, &gvk.kind)
    }

    /// Most objects are called otherwise; that is seen without making an identity.
    fn may_be_named(&self, resource: &Resource) -> bool {
        self.name.is_none() || resource.names().any(|name| is_match(&self.name, name))
    }

    fn matches_any_id(&self, resource: &Resource) -> bool {
        let matches = |id: &Id| {
            self.matches_type(&id.gvk) && is_match(&self.name, &id.name) && is_match(&self.namespace, &id.namespace)
        };
        matches(&resource.id()) || resource.previous_ids().any(|id| matches(&id))
    }

    fn matches_labels(&self, resource: &Resource) -> bool {
        self.labels.hold(resource.labels()) && self.annotations.hold(resource.annotations())
    }
}

fn is_match(pattern: &Option<Pattern>, text: &str) -> bool {
    pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
}

/// A regular expression that must match the whole text.
#[derive(Debug)]
enum Pattern {
    /// One without any operator, as nearly all are.
    Text(String),
    Expression(Regex),
}

impl Pattern {
    fn parse(pattern: &str) -> Result<Self, String> {
        if pattern.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/')) {
            return Ok(Self::Text(pattern.to_owned()));
        }
        expression::compile(&format!("^(?:{pattern})$"))
            .map(Self::Expression)
            .map_err(|why| format!("`{pattern}` is not a valid regular expression: {why}"))
    }

    fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Text(whole) => whole == text,
            Self::Expression(expression) => expression.is_match(text),
        }
    }
}

/// A Kubernetes label selector.
#[derive(Clone, Debug, Default)]
struct Requirements(Vec<Requirement>);

impl Requirements {
    fn decode(fields: &Fields<'_>, name: &str) -> Result<Self, Error> {
        let Some(text) = fields.text(name)? else { return Ok(Self::default()) };
        parse_requirements(&text.value).map(Self).map_err(|why| Error::new(text.place, Problem::Invalid(why)))
    }

    fn hold(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.0.iter().all(|requirement| requirement.holds(labels))
    }
}

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    Exists,
    Absent,
    In(Vec<String>),
    /// Also holds where the label is absent.
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

impl Requirement {
    fn holds(&self, labels: Option<&Map<String, Value>>) -> bool {
        let value = labels.and_then(|labels| labels.get(&self.key)).map(elements::text);
        let among = |values: &[String]| value.as_ref().is_some_and(|value| values.contains(value));
        let number = || value.as_ref().and_then(|value| value.parse::<i64>().ok());
        match &self.operator {
            Operator::Exists => value.is_some(),
            Operator::Absent => value.is_none(),
            Operator::In(values) => among(values),
            Operator::NotIn(values) => !among(values),
            Operator::Greater(bound) => number().is_some_and(|number| number > *bound),
            Operator::Less(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

/// Parses `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
fn parse_requirements(text: &str) -> Result<Vec<Requirement>, String> {
    split_outside_parentheses(text).into_iter().map(|part| parse_requirement(part.trim(), text)).collect()
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_usize, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_requirement(part: &str, whole: &str) -> Result<Requirement, String> {
    let invalid = || format!("`{whole}` is not a valid label selector");
    let requirement = |key: &str, operator| match is_key(key.trim()) {
        true => Ok(Requirement { key: key.trim().to_owned(), operator }),
        false => Err(invalid()),
    };
    if let Some(key) = part.strip_prefix('!') {
        return requirement(key, Operator::Absent);
    }
    if let Some((key, value)) = part.split_once("!=") {
        return requirement(key, Operator::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        let value = value.trim();
        return match is_value(value) {
            true => requirement(key, Operator::In(vec![value.to_owned()])),
            false => Err(invalid()),
        };
    }
    for (sign, operator) in [('>', Operator::Greater as fn(i64) -> Operator), ('<', Operator::Less)] {
        if let Some((key, bound)) = part.split_once(sign) {
            return requirement(key, operator(bound.trim().parse().map_err(|_| invalid())?));
        }
    }
    let Some((head, list)) = part.split_once('(') else {
        return requirement(part, Operator::Exists);
    };
    let values = list.strip_suffix(')').ok_or_else(invalid)?.split(',').map(|value| value.trim().to_owned()).collect();
    let (key, operator) = head.trim().rsplit_once(char::is_whitespace).ok_or_else(invalid)?;
    match operator {
        "in" => requirement(key, Operator::In(values)),
        "notin" => requirement(key, Operator::NotIn(values)),
        _ => Err(invalid()),
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/'))
}

fn is_value(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn label_selectors_follow_kubernetes() {
        let labels = json!({"app": "web", "tier": "front", "size": 10});
        let holds = |text: &str| {
            let requirements = parse_requirements(text).expect("valid");
            requirements.iter().all(|requirement| requirement.holds(labels.as_object()))
        };
        for text in [
            "app=web",
            "app==web,tier",
            "app in (api, web)",
            "!missing",
            "missing!=x",
            "app notin (api)",
            "size>1",
            "size < 11",
        ] {
            assert!(holds(text), "{text}");
        }
        for text in ["app=api", "missing", "!app", "app notin (web)", "app!=web", "size>10", "app>1"] {
            assert!(!holds(text), "{text}");
        }
        for text in ["app in web", "=x", "a b", "app in (x", "size>x", ""] {
            assert!(parse_requirements(text).is_err(), "{text}");
        }
    }

    #[test]
    fn expressions_match_the_whole_text() {
        let pattern = |text: &str| Pattern::parse(text);
        assert!(pattern("web|api").is_ok_and(|one| one.is_match("api") && !one.is_match("api-2")));
        assert!(pattern("api").is_ok_and(|one| one.is_match("api") && !one.is_match("api-2") && !one.is_match("")));
        let refused = pattern("(").map(|_| ()).expect_err("a group without an end");
        assert_eq!(refused, "`(` is not a valid regular expression: found open group without closing ')'");
    }
}
