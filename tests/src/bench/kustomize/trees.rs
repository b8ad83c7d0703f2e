//! The trees that are rendered: those of the conformance corpus's generator (`gen_perf.py`), file by file, so that a
//! clone without the corpus measures the same. A test compares them where the corpus is.

use crate::stage::Error;
use std::{fmt::Write as _, fs, path::Path};

const HEAD: &str = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n";
/// Applications of most bases: three objects each.
const APPS: usize = 100;
/// Overlays of the base of `p04-50-overlays`.
const OVERLAYS: usize = 50;
/// Objects of `p05-base1000-files`, a file each.
const FILES: usize = 1000;

/// A deployment as a team writes it; `@` is its name.
const DEPLOYMENT: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: @
  labels:
    app.kubernetes.io/name: @
    tier: backend
  annotations:
    prometheus.io/scrape: "true"
    prometheus.io/port: "8080"
spec:
  replicas: 2
  revisionHistoryLimit: 5
  selector:
    matchLabels:
      app: @
  template:
    metadata:
      labels:
        app: @
    spec:
      serviceAccountName: default
      initContainers:
      - name: migrate
        image: registry.example.com/team/migrate:1.0.0
        command: ["sh", "-c", "echo migrate && exit 0"]
      containers:
      - name: app
        image: registry.example.com/team/@:1.0.0
        args:
        - --config=/etc/app/config.yaml
        - --log-level=info
        ports:
        - name: http
          containerPort: 8080
        - name: metrics
          containerPort: 9090
        env:
        - name: POD_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        - name: MODE
          valueFrom:
            configMapKeyRef:
              name: @
              key: mode
        envFrom:
        - configMapRef:
            name: @
        resources:
          requests: {cpu: 100m, memory: 128Mi}
          limits: {cpu: "1", memory: 512Mi}
        livenessProbe:
          httpGet: {path: /healthz, port: http}
          initialDelaySeconds: 10
        readinessProbe:
          httpGet: {path: /readyz, port: http}
        volumeMounts:
        - name: config
          mountPath: /etc/app
      volumes:
      - name: config
        configMap:
          name: @
"#;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: @\nspec:\n  selector:\n    app: @\n  ports:\n  - name: http\n    port: 80\n    targetPort: http\n  - name: metrics\n    port: 9090\n";

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: @\ndata:\n  mode: prod\n  config.yaml: |\n    server:\n      port: 8080\n      name: @\n    features:\n      - a\n      - b\n";

/// The objects of an application and the files' names for them.
const APP: [(&str, &str); 3] = [("deployment", DEPLOYMENT), ("service", SERVICE), ("configmap", CONFIG_MAP)];

/// Writes all trees below a folder.
///
/// # Errors
/// When the disk refuses.
pub fn write(root: &Path) -> Result<(), Error> {
    tiny(&root.join("p01-tiny"))?;
    base(&root.join("p03-overlay/base"))?;
    overlay(&root.join("p03-overlay/overlay"), 7, "../base")?;
    overlays(&root.join("p04-50-overlays"))?;
    thousand_files(&root.join("p05-base1000-files"))
}

fn tiny(root: &Path) -> Result<(), Error> {
    let images = "images:\n- name: registry.example.com/team/one\n  newTag: v2\n";
    file(root, "kustomization.yaml", &format!("{HEAD}resources:\n- d.yaml\nnamePrefix: x-\n{images}"))?;
    file(root, "d.yaml", &format!("{}---\n{}", named(DEPLOYMENT, "one"), named(CONFIG_MAP, "one")))
}

/// A base of 100 applications, a folder each.
fn base(root: &Path) -> Result<(), Error> {
    let mut resources = String::new();
    for name in (0..APPS).map(app) {
        for (what, template) in APP {
            file(root, &format!("{name}/{what}.yaml"), &named(template, &name))?;
            let _ = writeln!(resources, "- {name}/{what}.yaml");
        }
    }
    file(root, "kustomization.yaml", &format!("{HEAD}resources:\n{resources}"))
}

/// What a tenant changes: namespace, suffix, images, a count of replicas, a label, a patch.
fn overlay(root: &Path, tenant: usize, base: &str) -> Result<(), Error> {
    let (patched, scaled) = (app(tenant % APPS), app((tenant * 7 + 3) % APPS));
    file(
        root,
        "patch.yaml",
        &format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {patched}\nspec:\n  template:\n    spec:\n      \
             containers:\n      - name: app\n        env:\n        - name: TENANT\n          value: t{tenant:02}\n        \
             resources:\n          limits:\n            memory: 1Gi\n"
        ),
    )?;
    file(
        root,
        "kustomization.yaml",
        &format!(
            "{HEAD}resources:\n- {base}\nnamespace: tenant-{tenant:02}\nnameSuffix: -t{tenant:02}\nimages:\n\
             - name: registry.example.com/team/{patched}\n  newTag: 2.0.{tenant}\n\
             - name: registry.example.com/team/migrate\n  newName: mirror.example.com/migrate\n\
             replicas:\n- name: {scaled}\n  count: {}\nlabels:\n- pairs:\n    tenant: t{tenant:02}\n\
             patches:\n- path: patch.yaml\n",
            tenant % 5 + 3
        ),
    )
}

/// Fifty overlays of one base, and kustomizations of the first so many of them: 300 objects each.
fn overlays(root: &Path) -> Result<(), Error> {
    base(&root.join("base"))?;
    for tenant in 0..OVERLAYS {
        overlay(&root.join(format!("overlays/t{tenant:02}")), tenant, "../../base")?;
    }
    for count in [4, 10, OVERLAYS] {
        let resources: String = (0..count).map(|tenant| format!("- ../overlays/t{tenant:02}\n")).collect();
        file(root, &format!("aggregate{count}/kustomization.yaml"), &format!("{HEAD}resources:\n{resources}"))?;
    }
    Ok(())
}

/// A thousand objects in as many files of one folder, and an overlay that touches all of them.
fn thousand_files(root: &Path) -> Result<(), Error> {
    let mut resources = String::new();
    let all = (0..).map(app).flat_map(|name| APP.map(|(what, template)| (name.clone(), what, template)));
    for (name, what, template) in all.take(FILES) {
        file(root, &format!("base/{name}-{what}.yaml"), &named(template, &name))?;
        let _ = writeln!(resources, "- {name}-{what}.yaml");
    }
    file(root, "base/kustomization.yaml", &format!("{HEAD}resources:\n{resources}"))?;
    let changes = "namePrefix: p-\nnamespace: big\nlabels:\n- pairs:\n    env: prod\n  includeSelectors: true\n\
                   commonAnnotations:\n  owner: team\n";
    file(root, "overlay/kustomization.yaml", &format!("{HEAD}resources:\n- ../base\n{changes}"))
}

fn app(number: usize) -> String {
    format!("svc-{number:04}")
}

fn named(template: &str, name: &str) -> String {
    template.replace('@', name)
}

fn file(root: &Path, name: &str, text: &str) -> Result<(), Error> {
    let path = root.join(name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, io, process::Command};

    fn read(root: &Path, below: &Path, all: &mut BTreeMap<String, String>) -> io::Result<()> {
        for entry in fs::read_dir(below)? {
            let path = entry?.path();
            if path.is_dir() {
                read(root, &path, all)?;
            } else {
                let name = path.strip_prefix(root).expect("below the root").display().to_string();
                all.insert(name, fs::read_to_string(&path)?);
            }
        }
        Ok(())
    }

    #[test]
    fn the_trees_are_those_of_the_corpus() -> Result<(), Error> {
        let Some(shared) = std::env::var_os("LAPDEV_SHARED") else {
            let _ = io::Write::write_all(&mut io::stderr(), b"left out, because LAPDEV_SHARED is not set\n");
            return Ok(());
        };
        let (theirs, ours) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let generator = Path::new(&shared).join("conformance/kustomize/gen_perf.py");
        let made = Command::new("python3").arg(generator).arg(theirs.path()).output()?;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        write(ours.path())?;
        let (mut expected, mut files) = (BTreeMap::new(), BTreeMap::new());
        read(theirs.path(), theirs.path(), &mut expected)?;
        read(ours.path(), ours.path(), &mut files)?;
        // Smaller than any of the generator's: growth is measured from it.
        assert!(files.remove("p04-50-overlays/aggregate4/kustomization.yaml").is_some());
        assert!(files.len() > 1500, "{} files", files.len());
        for (name, text) in &files {
            assert_eq!(Some(text), expected.get(name), "{name}");
        }
        for part in ["p01-tiny/", "p03-overlay/", "p04-50-overlays/", "p05-base1000-files/"] {
            let count = |all: &BTreeMap<String, String>| all.keys().filter(|name| name.starts_with(part)).count();
            assert_eq!(count(&files), count(&expected), "{part}");
        }
        Ok(())
    }
}
