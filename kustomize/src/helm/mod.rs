//! Helm charts: `helmCharts`, `helmGlobals`, the older `helmChartInflationGenerator`, and the plugin of that name. This
//! crate reads the fields, keeps values files inside of the tree and merges values; who pulls charts and runs helm is
//! the caller, through [`Helm`]. Without one, a chart is an error.

mod chart;
mod decode;
mod values;

pub use chart::{ChartFiles, Helm, HelmChart};
pub use decode::{charts, plugin};

use crate::error::{Error, Place, Problem};
use crate::fields::build_metadata::Plugin;
use crate::fs::{FileKind, FileSystem};
use crate::kustomization::Text;
use crate::path::TreePath;
use crate::remote::RemoteError;
use crate::resource::{self, Resource};
use crate::source::Source;
use serde_json::{Map, Value};
use values::{ValuesMerge, merged};

/// The name under which the reference runs charts.
pub const PLUGIN: &str = "HelmChartInflationGenerator";
/// Where charts are, from the kustomization's directory, unless `helmGlobals` says otherwise.
const CHART_HOME: &str = "charts";
const VALUES: &str = "values.yaml";

/// A chart that a kustomization asks for.
#[derive(Clone, Debug)]
pub struct Entry {
    place: Place,
    chart: HelmChart,
    home: String,
    values_file: Option<Text>,
    more_values: Vec<Text>,
    inline: Map<String, Value>,
    merge: ValuesMerge,
}

impl Entry {
    /// What helm makes of the chart. `namespace` is for a chart that names none.
    pub fn generate(&self, source: Source<'_>, root: &TreePath, namespace: &str) -> Result<Vec<Resource>, Error> {
        let helm = source.helm.ok_or_else(|| self.error(Problem::NoHelm))?;
        self.check(root)?;
        let mut chart = self.chart.clone();
        if chart.namespace.is_empty() {
            namespace.clone_into(&mut chart.namespace);
        }
        let text = match self.in_tree(source, root)? {
            Some(path) => {
                let values = self.values(source, root, |name| {
                    let path = format!("{}/{name}", self.folder());
                    source.bytes(&source.required_file(root, &path, &self.place)?)
                })?;
                let fetched = source.trees.of(&path);
                let fs = fetched.as_deref().unwrap_or(source.fs);
                helm.template(&chart, &ChartFiles { fs, path: &path.in_itself(), values: &values })
            }
            None => {
                let fs = self.pulled(helm)?;
                let values =
                    self.values(source, root, |name| read(fs.as_ref(), name).map_err(|why| self.failed(why)))?;
                helm.template(&chart, &ChartFiles { fs: fs.as_ref(), path: &TreePath::root(), values: &values })
            }
        };
        self.resources(&text.map_err(|why| self.failed(why))?, source)
    }

    fn error(&self, problem: Problem) -> Error {
        Error::new(self.place.clone(), problem)
    }

    fn failed(&self, why: RemoteError) -> Error {
        self.error(Problem::Helm(self.chart.name.clone(), why))
    }

    /// What helm would take for something else than it is meant for.
    fn check(&self, root: &TreePath) -> Result<(), Error> {
        let invalid = |why: String| Err(self.error(Problem::Invalid(why)));
        if self.chart.name.is_empty() {
            return invalid("a chart needs a `name`".to_owned());
        }
        for (field, text) in [("name", &self.chart.name), ("releaseName", &self.chart.release_name)] {
            if text.starts_with('-') {
                return invalid(format!("`{field}` must not begin with `-`: helm would take it for a flag"));
            }
        }
        // Helm runs the plugins that it finds there.
        if root.is_remote() && self.chart.config_home.is_some() {
            return invalid("`configHome` is not for kustomizations that are fetched; remove it there".to_owned());
        }
        Ok(())
    }

    /// The directory of the chart, from the kustomization's.
    fn folder(&self) -> String {
        let HelmChart { name, version, repo, .. } = &self.chart;
        match version.is_empty() || repo.is_empty() {
            true => format!("{}/{name}", self.home),
            false => format!("{}/{name}-{version}/{name}", self.home),
        }
    }

    fn in_tree(&self, source: Source<'_>, root: &TreePath) -> Result<Option<TreePath>, Error> {
        let folder = self.folder();
        let path = root.join(&folder).ok_or_else(|| self.error(Problem::OutsideTree(folder.clone())))?;
        let found = source.find(&path, &self.place)?.filter(|found| found.kind == FileKind::Directory);
        if found.is_none() && self.chart.repo.is_empty() {
            let why = format!("there is no chart in `{folder}`, and no `repo` to pull it from");
            return Err(self.error(Problem::Invalid(why)));
        }
        Ok(found.map(|found| found.path))
    }

    fn pulled(&self, helm: &dyn Helm) -> Result<Box<dyn FileSystem>, Error> {
        helm.pull(&self.chart).map_err(|why| self.failed(why))
    }

    /// The values files in the order in which helm is to read them; `of_chart` reads one of the chart's own.
    fn values(
        &self,
        source: Source<'_>,
        root: &TreePath,
        of_chart: impl FnOnce(&str) -> Result<Vec<u8>, Error>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let in_tree = |file: &Text| source.bytes(&source.required_file(root, &file.value, &file.place)?);
        // Nothing of the chart's own is left then, so that it need not be there.
        let first = match (&self.merge, self.inline.is_empty()) {
            (ValuesMerge::Replace, false) => Vec::new(),
            _ => self.values_file.as_ref().map_or_else(|| of_chart(VALUES), in_tree)?,
        };
        let first = match self.inline.is_empty() {
            true => first,
            false => {
                let merged = merged(&first, &self.inline, self.merge, source);
                merged.map_err(|why| self.error(Problem::Invalid(why)))?
            }
        };
        let more = self.more_values.iter().map(in_tree);
        std::iter::once(Ok(first)).chain(more).collect()
    }

    fn resources(&self, text: &str, source: Source<'_>) -> Result<Vec<Resource>, Error> {
        let limits = &source.options.limits;
        if text.len() > limits.file_bytes {
            return Err(self.error(Problem::TooLarge(limits.file_bytes, "bytes of helm's output")));
        }
        let read = |text: &str| resource::resources(text, &self.place, limits);
        // Helm may print messages before the first document.
        let from_first = || Some(read(&text[text.find("\n---")? + 1..]));
        let mut found = read(text).or_else(|error| from_first().unwrap_or(Err(error)))?;
        for resource in &mut found {
            resource.made_by = Some(Plugin::of_field(PLUGIN));
            resource.from_helm = true;
        }
        Ok(found)
    }
}

fn read(fs: &dyn FileSystem, name: &str) -> Result<Vec<u8>, RemoteError> {
    let path = TreePath::parse(name).unwrap_or_default();
    let found = fs.find(&path)?.filter(|found| found.kind == FileKind::File);
    Ok(fs.read(&found.ok_or_else(|| format!("the chart has no {name}"))?.path)?)
}
