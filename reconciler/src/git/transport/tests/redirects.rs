//! Servers that lead on to others.

use super::{super::request, *};
use std::sync::{Mutex, atomic::Ordering};
use url::Url;

fn lead(stream: &TcpStream, to: &str) -> Option<()> {
    respond(stream, "302 Found", &format!("Location: {to}\r\nContent-Length: 0\r\n"), b"")
}

#[tokio::test]
async fn a_repository_that_moved_on_its_server_is_followed_with_the_token() {
    let repository = Repository::new();
    let (root, paths) = (repository.root(), Arc::new(Mutex::new(Vec::new())));
    let seen = paths.clone();
    let server = Server::start(move |stream| {
        let request = Request::read(&stream)?;
        seen.lock().expect("no panic").push(request.target.clone());
        match request.header("authorization") {
            Some(GOOD) if request.target.starts_with("/old.git") => lead(&stream, REFS),
            Some(GOOD) => serve(&request, &stream, &root),
            _ => respond(&stream, "401 Unauthorized", ASKS, b""),
        }
    });
    let (_folder, settings) = with_token(&format!("http://{}/", server.address));
    let listing = fetch(settings, &format!("http://{}/old.git", server.address)).await.expect("it is followed");
    assert!(has_main(&listing), "{listing:?}");
    let paths = paths.lock().expect("no panic").clone();
    assert_eq!(paths.last().map(String::as_str), Some("/repo.git/git-upload-pack"), "{paths:?}");
}

/// What another server lists would be taken for what there is, and branches that it lacks for ended ones.
#[tokio::test]
async fn another_server_is_neither_asked_nor_believed() {
    let other = Server::start(|_| None);
    let to = format!("http://{}{REFS}", other.address);
    let server = Server::start(move |stream| Request::read(&stream).and_then(|_| lead(&stream, &to)));
    let (_folder, settings) = with_token(&format!("http://{}/", server.address));
    let error = fetch(settings, &url(&server)).await.expect_err("it is refused");
    assert!(error_chain(&error).contains("another server, which is not followed"), "{error:?}");
    assert_eq!(other.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn no_redirect_leads_from_tls_to_plain_text() {
    let plain = Server::start(|_| None);
    let (authority, to) = (Authority::new(), format!("Location: http://{}{REFS}\r\n", plain.address));
    let config = authority.server("127.0.0.1");
    let secure = Server::start(move |socket| {
        answer_tls(&config, socket, |_, answer| respond(answer, "301 Moved Permanently", &to, b""))
    });
    let (_folder, settings) = authority.settings();
    let error = fetch(settings, &format!("https://{}/repo.git", secure.address)).await.expect_err("refused");
    let text = error_chain(&error);
    assert!(matches!(error, GitError::Remote { .. }) && text.contains("which TLS does not protect"), "{text}");
    assert_eq!(plain.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let server = Server::start(|stream| {
        Request::read(&stream)?;
        lead(&stream, REFS)
    });
    let error = fetch(settings(), &url(&server)).await.expect_err("it never answers");
    assert!(error_chain(&error).contains("more than 5 times"), "{error:?}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn only_the_first_request_may_be_led_elsewhere() {
    let repository = Repository::new();
    let (root, asked) = (repository.root(), Arc::new(Mutex::new(Vec::new())));
    let seen = asked.clone();
    let server = Server::start(move |stream| {
        let request = Request::read(&stream)?;
        seen.lock().expect("no panic").push(request.method.clone());
        match request.method.as_str() {
            "POST" => lead(&stream, "/elsewhere.git/git-upload-pack"),
            _ => serve(&request, &stream, &root),
        }
    });
    let error = fetch(settings(), &url(&server)).await.expect_err("it leads on");
    assert!(error_chain(&error).contains("it answered 302 Found"), "{error:?}");
    assert_eq!(*asked.lock().expect("no panic"), ["GET", "POST"]);
}

#[test]
fn where_a_redirect_leads_is_a_repository_or_nowhere() {
    let to = |from: &str, location: &str| {
        let from = Url::parse(from).expect("an address");
        request::follow(&from, location).map(String::from).map_err(|error| error.to_string())
    };
    let here = "https://a.example/x/old";
    for location in [
        "/x/new.git/info/refs?service=git-upload-pack",
        "/x/new.git/info/refs",
        "../../new.git/info/refs?service=git-upload-pack",
        "//a.example/x/new.git/info/refs",
        "https://a.example:443/x/new.git/info/refs?service=git-upload-pack#x",
        "https://me:secret@a.example/x/new.git/info/refs",
    ] {
        assert_eq!(to(here, location).as_deref(), Ok("https://a.example/x/new.git"), "{location}");
    }
    let plain = "http://a.example/x/old";
    assert_eq!(
        to(plain, "https://a.example/y/info/refs").as_deref(),
        Ok("https://a.example/y"),
        "the same host by TLS"
    );
    for (from, elsewhere) in [
        (here, "https://b.example/y/info/refs"),
        (here, "https://a.example:8443/y/info/refs"),
        (plain, "https://b.example/y/info/refs"),
        (plain, "https://a.example:8443/y/info/refs"),
        ("http://a.example:8080/x", "https://a.example/y/info/refs"),
    ] {
        let error = to(from, elsewhere).expect_err(elsewhere);
        assert!(error.contains("another server"), "{error}");
    }
    for (location, why) in [
        ("/sign_in?token=secret", "https://a.example/sign_in, which is no repository"),
        ("http://a.example/x/info/refs", "which TLS does not protect"),
        ("file:///etc/passwd/info/refs", "which TLS does not protect"),
        ("https://[/info/refs", "no address"),
    ] {
        let error = to(here, location).expect_err(location);
        assert!(error.contains(why) || why == "no address", "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    let long = to(here, &format!("/{}", "x".repeat(10_000))).expect_err("no repository");
    assert!(long.len() < 300, "{long}");
}
