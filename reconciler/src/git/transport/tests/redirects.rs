//! Servers that lead on to others.

use super::{super::Redirects, super::request, *};
use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};
use url::Url;

fn lead(stream: &TcpStream, to: &str) -> Option<()> {
    respond(stream, "302 Found", &format!("Location: {to}\r\nContent-Length: 0\r\n"), b"")
}

#[tokio::test]
async fn a_redirect_is_followed_and_the_token_stays_with_the_server_that_it_is_for() {
    let repository = Repository::new();
    let (root, told, asks) = (repository.root(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (tells, wants) = (told.clone(), asks.clone());
    let other = Server::start(move |stream| {
        let request = Request::read(&stream)?;
        tells.fetch_or(request.header("authorization").is_some(), Ordering::SeqCst);
        match wants.load(Ordering::SeqCst) {
            true => respond(&stream, "401 Unauthorized", ASKS, b""),
            false => serve(&request, &stream, &root),
        }
    });
    let to = format!("http://{}{REFS}", other.address);
    let first = Server::start(move |stream| match Request::read(&stream)?.header("authorization") {
        Some(GOOD) => lead(&stream, &to),
        _ => respond(&stream, "401 Unauthorized", ASKS, b""),
    });
    let (_folder, settings) = with_token(&format!("http://{}/", first.address));

    let listing = fetch(settings.clone(), &url(&first)).await.expect("it is followed");
    assert!(has_main(&listing), "{listing:?}");
    let asked = |server: &Server| server.connections.load(Ordering::SeqCst);
    assert_eq!((asked(&first), asked(&other)), (2, 2), "the pack comes from where the listing was found");

    asks.store(true, Ordering::SeqCst);
    let error = fetch(settings, &url(&first)).await.expect_err("the other one wants a token of its own");
    assert!(matches!(error, GitError::Unauthorized { .. }), "{error:?}");
    assert!(!told.load(Ordering::SeqCst), "the token was carried to another server");
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
    let follow = |from: &str, location: &str, redirects| {
        let from = Url::parse(from).expect("an address");
        request::follow(&from, location, redirects).map(String::from).map_err(|error| error.to_string())
    };
    let to = |from, location| follow(from, location, Redirects::Follow);
    let here = "https://a.example/x/old";
    for location in [
        "/x/new.git/info/refs?service=git-upload-pack",
        "/x/new.git/info/refs",
        "../../new.git/info/refs?service=git-upload-pack",
        "//a.example/x/new.git/info/refs",
        "https://a.example:443/x/new.git/info/refs?service=git-upload-pack#x",
        "https://me:secret@a.example/x/new.git/info/refs",
    ] {
        let same = follow(here, location, Redirects::SameOrigin);
        assert_eq!(same.as_deref(), Ok("https://a.example/x/new.git"), "{location}");
    }
    let other = "https://b.example/y/info/refs";
    assert_eq!(to(here, other).as_deref(), Ok("https://b.example/y"));
    assert_eq!(to("http://a.example/x", other).as_deref(), Ok("https://b.example/y"));
    for elsewhere in [other, "https://a.example:8443/y/info/refs", "http://a.example/y/info/refs"] {
        assert!(follow(here, elsewhere, Redirects::SameOrigin).is_err(), "{elsewhere}");
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
