//! Charts, rendered by a table that stands for helm: what it is asked, and what becomes of its output.

use lapdev_kustomize::{
    ChartFiles, Error, FileSystem, Helm, HelmChart, MemoryFileSystem, Object, Options, RemoteError, Renderer, TreePath,
    to_yaml,
};
use std::cell::RefCell;

const OUTPUT: &str = "\
# Source: web/templates/all.yaml
apiVersion: v1
kind: Service
metadata: {name: web, namespace: helms}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
";

/// Notes its arguments and values, and prints the same every time.
struct Noting {
    said: RefCell<Vec<String>>,
    output: &'static str,
}

impl Helm for Noting {
    fn pull(&self, chart: &HelmChart) -> Result<Box<dyn FileSystem>, RemoteError> {
        self.said.borrow_mut().push(chart.pull_arguments("DIR").join(" "));
        let files = [("Chart.yaml", "name: web\n"), ("values.yaml", "pulled: true\n")];
        Ok(Box::new(files.into_iter().collect::<MemoryFileSystem>()))
    }

    fn template(&self, chart: &HelmChart, files: &ChartFiles<'_>) -> Result<String, RemoteError> {
        let names: Vec<String> = (0..files.values.len()).map(|at| format!("V{at}")).collect();
        let mut said = self.said.borrow_mut();
        said.push(chart.arguments(files.path.as_str(), &names).join(" "));
        said.extend(files.values.iter().map(|text| String::from_utf8_lossy(text).trim().to_owned()));
        // It is there to be copied.
        assert!(files.fs.find(&files.path.join("Chart.yaml").expect("inside"))?.is_some());
        Ok(self.output.to_owned())
    }
}

const CHART: [(&str, &str); 3] = [
    ("charts/web/Chart.yaml", "name: web\n"),
    ("charts/web/values.yaml", "a: 1\nm: {x: 1, k: 2}\nl: [1, 2]\ngone: {z: 1}\n"),
    ("more.yaml", "c: 3\n"),
];

fn rendered(kustomization: &str, output: &'static str) -> (Result<Vec<Object>, Error>, Vec<String>) {
    let helm = Noting { said: RefCell::default(), output };
    let mut fs: MemoryFileSystem = CHART.into_iter().collect();
    fs.insert("kustomization.yaml", kustomization);
    let made = Renderer::new(&fs, Options::default()).with_helm(&helm).render(&TreePath::root());
    (made, helm.said.into_inner())
}

fn said(kustomization: &str) -> Vec<String> {
    let (made, said) = rendered(kustomization, OUTPUT);
    made.expect("it renders");
    said
}

fn failure(kustomization: &str) -> String {
    rendered(kustomization, OUTPUT).0.expect_err(kustomization).to_string()
}

#[test]
fn a_chart_of_the_tree_is_rendered_with_its_own_values() {
    let said =
        said("helmCharts: [{name: web, releaseName: shop, includeCRDs: true, additionalValuesFiles: [more.yaml]}]\n");
    assert_eq!(said[0], "template shop charts/web -f V0 -f V1 --include-crds");
    assert_eq!(said[1..], [CHART[1].1.trim(), "c: 3"]);
}

#[test]
fn inline_values_merge_as_asked() {
    let values = |merge: &str| {
        let inline = "{a: 9, m: {k: 9, o: 9}, l: [9], gone: null}";
        said(&format!("helmCharts: [{{name: web, valuesMerge: '{merge}', valuesInline: {inline}}}]\n"))[1].clone()
    };
    let over = r#"{"a":9,"l":[9],"m":{"k":9,"o":9,"x":1}}"#;
    assert_eq!((values(""), values("override")), (over.to_owned(), over.to_owned()));
    assert_eq!(values("merge"), r#"{"a":1,"gone":{"z":1},"l":[1,2],"m":{"k":2,"o":9,"x":1}}"#);
    assert_eq!(values("replace"), r#"{"a":9,"gone":null,"l":[9],"m":{"k":9,"o":9}}"#);
}

#[test]
fn the_namespace_of_the_nearest_kustomization_that_has_one_is_helms_and_no_transformer_changes_it() {
    let helm = Noting { said: RefCell::default(), output: OUTPUT };
    let mut fs: MemoryFileSystem = CHART.iter().map(|(path, text)| (format!("base/{path}"), *text)).collect();
    fs.insert("base/kustomization.yaml", "helmCharts: [{name: web}, {name: web, namespace: own}]\nnamePrefix: a-\n");
    fs.insert("middle/kustomization.yaml", "resources: [../base]\nnamespace: middle\n");
    fs.insert("kustomization.yaml", "resources: [middle]\nnamespace: outer\n");
    let objects = Renderer::new(&fs, Options::default()).with_helm(&helm).render(&TreePath::root());
    // Both charts print the same objects here.
    assert!(objects.expect_err("the same twice").to_string().contains("already defined"));
    let said = helm.said.into_inner();
    assert!(said[0].contains("--namespace middle") && said[2].contains("--namespace own"), "{said:?}");

    let (objects, _) = rendered("helmCharts: [{name: web}]\nnamespace: outer\nnamePrefix: a-\n", OUTPUT);
    let text = to_yaml(&objects.expect("it renders"));
    assert!(text.contains("namespace: helms") && !text.contains("outer") && text.contains("name: a-web"), "{text}");
}

#[test]
fn a_chart_that_is_not_there_is_pulled() {
    let said = said("helmCharts: [{name: web, repo: 'https://charts.example.com', version: 1.2.3}]\n");
    assert_eq!(said[0], "pull --untar --untardir DIR --repo https://charts.example.com web --version 1.2.3");
    assert_eq!(said[1..], ["template --generate-name  -f V0", "pulled: true"]);
    let error = failure("helmCharts: [{name: other}]\n");
    assert_eq!(
        error,
        "kustomization.yaml:1:14: helmCharts[0]: there is no chart in `charts/other`, and no `repo` to pull it from"
    );
}

#[test]
fn the_older_spelling_and_the_plugin_ask_the_same() {
    let old = said(
        "helmChartInflationGenerator: [{chartName: web, releaseName: r, chartHome: ./charts, valuesLocal: {a: 2}, valuesMerge: replace}]\n",
    );
    let plugin = said(
        "generators:\n- |\n  apiVersion: builtin\n  kind: HelmChartInflationGenerator\n  metadata: {name: any}\n  name: web\n  \
         releaseName: r\n  chartHome: charts\n  valuesInline: {a: 2}\n  valuesMerge: replace\n",
    );
    assert_eq!(old, ["template r charts/web -f V0", r#"{"a":2}"#]);
    assert_eq!(old, plugin);
}

#[test]
fn messages_before_the_first_document_are_left_out() {
    let noisy = "Pulled: example.com/web:1\nDigest: x: y\n---\napiVersion: v1\nkind: A\nmetadata: {name: a}\n";
    let (made, _) = rendered("helmCharts: [{name: web}]\n", noisy);
    assert_eq!(made.expect("it renders").len(), 1);
    let (made, _) = rendered("helmCharts: [{name: web}]\n", "Pulled: x: y\n");
    assert!(made.is_err());
}

#[test]
fn what_helm_would_take_for_flags_or_plugins_and_what_leaves_the_tree_is_refused() {
    for (entry, want) in [
        ("{name: ''}", "a chart needs a `name`"),
        ("{name: --post-renderer}", "`name` must not begin with `-`"),
        ("{name: web, releaseName: -x}", "`releaseName` must not begin with `-`"),
        ("{name: web, valuesMerge: both}", "none of `merge`, `override` and `replace`"),
        ("{name: web, valuesFile: ../x.yaml}", "leads out of the tree"),
        ("{name: web, additionalValuesFiles: [nothing.yaml]}", "`nothing.yaml` does not exist"),
        ("{name: ../../web}", "leads out of the tree"),
        ("{name: web, valuesInline: [1]}", "expected a mapping"),
        ("{name: web, color: red}", "unknown field `color`"),
    ] {
        let error = failure(&format!("helmCharts: [{entry}]\n"));
        assert!(error.contains(want), "{entry}: {error}");
    }
}

#[test]
fn charts_are_off_unless_helm_is_given() {
    let fs = MemoryFileSystem::new().with("kustomization.yaml", "helmCharts: [{name: web}]\n");
    let error = lapdev_kustomize::render(&fs, &TreePath::root(), &Options::default()).expect_err("off").to_string();
    assert_eq!(
        error,
        "kustomization.yaml:1:14: helmCharts[0]: helm charts are off here; switch them on (`--enable-helm` of the \
         command), or render the chart to files and list them under `resources`"
    );
}
