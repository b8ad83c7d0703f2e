//! The cluster's own certificate authority, serving and client certificates, static tokens and kubeconfigs. Everything
//! is made new for each run and lies in its run folder.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::error::ClusterError;
use super::run_folder::RunFolder;

/// Who may talk to the API server by a static token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// The tests themselves.
    Admin,
    /// kube-controller-manager. It may do everything, so that it starts without making forty ServiceAccounts first.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// The node's kubelet.
    Kubelet,
    /// kube-proxy.
    Proxy,
    /// CoreDNS.
    Dns,
}

impl Client {
    const ALL: [Self; 6] =
        [Self::Admin, Self::ControllerManager, Self::Scheduler, Self::Kubelet, Self::Proxy, Self::Dns];

    /// Names its kubeconfig.
    fn label(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::ControllerManager => "controller-manager",
            Self::Scheduler => "scheduler",
            Self::Kubelet => "kubelet",
            Self::Proxy => "proxy",
            Self::Dns => "dns",
        }
    }

    /// User and group as Kubernetes' own bootstrap roles expect them.
    fn user_and_group(self, node: &str) -> (String, &'static str) {
        match self {
            Self::Admin => ("admin".to_owned(), "system:masters"),
            Self::ControllerManager => ("system:kube-controller-manager".to_owned(), "system:masters"),
            Self::Scheduler => ("system:kube-scheduler".to_owned(), ""),
            Self::Kubelet => (format!("system:node:{node}"), "system:nodes"),
            Self::Proxy => ("system:kube-proxy".to_owned(), ""),
            Self::Dns => ("system:coredns".to_owned(), ""),
        }
    }
}

/// A run's credentials.
#[derive(Debug, Clone)]
pub struct Credentials {
    run: RunFolder,
    tokens: Vec<(Client, String)>,
    ca: String,
}

impl Credentials {
    /// Makes them and writes what the API server reads: `pki/` and `tokens.csv`.
    pub fn create(run: &RunFolder, addresses: &[IpAddr]) -> Result<Self, ClusterError> {
        let authority = authority()?;
        run.write("pki/ca.crt", authority.pem())?;
        let serving = leaf("kube-apiserver", None, addresses, ExtendedKeyUsagePurpose::ServerAuth)?;
        sign(run, &authority, "apiserver", &serving)?;
        // The API server shows this one to the kubelet, for logs, exec and port-forward.
        let client = leaf("kube-apiserver", Some("system:masters"), &[], ExtendedKeyUsagePurpose::ClientAuth)?;
        sign(run, &authority, "kubelet-client", &client)?;
        let account_key = KeyPair::generate()?;
        run.write("pki/service-account.key", account_key.serialize_pem())?;
        run.write("pki/service-account.pub", account_key.public_key_pem())?;

        let tokens: Vec<_> = Client::ALL.into_iter().map(|client| (client, random_hex(16))).collect();
        let rows: String = tokens
            .iter()
            .map(|(client, token)| {
                let (user, group) = client.user_and_group(run.name().as_str());
                format!("{token},{user},{user},\"{group}\"\n")
            })
            .collect();
        run.write("tokens.csv", rows)?;
        Ok(Self { run: run.clone(), tokens, ca: authority.pem() })
    }

    /// Writes a client's kubeconfig for the API server at `server` and returns its path.
    pub fn kubeconfig(&self, client: Client, server: &str) -> Result<PathBuf, ClusterError> {
        let token = self.tokens.iter().find(|(c, _)| *c == client).map_or("", |(_, token)| token);
        self.kubeconfig_with(&format!("{}.kubeconfig", client.label()), server, token)
    }

    /// Writes a kubeconfig with any bearer token as `file` of the run folder.
    pub fn kubeconfig_with(&self, file: &str, server: &str, token: &str) -> Result<PathBuf, ClusterError> {
        self.run.write(file, kubeconfig(&self.ca, server, token))
    }
}

/// A kubeconfig as text.
fn kubeconfig(ca: &str, server: &str, token: &str) -> String {
    let ca = data_encoding::BASE64.encode(ca.as_bytes());
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters: [{{name: test, cluster: {{server: \"{server}\", certificate-authority-data: {ca}}}}}]\n\
         users: [{{name: test, user: {{token: \"{token}\"}}}}]\n\
         contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n"
    )
}

/// As many random bytes, in hexadecimal.
///
/// # Panics
/// When the kernel has no random source, which Linux always has.
pub fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut buffer))
        .expect("Linux has /dev/urandom");
    data_encoding::HEXLOWER.encode(&buffer)
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, ClusterError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "lapdev test cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn leaf(
    name: &str,
    organization: Option<&str>,
    addresses: &[IpAddr],
    usage: ExtendedKeyUsagePurpose,
) -> Result<CertificateParams, ClusterError> {
    let services = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let mut params = CertificateParams::new(services.map(str::to_owned))?;
    params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(organization) = organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn sign(
    run: &RunFolder,
    authority: &CertifiedIssuer<'static, KeyPair>,
    file: &str,
    params: &CertificateParams,
) -> Result<(), ClusterError> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    let pki = Path::new("pki");
    run.write(pki.join(file).with_extension("crt"), certificate.pem())?;
    run.write(pki.join(file).with_extension("key"), key.serialize_pem())?;
    Ok(())
}
