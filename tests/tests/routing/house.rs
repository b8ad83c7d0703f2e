//! The house that all tests here play in: everybody with real pods, started by the first test that enters. It ends with
//! the process: the cluster's watcher takes down what lies in its namespaces, and its folder.

use lapdev_tests::stage::{Cast, Error, Playbill, SERVICES, Steps, forge, until, within};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    sync::LazyLock,
    time::{Duration, Instant},
};
use tokio::{runtime::Runtime, sync::Mutex};

/// How long anything may take on a machine that is busy with something else.
pub const LIMIT: Duration = Duration::from_secs(90);
/// Where the shop lives.
pub const NAMESPACE: &str = "lapdev-env-staging";
/// The port of each of its Services.
pub const PORT: u16 = 8080;
/// A sixth service, which the catalog does not map and which nobody calls.
pub const UNMAPPED: &str = "mail";
/// Set to 1 to leave out what needs root; it is then said on stderr.
const SKIP: &str = "LAPDEV_TESTS_SKIP_NODES";

/// A branch of the shop's repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// Its ref.
    pub branch: &'static str,
    /// The services that it changes.
    pub services: &'static [&'static str],
    /// Its `.lapdev.yaml`.
    pub asks: Option<&'static str>,
}

/// Changes a service in the middle of the chain.
pub const CART: Branch = Branch { branch: "feature/cart", services: &["cart"], asks: None };
/// Changes two that follow each other, to the end of the chain.
pub const GOODS: Branch = Branch { branch: "feature/goods", services: &["catalog", "stock"], asks: None };
/// Changes the first and a last one, with an unchanged one between.
pub const FRONT: Branch = Branch { branch: "feature/front", services: &["web", "pricing"], asks: None };

/// The house.
pub struct House {
    /// Everybody.
    pub cast: Cast,
    /// What tests say.
    pub steps: Steps,
    open: BTreeMap<&'static str, Living>,
}

/// A branch with an open pull request.
#[derive(Debug, Clone)]
pub struct Living {
    /// The pull request.
    pub number: u64,
    /// The environment's name, which is its key.
    pub key: String,
}

/// Plays one test in the house.
pub fn play(name: &str, act: impl AsyncFnOnce(&mut House) -> Result<(), Error>) {
    // One runtime for all, because the house outlives each test.
    static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(Runtime::new);
    static HOUSE: Mutex<Option<Result<House, String>>> = Mutex::const_new(None);
    if std::env::var(SKIP).is_ok_and(|skip| skip == "1") {
        use io::Write as _;
        // A reader that went away is no failure of the test.
        let _ = writeln!(io::stderr(), "routing: left out, because {SKIP}=1: {name}");
        return;
    }
    let runtime = RUNTIME.as_ref().expect("a runtime");
    runtime.block_on(async {
        let mut house = HOUSE.lock().await;
        let begun = Instant::now();
        if house.is_none() {
            *house = Some(House::open().await.map_err(|error| error.to_string()));
        }
        let house = match house.as_mut().expect("it was just put there") {
            Ok(house) => house,
            Err(error) => panic!("{name}: the house does not open: {error} (or leave this out: {SKIP}=1)"),
        };
        if let Err(error) = act(house).await {
            panic!("{name}: {error}\n{}", house.cast.logs().await);
        }
        house.steps.say(&format!("{name}: {:.1} s", begun.elapsed().as_secs_f64()));
    });
}

impl House {
    async fn open() -> Result<Self, Error> {
        let steps = Steps::of_test("routing");
        let folder = tempfile::tempdir()?;
        let cast = Cast::enter(&steps, &playbill(folder.path())?).await?;
        cast.images().greeting(UNMAPPED, "main", "This is mail.").await?;
        steps.step("the agent connects", cast.agent()).await?;
        cast.invite().await?;
        let house = Self { cast, steps, open: BTreeMap::new() };
        match house.steps.step("staging is Ready", house.cast.ready("staging", None)).await {
            Ok(_) => Ok(house),
            Err(error) => Err(format!("{error}\n{}", house.cast.logs().await).into()),
        }
    }

    /// The key of a branch, which has an open pull request and is Ready from now on.
    pub async fn open_branch(&mut self, branch: Branch) -> Result<String, Error> {
        if let Some(living) = self.open.get(branch.branch) {
            // Whatever an earlier test that failed left it in.
            self.cast.ready(&living.key, None).await?;
            return Ok(living.key.clone());
        }
        let (number, head) = self.propose(branch).await?;
        let key = self.cast.environment_of(number).await?;
        self.cast.ready(&key, Some(&head)).await?;
        Ok(key)
    }

    /// Pushes a branch, builds its images and opens a pull request of it: its number and head commit.
    pub async fn propose(&mut self, branch: Branch) -> Result<(u64, String), Error> {
        let head = self.push(branch).await?;
        let number = forge::open_pull(&self.cast.github, branch.branch, branch.branch)?;
        let key = self.cast.environment_of(number).await?;
        self.open.insert(branch.branch, Living { number, key });
        Ok((number, head))
    }

    /// That its pull request is closed is known.
    pub fn forget(&mut self, branch: Branch) {
        self.open.remove(branch.branch);
    }

    /// Pushes a commit that changes each of the branch's services, with its images; the commit.
    pub async fn push(&self, branch: Branch) -> Result<String, Error> {
        let app = &self.cast.app;
        if app.head(branch.branch).is_err() {
            app.branch(branch.branch, "main")?;
        }
        // Distinct at each push, and every service in one commit.
        let greeting = format!("This is {} after {}.\n", branch.branch, app.head(branch.branch)?);
        let paths: Vec<_> = branch.services.iter().map(|service| format!("services/{service}/greeting.txt")).collect();
        let mut files: Vec<_> = paths.iter().map(|path| (path.as_str(), Some(greeting.as_str()))).collect();
        files.extend(branch.asks.map(|asks| (".lapdev.yaml", Some(asks))));
        let head = app.change(branch.branch, "change", &files)?;
        for service in branch.services {
            // The unmapped one has no image of each commit.
            if *service != UNMAPPED {
                self.cast.images().service(app, branch.branch, service, &head).await?;
            }
        }
        Ok(head)
    }

    /// Closes a branch's pull request and waits until nothing of it is left.
    pub async fn close_branch(&mut self, branch: Branch) -> Result<(), Error> {
        let Some(living) = self.open.remove(branch.branch) else { return Ok(()) };
        forge::close_pull(&self.cast.github, living.number)?;
        self.cast.gone(NAMESPACE, &living.key).await
    }

    /// The pods that a selector finds, none of which is ending.
    pub async fn pods(&self, selector: &str) -> Result<Vec<String>, Error> {
        let get = ["get", "pods", "-n", NAMESPACE, "-l", selector, "-o", "json"];
        let list: Value = serde_json::from_str(&self.cast.cluster.kubectl(&get, "").await?)?;
        let items = list["items"].as_array().into_iter().flatten();
        let living = items.filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none());
        let ready = |pod: &&Value| {
            let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
            conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
        };
        let name = |pod: &Value| pod.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
        Ok(living.filter(ready).filter_map(name).collect())
    }

    /// Waits until exactly so many pods of a selector are ready, and gives them.
    pub async fn so_many_pods(&self, selector: &str, number: usize) -> Result<Vec<String>, Error> {
        until(&format!("{number} ready pods of {selector}"), LIMIT, async || {
            let pods = self.pods(selector).await?;
            within(pods.len() == number, format!("{pods:?}"))?;
            Ok(pods)
        })
        .await
    }
}

/// The shop as in the examples, and one service more, which the catalog does not map.
fn playbill(folder: &Path) -> Result<Playbill, Error> {
    let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop");
    copy(&shop.join("config"), folder)?;
    let apps = folder.join("apps/shop");
    let [web, kustomization] = ["web.yaml", "kustomization.yaml"].map(|file| fs::read_to_string(apps.join(file)));
    let alone = |line: &str| {
        if line.contains("cart=") { "              value: \"\"".to_owned() } else { line.replace("web", UNMAPPED) }
    };
    let lines: Vec<_> = web?.lines().map(alone).collect();
    fs::write(apps.join(format!("{UNMAPPED}.yaml")), lines.join("\n"))?;
    let kustomization = kustomization?.replace("  - stock.yaml\n", &format!("  - stock.yaml\n  - {UNMAPPED}.yaml\n"));
    let image = format!("images:\n  - {{name: localhost/shop/{UNMAPPED}, newTag: main}}\n");
    fs::write(apps.join("kustomization.yaml"), kustomization.replace("images:\n", &image))?;
    Ok(Playbill { config: folder.to_owned(), ..Playbill::default() })
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => fs::write(target, fs::read(entry.path())?)?,
        }
    }
    Ok(())
}

/// Whether the shop has this service.
pub fn is_known(service: &str) -> bool {
    SERVICES.contains(&service) || service == UNMAPPED
}
