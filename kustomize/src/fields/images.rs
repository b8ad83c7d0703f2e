//! `images:` changes names, tags and digests of images wherever containers stand.

use super::image_name::ImageName;
use crate::budget::{Budget, text_weight};
use crate::error::{Error, Problem};
use crate::field_spec::{self, Create, FieldSpec};
use crate::kustomization::Field;
use crate::resource::ResourceList;
use serde_json::Value;

/// One entry of `images:`.
#[derive(Debug)]
pub struct Image {
    name: ImageName,
    new_name: String,
    new_tag: String,
    tag_suffix: String,
    digest: String,
}

impl Image {
    pub const FIELDS: &[&str] = &["name", "newName", "tagSuffix", "newTag", "digest"];

    pub fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let fields = field.mapping(Self::FIELDS)?;
        Ok(Self {
            name: ImageName::parse(&fields.string("name")?),
            new_name: fields.string("newName")?,
            new_tag: fields.string("newTag")?,
            tag_suffix: fields.string("tagSuffix")?,
            digest: fields.string("digest")?,
        })
    }

    /// Changes the images of all objects.
    pub fn apply(&self, list: &mut ResourceList, specs: &[FieldSpec]) -> Result<(), Error> {
        let budget = list.budget();
        // Every image goes through every object.
        list.pay_for_all(1)?;
        for resource in list.items_mut() {
            let gvk = resource.gvk();
            // The schema in a definition may well have a field named like a container's.
            if gvk.kind == "CustomResourceDefinition" {
                continue;
            }
            let invalid = |why| Error::new(resource.place.clone(), Problem::Invalid(why));
            self.containers(&mut resource.value, &budget).map_err(invalid)?;
            for spec in specs {
                field_spec::apply(&mut resource.value, &gvk, spec, Create::Never, &mut |value| {
                    self.image(value, &budget)
                })
                .map_err(invalid)?;
            }
        }
        Ok(())
    }

    /// Changes every image in a list named `containers` or `initContainers`, at any depth.
    fn containers(&self, value: &mut Value, budget: &Budget) -> Result<(), String> {
        match value {
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.containers(item, budget)),
            Value::Object(map) => map.iter_mut().try_for_each(|(key, value)| {
                self.containers(value, budget)?;
                match (key.as_str(), value) {
                    ("containers" | "initContainers", Value::Array(items)) => items
                        .iter_mut()
                        .filter_map(|item| item.get_mut("image"))
                        .try_for_each(|image| self.image(image, budget)),
                    _ => Ok(()),
                }
            }),
            _ => Ok(()),
        }
    }

    fn image(&self, value: &mut Value, budget: &Budget) -> Result<(), String> {
        match value {
            Value::String(image) => {
                if self.name.matches(image) {
                    *image = self.changed(image);
                    budget.pay(1, text_weight(image))?;
                }
                Ok(())
            }
            Value::Object(_) | Value::Array(_) => Err("an image must be a string".to_owned()),
            _ => Ok(()),
        }
    }

    fn changed(&self, image: &str) -> String {
        let (name, tag, digest) = split(image);
        let name = if self.new_name.is_empty() { name } else { &self.new_name };
        let suffixed = format!("{tag}{}", self.tag_suffix);
        let (tag, digest) = match (self.new_tag.as_str(), self.digest.as_str()) {
            ("", "") if self.tag_suffix.is_empty() => (tag, digest),
            ("", "") => (suffixed.as_str(), ""),
            ("", digest) => ("", digest),
            (tag, "") => (tag, ""),
            (tag, digest) => (tag, digest),
        };
        let mut changed = name.to_owned();
        for (separator, part) in [(':', tag), ('@', digest)] {
            if !part.is_empty() {
                changed.push(separator);
                changed.push_str(part);
            }
        }
        changed
    }
}

/// Name, tag and digest; a `:` before the first `/` belongs to a host's port.
fn split(image: &str) -> (&str, &str, &str) {
    let host_end = image.find('/').unwrap_or(0);
    let (rest, digest) = match image[host_end..].find('@') {
        Some(at) => (&image[..host_end + at], &image[host_end + at + 1..]),
        None => (image, ""),
    };
    match rest[host_end..].find(':') {
        Some(at) => (&rest[..host_end + at], &rest[host_end + at + 1..], digest),
        None => (rest, "", digest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_not_a_tag() {
        assert_eq!(split("host:5000/web"), ("host:5000/web", "", ""));
        assert_eq!(split("host:5000/web:v1@sha256:ab"), ("host:5000/web", "v1", "sha256:ab"));
        assert_eq!(split("web@sha256:ab"), ("web", "", "sha256:ab"));
    }

    #[test]
    fn a_tag_drops_the_digest_and_a_digest_the_tag() {
        let image = |new_tag: &str, digest: &str| Image {
            name: ImageName::parse("web"),
            new_name: String::new(),
            new_tag: new_tag.to_owned(),
            tag_suffix: String::new(),
            digest: digest.to_owned(),
        };
        assert_eq!(image("v2", "").changed("web:v1@sha256:ab"), "web:v2");
        assert_eq!(image("", "sha256:cd").changed("web:v1"), "web@sha256:cd");
        assert_eq!(image("v2", "sha256:cd").changed("web"), "web:v2@sha256:cd");
    }
}
