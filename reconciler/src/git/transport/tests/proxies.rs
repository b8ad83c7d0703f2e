//! Ways through a proxy. The servers behind it have names that nothing resolves: only the proxy can lead there.

use super::*;
use hyper_util::client::proxy::matcher::Matcher;
use std::sync::atomic::Ordering;

/// `user:pw`
const WHO: &str = "Basic dXNlcjpwdw==";
const HOST: &str = "git.invalid";

#[tokio::test]
async fn plain_requests_are_the_proxys_to_pass_on() {
    let repository = Repository::new();
    let root = repository.root();
    let proxy = Server::start(move |stream| {
        let mut request = Request::read(&stream)?;
        assert_eq!(request.header("proxy-authorization"), Some(WHO));
        assert_eq!(request.header("host"), Some(HOST));
        let target = request.target.strip_prefix(&format!("http://{HOST}")).expect("a whole address").to_owned();
        request.target = target;
        serve(&request, &stream, &root)
    });
    let matcher = Matcher::builder().http(format!("http://user:pw@{}", proxy.address)).build();
    let settings = GitSettings { proxy: Arc::new(matcher), ..settings() };
    let listing = fetch(settings, &format!("http://{HOST}/repo.git")).await.expect("through the proxy");
    assert!(has_main(&listing), "{listing:?}");
}

#[tokio::test]
async fn a_proxy_may_itself_be_behind_tls_and_one_of_another_kind_is_refused() {
    let (repository, authority) = (Repository::new(), Authority::new());
    let (root, config) = (repository.root(), authority.server("127.0.0.1"));
    let proxy = Server::start(move |socket| {
        answer_tls(&config, socket, |request, answer| {
            let target = request.target.strip_prefix(&format!("http://{HOST}")).expect("a whole address").to_owned();
            serve(&Request { target, ..request.clone() }, answer, &root)
        })
    });
    let (_folder, settings) = authority.settings();
    let through = |proxy: String| {
        let matcher = Matcher::builder().all(proxy).build();
        GitSettings { proxy: Arc::new(matcher), ..settings.clone() }
    };
    let url = format!("http://{HOST}/repo.git");
    let listing = fetch(through(format!("https://{}", proxy.address)), &url).await.expect("through the proxy");
    assert!(has_main(&listing), "{listing:?}");
    let error = fetch(through("socks5://127.0.0.1:1".to_owned()), &url).await.expect_err("SOCKS");
    assert!(error_chain(&error).contains("unsupported scheme socks5"), "{}", error_chain(&error));
}

#[tokio::test]
async fn tls_goes_through_a_tunnel_that_only_the_server_can_read() {
    let (repository, authority) = (Repository::new(), Authority::new());
    let (root, config) = (repository.root(), authority.server(HOST));
    let proxy = Server::start(move |stream| {
        let request = Request::read(&stream)?;
        assert_eq!((request.method.as_str(), request.target.as_str()), ("CONNECT", "git.invalid:443"));
        assert_eq!(request.header("proxy-authorization"), Some(WHO));
        (&stream).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
        answer_tls(&config, stream, |request, answer| {
            assert!(request.header("proxy-authorization").is_none() && request.target.starts_with('/'));
            serve(request, answer, &root)
        })
    });
    let (_folder, settings) = authority.settings();
    let matcher = Matcher::builder().https(format!("http://user:pw@{}", proxy.address)).build();
    let settings = GitSettings { proxy: Arc::new(matcher), ..settings };
    let listing = fetch(settings, &format!("https://{HOST}/repo.git")).await.expect("through the tunnel");
    assert!(has_main(&listing), "{listing:?}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_an_error_and_one_that_is_not_for_a_host_is_not_asked() {
    let refusing = Server::start(|stream| {
        Request::read(&stream)?;
        respond(&stream, "407 Proxy Authentication Required", "Content-Length: 0\r\n", b"")
    });
    let address = format!("http://{}", refusing.address);
    let through = |no: &str| {
        let matcher = Matcher::builder().all(address.clone()).no(no.to_owned()).build();
        GitSettings { proxy: Arc::new(matcher), ..settings() }
    };
    let error = fetch(through(""), &format!("http://{HOST}/repo.git")).await.expect_err("refused");
    assert!(error_chain(&error).contains("407"), "{}", error_chain(&error));
    let error = fetch(through(""), &format!("https://{HOST}/repo.git")).await.expect_err("refused");
    assert!(error_chain(&error).contains("proxy authorization required"), "{}", error_chain(&error));

    let (repository, before) = (Repository::new(), refusing.connections.load(Ordering::SeqCst));
    let root = repository.root();
    let server = Server::start(move |stream| serve(&Request::read(&stream)?, &stream, &root));
    assert!(fetch(through("127.0.0.0/8"), &url(&server)).await.is_ok());
    assert_eq!(refusing.connections.load(Ordering::SeqCst), before);
}
