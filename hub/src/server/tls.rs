//! The listener's certificate: read at start, and again whenever a file changes, without a restart.

use crate::settings::TlsFiles;
use lapdev_api::words::error_chain;
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};
use tokio_rustls::TlsAcceptor;

const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Why the certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or no PEM.
    #[error("cannot read {path} as PEM", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The two do not fit, or are of a kind that is not supported.
    #[error("the certificate in {certificate} and the key in {key} cannot be used", certificate = .certificate.display(), key = .key.display())]
    Use {
        /// Certificate file.
        certificate: PathBuf,
        /// Key file.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// The present certificate, and the configuration that serves it.
pub(crate) struct Certificates {
    files: TlsFiles,
    present: Arc<Present>,
    config: Arc<ServerConfig>,
}

struct Present(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Present")
    }
}

impl ResolvesServerCert for Present {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Certificates {
    pub(crate) fn read(files: TlsFiles) -> Result<Self, TlsError> {
        let present = Arc::new(Present(RwLock::new(Arc::new(load(&files)?))));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|source| unusable(&files, source))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(present.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { files, present, config: Arc::new(config) })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }

    /// Looks for changed files for ever. A pair that cannot be used leaves the present one in place.
    pub(crate) async fn keep_fresh(&self) {
        let mut seen = self.modified();
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let modified = self.modified();
            if modified == seen {
                continue;
            }
            match load(&self.files) {
                Ok(key) => {
                    *self.present.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                    tracing::info!("the listener's certificate was read anew");
                    seen = modified;
                }
                // Perhaps between the two writes; the next look may find both.
                Err(error) => tracing::warn!(
                    error = error_chain(&error),
                    "a changed certificate cannot be used; the present one stays"
                ),
            }
        }
    }

    fn modified(&self) -> [Option<SystemTime>; 2] {
        let of = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified()).ok();
        [of(&self.files.certificate), of(&self.files.key)]
    }
}

fn load(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Read { path, source }
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate).map_err(unreadable(&files.certificate))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(unreadable(&files.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(unreadable(&files.key))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(|source| unusable(files, source))
}

fn unusable(files: &TlsFiles, source: rustls::Error) -> TlsError {
    TlsError::Use { certificate: files.certificate.clone(), key: files.key.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(files: &TlsFiles) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        std::fs::write(&files.certificate, made.cert.pem()).expect("written");
        std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("written");
    }

    fn present(certificates: &Certificates) -> CertificateDer<'static> {
        certificates.present.0.read().expect("sound").cert[0].clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_certificate_is_served_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = TlsFiles { certificate: folder.path().join("crt"), key: folder.path().join("key") };
        assert!(matches!(Certificates::read(files.clone()), Err(TlsError::Read { .. })));
        write(&files);
        let certificates = Certificates::read(files.clone()).expect("read");
        let first = present(&certificates);
        let changes = async {
            tokio::time::sleep(LOOK_AGAIN / 2).await;
            write(&files);
            tokio::time::sleep(LOOK_AGAIN).await;
            let second = present(&certificates);
            assert_ne!(first, second);
            std::fs::write(&files.key, "no key").expect("written");
            tokio::time::sleep(LOOK_AGAIN).await;
            assert_eq!(present(&certificates), second);
        };
        tokio::select! { () = changes => {}, () = certificates.keep_fresh() => unreachable!("for ever") }
    }
}
