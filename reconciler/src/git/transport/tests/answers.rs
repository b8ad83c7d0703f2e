//! Answers in every form that HTTP has, slow ones, broken ones, and refusals.

use super::{
    super::{HttpError, Session, exchange::Exchange, stream::Stream},
    *,
};
use crate::git::fetch;
use std::{
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    time::{Duration, Instant},
};

/// Serves a repository, its answers put into words by `write`, which gets headers without a length.
fn speaking(write: fn(&TcpStream, &Request, &str, &[u8]) -> Option<()>) -> (Repository, Server) {
    let repository = Repository::new();
    let root = repository.root();
    let server = Server::start(move |stream| {
        let request = Request::read(&stream)?;
        let (_, headers, body) = git(&request, &root)?;
        let headers: String =
            headers.lines().filter(|line| !line.starts_with("Content-Length")).map(|l| format!("{l}\r\n")).collect();
        write(&stream, &request, &headers, &body)
    });
    (repository, server)
}

fn write_chunks(mut stream: &TcpStream, body: &[u8]) -> Option<()> {
    for chunk in body.chunks(7) {
        stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).ok()?;
        stream.write_all(chunk).ok()?;
        stream.write_all(b"\r\n").ok()?;
    }
    Some(())
}

#[tokio::test]
async fn answers_of_http_1_0_and_answers_in_chunks_are_read_to_their_end() {
    let (_repository, old) = speaking(|mut stream, _, headers, body| {
        stream.write_all(format!("HTTP/1.0 200 OK\r\n{headers}\r\n").as_bytes()).ok()?;
        stream.write_all(body).ok()
    });
    let listing = fetch(settings(), &url(&old)).await.expect("HTTP/1.0");
    assert!(has_main(&listing), "{listing:?}");

    let (_repository, chunked) = speaking(|mut stream, request, headers, body| {
        assert!(request.header("user-agent").is_some_and(|agent| agent.starts_with("git/2.0 (lapdev ")));
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        write_chunks(stream, body)?;
        stream.write_all(b"0\r\n\r\n").ok()
    });
    let listing = fetch(settings(), &url(&chunked)).await.expect("chunks");
    assert!(has_main(&listing), "{listing:?}");
}

#[tokio::test]
async fn an_answer_that_is_cut_short_is_an_error() {
    let by_length = speaking(|mut stream, request, headers, body| {
        let end = if request.method == "POST" { body.len() - 10 } else { body.len() };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(&body[..end]).ok()
    });
    let in_chunks = speaking(|mut stream, request, headers, body| {
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        write_chunks(stream, if request.method == "POST" { &body[..body.len() - 10] } else { body })?;
        if request.method == "GET" { stream.write_all(b"0\r\n\r\n").ok() } else { None }
    });
    let in_the_head = speaking(|mut stream, _, _, _| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Ty").ok());
    for (_repository, server) in [by_length, in_chunks, in_the_head] {
        let error = fetch(settings(), &url(&server)).await.expect_err("it is cut short");
        assert!(matches!(error, GitError::Remote { .. }), "{error:?}");
        assert!(error_chain(&error).contains("the connection broke"), "{}", error_chain(&error));
    }
}

#[tokio::test]
async fn what_is_not_gits_is_named() {
    for (status, headers, named) in [
        ("404 Not Found", "", "it answered 404 Not Found"),
        ("200 OK", "Content-Type: text/html; charset=utf-8\r\n", "\"text/html; charset=utf-8\""),
        ("200 OK", "", "it answered 200 with \"\""),
        ("302 Found", "", "it answered 302 Found"),
    ] {
        let server = Server::start(move |stream| {
            Request::read(&stream)?;
            respond(&stream, status, &format!("{headers}Content-Length: 0\r\n"), b"")
        });
        let error = fetch(settings(), &url(&server)).await.expect_err("not git");
        let text = error_chain(&error);
        assert!(matches!(error, GitError::Remote { .. }) && text.contains(named), "{text}");
    }
    let server = Server::start(|stream| {
        Request::read(&stream)?;
        respond(&stream, "200 OK", &format!("Content-Type: {}\r\nContent-Length: 0\r\n", "x".repeat(10_000)), b"")
    });
    let error = fetch(settings(), &url(&server)).await.expect_err("not git");
    assert!(error_chain(&error).len() < 600, "{error:?}");
    let server = Server::start(|stream| {
        Request::read(&stream)?;
        respond(&stream, "403 Forbidden", "Content-Length: 0\r\n", b"")
    });
    let error = fetch(settings(), &url(&server)).await.expect_err("forbidden");
    let text = error_chain(&error);
    assert!(matches!(error, GitError::Remote { .. }) && text.contains("403 Forbidden"), "a limit, perhaps: {text}");
    let nobody = fetch(settings(), "http://127.0.0.1:1/repo.git").await.expect_err("nobody listens");
    assert!(error_chain(&nobody).contains("refused"), "{}", error_chain(&nobody));
}

#[tokio::test]
async fn a_server_that_asks_who_we_are_only_for_the_pack_is_told_or_refused() {
    let repository = Repository::new();
    let root = repository.root();
    let server = Server::start(move |stream| {
        let request = Request::read(&stream)?;
        match (request.method.as_str(), request.header("authorization")) {
            ("GET", None) | ("POST", Some(GOOD)) => serve(&request, &stream, &root),
            (_, told) => {
                assert!(told.is_none(), "the listing does not ask");
                respond(&stream, "401 Unauthorized", ASKS, b"")
            }
        }
    });
    let error = fetch(settings(), &url(&server)).await.expect_err("there is no token");
    assert!(matches!(error, GitError::Unauthorized { .. }), "{error:?}");
    let (_folder, settings) = with_token(&format!("http://{}/", server.address));
    let listing = fetch(settings, &url(&server)).await.expect("there is a token");
    assert!(has_main(&listing), "{listing:?}");
}

#[tokio::test]
async fn one_connection_serves_a_fetch_whose_server_keeps_it_open() {
    let repository = Repository::new();
    let root = repository.root();
    let server = Server::start(move |mut stream| {
        loop {
            let (status, headers, body) = git(&Request::read(&stream)?, &root)?;
            stream.write_all(format!("HTTP/1.1 {status}\r\n{headers}\r\n").as_bytes()).ok()?;
            stream.write_all(&body).ok()?;
        }
    });
    assert!(fetch(settings(), &url(&server)).await.is_ok());
    assert_eq!(server.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

struct Dripping {
    // Before the server, which waits for it when it is dropped.
    _release: Sender<()>,
    server: Server,
}

/// A listing with a filling of this length in its head and in its body. It comes byte by byte, its head perhaps at once.
fn dripping(head_at_once: bool, length: usize, pause: Duration) -> Dripping {
    let (release, held) = channel();
    let server = Server::start(move |mut stream| {
        Request::read(&stream)?;
        let kind = "application/x-git-upload-pack-advertisement";
        let filling = "x".repeat(length);
        let body = format!("001e# service=git-upload-pack\n0000{:04x}{filling}", length + 4);
        let head = format!(
            "HTTP/1.1 200 OK\r\nX-Filling: {filling}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let at_once = if head_at_once { head.len() } else { 0 };
        let text = head + &body;
        stream.write_all(&text.as_bytes()[..at_once]).ok()?;
        for byte in &text.as_bytes()[at_once..] {
            if held.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                break;
            }
            stream.write_all(&[*byte]).ok()?;
        }
        None
    });
    Dripping { _release: release, server }
}

/// In this thread, so that nothing but the transport itself can end it.
fn run(Dripping { server, .. }: &Dripping, silence: Duration, after: Duration) -> (GitError, Duration) {
    let (home, begun) = (TempDir::new().expect("a temporary folder"), Instant::now());
    let job = fetch::Job {
        url: server.url(),
        path: home.path().join("repo.git"),
        reach: GitSettings { silence, ..settings() }.reach().expect("the settings are legal"),
        pulls: BTreeSet::new(),
        deadline: begun + after,
        after,
        limit: u64::MAX,
    };
    let error = fetch::run(&job, &None).err().expect("there is no repository");
    (error, begun.elapsed())
}

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(300);

#[test]
fn who_drips_is_not_silent_but_ends_with_the_deadline() {
    let deadline = Duration::from_secs(1);
    for head_at_once in [true, false] {
        let (error, took) = run(&dripping(head_at_once, 60_000, Duration::from_millis(20)), LONG, deadline);
        assert!(matches!(error, GitError::Deadline { after, .. } if after == deadline), "{error:?}");
        assert!(took < Duration::from_secs(60), "{took:?}");
    }

    // The head alone takes longer than it may be silent; what follows is not git's.
    let silence = Duration::from_secs(3);
    let (error, took) = run(&dripping(false, 10, Duration::from_millis(40)), silence, LONG);
    assert!(matches!(error, GitError::Remote { .. }) && took > silence, "{took:?} {error:?}");
}

#[test]
fn silence_at_any_place_of_an_answer_is_silence() {
    let silence = Duration::from_millis(200);
    for head_at_once in [true, false] {
        let (error, took) = run(&dripping(head_at_once, 100, LONG), silence, LONG);
        assert!(matches!(error, GitError::Deadline { after, .. } if after == silence), "{error:?}");
        assert!(took < Duration::from_secs(60), "{took:?}");
    }
}

#[test]
fn a_listing_without_an_end_is_not_read_for_ever() {
    let server = Server::start(|mut stream| {
        Request::read(&stream)?;
        let kind = "application/x-git-upload-pack-advertisement";
        stream.write_all(format!("HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\n\r\n").as_bytes()).ok()?;
        loop {
            stream.write_all(&[b'0'; 1 << 16]).ok()?;
        }
    });
    let reach = settings().reach().expect("the settings are legal");
    let session = Arc::new(Session::new(&reach, Instant::now() + LONG));
    let exchange = Exchange::new(Arc::clone(&session)).expect("a runtime");
    let mut listing = Stream::listing(&exchange, &url(&server));
    let read = std::io::copy(&mut listing, &mut std::io::sink());
    assert!(read.is_err_and(|error| error.to_string() == "it lists refs in more than 67108864 bytes"));
    assert!(matches!(session.failure(), Some(HttpError::Listing(_))));
}
