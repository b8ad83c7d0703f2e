//! After names have changed: rewriting the fields of other objects that hold them.
//!
//! A field that may name a config map, say, follows the one candidate that was called so, is of
//! that type, and lies in the referrer's namespace; prefixes and suffixes decide between several.

use crate::error::{Error, Problem};
use crate::field_spec::{self, Create, FieldSpec, FieldSpecs, NameReference};
use crate::resource::{Gvk, Id, Resource, ResourceList};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// Rewrites every reference to an object that was renamed or moved.
pub fn apply(list: &mut ResourceList, specs: &FieldSpecs) -> Result<(), Error> {
    list.iter().try_for_each(check_accounts)?;
    let renamed = Renamed::of(list);
    if renamed.by_name.is_empty() {
        return Ok(());
    }
    let referrers = Referrers::of(specs);
    for (at, resource) in list.items_mut().iter_mut().enumerate() {
        let original = resource.original_gvk();
        let mut referrer = Referrer::new(resource, &renamed.all[at]);
        for (target, spec) in referrers.of_kind(&original.kind).filter(|(_, spec)| spec.selects(&original)) {
            referrer.role = spec.path.ends_with("roleRef/name").then(|| role(&resource.value)).flatten();
            let mut set = |value: &mut Value| renamed.update(value, target, &referrer);
            // Selected by the original type; the path counts for the present one.
            field_spec::lead(&mut resource.value, spec, Create::Never, &mut set)
                .map_err(|why| Error::new(resource.place.clone(), Problem::Invalid(why)))?;
        }
    }
    Ok(())
}

/// The field specs by the kind of the referrer, so that few must be looked at.
struct Referrers<'s> {
    by_kind: HashMap<&'s str, Vec<(&'s NameReference, &'s FieldSpec)>>,
}

impl<'s> Referrers<'s> {
    fn of(specs: &'s FieldSpecs) -> Self {
        let mut by_kind: HashMap<&str, Vec<_>> = HashMap::new();
        for target in &specs.name_references {
            for spec in &target.referrers {
                by_kind.entry(spec.kind.as_ref()).or_default().push((target, spec));
            }
        }
        Self { by_kind }
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = (&'s NameReference, &'s FieldSpec)> {
        let of = |kind: &str| self.by_kind.get(kind).into_iter().flatten().copied();
        of(kind).chain(of(""))
    }
}

/// What references need to know of an object.
struct Candidate {
    id: Id,
    /// The namespace as written, which may be empty.
    namespace: String,
    original_namespace: String,
    previous: Vec<Id>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

impl Candidate {
    fn was(&self, gvk_matches: impl Fn(&Gvk) -> bool) -> bool {
        self.previous.iter().any(|id| gvk_matches(&id.gvk))
    }

    /// Whether both went through the same renamings. `lenient`: none at all goes with any.
    fn same_context(&self, other: &Self, lenient: bool) -> bool {
        let same = |a: &[String], b: &[String]| (lenient && (a.is_empty() || b.is_empty())) || same_ending(a, b);
        same(&self.prefixes, &other.prefixes) && same(&self.suffixes, &other.suffixes)
    }
}

fn same_ending(a: &[String], b: &[String]) -> bool {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => true,
        (false, false) => a.ends_with(b) || b.ends_with(a),
        _ => false,
    }
}

/// The object whose field is rewritten.
struct Referrer<'c> {
    me: &'c Candidate,
    /// Namespaces of the service accounts that a role binding names.
    account_namespaces: HashSet<String>,
    /// Group and kind that a `roleRef` asks for, if the field is in one.
    role: Option<(String, String)>,
}

impl<'c> Referrer<'c> {
    fn new(resource: &Resource, me: &'c Candidate) -> Self {
        Self { me, account_namespaces: account_namespaces(resource), role: None }
    }

    /// Whether an object in its namespace could be meant at all.
    fn reaches(&self, candidate: &Candidate) -> bool {
        self.me.id.is_cluster_scoped()
            || candidate.id.is_cluster_scoped()
            || candidate.id.namespace == self.me.id.namespace
            || self.account_namespaces.contains(&candidate.namespace)
    }

    /// Whether an object is near enough to be meant without saying its namespace.
    fn is_near(&self, candidate: &Candidate) -> bool {
        self.me.id.is_cluster_scoped()
            || candidate.id.is_cluster_scoped()
            || candidate.id.gvk.kind == "ServiceAccount"
            || candidate.id.namespace == self.me.id.namespace
    }
}

fn role(object: &Value) -> Option<(String, String)> {
    let text = |key: &str| object.get("roleRef")?.get(key)?.as_str().map(str::to_owned);
    Some((text("apiGroup")?, text("kind")?))
}

/// A role binding may leave out the namespace of an account, but not leave it empty.
fn check_accounts(resource: &Resource) -> Result<(), Error> {
    let subjects = resource.value.get("subjects").filter(|_| resource.kind() == "RoleBinding");
    let blank = subjects.and_then(Value::as_array).into_iter().flatten().find(|subject| {
        subject["kind"] == "ServiceAccount" && subject.get("namespace").is_some_and(|name| !name.is_string())
    });
    match blank {
        None => Ok(()),
        Some(_) => {
            let why = format!("{}: the `namespace` of a subject must be a string; fill it in", resource.id());
            Err(Error::new(resource.place.clone(), Problem::Invalid(why)))
        }
    }
}

fn account_namespaces(resource: &Resource) -> HashSet<String> {
    let subjects =
        resource.value.get("subjects").filter(|_| resource.kind() == "RoleBinding").and_then(Value::as_array);
    let accounts = subjects.into_iter().flatten().filter(|subject| subject["kind"] == "ServiceAccount");
    accounts.filter_map(|subject| Some(subject.get("namespace")?.as_str()?.to_owned())).collect()
}

/// All objects, and those that were called something before.
struct Renamed {
    all: Vec<Candidate>,
    by_name: HashMap<String, Vec<usize>>,
}

impl Renamed {
    fn of(list: &ResourceList) -> Self {
        let all: Vec<Candidate> = list.iter().map(candidate).collect();
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, candidate) in all.iter().enumerate() {
            for id in &candidate.previous {
                let indices = by_name.entry(id.name.clone()).or_default();
                if indices.last() != Some(&at) {
                    indices.push(at);
                }
            }
        }
        Self { all, by_name }
    }

    /// Rewrites what a field spec led to: a name, a mapping with `name`, or a list of either.
    fn update(&self, value: &mut Value, target: &NameReference, referrer: &Referrer<'_>) -> Result<(), String> {
        match value {
            Value::Null => Ok(()),
            Value::Array(items) => items.iter_mut().try_for_each(|item| match item {
                Value::Array(_) => Err("a name, or a mapping with `name`, was expected".to_owned()),
                item => self.update(item, target, referrer),
            }),
            Value::Object(map) => self.update_mapping(map, target, referrer),
            Value::String(name) => {
                let found = self.find(name, target, referrer, |_| true, |a, b| a.id.name == b.id.name)?;
                if let Some(candidate) = found {
                    name.clone_from(&candidate.id.name);
                }
                Ok(())
            }
            // A number or a boolean is never the name of anything.
            Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    fn update_mapping(
        &self,
        map: &mut Map<String, Value>,
        target: &NameReference,
        referrer: &Referrer<'_>,
    ) -> Result<(), String> {
        let Some(name) = map.get("name") else { return Err("a mapping with `name` was expected".to_owned()) };
        let Some(name) = name.as_str().map(str::to_owned) else { return Ok(()) };
        let namespace = map.get("namespace").map(|namespace| namespace.as_str().unwrap_or_default().to_owned());
        let in_namespace = self.in_namespace(namespace.as_deref(), referrer);
        let identical = |a: &Candidate, b: &Candidate| a.id.name == b.id.name && a.namespace == b.namespace;
        let Some(candidate) = self.find(&name, target, referrer, in_namespace, identical)? else { return Ok(()) };
        map.insert("name".to_owned(), Value::String(candidate.id.name.clone()));
        if !candidate.namespace.is_empty() {
            map.insert("namespace".to_owned(), Value::String(candidate.namespace.clone()));
        }
        Ok(())
    }

    /// Objects that lay in the namespace originally, or if there is none, those that do now.
    fn in_namespace<'a>(
        &'a self,
        namespace: Option<&'a str>,
        referrer: &Referrer<'_>,
    ) -> impl Fn(&Candidate) -> bool + 'a {
        let was_in = move |candidate: &Candidate| Some(candidate.original_namespace.as_str()) == namespace;
        let by_original = self.all.iter().any(|candidate| referrer.reaches(candidate) && was_in(candidate));
        move |candidate| match namespace {
            None => true,
            Some(_) if by_original => was_in(candidate),
            Some(namespace) => candidate.id.namespace == namespace,
        }
    }

    fn find(
        &self,
        name: &str,
        target: &NameReference,
        referrer: &Referrer<'_>,
        in_namespace: impl Fn(&Candidate) -> bool,
        identical: impl Fn(&Candidate, &Candidate) -> bool,
    ) -> Result<Option<&Candidate>, String> {
        let Some(indices) = self.by_name.get(name) else { return Ok(None) };
        let mut found: Vec<&Candidate> = indices.iter().map(|at| &self.all[*at]).collect();
        found.retain(|candidate| referrer.reaches(candidate) && in_namespace(candidate));
        found.retain(|candidate| candidate.was(|gvk| target.selects(gvk)));
        if let Some((group, kind)) = &referrer.role {
            found.retain(|candidate| {
                candidate.was(|gvk| (group.is_empty() || gvk.group == *group) && gvk.kind == *kind)
            });
        }
        found.retain(|candidate| referrer.is_near(candidate));
        if found.len() > 1 {
            found.retain(|candidate| candidate.same_context(referrer.me, true));
        }
        if found.len() > 1 {
            found.retain(|candidate| candidate.same_context(referrer.me, false));
        }
        let Some((first, rest)) = found.split_first() else { return Ok(None) };
        if rest.iter().all(|other| identical(first, other)) {
            return Ok(Some(first));
        }
        let names: Vec<String> = found.iter().map(|candidate| candidate.id.to_string()).collect();
        Err(format!("the reference `{name}` is ambiguous: it may mean {}", names.join(", ")))
    }
}

fn candidate(resource: &Resource) -> Candidate {
    Candidate {
        id: resource.id(),
        namespace: resource.namespace().to_owned(),
        original_namespace: resource.original_id().namespace,
        previous: resource.previous_ids().collect(),
        prefixes: resource.prefixes.clone(),
        suffixes: resource.suffixes.clone(),
    }
}

#[cfg(test)]
mod tests;
