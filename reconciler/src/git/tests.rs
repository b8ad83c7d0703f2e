//! Mirrors of real repositories on disk: what is fetched, what is kept, what is read.

use super::*;
use crate::load::Globs;
use git2::{Oid, Repository, Signature, Time};
use lapdev_api::name::Commit;
use lapdev_kustomize::{FileSystem, TreePath};
use std::{collections::BTreeSet, fs, path::Path, time::Duration};
use tempfile::TempDir;

/// A repository that a test writes, without a work tree.
pub(super) struct Origin {
    pub repository: Repository,
    pub folder: TempDir,
}

impl Origin {
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut options = git2::RepositoryInitOptions::new();
        let repository =
            Repository::init_opts(folder.path(), options.bare(true).initial_head("main")).expect("a repository");
        Self { repository, folder }
    }

    pub fn url(&self) -> RepositoryUrl {
        RepositoryUrl::from_path(self.folder.path()).expect("an absolute path")
    }

    /// A commit on a branch, whose tree is the parent's with these files written; `None` removes one.
    pub fn commit(&self, branch: &str, parents: &[&Commit], files: &[(&str, Option<&str>)]) -> Commit {
        let repository = &self.repository;
        let parents: Vec<_> =
            parents.iter().map(|id| repository.find_commit(oid(id)).expect("the parent is there")).collect();
        let base = parents.first().map(|parent| parent.tree().expect("its tree"));
        let empty = repository.treebuilder(None).and_then(|b| b.write()).expect("an empty tree");
        let base = base.unwrap_or_else(|| repository.find_tree(empty).expect("the empty tree"));
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, content) in files {
            match content {
                Some(text) => {
                    let (mode, text) = match text.strip_prefix("-> ") {
                        Some(target) => (git2::FileMode::Link, target),
                        None => (git2::FileMode::Blob, *text),
                    };
                    update.upsert(*path, repository.blob(text.as_bytes()).expect("a blob"), mode);
                }
                None => drop(update.remove(*path)),
            }
        }
        let tree = update.create_updated(repository, &base).expect("a tree");
        self.commit_tree(branch, &parents, tree)
    }

    pub fn commit_tree(&self, branch: &str, parents: &[git2::Commit<'_>], tree: Oid) -> Commit {
        let time = Time::new(1_700_000_000 + parents.len() as i64, 0);
        let who = Signature::new("Ann", "ann@example.com", &time).expect("a signature");
        let tree = self.repository.find_tree(tree).expect("the tree");
        let parents: Vec<_> = parents.iter().collect();
        let id =
            self.repository.commit(None, &who, &who, "A subject\n\nand a body", &tree, &parents).expect("a commit");
        self.point(branch, id);
        listing::commit(id)
    }

    pub fn point(&self, branch: &str, id: Oid) {
        self.repository.reference(&format!("refs/heads/{branch}"), id, true, "test").expect("a branch");
    }

    pub fn delete(&self, branch: &str) {
        let mut reference = self.repository.find_reference(&format!("refs/heads/{branch}")).expect("the branch");
        reference.delete().expect("it can be deleted");
    }
}

pub(super) fn oid(commit: &Commit) -> Oid {
    Oid::from_str(commit.as_str()).expect("a full id")
}

/// Short, because a test waits for it.
pub(super) fn settings() -> GitSettings {
    GitSettings { silence: Duration::from_secs(2), ..GitSettings::default() }
}

pub(super) fn mirrors(folder: &Path) -> Mirrors {
    Mirrors::open(folder.join("mirrors"), settings()).expect("a writable folder")
}

pub(super) fn path(text: &str) -> TreePath {
    TreePath::parse(text).expect("inside")
}

async fn fetch(mirrors: &Mirrors, origin: &Origin) -> Fetched {
    mirrors.fetch(&origin.url(), &BTreeSet::new()).await.expect("the origin can be read")
}

fn refs(fetched: &Fetched) -> &Refs {
    fetched.listing.complete().expect("a complete listing")
}

#[tokio::test]
async fn a_fetch_follows_pushes_force_pushes_and_deletions() {
    let origin = Origin::new();
    let first = origin.commit("main", &[], &[("a", Some("1"))]);
    origin.commit("feature/x", &[&first], &[("b", Some("1"))]);
    let home = TempDir::new().expect("a temporary folder");
    let mirrors = mirrors(home.path());

    let fetched = fetch(&mirrors, &origin).await;
    assert!(fetched.changed);
    assert_eq!(refs(&fetched).default_branch().map(ToString::to_string).as_deref(), Some("main"));
    assert_eq!(refs(&fetched).branches().len(), 2);
    assert!(!fetch(&mirrors, &origin).await.changed, "the second time nothing differs");

    let forced = origin.commit("feature/x", &[], &[("c", Some("1"))]);
    let main = "main".parse().expect("legal");
    let branch = "feature/x".parse().expect("legal");
    let fetched = fetch(&mirrors, &origin).await;
    assert_eq!((refs(&fetched).branch(&branch), refs(&fetched).branch(&main)), (Some(&forced), Some(&first)));

    // `feature` cannot exist beside `feature/x` on disk: removals come first.
    origin.delete("feature/x");
    origin.point("feature", oid(&first));
    let fetched = fetch(&mirrors, &origin).await;
    let names: Vec<_> = refs(&fetched).branches().keys().map(ToString::to_string).collect();
    assert_eq!((fetched.changed, names), (true, vec!["feature".to_owned(), "main".to_owned()]));
}

#[tokio::test]
async fn heads_of_pull_requests_come_when_asked_for() {
    let origin = Origin::new();
    let first = origin.commit("main", &[], &[("a", Some("1"))]);
    let fork = origin.commit("fork", &[&first], &[("b", Some("1"))]);
    origin.repository.reference("refs/pull/7/head", oid(&fork), true, "test").expect("a ref");
    origin.delete("fork");
    let home = TempDir::new().expect("a temporary folder");
    let mirrors = mirrors(home.path());

    assert_eq!(refs(&fetch(&mirrors, &origin).await).pull(7), None, "nobody asked");
    let fetched = mirrors.fetch(&origin.url(), &BTreeSet::from([7, 8])).await.expect("the origin can be read");
    assert_eq!((refs(&fetched).pull(7), refs(&fetched).pull(8)), (Some(&fork), None));
    assert!(fetched.mirror.has(&fork) && fetched.changed);
    let again = mirrors.fetch(&origin.url(), &BTreeSet::from([7, 8])).await.expect("the origin can be read");
    assert!(!again.changed);
}

#[tokio::test]
async fn an_empty_answer_is_no_evidence_when_there_were_branches() {
    let origin = Origin::new();
    let home = TempDir::new().expect("a temporary folder");
    let mirrors = mirrors(home.path());
    assert_eq!(refs(&fetch(&mirrors, &origin).await).branches().len(), 0, "a new repository may be empty");

    let first = origin.commit("main", &[], &[("a", Some("1"))]);
    fetch(&mirrors, &origin).await;
    origin.delete("main");
    let fetched = fetch(&mirrors, &origin).await;
    assert_eq!(fetched.listing, Listing::Suspicious { had: 1 });
    assert!(fetched.mirror.has(&first));
    origin.point("main", oid(&first));
    assert!(!fetch(&mirrors, &origin).await.changed, "the mirror kept what it had");
}

#[tokio::test]
async fn a_repository_that_is_gone_is_an_error_and_keeps_the_mirror() {
    let origin = Origin::new();
    let first = origin.commit("main", &[], &[("a", Some("1"))]);
    let home = TempDir::new().expect("a temporary folder");
    let mirrors = mirrors(home.path());
    let url = origin.url();
    fetch(&mirrors, &origin).await;
    drop(origin);
    let error = mirrors.fetch(&url, &BTreeSet::new()).await.expect_err("nothing is there");
    assert!(matches!(error, GitError::Remote { .. }), "{error:?}");
    let mirror = mirrors.mirror(&url).expect("it opens").expect("it is kept");
    assert!(mirror.has(&first));
}

/// Every state that a kill in the middle can leave, made by hand.
#[tokio::test]
async fn a_half_written_mirror_is_fetched_anew() {
    let origin = Origin::new();
    let first = origin.commit("main", &[], &[("a", Some("1"))]);
    let home = TempDir::new().expect("a temporary folder");
    let folder = home.path().join("mirrors");
    let only = || {
        let mut entries: Vec<_> =
            fs::read_dir(&folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.remove(0)
    };
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 4] = [
        ("objects gone", |mirror| {
            fs::remove_dir_all(mirror.join("objects/pack")).expect("packs");
            fs::create_dir(mirror.join("objects/pack")).expect("no packs");
        }),
        ("no HEAD", |mirror| fs::remove_file(mirror.join("HEAD")).expect("HEAD")),
        ("a file in its place", |mirror| {
            fs::remove_dir_all(mirror).expect("the mirror");
            fs::write(mirror, "x").expect("a file");
        }),
        ("an empty folder", |mirror| {
            fs::remove_dir_all(mirror).expect("the mirror");
            fs::create_dir(mirror).expect("a folder");
        }),
    ];
    for (what, damage) in damages {
        fetch(&mirrors(home.path()), &origin).await;
        damage(&only());
        fs::create_dir_all(folder.join(".unfinished-1-1/objects")).expect("a leftover");
        let mirrors = mirrors(home.path());
        let fetched = fetch(&mirrors, &origin).await;
        assert!(fetched.changed && fetched.mirror.tree(&first).is_ok(), "{what}");
        only();
    }
}

/// What is private at the forge stays so here; a folder that somebody made is theirs to share.
#[test]
fn the_folder_of_mirrors_is_for_its_owner_alone_unless_it_was_there() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = TempDir::new().expect("a temporary folder");
    let mode = |folder: &Path| fs::metadata(folder).expect("a folder").permissions().mode() & 0o777;
    let (made, shared) = (home.path().join("data/git"), home.path().join("shared"));
    Mirrors::open(&made, settings()).expect("made");
    assert_eq!((mode(&made), mode(&home.path().join("data"))), (0o700, 0o700));
    fs::create_dir(&shared).expect("made");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o750)).expect("shared");
    Mirrors::open(&shared, settings()).expect("opened");
    assert_eq!(mode(&shared), 0o750);
}

/// As kill -9 leaves them while refs are written.
#[tokio::test]
async fn refs_that_a_killed_process_left_locked_are_written_by_the_next_one() {
    let origin = Origin::new();
    let first = origin.commit("feature/x", &[], &[("a", Some("1"))]);
    let home = TempDir::new().expect("a temporary folder");
    fetch(&mirrors(home.path()), &origin).await;
    let mirror = fs::read_dir(home.path().join("mirrors")).expect("a folder").next().expect("one").expect("it").path();
    for lock in ["refs/heads/feature/x.lock", "packed-refs.lock", "config.lock"] {
        fs::write(mirror.join(lock), "").expect("a leftover");
    }
    let second = origin.commit("feature/x", &[&first], &[("a", Some("2"))]);
    let fetched = fetch(&mirrors(home.path()), &origin).await;
    assert!(fetched.changed && fetched.mirror.tree(&second).is_ok());
}

#[tokio::test]
async fn a_mirror_that_is_damaged_while_it_is_open_heals_too() {
    let origin = Origin::new();
    let first = origin.commit("main", &[], &[("a", Some("1"))]);
    let home = TempDir::new().expect("a temporary folder");
    let mirrors = mirrors(home.path());
    fetch(&mirrors, &origin).await;
    let mirror = fs::read_dir(home.path().join("mirrors")).expect("a folder").next().expect("one").expect("it").path();
    fs::remove_dir_all(mirror).expect("as the message of an error says");
    let fetched = fetch(&mirrors, &origin).await;
    assert_eq!(fetched.mirror.tree(&first).expect("the tree").file(&path("a")).expect("readable"), Some(b"1".to_vec()));
}

#[tokio::test]
async fn a_mirror_that_cannot_be_looked_at_is_not_thrown_away() {
    let origin = Origin::new();
    let pinned = origin.commit("main", &[], &[("a", Some("1"))]);
    let home = TempDir::new().expect("a temporary folder");
    let mirrors = mirrors(home.path());
    fetch(&mirrors, &origin).await;
    // Pushed over: only the mirror has the commit now.
    origin.delete("main");
    origin.commit("main", &[], &[("a", Some("2"))]);
    let mirror = fs::read_dir(home.path().join("mirrors")).expect("a folder").next().expect("one").expect("it").path();
    let head = mirror.join("HEAD");
    let content = fs::read(&head).expect("a file");
    fs::remove_file(&head).expect("removed");
    // The system refuses to open it, as it does when too many files are open.
    std::os::unix::fs::symlink("HEAD", &head).expect("a link to itself");
    let error = mirrors.fetch(&origin.url(), &BTreeSet::new()).await.expect_err("no look at it");
    assert!(matches!(error, GitError::Folder { .. }), "{error:?}");
    fs::remove_file(&head).expect("removed");
    fs::write(&head, content).expect("as it was");
    assert!(fetch(&mirrors, &origin).await.mirror.has(&pinned));
}

#[tokio::test]
async fn what_changed_is_known_by_path_and_commit() {
    let origin = Origin::new();
    let root = origin.commit("main", &[], &[("services/web/a", Some("1")), ("services/api/a", Some("1"))]);
    let moved = origin.commit("x", &[&root], &[("services/web/a", None), ("services/web/b", Some("1"))]);
    let later = origin.commit("main", &[&root], &[("services/api/a", Some("2"))]);
    let merge = origin.commit("x", &[&moved, &later], &[("services/api/a", Some("2"))]);
    let other = origin.commit("other", &[], &[("z", Some("1"))]);
    let home = TempDir::new().expect("a temporary folder");
    let mirror = fetch(&mirrors(home.path()), &origin).await.mirror;

    assert_eq!(mirror.changed_paths(&root, &moved).expect("both are there"), ["services/web/a", "services/web/b"]);
    assert_eq!(mirror.merge_base(&moved, &later).expect("both are there"), Some(root.clone()));
    assert_eq!(mirror.merge_base(&merge, &later).expect("both are there"), Some(later.clone()));
    assert_eq!(mirror.merge_base(&merge, &other).expect("both are there"), None);

    let globs = |glob: &str| Globs::new(&[glob.to_owned()]).expect("legal");
    let last = |glob: &str| mirror.last_commit_touching(&merge, &globs(glob), 100).expect("readable");
    assert_eq!(last("services/web/**"), Some(moved));
    assert_eq!(last("services/api/**"), Some(later), "the merge brought nothing of its own");
    assert_eq!(last("nothing/**"), None);
    assert_eq!(mirror.last_commit_touching(&merge, &globs("z"), 1).expect("readable"), None, "the walk is bounded");
}

#[tokio::test]
async fn a_commit_that_is_not_there_is_a_typed_error() {
    let origin = Origin::new();
    let first = origin.commit("main", &[], &[("a", Some("1"))]);
    let home = TempDir::new().expect("a temporary folder");
    let mirror = fetch(&mirrors(home.path()), &origin).await.mirror;
    let blob = listing::commit(origin.repository.blob(b"1").expect("a blob"));
    let absent: Commit = "1".repeat(40).parse().expect("legal");
    let sha256: Commit = "1".repeat(64).parse().expect("legal");
    for id in [blob, absent, sha256] {
        let missing = |result: Result<(), GitError>| {
            assert!(matches!(result, Err(GitError::Missing { what: "commit", .. })), "{id}: {result:?}");
        };
        missing(mirror.tree(&id).map(drop));
        missing(mirror.merge_base(&first, &id).map(drop));
        missing(mirror.changed_paths(&id, &first).map(drop));
        missing(mirror.last_commit_touching(&id, &Globs::new(&[]).expect("legal"), 9).map(drop));
        assert!(!mirror.has(&id));
    }
}

#[tokio::test]
async fn the_renderer_reads_a_commit_as_it_reads_a_disk() {
    let origin = Origin::new();
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n";
    let id = origin.commit(
        "main",
        &[],
        &[
            ("apps/shop/kustomization.yaml", Some("resources: [../base]\n")),
            ("apps/base/kustomization.yaml", Some("resources: [service.yaml]\n")),
            ("apps/base/service.yaml", Some(service)),
        ],
    );
    let home = TempDir::new().expect("a temporary folder");
    let tree = fetch(&mirrors(home.path()), &origin).await.mirror.tree(&id).expect("the tree");
    let options = lapdev_kustomize::Options::default();
    let objects = lapdev_kustomize::render_source(&tree, &path("apps/shop"), &options).expect("it renders");
    assert_eq!(objects.iter().map(|o| o.name()).collect::<Vec<_>>(), ["web"]);
    assert_eq!(tree.list(&path("apps")).expect("a folder"), ["base", "shop"]);
}

#[test]
fn addresses_never_carry_secrets() {
    for good in ["https://github.com/acme/shop.git", "http://127.0.0.1:8080/a", "file:///srv/git/a", "/srv/git/a b"] {
        assert!(good.parse::<RepositoryUrl>().is_ok(), "{good}");
    }
    for bad in
        ["", "a/b", "git@github.com:a/b", "ssh://h/a", "https://", "https://host", "https:///a", "https://h/a?t=x"]
    {
        assert!(bad.parse::<RepositoryUrl>().is_err(), "{bad}");
    }
    let error = "https://user:hunter2@host/a".parse::<RepositoryUrl>().expect_err("it holds a password");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
