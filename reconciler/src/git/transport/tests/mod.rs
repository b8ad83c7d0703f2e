//! Fetching over HTTP from servers of every kind: what they share.

mod answers;
mod proxies;
mod redirects;
mod trust;

use crate::git::{
    Credential, GitError, GitSettings, Listing, Mirrors,
    http_tests::{Request, Server, git, respond},
    tests::{Origin, settings},
};
use lapdev_api::words::error_chain;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};
use std::{
    collections::BTreeSet,
    io::Write as _,
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

/// `x-access-token:good`
const GOOD: &str = "Basic eC1hY2Nlc3MtdG9rZW46Z29vZA==";
const ASKS: &str = "WWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n";
const REFS: &str = "/repo.git/info/refs?service=git-upload-pack";

/// A repository with one commit, below a folder as `git http-backend` wants it.
struct Repository {
    folder: TempDir,
    _origin: Origin,
}

impl Repository {
    fn new() -> Self {
        let (folder, origin) = (TempDir::new().expect("a temporary folder"), Origin::new());
        origin.commit("main", &[], &[("a", Some("1"))]);
        std::os::unix::fs::symlink(origin.folder.path(), folder.path().join("repo.git")).expect("a link");
        Self { folder, _origin: origin }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

/// Passes a request on to git and its answer back.
fn serve(request: &Request, stream: impl std::io::Write, root: &Path) -> Option<()> {
    let (status, headers, body) = git(request, root)?;
    respond(stream, &status, &headers, &body)
}

/// Fetches into a folder of its own.
async fn fetch(settings: GitSettings, url: &str) -> Result<Listing, GitError> {
    let home = TempDir::new().expect("a temporary folder");
    let mirrors = Mirrors::open(home.path().join("mirrors"), settings).expect("a writable folder");
    let fetched = mirrors.fetch(&url.parse().expect("an address"), &BTreeSet::new()).await;
    fetched.map(|fetched| fetched.listing)
}

fn has_main(listing: &Listing) -> bool {
    matches!(listing, Listing::Complete(refs) if refs.branches().len() == 1)
}

fn url(server: &Server) -> String {
    format!("http://{}/repo.git", server.address)
}

/// Settings with the good token for a prefix, and the folder that holds it.
fn with_token(prefix: &str) -> (TempDir, GitSettings) {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "good\n").expect("a token");
    (folder, GitSettings { credentials: vec![Credential::token(prefix, file)], ..settings() })
}

/// An authority of our own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // Named, or the leaf with its default name would count as issued by itself.
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// A server's side of TLS, under one name.
    fn server(&self, name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a private key");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs has them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.expect("a certificate with its key"))
    }

    /// Settings that trust it, and the folder that holds its certificate.
    fn settings(&self) -> (TempDir, GitSettings) {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, self.0.pem()).expect("a certificate");
        (folder, GitSettings { ca_file: Some(file), ..settings() })
    }
}

/// Answers one request over TLS. A client that does not trust us ends it in the handshake.
fn answer_tls(
    config: &Arc<ServerConfig>,
    socket: TcpStream,
    answer: impl FnOnce(&Request, &mut Vec<u8>) -> Option<()>,
) -> Option<()> {
    let connection = ServerConnection::new(Arc::clone(config)).ok()?;
    let mut stream = StreamOwned::new(connection, socket);
    let request = Request::read(&mut stream)?;
    let mut bytes = Vec::new();
    answer(&request, &mut bytes)?;
    stream.write_all(&bytes).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}
