//! Files of web servers: bounded in size, time and redirects, and never from TLS to plain text. Nothing is kept, since
//! nothing says how long it would be right.

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{LOCATION, USER_AGENT},
};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use std::time::Duration;
use url::Url;

/// As often as the reference follows.
const REDIRECTS: usize = 10;
/// For everything together.
pub const PATIENCE: Duration = Duration::from_secs(27);

/// A file that could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// No address that HTTP knows.
    #[error("it is not an address")]
    Address,
    /// Nothing answered.
    #[error("{0} cannot be reached")]
    Unreachable(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Late(Duration),
    /// Another answer than the file.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// A redirect that is not followed.
    #[error("the server leads on to {0}, which is not followed; name the file's own address")]
    Redirect(String),
    /// It goes round in circles.
    #[error("the server leads on more than {REDIRECTS} times")]
    Redirects,
    /// It is too large.
    #[error("it is larger than the limit of {0} bytes")]
    TooLarge(usize),
}

/// The file at an address.
pub async fn fetch(url: &str, limit: usize, patience: Duration) -> Result<Vec<u8>, WebError> {
    let late = |_| WebError::Late(patience);
    tokio::time::timeout(patience, follow(url, limit)).await.map_err(late)?
}

async fn follow(url: &str, limit: usize) -> Result<Vec<u8>, WebError> {
    let mut url = Url::parse(url).map_err(|_| WebError::Address)?;
    for _ in 0..=REDIRECTS {
        let response = get(&url).await?;
        if !response.status().is_redirection() {
            return body(response, limit).await;
        }
        url = next(&url, &response)?;
    }
    Err(WebError::Redirects)
}

async fn get(url: &Url) -> Result<Response<Incoming>, WebError> {
    let host = || url.host_str().unwrap_or_default().to_owned();
    let connector = crate::client::connector(None).map_err(|error| WebError::Unreachable(host(), error.into()))?;
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let mut address = url.clone();
    address.set_fragment(None);
    let request = Request::get(address.as_str())
        .header(USER_AGENT, concat!("lapdev/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
        .map_err(|_| WebError::Address)?;
    client.request(request).await.map_err(|error| WebError::Unreachable(host(), error.into()))
}

fn next(url: &Url, response: &Response<Incoming>) -> Result<Url, WebError> {
    let status = WebError::Status(response.status());
    let Some(location) = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()) else {
        return Err(status);
    };
    let next = url.join(location).map_err(|_| status)?;
    match (url.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => Ok(next),
        _ => Err(WebError::Redirect(crate::output::plain(next.as_str()))),
    }
}

async fn body(response: Response<Incoming>, limit: usize) -> Result<Vec<u8>, WebError> {
    if !response.status().is_success() {
        return Err(WebError::Status(response.status()));
    }
    let read = Limited::new(response.into_body(), limit).collect().await;
    let read = read.map_err(|error| match error.downcast_ref::<http_body_util::LengthLimitError>() {
        Some(_) => WebError::TooLarge(limit),
        None => WebError::Unreachable("the rest of it".to_owned(), error),
    })?;
    Ok(read.to_bytes().to_vec())
}
