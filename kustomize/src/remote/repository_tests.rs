//! A table of addresses, with what the reference (5.8.2) makes of each.

use super::*;

fn parsed(text: &str) -> Option<(String, String, Option<String>)> {
    Repository::parse(text).map(|found| (found.url, found.path.as_str().to_owned(), found.reference))
}

#[test]
fn an_address_is_a_repository_and_a_directory_inside() {
    for (text, url, path, reference) in [
        // Where the repository ends: `_git/`, `//`, `.git`, or two parts.
        ("https://git.example.com/shop/web", "https://git.example.com/shop/web", "", ""),
        ("https://git.example.com/shop/web/deploy/base", "https://git.example.com/shop/web", "deploy/base", ""),
        ("https://git.example.com/a/b/c/web//deploy/?ref=v1", "https://git.example.com/a/b/c/web", "deploy", "v1"),
        ("https://git.example.com/a/b/web.git/deploy?ref=v1", "https://git.example.com/a/b/web.git", "deploy", "v1"),
        ("https://git.example.com/a/web.git//deploy", "https://git.example.com/a/web.git", "deploy", ""),
        (
            "https://dev.example.com/o/p/_git/web/deploy/x?version=v1",
            "https://dev.example.com/o/p/_git/web",
            "deploy/x",
            "v1",
        ),
        ("https://me@dev.example.com/o/p/_git/web", "https://me@dev.example.com/o/p/_git/web", "", ""),
        // A name that merely begins so is no suffix.
        ("https://git.example.com/shop/web.github.io/x", "https://git.example.com/shop/web.github.io", "x", ""),
        // GitHub, in all its spellings.
        ("github.com/shop/web//deploy?ref=main", "https://github.com/shop/web", "deploy", "main"),
        ("GitHub.com/shop/web/deploy", "https://github.com/shop/web", "deploy", ""),
        ("github.com:shop/web", "https://github.com/shop/web", "", ""),
        ("http://github.com/shop/web", "https://github.com/shop/web", "", ""),
        ("HTTPS://github.com/shop/web.git/", "https://github.com/shop/web.git", "", ""),
        ("git@github.com:shop/web/deploy", "git@github.com:shop/web", "deploy", ""),
        ("git@github.com/shop/web", "git@github.com:shop/web", "", ""),
        ("ssh://git@github.com/shop/web", "git@github.com:shop/web", "", ""),
        ("org-1@github.com:shop/web", "org-1@github.com:shop/web", "", ""),
        // Other hosts, by SSH.
        ("git@git.example.com:a/b/web.git//deploy?ref=v1", "git@git.example.com:a/b/web.git", "deploy", "v1"),
        ("git@git.example.com/a/web.git//deploy", "git@git.example.com/a/web.git", "deploy", ""),
        ("ssh://git@git.example.com:7999/a/web.git", "ssh://git@git.example.com:7999/a/web.git", "", ""),
        ("ssh://git.example.com/a/web/x", "ssh://git.example.com/a/web", "x", ""),
        // A prefix of old that means nothing.
        ("git::https://git.example.com/shop/web//x", "https://git.example.com/shop/web", "x", ""),
        ("GIT::git@git.example.com:shop/web", "git@git.example.com:shop/web", "", ""),
        // The disk.
        ("file:///srv/git/web//deploy?ref=v1", "file:///srv/git/web", "deploy", "v1"),
        ("file:///srv/git/web.git/deploy", "file:///srv/git/web.git", "deploy", ""),
        ("file:///srv/git/web/deploy", "file:///srv/git/web/deploy", "", ""),
        // Dots stay inside.
        ("https://git.example.com/shop/web//a/../b/.", "https://git.example.com/shop/web", "b", ""),
    ] {
        let reference = (!reference.is_empty()).then(|| reference.to_owned());
        assert_eq!(parsed(text), Some((url.to_owned(), path.to_owned(), reference)), "{text}");
    }
}

#[test]
fn what_is_no_repository_may_be_a_path() {
    for text in [
        "",
        "/srv/git/web",
        "../base",
        "base",
        "src/github.com/shop/web",
        "github.com",
        "github.community/shop/web",
        "gh:shop/web",
        "ftp://git.example.com/shop/web",
        "ssh://git.example.com",
        "git::base",
        "https://git.example.com?ref=v1",
        "https://git.example.com/only",
        "https:///shop/web/",
        "file:////srv//web",
        "git@ssh://git.example.com/shop/web.git//x",
        "--upload-pack=evil@host:a/b",
        "@github.com:shop/web",
        // Out of the repository.
        "https://git.example.com/shop/web//../x",
        "https://git.example.com/shop/web//a/../../x",
    ] {
        assert_eq!(parsed(text), None, "{text}");
    }
}

#[test]
fn a_commit_is_its_full_id() {
    let commit = |reference: &str| {
        let found = Repository::parse(&format!("github.com/a/b?ref={reference}")).expect("a repository");
        found.commit().is_some()
    };
    assert!(commit(&"0123456789".repeat(4)) && commit(&"aB".repeat(32)));
    assert!(!commit("v1") && !commit("0123abc") && !commit(&"x".repeat(40)));
}

#[test]
fn a_password_is_not_shown() {
    let shown = |text: &str| Repository::parse(text).expect("a repository").to_string();
    assert_eq!(shown("https://me:secret@git.example.com/a/b?ref=v1"), "https://…@git.example.com/a/b?ref=v1");
    assert_eq!(shown("https://me@git.example.com/a/b"), "https://me@git.example.com/a/b");
    assert_eq!(shown("git@git.example.com:a/b"), "git@git.example.com:a/b");
}

#[test]
fn only_a_marked_address_is_surely_a_repository() {
    assert!(is_marked("https://h/a/b//c") && is_marked("https://h/a/b.git?x=1") && is_marked("https://h/_git/b"));
    assert!(!is_marked("https://h/a/b.gitter/c.yaml?ref=a//b") && !is_marked("https://h/a/b/c"));
}
