//! How answers and refusals are written: JSON, with a status that fits.

use super::trace::TraceError;
use http::{HeaderValue, StatusCode, header};
use lapdev_api::{
    name::NameError,
    view::ApiError,
    words::{error_chain, nearest},
};
use lapdev_store::StoreError;
use serde::Serialize;
use std::convert::Infallible;
use warp::{Rejection, reply::Response};

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the admin token is missing or wrong; it is in the file admin.token of the control plane's data folder")]
    Unauthorized,
    #[error("there is no such path below /api/v1, or not for this method")]
    NoRoute,
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("there is no {what} {name}; {hint}`{lists}` shows all")]
    NotFound { what: &'static str, name: String, hint: String, lists: String },
    #[error("the store does not answer; see the control plane's log")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Trace(#[from] TraceError),
}

impl Failure {
    /// Nothing has this name; of those that are there, one may have been meant.
    pub(super) fn not_found<'a>(
        what: &'static str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
        lists: impl Into<String>,
    ) -> Self {
        let hint = nearest(name, known).map_or_else(String::new, |near| format!("did you mean {near}? "));
        Self::NotFound { what, name: name.to_owned(), hint, lists: lists.into() }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NoRoute | Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::Name(_) => StatusCode::BAD_REQUEST,
            Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Trace(error) => error.status(),
        }
    }

    pub(super) fn response(&self) -> Response {
        if let Self::Store(error) = self {
            tracing::error!(error = error_chain(error), "an API request failed");
        }
        let mut response = json(self.status(), &ApiError { message: self.to_string() });
        if matches!(self, Self::Unauthorized) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

pub(super) fn json<T: Serialize>(status: StatusCode, view: &T) -> Response {
    let text = serde_json::to_string(view).expect("views have string keys only");
    with(status, "application/json", text)
}

pub(super) fn text(status: StatusCode, text: &str) -> Response {
    with(status, "text/plain; charset=utf-8", text.to_owned())
}

pub(super) fn no_content() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

pub(super) fn with(status: StatusCode, kind: &'static str, text: String) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What no route takes.
pub(crate) async fn recover(rejection: Rejection) -> Result<Response, Infallible> {
    let known = rejection.is_not_found() || rejection.find::<warp::reject::MethodNotAllowed>().is_some();
    if known {
        let message = "there is nothing at this address".to_owned();
        return Ok(json(StatusCode::NOT_FOUND, &ApiError { message }));
    }
    tracing::debug!(?rejection, "a request was rejected");
    Ok(json(StatusCode::BAD_REQUEST, &ApiError { message: "the request is not legal".to_owned() }))
}
