//! Remote bases from git's own smart HTTP server, and from servers that nobody should trust.

use super::{
    bases::{BaseError, Bases, Pinned},
    http_tests::{Request, Server, respond, serve},
    tests::*,
    *,
};
use lapdev_api::{name::Commit, words::error_chain};
use lapdev_kustomize::{Options, RemoteError, Remotes, Renderer, Repository, TreePath, to_yaml};
use std::{
    io::Write as _,
    sync::{
        atomic::Ordering,
        mpsc::{RecvTimeoutError, channel},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;

const MAP: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: base}}\n";
const FILES: [(&str, Option<&str>); 2] =
    [("base/kustomization.yaml", Some("resources: [map.yaml]\n")), ("base/map.yaml", Some(MAP))];

fn bases(home: &TempDir, allowed: &[&str]) -> Bases {
    let allowed = allowed.iter().map(|prefix| prefix.parse().expect("an address")).collect();
    Bases::open(home.path().join("bases"), &settings(), allowed).expect("a writable folder")
}

fn at(server: &Server, commit: &Commit) -> Repository {
    let url = format!("http://{}/repo.git//base?ref={commit}", server.address);
    Repository::parse(&url).expect("a repository")
}

fn home() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

fn root(server: &Server) -> String {
    format!("http://{}/", server.address)
}

#[test]
fn a_base_is_rendered_from_its_commit_and_needs_no_network_again() {
    let origin = Origin::new();
    let older = origin.commit("main", &[], &FILES);
    let commit = origin.commit("main", &[&older], &[("base/other.yaml", Some(MAP))]);
    let allow = |on| origin.repository.config().and_then(|mut c| c.set_bool("uploadpack.allowReachableSHA1InWant", on));
    allow(true).expect("configured");
    let (_root, server) = serve(&origin);
    let (home, repository) = (home(), at(&server, &commit));
    let bases = bases(&home, &[&root(&server)]);

    let here: lapdev_kustomize::MemoryFileSystem =
        [("kustomization.yaml", format!("resources: ['{}//base?ref={commit}']\n", repository.url))]
            .into_iter()
            .collect();
    let render = |bases: &Bases| {
        let renderer = Renderer::new(&here, Options::default()).with_remotes(bases);
        renderer.render(&TreePath::root()).map(|objects| to_yaml(&objects))
    };
    assert!(render(&bases).expect("it renders").contains("name: base\n"));
    let fetched = std::fs::read_dir(home.path().join("bases")).expect("the folder").next().expect("one").expect("read");
    let mirror = Mirror::open(&fetched.path()).expect("opened").expect("there");
    assert!(mirror.has(&commit) && !mirror.has(&older), "without its history");

    let before = server.connections.load(Ordering::SeqCst);
    assert!(render(&bases).is_ok() && render(&self::bases(&home, &[&root(&server)])).is_ok());
    assert_eq!(server.connections.load(Ordering::SeqCst), before);

    // From a server that gives out no single commits, everything comes.
    allow(false).expect("configured");
    assert!(bases.repository(&at(&server, &older)).is_ok());
}

#[test]
fn only_what_the_operator_names_is_fetched_and_only_at_a_commit() {
    let (home, server) = (home(), Server::start(|_| None));
    let commit = "0123456789".repeat(4);
    let bases = bases(&home, &[&format!("{}acme", root(&server)), "https://git.example.com/acme/"]);
    let error = |url: &str| {
        let repository = Repository::parse(url).expect("a repository");
        let error: RemoteError = bases.repository(&repository).err().expect("refused");
        *error.downcast::<BaseError>().expect("ours")
    };
    let local = root(&server);
    for url in [
        format!("{local}other/repo.git//x?ref={commit}"),
        format!("{local}acmes/repo.git//x?ref={commit}"),
        format!("{local}acme/../other/repo.git?ref={commit}"),
        format!("{local}acme/%2e%2e/other/repo.git?ref={commit}"),
        format!("{local}acme.git?ref={commit}"),
        format!("https://me@git.example.com/acme/repo?ref={commit}"),
        format!("http://git.example.com/acme/repo?ref={commit}"),
        format!("git@git.example.com:acme/repo?ref={commit}"),
        format!("ssh://git.example.com/acme/repo?ref={commit}"),
        format!("file:///acme/repo?ref={commit}"),
    ] {
        assert!(matches!(error(&url), BaseError::NotAllowed), "{url}");
    }
    for reference in ["", "?ref=main", "?ref=v1.0", "?ref=0123456"] {
        assert!(matches!(error(&format!("{local}acme/repo.git{reference}")), BaseError::NotPinned), "{reference}");
    }
    let file = bases.file("https://git.example.com/acme/a.yaml", 1 << 20).expect_err("no files");
    assert!(file.downcast_ref::<BaseError>().is_some_and(BaseError::is_refusal));
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[test]
fn what_is_checked_elsewhere_must_be_pinned_too() {
    let (home, server) = (home(), Server::start(|_| None));
    let bases = bases(&home, &[&root(&server)]);
    let unpinned = Repository::parse(&format!("{}a/b.git?ref=main", root(&server))).expect("a repository");
    assert!(Pinned(&bases).repository(&unpinned).err().is_some_and(|error| error.to_string().contains("full id")));
    assert!(Pinned(&bases).file("https://example.com/a.yaml", 1).is_err());
}

#[test]
fn no_server_leads_to_another_host_and_none_is_told_who_we_are() {
    let origin = Origin::new();
    let commit = origin.commit("main", &[], &FILES);
    let (_root, inner) = serve(&origin);
    let target =
        format!("Location: http://localhost:{}/repo.git/info/refs?service=git-upload-pack\r\n", inner.address.port());
    let leading = Server::start(move |stream| {
        Request::read(&stream)?;
        respond(&stream, "302 Found", &format!("{target}Content-Length: 0\r\n"), b"")
    });
    let home = home();
    let from = |server: &Server| {
        let bases = bases(&home, &[&root(server)]);
        let error = bases.repository(&at(server, &commit)).err().expect("nothing comes");
        (bases, error_chain(error.as_ref()))
    };
    let (_, error) = from(&leading);
    assert!(error.contains("cannot read http://"), "{error}");
    assert_eq!(inner.connections.load(Ordering::SeqCst), 0);

    let asking = Server::start(|stream| {
        let request = Request::read(&stream)?;
        assert!(request.header("authorization").is_none());
        respond(&stream, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n", b"")
    });
    let (bases, error) = from(&asking);
    assert!(error.contains("or none that it shows without credentials"), "{error}");
    // Every environment asks for it in every pass.
    let before = asking.connections.load(Ordering::SeqCst);
    let again = bases.repository(&at(&asking, &commit)).err().expect("nothing comes").to_string();
    assert!(again.contains("it is tried again within 60 s"), "{again}");
    assert_eq!(asking.connections.load(Ordering::SeqCst), before);
}

#[test]
fn a_commit_that_is_not_there_and_a_server_that_says_nothing_end() {
    let origin = Origin::new();
    origin.commit("main", &[], &FILES);
    let (_root, server) = serve(&origin);
    let nowhere: Commit = "0123456789".repeat(4).parse().expect("an id");
    let home = home();
    let error = bases(&home, &[&root(&server)]).repository(&at(&server, &nowhere)).err().expect("not there");
    assert!(error.to_string().contains(&format!("has no commit {nowhere}")), "{error}");

    let (release, silent) = Server::silent();
    let begun = Instant::now();
    assert!(bases(&home, &[&root(&silent)]).repository(&at(&silent, &nowhere)).is_err());
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    drop(release);
}

#[test]
fn who_answers_slowly_holds_no_rendering_up() {
    let (release, held) = channel::<()>();
    let dripping = Server::start(move |stream| {
        Request::read(&stream)?;
        (&stream).write_all(b"HTTP/1.1 200 OK\r\nX-Drip: ").ok()?;
        // Never silent for long enough to be given up for it; and at an end some time.
        for _ in 0..600 {
            if held.recv_timeout(Duration::from_millis(100)) != Err(RecvTimeoutError::Timeout) {
                break;
            }
            (&stream).write_all(b"x").ok()?;
        }
        None
    });
    let home = home();
    let settings = GitSettings { deadline: Duration::from_secs(1), ..settings() };
    let allowed = vec![root(&dripping).parse().expect("an address")];
    let bases = Bases::open(home.path().join("bases"), &settings, allowed).expect("a writable folder");
    let commit: Commit = "0123456789".repeat(4).parse().expect("an id");
    let begun = Instant::now();
    for _ in 0..3 {
        let error: RemoteError = bases.repository(&at(&dripping, &commit)).err().expect("it is not there");
        // The deadline may come just before the rendering stops waiting.
        let ends = match error.downcast_ref() {
            Some(BaseError::Git(GitError::Deadline { .. })) => true,
            Some(BaseError::Again { why }) => why.contains("did not answer within 1 s"),
            error => matches!(error, Some(BaseError::Pending)),
        };
        assert!(ends, "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(dripping.connections.load(Ordering::SeqCst) <= 1, "it is asked once at a time");
    drop(release);
}

#[test]
fn links_of_a_base_lead_nowhere_outside() {
    let origin = Origin::new();
    let out = [
        ("base/kustomization.yaml", Some("resources: [map.yaml]\n")),
        ("base/map.yaml", Some("-> ../../../etc/passwd")),
    ];
    let commit = origin.commit("main", &[], &out);
    let (_root, server) = serve(&origin);
    let home = home();
    let tree = bases(&home, &[&root(&server)]).repository(&at(&server, &commit)).expect("fetched");
    assert_eq!(tree.find(&TreePath::parse("base/map.yaml").expect("inside")).expect("looked up"), None);
}
