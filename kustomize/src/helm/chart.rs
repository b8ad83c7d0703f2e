//! What the caller is told about a chart, and what helm is called with.

use crate::fs::FileSystem;
use crate::path::TreePath;
use crate::remote::RemoteError;

/// Runs helm.
pub trait Helm {
    /// The files of a chart that is not in the tree, its `Chart.yaml` at the root.
    ///
    /// # Errors
    /// Whatever keeps it from being pulled, or forbids it.
    fn pull(&self, chart: &HelmChart) -> Result<Box<dyn FileSystem>, RemoteError>;

    /// What `helm template` prints; [`HelmChart::arguments`] are its arguments.
    ///
    /// # Errors
    /// Whatever keeps helm from running, or what it says.
    fn template(&self, chart: &HelmChart, files: &ChartFiles<'_>) -> Result<String, RemoteError>;
}

/// The files that helm reads. Helm wants a disk: copy them where it may look.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct ChartFiles<'c> {
    /// The tree that the chart is in.
    pub fs: &'c dyn FileSystem,
    /// The chart's directory, with `Chart.yaml`.
    pub path: &'c TreePath,
    /// The values files; later ones win.
    pub values: &'c [Vec<u8>],
}

/// A chart as a kustomization asks for it; empty means that nothing was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HelmChart {
    /// The chart's name.
    pub name: String,
    /// The version to pull.
    pub version: String,
    /// Where to pull it from: a chart repository's address, or `oci://…`.
    pub repo: String,
    /// The name of the release.
    pub release_name: String,
    /// The namespace of the release.
    pub namespace: String,
    /// A template for the release's name.
    pub name_template: String,
    /// Versions of APIs that templates shall find.
    pub api_versions: Vec<String>,
    /// The version of Kubernetes that templates shall find.
    pub kube_version: String,
    /// Whether custom resource definitions are wanted.
    pub include_crds: bool,
    /// Whether hooks are left out.
    pub skip_hooks: bool,
    /// Whether tests are left out.
    pub skip_tests: bool,
    /// Whether helm explains itself.
    pub debug: bool,
    /// Whether versions under development count.
    pub devel: bool,
    /// `HELM_CONFIG_HOME`; `None` is one of its own for each run.
    pub config_home: Option<String>,
}

impl HelmChart {
    /// The arguments of `helm` that render the chart in the directory `chart`.
    #[must_use]
    pub fn arguments(&self, chart: &str, values: &[String]) -> Vec<String> {
        let mut arguments = vec!["template".to_owned()];
        arguments.push(if self.release_name.is_empty() {
            "--generate-name".to_owned()
        } else {
            self.release_name.clone()
        });
        arguments.push(chart.to_owned());
        let mut option = |flag: &str, value: &str| {
            if !value.is_empty() {
                arguments.extend([flag.to_owned(), value.to_owned()]);
            }
        };
        option("--namespace", &self.namespace);
        option("--name-template", &self.name_template);
        values.iter().for_each(|file| option("-f", file));
        self.api_versions.iter().for_each(|version| option("--api-versions", version));
        option("--kube-version", &self.kube_version);
        let switches = [
            ("--include-crds", self.include_crds),
            ("--skip-tests", self.skip_tests),
            ("--no-hooks", self.skip_hooks),
            ("--debug", self.debug),
            ("--devel", self.devel),
        ];
        arguments.extend(switches.iter().filter(|(_, on)| *on).map(|(flag, _)| (*flag).to_owned()));
        arguments
    }

    /// The arguments of `helm` that pull the chart and unpack it below a directory.
    #[must_use]
    pub fn pull_arguments(&self, directory: &str) -> Vec<String> {
        let mut arguments: Vec<String> = ["pull", "--untar", "--untardir", directory].map(str::to_owned).into();
        match self.repo.starts_with("oci://") {
            true => arguments.push(format!("{}/{}", self.repo.trim_end_matches('/'), self.name)),
            false => arguments.extend(["--repo".to_owned(), self.repo.clone(), self.name.clone()]),
        }
        if !self.version.is_empty() {
            arguments.extend(["--version".to_owned(), self.version.clone()]);
        }
        arguments.extend(self.devel.then(|| "--devel".to_owned()));
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_reaches_helm() {
        let chart = HelmChart {
            name: "web".to_owned(),
            version: "1.2.3".to_owned(),
            repo: "https://charts.example.com".to_owned(),
            release_name: "shop".to_owned(),
            namespace: "prod".to_owned(),
            name_template: "x-{{ 1 }}".to_owned(),
            api_versions: vec!["a/v1".to_owned(), "b/v1".to_owned()],
            kube_version: "1.34".to_owned(),
            include_crds: true,
            skip_hooks: true,
            skip_tests: true,
            debug: true,
            devel: true,
            config_home: None,
        };
        assert_eq!(
            chart.arguments("/c/web", &["/v0".to_owned(), "/v1".to_owned()]).join(" "),
            "template shop /c/web --namespace prod --name-template x-{{ 1 }} -f /v0 -f /v1 --api-versions a/v1 \
             --api-versions b/v1 --kube-version 1.34 --include-crds --skip-tests --no-hooks --debug --devel"
        );
        let pull = "pull --untar --untardir /d --repo https://charts.example.com web --version 1.2.3 --devel";
        assert_eq!(chart.pull_arguments("/d").join(" "), pull);
        let plain = HelmChart { name: "web".to_owned(), repo: "oci://h/charts/".to_owned(), ..HelmChart::default() };
        assert_eq!(plain.arguments("/c", &[]).join(" "), "template --generate-name /c");
        assert_eq!(plain.pull_arguments("/d").join(" "), "pull --untar --untardir /d oci://h/charts/web");
    }
}
