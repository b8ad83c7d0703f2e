//! `vars:` puts the value of an object's field wherever `$(NAME)` stands in certain fields.

use crate::budget::{Budget, text_weight, weight};
use crate::error::{Error, Place, Problem};
use crate::field_path::FieldPath;
use crate::field_spec::{self, Create, FieldSpec};
use crate::kustomization::Field;
use crate::resource::{Gvk, Id, Resource, ResourceList};
use serde_json::Value;
use std::collections::BTreeMap;

/// One entry of `vars:`.
#[derive(Clone, Debug)]
pub struct Var {
    name: String,
    gvk: Gvk,
    object: String,
    namespace: String,
    path: FieldPath,
    place: Place,
}

/// The variables of a kustomization and all that it includes.
#[derive(Clone, Debug, Default)]
pub struct Vars(BTreeMap<String, Var>);

impl Var {
    pub fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let fields = field.mapping(&["name", "objref", "fieldref"])?;
        let Some(reference) = fields.get("objref") else {
            return Err(field.error(Problem::Invalid("a variable needs `objref`".to_owned())));
        };
        let reference = reference.mapping(&["apiVersion", "group", "version", "kind", "name", "namespace"])?;
        let path = match fields.get("fieldref") {
            Some(path) => path.mapping(&["fieldPath"])?.string("fieldPath")?,
            None => String::new(),
        };
        let path = if path.is_empty() { "metadata.name" } else { &path };
        Ok(Self {
            name: fields.string("name")?,
            gvk: gvk(&reference)?,
            object: reference.string("name")?,
            namespace: reference.string("namespace")?,
            path: FieldPath::parse(&dotted(path)).map_err(|why| field.error(Problem::Invalid(why)))?,
            place: field.place(),
        })
    }

    fn means(&self, id: &Id) -> bool {
        let anywhere = self.namespace.is_empty() && !self.gvk.is_cluster_scoped();
        match anywhere {
            true => id.name == self.object && id.gvk == self.gvk,
            false => *id == Id::new(self.gvk.clone(), &self.object, &self.namespace),
        }
    }
}

fn gvk(reference: &crate::kustomization::Fields<'_>) -> Result<Gvk, Error> {
    let mut gvk = Gvk::new(&reference.string("apiVersion")?, &reference.string("kind")?);
    for (part, name) in [(&mut gvk.group, "group"), (&mut gvk.version, "version")] {
        if part.is_empty() {
            *part = reference.string(name)?;
        }
    }
    Ok(gvk)
}

/// `ports[0].name` as `ports.0.name`.
fn dotted(path: &str) -> String {
    let mut dotted = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('[') {
        let index = after
            .split_once(']')
            .filter(|(digits, _)| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
        dotted.push_str(before);
        match index {
            Some((digits, after)) => {
                dotted.push('.');
                dotted.push_str(digits);
                rest = after;
            }
            None => {
                dotted.push('[');
                rest = after;
            }
        }
    }
    dotted + rest
}

impl Vars {
    /// Adds a kustomization's own variables, and notes in the objects which of them they are for.
    pub fn add(&mut self, vars: &[Var], list: &mut ResourceList) -> Result<(), Error> {
        for var in vars {
            list.look(&var.place)?;
            let mut meant = list.items_mut().iter_mut().filter(|item| {
                item.is_or_was_named(&var.object)
                    && (var.means(&item.id()) || item.previous_ids().any(|id| var.means(&id)))
            });
            let first = meant.next();
            if meant.next().is_some() {
                let problem = Problem::Ambiguous(format!("the variable `{}`", var.name), "several objects".to_owned());
                return Err(Error::new(var.place.clone(), problem));
            }
            if let Some(resource) = first {
                resource.vars.push(var.name.clone());
            }
            self.insert(var)?;
        }
        Ok(())
    }

    /// Adds the variables of an included kustomization.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        other.0.values().try_for_each(|var| self.insert(var))
    }

    fn insert(&mut self, var: &Var) -> Result<(), Error> {
        match self.0.insert(var.name.clone(), var.clone()) {
            None => Ok(()),
            Some(first) => {
                let why = format!("the variable `{}` is already defined at {}", var.name, first.place);
                Err(Error::new(var.place.clone(), Problem::Invalid(why)))
            }
        }
    }

    /// Replaces every variable where the field specs allow one.
    pub fn resolve(&self, list: &mut ResourceList, specs: &[FieldSpec]) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let values = self.values(list)?;
        let budget = list.budget();
        for resource in list.items_mut() {
            let gvk = resource.gvk();
            for spec in specs {
                field_spec::apply(&mut resource.value, &gvk, spec, Create::Never, &mut |value| {
                    replace(value, &values, &budget)
                })
                .map_err(|why| Error::new(resource.place.clone(), Problem::Invalid(why)))?;
            }
        }
        Ok(())
    }

    fn values(&self, list: &ResourceList) -> Result<BTreeMap<&str, Value>, Error> {
        let value = |var: &Var| -> Result<Value, Problem> {
            let is_for = |resource: &&Resource| resource.vars.contains(&var.name);
            list.budget().look(list.len()).map_err(Problem::Invalid)?;
            let Some(resource) = list.iter().find(is_for) else {
                return Err(Problem::NoMatch(format!("the variable `{}`", var.name)));
            };
            let found = var.path.get(&resource.value).map_err(Problem::Invalid)?;
            found.cloned().ok_or_else(|| {
                Problem::Invalid(format!("the field `{}` is missing in {}", var.path.as_str(), resource.id()))
            })
        };
        let entry = |(name, var): (&'_ String, &Var)| {
            value(var).map_err(|problem| Error::new(var.place.clone(), problem)).map(|value| (name.clone(), value))
        };
        let found: BTreeMap<String, Value> = self.0.iter().map(entry).collect::<Result<_, _>>()?;
        Ok(self.0.keys().filter_map(|name| Some((name.as_str(), found.get(name)?.clone()))).collect())
    }
}

/// Replaces variables in a string, or in the strings of a list or a mapping.
fn replace(value: &mut Value, values: &BTreeMap<&str, Value>, budget: &Budget) -> Result<(), String> {
    match value {
        Value::String(text) => {
            *value = expanded(text, values, budget)?;
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| match item {
            Value::String(_) => replace(item, values, budget),
            _ => Err("a list of strings was expected".to_owned()),
        }),
        Value::Object(map) => {
            map.values_mut().filter(|item| item.is_string()).try_for_each(|item| replace(item, values, budget))
        }
        _ => Ok(()),
    }
}

/// `$(NAME)` replaced, `$$` as `$`. A text that is nothing else than a variable takes its type.
fn expanded(text: &str, values: &BTreeMap<&str, Value>, budget: &Budget) -> Result<Value, String> {
    let mut result = String::with_capacity(text.len());
    let (mut rest, mut closes) = (text, true);
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        rest = after;
        let Some(next) = after.chars().next() else {
            result.push('$');
            break;
        };
        // Without one here there is none further on: looking again at each `$(` would take the square.
        let end = if next == '(' && closes { after.find(')') } else { None };
        closes &= next != '(' || end.is_some();
        match (next, end) {
            ('$', _) => {
                result.push('$');
                rest = &after[1..];
            }
            ('(', Some(end)) => {
                let name = &after[1..end];
                rest = &after[end + 1..];
                match values.get(name).filter(|value| !value.is_object() && !value.is_array()) {
                    Some(value) if before.is_empty() && result.is_empty() && rest.is_empty() => {
                        budget.pay(1, weight(value))?;
                        return Ok(value.clone());
                    }
                    Some(Value::String(value)) => {
                        budget.pay(1, text_weight(value))?;
                        result.push_str(value);
                    }
                    Some(value) => result.push_str(&value.to_string()),
                    None => result.push_str(&format!("$({name})")),
                }
            }
            (next, _) => {
                result.push('$');
                result.push(next);
                rest = &after[next.len_utf8()..];
            }
        }
    }
    result.push_str(rest);
    Ok(Value::String(result))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn variables_are_replaced_and_dollars_escape_them() {
        let values = BTreeMap::from([("A", json!("x")), ("PORT", json!(80)), ("MAP", json!({}))]);
        for (text, want) in [
            ("$(A)-$(A)", json!("x-x")),
            ("$(PORT)", json!(80)),
            (":$(PORT)", json!(":80")),
            ("$$(A)", json!("$(A)")),
            ("$(B) $(MAP)", json!("$(B) $(MAP)")),
            ("$(A", json!("$(A")),
            ("cost: 5$", json!("cost: 5$")),
            ("$é", json!("$é")),
        ] {
            assert_eq!(expanded(text, &values, &Budget::new(100)), Ok(want), "{text}");
        }
    }

    #[test]
    fn indices_in_brackets_become_steps() {
        assert_eq!(dotted("spec.ports[0].port"), "spec.ports.0.port");
        assert_eq!(dotted("metadata.annotations.[a.b/c]"), "metadata.annotations.[a.b/c]");
    }
}
