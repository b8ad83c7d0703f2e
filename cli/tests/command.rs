//! The command as scripts and operators meet it: exit codes, what it says, how `serve` starts and ends.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Far more than a start takes on a busy machine.
const START: Duration = Duration::from_secs(60);

fn lapdev(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapdev"));
    for variable in ["LAPDEV_SERVER", "LAPDEV_ADMIN_TOKEN_FILE", "LAPDEV_CA_FILE", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.args(arguments);
    command
}

fn ran(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("no signal"), text(stdout), text(stderr))
}

#[track_caller]
fn ends(arguments: &[&str], code: i32, says: &str) {
    let (ended, stdout, stderr) = ran(lapdev(arguments));
    assert_eq!((ended, stdout.as_str()), (code, ""), "{stderr}");
    assert!(stderr.contains(says), "{stderr}");
}

/// A control plane whose forge is not there and whose config repository never answers.
struct Serve {
    folder: tempfile::TempDir,
    deaf: TcpListener,
    listen: String,
    process: Option<Child>,
}

impl Serve {
    fn new() -> Self {
        let deaf = TcpListener::bind("127.0.0.1:0").expect("bound");
        let free = TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address");
        let serve =
            Self { folder: tempfile::tempdir().expect("a folder"), deaf, listen: free.to_string(), process: None };
        for file in ["token", "webhook"] {
            std::fs::write(serve.path(file), "secret\n").expect("written");
        }
        serve
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes settings of that name, and gives their path.
    fn settings(&self, name: &str, data_dir: &str, listen: &str) -> String {
        let deaf = self.deaf.local_addr().expect("an address");
        let text = format!(
            "data_dir = {data_dir:?}\n[server]\nlisten = {listen:?}\nexternal_url = \"http://{listen}\"\n[config]\n\
             repository = \"acme/environments\"\n[github]\napi_url = \"http://127.0.0.1:1\"\ntoken_file = \"token\"\n\
             webhook_secret_files = [\"webhook\"]\n[repositories]\n\"acme/environments\" = \"http://{deaf}/x.git\"\n"
        );
        std::fs::write(self.path(name), text).expect("written");
        self.path(name).display().to_string()
    }

    /// Starts it, and returns when it says that it serves.
    fn start(&mut self) {
        let settings = self.settings("lapdev.toml", "data", &self.listen);
        let mut command = lapdev(&["serve", "--config", &settings]);
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started");
        let mut log = BufReader::new(process.stderr.take().expect("piped"));
        let (mut line, begun) = (String::new(), Instant::now());
        while !line.contains("lapdev serves") {
            line.clear();
            assert!(log.read_line(&mut line).expect("a log") > 0 && begun.elapsed() < START, "it ended: {line}");
        }
        // Read on, or it would block once the pipe is full.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        self.process = Some(process);
    }

    fn asks(&self, arguments: &[&str], token: &Path) -> (i32, String, String) {
        let mut command = lapdev(arguments);
        command.env("LAPDEV_SERVER", format!("http://{}", self.listen)).env("LAPDEV_ADMIN_TOKEN_FILE", token);
        ran(command)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[test]
fn each_way_to_fail_has_its_exit_code_and_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (token, empty) = (file("token", "t\n"), file("empty", "\n"));
    let get = |token: &str, server: &str, code, says: &str| {
        ends(&["get", "environments", "--admin-token-file", token, "--server", server], code, says);
    };
    ends(&["get", "environments"], 2, "--admin-token-file or LAPDEV_ADMIN_TOKEN_FILE");
    ends(&["get", "nonsense"], 2, "unrecognized subcommand");
    get(&token, "localhost:8443", 2, "is not an address; expected for example https://");
    get("/nonexistent", "http://127.0.0.1:1", 1, "cannot read the admin token /nonexistent");
    get(&empty, "http://127.0.0.1:1", 1, "holds no admin token");
    get(&token, "http://127.0.0.1:1", 3, "cannot reach the control plane at http://127.0.0.1:1: ");
    ends(&["serve", "--config", "/nonexistent"], 1, "copy lapdev.toml.example");
    ends(&["render", "/nonexistent"], 1, "/nonexistent: ");
    ends(&["validate", "/nonexistent"], 1, "/nonexistent: ");
}

#[test]
fn each_commands_own_help_begins_as_the_list_of_commands_describes_it() {
    let help = |arguments: &[&str]| {
        let (code, stdout, stderr) = ran(lapdev(arguments));
        assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
        stdout
    };
    let list = help(&["-h"]);
    let (_, list) = list.split_once("Commands:\n").expect("a list of commands");
    let listed: Vec<_> = list.lines().map_while(|line| line.trim().split_once(' ')).collect();
    assert_eq!(listed.len(), 9, "{list}");
    for (command, description) in listed.into_iter().filter(|(command, _)| *command != "help") {
        assert_eq!(help(&[command, "--help"]).lines().next(), Some(description.trim()), "{command}");
    }
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("kustomization.yaml"), "resources: [a.yaml]\n").expect("written");
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    std::fs::write(folder.path().join("a.yaml"), object).expect("written");
    for arguments in [&["render"][..], &["validate", "-o", "json"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = lapdev(arguments).arg(folder.path()).stdout(writer).output().expect("started");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_some_and(|code| code <= 1), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("panicked") && !stderr.contains("Broken pipe"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn serve_says_what_is_wrong_and_ends_though_a_fetch_hangs() {
    let mut serve = Serve::new();
    serve.start();
    let settings = |name: &str, data_dir: &str, listen: &str| serve.settings(name, data_dir, listen);
    let same = settings("same.toml", "data", "127.0.0.1:0");
    ends(&["serve", "--config", &same], 1, "uses the data folder");
    let taken = settings("taken.toml", "other", &serve.listen);
    ends(&["serve", "--config", &taken], 1, &format!("cannot listen on {}", serve.listen));
    let unmade = settings("unmade.toml", "token/data", "127.0.0.1:0");
    ends(&["serve", "--config", &unmade], 1, "cannot make the data folder");

    let token = serve.path("data/admin.token");
    let (code, stdout, _) = serve.asks(&["get", "environments"], &token);
    assert_eq!((code, stdout.starts_with("NAME")), (0, true), "{stdout}");
    let (code, stdout, stderr) = serve.asks(&["get", "environment", "nowhere"], &token);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("there is no environment nowhere; `lapdev get environments` shows all"), "{stderr}");
    let (code, stdout, stderr) = serve.asks(&["trace", "nowhere", "--path", "/x"], &token);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("there is no environment nowhere"), "{stderr}");
    let (code, _, stderr) = serve.asks(&["trace", "nowhere", "--path", "x"], &token);
    assert!(code == 1 && stderr.contains("the path must begin with a slash"), "{code} {stderr}");
    let (code, _, stderr) = serve.asks(&["token", "list", "nowhere"], &token);
    assert_eq!(code, 1, "{stderr}");
    let (code, _, stderr) = serve.asks(&["get", "environments"], &serve.path("webhook"));
    assert!(code == 1 && stderr.contains("the admin token is missing or wrong"), "{code}: {stderr}");

    // The config repository is being fetched, for as long as nobody answers.
    let (mut fetch, _) = serve.deaf.accept().expect("a connection");
    fetch.read_exact(&mut [0]).expect("a request");
    let process = serve.process.as_mut().expect("it runs");
    let told = Command::new("kill").args(["-TERM", &process.id().to_string()]).status().expect("kill is there");
    assert!(told.success());
    let begun = Instant::now();
    let status = process.wait().expect("waited");
    assert!(status.success(), "{status}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
