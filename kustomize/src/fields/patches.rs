//! `patches:` and its older spellings `patchesStrategicMerge:` and `patchesJson6902:`.

use crate::budget::{Budget, weight};
use crate::error::{Error, Place, Position, Problem};
use crate::kustomization::{Field, Text};
use crate::patch::json6902::{self, Operation};
use crate::patch::rounding;
use crate::patch::selector::Selector;
use crate::patch::{Schema, Types, strategic_merge};
use crate::path::TreePath;
use crate::resource::{self, Resource, ResourceList};
use crate::source::Source;
use crate::yaml::{self, Dialect, NodeKind, Spelling};
use serde_json::{Map, Value};

/// One entry of `patches:` or `patchesJson6902:`.
#[derive(Debug)]
pub struct Patch {
    place: Place,
    content: Content,
    target: Option<Selector>,
    allow_name_change: bool,
    allow_kind_change: bool,
    /// Whether a patch of nothing but comments is an error.
    must_say_something: bool,
}

#[derive(Debug)]
enum Content {
    Path(Text),
    Inline(Text),
}

/// A patch that is read and understood.
enum Loaded {
    StrategicMerge(Vec<Resource>),
    Json(Vec<Operation>),
    /// Nothing but comments.
    Empty,
}

impl Patch {
    pub const FIELDS: &[&str] = &["path", "patch", "target", "options"];

    pub fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let fields = field.mapping(Self::FIELDS)?;
        let content = match (fields.text("path")?, fields.text("patch")?.filter(|text| !text.value.trim().is_empty())) {
            (Some(path), None) => Content::Path(path),
            (None, Some(patch)) => Content::Inline(patch),
            (None, None) => return Err(field.error(Problem::Patch("a patch needs `path` or `patch`".to_owned()))),
            (Some(_), Some(_)) => {
                return Err(field.error(Problem::Patch("`path` and `patch` exclude each other; remove one".to_owned())));
            }
        };
        let options = fields.get("options");
        let options = options.map(|field| field.mapping(&["allowNameChange", "allowKindChange"])).transpose()?;
        let option = |name: &str| options.as_ref().map_or(Ok(false), |options| options.boolean(name));
        Ok(Self {
            place: field.place(),
            content,
            target: fields.get("target").map(|target| Selector::decode(&target)).transpose()?,
            allow_name_change: option("allowNameChange")?,
            allow_kind_change: option("allowKindChange")?,
            must_say_something: false,
        })
    }

    /// The settings of a `PatchTransformer`.
    pub fn decode_plugin(field: &Field<'_>) -> Result<Self, Error> {
        Ok(Self { must_say_something: true, ..Self::decode(field)? })
    }

    /// The settings of a `PatchJson6902Transformer`.
    pub fn decode_json6902(field: &Field<'_>) -> Result<Self, Error> {
        let fields = field.mapping(&["target", "path", "jsonOp"])?;
        let content = match (fields.text("path")?, fields.text("jsonOp")?) {
            (Some(path), None) => Content::Path(path),
            (None, Some(patch)) => Content::Inline(patch),
            _ => return Err(field.error(Problem::Patch("either `path` or `jsonOp` is needed".to_owned()))),
        };
        let target = fields.get("target").map(|target| Selector::decode(&target)).transpose()?;
        Ok(Self {
            place: field.place(),
            content,
            target,
            allow_name_change: false,
            allow_kind_change: false,
            must_say_something: true,
        })
    }

    /// Applies an entry of `patches:`, of whichever kind it is.
    pub fn apply(&self, source: Source<'_>, root: &TreePath, list: &mut ResourceList) -> Result<(), Error> {
        let (text, place) = self.read(source, root)?;
        match load(&text, &place, source)? {
            Loaded::Empty if self.must_say_something => {
                Err(Error::new(place, Problem::Patch("the patch is empty".to_owned())))
            }
            Loaded::Empty => Ok(()),
            Loaded::Json(operations) => self.apply_json(&operations, &place, list),
            Loaded::StrategicMerge(patches) => self.apply_merge(patches, &place, source.types, list),
        }
    }

    /// Applies an entry of `patchesJson6902:`, which is always a JSON patch.
    pub fn apply_json6902(&self, source: Source<'_>, root: &TreePath, list: &mut ResourceList) -> Result<(), Error> {
        if !self.target.as_ref().is_some_and(Selector::has_name) {
            let why = "the target needs a `name`; for one without, move the patch to `patches`";
            return Err(Error::new(self.place.clone(), Problem::Patch(why.to_owned())));
        }
        let (text, place) = self.read(source, root)?;
        let operations = operations(&text, source).map_err(|failure| located(&place, failure))?;
        match operations.is_empty() {
            true => Err(Error::new(place, Problem::Patch("the patch has no operations".to_owned()))),
            false => self.apply_json(&operations, &place, list),
        }
    }

    fn read(&self, source: Source<'_>, root: &TreePath) -> Result<(String, Place), Error> {
        match &self.content {
            Content::Inline(text) => Ok((text.value.trim().to_owned(), text.place.clone())),
            Content::Path(text) => {
                let file = source.required_file(root, &text.value, &text.place)?;
                Ok((source.text(&file)?, Place::of(&file)))
            }
        }
    }

    fn apply_json(&self, operations: &[Operation], place: &Place, list: &mut ResourceList) -> Result<(), Error> {
        let Some(target) = &self.target else {
            return Err(Error::new(self.place.clone(), Problem::Patch("a JSON patch needs a `target`".to_owned())));
        };
        let budget = list.budget();
        let selected = selected(target, list, place)?;
        list.change(
            &selected,
            |value| !value.is_null(),
            |resource| {
                resource.remember_paid(&budget).map_err(|why| Error::new(place.clone(), Problem::Patch(why)))?;
                resource.fill_blanks();
                resource.valueless.clear();
                resource.spellings.clear();
                let result = with_annotations(&mut resource.value, |value| json6902::apply(value, operations, &budget));
                result.map_err(|(at, why)| located(place, (at, format!("{}: {why}", resource.id()))))?;
                rounding::round(&mut resource.value);
                Ok(())
            },
        )
    }

    fn apply_merge(
        &self,
        mut patches: Vec<Resource>,
        place: &Place,
        types: &Types,
        list: &mut ResourceList,
    ) -> Result<(), Error> {
        let Some(target) = &self.target else {
            return patches.into_iter().try_for_each(|patch| self.apply_to_named(&patch, types, list));
        };
        let (Some(patch), true) = (patches.pop(), patches.is_empty()) else {
            let why = "several strategic merge patches in one entry cannot share a `target`; make one entry for each";
            return Err(Error::new(place.clone(), Problem::Patch(why.to_owned())));
        };
        let selected = selected(target, list, place)?;
        let paid = list.budget().pay(selected.len(), weight(&patch.value));
        paid.map_err(|why| Error::new(place.clone(), Problem::Patch(why)))?;
        let budget = list.budget();
        list.change(&selected, is_there, |resource| {
            let mut patch = patch.clone();
            metadata_as_text(&mut patch);
            if let (Some(object), Some(version)) = (patch.value.as_object_mut(), resource.value.get("apiVersion")) {
                object.insert("apiVersion".to_owned(), version.clone());
            }
            self.merge(resource, patch, types, &budget)
        })
    }

    /// Applies a patch to the one object that it names.
    fn apply_to_named(&self, patch: &Resource, types: &Types, list: &mut ResourceList) -> Result<(), Error> {
        let (at, budget) = (named(patch, list)?, list.budget());
        list.change(&[at], is_there, |resource| self.merge(resource, patch.clone(), types, &budget))
    }

    fn merge(&self, resource: &mut Resource, patch: Resource, types: &Types, budget: &Budget) -> Result<(), Error> {
        if self.allow_name_change || self.allow_kind_change {
            resource.remember_paid(budget).map_err(|why| Error::new(patch.place.clone(), Problem::Patch(why)))?;
        }
        let keep = Keep { name: !self.allow_name_change, kind: !self.allow_kind_change };
        merge(resource, patch, keep, types, budget)
    }
}

/// Applies the entries of `patchesStrategicMerge:`, each a path or a patch in place.
pub fn apply_strategic_merge(
    entries: &[Text],
    source: Source<'_>,
    root: &TreePath,
    list: &mut ResourceList,
) -> Result<(), Error> {
    let mut patches = Vec::new();
    for entry in entries {
        let limits = &source.options.limits;
        match resource::patches(&entry.value, &entry.place, limits) {
            Ok(inline) => patches.extend(inline),
            Err(_) => {
                let file = source.required_file(root, &entry.value, &entry.place)?;
                patches.extend(resource::patches(&source.text(&file)?, &Place::of(&file), limits)?);
            }
        }
    }
    if let (Some(first), true) = (entries.first(), patches.is_empty()) {
        return Err(Error::new(first.place.clone(), Problem::Patch("the patches are empty".to_owned())));
    }
    for mut patch in patches {
        let (at, budget) = (named(&patch, list)?, list.budget());
        metadata_as_text(&mut patch);
        let keep = Keep { name: true, kind: true };
        list.change(&[at], is_there, |resource| merge(resource, patch.clone(), keep, source.types, &budget))?;
    }
    Ok(())
}

/// The indices of the objects that a target means.
fn selected(target: &Selector, list: &ResourceList, place: &Place) -> Result<Vec<usize>, Error> {
    list.look(place)?;
    Ok((0..list.len()).filter(|at| target.matches(&list.as_slice()[*at])).collect())
}

/// The index of the one object that a patch names, by any of the names it has had.
fn named(patch: &Resource, list: &ResourceList) -> Result<usize, Error> {
    list.look(&patch.place)?;
    let id = patch.id();
    let found: Vec<usize> = (0..list.len()).filter(|at| list.as_slice()[*at].is_or_was(&id)).collect();
    match found.as_slice() {
        [at] => Ok(*at),
        [] => Err(Error::new(patch.place.clone(), Problem::NoMatch(format!("the patch for {id}")))),
        several => {
            let names: Vec<String> = several.iter().map(|at| list.as_slice()[*at].id().to_string()).collect();
            Err(Error::new(patch.place.clone(), Problem::Ambiguous(format!("the patch for {id}"), names.join(", "))))
        }
    }
}

/// What a patch may not change, unless it says so.
#[derive(Clone, Copy)]
struct Keep {
    name: bool,
    kind: bool,
}

/// Makes strings of all labels and annotations of a patch, its nulls too, which then delete
/// nothing: so the reference does where a patch has a target.
fn metadata_as_text(patch: &mut Resource) {
    let texts = ["labels", "annotations"].map(|field| (field, patch.texts(&format!("/metadata/{field}"))));
    let Some(metadata) = patch.metadata_mut() else { return };
    for (field, pairs) in texts {
        match pairs.is_empty() {
            true => metadata.remove(field),
            false => metadata.insert(field.to_owned(), serde_json::json!(pairs)),
        };
    }
}

/// What became text in the merge is written as the patch has it: `"1.0"`, not `"1"`.
fn spell(merged: &mut Value, spellings: &[Spelling]) {
    for Spelling { pointer, value, text } in spellings {
        let read = value.to_string();
        match merged.pointer_mut(pointer) {
            Some(Value::String(merged)) if *merged == read && !value.is_string() => merged.clone_from(text),
            _ => {}
        }
    }
}

/// Merges a patch into an object; one that the patch deletes becomes null.
fn merge(resource: &mut Resource, patch: Resource, keep: Keep, types: &Types, budget: &Budget) -> Result<(), Error> {
    let (name, namespace, kind) =
        (resource.name().to_owned(), resource.namespace().to_owned(), resource.kind().to_owned());
    let (id, place) = (resource.id(), patch.place.clone());
    if patch.value.get("$patch").is_some_and(|directive| directive == "replace") {
        // The reference makes a new object of the patch, and then goes on with the old one.
        return Ok(());
    }
    types.use_now();
    let schema = Schema::new(types, [resource.comments.as_deref(), patch.comments.as_deref()]);
    let valueless = std::mem::take(&mut resource.valueless);
    let own_spellings = resource.spellings.len();
    resource.spellings.extend(patch.spellings);
    let before = weight(&resource.value);
    let merged = strategic_merge::merge(resource.value.take(), patch.value, &valueless, schema);
    let merged = merged.map_err(|why| Error::new(place.clone(), Problem::Patch(format!("{id}: {why}"))))?;
    // Elements that lack the keys of their list are doubled by every merge, as in the reference.
    let grown = merged.as_ref().map_or(0, weight).saturating_sub(before);
    budget.pay(1, grown).map_err(|why| Error::new(place, Problem::Patch(format!("{id}: {why}"))))?;
    if let Some(comments) = &patch.comments {
        resource.comments.get_or_insert_default().add(comments);
    }
    let Some(mut merged @ Value::Object(_)) = merged else { return Ok(()) };
    spell(&mut merged, &resource.spellings[own_spellings..]);
    resource.value = merged;
    if keep.kind
        && let Some(object) = resource.value.as_object_mut()
    {
        object.insert("kind".to_owned(), Value::String(kind));
    }
    if keep.name {
        resource.set_name(name);
    }
    resource.set_namespace(&namespace);
    Ok(())
}

/// Whether a patch has left something of an object.
fn is_there(value: &Value) -> bool {
    value.as_object().is_some_and(|object| !object.is_empty())
}

/// Runs with `metadata.annotations` in place, which the reference's own bookkeeping always makes.
fn with_annotations(
    value: &mut Value,
    run: impl FnOnce(&mut Value) -> Result<(), json6902::Failure>,
) -> Result<(), json6902::Failure> {
    let added = value.get_mut("metadata").and_then(Value::as_object_mut).is_some_and(|metadata| {
        match metadata.get("annotations") {
            None | Some(Value::Null) => {
                metadata.insert("annotations".to_owned(), Value::Object(Map::new()));
                true
            }
            Some(_) => false,
        }
    });
    run(value)?;
    if added && let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        let is_empty = metadata.get("annotations").and_then(Value::as_object).is_some_and(Map::is_empty);
        if is_empty {
            metadata.remove("annotations");
        }
    }
    Ok(())
}

/// Tells the kinds of patches apart by what they parse as.
fn load(text: &str, place: &Place, source: Source<'_>) -> Result<Loaded, Error> {
    let merge = resource::patches(text, place, &source.options.limits);
    let json = operations(text, source);
    match (merge, json) {
        (Ok(patches), Ok(operations)) if patches.is_empty() && operations.is_empty() => Ok(Loaded::Empty),
        // What begins with an empty document is no list of operations.
        (Ok(patches), Ok(operations)) if operations.is_empty() => Ok(Loaded::StrategicMerge(patches)),
        (Ok(_), Ok(_)) => Err(Error::new(
            place.clone(),
            Problem::Patch("this reads as a strategic merge patch and as a JSON patch".to_owned()),
        )),
        (Ok(patches), Err(_)) => Ok(Loaded::StrategicMerge(patches)),
        (Err(_), Ok(operations)) => Ok(Loaded::Json(operations)),
        // A list is a failed JSON patch; anything else a failed strategic merge patch.
        (Err(_), Err(why)) if text.trim_start().starts_with(['[', '-']) && !text.starts_with("---") => {
            Err(located(place, why))
        }
        (Err(error), Err(_)) => Err(error),
    }
}

/// The operations of a JSON patch; none for an empty text. What begins as a JSON list must be JSON.
fn operations(text: &str, source: Source<'_>) -> Result<Vec<Operation>, json6902::Failure> {
    if text.starts_with('[') {
        serde_json::from_str::<Value>(text).map_err(|why| (Position::default(), format!("not valid JSON: {why}")))?;
    }
    let node = yaml::single(text, Dialect::Kustomization, &source.options.limits)
        .map_err(|(at, problem)| (at, problem.to_string()))?;
    match node.kind {
        NodeKind::Null { .. } => Ok(Vec::new()),
        _ => json6902::parse(node),
    }
}

/// An error at a position of a patch file, or at the field that holds the patch.
fn located(place: &Place, (at, why): json6902::Failure) -> Error {
    let place = if place.field.is_empty() { Place::at(&place.file, at) } else { place.clone() };
    Error::new(place, Problem::Patch(why))
}
