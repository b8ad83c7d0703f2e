//! Mirrors over the wire: git's own smart HTTP server, and servers that misbehave.

use super::{tests::*, *};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A loopback HTTP server, one thread, that answers every connection with `answer` and ends when dropped.
pub(super) struct Server {
    pub(super) address: std::net::SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    pub(super) connections: Arc<AtomicUsize>,
}

impl Server {
    pub(super) fn start(answer: impl Fn(TcpStream) -> Option<()> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (stop, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (stop.clone(), connections.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                counted.fetch_add(1, Ordering::SeqCst);
                // None: the client went away, which its test will notice.
                let _ = answer(stream.expect("a connection"));
            }
        });
        Self { address, stop, thread: Some(thread), connections }
    }

    /// One that answers nothing until the sender is dropped, however long a client would wait.
    pub(super) fn silent() -> (Sender<()>, Self) {
        let (release, held) = channel();
        let server = Self::start(move |stream| {
            let _ = held.recv();
            drop(stream);
            None
        });
        (release, server)
    }

    pub(super) fn url(&self) -> RepositoryUrl {
        format!("http://{}/repo.git", self.address).parse().expect("an address")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it should end.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || std::thread::panicking(), "the server panicked");
        }
    }
}

#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn read(stream: impl Read) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, target) = (words.next()?, words.next()?);
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut request = Self { method, target, headers, body: Vec::new() };
        if request.header("transfer-encoding") == Some("chunked") {
            request.body = read_chunks(&mut reader)?;
        } else if let Some(length) = request.header("content-length").and_then(|l| l.parse().ok()) {
            request.body = vec![0; length];
            reader.read_exact(&mut request.body).ok()?;
        }
        Some(request)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

fn read_chunks(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        body.extend_from_slice(&chunk[..length]);
        if length == 0 {
            return Some(body);
        }
    }
}

/// `git http-backend` by CGI: the reference server.
pub(super) fn backend(stream: &TcpStream, root: &std::path::Path) -> Option<()> {
    let (status, headers, body) = git(&Request::read(stream)?, root)?;
    respond(stream, &status, &headers, &body)
}

/// What it answers: status, headers, body.
pub(super) fn git(request: &Request, root: &std::path::Path) -> Option<(String, String, Vec<u8>)> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", request.header("content-type").unwrap_or_default())
        .env("HTTP_CONTENT_ENCODING", request.header("content-encoding").unwrap_or_default())
        .env("GIT_PROTOCOL", request.header("git-protocol").unwrap_or_default())
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(&request.body).ok()?;
    let output = child.wait_with_output().ok()?.stdout;
    let end = output.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head.lines().find_map(|l| l.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    let length = output.len() - end - 4;
    Some((status, format!("{head}\r\nContent-Length: {length}\r\n"), output[end + 4..].to_vec()))
}

pub(super) fn respond(mut stream: impl Write, status: &str, headers: &str, body: &[u8]) -> Option<()> {
    stream.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n").as_bytes()).ok()?;
    stream.write_all(body).ok()
}

pub(super) fn serve(origin: &Origin) -> (TempDir, Server) {
    let root = TempDir::new().expect("a temporary folder");
    std::os::unix::fs::symlink(origin.folder.path(), root.path().join("repo.git")).expect("a link");
    let path = root.path().to_owned();
    let server = Server::start(move |stream| backend(&stream, &path));
    (root, server)
}

fn with_settings(folder: &TempDir, settings: GitSettings) -> Mirrors {
    Mirrors::open(folder.path().join("mirrors"), settings).expect("a writable folder")
}

#[tokio::test]
async fn smart_http_gives_what_the_disk_gives_and_an_unchanged_remote_is_only_listed() {
    let origin = Origin::new();
    let first = origin.commit("main", &[], &[("a", Some("1"))]);
    let next = origin.commit("feature/🚀", &[&first], &[("b", Some("1"))]);
    origin.repository.reference("refs/pull/3/head", oid(&next), true, "test").expect("a ref");
    let (_root, server) = serve(&origin);
    let home = TempDir::new().expect("a temporary folder");
    let mirrors = with_settings(&home, settings());

    origin.repository.reference("refs/pull/4/head", oid(&next), true, "test").expect("a ref");
    let fetched = mirrors.fetch(&server.url(), &BTreeSet::from([3])).await.expect("the server answers");
    let refs = fetched.listing.complete().expect("complete");
    assert_eq!(refs.branch(&"feature/🚀".parse().expect("legal")), Some(&next));
    assert_eq!((refs.pull(3), refs.branches().len()), (Some(&next), 2));
    assert_eq!(refs.default_branch().map(ToString::to_string).as_deref(), Some("main"));
    assert!(fetched.mirror.tree(&next).is_ok());

    let before = server.connections.load(Ordering::SeqCst);
    let fetched = mirrors.fetch(&server.url(), &BTreeSet::from([3])).await.expect("the server answers");
    assert!(!fetched.changed);
    assert_eq!(server.connections.load(Ordering::SeqCst) - before, 1, "one listing, no transfer");

    origin.delete("main");
    origin.delete("feature/🚀");
    let fetched = mirrors.fetch(&server.url(), &BTreeSet::from([3])).await.expect("the server answers");
    assert_eq!(fetched.listing, Listing::Suspicious { had: 2 });
}

#[tokio::test]
async fn the_token_goes_where_its_prefix_says_and_a_refusal_is_told_apart() {
    let origin = Origin::new();
    origin.commit("main", &[], &[("a", Some("1"))]);
    let root = TempDir::new().expect("a temporary folder");
    std::os::unix::fs::symlink(origin.folder.path(), root.path().join("repo.git")).expect("a link");
    let path = root.path().to_owned();
    let server = Server::start(move |stream| {
        // Peeked at, so that the backend can read the request as well.
        let mut head = [0; 4096];
        let length = stream.peek(&mut head).unwrap_or_default();
        // x-access-token:good
        match String::from_utf8_lossy(&head[..length]).contains("Basic eC1hY2Nlc3MtdG9rZW46Z29vZA==") {
            true => backend(&stream, &path),
            false => {
                Request::read(&stream)?;
                let headers = "WWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n";
                respond(&stream, "401 Unauthorized", headers, b"")
            }
        }
    });
    let token = root.path().join("token");
    std::fs::write(&token, "good\n").expect("a token");
    let prefix = format!("http://{}/", server.address);
    let settings = |prefix: &str| GitSettings { credentials: vec![Credential::token(prefix, &token)], ..settings() };
    let fetch = async |settings| {
        let home = TempDir::new().expect("a temporary folder");
        with_settings(&home, settings).fetch(&server.url(), &BTreeSet::new()).await
    };
    assert!(fetch(settings(&prefix)).await.is_ok());
    let elsewhere = fetch(settings("http://127.0.0.1:1/")).await.expect_err("no token for this address");
    assert!(matches!(elsewhere, GitError::Unauthorized { .. }), "{elsewhere:?}");
    std::fs::write(&token, "bad").expect("a token");
    let refused = fetch(settings(&prefix)).await.expect_err("a wrong token");
    assert!(matches!(refused, GitError::Unauthorized { .. }), "{refused:?}");
    std::fs::remove_file(&token).expect("the token");
    let unreadable = fetch(settings(&prefix)).await.expect_err("no token file");
    assert!(matches!(unreadable, GitError::SettingFile { .. }), "{unreadable:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_gits_is_an_error() {
    let answers: [(&str, &[u8]); 4] = [
        ("404 Not Found", b"no"),
        ("500 Internal Server Error", b""),
        ("200 OK", b"<html>sign in</html>"),
        // A listing that is cut off in the middle.
        ("200 OK", b"001e# service=git-upload-pack\n0000003f1111111111111111111111111111111111111111 refs/"),
    ];
    for (status, body) in answers {
        let server = Server::start(move |stream| {
            Request::read(&stream)?;
            let headers = format!(
                "Content-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: {}\r\n",
                body.len()
            );
            respond(&stream, status, &headers, body)
        });
        let home = TempDir::new().expect("a temporary folder");
        let result = with_settings(&home, settings()).fetch(&server.url(), &BTreeSet::new()).await;
        assert!(matches!(result, Err(GitError::Remote { .. })), "{status}: {result:?}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_costs_one_deadline_and_does_not_block_others() {
    let (release, server) = Server::silent();
    let home = TempDir::new().expect("a temporary folder");
    let settings = GitSettings { deadline: Duration::from_millis(100), concurrency: 2, ..settings() };
    let mirrors = with_settings(&home, settings);
    let begin = Instant::now();
    let error = mirrors.fetch(&server.url(), &BTreeSet::new()).await.expect_err("it hangs");
    assert!(matches!(error, GitError::Deadline { .. }), "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(5));

    let origin = Origin::new();
    origin.commit("main", &[], &[("a", Some("1"))]);
    assert!(mirrors.fetch(&origin.url(), &BTreeSet::new()).await.is_ok(), "the second slot is free");
    drop(release);
}

#[tokio::test]
async fn a_transfer_beyond_the_limit_is_stopped_and_leaves_no_refs() {
    let origin = Origin::new();
    // Hardly compressible, so that the pack is about as large.
    let mut state = 1u64;
    let noise: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'!' + (state >> 33) as u8 % 90)
    })
    .take(400_000)
    .collect();
    origin.commit("main", &[], &[("a", Some(&noise))]);
    let (_root, server) = serve(&origin);
    let home = TempDir::new().expect("a temporary folder");
    let mirrors = with_settings(&home, GitSettings { max_fetch_bytes: 100_000, ..settings() });
    let error = mirrors.fetch(&server.url(), &BTreeSet::new()).await.expect_err("too much");
    assert!(matches!(error, GitError::TooMuch { limit: 100_000, .. }), "{error:?}");
    let mirrors = with_settings(&home, settings());
    let fetched = mirrors.fetch(&server.url(), &BTreeSet::new()).await.expect("the limit is higher");
    assert!(fetched.changed && fetched.listing.complete().is_some_and(|refs| refs.branches().len() == 1));
}

#[tokio::test]
async fn a_silent_server_is_given_up_long_before_the_deadline() {
    let (release, server) = Server::silent();
    let home = TempDir::new().expect("a temporary folder");
    // Far away: the thread must end by the silence, or it would hold its slot for as long as the server likes.
    let far = Duration::from_secs(300);
    let mirrors = with_settings(&home, GitSettings { deadline: far, ..settings() });
    let (url, none) = (server.url(), BTreeSet::new());
    let fetch = mirrors.fetch(&url, &none);
    let error = tokio::time::timeout(Duration::from_secs(60), fetch).await.expect("before").expect_err("silent");
    assert!(matches!(error, GitError::Deadline { after, .. } if after == settings().silence), "{error:?}");
    drop(release);
}
