//! The command's side of `/api/v1`: plain HTTP or TLS, the admin token, a time limit on every call.

use crate::{args::ServerArgs, exit::Failure};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    header::{ACCEPT, AUTHORIZATION},
};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use lapdev_api::view::ApiError;
use serde::de::DeserializeOwned;
use std::{path::PathBuf, time::Duration};

const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_ANSWER: usize = 64 << 20;

/// Speaks to one control plane.
pub struct Client {
    http: HttpClient<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    server: String,
    token: String,
}

/// A call that brought no answer, or a refusal.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The admin token cannot be read.
    #[error("cannot read the admin token {path}; it is admin.token in the control plane's data folder")]
    Token {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The certificate authority cannot be used.
    #[error("cannot use the certificate authority {path}: {message}")]
    Authority {
        /// Which file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The address is none.
    #[error("{server:?} is not an address; expected for example https://lapdev.example.com")]
    Address {
        /// As given.
        server: String,
    },
    /// Nothing answered.
    #[error("cannot reach the control plane at {server}")]
    Unreachable {
        /// Its address.
        server: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It answered that it will not.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// Its own words.
        message: String,
    },
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unreachable { .. } => Self::unreachable(error),
            _ => Self::not_fine(error),
        }
    }
}

impl Client {
    /// Reads the token and the certificate authority; connects to nothing yet.
    pub fn new(args: &ServerArgs) -> Result<Self, CallError> {
        let path = &args.admin_token_file;
        let token = std::fs::read_to_string(path).map_err(|source| CallError::Token { path: path.clone(), source })?;
        Ok(Self {
            http: HttpClient::builder(TokioExecutor::new()).build(connector(args.ca_file.as_ref())?),
            server: args.server.trim_end_matches('/').to_owned(),
            token: token.trim().to_owned(),
        })
    }

    /// `GET` below `/api/v1`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.answer(self.call(Method::GET, path).await?)
    }

    /// `POST` without a body below `/api/v1`.
    pub async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.answer(self.call(Method::POST, path).await?)
    }

    /// `DELETE` below `/api/v1`.
    pub async fn delete(&self, path: &str) -> Result<(), CallError> {
        self.call(Method::DELETE, path).await.map(drop)
    }

    async fn call(&self, method: Method, path: &str) -> Result<Bytes, CallError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1/{path}", self.server))
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Empty::new())
            .map_err(|_| CallError::Address { server: self.server.clone() })?;
        let exchange = async {
            let response = self.http.request(request).await.map_err(|error| self.unreachable(error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            Ok((status, body.map_err(|error| self.unreachable(error))?.to_bytes()))
        };
        let (status, body) = tokio::time::timeout(TIMEOUT, exchange).await.map_err(|late| self.unreachable(late))??;
        if status.is_success() { Ok(body) } else { Err(refusal(status, &body)) }
    }

    fn answer<T: DeserializeOwned>(&self, body: Bytes) -> Result<T, CallError> {
        serde_json::from_slice(&body).map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CallError {
        CallError::Unreachable { server: self.server.clone(), source: source.into() }
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> CallError {
    let message = match serde_json::from_slice::<ApiError>(body) {
        Ok(error) => error.message,
        Err(_) => format!("the control plane answered {status}; is this really its address?"),
    };
    CallError::Refused { status, message }
}

fn connector(ca_file: Option<&PathBuf>) -> Result<HttpsConnector<HttpConnector>, CallError> {
    let refuse = |path: &PathBuf, message: String| CallError::Authority { path: path.clone(), message };
    let mut roots = rustls::RootCertStore::empty();
    // A system without certificates is no reason to fail: --ca-file may be all that is needed, or plain HTTP.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        use rustls_pki_types::{CertificateDer, pem::PemObject};
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| refuse(path, error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| refuse(path, error.to_string()))?;
            roots.add(certificate).map_err(|error| refuse(path, error.to_string()))?;
        }
    }
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build())
}
