//! The command's side of `/api/v1`: plain HTTP or TLS, the admin token, a time limit on every call.

use crate::{args::ServerArgs, exit::Failure};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use lapdev_api::view::ApiError;
use serde::{Serialize, de::DeserializeOwned};
use std::{path::PathBuf, time::Duration};
use url::Url;

const PATIENCE: Duration = Duration::from_secs(30);
/// An audit asks every agent and a trace one; the control plane gives those 70 s and 75 s.
const LONG_PATIENCE: Duration = Duration::from_secs(90);
const MAX_ANSWER: usize = 64 << 20;

/// Speaks to one control plane.
pub struct Client {
    http: HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    server: Url,
    authorization: HeaderValue,
    patience: Duration,
}

/// A call that brought no answer, or a refusal.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No admin token was named.
    #[error(
        "no admin token: name its file by --admin-token-file or LAPDEV_ADMIN_TOKEN_FILE; it is admin.token in the \
         control plane's data folder"
    )]
    NoToken,
    /// The file holds something else.
    #[error("{path} holds no admin token, which is one line of text")]
    NotToken {
        /// Which file.
        path: PathBuf,
    },
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
    /// It took too long.
    #[error("the control plane at {server} did not answer within {} s", .patience.as_secs())]
    Late {
        /// Its address.
        server: String,
        /// How long was waited.
        patience: Duration,
    },
    /// Something else than a control plane of this version answered, a proxy perhaps.
    #[error("what answers at {server} ({status}) is no control plane that this command understands")]
    Stranger {
        /// The address.
        server: String,
        /// The HTTP status.
        status: StatusCode,
    },
    /// It answered that it will not.
    #[error("{message}")]
    Refused {
        /// Its own words.
        message: String,
    },
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unreachable { .. } | CallError::Late { .. } | CallError::Stranger { .. } => {
                Self::unreachable(error)
            }
            CallError::NoToken | CallError::Address { .. } => Self::usage(error),
            _ => Self::not_fine(error),
        }
    }
}

impl Client {
    /// Reads the token and the certificate authority; connects to nothing yet.
    pub fn new(args: &ServerArgs) -> Result<Self, CallError> {
        let server = address(&args.server).ok_or_else(|| CallError::Address { server: args.server.clone() })?;
        let path = args.admin_token_file.clone().ok_or(CallError::NoToken)?;
        let authorization = authorization(path)?;
        let http = HttpClient::builder(TokioExecutor::new()).build(connector(args.ca_file.as_ref())?);
        Ok(Self { http, server, authorization, patience: PATIENCE })
    }

    /// For what takes long.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { patience: LONG_PATIENCE, ..self }
    }

    /// `GET` below `/api/v1`.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, CallError> {
        self.read(self.call(Method::GET, path, Bytes::new()).await?)
    }

    /// `POST` without a body below `/api/v1`.
    pub async fn post<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, CallError> {
        self.read(self.call(Method::POST, path, Bytes::new()).await?)
    }

    /// `POST` with a body below `/api/v1`.
    pub async fn ask<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, CallError> {
        let body = serde_json::to_vec(body).expect("it has string keys only");
        self.read(self.call(Method::POST, path, body.into()).await?)
    }

    /// `DELETE` below `/api/v1`.
    pub async fn delete(&self, path: &[&str]) -> Result<(), CallError> {
        self.call(Method::DELETE, path, Bytes::new()).await.map(drop)
    }

    async fn call(&self, method: Method, path: &[&str], body: Bytes) -> Result<(StatusCode, Bytes), CallError> {
        let request = Request::builder()
            .method(method)
            .uri(self.below(path).as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, self.authorization.clone())
            .body(Full::new(body))
            .map_err(|_| CallError::Address { server: self.server() })?;
        let exchange = async {
            let response = self.http.request(request).await.map_err(|error| self.unreachable(error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            Ok((status, body.map_err(|error| self.unreachable(error))?.to_bytes()))
        };
        let late = |_| CallError::Late { server: self.server(), patience: self.patience };
        let (status, body) = tokio::time::timeout(self.patience, exchange).await.map_err(late)??;
        if status.is_success() { Ok((status, body)) } else { Err(self.refusal(status, &body)) }
    }

    /// Whatever a name holds, it stays one segment of the path.
    fn below(&self, path: &[&str]) -> Url {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        url
    }

    fn read<T: DeserializeOwned>(&self, (status, body): (StatusCode, Bytes)) -> Result<T, CallError> {
        serde_json::from_slice(&body).map_err(|_| CallError::Stranger { server: self.server(), status })
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> CallError {
        match serde_json::from_slice::<ApiError>(body) {
            Ok(ApiError { message }) => CallError::Refused { message },
            Err(_) => CallError::Stranger { server: self.server(), status },
        }
    }

    fn unreachable(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CallError {
        CallError::Unreachable { server: self.server(), source: source.into() }
    }

    fn server(&self) -> String {
        self.server.as_str().trim_end_matches('/').to_owned()
    }
}

fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let http = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    (http && url.query().is_none() && url.fragment().is_none()).then_some(url)
}

fn authorization(path: PathBuf) -> Result<HeaderValue, CallError> {
    let token = match std::fs::read_to_string(&path) {
        Ok(token) => token,
        Err(source) => return Err(CallError::Token { path, source }),
    };
    match HeaderValue::try_from(format!("Bearer {}", token.trim())) {
        Ok(mut value) if !token.trim().is_empty() => {
            value.set_sensitive(true);
            Ok(value)
        }
        _ => Err(CallError::NotToken { path }),
    }
}

/// One TLS provider for every part of the command; installing it can only fail when it already is.
pub fn install_tls_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Connects to HTTP and HTTPS, trusting the system's authorities and one more.
pub fn connector(ca_file: Option<&PathBuf>) -> Result<HttpsConnector<HttpConnector>, CallError> {
    install_tls_provider();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment_of_the_path() {
        let below = |server: &str, name: &str| {
            let client = Client {
                http: HttpClient::builder(TokioExecutor::new()).build(connector(None).expect("a connector")),
                server: address(server).expect("an address"),
                authorization: HeaderValue::from_static("Bearer x"),
                patience: PATIENCE,
            };
            client.below(&["environments", name]).to_string()
        };
        assert_eq!(below("https://a.example", "x"), "https://a.example/api/v1/environments/x");
        assert_eq!(below("http://a.example:1/under/", "x"), "http://a.example:1/under/api/v1/environments/x");
        assert_eq!(below("https://a.example", "a/b?c#d e"), "https://a.example/api/v1/environments/a%2Fb%3Fc%23d%20e");
    }

    #[test]
    fn what_is_no_address_of_a_control_plane_is_refused() {
        for bad in
            ["", "nonsense", "localhost:8443", "ftp://a.example", "https://a.example/?x", "https://u:p@a.example"]
        {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
