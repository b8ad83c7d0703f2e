//! A small shop, and a world around it, for the tests of the plan.

use super::{Confirmation, Limits, Observed, OpenPullRequests, Plan, PullRequest, Refs, Repository, plan};
use crate::load::{Config, Placed, Places};
use jiff::{SignedDuration, Timestamp};
use lapdev_api::{
    kinds::{
        AppCatalog, BranchEnvironments, BranchSelector, Cluster, Environment, Permissions, Placement, PullRequestRule,
        Source, Sync, Trigger, TriggerOn,
    },
    name::{ClusterName, Commit, Generation, Uid, short_id},
    record::{EnvironmentRecord, Life},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    str::FromStr,
};

/// A legal name of any kind.
pub fn name<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("a legal name")
}

/// The commit that consists of one number.
pub fn commit(number: u64) -> Commit {
    name(&format!("{number:040x}"))
}

/// So many hours after some midnight.
pub fn hour(hours: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + hours * 3600).expect("within the calendar")
}

fn placed<T>(value: T) -> Placed<T> {
    Placed { value, places: Places::default() }
}

/// Cluster `dev`, catalog `shop` on `acme/shop` with base `staging`, and what triggers its branches.
pub fn shop(on: Vec<TriggerOn>) -> Config {
    let on = on.into_iter().map(|on| Trigger { repository: name("acme/shop"), on }).collect();
    let mut config = Config::default();
    for cluster in ["dev", "other"] {
        let value = Cluster {
            name: name(cluster),
            labels: BTreeMap::new(),
            permissions: Permissions { personal: true, shared: true, intercept: false },
            source_namespaces: vec![],
            namespace_prefix: "lapdev-env-".to_owned(),
            preview_domain: None,
        };
        config.clusters.insert(name(cluster), placed(value));
    }
    let catalog = AppCatalog {
        name: name("shop"),
        source: Source::Path { path: "apps/shop".to_owned() },
        sync: Sync::Auto,
        workloads: vec![],
        previews: vec![],
        branch_environments: Some(BranchEnvironments {
            base: name("staging"),
            on,
            ttl: Some(SignedDuration::from_hours(72)),
            sleep_after: None,
            limit: 50,
        }),
    };
    config.catalogs.insert(name("shop"), placed(catalog));
    declare(&mut config, "staging", Placement::Shared { cluster: name("dev") });
    config
}

/// Adds or replaces an environment's file.
pub fn declare(config: &mut Config, environment: &str, placement: Placement) {
    let value = Environment {
        name: name(environment),
        catalog: name("shop"),
        placement,
        overrides: vec![],
        paused: false,
        ttl: None,
    };
    config.environments.insert(name(environment), placed(value));
}

/// A file for a branch of `acme/shop` beside `staging`.
pub fn branch_file(branch: &str) -> Placement {
    let branch = BranchSelector { repository: name("acme/shop"), branch: name(branch) };
    Placement::Branch { base: name("staging"), branch, owner: None }
}

/// The trigger on every pull request that is no draft.
pub fn pull_requests() -> TriggerOn {
    TriggerOn::PullRequests(PullRequestRule::default())
}

/// The trigger on some branches.
pub fn branches(pattern: &str) -> TriggerOn {
    TriggerOn::Branches(vec![pattern.to_owned()])
}

/// An open pull request of a branch of the repository itself.
pub fn pull_request(number: u64, branch: &str) -> PullRequest {
    let (head, head_ref) = (commit(1), name(branch));
    PullRequest { number, head, head_ref, fork: false, draft: false, labels: vec![] }
}

/// What there is, what can be seen of it, and what was planned so far.
pub struct World {
    pub config: Config,
    pub config_commit: Commit,
    pub repository: Repository,
    pub ledger: Vec<EnvironmentRecord>,
    pub now: Timestamp,
    pub limits: Limits,
    /// The clusters whose agents have said what they hold.
    pub heard_of: BTreeSet<ClusterName>,
    uids: u64,
}

impl World {
    /// A readable repository with only its default branch.
    pub fn new(config: Config) -> Self {
        let repository = Repository { id: Some(name("42")), ..Repository::default() };
        let mut world = Self {
            config,
            config_commit: commit(0xc0),
            repository,
            ledger: vec![],
            now: hour(0),
            limits: Limits::default(),
            heard_of: [name("dev"), name("other")].into(),
            uids: 0,
        };
        world.sees(&[], &[]);
        world
    }

    /// From now on a complete look finds these branches, each at a commit of its own, and these pull requests.
    pub fn sees(&mut self, branches: &[(&str, u64)], open: &[PullRequest]) {
        let main = [("main", 1)];
        let branches = main.iter().chain(branches).map(|(branch, head)| (name(branch), commit(*head))).collect();
        self.repository.refs = Refs::Complete { branches, default: Some(name("main")) };
        self.repository.pull_requests = OpenPullRequests::Complete(open.to_vec());
        self.repository.confirmations.clear();
    }

    /// What the next pass observes.
    pub fn observed(&self) -> Observed {
        let repositories = BTreeMap::from([(name("acme/shop"), self.repository.clone())]);
        let clusters_heard_of = self.heard_of.clone();
        Observed { config_commit: self.config_commit.clone(), repositories, clusters_heard_of }
    }

    /// One pass, its questions answered by `answer`, and written to the ledger as `publish` would.
    pub fn pass_asking(&mut self, answer: impl Fn(u64) -> Confirmation) -> Plan {
        let mut plan = self.plan();
        if !plan.asks.is_empty() {
            for (_, number) in &plan.asks {
                self.repository.confirmations.insert(*number, answer(*number));
            }
            plan = self.plan();
        }
        self.write(&plan);
        plan
    }

    /// One pass, in which the forge confirms that every pull request it is asked about ended.
    pub fn pass(&mut self) -> Plan {
        self.pass_asking(|_| Confirmation::Ended)
    }

    /// Plans and writes nothing.
    pub fn plan(&mut self) -> Plan {
        let observed = self.observed();
        let uids = &mut self.uids;
        let mut fresh = || uid(uids);
        plan(&self.config, &observed, &self.ledger, self.now, &self.limits, &mut fresh)
    }

    fn write(&mut self, plan: &Plan) {
        for planned in &plan.environments {
            let mut record = planned.record.clone();
            if record.life == Life::Live && record.generation == Generation(0) {
                record.generation = Generation(1);
                record.digest = Some(lapdev_api::digest::Digest::of(record.identity.uid.as_str().as_bytes()));
            }
            match self.ledger.iter_mut().find(|old| old.identity.uid == record.identity.uid) {
                Some(old) => *old = record,
                None => self.ledger.push(record),
            }
        }
    }

    /// Every cluster confirms that what was closing is gone.
    pub fn confirm_gone(&mut self) {
        for record in &mut self.ledger {
            if let Life::Closing { evidence, at } = &record.life {
                record.life = Life::Closed { evidence: evidence.clone(), at: *at };
            }
        }
    }

    /// The newest life of this name.
    pub fn life(&self, environment: &str) -> &EnvironmentRecord {
        self.find(environment).expect("such an environment")
    }

    /// The newest life of this name, if there ever was one.
    pub fn find(&self, environment: &str) -> Option<&EnvironmentRecord> {
        self.ledger.iter().rfind(|record| record.identity.name.as_str().starts_with(environment))
    }
}

fn uid(count: &mut u64) -> Uid {
    *count += 1;
    let mut random = [0; 10];
    random[2..].copy_from_slice(&count.to_be_bytes());
    name(&short_id(random))
}
