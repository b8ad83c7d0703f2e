//! Asks the services behind this one, over kept connections, with the trace headers of the request that is being answered.

use crate::grpc;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, Uri, body::Bytes, header::CONTENT_TYPE};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use std::{io, str::FromStr, time::Duration};
use tokio::time::timeout;

/// What a tracing library passes on (W3C Trace Context, W3C Baggage).
const TRACE_HEADERS: [&str; 3] = ["traceparent", "tracestate", "baggage"];
/// How long an answer may take: longer than a router holds a request whose pod is not ready yet.
const LIMIT: Duration = Duration::from_secs(20);

/// How a service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
    Grpc,
}

/// A service behind this one.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its name.
    pub name: String,
    protocol: Protocol,
    uri: Uri,
}

impl FromStr for Call {
    type Err = io::Error;

    /// Reads `cart=http://cart:8080`; `h2c` and `grpc` are the other schemes.
    fn from_str(text: &str) -> Result<Self, io::Error> {
        let refuse = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("CALLS: `{text}`: {why}"));
        let (name, address) = text.split_once('=').ok_or_else(|| refuse("expected NAME=URL"))?;
        let (scheme, rest) = address.split_once("://").ok_or_else(|| refuse("expected SCHEME://HOST:PORT"))?;
        let (protocol, path) = match scheme {
            "http" => (Protocol::Http1, "/"),
            "h2c" => (Protocol::Http2, "/"),
            "grpc" => (Protocol::Grpc, "/shop.Shop/Ask"),
            _ => return Err(refuse("the scheme is http, h2c or grpc")),
        };
        let uri = format!("http://{rest}{path}").parse().map_err(|_| refuse("not an address"))?;
        Ok(Self { name: name.to_owned(), protocol, uri })
    }
}

type Http = Client<HttpConnector, Full<Bytes>>;

/// Asks others.
pub struct Caller {
    passed_on: Vec<&'static str>,
    http1: Http,
    http2: Http,
}

impl Caller {
    /// One that does not pass these trace headers on: a service whose library is old, or not there.
    pub fn that_drops(headers: &[String]) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        let http1 = builder.build_http();
        let passed_on =
            TRACE_HEADERS.into_iter().filter(|name| !headers.iter().any(|dropped| dropped == name)).collect();
        Self { passed_on, http1, http2: builder.http2_only(true).build_http() }
    }

    /// Asks one, on behalf of a request with these headers; what went wrong is in the answer.
    pub async fn ask(&self, call: &Call, headers: &HeaderMap) -> Value {
        match timeout(LIMIT, self.exchange(call, headers)).await {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => json!({ "error": error }),
            Err(_) => json!({"error": format!("no answer within {LIMIT:?}")}),
        }
    }

    async fn exchange(&self, call: &Call, headers: &HeaderMap) -> Result<Value, String> {
        let request = self.request(call, headers).map_err(|error| error.to_string())?;
        let client = if call.protocol == Protocol::Http1 { &self.http1 } else { &self.http2 };
        let (head, body) = client.request(request).await.map_err(|error| chained(&error))?.into_parts();
        let body = body.collect().await.map_err(|error| chained(&error))?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let bytes = body.to_bytes();
        if !head.status.is_success() {
            return Err(format!("{}: {}", head.status, String::from_utf8_lossy(&bytes).trim()));
        }
        let message = match call.protocol {
            Protocol::Grpc => grpc::message(&head.headers, &trailers, &bytes)?,
            Protocol::Http1 | Protocol::Http2 => &bytes,
        };
        serde_json::from_slice(message).map_err(|error| error.to_string())
    }

    fn request(&self, call: &Call, headers: &HeaderMap) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut request = Request::builder().uri(call.uri.clone());
        for name in &self.passed_on {
            for value in headers.get_all(*name) {
                request = request.header(*name, value);
            }
        }
        if call.protocol == Protocol::Grpc {
            let request = request.method(Method::POST).header(CONTENT_TYPE, grpc::KIND).header("te", "trailers");
            return request.body(Full::new(grpc::frame(b"{}")));
        }
        request.body(Full::default())
    }
}

/// An error with its causes: the client's own text names none.
fn chained(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_says_how_its_service_is_asked() {
        for (text, protocol, uri) in [
            ("cart=http://cart:8080", Protocol::Http1, "http://cart:8080/"),
            ("catalog=h2c://catalog:8080", Protocol::Http2, "http://catalog:8080/"),
            ("stock=grpc://stock:8080", Protocol::Grpc, "http://stock:8080/shop.Shop/Ask"),
        ] {
            let call: Call = text.parse().expect(text);
            assert_eq!((call.protocol, call.uri.to_string().as_str()), (protocol, uri), "{text}");
        }
    }

    #[test]
    fn a_call_that_cannot_be_made_is_refused_at_the_start() {
        for text in ["cart", "cart=cart:8080", "cart=https://cart:8443", "cart=http://"] {
            let error = text.parse::<Call>().expect_err(text).to_string();
            assert!(error.starts_with(&format!("CALLS: `{text}`: ")), "{error}");
        }
    }

    #[test]
    fn all_trace_headers_are_passed_on_but_those_that_are_dropped() {
        let incoming =
            HeaderMap::from_iter(TRACE_HEADERS.map(|name| {
                (hyper::header::HeaderName::from_static(name), hyper::header::HeaderValue::from_static("x"))
            }));
        let call: Call = "cart=http://cart:8080".parse().expect("it is legal");
        let passed_on = |drops: &[&str]| {
            let drops: Vec<_> = drops.iter().map(|name| (*name).to_owned()).collect();
            let request = Caller::that_drops(&drops).request(&call, &incoming).expect("it is legal");
            TRACE_HEADERS.into_iter().filter(|name| request.headers().contains_key(*name)).collect::<Vec<_>>()
        };
        assert_eq!(passed_on(&[]), TRACE_HEADERS);
        assert_eq!(passed_on(&["tracestate", "baggage"]), ["traceparent"]);
    }
}
