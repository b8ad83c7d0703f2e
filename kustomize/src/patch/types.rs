//! The types that strategic merge knows in one rendering: the built-in ones, and those of the
//! OpenAPI document that a kustomization may choose with `openapi:`.
//!
//! As in the reference there is one choice for a whole rendering: that of the rendered
//! kustomization, or else the first one met on the way, in force from there on. A document takes
//! the place of the built-in types, but for those that were in use before it was met.

use super::definition_names;
use super::merge_keys::KINDS;
use super::schema::Form;
use crate::resource::Gvk;
use serde_json::{Map, Value};
use std::cell::{Cell, OnceCell};
use std::collections::{HashMap, HashSet};

/// How many references may lead to one another.
const MAX_REFERENCES: usize = 32;

/// The types of a rendering; empty documents know none, no document means the built-in types.
#[derive(Debug, Default)]
pub struct Types {
    chosen: OnceCell<Option<Document>>,
    /// Whether an object was met whose kind is not built in.
    met_unknown: Cell<bool>,
    /// Whether something was merged already.
    used: Cell<bool>,
}

/// The definitions of an OpenAPI document.
#[derive(Debug)]
struct Document {
    definitions: Map<String, Value>,
    /// apiVersion and kind to the name of a definition.
    kinds: HashMap<(String, String), String>,
    built_in: BuiltIn,
    /// The kinds that its `paths` show outside of namespaces only.
    cluster_scoped: HashSet<(String, String)>,
}

/// What is left of the built-in types beside a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BuiltIn {
    Absent,
    /// They are there, but the document's win.
    Under,
    /// They win over the document's.
    Over,
}

impl Types {
    /// Whether a kustomization has chosen already.
    pub fn is_chosen(&self) -> bool {
        self.chosen.get().is_some()
    }

    /// Chooses the built-in types.
    pub fn choose_built_in(&self) {
        let _ = self.chosen.set(None);
    }

    /// Chooses an OpenAPI document. Errors say what does not fit.
    pub fn choose(&self, document: Value) -> Result<(), String> {
        let Value::Object(mut document) = document else {
            return Err("an OpenAPI document is a mapping with `definitions`".to_owned());
        };
        let definitions = match document.remove("definitions") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(definitions)) => definitions,
            Some(_) => return Err("`definitions` must be a mapping".to_owned()),
        };
        let built_in = match (self.used.get(), self.met_unknown.get()) {
            (true, _) => BuiltIn::Under,
            (false, true) => BuiltIn::Over,
            (false, false) => BuiltIn::Absent,
        };
        let kinds = kinds(&definitions)?;
        let cluster_scoped = cluster_scoped(document.get("paths"));
        let _ = self.chosen.set(Some(Document { definitions, kinds, built_in, cluster_scoped }));
        Ok(())
    }

    /// Whether the objects of a type have no namespace, as far as is known.
    pub fn is_cluster_scoped(&self, gvk: &Gvk) -> bool {
        let said = || {
            let Some(Some(document)) = self.chosen.get() else { return false };
            let key = (gvk.api_version(), gvk.kind.clone());
            // Nothing is learned about kinds that everybody knows.
            document.cluster_scoped.contains(&key) && built_in_kind(&key.0, &key.1).is_none()
        };
        gvk.is_cluster_scoped() || said()
    }

    /// Notes that an object of this type was read.
    pub fn meet(&self, gvk: &Gvk) {
        let noted = self.met_unknown.get() || self.is_chosen();
        if !noted && built_in_kind(&gvk.api_version(), &gvk.kind).is_none() && !gvk.is_cluster_scoped() {
            self.met_unknown.set(true);
        }
    }

    /// Notes that something is merged.
    pub fn use_now(&self) {
        self.used.set(true);
    }

    /// The type of the objects of a kind.
    pub fn of_kind(&self, api_version: &str, kind: &str) -> Form<'_> {
        if kind.is_empty() || api_version.is_empty() {
            return Form::Unknown;
        }
        let built_in = || built_in_kind(api_version, kind).map(Form::of_definition);
        self.either(built_in, |document| {
            let name = document.kinds.get(&(api_version.to_owned(), kind.to_owned()))?;
            document.definitions.get(name).map(Form::Custom)
        })
    }

    /// The type that a reference such as `#/definitions/NAME` leads to.
    fn definition(&self, reference: &str) -> Form<'_> {
        let Some(path) = reference.strip_prefix("#/definitions/") else { return Form::Unknown };
        let built_in = || definition_names::definition(path).map(Form::of_definition);
        self.either(built_in, |document| {
            let (name, inner) = path.split_once('/').map_or((path, None), |(name, inner)| (name, Some(inner)));
            let definition = document.definitions.get(&name.replace("~1", "/").replace("~0", "~"))?;
            inner.map_or(Some(definition), |inner| definition.pointer(&format!("/{inner}"))).map(Form::Custom)
        })
    }

    fn either<'s>(
        &'s self,
        built_in: impl Fn() -> Option<Form<'s>>,
        custom: impl Fn(&'s Document) -> Option<Form<'s>>,
    ) -> Form<'s> {
        let found = match self.chosen.get() {
            None | Some(None) => built_in(),
            Some(Some(document)) => match document.built_in {
                BuiltIn::Absent => custom(document),
                BuiltIn::Under => custom(document).or_else(built_in),
                BuiltIn::Over => built_in().or_else(|| custom(document)),
            },
        };
        found.unwrap_or(Form::Unknown)
    }

    /// A type with its references followed; unknown if one leads nowhere or in a circle.
    pub fn resolved<'s>(&'s self, mut form: Form<'s>) -> Form<'s> {
        for _ in 0..MAX_REFERENCES {
            let Form::Custom(schema) = form else { return form };
            match schema.get("$ref").and_then(Value::as_str).filter(|reference| !reference.is_empty()) {
                None => return form,
                Some(reference) => form = self.definition(reference),
            }
        }
        Form::Unknown
    }
}

fn built_in_kind(api_version: &str, kind: &str) -> Option<u16> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let at = KINDS.binary_search_by(|row| (row.0, row.1, row.2).cmp(&(group, version, kind))).ok()?;
    Some(KINDS[at].3)
}

/// The kinds that can be got, but at no path with a namespace in it.
fn cluster_scoped(paths: Option<&Value>) -> HashSet<(String, String)> {
    let (mut outside, mut inside) = (HashSet::new(), HashSet::new());
    for (path, item) in paths.and_then(Value::as_object).into_iter().flatten() {
        let row = item.get("get").and_then(|get| get.get("x-kubernetes-group-version-kind"));
        let Some(kind) = row.and_then(type_of) else { continue };
        if path.contains("namespaces/{namespace}") {
            inside.insert(kind)
        } else {
            outside.insert(kind)
        };
    }
    outside.retain(|kind| !inside.contains(kind));
    outside
}

/// The apiVersion and kind of a `x-kubernetes-group-version-kind`.
fn type_of(row: &Value) -> Option<(String, String)> {
    let text = |key: &str| row.get(key).and_then(Value::as_str);
    let (version, kind) = (text("version")?, text("kind")?);
    let api_version = match text("group").unwrap_or_default() {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    };
    Some((api_version, kind.to_owned()))
}

/// Which kinds the definitions describe.
fn kinds(definitions: &Map<String, Value>) -> Result<HashMap<(String, String), String>, String> {
    let mut kinds = HashMap::new();
    for (name, definition) in definitions {
        if !definition.is_object() {
            return Err(format!("the definition `{name}` must be a mapping"));
        }
        let rows = definition.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
        for row in rows.into_iter().flatten().filter(|row| row.is_object()) {
            let lacking = || format!("a group-version-kind of `{name}` lacks its `version` or `kind`, as text");
            kinds.insert(type_of(row).ok_or_else(lacking)?, name.clone());
        }
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::Schema;
    use serde_json::json;

    fn document() -> Value {
        json!({"definitions": {
            "Queue": {
                "properties": {"spec": {"$ref": "#/definitions/a~1Spec"}, "self": {"$ref": "#/definitions/Loop"}},
                "x-kubernetes-group-version-kind": [{"group": "e.com", "version": "v1", "kind": "Queue"}],
            },
            "a/Spec": {"additionalProperties": {
                "type": "array", "items": {"type": "object"},
                "x-kubernetes-patch-strategy": "merge,retainKeys", "x-kubernetes-patch-merge-key": "id",
            }},
            "Loop": {"$ref": "#/definitions/Loop"},
        }})
    }

    fn schema<'s>(types: &'s Types, api_version: &str, kind: &str) -> Schema<'s> {
        Schema::new(types, [None, None]).or_named_by([Some(&json!({"apiVersion": api_version, "kind": kind})), None])
    }

    #[test]
    fn a_document_takes_the_place_of_the_built_in_types() {
        let types = Types::default();
        types.choose(document()).expect("fits");
        let spec = schema(&types, "e.com/v1", "Queue").field("spec");
        assert_eq!(spec.field("anything").keys(), Some(vec!["id"]));
        assert_eq!(schema(&types, "e.com/v1", "Queue").field("self").field("spec").keys(), None);
        let pod = schema(&types, "v1", "Pod").field("spec");
        assert_eq!(pod.field("containers").keys(), None);
    }

    #[test]
    fn types_that_were_in_use_before_a_document_stay() {
        let types = Types::default();
        types.use_now();
        types.choose(document()).expect("fits");
        assert_eq!(schema(&types, "v1", "Pod").field("spec").field("containers").keys(), Some(vec!["name"]));
        assert_eq!(schema(&types, "e.com/v1", "Queue").field("spec").field("x").keys(), Some(vec!["id"]));
    }

    #[test]
    fn only_unknown_kinds_bring_the_built_in_types_along() {
        for (api_version, stay) in [("v1", false), ("e.com/v1", true)] {
            let types = Types::default();
            types.meet(&Gvk::new(api_version, "Pod"));
            types.choose(document()).expect("fits");
            assert_eq!(schema(&types, "v1", "Pod").field("spec").field("containers").keys().is_some(), stay);
        }
    }

    #[test]
    fn the_first_choice_stays() {
        let types = Types::default();
        types.choose_built_in();
        types.choose(document()).expect("fits");
        assert_eq!(schema(&types, "e.com/v1", "Queue").field("spec").field("x").keys(), None);
    }

    #[test]
    fn what_is_no_document_is_said() {
        for (value, why) in [
            (json!([]), "is a mapping"),
            (json!({"definitions": []}), "`definitions` must be"),
            (json!({"definitions": {"A": 1}}), "`A` must be"),
            (json!({"definitions": {"A": {"x-kubernetes-group-version-kind": [{"kind": "K"}]}}}), "`version`"),
        ] {
            let message = Types::default().choose(value).expect_err("does not fit");
            assert!(message.contains(why), "{message}");
        }
    }
}
