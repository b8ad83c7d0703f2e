//! `lapdev render` with what lies outside of the tree: real git over the disk, and servers on loopback that misbehave.

mod server;

use rustix::process::{Pid, Signal, kill_process};
use server::{Server, answer};
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const MAP: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}}\n";
/// Far less than a server that says nothing would hold a client, far more than a busy machine needs.
const SOON: Duration = Duration::from_secs(20);

/// A folder with a cache, a repository and whatever a test writes.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
        self
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]);
        let output = command.args(arguments).current_dir(self.path("repo")).output().expect("git runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    /// Commits what is in the repository's folder; the commit's id.
    fn commit(&self) -> String {
        self.git(&["init", "-q"]);
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn base(&self, path: &str, query: &str) -> String {
        format!("file://{}//{path}?{query}", self.path("repo").display())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lapdev"));
        command.arg("render").args(arguments).current_dir(self.0.path());
        command.env("XDG_CACHE_HOME", self.path("cache")).env("GIT_DIR", "/nonexistent");
        command
    }

    fn render(&self, arguments: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("started");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (status.code().expect("no signal"), text(stdout), text(stderr))
    }

    /// Renders a kustomization with one entry.
    fn entry(&self, resource: &str) -> (i32, String, String) {
        self.write("app/kustomization.yaml", &format!("resources: ['{resource}']\n"));
        self.render(&["app"])
    }

    #[track_caller]
    fn refuses(&self, resource: &str, code: i32, says: &str) {
        let begun = Instant::now();
        let (ended, stdout, stderr) = self.entry(resource);
        assert_eq!((ended, stdout.as_str()), (code, ""), "{stderr}");
        assert!(stderr.contains(says) && stderr.lines().count() == 1, "{stderr}");
        assert!(begun.elapsed() < SOON, "{stderr}");
    }
}

fn with_base() -> Place {
    let place = Place::new();
    place.write("repo/base/kustomization.yaml", "resources: [../common]\n");
    place.write("repo/common/kustomization.yaml", "resources: [map.yaml]\n").write("repo/common/map.yaml", MAP);
    place
}

#[test]
fn a_commit_once_fetched_needs_no_network_and_a_branch_is_asked_for_each_time() {
    let place = with_base();
    let first = place.commit();
    place.git(&["tag", "v1"]);
    place.write("repo/common/map.yaml", &MAP.replace("name: m", "name: new"));
    let second = place.commit();
    for (reference, name) in [("main", "new"), ("v1", "m"), (&first, "m"), (&second, "new")] {
        let (code, stdout, stderr) = place.entry(&place.base("base", &format!("ref={reference}")));
        assert_eq!((code, stdout.contains(&format!("name: {name}\n"))), (0, true), "{reference}: {stdout}{stderr}");
    }
    let (code, stdout, _) = place.render(&[&place.base("base", "ref=v1")]);
    assert_eq!((code, stdout.contains("name: m\n")), (0, true), "the target itself");

    fs::rename(place.path("repo"), place.path("gone")).expect("renamed");
    for commit in [&first, &second] {
        assert_eq!(place.entry(&place.base("base", &format!("ref={commit}"))).0, 0);
    }
    place.refuses(&place.base("base", "ref=v1"), 3, "cannot fetch `file://");
}

#[test]
fn a_ref_is_no_option_and_a_repository_chooses_no_program() {
    let place = with_base();
    place.commit();
    let touched = place.path("touched");
    let option = format!("ref=--upload-pack=touch%20{}", touched.display());
    place.refuses(&place.base("base", &option), 3, "is not the name of a branch, a tag or a commit");
    place.refuses(&format!("ssh://-oProxyCommand=touch%20{}/a/b", touched.display()), 3, "cannot fetch");
    place.refuses("ext::sh -c touch% x", 1, "does not exist");
    assert!(!touched.exists());
}

#[test]
fn what_is_fetched_reads_nothing_of_this_disk() {
    let place = with_base();
    place.write("secret.yaml", &MAP.replace("name: m", "name: secret"));
    place.write("repo/linked/kustomization.yaml", "resources: [link.yaml]\n");
    std::os::unix::fs::symlink(place.path("secret.yaml"), place.path("repo/linked/link.yaml")).expect("linked");
    std::os::unix::fs::symlink(place.0.path(), place.path("repo/up")).expect("linked");
    let absolute = format!("resources: [{}]\n", place.path("secret.yaml").display());
    place.write("repo/absolute/kustomization.yaml", &absolute);
    place.write("repo/above/kustomization.yaml", "resources: [../../secret.yaml]\n");
    place.write("repo/git/kustomization.yaml", "configMapGenerator: [{name: a, files: [../.git/config]}]\n");
    place.commit();
    for base in ["linked", "absolute", "above", "up", "git"] {
        for flags in [&[][..], &["--load-restrictor", "LoadRestrictionsNone"]] {
            place.write("app/kustomization.yaml", &format!("resources: ['{}']\n", place.base(base, "ref=main")));
            for target in ["app", &place.base(base, "ref=main")] {
                let (code, stdout, stderr) = place.render(&[&[target], flags].concat());
                assert_eq!((code, stdout.as_str()), (1, ""), "{base}: {stderr}");
            }
        }
    }
}

/// A repository whose folder `part` is the submodule at `url`.
fn with_submodule(place: &Place, url: &str) {
    let inner = with_base();
    inner.commit();
    inner.git(&["update-server-info"]);
    fs::rename(inner.path("repo"), place.path("inner")).expect("renamed");
    place.write("repo/kustomization.yaml", "resources: [part/common]\n");
    place.git(&["init", "-q"]);
    place.git(&["-c", "protocol.file.allow=always", "submodule", "add", "-q", url, "part"]);
    place.commit();
}

#[test]
fn submodules_come_along_unless_they_are_not_wanted() {
    let place = Place::new();
    let served = place.path("inner/.git");
    let server = Server::start(move |target, stream| {
        let path = target.split('?').next().unwrap_or_default().trim_start_matches("/inner.git/");
        match fs::read(served.join(path)) {
            Ok(content) => answer(stream, "200 OK", &[], &content),
            Err(_) => answer(stream, "404 Not Found", &[], b""),
        }
    });
    with_submodule(&place, &format!("{}/inner.git", server.url()));
    let (code, stdout, stderr) = place.entry(&place.base("", "ref=main"));
    assert_eq!((code, stdout.contains("name: m\n")), (0, true), "{stderr}");
    place.refuses(&place.base("", "ref=main&submodules=false"), 1, "`part/common` does not exist");
}

#[test]
fn a_submodule_leads_to_no_repository_of_this_disk() {
    let place = Place::new();
    with_submodule(&place, &format!("file://{}", place.path("inner").display()));
    place.refuses(&place.base("", "ref=main"), 3, "transport 'file' not allowed");
}

#[test]
fn a_server_that_says_nothing_or_asks_for_a_password_is_given_up() {
    let place = Place::new();
    let silent = Server::silent();
    place.refuses(&format!("{}/a/b.git//base?timeout=500ms", silent.url()), 3, "git did not end within 500ms");
    let asking = Server::start(|_, stream| {
        answer(stream, "401 Unauthorized", &["WWW-Authenticate: Basic realm=\"x\""], b"");
    });
    place.refuses(&format!("{}/a/b.git//base", asking.url()), 3, "Authentication failed");
}

#[test]
fn a_signal_ends_the_fetch_with_its_programs_and_folders() {
    let place = Place::new();
    // In git's place: it says who it is and waits; whoever reads the pipe hears when it is gone.
    place.write("bin/git", "#!/bin/sh\nexec 3> \"$PIPE\"\necho began >&3\nexec sleep 1000\n");
    fs::set_permissions(place.path("bin/git"), fs::Permissions::from_mode(0o755)).expect("made a program");
    let pipe = place.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    for signal in [Signal::INT, Signal::TERM] {
        let mut command = place.command(&["https://127.0.0.1:1/a/b.git//base"]);
        command.env("PATH", format!("{}:/usr/bin:/bin", place.path("bin").display())).env("PIPE", &pipe);
        let child = command.stderr(Stdio::piped()).spawn().expect("started");
        let mut git = BufReader::new(fs::File::open(&pipe).expect("git opens it too"));
        let mut said = String::new();
        git.read_line(&mut said).expect("git begins");
        kill_process(Pid::from_child(&child), signal).expect("it is there");
        let ended = child.wait_with_output().expect("ends");
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code() == Some(130) && stderr.ends_with(": interrupted\n"), "{ended:?}");
        assert_eq!(git.read_line(&mut said).expect("the pipe's end"), 0, "git ended");
        for repository in fs::read_dir(place.path("cache/lapdev/repositories")).expect("a cache") {
            let kept = fs::read_dir(repository.expect("an entry").path()).expect("a folder").count();
            assert_eq!(kept, 0, "the folder that it filled is gone");
        }
    }
}

#[test]
fn files_of_a_web_server_are_bounded_and_followed_where_they_lead() {
    let place = Place::new();
    let server = Server::start(|target, stream| match target {
        "/map.yaml" => answer(stream, "200 OK", &[], MAP.as_bytes()),
        "/moved.yaml" => answer(stream, "302 Found", &["Location: /map.yaml"], b""),
        "/round.yaml" => answer(stream, "302 Found", &["Location: /round.yaml"], b""),
        "/disk.yaml" => answer(stream, "302 Found", &["Location: file:///etc/passwd"], b""),
        "/page.yaml" => answer(stream, "200 OK", &[], b"<html><body>&nbsp;</body>"),
        "/huge.yaml" => {
            // Without an end, and without saying so.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
            while stream.write_all(&[b'#'; 1 << 16]).is_ok() {}
        }
        _ => answer(stream, "404 Not Found", &[], b""),
    });
    for good in ["/map.yaml", "/moved.yaml"] {
        let (code, stdout, stderr) = place.entry(&format!("{}{good}", server.url()));
        assert_eq!((code, stdout.contains("name: m\n")), (0, true), "{stderr}");
    }
    for (bad, code, says) in [
        ("/round.yaml", 3, "leads on more than 10 times"),
        ("/disk.yaml", 3, "leads on to file:///etc/passwd, which is not followed"),
        ("/page.yaml", 1, "not a Kubernetes object"),
        ("/huge.yaml", 3, "larger than the limit of 16777216 bytes"),
        ("/nothing.yaml", 3, "the server answered 404 Not Found"),
    ] {
        place.refuses(&format!("{}{bad}", server.url()), code, says);
    }
    drop(server);
    for scheme in ["http", "https"] {
        place.refuses(&format!("{scheme}://127.0.0.1:1/a.yaml"), 3, "127.0.0.1 cannot be reached");
    }
}

#[test]
fn a_folder_gets_a_file_for_each_object_and_anything_else_is_a_file() {
    let place = with_base();
    place.write("repo/common/more.yaml", "{apiVersion: v1, kind: Namespace, metadata: {name: Shop}}\n");
    place.write("repo/common/kustomization.yaml", "resources: [map.yaml, more.yaml]\n");
    fs::create_dir(place.path("out")).expect("made");
    assert_eq!(place.render(&["repo/base", "-o", "out"]), (0, String::new(), String::new()));
    let mut names: Vec<_> =
        fs::read_dir(place.path("out")).expect("read").map(|e| e.expect("read").file_name()).collect();
    names.sort();
    assert_eq!(names, ["v1_configmap_m.yaml", "v1_namespace_shop.yaml"]);
    assert_eq!(place.render(&["repo/base", "--output", "all.yaml", "--reorder", "none"]).0, 0);
    let all = fs::read_to_string(place.path("all.yaml")).expect("written");
    assert!(
        all.starts_with("apiVersion: v1\nkind: ConfigMap\n") && all.contains("---\napiVersion: v1\nkind: Namespace")
    );
    let (code, _, stderr) = place.render(&["repo/base", "-o", "nowhere/all.yaml"]);
    assert_eq!((code, stderr.starts_with("lapdev: cannot write nowhere/all.yaml")), (1, true), "{stderr}");
}

#[test]
fn flags_for_functions_are_known_and_what_would_run_one_is_refused() {
    let place = with_base();
    let idle = ["repo/base", "-e", "A=B", "--as-current-user", "--network", "--network-name", "x", "--mount", "y"];
    let (code, stdout, stderr) = place.render(&idle);
    assert_eq!((code, stdout.contains("name: m"), stderr.lines().count()), (0, true, 5), "{stderr}");
    for flag in ["--enable-exec", "--enable-alpha-plugins"] {
        let (code, stdout, stderr) = place.render(&["repo/base", flag]);
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(stderr.starts_with(&format!("lapdev: {flag}: lapdev runs neither")), "{stderr}");
    }
}

#[test]
fn helm_runs_only_when_asked_and_on_a_copy() {
    let place = Place::new();
    let chart = "helmCharts: [{name: web, releaseName: r, valuesInline: {b: 2}}]\n";
    place.write("app/kustomization.yaml", chart);
    place.write("app/charts/web/Chart.yaml", "name: web\n").write("app/charts/web/values.yaml", "a: 1\n");
    // Says what it was given; real helm is compared with the reference where it is built.
    place.write(
        "helm",
        "#!/bin/sh\n[ \"$1\" = version ] && { echo v3.9.1; exit; }\n\
         [ -f \"$3/Chart.yaml\" ] || exit 7\necho 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}'\n\
         echo \"data: {args: '$1 $2 $4', values: '$(cat \"$5\")', home: '$HELM_CONFIG_HOME', chart: '$3'}\"\n",
    );
    executable(&place.path("helm"));
    let helm = place.path("helm").display().to_string();
    assert_eq!(place.render(&["app"]).0, 1);
    let (code, stdout, stderr) = place.render(&["app", "--enable-helm", "--helm-command", &helm]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("args: template r -f\n") && stdout.contains(r#"values: '{"a":1,"b":2}'"#), "{stdout}");
    assert!(!stdout.contains(&place.path("app").display().to_string()), "{stdout}");
    let left = stdout.lines().find_map(|line| line.trim().strip_prefix("chart: ")).expect("its folder");
    assert!(!Path::new(left).exists(), "{left}");

    place.write("helm", "#!/bin/sh\necho v2.17.0\n");
    let (code, _, stderr) = place.render(&["app", "--enable-helm", "--helm-command", &helm]);
    assert_eq!((code, stderr.contains("helm 3 or 4 is needed")), (1, true), "{stderr}");
    place.write("helm", "#!/bin/sh\n[ \"$1\" = version ] && { echo v3.9.1; exit; }\necho no such thing >&2\nexit 1\n");
    let (code, _, stderr) = place.render(&["app", "--enable-helm", "--helm-command", &helm]);
    assert_eq!((code, stderr.contains("no such thing")), (1, true), "{stderr}");
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("made executable");
}

#[test]
fn many_objects_are_printed_as_they_are_written_to_a_file() {
    let place = Place::new();
    let names: Vec<String> = (0..150).map(|number| format!("m-{number:03}")).collect();
    let listed: String = names.iter().map(|name| format!("- {name}.yaml\n")).collect();
    place.write("many/kustomization.yaml", &format!("resources:\n{listed}"));
    for name in &names {
        place.write(&format!("many/{name}.yaml"), &MAP.replace("name: m", &format!("name: {name}")));
    }
    let (code, printed, errors) = place.render(&["many"]);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(place.render(&["many", "-o", "all.yaml"]).0, 0);
    assert_eq!(printed, fs::read_to_string(place.path("all.yaml")).expect("written"));
    let found: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("  name: ")).collect();
    assert_eq!(found, names);
}
