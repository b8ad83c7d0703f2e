//! Online Boutique, eleven services as published, as a catalog: real manifests that nobody wrote for lapdev.

use crate::{
    looks::{environment_of, gone, like, settled, steady, uid},
    scenario::{say, scenario},
};
use lapdev_tests::stage::{Error, Playbill, forge, within};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const NAMESPACE: &str = "lapdev-env-boutique";
/// The one whose path the branch changes.
const SERVICE: &str = "cartservice";

#[tokio::test]
async fn online_boutique_runs_shared_and_a_branch_adds_the_one_workload_that_it_changes() {
    let Some(shared) = std::env::var_os("LAPDEV_SHARED") else {
        say("left out, because LAPDEV_SHARED is not set: Online Boutique");
        return;
    };
    let source = PathBuf::from(shared).join("data/online-boutique/kustomize");
    assert!(source.is_dir(), "LAPDEV_SHARED is set, and {} is no folder", source.display());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let expected = objects(&source.join("base")).expect("the manifests can be read");
    let playbill = playbill(&source, folder.path()).expect("the repositories can be laid out");
    scenario("Online Boutique", &playbill, async |theatre| {
        settled(theatre, "boutique", None).await?;
        let base = steady(theatre).await?;
        let missing: Vec<_> = expected.iter().filter(|name| !base.contains_key(*name)).collect();
        within(missing.is_empty() && expected.len() >= 30, format!("of {} objects: {missing:?}", expected.len()))?;

        theatre.app.branch("feature/cart", "main")?;
        let head = theatre.app.write("feature/cart", &format!("src/{SERVICE}/main.txt"), "changed\n")?;
        let number = forge::open_pull(&theatre.github, "feature/cart", "Another cart")?;
        let name = environment_of(theatre, number).await?;
        let uid = uid(&settled(theatre, &name, Some(&head)).await?)?;
        let live = steady(theatre).await?;
        let added: BTreeSet<_> = live.keys().filter(|object| !base.contains_key(*object)).cloned().collect();
        let wanted = ["Deployment", "Service"].map(|kind| format!("{kind}/{NAMESPACE}/{SERVICE}--{name}"));
        let inventory = format!("ConfigMap/{NAMESPACE}/lapdev-<{name}>");
        let wanted: BTreeSet<_> = wanted.into_iter().chain([inventory]).collect();
        within(added == wanted, format!("added {added:?}, wanted {wanted:?}"))?;
        let touched: Vec<_> = base.iter().filter(|(name, object)| live.get(*name) != Some(*object)).collect();
        let table = format!("ConfigMap/{NAMESPACE}/lapdev-routes");
        within(touched.iter().all(|(name, _)| **name == table), format!("the branch touched its base: {touched:?}"))?;

        forge::close_pull(&theatre.github, number)?;
        gone(theatre, &name, &uid).await?;
        like(theatre, &base).await
    })
    .await;
}

/// The config repository with the manifests in it, and an application repository with a folder for each service.
fn playbill(source: &Path, folder: &Path) -> Result<Playbill, Error> {
    let (config, app) = (folder.join("config"), folder.join("app"));
    copy(source, &config.join("apps/boutique"))?;
    let services = services(&source.join("base"))?;
    let mut catalog = String::from(
        "apiVersion: lapdev.dev/v1alpha1\nkind: AppCatalog\nmetadata:\n  name: boutique\nspec:\n  source:\n    \
         path: apps/boutique\n  workloads:\n",
    );
    for service in &services {
        catalog +=
            &format!("    - name: {service}\n      repository: acme/shop\n      paths: [\"src/{service}/**\"]\n");
        fs::create_dir_all(app.join("src").join(service))?;
        fs::write(app.join("src").join(service).join("main.txt"), service)?;
    }
    catalog += "  previews:\n    - service: frontend\n      port: 80\n  branchEnvironments:\n    base: boutique\n    on:\n      \
                - repository: acme/shop\n        pullRequests: {}\n";
    let environment = "apiVersion: lapdev.dev/v1alpha1\nkind: Environment\nmetadata:\n  name: boutique\nspec:\n  \
                       type: Shared\n  catalog: boutique\n  cluster: dev\n";
    let cluster = "apiVersion: lapdev.dev/v1alpha1\nkind: Cluster\nmetadata:\n  name: dev\nspec:\n  permissions:\n    \
                   shared: true\n  namespacePrefix: lapdev-env-\n  previewDomain: preview.localhost\n";
    fs::create_dir_all(config.join("lapdev"))?;
    for (name, text) in [("boutique", catalog.as_str()), ("environment", environment), ("cluster", cluster)] {
        fs::write(config.join(format!("lapdev/{name}.yaml")), text)?;
    }
    Ok(Playbill { config, app, ..Playbill::default() })
}

/// The services, each a file of its name.
fn services(base: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(base)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if stem != "kustomization" {
            names.push(stem.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// `kind/namespace/name` of each object, read off the manifests' own lines rather than by a renderer.
fn objects(base: &Path) -> Result<BTreeSet<String>, Error> {
    let mut names = BTreeSet::new();
    for service in services(base)? {
        for document in fs::read_to_string(base.join(format!("{service}.yaml")))?.split("\n---") {
            let field = |prefix: &str| document.lines().find_map(|line| line.strip_prefix(prefix)).map(str::to_owned);
            if let (Some(kind), Some(name)) = (field("kind: "), field("  name: ")) {
                names.insert(format!("{kind}/{NAMESPACE}/{name}"));
            }
        }
    }
    Ok(names)
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            // Not `fs::copy`, which would also copy that the original may not be written.
            false => fs::write(target, fs::read(entry.path())?)?,
        }
    }
    Ok(())
}
