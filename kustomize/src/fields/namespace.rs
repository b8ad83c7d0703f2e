//! `namespace:` moves every object into a namespace, renames `Namespace` objects, and lets role
//! bindings follow.

use crate::budget::text_weight;
use crate::error::{Error, Problem};
use crate::field_spec::{self, Create, FieldSpec};
use crate::patch::Types;
use crate::resource::{Resource, ResourceList};
use serde_json::Value;

/// A move of objects into a namespace.
#[derive(Debug)]
pub struct Move {
    pub namespace: String,
    pub specs: Vec<FieldSpec>,
    /// Only objects without a namespace move.
    pub unset_only: bool,
    pub subjects: Subjects,
}

/// Which subjects of role bindings move, besides those that follow an account by reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subjects {
    /// Those named `default`, which is the namespace's own account.
    Default,
    ServiceAccounts,
    None,
}

impl Move {
    /// What the field `namespace:` does.
    pub fn to(namespace: &str, specs: Vec<FieldSpec>) -> Self {
        Self { namespace: namespace.to_owned(), specs, unset_only: false, subjects: Subjects::Default }
    }

    /// Moves all objects.
    pub fn apply(&self, list: &mut ResourceList, types: &Types) -> Result<(), Error> {
        if self.namespace.is_empty() {
            return Ok(());
        }
        list.pay_for_all(text_weight(&self.namespace) * (1 + self.specs.len() / 8))?;
        // What helm made is in the namespace that helm was told.
        for resource in list.items_mut().iter_mut().filter(|resource| !resource.from_helm) {
            resource.remember();
            self.one(resource, types).map_err(|why| Error::new(resource.place.clone(), Problem::Invalid(why)))?;
        }
        list.check_unique()
    }

    /// Moves one object, without keeping its identity.
    pub fn one(&self, resource: &mut Resource, types: &Types) -> Result<(), String> {
        let gvk = resource.gvk();
        let mut set = |value: &mut Value| self.set(value);
        if !types.is_cluster_scoped(&gvk) {
            let spec = FieldSpec::any("metadata/namespace", true);
            field_spec::apply(&mut resource.value, &gvk, &spec, Create::Scalar, &mut set)?;
        }
        let is_binding = matches!(gvk.kind.as_str(), "RoleBinding" | "ClusterRoleBinding");
        if is_binding {
            self.move_subjects(&mut resource.value)?;
        }
        let is_core = gvk.group.is_empty() && gvk.version == "v1";
        for spec in &self.specs {
            let skipped = match spec.path.as_ref() {
                "metadata/namespace" => true,
                "metadata/name" => !is_core,
                "subjects/namespace" => {
                    is_binding && matches!(spec.kind.as_ref(), "RoleBinding" | "ClusterRoleBinding")
                }
                _ => false,
            };
            if !skipped {
                field_spec::apply(&mut resource.value, &gvk, spec, Create::Scalar, &mut set)?;
            }
        }
        Ok(())
    }

    fn set(&self, value: &mut Value) -> Result<(), String> {
        match value {
            Value::Object(_) | Value::Array(_) => Err("a namespace must be a string".to_owned()),
            Value::String(text) if self.unset_only && !text.is_empty() => Ok(()),
            _ => {
                *value = Value::String(self.namespace.clone());
                Ok(())
            }
        }
    }

    fn move_subjects(&self, object: &mut Value) -> Result<(), String> {
        let (key, wanted) = match self.subjects {
            Subjects::None => return Ok(()),
            Subjects::Default => ("name", "default"),
            Subjects::ServiceAccounts => ("kind", "ServiceAccount"),
        };
        let Some(subjects) = object.get_mut("subjects").and_then(Value::as_array_mut) else { return Ok(()) };
        for subject in subjects.iter_mut().filter_map(Value::as_object_mut) {
            if subject.get(key).and_then(Value::as_str) == Some(wanted) {
                self.set(subject.entry("namespace").or_insert(Value::Null))?;
            }
        }
        Ok(())
    }
}
