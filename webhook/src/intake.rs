//! The way of one delivery: signature, body, content, ledger, answer.
//!
//! | answer | when |
//! |---|---|
//! | 202 | it is in the ledger, now or from before; an event that nobody uses is recorded as ignored |
//! | 400 | it is signed, but cut off, no JSON, or without its headers |
//! | 401 | its signature is missing or wrong |
//! | 408, 413 | it took more than ten seconds, or has more than 25 MiB |
//! | 503 | the ledger could not be written, or there is no memory left: the forge shows it as failed and can repeat it |

use crate::{
    body::{self, Bounds, Unread},
    facts::{Facts, FactsError, facts},
    signature::{Signature, WebhookSecret},
};
use bytes::Buf;
use futures_util::Stream;
use http::{HeaderMap, StatusCode, header::CONTENT_LENGTH};
use jiff::Timestamp;
use lapdev_store::{Delivery, Recorded, Store, StoreError};
use std::{error::Error as _, time::Duration};
use tokio::time::timeout;
use warp::{Filter, Rejection, Reply as _, reply::Response};

/// For writing to the ledger: with [`Bounds::time`], more than GitHub waits.
const LEDGER_PATIENCE: Duration = Duration::from_secs(5);

/// The longest delivery id or event name that is taken; GitHub's are 36 and about 30 characters.
const MAX_NAME: usize = 128;

/// `POST /webhooks/github`. Every other request is left to other filters; this one is answered here in every case.
pub fn routes(
    store: Store,
    secret: WebhookSecret,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    bounded_routes(Intake { store, secret, bounds: Bounds::default() })
}

pub(crate) fn bounded_routes(
    intake: Intake,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::path!("webhooks" / "github")
        .and(warp::post())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |headers: HeaderMap, body| {
            let intake = intake.clone();
            async move { intake.answer(&headers, body).await }
        })
}

/// What deliveries are checked against and written to.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    pub store: Store,
    pub secret: WebhookSecret,
    pub bounds: Bounds,
}

/// Why a delivery was not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the signature in X-Hub-Signature-256 is missing or wrong: check the webhook's secret")]
    Unsigned,
    #[error("the body was not read: {0}")]
    Unread(&'static str, Unread),
    #[error("the header {0} is missing or no short visible text")]
    Header(&'static str),
    #[error(transparent)]
    Content(#[from] FactsError),
    #[error("the delivery could not be recorded: deliver it again")]
    Ledger(#[source] StoreError),
    #[error("the delivery could not be recorded in time: deliver it again")]
    LedgerSlow,
}

impl Intake {
    async fn answer<B: Buf, E>(&self, headers: &HeaderMap, body: impl Stream<Item = Result<B, E>>) -> Response {
        match self.take(headers, body).await {
            Ok(Recorded::New) => plain(StatusCode::ACCEPTED, "recorded\n".to_owned()),
            Ok(Recorded::Duplicate) => plain(StatusCode::ACCEPTED, "recorded before\n".to_owned()),
            Err(refusal) => {
                refusal.log();
                plain(refusal.status(), format!("{refusal}\n"))
            }
        }
    }

    async fn take<B: Buf, E>(
        &self,
        headers: &HeaderMap,
        body: impl Stream<Item = Result<B, E>>,
    ) -> Result<Recorded, Refusal> {
        let delivery = self.read(headers, body).await?;
        self.record(&delivery).await
    }

    /// The body does not outlive this: it is large, and the ledger may let us wait.
    async fn read<B: Buf, E>(
        &self,
        headers: &HeaderMap,
        body: impl Stream<Item = Result<B, E>>,
    ) -> Result<Delivery, Refusal> {
        let signature = headers.get("x-hub-signature-256").and_then(|value| Signature::parse(value.as_bytes()));
        let signature = signature.ok_or(Refusal::Unsigned)?;
        if declares_more_than(self.bounds.size, headers) {
            return Err(unread(Unread::TooLarge));
        }
        let body = body::read(body, &self.bounds).await.map_err(unread)?;
        if !self.secret.signed(&body, &signature) {
            return Err(Refusal::Unsigned);
        }
        delivery(headers, &body, Timestamp::now())
    }

    async fn record(&self, delivery: &Delivery) -> Result<Recorded, Refusal> {
        let recorded = timeout(LEDGER_PATIENCE, self.store.record_delivery(delivery)).await;
        let recorded = recorded.map_err(|_| Refusal::LedgerSlow)?.map_err(Refusal::Ledger)?;
        let Delivery { id, event, repository, ignored, .. } = delivery;
        tracing::debug!(id, event, repository, ignored, ?recorded, "webhook delivery");
        Ok(recorded)
    }
}

/// Spares both sides the sending; what really comes is counted all the same.
fn declares_more_than(size: usize, headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length > u64::try_from(size).unwrap_or(u64::MAX))
}

/// The ledger's entry of an authentic delivery.
fn delivery(headers: &HeaderMap, body: &[u8], received_at: Timestamp) -> Result<Delivery, Refusal> {
    let id = name(headers, "X-GitHub-Delivery")?;
    let event = name(headers, "X-GitHub-Event")?;
    let facts = facts(&event, body)?;
    let repository = facts.as_ref().and_then(Facts::repository);
    Ok(Delivery {
        id,
        forge: "github".to_owned(),
        action: facts.as_ref().and_then(Facts::action).map(str::to_owned),
        repository_id: repository.map(|repository| repository.id.to_string()),
        repository: repository.map(|repository| repository.name.to_string()),
        received_at,
        ignored: !facts.as_ref().is_some_and(Facts::matters),
        event,
    })
}

fn name(headers: &HeaderMap, header: &'static str) -> Result<String, Refusal> {
    let text = headers.get(header).and_then(|value| value.to_str().ok());
    let legal = |text: &&str| !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(|b| b.is_ascii_graphic());
    text.filter(legal).map(str::to_owned).ok_or(Refusal::Header(header))
}

fn unread(why: Unread) -> Refusal {
    let words = match why {
        Unread::TooLarge => "it is larger than any that GitHub sends",
        Unread::TooSlow => "it took too long",
        Unread::CutOff => "it was cut off",
        Unread::NoMemory => "too many are being read at once; deliver it again",
    };
    Refusal::Unread(words, why)
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unsigned => StatusCode::UNAUTHORIZED,
            Self::Unread(_, Unread::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unread(_, Unread::TooSlow) => StatusCode::REQUEST_TIMEOUT,
            Self::Unread(_, Unread::CutOff) | Self::Header(_) | Self::Content(_) => StatusCode::BAD_REQUEST,
            Self::Unread(_, Unread::NoMemory) | Self::Ledger(_) | Self::LedgerSlow => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Ours is an error; anybody can cause the others, and must not fill the log.
    fn log(&self) {
        let cause = self.source().map(ToString::to_string);
        match self {
            Self::Ledger(_) | Self::LedgerSlow => tracing::error!(cause, "{self}"),
            _ => tracing::debug!(cause, "webhook delivery refused: {self}"),
        }
    }
}

fn plain(status: StatusCode, text: String) -> Response {
    warp::reply::with_status(text, status).into_response()
}
