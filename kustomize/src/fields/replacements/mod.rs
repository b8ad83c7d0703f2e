//! `replacements:` copies a value of one object into fields of others.

mod structured;
mod value;

use crate::budget::{Budget, MAX_DEPTH, depth, text_weight, weight};
use crate::error::{Error, Place, Problem};
use crate::field_path::FieldPath;
use crate::kustomization::{Field, Fields};
use crate::options::Limits;
use crate::patch::selector::Selector;
use crate::path::TreePath;
use crate::resource::{Id, Resource, ResourceList};
use crate::source::Source;
use crate::yaml::{self, Dialect, NodeKind};
use serde_json::Value;
use value::Copied;

/// One entry of `replacements:`.
#[derive(Debug)]
pub enum Entry {
    /// Written in the kustomization.
    Inline(Box<Replacement>),
    /// A file with one replacement, or a list of them.
    Path(crate::kustomization::Text),
}

/// A value to copy, and where to.
#[derive(Debug)]
pub struct Replacement {
    place: Place,
    source: Origin,
    targets: Vec<Target>,
}

/// Where the value comes from.
#[derive(Debug)]
enum Origin {
    Field {
        object: Reference,
        path: FieldPath,
        options: FieldOptions,
    },
    /// The value itself, in the kustomization.
    Literal(String),
}

/// The object that a source names; what is empty matches any.
#[derive(Debug)]
struct Reference {
    group: String,
    version: String,
    kind: String,
    name: String,
    namespace: String,
}

#[derive(Debug)]
struct Target {
    select: Selector,
    reject: Vec<Selector>,
    paths: Vec<FieldPath>,
    options: FieldOptions,
}

/// How a field is taken apart or made.
#[derive(Debug, Default)]
struct FieldOptions {
    delimiter: String,
    index: i64,
    create: bool,
}

const FIELDS: &[&str] = &["source", "sourceValue", "targets"];
const DEFAULT_PATH: &str = "metadata.name";

impl Entry {
    pub fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let known: Vec<&'static str> = FIELDS.iter().copied().chain(["path"]).collect();
        let fields = field.mapping(&known)?;
        match fields.text("path")? {
            None => Ok(Self::Inline(Box::new(Replacement::decode(field, &fields)?))),
            Some(_) if fields.get("source").is_some() || fields.get("targets").is_some() => {
                Err(field
                    .error(Problem::Invalid("`path` stands alone; remove it, or `source` and `targets`".to_owned())))
            }
            Some(path) => Ok(Self::Path(path)),
        }
    }

    /// Copies the values.
    pub fn apply(&self, source: Source<'_>, root: &TreePath, list: &mut ResourceList) -> Result<(), Error> {
        match self {
            Self::Inline(replacement) => replacement.apply(list, &source.options.limits),
            Self::Path(path) => {
                let file = source.required_file(root, &path.value, &path.place)?;
                let limits = &source.options.limits;
                from_file(source, &file)?.iter().try_for_each(|replacement| replacement.apply(list, limits))
            }
        }
    }
}

fn from_file(source: Source<'_>, file: &TreePath) -> Result<Vec<Replacement>, Error> {
    let node = yaml::single(&source.text(file)?, Dialect::Kustomization, &source.options.limits)
        .map_err(|(at, problem)| Error::new(Place::at(file, at), problem))?;
    // The reference reads such a file less strictly than a kustomization: whatever else it says is ignored.
    let root = Field::lenient(&node, file);
    let one = |field: &Field<'_>| Replacement::decode(field, &field.mapping(FIELDS)?);
    match node.kind {
        NodeKind::Sequence(_) => root.list(one),
        _ => Ok(vec![one(&root)?]),
    }
}

impl Replacement {
    fn decode(field: &Field<'_>, fields: &Fields<'_>) -> Result<Self, Error> {
        let incomplete = || field.error(Problem::Invalid("a replacement needs a `source` and `targets`".to_owned()));
        let literal = fields.get("sourceValue").map(|field| field.text()).transpose()?;
        let source = match (fields.get("source"), literal) {
            (Some(source), None) => Origin::decode(&source)?,
            (None, Some(text)) => Origin::Literal(text.value),
            _ => return Err(incomplete()),
        };
        let targets = fields.get("targets").ok_or_else(incomplete)?.list(Target::decode)?;
        if targets.is_empty() {
            return Err(incomplete());
        }
        Ok(Self { place: field.place(), source, targets })
    }

    fn apply(&self, list: &mut ResourceList, limits: &Limits) -> Result<(), Error> {
        let invalid = |why: String| Error::new(self.place.clone(), Problem::Invalid(why));
        let value = self.value(list)?;
        let budget = list.budget();
        for target in &self.targets {
            list.look(&self.place)?;
            let taken: Vec<usize> = (0..list.len()).filter(|at| target.takes(&list.as_slice()[*at])).collect();
            list.change(
                &taken,
                |_| true,
                |resource| {
                    let id = resource.id();
                    target
                        .write(&mut resource.value, &value, &budget, limits)
                        .map_err(|why| invalid(format!("{id}: {why}")))
                },
            )?;
        }
        Ok(())
    }

    fn value(&self, list: &ResourceList) -> Result<Copied, Error> {
        let (object, path, options) = match &self.source {
            Origin::Literal(text) => return Ok(Copied::literal(text)),
            Origin::Field { object, path, options } => (object, path, options),
        };
        list.look(&self.place)?;
        let mut found = list.iter().filter(|resource| object.means(resource));
        let Some(resource) = found.next() else {
            return Err(Error::new(self.place.clone(), Problem::NoMatch("the source of the replacement".to_owned())));
        };
        if let Some(other) = found.next() {
            let names = format!("{}, {}", resource.id(), other.id());
            return Err(Error::new(
                self.place.clone(),
                Problem::Ambiguous("the source of the replacement".to_owned(), names),
            ));
        }
        let value = read(resource, path, options);
        value.map_err(|why| Error::new(self.place.clone(), Problem::Invalid(format!("{}: {why}", resource.id()))))
    }
}

fn read(resource: &Resource, path: &FieldPath, options: &FieldOptions) -> Result<Copied, String> {
    let value = Copied::field(resource, path)?.ok_or_else(|| format!("the field `{}` is missing", path.as_str()))?;
    match options.delimiter.is_empty() {
        true => Ok(value),
        false => value.part(&options.delimiter, options.index),
    }
}

impl Origin {
    fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let fields = field.mapping(&["group", "version", "kind", "name", "namespace", "fieldPath", "options"])?;
        let object = Reference {
            group: fields.string("group")?,
            version: fields.string("version")?,
            kind: fields.string("kind")?,
            name: fields.string("name")?,
            namespace: fields.string("namespace")?,
        };
        let path = fields.text("fieldPath")?.map_or_else(|| DEFAULT_PATH.to_owned(), |text| text.value);
        let path = FieldPath::parse(&path).map_err(|why| field.error(Problem::Invalid(why)))?;
        Ok(Self::Field { object, path, options: FieldOptions::decode(&fields)? })
    }
}

impl Reference {
    fn means(&self, resource: &Resource) -> bool {
        // Most objects are called otherwise; that is seen without making an identity.
        if !self.name.is_empty() && !resource.is_or_was_named(&self.name) {
            return false;
        }
        self.selects(&resource.id()) || resource.previous_ids().any(|id| self.selects(&id))
    }

    fn selects(&self, id: &Id) -> bool {
        let fits = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        fits(&self.group, &id.gvk.group)
            && fits(&self.version, &id.gvk.version)
            && fits(&self.kind, &id.gvk.kind)
            && fits(&self.name, &id.name)
            && fits(&self.namespace, &id.namespace)
    }
}

impl Target {
    fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let fields = field.mapping(&["select", "reject", "fieldPaths", "options"])?;
        let Some(select) = fields.get("select") else {
            return Err(field.error(Problem::Invalid("a target needs `select`".to_owned())));
        };
        let mut paths = fields.list("fieldPaths", |path| {
            FieldPath::parse(&path.string()?).map_err(|why| path.error(Problem::Invalid(why)))
        })?;
        if paths.is_empty() {
            paths.push(FieldPath::parse(DEFAULT_PATH).map_err(|why| field.error(Problem::Invalid(why)))?);
        }
        Ok(Self {
            select: Selector::decode(&select)?,
            reject: fields.list("reject", Selector::decode)?,
            paths,
            options: FieldOptions::decode(&fields)?,
        })
    }

    fn takes(&self, resource: &Resource) -> bool {
        self.select.takes(resource) && !self.reject.iter().any(|reject| reject.rejects(resource))
    }

    fn write(&self, object: &mut Value, value: &Copied, budget: &Budget, limits: &Limits) -> Result<(), String> {
        let text = structured::Text { value, create: self.options.create, budget, limits };
        for path in &self.paths {
            let cost = match value {
                Copied::Tree(tree) if path.len() + depth(tree) > MAX_DEPTH => {
                    return Err(format!("the object would be nested deeper than {MAX_DEPTH} levels"));
                }
                Copied::Tree(tree) => weight(tree),
                Copied::Scalar { text, .. } => text_weight(text),
            };
            let mut set = |field: &mut Value| {
                budget.pay(1, cost)?;
                self.options.set(field, value)
            };
            let at_field = |why| format!("field `{}`: {why}", path.as_str());
            if text.visit(object, path, &mut set).map_err(at_field)? {
                continue;
            }
            let create = self.options.create.then(|| value.made());
            let count = path.visit(object, create.as_ref(), &mut set).map_err(at_field)?;
            if count == 0 {
                return Err(format!("the field `{}` is missing; `options: {{create: true}}` makes it", path.as_str()));
            }
        }
        Ok(())
    }
}

impl FieldOptions {
    fn decode(fields: &Fields<'_>) -> Result<Self, Error> {
        let Some(field) = fields.get("options") else { return Ok(Self::default()) };
        let fields = field.mapping(&["delimiter", "index", "encoding", "create"])?;
        Ok(Self {
            delimiter: fields.string("delimiter")?,
            index: fields.get("index").map_or(Ok(0), |index| index.integer())?,
            create: fields.boolean("create")?,
        })
    }

    /// Writes a value into a field. A scalar keeps its type and only takes the text.
    fn set(&self, field: &mut Value, value: &Copied) -> Result<(), String> {
        if !field.is_object() && !field.is_array() {
            return value.fill(field, |old, part| self.joined(old, part));
        }
        if !self.delimiter.is_empty() {
            return Err("only a scalar can be split at a delimiter".to_owned());
        }
        *field = value.whole()?;
        Ok(())
    }

    /// The field's text with one part replaced, or the new part in front or behind.
    fn joined(&self, old: &str, part: &str) -> String {
        if self.delimiter.is_empty() {
            return part.to_owned();
        }
        let mut parts: Vec<&str> = old.split(&self.delimiter).collect();
        match usize::try_from(self.index) {
            Err(_) => parts.insert(0, part),
            Ok(at) if at < parts.len() => parts[at] = part,
            Ok(_) => parts.push(part),
        }
        parts.join(&self.delimiter)
    }
}
