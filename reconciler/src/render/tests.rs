//! A shop of five services: what a base and a branch of it are made of.

mod hostile;

use super::{
    BranchSource, Choice, Chosen, Context, RenderError, Rendered, RouterSettings, Sourced, base, branch, choose,
};
use lapdev_api::{
    bundle::{BranchIdentity, Bundle, Identity},
    key::EnvironmentKey,
    kinds::{
        Access, AppCatalog, EnvironmentType, ImageRule, Override, Port, Preview, PreviewPath, Source, Sync,
        WorkloadRule,
    },
    name::{Commit, EnvironmentName, RepositoryName},
};
use lapdev_kustomize::{MemoryFileSystem, Options, TreePath, render_source};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    str::FromStr,
};

fn name<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("a legal name")
}

fn service(name: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: 3\n  selector: \
         {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      \
         serviceAccountName: {name}\n      containers:\n      - name: {name}\n        image: ghcr.io/acme/{name}:v1\n        \
         envFrom: [{{configMapRef: {{name: settings}}}}, {{secretRef: {{name: keys}}}}]\n---\napiVersion: v1\nkind: \
         Service\nmetadata: {{name: {name}}}\nspec:\n  type: NodePort\n  selector: {{app: {name}}}\n  ports: [{{name: \
         http, port: 80, targetPort: 8080, nodePort: 30080}}]\n"
    )
}

const QUEUE: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: queue}
spec:
  serviceName: queue
  selector: {matchLabels: {app: queue}}
  template:
    metadata: {labels: {app: queue}}
    spec: {containers: [{name: queue, image: redis:7, volumeMounts: [{name: data, mountPath: /data}]}]}
  volumeClaimTemplates:
  - {metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
---
apiVersion: v1
kind: Service
metadata: {name: queue}
spec: {clusterIP: None, selector: {app: queue}, ports: [{port: 6379}]}
";

const REST: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, maxReplicas: 9}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: clean}
spec:
  schedule: '@daily'
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: clean, image: busybox}]}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api}
spec: {podSelector: {matchLabels: {app: api}}}
";

fn tree(settings: &str) -> MemoryFileSystem {
    let kustomization = "resources: [web.yaml, api.yaml, cart.yaml, mail.yaml, queue.yaml, rest.yaml]\n\
                         configMapGenerator: [{name: banner, literals: [text=hello]}]\n";
    let mut tree = MemoryFileSystem::new()
        .with("kustomization.yaml", format!("{kustomization}generatorOptions: {{disableNameSuffixHash: true}}\n"))
        .with("queue.yaml", QUEUE)
        .with(
            "rest.yaml",
            format!("{REST}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {settings}\n"),
        );
    for workload in ["web", "api", "cart", "mail"] {
        tree.insert(&format!("{workload}.yaml"), service(workload));
    }
    tree
}

fn rendered(tree: &MemoryFileSystem) -> Vec<Sourced> {
    let objects = render_source(tree, &TreePath::root(), &Options::default()).expect("the shop renders");
    objects.into_iter().map(Sourced::from).collect()
}

fn shop() -> Vec<Sourced> {
    rendered(&tree("{LOG: info}"))
}

fn rule(workload: &str) -> WorkloadRule {
    let image = (workload != "queue").then(|| ImageRule {
        container: workload.to_owned(),
        name: format!("ghcr.io/acme/{workload}"),
        tag: if workload == "cart" { "{pathSha}".to_owned() } else { "{sha}".to_owned() },
    });
    WorkloadRule {
        name: workload.to_owned(),
        repository: name("acme/shop"),
        paths: vec![format!("services/{workload}/**")],
        image,
    }
}

fn catalog() -> AppCatalog {
    let port = || Port::Name("http".to_owned());
    AppCatalog {
        name: name("shop"),
        source: Source::Path { path: "apps/shop".to_owned() },
        sync: Sync::Auto,
        workloads: ["web", "api", "cart"].map(rule).to_vec(),
        previews: vec![Preview {
            service: "web".to_owned(),
            port: port(),
            access: Access::Organization,
            paths: BTreeMap::from([("/api".to_owned(), PreviewPath { service: "api".to_owned(), port: port() })]),
        }],
        branch_environments: None,
    }
}

fn branch_identity() -> BranchIdentity {
    let (catalog, repository_id, branch) = (name("shop"), name("42"), name("feature/x"));
    let key = EnvironmentKey::derive(&catalog, &repository_id, &branch);
    BranchIdentity { key, base: name("staging"), repository_id, repository: name("acme/shop"), branch }
}

fn context(branch: Option<BranchIdentity>) -> Context {
    let named: EnvironmentName = branch.as_ref().map_or_else(|| name("staging"), |branch| name(branch.key.as_str()));
    let environment_type = if branch.is_some() { EnvironmentType::Branch } else { EnvironmentType::Shared };
    Context {
        control_plane: name("cccccccccccccccc"),
        identity: Identity {
            uid: name("uuuuuuuuuuuuuuuu"),
            name: named,
            environment_type,
            catalog: name("shop"),
            branch,
        },
        namespace: name("lapdev-env-staging"),
        preview_domain: Some("preview.example.com".to_owned()),
        expires_at: None,
        router: RouterSettings::default(),
    }
}

fn head() -> Commit {
    name(&"d".repeat(40))
}

fn chosen(workloads: &[&str]) -> Chosen {
    let workloads = workloads.iter().map(|workload| ((*workload).to_owned(), vec!["asked".to_owned()])).collect();
    Chosen { workloads, left_out: vec![] }
}

struct Case {
    catalog: AppCatalog,
    base: Vec<Sourced>,
    head: Vec<Sourced>,
    chosen: Chosen,
    base_overrides: Vec<Override>,
    overrides: Vec<Override>,
    path_commits: BTreeMap<String, Commit>,
    variables: BTreeMap<String, String>,
}

impl Case {
    fn of(workloads: &[&str]) -> Self {
        Self {
            catalog: catalog(),
            base: shop(),
            head: shop(),
            chosen: chosen(workloads),
            base_overrides: vec![],
            overrides: vec![],
            path_commits: BTreeMap::new(),
            variables: BTreeMap::new(),
        }
    }

    fn try_render(&self) -> Result<Rendered, RenderError> {
        let (identity, head_commit) = (branch_identity(), head());
        let source = BranchSource {
            catalog: &self.catalog,
            branch: &identity,
            base: &self.base,
            base_overrides: &self.base_overrides,
            head: &self.head,
            chosen: &self.chosen,
            head_commit: &head_commit,
            path_commits: &self.path_commits,
            variables: &self.variables,
            overrides: &self.overrides,
        };
        branch(&source, &context(Some(identity.clone())))
    }

    fn render(&self) -> Rendered {
        self.try_render().expect("it renders")
    }
}

fn objects(rendered: &Rendered) -> Vec<Value> {
    let bundle: Value = serde_json::from_slice(rendered.bundle.bytes()).expect("JSON");
    bundle["objects"].as_array().expect("a list").clone()
}

fn names(objects: &[Value]) -> Vec<String> {
    objects.iter().map(|object| format!("{}/{}", text(object, "/kind"), text(object, "/metadata/name"))).collect()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {object:#}"))
}

fn find(objects: &[Value], kind: &str, named: &str) -> Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == named);
    found.unwrap_or_else(|| panic!("no {kind}/{named} in {:?}", names(objects))).clone()
}

fn render_base(source: &[Sourced], overrides: &[Override]) -> Result<Rendered, RenderError> {
    base(source, &context(None), &catalog(), overrides, &BTreeSet::new())
}

#[test]
fn a_branch_bundle_of_one_workload_is_this() {
    let key = branch_identity().key;
    let rendered = Case::of(&["web"]).render();
    let shown = serde_json::to_string_pretty(&objects(&rendered)).expect("JSON").replace(key.as_str(), "KEY");
    insta::assert_snapshot!("branch_of_web", shown);
}

#[test]
fn every_object_of_a_base_carries_its_owner_and_no_selector_does() {
    let rendered = render_base(&shop(), &[]).expect("it renders");
    let objects = objects(&rendered);
    // Three of its Services are routed: as many originals, the router's five objects, and its NetworkPolicy, since one of
    // the source closes a workload to everybody.
    assert_eq!(objects.len(), shop().len() + 3 + 5 + 1);
    for object in &objects {
        assert_eq!(object["metadata"]["namespace"], "lapdev-env-staging");
        assert_eq!(object["metadata"]["labels"]["lapdev.dev/environment"], "uuuuuuuuuuuuuuuu");
        assert_eq!(object["metadata"]["labels"]["lapdev.dev/control-plane"], "cccccccccccccccc");
        let selector = object["spec"]["selector"].to_string();
        assert!(!selector.contains("uuuuuuuuuuuuuuuu") && !selector.contains("cccccccccccccccc"), "{selector}");
    }
    let baseline = |object: Value, pointer: &str| assert_eq!(text(&object, pointer), "baseline");
    baseline(find(&objects, "Deployment", "web"), "/spec/selector/matchLabels/lapdev.dev~1branch");
    baseline(find(&objects, "Deployment", "web"), "/spec/template/metadata/labels/lapdev.dev~1branch");
    baseline(find(&objects, "StatefulSet", "queue"), "/spec/selector/matchLabels/lapdev.dev~1branch");
    baseline(find(&objects, "Service", "web--baseline"), "/spec/selector/lapdev.dev~1branch");
    baseline(find(&objects, "PodDisruptionBudget", "web"), "/spec/selector/matchLabels/lapdev.dev~1branch");
    let cron = find(&objects, "CronJob", "clean");
    baseline(cron, "/spec/jobTemplate/spec/template/metadata/labels/lapdev.dev~1branch");
    assert_eq!(find(&objects, "NetworkPolicy", "api")["spec"]["podSelector"]["matchLabels"], json!({"app": "api"}));
}

#[test]
fn only_a_shared_environment_is_routed() {
    let personal = Context {
        identity: Identity { environment_type: EnvironmentType::Personal, ..context(None).identity },
        ..context(None)
    };
    let rendered = base(&shop(), &personal, &catalog(), &[], &BTreeSet::new()).expect("it renders");
    assert_eq!(objects(&rendered).len(), shop().len());
    let shared = objects(&render_base(&shop(), &[]).expect("it renders"));
    let web = find(&shared, "Service", "web");
    assert_eq!(web["spec"]["selector"], json!({"lapdev.dev/router": "true", "lapdev.dev/branch": "baseline"}));
    let original = find(&shared, "Service", "web--baseline");
    assert_eq!(original["spec"]["selector"], json!({"app": "web", "lapdev.dev/branch": "baseline"}));
    let binding = find(&shared, "RoleBinding", "lapdev-router");
    assert_eq!(text(&binding, "/subjects/0/namespace"), "lapdev-env-staging");
    let router = find(&shared, "Deployment", "lapdev-router");
    let labels = &router["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["lapdev.dev/branch"], "baseline");
    assert_eq!(find(&shared, "Service", "mail")["spec"]["selector"]["app"], "mail", "nobody maps it");
}

#[test]
fn the_same_inputs_give_the_same_bytes_in_whatever_order_they_come() {
    let mut reversed = shop();
    reversed.reverse();
    let one = render_base(&shop(), &[]).expect("it renders");
    assert_eq!(one.bundle, render_base(&reversed, &[]).expect("it renders").bundle);
    let mut case = Case::of(&["web", "api"]);
    let one = case.render();
    case.head.reverse();
    case.base.reverse();
    assert_eq!(one, case.render());
}

#[test]
fn only_what_the_branch_changes_is_in_it() {
    let key = branch_identity().key;
    let all = names(&objects(&Case::of(&["api", "web"]).render()));
    let expected =
        ["Service/api", "Service/web", "Deployment/api", "Deployment/web"].map(|name| format!("{name}--{key}"));
    assert_eq!(all, expected);
}

#[test]
fn a_config_map_is_copied_only_when_it_differs_from_the_bases() {
    let mut case = Case::of(&["web"]);
    case.head = rendered(&tree("{LOG: debug}"));
    let all = objects(&case.render());
    let key = branch_identity().key;
    let copy = find(&all, "ConfigMap", &format!("settings--{key}"));
    assert_eq!(copy["data"], json!({"LOG": "debug"}));
    let web = find(&all, "Deployment", &format!("web--{key}"));
    let sources = &web["spec"]["template"]["spec"]["containers"][0]["envFrom"];
    assert_eq!(
        *sources,
        json!([{"configMapRef": {"name": format!("settings--{key}")}}, {"secretRef": {"name": "keys"}}])
    );
    assert_eq!(names(&all).iter().filter(|name| name.starts_with("ConfigMap/")).count(), 1);
}

#[test]
fn a_changed_config_map_rolls_its_readers() {
    let digest = |settings: &str| {
        let objects = objects(&render_base(&rendered(&tree(settings)), &[]).expect("it renders"));
        text(&find(&objects, "Deployment", "web"), "/spec/template/metadata/annotations/lapdev.dev~1config-digest")
            .to_owned()
    };
    assert_ne!(digest("{LOG: info}"), digest("{LOG: debug}"));
    assert_eq!(digest("{LOG: info}"), digest("{LOG: info}"));
}

#[test]
fn references_in_variables_volumes_and_projections_follow_the_copy() {
    let mut case = Case::of(&["web"]);
    let spec = json!({
        "volumes": [
            {"name": "a", "configMap": {"name": "settings"}},
            {"name": "b", "projected": {"sources": [{"configMap": {"name": "settings"}}, {"secret": {"name": "keys"}}]}},
            {"name": "c", "persistentVolumeClaim": {"claimName": "uploads"}},
        ],
        "initContainers": [{"name": "i", "env": [{"name": "L", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "LOG"}}}]}],
    });
    case.head = rendered(&tree("{LOG: debug}"));
    let web = case
        .head
        .iter_mut()
        .find(|object| object.value["kind"] == "Deployment" && object.value["metadata"]["name"] == "web");
    let pod = &mut web.expect("the shop has it").value["spec"]["template"]["spec"];
    spec.as_object().expect("a mapping").iter().for_each(|(key, value)| pod[key] = value.clone());
    let key = branch_identity().key;
    let copy = format!("settings--{key}");
    let web = find(&objects(&case.render()), "Deployment", &format!("web--{key}"));
    let pod = &web["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][0]["configMap"]["name"], copy.as_str());
    assert_eq!(pod["volumes"][1]["projected"]["sources"][0]["configMap"]["name"], copy.as_str());
    assert_eq!(pod["volumes"][2], json!({"name": "c", "emptyDir": {}}), "the base's data is not shared");
    assert_eq!(pod["initContainers"][0]["env"][1]["valueFrom"]["configMapKeyRef"]["name"], copy.as_str());
    assert_eq!(pod["initContainers"][0]["env"][0], json!({"name": "LAPDEV_KEY", "value": key.as_str()}));
}

#[test]
fn a_mapped_stateful_set_runs_with_empty_volumes_under_its_own_service() {
    let mut case = Case::of(&["queue"]);
    case.catalog.workloads.push(rule("queue"));
    let all = objects(&case.render());
    let key = branch_identity().key;
    let queue = find(&all, "StatefulSet", &format!("queue--{key}"));
    assert_eq!(queue["spec"]["serviceName"], format!("queue--{key}"));
    assert_eq!(queue["spec"].get("volumeClaimTemplates"), None);
    assert_eq!(queue["spec"]["template"]["spec"]["volumes"], json!([{"name": "data", "emptyDir": {}}]));
    assert_eq!(find(&all, "Service", &format!("queue--{key}"))["spec"].get("clusterIP"), None, "it can be dialled");
}

#[test]
fn an_image_rule_names_the_head_or_the_last_commit_under_its_paths() {
    let mut case = Case::of(&["web", "cart"]);
    assert!(matches!(case.try_render(), Err(RenderError::NoPathCommit { workload }) if workload == "cart"));
    let under_paths: Commit = name(&"e".repeat(40));
    case.path_commits.insert("cart".to_owned(), under_paths.clone());
    let all = objects(&case.render());
    let key = branch_identity().key;
    let image = |workload: &str| {
        let deployment = find(&all, "Deployment", &format!("{workload}--{key}"));
        text(&deployment, "/spec/template/spec/containers/0/image").to_owned()
    };
    assert_eq!(image("web"), format!("ghcr.io/acme/web:{}", head()));
    assert_eq!(image("cart"), format!("ghcr.io/acme/cart:{under_paths}"));
}

#[test]
fn a_branch_runs_one_replica_with_the_bases_overrides_below_its_own() {
    let mut case = Case::of(&["web"]);
    let env = |value: &str| BTreeMap::from([("LOG".to_owned(), value.to_owned()), (value.to_owned(), "1".to_owned())]);
    let of_base = Override { workload: "web".to_owned(), replicas: Some(5), env: env("base"), ..Override::default() };
    case.base_overrides = vec![of_base, Override { workload: "gone".to_owned(), ..Override::default() }];
    case.variables = BTreeMap::from([("LOG".to_owned(), "file".to_owned())]);
    case.overrides = vec![Override { workload: "web".to_owned(), env: env("own"), ..Override::default() }];
    let key = branch_identity().key;
    let web = find(&objects(&case.render()), "Deployment", &format!("web--{key}"));
    assert_eq!(web["spec"]["replicas"], 1);
    let variables = web["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("a list");
    let value = |named: &str| variables.iter().find(|v| v["name"] == named).map(|v| v["value"].clone());
    assert_eq!((value("LOG"), value("base"), value("own")), (Some("own".into()), Some("1".into()), Some("1".into())));
    assert_eq!(value("LAPDEV_KEY"), Some(key.as_str().into()));
}

#[test]
fn overrides_change_replicas_image_variables_and_any_field_by_patch() {
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "resources": {"limits": {"memory": "1Gi"}}}]}}}});
    let change = Override {
        workload: "web".to_owned(),
        replicas: Some(2),
        image: Some("ghcr.io/acme/web:v2".to_owned()),
        env: BTreeMap::from([("LOG".to_owned(), "debug".to_owned())]),
        patches: vec![patch],
    };
    let objects = objects(&render_base(&shop(), &[change]).expect("it renders"));
    let web = find(&objects, "Deployment", "web");
    let container = &web["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(web["spec"]["replicas"], 2);
    assert_eq!(container["image"], "ghcr.io/acme/web:v2");
    assert_eq!(container["env"], json!([{"name": "LOG", "value": "debug"}]));
    assert_eq!(container["resources"]["limits"]["memory"], "1Gi");
}

#[test]
fn an_override_for_nothing_says_what_there_is() {
    let change = |workload: &str| Override { workload: workload.to_owned(), ..Override::default() };
    let error = render_base(&shop(), &[change("wbe")]).expect_err("a typo");
    assert!(error.to_string().ends_with("it has api, cart, mail, queue, web"), "{error}");
    let rename = Override { patches: vec![json!({"metadata": {"name": "other"}})], ..change("web") };
    assert!(matches!(render_base(&shop(), &[rename]), Err(RenderError::PatchRenames { .. })));
}

#[test]
fn what_does_not_belong_into_an_environment_is_refused_with_its_place() {
    let refused = |yaml: &str| {
        let tree = MemoryFileSystem::new().with("a.yaml", yaml);
        render_base(&rendered(&tree), &[]).expect_err("refused").to_string()
    };
    let secret = refused("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n");
    assert!(secret.starts_with("a.yaml:1:1: Secret s carries data") && !secret.contains("hunter2"), "{secret}");
    let role = refused("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\n");
    assert!(role.contains("belongs to the whole cluster"), "{role}");
    let foreign = refused("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: prod}\n");
    assert!(foreign.contains("names the namespace prod"), "{foreign}");
    let ours = refused("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: lapdev-routes}\n");
    assert!(ours.starts_with("a.yaml:1:1: ConfigMap lapdev-routes has the name of the routing table"), "{ours}");
    let reference = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
    let tree = MemoryFileSystem::new().with("a.yaml", reference);
    assert!(render_base(&rendered(&tree), &[]).is_ok(), "without data it is only a name");
}

#[test]
fn a_preview_goes_through_the_bases_service_where_that_is_routed_and_else_to_the_branchs_own() {
    let key = branch_identity().key;
    let mut case = Case::of(&["api", "mail"]);
    // Nobody maps mail: its Service may not be taken over yet. The queue's is headless.
    let paths = &mut case.catalog.previews[0].paths;
    for service in ["mail", "queue"] {
        paths.insert(format!("/{service}"), PreviewPath { service: service.to_owned(), port: Port::Number(80) });
    }
    let rendered = case.render();
    let preview = &rendered.notes.previews[0];
    assert_eq!(preview.host, format!("web--{key}.preview.example.com"));
    assert!(!preview.branch);
    let routes: Vec<(&str, &str)> =
        preview.routes.iter().map(|(path, to)| (path.as_str(), to.service.as_str())).collect();
    let mail = format!("mail--{key}");
    assert_eq!(routes, [("/", "web"), ("/api", "api"), ("/mail", mail.as_str()), ("/queue", "queue")]);
    let base = render_base(&shop(), &[]).expect("it renders");
    assert_eq!(base.notes.previews[0].host, "web--staging.preview.example.com");
    assert!(base.notes.problems.is_empty());
}

#[test]
fn every_preview_of_the_catalog_is_offered_and_says_whether_the_branch_changes_it() {
    let mut case = Case::of(&["api"]);
    for service in ["api", "queue"] {
        case.catalog.previews.push(Preview {
            service: service.to_owned(),
            port: Port::Number(80),
            access: Access::Organization,
            paths: BTreeMap::new(),
        });
    }
    let rendered = case.render();
    let offered: Vec<(&str, bool)> = rendered.notes.previews.iter().map(|p| (p.service.as_str(), p.branch)).collect();
    assert_eq!(offered, [("web", false), ("api", true), ("queue", false)]);
    let bundle: Bundle = serde_json::from_slice(rendered.bundle.bytes()).expect("JSON");
    let dialled: Vec<&str> = bundle.previews.iter().map(|target| target.service.as_str()).collect();
    assert_eq!(dialled, ["api", "api", "queue", "web"], "by two names of one port");
}

fn choice<'a>(catalog: &'a AppCatalog, repository: &'a RepositoryName, head: &'a [Sourced]) -> Choice<'a> {
    Choice { catalog, repository, changed: &[], before: None, head, asked: &[], overrides: &[] }
}

#[test]
fn paths_choose_their_workloads_and_say_so() {
    let (catalog, repository, head) = (catalog(), name("acme/shop"), shop());
    let changed = ["README.md", "services/web/a.rs", "services/web/b.rs"].map(str::to_owned);
    let chosen = choose(&Choice { changed: &changed, ..choice(&catalog, &repository, &head) }).expect("it chooses");
    let expected =
        BTreeMap::from([("web".to_owned(), vec!["the branch changes services/web/a.rs and 1 more file".to_owned()])]);
    assert_eq!(chosen.workloads, expected);
    let other = name("acme/other");
    let chosen = choose(&Choice { changed: &changed, ..choice(&catalog, &other, &head) }).expect("it chooses");
    assert_eq!(chosen, Chosen::default(), "another repository's paths say nothing about ours");
}

#[test]
fn a_manifest_that_differs_from_the_merge_base_chooses_its_workload() {
    let (catalog, repository, before) = (catalog(), name("acme/shop"), shop());
    let unchanged = choose(&Choice { before: Some(&before), ..choice(&catalog, &repository, &before) });
    assert_eq!(unchanged.expect("it chooses"), Chosen::default());
    let head = rendered(&tree("{LOG: debug}").with("mail.yaml", service("mail").replace("replicas: 3", "replicas: 4")));
    let chosen = choose(&Choice { before: Some(&before), ..choice(&catalog, &repository, &head) }).expect("it chooses");
    let names: Vec<&str> = chosen.workloads.keys().map(String::as_str).collect();
    assert_eq!(names, ["api", "cart", "mail", "web"], "all four read the settings, and no other does");
    assert_eq!(chosen.workloads["mail"], ["its manifest differs from the one at the merge base"]);
    assert_eq!(chosen.workloads["web"], ["ConfigMap settings differs from the one at the merge base"]);
}

#[test]
fn a_stateful_set_that_nobody_mapped_is_left_out_with_a_reason() {
    let (catalog, repository, before) = (catalog(), name("acme/shop"), shop());
    let head = rendered(&tree("{LOG: info}").with("queue.yaml", QUEUE.replace("redis:7", "redis:8")));
    let chosen = choose(&Choice { before: Some(&before), ..choice(&catalog, &repository, &head) }).expect("it chooses");
    assert!(chosen.workloads.is_empty());
    assert!(chosen.left_out[0].text.contains("only if `workloads` maps it"), "{:?}", chosen.left_out);
}

#[test]
fn a_branch_file_adds_workloads_by_name() {
    let (catalog, repository, head) = (catalog(), name("acme/shop"), shop());
    let asked = ["mail".to_owned()];
    let chosen = choose(&Choice { asked: &asked, ..choice(&catalog, &repository, &head) }).expect("it chooses");
    assert_eq!(chosen.workloads["mail"], [".lapdev.yaml adds it"]);
    let typo = ["mial".to_owned()];
    assert!(choose(&Choice { asked: &typo, ..choice(&catalog, &repository, &head) }).is_err());
}
