//! TLS for the double: as a server with a given certificate, and as the client that delivers webhooks.

use super::error::DoubleError;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_rustls::TlsAcceptor;

/// A server's certificate chain and its key, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

pub(super) fn acceptor(identity: &Identity) -> Result<TlsAcceptor, DoubleError> {
    let chain = certificates(&identity.certificate)?;
    let unusable = |path: &Path, what: String| DoubleError::Tls { what, path: path.to_owned() };
    let key =
        PrivateKeyDer::from_pem_file(&identity.key).map_err(|error| unusable(&identity.key, error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| unusable(&identity.certificate, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

pub(super) fn connector(ca_file: Option<&Path>) -> Result<HttpsConnector<HttpConnector>, DoubleError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        roots.add_parsable_certificates(certificates(path)?);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| DoubleError::Tls { what: error.to_string(), path: PathBuf::new() })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, DoubleError> {
    let unusable = |what: String| DoubleError::Tls { what, path: path.to_owned() };
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(error.to_string()))
}
