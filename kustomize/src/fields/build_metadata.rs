//! `buildMetadata:` writes into each object who manages it, where it came from, and what changed it.

use crate::budget::text_weight;
use crate::error::Error;
use crate::kustomization::Fields;
use crate::path::TreePath;
use crate::resource::{Resource, ResourceList};
use crate::yaml;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Which metadata the root kustomization asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuildMetadata {
    pub managed_by_label: bool,
    pub origins: bool,
    pub transformations: bool,
}

/// The built-in plugin that made or changed an object.
#[derive(Clone, Debug)]
pub struct Plugin {
    kind: String,
    /// Empty where a field of a kustomization stands for the plugin.
    name: String,
    namespace: String,
}

const ORIGIN: &str = "config.kubernetes.io/origin";
const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";

impl BuildMetadata {
    /// Words that the reference does not know mean nothing there, and nothing here.
    pub fn decode(fields: &Fields<'_>) -> Result<Self, Error> {
        let words = fields.texts("buildMetadata")?;
        let has = |word: &str| words.iter().any(|text| text.value == word);
        Ok(Self {
            managed_by_label: has("managedByLabel"),
            origins: has("originAnnotations"),
            transformations: has("transformerAnnotations"),
        })
    }

    /// Writes the annotations; paths are relative to the rendered directory.
    pub fn annotate(self, resource: &mut Resource, root: &TreePath) {
        let file = &resource.place.file;
        let origin = match &resource.made_by {
            None => format!("path: {}\n{}", relative(root, file), repository(file)),
            Some(plugin) => plugin.configured_in(root, file),
        };
        let changes = resource.changed_by.concat();
        let annotations = [(ORIGIN, origin, self.origins), (TRANSFORMATIONS, changes, self.transformations)];
        for (key, text, _) in annotations.into_iter().filter(|(_, text, wanted)| *wanted && !text.is_empty()) {
            let Some(metadata) = resource.metadata_mut() else { continue };
            let pairs = metadata.entry("annotations").or_insert(Value::Null);
            if pairs.is_null() {
                *pairs = Value::Object(Map::new());
            }
            if let Some(pairs) = pairs.as_object_mut() {
                pairs.insert(key.to_owned(), Value::String(text));
            }
        }
    }
}

impl Plugin {
    /// A plugin that a field of a kustomization stands for.
    pub fn of_field(kind: &str) -> Self {
        Self { kind: kind.to_owned(), name: String::new(), namespace: String::new() }
    }

    /// A plugin that an object configures.
    pub fn of_config(config: &Resource) -> Self {
        Self {
            kind: config.kind().to_owned(),
            name: config.name().to_owned(),
            namespace: config.namespace().to_owned(),
        }
    }

    fn configured_in(&self, root: &TreePath, file: &TreePath) -> String {
        let (repository, file) = (repository(file), relative(root, file));
        let mut text =
            format!("{repository}configuredIn: {file}\nconfiguredBy:\n  apiVersion: builtin\n  kind: {}\n", self.kind);
        for (field, value) in [("name", &self.name), ("namespace", &self.namespace)] {
            if !value.is_empty() {
                text.push_str(&format!("  {field}: {value}\n"));
            }
        }
        text
    }

    /// Notes in every object that this plugin, configured in a file, has run over it.
    pub fn note(&self, list: &mut ResourceList, root: &TreePath, file: &TreePath) -> Result<(), Error> {
        let text = self.configured_in(root, file);
        let item: String = text
            .lines()
            .enumerate()
            .map(|(at, line)| format!("{}{line}\n", if at == 0 { "- " } else { "  " }))
            .collect();
        let item: Arc<str> = item.into();
        list.pay_for_all(text_weight(&item))?;
        for resource in list.items_mut() {
            resource.changed_by.push(Arc::clone(&item));
        }
        Ok(())
    }
}

/// The lines that name the repository of a file that was fetched.
fn repository(file: &TreePath) -> String {
    let Some(tree) = file.tree() else { return String::new() };
    let lines = [("repo", &tree.url), ("ref", &tree.reference)];
    let lines = lines.into_iter().filter(|(_, text)| !text.is_empty());
    // A ref such as `1.0` is quoted.
    lines.map(|(key, text)| yaml::emit(&serde_json::json!({ key: text }))).collect()
}

/// The way from a directory to a file, which for a file of another repository begins at that one's root.
fn relative(directory: &TreePath, file: &TreePath) -> String {
    if directory.tree() != file.tree() {
        return file.as_str().to_owned();
    }
    let (from, to): (Vec<&str>, Vec<&str>) = (directory.parts().collect(), file.parts().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let steps = std::iter::repeat_n("..", from.len() - shared).chain(to[shared..].iter().copied());
    steps.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_from_the_rendered_directory() {
        let way = |from: &str, to: &str| {
            let path = |text| TreePath::parse(text).expect("inside");
            relative(&path(from), &path(to))
        };
        assert_eq!(way("a/b", "a/c/d.yaml"), "../c/d.yaml");
        assert_eq!(way("a", "a/d.yaml"), "d.yaml");
        assert_eq!(way("", "a/d.yaml"), "a/d.yaml");
    }
}
