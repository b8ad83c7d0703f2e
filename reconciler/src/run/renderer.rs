//! Renders what a plan asks for, out of the mirrors: first the branches, then the bases, which route what their branches
//! run. Every rendering is remembered by its inputs, so that a pass in which nothing changed renders nothing. Blocking: it
//! reads git.

use super::{
    beside::Beside,
    error_chain,
    memo::Memo,
    source::{Objects, Place, Revision, Sources, place},
    world::World,
};
use crate::{
    git::Mirror,
    load::{BRANCH_FILE, BranchFile, Globs, branch_file},
    plan::{Planned, Work},
    publish::Outcome,
    render::{BranchSource, Choice, Context, Rendered, base, branch, choose},
};
use lapdev_api::{
    bundle::BranchIdentity,
    digest::Digest,
    kinds::{AppCatalog, EnvironmentType, Override, WorkloadRule},
    name::{CatalogName, Commit, Uid},
    record::EnvironmentRecord,
};
use lapdev_kustomize::TreePath;
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

/// How far back `{pathSha}` is looked for, in commits.
const HISTORY: usize = 10_000;

/// The renderer and its memory.
#[derive(Debug, Default)]
pub(super) struct Renderer {
    sources: Sources,
    merge_bases: Memo<(Commit, Commit), Option<Commit>>,
    branch_files: Memo<Commit, BranchFile>,
    rendered: Memo<Digest, Arc<Rendered>>,
}

/// One pass over a plan.
struct Round<'w> {
    world: &'w World,
    planned: &'w [Planned],
    catalogs: BTreeMap<CatalogName, Digest>,
    beside: &'w Beside,
}

/// What came of rendering, by environment.
pub(super) type Outcomes = BTreeMap<Uid, Outcome>;

impl Renderer {
    /// Renders the branches that are to be rendered.
    pub fn branches(&mut self, world: &World, planned: &[Planned]) -> Outcomes {
        let is_branch = |one: &&Planned| one.record.identity.branch.is_some();
        self.each(world, planned, is_branch, &Beside::default())
    }

    /// Renders the others, beside which the branches run what `beside` says. The round ends with it.
    pub fn bases(&mut self, world: &World, planned: &[Planned], beside: &Beside) -> Outcomes {
        let is_base = |one: &&Planned| one.record.identity.branch.is_none();
        let outcomes = self.each(world, planned, is_base, beside);
        self.sources.sweep();
        self.merge_bases.sweep();
        self.rendered.sweep();
        outcomes
    }

    fn each(
        &mut self,
        world: &World,
        planned: &[Planned],
        which: impl Fn(&&Planned) -> bool,
        beside: &Beside,
    ) -> Outcomes {
        let catalogs = world.in_force.config.catalogs.iter();
        let catalogs = catalogs.map(|(name, catalog)| (name.clone(), digest(&catalog.value))).collect();
        let round = Round { world, planned, catalogs, beside };
        let mut outcomes = Outcomes::new();
        for one in planned.iter().filter(which) {
            let Work::Render { overrides, pin } = &one.work else { continue };
            let outcome = match self.one(&round, &one.record, overrides, pin.as_ref()) {
                Ok((rendered, source)) => Outcome::Rendered(rendered, Some(source)),
                Err(message) => Outcome::Failed(message),
            };
            outcomes.insert(one.record.identity.uid.clone(), outcome);
        }
        outcomes
    }

    /// What the branch of a planned environment asks for in its own file.
    pub fn branch_file(&mut self, world: &World, record: &EnvironmentRecord) -> Result<BranchFile, String> {
        let (Some(branch), Some(head)) = (&record.identity.branch, &record.head) else {
            return Ok(BranchFile::default());
        };
        let seen = world.repository_of(branch).ok_or("its repository was not read yet")?;
        // What a fork says about itself does not count; the file of the default branch does, whatever branch it aims at.
        let commit = match crate::plan::fork_number(&branch.branch) {
            None => head,
            Some(_) => {
                let refs = &seen.repository.refs;
                refs.default_branch().and_then(|default| super::world::tip(refs, default)).ok_or("no default branch")?
            }
        };
        let mirror = seen.mirror.as_ref().ok_or("its repository was not read yet")?;
        self.branch_files.get(commit.clone(), || read_branch_file(mirror, commit))
    }

    /// Forgets the files of branches that nobody asked for since the last time.
    pub fn forget_branch_files(&mut self) {
        self.branch_files.sweep();
    }

    fn one(
        &mut self,
        round: &Round<'_>,
        record: &EnvironmentRecord,
        overrides: &[Override],
        pin: Option<&Commit>,
    ) -> Result<(Arc<Rendered>, Commit), String> {
        let name = &record.identity.catalog;
        let catalog = round.world.in_force.config.catalogs.get(name).ok_or_else(|| format!("no catalog {name}"))?;
        match &record.identity.branch {
            None => self.base(round, record, catalog, overrides, pin),
            Some(branch) => self.branch(round, record, catalog, branch, overrides),
        }
    }

    fn base(
        &mut self,
        round: &Round<'_>,
        record: &EnvironmentRecord,
        catalog: &AppCatalog,
        overrides: &[Override],
        pin: Option<&Commit>,
    ) -> Result<(Arc<Rendered>, Commit), String> {
        let place = place(round.world, catalog, Revision { pin, last: record.source.as_ref() })?;
        let source = self.sources.objects(&place)?;
        let context = context(round.world, record);
        let run = round.beside.run(record, &source.objects)?;
        let key = digest(&("base", key_of(&context), round.catalogs.get(&catalog.name), source.key, overrides, &run));
        let make =
            || base(&source.objects, &context, catalog, overrides, &run).map(Arc::new).map_err(|e| error_chain(&e));
        Ok((self.rendered.get(key, make)?, place.commit))
    }

    fn branch(
        &mut self,
        round: &Round<'_>,
        record: &EnvironmentRecord,
        catalog: &AppCatalog,
        branch: &BranchIdentity,
        overrides: &[Override],
    ) -> Result<(Arc<Rendered>, Commit), String> {
        let world = round.world;
        let seen = world.repository_of(branch).ok_or("its repository was not read yet")?;
        let mirror = seen.mirror.as_ref().ok_or("its repository was not read yet")?;
        let head = record.head.as_ref().ok_or("its branch was not seen yet")?;
        let merge_base = self.merge_base(world, catalog, branch, mirror, head)?;
        let (base_overrides, base_revision) = round.base_of(branch);
        let base_place = place(world, catalog, base_revision)?;
        let base_source = self.sources.objects(&base_place)?;
        let inside = world.holds_source(branch, catalog);
        let (before, head_source) = match inside {
            true => {
                let at = |commit: &Commit| Place { mirror, commit: commit.clone(), ..base_place.clone() };
                // What does not render at the merge base is no reason to fail: then everything counts as new. What cannot be
                // read or fetched just now is one, or the branch would run everything until it can.
                let before = self.sources.look(&at(&merge_base));
                let before =
                    before.map_err(|why| format!("what it departs from, {merge_base}, is not known: {why}"))?;
                (before.ok(), self.sources.objects(&at(head))?)
            }
            false => (None, base_source.clone()),
        };
        let file = self.branch_file(world, record)?;
        let context = context(world, record);
        let asked = (&file.workloads, &file.env);
        let sources = (base_source.key, before.as_ref().map(|before| before.key), head_source.key, inside);
        let commits = (&merge_base, head);
        let catalog_key = round.catalogs.get(&catalog.name);
        let key =
            digest(&("branch", key_of(&context), catalog_key, sources, commits, base_overrides, overrides, asked));
        let task = BranchTask {
            catalog,
            branch,
            mirror,
            head,
            merge_base: &merge_base,
            base: &base_source,
            base_overrides,
            before: before.as_ref(),
            inside,
            head_source: &head_source,
            file: &file,
            overrides,
        };
        let rendered = self.rendered.get(key, || task.render(&context).map(Arc::new))?;
        let source = if inside { head.clone() } else { base_place.commit };
        Ok((rendered, source))
    }

    fn merge_base(
        &mut self,
        world: &World,
        catalog: &AppCatalog,
        branch: &BranchIdentity,
        mirror: &Mirror,
        head: &Commit,
    ) -> Result<Commit, String> {
        let trunk = world.trunk(branch, catalog).ok_or("the default branch of its repository is not known")?;
        let seen = world.repository_of(branch).ok_or("its repository was not read yet")?;
        let refs = &seen.repository.refs;
        let tip = super::world::tip(refs, &trunk).ok_or_else(|| {
            format!("{} has no branch {trunk}, from which {} departs", branch.repository, branch.branch)
        })?;
        let find = || mirror.merge_base(tip, head).map_err(|error| error_chain(&error));
        let found = self.merge_bases.get((tip.clone(), head.clone()), find)?;
        found.ok_or_else(|| format!("{} has no commit in common with {trunk}; rebase it", branch.branch))
    }
}

impl<'w> Round<'w> {
    /// The overrides of a base, and the revision that it is rendered from.
    fn base_of(&self, branch: &BranchIdentity) -> (&'w [Override], Revision<'w>) {
        let file = self.world.in_force.config.environments.get(&branch.base);
        let is_base = |one: &&Planned| one.record.identity.name == branch.base && one.record.identity.branch.is_none();
        let revision = self.planned.iter().find(is_base).map(|one| {
            let last = one.record.source.as_ref();
            match &one.work {
                Work::Render { pin, .. } => Revision { pin: pin.as_ref(), last },
                // It runs what was last published.
                Work::Keep => Revision { pin: last, last },
            }
        });
        (file.map_or(&[], |file| file.value.overrides.as_slice()), revision.unwrap_or_default())
    }
}

/// Everything that one branch is rendered from.
struct BranchTask<'t> {
    catalog: &'t AppCatalog,
    branch: &'t BranchIdentity,
    mirror: &'t Mirror,
    head: &'t Commit,
    merge_base: &'t Commit,
    base: &'t Objects,
    base_overrides: &'t [Override],
    before: Option<&'t Objects>,
    inside: bool,
    head_source: &'t Objects,
    file: &'t BranchFile,
    overrides: &'t [Override],
}

impl BranchTask<'_> {
    fn render(&self, context: &Context) -> Result<Rendered, String> {
        let changed = self.mirror.changed_paths(self.merge_base, self.head).map_err(|error| error_chain(&error))?;
        let before = self.before.map(|before| before.objects.as_slice());
        let chosen = choose(&Choice {
            catalog: self.catalog,
            repository: &self.branch.repository,
            changed: &changed,
            before: if self.inside { Some(before.unwrap_or_default()) } else { None },
            head: &self.head_source.objects,
            asked: &self.file.workloads,
            overrides: self.overrides,
        });
        let chosen = chosen.map_err(|error| error_chain(&error))?;
        let rules = self.catalog.workloads.iter().filter(|rule| chosen.workloads.contains_key(&rule.name));
        let path_commits = self.path_commits(rules)?;
        let source = BranchSource {
            catalog: self.catalog,
            branch: self.branch,
            base: &self.base.objects,
            base_overrides: self.base_overrides,
            head: &self.head_source.objects,
            chosen: &chosen,
            head_commit: self.head,
            path_commits: &path_commits,
            variables: &self.file.env,
            overrides: self.overrides,
        };
        branch(&source, context).map_err(|error| error_chain(&error))
    }

    fn path_commits<'r>(
        &self,
        rules: impl Iterator<Item = &'r WorkloadRule>,
    ) -> Result<BTreeMap<String, Commit>, String> {
        let mut commits = BTreeMap::new();
        let speaks_of_paths = |rule: &&WorkloadRule| rule.image.as_ref().is_some_and(|i| i.tag.contains("{pathSha}"));
        for rule in rules.filter(speaks_of_paths) {
            let globs = Globs::new(&rule.paths).map_err(|error| error_chain(&error))?;
            let found = self.mirror.last_commit_touching(self.head, &globs, HISTORY).map_err(|e| error_chain(&e))?;
            commits.extend(found.map(|commit| (rule.name.clone(), commit)));
        }
        Ok(commits)
    }
}

fn read_branch_file(mirror: &Mirror, commit: &Commit) -> Result<BranchFile, String> {
    let tree = mirror.tree(commit).map_err(|error| error_chain(&error))?;
    let Some(path) = TreePath::parse(BRANCH_FILE) else { return Ok(BranchFile::default()) };
    let Some(bytes) = tree.file(&path).map_err(|error| error_chain(&error))? else { return Ok(BranchFile::default()) };
    branch_file(BRANCH_FILE, &bytes).map_err(|errors| {
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        match errors.len() {
            0 | 1 => first,
            more => format!("{first} (and {} more)", more - 1),
        }
    })
}

fn context(world: &World, record: &EnvironmentRecord) -> Context {
    let cluster = world.in_force.config.clusters.get(&record.cluster);
    Context {
        control_plane: world.control_plane.clone(),
        identity: record.identity.clone(),
        namespace: record.namespace.clone(),
        preview_domain: cluster.and_then(|cluster| cluster.preview_domain.clone()),
        // An agent that ended a base by itself would take its branches along; the control plane waits for them.
        expires_at: record.expires_at.filter(|_| record.identity.environment_type != EnvironmentType::Shared),
        router: world.router.clone(),
    }
}

fn key_of(context: &Context) -> impl Serialize + '_ {
    let Context { control_plane, identity, namespace, preview_domain, expires_at, router } = context;
    (control_plane, identity, namespace, preview_domain, expires_at, router)
}

fn digest(inputs: &impl Serialize) -> Digest {
    Digest::of(&serde_json::to_vec(inputs).expect("names, numbers and lists can always be written"))
}
