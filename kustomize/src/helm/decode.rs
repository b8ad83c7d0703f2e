//! The fields that ask for charts, in their three spellings.

use super::values::ValuesMerge;
use super::{CHART_HOME, Entry, HelmChart};
use crate::error::{Error, Problem};
use crate::kustomization::{Field, Fields, Text};
use serde_json::{Map, Value};

const CHART: &[&str] = &[
    "name",
    "version",
    "repo",
    "releaseName",
    "namespace",
    "additionalValuesFiles",
    "valuesFile",
    "valuesInline",
    "valuesMerge",
    "includeCRDs",
    "skipHooks",
    "apiVersions",
    "kubeVersion",
    "nameTemplate",
    "skipTests",
    "debug",
    "devel",
];
const GLOBALS: &[&str] = &["chartHome", "configHome"];
const OLD: &[&str] = &[
    "chartName",
    "chartVersion",
    "chartRepoUrl",
    "chartHome",
    "chartRepoName",
    "helmBin",
    "helmHome",
    "values",
    "valuesLocal",
    "valuesMerge",
    "releaseName",
    "releaseNamespace",
    "extraArgs",
];

/// What holds for all charts of a kustomization.
#[derive(Clone, Debug, Default)]
struct Globals {
    chart_home: Option<Text>,
    config_home: Option<Text>,
}

impl Globals {
    fn decode(fields: &Fields<'_>, [home, config]: [&str; 2]) -> Result<Self, Error> {
        Ok(Self { chart_home: fields.text(home)?, config_home: fields.text(config)? })
    }
}

/// All charts of a kustomization.
pub fn charts(fields: &Fields<'_>) -> Result<Vec<Entry>, Error> {
    let old = fields.list("helmChartInflationGenerator", |field| Ok((old_chart(field)?, field.mapping(OLD)?)))?;
    let globals = match fields.get("helmGlobals") {
        Some(field) => Globals::decode(&field.mapping(GLOBALS)?, ["chartHome", "configHome"])?,
        None => {
            // Each said it for itself, and the last one is heard.
            let mut all = Globals::default();
            for (_, fields) in &old {
                let one = Globals::decode(fields, ["chartHome", "helmHome"])?;
                all.chart_home = one.chart_home.or(all.chart_home);
                all.config_home = one.config_home.or(all.config_home);
            }
            all
        }
    };
    let new = fields.list("helmCharts", |field| chart(field, &field.mapping(CHART)?))?;
    Ok(new.into_iter().chain(old.into_iter().map(|(entry, _)| entry)).map(|entry| entry.within(&globals)).collect())
}

/// A chart that a file of `generators` asks for, globals included.
pub fn plugin(field: &Field<'_>) -> Result<Entry, Error> {
    let fields = field.mapping(CHART)?;
    Ok(chart(field, &fields)?.within(&Globals::decode(&fields, ["chartHome", "configHome"])?))
}

impl Entry {
    fn within(mut self, globals: &Globals) -> Self {
        if let Some(home) = &globals.chart_home {
            self.home.clone_from(&home.value);
        }
        self.chart.config_home = globals.config_home.as_ref().map(|text| text.value.clone());
        self
    }
}

fn chart(field: &Field<'_>, fields: &Fields<'_>) -> Result<Entry, Error> {
    let texts = |name: &str| Ok::<_, Error>(fields.texts(name)?.into_iter().map(|text| text.value).collect());
    Ok(Entry {
        place: field.place(),
        chart: HelmChart {
            name: fields.string("name")?,
            version: fields.string("version")?,
            repo: fields.string("repo")?,
            release_name: fields.string("releaseName")?,
            namespace: fields.string("namespace")?,
            name_template: fields.string("nameTemplate")?,
            api_versions: texts("apiVersions")?,
            kube_version: fields.string("kubeVersion")?,
            include_crds: fields.boolean("includeCRDs")?,
            skip_hooks: fields.boolean("skipHooks")?,
            skip_tests: fields.boolean("skipTests")?,
            debug: fields.boolean("debug")?,
            devel: fields.boolean("devel")?,
            config_home: None,
        },
        home: CHART_HOME.to_owned(),
        values_file: fields.text("valuesFile")?,
        more_values: fields.texts("additionalValuesFiles")?,
        inline: inline(fields, "valuesInline")?,
        merge: merge(fields)?,
    })
}

/// The spelling of kustomize 3.
fn old_chart(field: &Field<'_>) -> Result<Entry, Error> {
    let fields = field.mapping(OLD)?;
    let chart = HelmChart {
        name: fields.string("chartName")?,
        version: fields.string("chartVersion")?,
        repo: fields.string("chartRepoUrl")?,
        release_name: fields.string("releaseName")?,
        ..HelmChart::default()
    };
    Ok(Entry {
        place: field.place(),
        chart,
        home: CHART_HOME.to_owned(),
        values_file: fields.text("values")?,
        more_values: Vec::new(),
        inline: inline(&fields, "valuesLocal")?,
        merge: merge(&fields)?,
    })
}

fn inline(fields: &Fields<'_>, name: &str) -> Result<Map<String, Value>, Error> {
    let Some(field) = fields.get(name) else { return Ok(Map::new()) };
    match field.value() {
        Value::Object(values) => Ok(values),
        _ => Err(field.error(Problem::WrongType { expected: "a mapping", found: "something else" })),
    }
}

fn merge(fields: &Fields<'_>) -> Result<ValuesMerge, Error> {
    let Some(field) = fields.get("valuesMerge") else { return Ok(ValuesMerge::default()) };
    ValuesMerge::parse(&field.string()?).map_err(|problem| field.error(problem))
}
