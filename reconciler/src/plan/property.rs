//! Random histories: whatever happens, and whatever the passes in between could see, nothing ends without a proof that
//! holds in the world, no ended life lives again, no identity ever has two lives in a cluster, and in the end it does
//! not matter when the passes ran.

use super::{
    Confirmation, OpenPullRequests, PullRequest, Refs, Subject,
    fixture::{World, branch_file, branches, commit, declare, name, pull_request, pull_requests, shop},
};
use lapdev_api::{
    kinds::{PullRequestRule, TriggerOn},
    name::{Commit, Uid},
    record::{EnvironmentRecord, Evidence, Life},
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    DeleteBranch(usize),
    Open(usize),
    Close(usize),
    Config(usize),
    /// A config commit that does not load: the last good one stays in force.
    BrokenConfig,
    Sight(Sight),
    Hours(u8),
    /// Agents report what is gone.
    Gone,
    /// The store is lost.
    Loss,
    /// The cluster's agent connects, and what it holds is adopted.
    Hello,
    Pass,
}

/// What a pass gets to see.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sight {
    All,
    NoRefs,
    EmptyRefs,
    NoPullRequests,
    Nothing,
    OtherRepository,
    /// The listing came back complete, the questions about single pull requests did not.
    NoAnswers,
    /// A listing that calls itself complete but has lost its pull requests, as from a stale replica.
    StaleListing,
}

/// What is really there.
#[derive(Default)]
struct Truth {
    branches: BTreeMap<usize, u64>,
    open: BTreeSet<usize>,
    opened: BTreeSet<usize>,
    pushes: u64,
    configs: u64,
}

struct History {
    truth: Truth,
    world: World,
    sight: Sight,
    config: usize,
    /// What the cluster holds, whatever the store knows.
    held: Vec<EnvironmentRecord>,
    ended: BTreeSet<Uid>,
}

const BRANCHES: usize = 5;

fn branch_name(index: usize) -> String {
    format!("feature/{index}")
}

fn config(index: usize) -> super::Config {
    let labelled =
        TriggerOn::PullRequests(PullRequestRule { labels: vec!["x".to_owned()], ..PullRequestRule::default() });
    let mut config = shop(match index {
        0 | 5 => vec![pull_requests()],
        1 => vec![pull_requests(), branches("feature/**")],
        2 => vec![],
        3 => vec![labelled],
        _ => vec![branches("feature/*")],
    });
    if index == 5 {
        declare(&mut config, "mine", branch_file(&branch_name(0)));
    }
    config
}

impl History {
    fn new() -> Self {
        let world = World::new(config(0));
        let truth = Truth::default();
        Self { truth, world, sight: Sight::All, config: 0, held: vec![], ended: BTreeSet::new() }
    }

    fn play(&mut self, step: &Step) {
        let truth = &mut self.truth;
        match step {
            Step::Push(branch) => {
                truth.pushes += 1;
                truth.branches.insert(*branch, 100 + truth.pushes);
            }
            // GitHub closes a pull request whose branch goes.
            Step::DeleteBranch(branch) => {
                truth.branches.remove(branch);
                truth.open.remove(branch);
            }
            Step::Open(branch) if truth.branches.contains_key(branch) => {
                truth.open.insert(*branch);
                truth.opened.insert(*branch);
            }
            Step::Close(branch) => {
                truth.open.remove(branch);
            }
            Step::Config(index) => {
                truth.configs += 1;
                self.config = *index;
                self.world.config = config(*index);
                self.world.config_commit = commit(0xc0 + truth.configs);
            }
            Step::Sight(sight) => self.sight = *sight,
            Step::Hours(hours) => self.world.now += jiff::SignedDuration::from_hours((*hours).into()),
            Step::Gone => self.gone(),
            Step::Loss => self.lose_the_store(),
            Step::Hello => self.hello(),
            Step::Pass => self.pass(),
            Step::Open(_) | Step::BrokenConfig => {}
        }
    }

    fn look(&mut self) {
        let refs = self.truth.branches.iter().map(|(branch, head)| (name(&branch_name(*branch)), commit(*head)));
        let main = (name("main"), commit(1));
        let refs = Refs::Complete { branches: refs.chain([main]).collect(), default: Some(name("main")) };
        let open = self.truth.open.iter().map(|branch| self.pull_request(*branch)).collect();
        let repository = &mut self.world.repository;
        repository.confirmations.clear();
        repository.id = Some(name("42"));
        repository.refs = refs;
        repository.pull_requests = OpenPullRequests::Complete(open);
        match self.sight {
            Sight::All | Sight::NoAnswers => {}
            Sight::NoRefs => repository.refs = Refs::Unreadable("timeout".to_owned()),
            Sight::EmptyRefs => repository.refs = Refs::Complete { branches: BTreeMap::new(), default: None },
            Sight::NoPullRequests => {
                repository.pull_requests = OpenPullRequests::Unavailable("502".to_owned());
            }
            Sight::Nothing => *repository = super::Repository::default(),
            Sight::OtherRepository => repository.id = Some(name("43")),
            Sight::StaleListing => repository.pull_requests = OpenPullRequests::Complete(vec![]),
        }
    }

    fn pull_request(&self, branch: usize) -> PullRequest {
        let head = commit(self.truth.branches[&branch]);
        PullRequest { head, ..pull_request(branch as u64 + 1, &branch_name(branch)) }
    }

    fn pass(&mut self) {
        self.look();
        let before: BTreeMap<Uid, Life> = self.world.ledger.iter().map(life).collect();
        let answers: BTreeMap<u64, Confirmation> =
            (0..BRANCHES).map(|branch| (branch as u64 + 1, self.answer(branch))).collect();
        self.world.pass_asking(|number| answers[&number].clone());
        let after = self.world.ledger.clone();
        for record in &after {
            let was = before.get(&record.identity.uid);
            let ends_now = |life: &Life| matches!(life, Life::Live | Life::Queued { .. });
            match &record.life {
                Life::Live | Life::Queued { .. } => {
                    assert!(!self.ended.contains(&record.identity.uid), "an ended uid lives again");
                }
                Life::Closing { evidence, .. } | Life::Closed { evidence, .. } if was.is_none_or(ends_now) => {
                    self.ended.insert(record.identity.uid.clone());
                    self.is_proven(record, evidence);
                }
                Life::Closing { .. } | Life::Closed { .. } => {}
            }
        }
        self.applies();
        self.has_one_life_of_each();
    }

    /// Whatever may run has the cluster for itself: no other life of the same identity is held there.
    fn has_one_life_of_each(&self) {
        for record in self.world.ledger.iter().filter(|record| record.life == Life::Live) {
            let subject = Subject::of(&record.identity);
            let all = self.held.iter().chain(self.world.ledger.iter().filter(|record| record.life == Life::Live));
            let other = all
                .map(|other| &other.identity)
                .find(|other| other.uid != record.identity.uid && Subject::of(other) == subject);
            assert!(other.is_none(), "{subject:?} lives as {} and as {other:?}", record.identity.uid);
        }
    }

    fn answer(&self, branch: usize) -> Confirmation {
        match self.sight {
            Sight::NoAnswers | Sight::NoPullRequests | Sight::Nothing => Confirmation::Unavailable("503".to_owned()),
            _ if self.truth.open.contains(&branch) => Confirmation::StillOpen(self.pull_request(branch)),
            _ if self.truth.opened.contains(&branch) => Confirmation::Ended,
            _ => Confirmation::Unavailable("404".to_owned()),
        }
    }

    /// The evidence must be true in the world, not only in what was seen of it.
    fn is_proven(&self, record: &EnvironmentRecord, evidence: &Evidence) {
        let subject = Subject::of(&record.identity);
        let here = format!("{subject:?} with {evidence} under config {} and {:?}", self.config, self.sight);
        let wanted = self.wanted().contains_key(&subject);
        let current = |commit: &Commit| *commit == self.world.config_commit;
        match evidence {
            Evidence::PullRequestClosed { numbers } => {
                assert!(!numbers.is_empty() && !wanted, "{here}");
                assert!(numbers.iter().all(|n| !self.truth.open.contains(&(*n as usize - 1))), "{here}");
            }
            Evidence::RefGone { branch } => {
                let exists = |index: &usize| branch_name(*index) == *branch;
                assert!(!self.truth.branches.keys().any(exists), "{here}");
            }
            Evidence::TriggerGone { commit } | Evidence::FileGone { commit } => {
                // A pull request that no listing ever showed cannot be missed: when the config drops the branch trigger
                // that an environment lived by, a listing that calls itself complete is believed.
                let never_shown = self.sight == Sight::StaleListing && record.pull_requests.is_empty();
                assert!(current(commit) && (!wanted || never_shown), "{here}");
            }
            Evidence::TtlEnded { at } => assert!(*at <= self.world.now, "{here}"),
            Evidence::Moved { .. } => panic!("no config of this test moves anything: {here}"),
            Evidence::Told { .. } => panic!("no plan says so: {here}"),
            Evidence::Superseded { by } => {
                let stays = self.world.ledger.iter().find(|record| record.identity.uid == *by);
                assert!(stays.is_some_and(|record| !matches!(record.life, Life::Closed { .. })), "{here}");
                let held = self.held.iter().any(|held| held.identity.uid == record.identity.uid);
                assert!(!held && record.digest.is_none(), "what was published is never superseded: {here}");
            }
        }
    }

    /// Which branch should have an environment now, and at which commit; by what is really there.
    fn wanted(&self) -> BTreeMap<Subject, u64> {
        let (by_branch, by_pull_request) = match self.config {
            0 | 5 => (false, true),
            1 => (true, true),
            4 => (true, false),
            _ => (false, false),
        };
        let is_wanted = |branch: &usize| {
            by_branch || by_pull_request && self.truth.open.contains(branch) || self.config == 5 && *branch == 0
        };
        let subject = |branch: usize| Subject::Branch {
            catalog: name("shop"),
            repository: name("42"),
            branch: name(&branch_name(branch)),
        };
        let branches = self.truth.branches.iter().filter(|(branch, _)| is_wanted(branch));
        branches.map(|(branch, head)| (subject(*branch), *head)).collect()
    }

    fn applies(&mut self) {
        for record in &self.world.ledger {
            let known = self.held.iter_mut().find(|held| held.identity.uid == record.identity.uid);
            match (known, &record.life) {
                (Some(held), _) => *held = record.clone(),
                (None, Life::Live) => self.held.push(record.clone()),
                (None, _) => {}
            }
        }
    }

    fn gone(&mut self) {
        self.world.confirm_gone();
        self.held.retain(|record| !matches!(record.life, Life::Closing { .. }));
    }

    fn lose_the_store(&mut self) {
        self.world.ledger.clear();
        self.world.heard_of.clear();
    }

    fn hello(&mut self) {
        self.world.heard_of = [name("dev"), name("other")].into();
        for mut record in self.held.clone() {
            let known = self.world.ledger.iter().any(|known| known.identity.uid == record.identity.uid);
            if !known {
                (record.digest, record.head) = (None, None);
                (record.reasons, record.pull_requests, record.problems) = (vec![], vec![], vec![]);
                (record.last_change, record.first_seen) = (self.world.now, self.world.now);
                self.world.ledger.push(record);
            }
        }
    }

    /// Sees everything, until nothing changes any more.
    fn comes_to_rest(&mut self) {
        self.sight = Sight::All;
        self.hello();
        for _ in 0..12 {
            let before = self.world.ledger.clone();
            self.pass();
            self.gone();
            if self.world.ledger == before {
                return;
            }
        }
        panic!("the plan does not come to rest: {:#?}", self.world.ledger);
    }

    fn live(&self) -> impl Iterator<Item = &EnvironmentRecord> {
        self.world.ledger.iter().filter(|record| record.life == Life::Live && record.identity.branch.is_some())
    }

    fn live_heads(&self) -> BTreeMap<Subject, Option<Commit>> {
        self.live().map(|record| (Subject::of(&record.identity), record.head.clone())).collect()
    }
}

fn life(record: &EnvironmentRecord) -> (Uid, Life) {
    (record.identity.uid.clone(), record.life.clone())
}

fn branch_step() -> impl Strategy<Value = Step> {
    let branch = 0..BRANCHES;
    prop_oneof![
        4 => branch.clone().prop_map(Step::Push),
        1 => branch.clone().prop_map(Step::DeleteBranch),
        4 => branch.clone().prop_map(Step::Open),
        3 => branch.prop_map(Step::Close),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let sight = prop_oneof![
        4 => Just(Sight::All),
        1 => Just(Sight::NoRefs),
        1 => Just(Sight::EmptyRefs),
        1 => Just(Sight::NoPullRequests),
        1 => Just(Sight::Nothing),
        1 => Just(Sight::OtherRepository),
        1 => Just(Sight::NoAnswers),
        1 => Just(Sight::StaleListing),
    ];
    prop_oneof![
        10 => branch_step(),
        8 => Just(Step::Pass),
        3 => sight.prop_map(Step::Sight),
        2 => (0usize..6).prop_map(Step::Config),
        1 => Just(Step::BrokenConfig),
        2 => (1u8..40).prop_map(Step::Hours),
        2 => Just(Step::Gone),
        1 => Just(Step::Loss),
        2 => Just(Step::Hello),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_ends_without_a_proof_that_holds(steps in prop::collection::vec(any_step(), 1..80)) {
        let mut history = History::new();
        for step in &steps {
            history.play(step);
        }
        history.comes_to_rest();
        let wanted = history.wanted();
        let live = history.live_heads();
        for (subject, head) in &wanted {
            let slept = history.world.ledger.iter().any(|record| {
                let ended = matches!(&record.life, Life::Closed { evidence: Evidence::TtlEnded { .. }, .. });
                ended && Subject::of(&record.identity) == *subject && record.head == Some(commit(*head))
            });
            // The life of the repository's namesake still has the file's name, and says that a person must decide.
            let name_taken = history.world.ledger.iter().any(|record| {
                let waits = matches!(&record.life, Life::Queued { reason } if reason.starts_with("another environment"));
                waits && Subject::of(&record.identity) == *subject
            });
            let as_wanted = live.get(subject) == Some(&Some(commit(*head)));
            prop_assert!(as_wanted || slept || name_taken, "{subject:?} at {head} is missing from {live:?}");
        }
        for record in history.live() {
            let known = wanted.contains_key(&Subject::of(&record.identity));
            prop_assert!(known || !record.problems.is_empty(), "{} lives and says not why", record.identity.name);
        }
    }

    #[test]
    fn the_end_state_does_not_depend_on_when_passes_ran(
        steps in prop::collection::vec((branch_step(), 0u8..3), 1..60),
        config in 0usize..6,
    ) {
        let play = |with_passes: bool| {
            let mut history = History::new();
            history.world.limits.deletion_share = 100;
            history.play(&Step::Config(config));
            for (step, passes) in &steps {
                history.play(step);
                // A nudge may come twice, late, or never.
                (0..if with_passes { *passes } else { 0 }).for_each(|_| history.pass());
            }
            history.comes_to_rest();
            history.live_heads()
        };
        prop_assert_eq!(play(true), play(false));
    }
}
