//! The octocrab client that every session shares: connections, TLS, timeouts and the headers of every request.
//!
//! The layers are put together here rather than by octocrab's default builder, because that one would retry POSTs,
//! follow redirects to other hosts and trust no authority of our own.

use super::settings::{GitHubSettings, SetupError};
use http::{HeaderValue, Uri, header};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use octocrab::{
    AuthState, OctoBody, Octocrab, OctocrabBuilder,
    service::middleware::{base_uri::BaseUriLayer, extra_headers::ExtraHeadersLayer},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{path::Path, sync::Arc, time::Duration};
use url::Url;

const USER_AGENT: &str = concat!("lapdev/", env!("CARGO_PKG_VERSION"));

/// A client of the settings' host with these credentials. Its worker task ends with its last clone.
pub(super) fn connect(settings: &GitHubSettings, auth: AuthState) -> Result<Octocrab, SetupError> {
    let base = base_uri(&settings.api_url)?;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(settings.connect_timeout));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls(settings.ca_file.as_deref())?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(55))
        .build::<_, OctoBody>(connector);
    let headers = vec![
        (header::USER_AGENT, HeaderValue::from_static(USER_AGENT)),
        (header::ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
    ];
    let Ok(octocrab) = OctocrabBuilder::new_empty()
        .with_service(client)
        .with_layer(&ExtraHeadersLayer::new(Arc::new(headers)))
        .with_layer(&BaseUriLayer::new(base))
        .with_auth(auth)
        .build();
    Ok(octocrab)
}

fn base_uri(url: &Url) -> Result<Uri, SetupError> {
    let refused = || SetupError::Address(url.clone());
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !plain || url.password().is_some() || !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refused());
    }
    if url.scheme() == "http" {
        tracing::warn!(%url, "the address of GitHub's API is not encrypted: whoever listens reads the credentials");
    }
    url.as_str().parse().map_err(|_| refused())
}

fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, SetupError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    tracing::debug!(added, "the system's certificate authorities");
    if let Some(path) = ca_file {
        add_authorities(&mut roots, path)?;
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(SetupError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn add_authorities(roots: &mut RootCertStore, path: &Path) -> Result<(), SetupError> {
    let what = "certificate authorities";
    let pem = std::fs::read(path).map_err(|source| SetupError::File { what, path: path.to_owned(), source })?;
    let content = |message: String| SetupError::Content { what, path: path.to_owned(), message };
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| content(error.to_string()))?;
        roots.add(certificate).map_err(|error| content(error.to_string()))?;
        count += 1;
    }
    if count == 0 { Err(content("no PEM certificate in it".to_owned())) } else { Ok(()) }
}
