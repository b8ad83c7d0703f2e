//! An admission webhook that holds what a test chooses inside the API server, for as long as the test wants: so that a
//! process can be killed between its first write and its last, without luck.

use super::{Error, chart, until, within};
use crate::cluster::ApiCluster;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// Names the webhook, and the object that asks whether it stands.
const NAME: &str = "gate";
const PROBE: &str = "gate-probe";
const LIMIT: Duration = Duration::from_secs(30);

/// A gate in front of some writes to a cluster.
pub struct Gate {
    address: SocketAddr,
    authority: String,
    held: watch::Sender<u64>,
    _serving: JoinSet<()>,
}

impl Gate {
    /// Listens; nothing is held yet.
    pub async fn new() -> Result<Self, Error> {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listener = TcpListener::bind((loopback, 0)).await?;
        let address = listener.local_addr()?;
        let (authority, acceptor) = certificates(loopback)?;
        let held = watch::Sender::new(0);
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, acceptor, held.clone()));
        Ok(Self { address, authority, held, _serving: serving })
    }

    /// From now on, the agent's writes to Deployments of this name prefix, by one of these operations, wait. Returns when
    /// the API server minds it.
    pub async fn close(&self, cluster: &ApiCluster, operations: &[&str], prefix: &str) -> Result<(), Error> {
        let webhook = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": NAME},
            "webhooks": [{
                "name": "gate.lapdev.test",
                "clientConfig": {
                    "url": format!("https://{}/", self.address),
                    "caBundle": data_encoding::BASE64.encode(self.authority.as_bytes()),
                },
                "rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"],
                    "operations": operations.iter().chain(&["CREATE"]).collect::<Vec<_>>()}],
                "matchConditions": [{"name": "chosen", "expression": condition(operations, prefix)}],
                "failurePolicy": "Ignore",
                "sideEffects": "None",
                "timeoutSeconds": 30,
                "admissionReviewVersions": ["v1"],
            }],
        });
        self.held.send_replace(0);
        cluster.kubectl(&["apply", "-f", "-"], &webhook.to_string()).await?;
        until("the API server minds the gate", LIMIT, async || {
            let probe = ["create", "deployment", PROBE, "--image=none:1", "--dry-run=server"];
            let refused = cluster.kubectl(&probe, "").await.err().map(|error| error.to_string());
            within(refused.is_some_and(|refused| refused.contains("the gate stands")), "the probe passed")
        })
        .await
    }

    /// Waits until something waits at the gate.
    pub async fn holds(&self) -> Result<(), Error> {
        let mut held = self.held.subscribe();
        let waited = tokio::time::timeout(LIMIT, held.wait_for(|held| *held > 0)).await;
        waited.map(drop).map_err(|_| format!("nothing came to the gate within {LIMIT:?}").into())
    }

    /// Takes it away. What waits there is let through only where somebody still wants it.
    pub async fn lift(&self, cluster: &ApiCluster) -> Result<(), Error> {
        cluster.kubectl(&["delete", "validatingwebhookconfiguration", NAME], "").await?;
        until("the API server forgets the gate", LIMIT, async || {
            let probe = ["create", "deployment", PROBE, "--image=none:1", "--dry-run=server"];
            Ok(cluster.kubectl(&probe, "").await.map(drop)?)
        })
        .await
    }
}

fn condition(operations: &[&str], prefix: &str) -> String {
    let chosen: Vec<_> = operations.iter().map(|operation| format!("{operation:?}")).collect();
    // Controllers write Deployments, too.
    let agent = format!("system:serviceaccount:{}:{}", chart::NAMESPACE, chart::RELEASE);
    format!(
        "request.name == {PROBE:?} || (request.userInfo.username == {agent:?} && request.name.startsWith({prefix:?}) && \
         request.operation in [{}])",
        chosen.join(", ")
    )
}

/// An authority's certificate, and a server certificate that it signed.
fn certificates(address: IpAddr) -> Result<(String, TlsAcceptor), Error> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let mut server = CertificateParams::new(Vec::new())?;
    server.subject_alt_names.push(SanType::IpAddress(address));
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok((authority.pem(), TlsAcceptor::from(Arc::new(config))))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, held: watch::Sender<u64>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, acceptor.clone(), held.clone()));
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, held: watch::Sender<u64>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request| review(request, held.clone()));
    // The API server hangs up when whoever asked it has gone: that is the point of the gate.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Refuses the probe; anything else waits here until the API server gives up on it.
async fn review(request: Request<Incoming>, held: watch::Sender<u64>) -> Result<Response<Full<Bytes>>, Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let review: Value = serde_json::from_slice(&body)?;
    if review.pointer("/request/name").and_then(Value::as_str) != Some(PROBE) {
        held.send_modify(|held| *held += 1);
        std::future::pending::<()>().await;
    }
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {"uid": review.pointer("/request/uid"), "allowed": false, "status": {"message": "the gate stands"}},
    });
    Ok(Response::builder().header("content-type", "application/json").body(Full::from(answer.to_string()))?)
}
