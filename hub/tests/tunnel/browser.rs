//! A client of the hub: real TLS, HTTP/1.1 or HTTP/2, any host.

use crate::lab::{Lab, PATIENCE};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lapdev_tunnel::body::{self, Body};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

pub async fn tls(lab: &Lab, protocol: &str) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(lab.certificate()).expect("a certificate")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(lab.address).await.expect("connected");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake")
}

pub async fn http1(lab: &Lab) -> http1::SendRequest<Body> {
    let (sender, connection) = http1::handshake(TokioIo::new(tls(lab, "http/1.1").await)).await.expect("a handshake");
    tokio::spawn(connection.with_upgrades());
    sender
}

pub async fn http2(lab: &Lab) -> http2::SendRequest<Body> {
    let io = TokioIo::new(tls(lab, "h2").await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.expect("a handshake");
    tokio::spawn(connection);
    sender
}

pub fn get(host: &str, path: &str) -> http::request::Builder {
    Request::get(path).header(header::HOST, host)
}

/// One request over a connection of its own.
pub async fn ask(lab: &Lab, request: http::request::Builder) -> Answer {
    let response = open(lab, request.body(body::empty()).expect("legal")).await;
    collect(response).await
}

pub async fn open(lab: &Lab, request: Request<Body>) -> Response<Incoming> {
    let mut sender = http1(lab).await;
    let sent = tokio::time::timeout(PATIENCE, sender.send_request(request));
    sent.await.expect("in time").expect("an answer")
}

pub async fn collect(response: Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("in time").expect("a body").to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}
