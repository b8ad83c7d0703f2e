//! Whom TLS trusts: the system's certificate authorities, and those of the operator's file.

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    fmt, io,
    path::Path,
    sync::{Arc, OnceLock},
};

/// A file that names no authority.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum TrustError {
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    #[error("{0}")]
    Content(String),
}

/// The authorities that are trusted.
pub(in super::super) struct Trust {
    own: RootCertStore,
    config: OnceLock<Arc<ClientConfig>>,
}

impl Trust {
    /// Reads the operator's file, if there is one.
    pub fn read(ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let mut own = RootCertStore::empty();
        if let Some(path) = ca_file {
            let content = |error: &dyn fmt::Display| TrustError::Content(error.to_string());
            let pem = std::fs::read(path).map_err(TrustError::Read)?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                own.add(certificate.map_err(|error| content(&error))?).map_err(|error| content(&error))?;
            }
            if own.is_empty() {
                return Err(content(&"there is no certificate in it"));
            }
        }
        Ok(Self { own, config: OnceLock::new() })
    }

    /// With the system's authorities, which are read at the first fetch: a start that fetches nothing pays nothing.
    pub fn config(&self) -> Arc<ClientConfig> {
        if let Some(config) = self.config.get() {
            return Arc::clone(config);
        }
        let (roots, is_there) = self.roots();
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs has the versions that rustls asks for by default")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let config = Arc::new(config);
        match is_there {
            true => Arc::clone(self.config.get_or_init(|| config)),
            false => config,
        }
    }

    /// The operator's and the system's authorities, and whether any of the system's could be read: if none, the next
    /// fetch looks again. A single file that is broken for ever is told once.
    fn roots(&self) -> (RootCertStore, bool) {
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::warn!(%error, "a certificate authority of the system cannot be read");
        }
        let is_there = system.errors.is_empty() || !system.certs.is_empty();
        let mut roots = self.own.clone();
        roots.add_parsable_certificates(system.certs);
        (roots, is_there)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("own", &self.own.len()).finish_non_exhaustive()
    }
}
