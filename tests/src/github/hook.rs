//! Webhooks: signed deliveries in GitHub's form, and every way in which they do not arrive as they should: dropped,
//! twice, late, held back and let go in another order. Like GitHub, the double never repeats a delivery by itself.

use super::{action::Event, error::DoubleError, random_hex, tls};
use bytes::Bytes;
use hmac::{Hmac, Mac};
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

/// GitHub gives up on a delivery after 10 s.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST_QUEUED: usize = 10_000;

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// `http` or `https`.
    pub url: String,
    /// What deliveries are signed with.
    pub secret: String,
    /// PEM authorities to trust, for `https`.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// What happens to deliveries from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookPolicy {
    /// They are not sent at all.
    pub drop: bool,
    /// They are sent this many times more.
    pub duplicates: u32,
    /// They are sent this much later.
    pub delay_milliseconds: u64,
    /// They wait to be released.
    pub hold: bool,
}

/// One event for the webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// `X-GitHub-Delivery`.
    pub id: String,
    /// `X-GitHub-Event`.
    pub event: String,
    /// The payload's `action`.
    pub action: Option<String>,
    /// The body, as it was signed.
    pub payload: String,
    /// How each attempt ended: a status, or what went wrong.
    pub attempts: Vec<String>,
}

type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

#[derive(Default)]
struct State {
    target: Option<(Webhook, Https)>,
    policy: WebhookPolicy,
    held: Vec<String>,
    log: Vec<Delivery>,
}

/// The webhook and its deliveries. Cheap to clone.
#[derive(Clone)]
pub(super) struct Hooks {
    state: Arc<Mutex<State>>,
    queue: mpsc::Sender<(String, Instant)>,
    pending: Arc<watch::Sender<usize>>,
}

impl Hooks {
    /// The hooks, and the work of sending, which ends when it is dropped.
    pub fn new() -> (Self, impl Future<Output = ()> + Send) {
        let (queue, jobs) = mpsc::channel(MOST_QUEUED);
        let (pending, _) = watch::channel(0);
        let hooks = Self { state: Arc::default(), queue, pending: Arc::new(pending) };
        (hooks.clone(), send_all(hooks, jobs))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends events here from now on.
    pub fn aim(&self, webhook: Webhook) -> Result<(), DoubleError> {
        let client = Client::builder(TokioExecutor::new()).build(tls::connector(webhook.ca_file.as_deref())?);
        self.state().target = Some((webhook, client));
        Ok(())
    }

    pub fn set_policy(&self, policy: WebhookPolicy) {
        self.state().policy = policy;
    }

    /// Makes a delivery of each event, and does with it what the policy says.
    pub fn announce(&self, events: Vec<Event>) -> Result<(), DoubleError> {
        for event in events {
            let aimed = self.state().target.is_some();
            let delivery = Delivery {
                id: guid(),
                event: event.name.to_owned(),
                action: event.payload["action"].as_str().map(str::to_owned),
                payload: event.payload.to_string(),
                attempts: if aimed { Vec::new() } else { vec!["no webhook was set".to_owned()] },
            };
            let (id, policy) = (delivery.id.clone(), {
                let mut state = self.state();
                state.log.push(delivery);
                state.policy.clone()
            });
            match policy {
                _ if !aimed => {}
                WebhookPolicy { drop: true, .. } => {}
                WebhookPolicy { hold: true, .. } => self.state().held.push(id),
                policy => self.enqueue(&id, &policy)?,
            }
        }
        Ok(())
    }

    /// Lets held deliveries go, the newest first if `reversed`.
    pub fn release(&self, reversed: bool) -> Result<usize, DoubleError> {
        let mut held = std::mem::take(&mut self.state().held);
        if reversed {
            held.reverse();
        }
        let policy = WebhookPolicy { hold: false, drop: false, ..self.state().policy.clone() };
        held.iter().try_for_each(|id| self.enqueue(id, &policy))?;
        Ok(held.len())
    }

    /// Sends a delivery once more, under its old id, as the button on GitHub does.
    pub fn redeliver(&self, id: &str) -> Result<(), DoubleError> {
        self.find(id).ok_or_else(|| DoubleError::Unknown(format!("delivery {id}")))?;
        self.enqueue(id, &WebhookPolicy::default())
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        self.state().log.clone()
    }

    /// Waits until everything that was queued was sent.
    pub async fn settled(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.pending.subscribe().wait_for(|pending| *pending == 0).await;
    }

    fn enqueue(&self, id: &str, policy: &WebhookPolicy) -> Result<(), DoubleError> {
        let due = Instant::now() + Duration::from_millis(policy.delay_milliseconds);
        for _ in 0..=policy.duplicates {
            self.pending.send_modify(|pending| *pending += 1);
            if self.queue.try_send((id.to_owned(), due)).is_err() {
                self.pending.send_modify(|pending| *pending -= 1);
                return Err(DoubleError::Refused(format!("more than {MOST_QUEUED} deliveries wait")));
            }
        }
        Ok(())
    }

    fn find(&self, id: &str) -> Option<Delivery> {
        self.state().log.iter().find(|delivery| delivery.id == id).cloned()
    }

    async fn deliver(self, id: String) {
        let target = self.state().target.clone();
        let outcome = match (target, self.find(&id)) {
            (Some((webhook, client)), Some(delivery)) => post(&webhook, &client, &delivery).await,
            _ => "no webhook is set".to_owned(),
        };
        if let Some(delivery) = self.state().log.iter_mut().find(|delivery| delivery.id == id) {
            delivery.attempts.push(outcome);
        }
        self.pending.send_modify(|pending| *pending -= 1);
    }
}

/// What is due is sent one by one, in order; what is delayed waits beside the others.
async fn send_all(hooks: Hooks, mut jobs: mpsc::Receiver<(String, Instant)>) {
    let mut late = JoinSet::new();
    while let Some((id, due)) = jobs.recv().await {
        while late.try_join_next().is_some() {}
        if due <= Instant::now() {
            hooks.clone().deliver(id).await;
        } else {
            let hooks = hooks.clone();
            late.spawn(async move {
                tokio::time::sleep_until(due).await;
                hooks.deliver(id).await;
            });
        }
    }
}

async fn post(webhook: &Webhook, client: &Https, delivery: &Delivery) -> String {
    let request = Request::post(&webhook.url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "*/*")
        .header(header::USER_AGENT, "GitHub-Hookshot/0000000")
        .header("X-GitHub-Hook-ID", "1")
        .header("X-GitHub-Event", &delivery.event)
        .header("X-GitHub-Delivery", &delivery.id)
        .header("X-GitHub-Hook-Installation-Target-Type", "organization")
        .header("X-GitHub-Hook-Installation-Target-ID", "1")
        .header("X-Hub-Signature-256", signature(&webhook.secret, delivery.payload.as_bytes()))
        .body(Full::new(Bytes::from(delivery.payload.clone())));
    let request = match request {
        Ok(request) => request,
        Err(error) => return error.to_string(),
    };
    let exchange = async {
        let response = client.request(request).await.map_err(|error| format!("{error:?}"))?;
        let status = response.status().as_u16().to_string();
        response.into_body().collect().await.map_err(|error| error.to_string())?;
        Ok::<_, String>(status)
    };
    match tokio::time::timeout(PATIENCE, exchange).await {
        Ok(Ok(outcome) | Err(outcome)) => outcome,
        Err(_) => "timed out".to_owned(),
    }
}

/// `X-Hub-Signature-256` of a body.
#[must_use]
pub fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    format!("sha256={}", data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()))
}

fn guid() -> String {
    let hex = random_hex(16);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_github_documents() {
        // From "Validating webhook deliveries" in GitHub's documentation.
        assert_eq!(
            signature("It's a Secret to Everybody", b"Hello, World!"),
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }
}
