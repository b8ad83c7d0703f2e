//! Facts about the repository itself: which crate may know which, what the examples and charts yield.
#![allow(missing_docs, reason = "a test binary has no readers of its documentation")]

use lapdev_tests::{
    cluster::{ApiCluster, Tools},
    stage::{Error, Program, chart},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

type Result<T = ()> = std::result::Result<T, Error>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is a folder of the workspace")
}

/// The workspace's crates, as cargo describes them.
fn packages() -> Result<Vec<Value>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(root())
        .output()?;
    let mut metadata: Value = serde_json::from_slice(&output.stdout)?;
    match metadata["packages"].take() {
        Value::Array(packages) => Ok(packages),
        _ => Err("cargo metadata lists packages".into()),
    }
}

/// Each crate, and the crates of this workspace that its shipped code depends on; development dependencies are free.
fn dependencies() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let packages = packages()?;
    let ours = |package: &Value| package["name"].as_str().unwrap_or_default().trim_start_matches("lapdev-").to_owned();
    let names: BTreeSet<_> = packages.iter().map(ours).collect();
    let of = |package: &Value| {
        let shipped = package["dependencies"].as_array().into_iter().flatten().filter(|d| d["kind"] != "dev");
        shipped.map(ours).filter(|name| names.contains(name)).collect()
    };
    Ok(packages.iter().map(|package| (ours(package), of(package))).collect())
}

#[test]
fn crates_depend_only_in_the_directions_that_the_design_draws() -> Result {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("api", &[][..]),
        ("kustomize", &[]),
        ("tunnel", &["api"]),
        ("store", &["api"]),
        ("forge", &["api"]),
        ("agent", &["api", "tunnel"]),
        ("router", &["api"]),
        ("webhook", &["api", "store"]),
        ("reconciler", &["api", "forge", "kustomize", "store"]),
        ("hub", &["api", "store", "tunnel"]),
        ("cli", &["api", "forge", "hub", "kustomize", "reconciler", "store", "webhook"]),
        ("shop-service", &[]),
    ]);
    let actual = dependencies()?;
    for (name, dependencies) in &actual {
        assert!(!dependencies.contains("tests"), "{name} depends on the tests");
        if name != "tests" {
            let allowed =
                allowed.get(name.as_str()).ok_or(format!("{name} is a new crate: say here what it may know"))?;
            let allowed: BTreeSet<_> = allowed.iter().map(ToString::to_string).collect();
            let beyond: Vec<_> = dependencies.difference(&allowed).collect();
            assert!(beyond.is_empty(), "{name} must not depend on {beyond:?}");
        }
    }
    assert_eq!(actual.len(), allowed.len() + 1, "a crate that this test names is gone");
    Ok(())
}

/// What the shipped code of a crate depends on directly, ours and others'.
fn shipped_dependencies() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |package: &Value| {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        dependencies.filter(|dependency| dependency["kind"] != "dev").map(|d| text(&d["name"])).collect()
    };
    let name = |package: &Value| text(&package["name"]).trim_start_matches("lapdev-").to_owned();
    Ok(packages()?.iter().map(|package| (name(package), of(package))).collect())
}

#[test]
fn nobody_but_what_runs_in_the_cluster_can_reach_an_api_server() -> Result {
    let others =
        shipped_dependencies()?.into_iter().filter(|(name, _)| !["agent", "router", "tests"].contains(&name.as_str()));
    for (name, dependencies) in others {
        let client =
            dependencies.iter().find(|dependency| dependency.starts_with("kube") || *dependency == "k8s-openapi");
        assert_eq!(client, None, "{name} links a Kubernetes client");
    }
    Ok(())
}

#[test]
fn the_types_and_the_renderer_do_no_io() -> Result {
    let shipped = shipped_dependencies()?;
    for name in ["api", "kustomize"] {
        for io in ["tokio", "hyper", "git2", "sqlx", "octocrab"] {
            assert!(!shipped[name].contains(io), "{name} depends on {io}");
        }
    }
    Ok(())
}

/// Runs one of our programs; its stdout, or its complaint.
fn run(program: Program, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program.path()?).args(arguments).current_dir(root()).output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    match output.status.success() {
        true => Ok(text(output.stdout)),
        false => Err(format!("{arguments:?}: {}{}", text(output.stdout), text(output.stderr)).into()),
    }
}

#[test]
fn the_example_config_repository_is_valid() -> Result {
    run(Program::Lapdev, &["validate", "examples/shop/config"]).map(drop)
}

#[test]
fn the_examples_catalog_renders_five_deployments_and_five_services() -> Result {
    let objects = run(Program::Lapdev, &["render", "examples/shop/config/apps/shop"])?;
    for (kind, count) in [("Deployment", 5), ("Service", 5), ("ConfigMap", 1)] {
        assert_eq!(objects.matches(&format!("\nkind: {kind}\n")).count(), count, "{kind}");
    }
    Ok(())
}

#[test]
fn validate_names_every_error_of_a_tree_with_its_place_and_exits_1() -> Result {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("lapdev"))?;
    let file = |name: &str, spec: &str| {
        let head = format!("apiVersion: lapdev.dev/v1alpha1\nkind: Environment\nmetadata: {{name: {name}}}\nspec:\n");
        std::fs::write(folder.path().join(format!("lapdev/{name}.yaml")), head + spec)
    };
    file("typo", "  type: Shared\n  catalogue: shop\n  cluster: dev\n")?;
    file("dangling", "  type: Shared\n  catalog: shop\n  cluster: dev\n")?;
    let output = Command::new(Program::Lapdev.path()?).arg("validate").arg(folder.path()).output()?;
    let (stdout, code) = (String::from_utf8(output.stdout)?, output.status.code());
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.contains("lapdev/typo.yaml:6:3: unknown field `catalogue`; did you mean `catalog`?"), "{stdout}");
    assert!(stdout.contains("lapdev/dangling.yaml:6:12: "), "{stdout}");
    assert!(stdout.contains("lapdev/dangling.yaml:7:12: "), "{stdout}");
    Ok(())
}

#[test]
fn the_command_ends_with_2_on_wrong_usage_and_3_where_nothing_answers() -> Result {
    let folder = tempfile::tempdir()?;
    let token = folder.path().join("admin.token");
    std::fs::write(&token, "x")?;
    let code = |arguments: &[&str]| -> Result<Option<i32>> {
        let mut command = Command::new(Program::Lapdev.path()?);
        // Nothing listens on port 1 of loopback.
        command.args(arguments).env("LAPDEV_SERVER", "http://127.0.0.1:1").env("LAPDEV_ADMIN_TOKEN_FILE", &token);
        Ok(command.output()?.status.code())
    };
    assert_eq!(code(&["get", "everything"])?, Some(2));
    assert_eq!(code(&["get", "clusters"])?, Some(3));
    assert_eq!(code(&["render", "/nonexistent"])?, Some(1));
    Ok(())
}

#[tokio::test]
async fn a_real_api_server_takes_what_real_helm_makes_of_the_charts() -> Result {
    let cluster = ApiCluster::start().await?;
    cluster.kubectl(&["create", "namespace", chart::NAMESPACE], "").await?;
    for (name, values) in [("lapdev", &[][..]), ("lapdev-agent", &[("url", "https://lapdev.example.com")])] {
        let objects = chart::template(name, values).await?;
        cluster.kubectl(&["apply", "--dry-run=server", "-n", chart::NAMESPACE, "-f", "-"], &objects).await?;
    }
    Ok(cluster.stop()?)
}

#[tokio::test]
async fn render_makes_of_a_chart_what_it_makes_of_real_helms_own_output() -> Result {
    let folder = tempfile::tempdir()?;
    let render = |name: &str, kustomization: &str, flags: &[&str]| -> Result<String> {
        let place = folder.path().join(name);
        std::fs::create_dir_all(&place)?;
        std::fs::write(place.join("kustomization.yaml"), kustomization)?;
        run(Program::Lapdev, &[&["render", &place.display().to_string()], flags].concat())
    };
    let chart = format!(
        "helmGlobals: {{chartHome: {}/charts}}\nhelmCharts:\n- {{name: lapdev-agent, releaseName: {}, namespace: {}, \
         valuesInline: {{url: 'https://lapdev.example.com'}}}}\n",
        root().display(),
        chart::RELEASE,
        chart::NAMESPACE
    );
    let helm = Tools::find("helm")?.path("helm").display().to_string();
    let flags = ["--enable-helm", "--helm-command", &helm, "--load-restrictor", "LoadRestrictionsNone"];
    let by_render = render("chart", &chart, &flags)?;
    std::fs::create_dir(folder.path().join("plain"))?;
    let output = chart::template("lapdev-agent", &[("url", "https://lapdev.example.com")]).await?;
    std::fs::write(folder.path().join("plain/all.yaml"), output)?;
    assert_eq!(by_render, render("plain", "resources: [all.yaml]\n", &[])?);
    assert!(by_render.contains("kind: Deployment"), "{by_render}");
    Ok(())
}

#[tokio::test]
async fn the_agents_chart_refuses_to_be_installed_without_an_address() -> Result {
    let error = chart::template("lapdev-agent", &[]).await.expect_err("url is required").to_string();
    assert!(error.contains("url"), "{error}");
    Ok(())
}

/// What stands between single backticks in a document, outside of blocks of code.
fn quoted(document: &str) -> Vec<String> {
    let prose = document.split("```").step_by(2);
    prose.flat_map(|text| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
}

#[test]
fn every_path_that_the_architecture_names_exists() -> Result {
    let named = quoted(&std::fs::read_to_string(root().join("ARCHITECTURE.md"))?);
    let is_path = |text: &&String| {
        let first = text.split('/').next().filter(|first| is_plain(text) && *first != text.as_str());
        first.is_some_and(|first| !first.is_empty() && root().join(first).is_dir())
            || is_plain(text) && [".md", ".toml", ".lock"].iter().any(|end| text.ends_with(end))
    };
    let paths: Vec<_> = named.iter().filter(is_path).collect();
    let missing: Vec<_> = paths.iter().filter(|path| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
    assert!(
        paths.len() > 100,
        "only {} paths were found: is the document still written as this test reads it?",
        paths.len()
    );
    Ok(())
}

/// Every Rust file of the workspace, one after the other.
fn sources(folder: &Path, text: &mut String) -> Result {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, text)?;
        } else if name.ends_with(".rs") {
            text.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

#[test]
fn every_test_that_the_architecture_names_exists() -> Result {
    let named = quoted(&std::fs::read_to_string(root().join("ARCHITECTURE.md"))?);
    let is_test = |text: &&String| text.matches('_').count() >= 3 && !text.contains(['/', '.', ' ']);
    let mut code = String::new();
    sources(root(), &mut code)?;
    let tests: Vec<_> = named.iter().filter(is_test).collect();
    let missing: Vec<_> = tests.iter().filter(|test| !code.contains(&format!("fn {test}("))).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names tests that are not there: {missing:?}");
    assert!(tests.len() > 20, "only {} tests were found", tests.len());
    Ok(())
}

/// Writes each block of YAML whose first line says which file it is. How many.
fn write_examples(document: &str, folder: &Path) -> Result<usize> {
    let blocks = document.split("```yaml\n# ").skip(1).filter_map(|block| block.split("```").next()?.split_once('\n'));
    let mut written = 0;
    for (path, content) in blocks {
        let file = folder.join(path);
        std::fs::create_dir_all(file.parent().ok_or("a file is in a folder")?)?;
        std::fs::write(file, content)?;
        written += 1;
    }
    Ok(written)
}

#[test]
fn the_examples_of_the_configs_reference_are_a_valid_config_repository() -> Result {
    let folder = tempfile::tempdir()?;
    let written = write_examples(&std::fs::read_to_string(root().join("docs/config.md"))?, folder.path())?;
    assert!(written >= 6, "only {written} examples were found");
    let output = Command::new(Program::Lapdev.path()?).arg("validate").arg(folder.path()).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let summary = String::from_utf8(output.stderr)?;
    assert!(summary.starts_with("1 clusters, 1 catalogs, 3 environments: 0 errors"), "{summary}");
    Ok(())
}
