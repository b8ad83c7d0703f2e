//! One attempt to reach the hub: TCP, perhaps through a proxy's CONNECT, TLS, WebSocket.

use super::settings::TunnelSettings;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use hyper::client::conn::http1;
use hyper_util::{client::proxy::matcher::Intercept, rt::TokioIo};
use lapdev_api::wire::{EPOCH_HEADER, SUBPROTOCOL, TUNNEL_PATH, VERSION_HEADER};
use lapdev_tunnel::{body, link::websocket_config};
use rustls_pki_types::{CertificateDer, InvalidDnsNameError, ServerName, pem::PemObject};
use std::{io, path::PathBuf, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, client::IntoClientRequest},
};

/// Why the hub could not be reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("cannot read the cluster's token in {path}; mount it there (`lapdev token create <cluster>` makes one)", path = .0.display())]
    TokenFile(PathBuf, #[source] io::Error),
    #[error("the token in {path} is no legal header value", path = .0.display())]
    Token(PathBuf),
    #[error("cannot read the certificates in {path}", path = .0.display())]
    CaFile(PathBuf, #[source] rustls_pki_types::pem::Error),
    #[error("{0:?} is no address of a hub: expected https://host[:port]")]
    Address(String),
    #[error("cannot connect to {0}")]
    Connect(String, #[source] io::Error),
    #[error("the proxy {0} did not open a tunnel")]
    Proxy(String, #[source] hyper::Error),
    #[error("the proxy {0} answered {1} to CONNECT")]
    ProxyRefused(String, StatusCode),
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    #[error("{0:?} cannot be the name in a certificate")]
    TlsName(String, #[source] InvalidDnsNameError),
    #[error("no TLS connection to {0}; is its certificate signed by an authority that this agent trusts?")]
    TlsHandshake(String, #[source] io::Error),
    #[error("the hub refused the tunnel with {status}: {message}")]
    Refused { status: StatusCode, message: String },
    #[error("the hub did not open a WebSocket")]
    Handshake(#[source] Box<tungstenite::Error>),
    #[error("no connection to the hub within {0} s")]
    TimedOut(u64),
}

/// Any connection.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}
pub(super) type Socket = WebSocketStream<Box<dyn Connection>>;

/// A new WebSocket to the hub, for a session of this epoch.
pub(super) async fn dial(settings: &TunnelSettings, epoch: u64) -> Result<Socket, DialError> {
    let attempt = open(settings, epoch);
    match tokio::time::timeout(settings.dial_timeout, attempt).await {
        Ok(outcome) => outcome,
        Err(_) => Err(DialError::TimedOut(settings.dial_timeout.as_secs())),
    }
}

async fn open(settings: &TunnelSettings, epoch: u64) -> Result<Socket, DialError> {
    let address = || DialError::Address(settings.url.to_string());
    let secure = match settings.url.scheme() {
        "https" | "wss" => true,
        "http" | "ws" => false,
        _ => return Err(address()),
    };
    let host = settings.url.host_str().ok_or_else(address)?;
    let port = settings.url.port_or_known_default().ok_or_else(address)?;
    let scheme = if secure { "https" } else { "http" };
    let target: Uri = format!("{scheme}://{host}:{port}/").parse().map_err(|_| address())?;
    let stream = match settings.proxy.intercept(&target) {
        Some(proxy) => through_proxy(&proxy, host, port).await?,
        None => connect(host, port).await?,
    };
    let stream = if secure { tls(stream, host, client_config(settings)?).await? } else { stream };
    upgrade(stream, settings, epoch, secure).await
}

async fn connect(host: &str, port: u16) -> Result<Box<dyn Connection>, DialError> {
    // A literal IPv6 address is written in brackets in a URL, but not in a look-up.
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let failed = |error| DialError::Connect(format!("{host}:{port}"), error);
    let stream = TcpStream::connect((bare, port)).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(Box::new(stream))
}

async fn through_proxy(proxy: &Intercept, host: &str, port: u16) -> Result<Box<dyn Connection>, DialError> {
    let uri = proxy.uri();
    let proxy_host = uri.host().unwrap_or_default();
    let secure = uri.scheme_str() == Some("https");
    let proxy_port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let name = format!("{proxy_host}:{proxy_port}");
    let mut stream = connect(proxy_host, proxy_port).await?;
    if secure {
        stream = tls(stream, proxy_host, tls_config(None)?).await?;
    }
    let mut request = Request::builder().method(Method::CONNECT).uri(format!("{host}:{port}"));
    if let Some(credentials) = proxy.basic_auth() {
        request = request.header(header::PROXY_AUTHORIZATION, credentials);
    }
    let request = request
        .header(header::HOST, format!("{host}:{port}"))
        .body(body::empty())
        .map_err(|_| DialError::Address(format!("{host}:{port}")))?;
    let failed = |error| DialError::Proxy(name.clone(), error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(DialError::ProxyRefused(name.clone(), response.status()));
        }
        hyper::upgrade::on(response).await.map_err(failed)
    };
    // The connection is driven here and ends with the exchange; no task outlives the attempt.
    let driven = async {
        let _ = connection.with_upgrades().await;
        std::future::pending::<()>().await;
    };
    let upgraded = tokio::select! { biased; outcome = exchange => outcome?, () = driven => unreachable!("pending") };
    Ok(Box::new(TokioIo::new(upgraded)))
}

async fn tls(
    stream: Box<dyn Connection>,
    host: &str,
    config: rustls::ClientConfig,
) -> Result<Box<dyn Connection>, DialError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare).map_err(|error| DialError::TlsName(host.to_owned(), error))?;
    let connector = TlsConnector::from(Arc::new(config));
    let failed = |error| DialError::TlsHandshake(host.to_owned(), error);
    Ok(Box::new(connector.connect(name, stream).await.map_err(failed)?))
}

fn client_config(settings: &TunnelSettings) -> Result<rustls::ClientConfig, DialError> {
    tls_config(settings.ca_file.as_ref())
}

fn tls_config(ca_file: Option<&PathBuf>) -> Result<rustls::ClientConfig, DialError> {
    let mut roots = rustls::RootCertStore::empty();
    // A certificate of the system that cannot be read is not ours to report; without any, the handshake says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let failed = |error| DialError::CaFile(path.clone(), error);
        for certificate in CertificateDer::pem_file_iter(path).map_err(failed)? {
            roots.add(certificate.map_err(failed)?)?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn upgrade(
    stream: Box<dyn Connection>,
    settings: &TunnelSettings,
    epoch: u64,
    secure: bool,
) -> Result<Socket, DialError> {
    let handshake = |error| DialError::Handshake(Box::new(error));
    let url = &settings.url;
    let scheme = if secure { "wss" } else { "ws" };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let (host, path) = (url.host_str().unwrap_or_default(), url.path().trim_end_matches('/'));
    let websocket = format!("{scheme}://{host}{port}{path}{TUNNEL_PATH}");
    let mut request = websocket.into_client_request().map_err(handshake)?;
    let headers = request.headers_mut();
    headers.insert(header::AUTHORIZATION, bearer(settings).await?);
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    headers.insert(EPOCH_HEADER, HeaderValue::from(epoch));
    headers.insert(VERSION_HEADER, HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
    match client_async_with_config(request, stream, Some(websocket_config())).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => {
            let text = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            let message = text.chars().take(300).filter(|c| !c.is_control()).collect();
            Err(DialError::Refused { status: response.status(), message })
        }
        Err(error) => Err(handshake(error)),
    }
}

async fn bearer(settings: &TunnelSettings) -> Result<HeaderValue, DialError> {
    let path = &settings.token_file;
    let token = tokio::fs::read_to_string(path).await.map_err(|e| DialError::TokenFile(path.clone(), e))?;
    let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
    let mut value = value.map_err(|_| DialError::Token(path.clone()))?;
    value.set_sensitive(true);
    Ok(value)
}
