//! Sources that name remote bases.

use super::Repository;
use crate::{
    git::{Bases, GitSettings, Mirrors, RepositoryUrl},
    run::source::{Place, Sources},
};
use std::{collections::BTreeSet, net::TcpListener};
use tempfile::TempDir;

#[tokio::test]
async fn what_cannot_be_fetched_now_is_told_from_what_never_renders() {
    let home = TempDir::new().expect("a temporary folder");
    let repository = Repository::make(home.path().join("shop.git"));
    let naming = |host: &str| format!("resources: ['{host}/acme/base.git?ref={}']\n", "0123456789".repeat(4));
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let away = format!("http://{nobody}");
    let commit = repository.commit(
        "main",
        &[
            ("away/kustomization.yaml", naming(&away).as_str()),
            ("forbidden/kustomization.yaml", naming("https://git.example.com").as_str()),
        ],
    );
    let mirrors = Mirrors::open(home.path().join("mirrors"), GitSettings::default()).expect("a writable folder");
    let url = RepositoryUrl::from_path(&repository.0).expect("an absolute path");
    let mirror = mirrors.fetch(&url, &BTreeSet::new()).await.expect("it is there").mirror;
    let allowed = vec![format!("{away}/").parse().expect("an address")];
    let bases = Bases::open(home.path().join("bases"), &GitSettings::default(), allowed).expect("a writable folder");
    let mut sources = Sources::default();
    let mut look = |path| sources.look(&Place { mirror: &mirror, commit: commit.clone(), path, bases: &bases });
    // Whoever compares with it must wait, and not take it for nothing.
    let why = look("away").expect_err("nothing is known of it");
    assert!(why.contains(&away), "{why}");
    for never in ["forbidden", "nothing"] {
        assert!(look(never).expect("it is known").is_err(), "{never}");
    }
}
