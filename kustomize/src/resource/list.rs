//! The objects of a kustomization in their order, no two with the same identity.

use super::{Behavior, Id, Resource};
use crate::budget::{Budget, weight};
use crate::error::{Error, Place, Problem};
use serde_json::Value;
use std::collections::HashMap;

/// Objects in the order in which they were added.
#[derive(Clone, Debug)]
pub struct ResourceList {
    items: Vec<Resource>,
    budget: Budget,
    /// Present identity to index; `None` while identities may have changed.
    index: Option<HashMap<Id, usize>>,
}

impl ResourceList {
    /// An empty list that pays from the rendering's budget.
    pub fn new(budget: Budget) -> Self {
        Self { items: Vec::new(), budget, index: None }
    }

    pub fn budget(&self) -> Budget {
        self.budget.clone()
    }

    /// Pays for a change that costs so much in every object.
    pub fn pay_for_all(&self, cost: usize) -> Result<(), Error> {
        let place = self.items.first().map(|item| item.place.clone()).unwrap_or_default();
        self.budget.pay(self.items.len(), cost).map_err(|why| Error::new(place, Problem::Invalid(why)))
    }

    /// Pays for looking at every object once; `place` is blamed if the budget is gone.
    pub fn look(&self, place: &Place) -> Result<(), Error> {
        self.budget.look(self.items.len()).map_err(|why| Error::new(place.clone(), Problem::Invalid(why)))
    }

    /// Adds objects that were just read, and pays for them.
    pub fn append_read(&mut self, resources: Vec<Resource>) -> Result<(), Error> {
        for resource in resources {
            self.pay_for(&resource)?;
            self.append(resource)?;
        }
        Ok(())
    }

    fn pay_for(&self, resource: &Resource) -> Result<(), Error> {
        let paid = self.budget.pay(1, weight(&resource.value));
        paid.map_err(|why| Error::new(resource.place.clone(), Problem::Invalid(why)))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.items.iter()
    }

    pub fn as_slice(&self) -> &[Resource] {
        &self.items
    }

    /// The objects, for changing them in place.
    pub fn items_mut(&mut self) -> &mut Vec<Resource> {
        self.index = None;
        &mut self.items
    }

    pub fn into_items(self) -> Vec<Resource> {
        self.items
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    fn index(&mut self) -> &mut HashMap<Id, usize> {
        self.index.get_or_insert_with(|| self.items.iter().enumerate().map(|(at, item)| (item.id(), at)).collect())
    }

    /// Adds an object; an error if its identity is taken.
    pub fn append(&mut self, resource: Resource) -> Result<(), Error> {
        let (id, next) = (resource.id(), self.items.len());
        if let Some(&at) = self.index().get(&id) {
            return Err(duplicate(&id, &self.items[at].place, resource.place));
        }
        self.index().insert(id, next);
        self.items.push(resource);
        Ok(())
    }

    /// Adds the objects of a base. Most often it is the first one, and its objects are known to differ.
    pub fn join(&mut self, base: Self) -> Result<(), Error> {
        if self.items.is_empty() && base.index.is_some() {
            *self = base;
            return Ok(());
        }
        self.append_all(base.items)
    }

    /// Adds objects one by one.
    pub fn append_all(&mut self, resources: impl IntoIterator<Item = Resource>) -> Result<(), Error> {
        resources.into_iter().try_for_each(|resource| self.append(resource))
    }

    /// Changes the objects at these indices, which ascend, and drops those that `stays` refuses; an
    /// error if two then have the same identity. Much cheaper than to go through all of them.
    pub fn change(
        &mut self,
        indices: &[usize],
        stays: fn(&Value) -> bool,
        mut change: impl FnMut(&mut Resource) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut same = true;
        for at in indices {
            let item = &mut self.items[*at];
            let before = item.id();
            change(item)?;
            same &= stays(&item.value) && item.id() == before;
        }
        if same {
            return Ok(());
        }
        self.items.retain(|item| stays(&item.value));
        self.check_unique()
    }

    /// After changes: an error if two objects now have the same identity.
    pub fn check_unique(&mut self) -> Result<(), Error> {
        let mut seen: HashMap<Id, usize> = HashMap::with_capacity(self.items.len());
        for (at, item) in self.items.iter().enumerate() {
            if let Some(first) = seen.insert(item.id(), at) {
                return Err(duplicate(&item.id(), &self.items[first].place, item.place.clone()));
            }
        }
        self.index = Some(seen);
        Ok(())
    }

    /// Adds a generated object, or merges it into the one of the same name, as its behavior says.
    pub fn absorb(&mut self, mut resource: Resource) -> Result<(), Error> {
        self.pay_for(&resource)?;
        self.look(&resource.place)?;
        let id = resource.id();
        let matches: Vec<usize> = (0..self.items.len()).filter(|at| self.items[*at].is_or_was(&id)).collect();
        match (matches.as_slice(), resource.behavior) {
            ([], Behavior::Create) => self.append(resource),
            ([], _) => {
                let what = format!("{id}; `behavior: merge` and `replace` need an object to start from");
                Err(Error::new(resource.place, Problem::NoMatch(what)))
            }
            ([at], Behavior::Create) => {
                let problem = Problem::DuplicateObject(
                    id.to_string(),
                    format!(" at {}; or set `behavior: merge` or `replace`", self.items[*at].place),
                );
                Err(Error::new(resource.place, problem))
            }
            ([at], behavior) => {
                crate::generate::merge_into(&self.items[*at], &mut resource, behavior)
                    .map_err(|why| Error::new(self.items[*at].place.clone(), Problem::Invalid(why)))?;
                self.index = None;
                self.items[*at] = resource;
                Ok(())
            }
            (several, _) => {
                let names: Vec<String> = several.iter().map(|at| self.items[*at].id().to_string()).collect();
                Err(Error::new(resource.place, Problem::Ambiguous(id.to_string(), names.join(", "))))
            }
        }
    }
}

fn duplicate(id: &Id, first: &Place, second: Place) -> Error {
    Error::new(second, Problem::DuplicateObject(id.to_string(), format!(" at {first}")))
}
