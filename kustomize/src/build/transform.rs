//! The transformers that a kustomization has as fields.

use super::{Accumulated, Build};
use crate::error::Error;
use crate::field_spec::FieldSpecs;
use crate::fields::build_metadata::Plugin;
use crate::fields::names::{self, Affix};
use crate::fields::namespace::Move;
use crate::fields::{pairs, patches};
use crate::kustomization::Kustomization;
use crate::path::TreePath;
use crate::resource::ResourceList;

impl Build<'_> {
    /// The order is the reference's, whatever the order in the file.
    pub(super) fn transformers(
        &self,
        directory: &TreePath,
        of: &Kustomization,
        all: &mut Accumulated,
    ) -> Result<(), Error> {
        let source = self.source;
        let Accumulated { list, specs, .. } = all;
        if !of.patches_strategic_merge.is_empty() {
            patches::apply_strategic_merge(&of.patches_strategic_merge, source, directory, list)?;
            self.note("PatchStrategicMergeTransformer", of, list)?;
        }
        for patch in &of.patches {
            patch.apply(source, directory, list)?;
            self.note("PatchTransformer", of, list)?;
        }
        self.names(of, specs, list)?;
        self.labels_and_annotations(of, specs, list)?;
        for patch in &of.patches_json6902 {
            patch.apply_json6902(source, directory, list)?;
            self.note("PatchJson6902Transformer", of, list)?;
        }
        for replica in &of.replicas {
            replica.apply(list, &specs.replicas)?;
            self.note("ReplicaCountTransformer", of, list)?;
        }
        for image in &of.images {
            image.apply(list, &specs.images)?;
            self.note("ImageTagTransformer", of, list)?;
        }
        for replacement in &of.replacements {
            replacement.apply(source, directory, list)?;
        }
        if !of.replacements.is_empty() {
            self.note("ReplacementTransformer", of, list)?;
        }
        Ok(())
    }

    fn names(&self, of: &Kustomization, specs: &FieldSpecs, list: &mut ResourceList) -> Result<(), Error> {
        if !of.namespace.is_empty() {
            Move::to(&of.namespace, specs.namespace.clone()).apply(list, self.source.types)?;
            self.note("NamespaceTransformer", of, list)?;
        }
        if !of.name_prefix.is_empty() {
            names::apply(list, Affix::Prefix(&of.name_prefix), &specs.prefixes)?;
            self.note("PrefixTransformer", of, list)?;
        }
        if !of.name_suffix.is_empty() {
            names::apply(list, Affix::Suffix(&of.name_suffix), &specs.suffixes)?;
            self.note("SuffixTransformer", of, list)?;
        }
        Ok(())
    }

    fn labels_and_annotations(
        &self,
        of: &Kustomization,
        specs: &FieldSpecs,
        list: &mut ResourceList,
    ) -> Result<(), Error> {
        for labels in &of.labels {
            labels.apply(list, specs)?;
            self.note("LabelTransformer", of, list)?;
        }
        if !of.labels.is_empty() || !of.common_labels.is_empty() {
            pairs::set(list, &of.common_labels, &specs.common_labels)?;
            self.note("LabelTransformer", of, list)?;
        }
        if !of.common_annotations.is_empty() {
            pairs::set(list, &of.common_annotations, &specs.common_annotations)?;
            self.note("AnnotationsTransformer", of, list)?;
        }
        Ok(())
    }

    /// Notes that a field of a kustomization has changed the objects, if that is wanted.
    fn note(&self, kind: &str, of: &Kustomization, list: &mut ResourceList) -> Result<(), Error> {
        match &self.noting {
            Some(rendered) => Plugin::of_field(kind).note(list, rendered, &of.file),
            None => Ok(()),
        }
    }
}
