//! Repositories that mean harm: links, submodules, sizes and names.

use super::{tests::*, *};
use git2::ObjectType;
use lapdev_kustomize::{FileKind, FileSystem};
use std::{collections::BTreeSet, io};
use tempfile::TempDir;

async fn tree_of(origin: &Origin, commit: &lapdev_api::name::Commit) -> (TempDir, GitTree) {
    let home = TempDir::new().expect("a temporary folder");
    let mirrors = mirrors(home.path());
    let fetched = mirrors.fetch(&origin.url(), &BTreeSet::new()).await.expect("the origin can be read");
    let tree = fetched.mirror.tree(commit).expect("the tree");
    (home, tree)
}

#[tokio::test]
async fn links_are_followed_inside_the_tree_and_never_out_of_it() {
    let origin = Origin::new();
    let id = origin.commit(
        "main",
        &[],
        &[
            ("a/real/file", Some("content")),
            ("a/up", Some("-> ../a/real/file")),
            ("folder", Some("-> a/real")),
            ("twice", Some("-> folder/../up")),
            ("out", Some("-> ../../etc/passwd")),
            ("absolute", Some("-> /etc/passwd")),
            ("loop", Some("-> pool")),
            ("pool", Some("-> ./loop")),
            ("self", Some("-> self/self")),
            ("dangling", Some("-> nowhere")),
            ("empty", Some("-> ")),
            ("through", Some("-> a/real/file/x")),
        ],
    );
    let (_home, tree) = tree_of(&origin, &id).await;
    let real = |text: &str| tree.find(&path(text)).expect("the mirror is whole").map(|f| (f.path.to_string(), f.kind));
    let file = Some(("a/real/file".to_owned(), FileKind::File));
    assert_eq!(real("a/up"), file);
    assert_eq!(real("folder/file"), file);
    assert_eq!(real("twice"), file, "the `..` is of the real folder, as on a disk");
    assert_eq!(real("folder"), Some(("a/real".to_owned(), FileKind::Directory)));
    assert_eq!(real(""), Some((".".to_owned(), FileKind::Directory)));
    for nowhere in ["out", "absolute", "loop", "self", "dangling", "empty", "through", "a/real/file/x", "no/such"] {
        assert_eq!(real(nowhere), None, "{nowhere}");
    }
    assert_eq!(tree.file(&path("a/up")).expect("readable"), Some(b"content".to_vec()));
    assert_eq!(tree.file(&path("out")).expect("readable"), None);
}

#[tokio::test]
async fn submodules_and_names_that_are_not_utf8_do_not_exist() {
    let origin = Origin::new();
    let repository = &origin.repository;
    let blob = repository.blob(b"x").expect("a blob");
    let other = oid(&origin.commit("other", &[], &[("z", Some("1"))]));
    let mut raw = Vec::new();
    for (mode, name, id) in
        [("100644", b"\xff.yaml".as_slice(), blob), ("100644", b"good", blob), ("160000", b"module", other)]
    {
        raw.extend_from_slice(mode.as_bytes());
        raw.push(b' ');
        raw.extend_from_slice(name);
        raw.push(0);
        raw.extend_from_slice(id.as_bytes());
    }
    // libgit2 sorts by bytes; the entries above are given out of order on purpose of none: sort them as git does.
    let tree = repository.odb().and_then(|odb| odb.write(ObjectType::Tree, &raw)).expect("a raw tree");
    let id = origin.commit_tree("main", &[], tree);
    let (_home, tree) = tree_of(&origin, &id).await;
    let mut names = tree.list(&path("")).expect("a folder");
    names.sort();
    assert_eq!(names, ["good", "module"]);
    assert_eq!(tree.find(&path("module")).expect("the mirror is whole"), None);
    assert_eq!(tree.find(&path("module/inside")).expect("the mirror is whole"), None);
}

#[tokio::test]
async fn a_huge_file_is_refused_by_its_size_alone() {
    let origin = Origin::new();
    let id = origin.commit("main", &[], &[("huge.yaml", Some(&"x".repeat(MAX_FILE + 1))), ("small", Some("x"))]);
    let (_home, tree) = tree_of(&origin, &id).await;
    let error = tree.read(&path("huge.yaml")).expect_err("too large");
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert!(tree.read(&path("small")).is_ok());
    let files = crate::load::files_under(&tree, &path("")).expect("the mirror is whole");
    assert_eq!(
        files.files.iter().map(|f| (f.path.as_str(), f.content.is_some())).collect::<Vec<_>>(),
        [("huge.yaml", false)]
    );
}

#[tokio::test]
async fn links_do_not_load_a_file_twice_nor_for_ever() {
    let origin = Origin::new();
    let id = origin.commit(
        "main",
        &[],
        &[
            ("lapdev/a.yaml", Some("a")),
            ("lapdev/b.yaml", Some("-> a.yaml")),
            ("lapdev/again", Some("-> ../lapdev")),
            ("lapdev/more", Some("-> ../shared")),
            ("lapdev/gone.yaml", Some("-> nowhere")),
            ("lapdev/.hidden.yaml", Some("x")),
            ("lapdev/notes.txt", Some("x")),
            ("shared/c.yml", Some("c")),
            ("shared/back", Some("-> ../lapdev")),
        ],
    );
    let (_home, tree) = tree_of(&origin, &id).await;
    let files = crate::load::files_under(&tree, &path("lapdev")).expect("the mirror is whole");
    let paths: Vec<_> = files.files.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, ["lapdev/a.yaml", "shared/c.yml"]);
    let errors: Vec<_> = files.errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["lapdev/gone.yaml:1:1: this link leads nowhere in the tree; expected a file"]);
}

#[tokio::test]
async fn branches_with_illegal_names_are_counted_and_left_out() {
    let origin = Origin::new();
    let first = origin.commit("main", &[], &[("a", Some("1"))]);
    // libgit2 refuses to make such a name, another git server need not.
    let packed = [
        b"# pack-refs with: peeled fully-peeled sorted \n".as_slice(),
        first.as_str().as_bytes(),
        b" refs/heads/\xff\xfe\n",
    ]
    .concat();
    std::fs::write(origin.folder.path().join("packed-refs"), packed).expect("packed refs");
    let home = TempDir::new().expect("a temporary folder");
    let fetched = mirrors(home.path()).fetch(&origin.url(), &BTreeSet::new()).await.expect("the origin can be read");
    let refs = fetched.listing.complete().expect("complete");
    assert_eq!((refs.branches().len(), refs.illegal()), (1, 1));
}

#[tokio::test]
async fn an_object_that_the_mirror_lost_is_an_error_and_not_an_absence() {
    let origin = Origin::new();
    let id = origin.commit("main", &[], &[("lapdev/a.yaml", Some("a"))]);
    let (_home, tree) = tree_of(&origin, &id).await;
    // The same tree object without its subtree: what a damaged disk leaves.
    let lost = Origin::new();
    let odb = origin.repository.odb().expect("its objects");
    let root = origin.repository.find_commit(oid(&id)).expect("the commit").tree_id();
    for object in [oid(&id), root] {
        let object = odb.read(object).expect("the object");
        lost.repository.odb().and_then(|odb| odb.write(object.kind(), object.data())).expect("copied");
    }
    let mirror = Mirror::open(lost.folder.path()).expect("it opens").expect("it is there");
    let damaged = mirror.tree(&id).expect("the commit is there");
    assert!(tree.find(&path("lapdev/a.yaml")).expect("whole").is_some());
    assert!(damaged.find(&path("lapdev/a.yaml")).is_err());
    assert!(damaged.find(&path("other")).expect("the root is there").is_none());
}
