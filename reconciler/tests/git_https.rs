//! Trust over HTTPS: a certificate authority of the operator's own is believed, another is not. A binary of its own,
//! because libgit2 keeps what it trusts per process.

use lapdev_reconciler::git::{GitError, GitSettings, Mirrors, RepositoryUrl};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ServerConfig, ServerConnection, Stream, pki_types::PrivateKeyDer};
use std::{
    collections::BTreeSet,
    error::Error,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread::JoinHandle,
};
use tempfile::TempDir;

type Ca = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Result<Ca, Box<dyn Error>> {
    let mut params = CertificateParams::new(Vec::new())?;
    // Named, or the leaf with its default name would count as issued by itself.
    params.distinguished_name.push(DnType::CommonName, "an authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn server_config(ca: &Ca) -> Result<ServerConfig, Box<dyn Error>> {
    let key = KeyPair::generate()?;
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?.signed_by(&key, ca)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?)
}

/// What a git server says of an empty repository.
fn advertisement() -> String {
    let line = |text: &str| format!("{:04x}{text}", text.len() + 4);
    let body = format!(
        "{}0000{}0000",
        line("# service=git-upload-pack\n"),
        line(&format!("{} capabilities^{{}}\0agent=test\n", "0".repeat(40)))
    );
    let kind = "application/x-git-upload-pack-advertisement";
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Answers one connection. A client that does not trust us ends it in the handshake.
fn answer(config: Arc<ServerConfig>, mut socket: TcpStream) -> Option<()> {
    let mut connection = ServerConnection::new(config).ok()?;
    let mut stream = Stream::new(&mut connection, &mut socket);
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    stream.write_all(advertisement().as_bytes()).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}

fn serve(ca: &Ca) -> Result<(SocketAddr, JoinHandle<()>), Box<dyn Error>> {
    let config = Arc::new(server_config(ca)?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let thread = std::thread::spawn(move || {
        let (socket, _) = listener.accept().expect("one connection");
        let _ = answer(config, socket);
    });
    Ok((address, thread))
}

#[tokio::test]
async fn an_authority_of_our_own_is_believed_and_another_is_not() -> Result<(), Box<dyn Error>> {
    let (ours, other) = (authority()?, authority()?);
    let home = TempDir::new()?;
    let ca_file = home.path().join("ca.pem");
    std::fs::write(&ca_file, ours.pem())?;
    let settings = GitSettings { ca_file: Some(ca_file), ..GitSettings::default() };
    let mirrors = Mirrors::open(home.path().join("mirrors"), settings)?;

    let (address, thread) = serve(&ours)?;
    let url: RepositoryUrl = format!("https://127.0.0.1:{}/repo.git", address.port()).parse()?;
    let fetched = mirrors.fetch(&url, &BTreeSet::new()).await?;
    assert!(fetched.listing.complete().is_some_and(|refs| refs.branches().is_empty()));
    thread.join().expect("the server ends");

    let (address, thread) = serve(&other)?;
    let url: RepositoryUrl = format!("https://127.0.0.1:{}/repo.git", address.port()).parse()?;
    let answer = mirrors.fetch(&url, &BTreeSet::new()).await;
    assert!(matches!(answer, Err(GitError::Untrusted { .. })), "{answer:?}");
    thread.join().expect("the server ends");
    Ok(())
}
