//! What a service of the shop says. The last segment of the path decides: `alone` asks nobody behind it, `fail` is answered
//! with an error, `healthz` says whether to send requests here, `headers` shows what arrived, gRPC's `Chat` answers each message
//! of a stream, and so does a WebSocket on any path; anything else is answered with the whole chain.

use crate::{
    call::{Call, Caller},
    grpc, socket,
};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Version,
    body::{Bytes, Incoming},
    header::{CONNECTION, CONTENT_TYPE, HeaderValue},
    upgrade::OnUpgrade,
};
use serde_json::{Map, Value, json};
use std::{
    env, io,
    sync::atomic::{AtomicBool, Ordering},
};

/// An answer's body.
pub type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// What a service is.
pub struct Shop {
    name: String,
    greeting: String,
    version: String,
    calls: Vec<Call>,
    caller: Caller,
    leaving: AtomicBool,
}

impl Shop {
    /// Reads the settings.
    pub fn from_environment() -> io::Result<Self> {
        let list = |name: &str| env::var(name).unwrap_or_default();
        let parts = |text: &str| text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let greeting = match env::var("GREETING_FILE") {
            Ok(file) => std::fs::read_to_string(file)?,
            Err(_) => "hello".to_owned(),
        };
        Ok(Self {
            name: env::var("SERVICE").unwrap_or_else(|_| "service".to_owned()),
            greeting: greeting.trim().to_owned(),
            version: env::var("LAPDEV_KEY").unwrap_or_else(|_| "baseline".to_owned()),
            calls: parts(&list("CALLS")).iter().map(|call| call.parse()).collect::<Result<_, _>>()?,
            caller: Caller::that_drops(&parts(&list("DROPS"))),
            leaving: AtomicBool::new(false),
        })
    }

    /// From now on it says that it is not ready, and asks clients to connect elsewhere.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Answers one request, and the connection with it when that becomes a WebSocket.
    pub async fn answer(&self, mut request: Request<Incoming>) -> (Response<Body>, Option<OnUpgrade>) {
        if let Some((response, upgrade)) = socket::accept(&mut request) {
            return (response, Some(upgrade));
        }
        let http1 = request.version() < Version::HTTP_2;
        let mut response = match request.headers().get(CONTENT_TYPE) {
            Some(kind) if grpc::is_kind(kind) => self.answer_grpc(request).await,
            _ => self.answer_http(&request).await,
        };
        if http1 && self.leaving.load(Ordering::Relaxed) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        (response, None)
    }

    /// Who this is, in answer to one message of many.
    pub fn heard(&self, protocol: &str, heard: &str) -> String {
        self.says(protocol, "heard", heard.into()).to_string()
    }

    async fn answer_http(&self, request: &Request<Incoming>) -> Response<Body> {
        let protocol = if request.version() == Version::HTTP_2 { "h2" } else { "http/1.1" };
        let (status, body) = match last_segment(request) {
            "healthz" if self.leaving.load(Ordering::Relaxed) => {
                (StatusCode::SERVICE_UNAVAILABLE, json!({"leaving": true}))
            }
            "healthz" => (StatusCode::OK, json!({"leaving": false})),
            "fail" => (StatusCode::INTERNAL_SERVER_ERROR, self.says(protocol, "fails", true.into())),
            "alone" => (StatusCode::OK, self.says(protocol, "calls", json!({}))),
            "headers" => (StatusCode::OK, self.says(protocol, "headers", shown(request.headers()))),
            _ => (StatusCode::OK, self.says(protocol, "calls", self.chain(request.headers()).await)),
        };
        let mut response = Response::new(whole(Bytes::from(format!("{body}\n"))));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    async fn answer_grpc(&self, request: Request<Incoming>) -> Response<Body> {
        let message = match last_segment(&request) {
            "Chat" => {
                let says = self.says("grpc", "calls", json!({}));
                let answer = move |heard: &str| with(says.clone(), "heard", heard.into()).to_string();
                return grpc::response(grpc::Chat::new(request.into_body(), answer).boxed_unsync());
            }
            "Fail" => return grpc::failed(grpc::INTERNAL),
            "Alone" => self.says("grpc", "calls", json!({})),
            "Ask" => self.says("grpc", "calls", self.chain(request.headers()).await),
            _ => return grpc::failed(grpc::UNIMPLEMENTED),
        };
        let trailers = async { Some(Ok(grpc::status(grpc::OK))) };
        let body = whole(grpc::frame(message.to_string().as_bytes()));
        grpc::response(body.with_trailers(trailers).boxed_unsync())
    }

    fn says(&self, protocol: &str, name: &str, more: Value) -> Value {
        let says =
            json!({"service": self.name, "greeting": self.greeting, "version": self.version, "protocol": protocol});
        with(says, name, more)
    }

    /// Asks everybody behind it, one after the other.
    async fn chain(&self, headers: &HeaderMap) -> Value {
        let mut answers = Map::new();
        for call in &self.calls {
            answers.insert(call.name.clone(), self.caller.ask(call, headers).await);
        }
        answers.into()
    }
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

/// Each header with its lines as one list.
fn shown(headers: &HeaderMap) -> Value {
    let lines =
        |name| headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect::<Vec<_>>();
    headers.keys().map(|name| (name.to_string(), Value::from(lines(name).join(", ")))).collect::<Map<_, _>>().into()
}

fn last_segment<B>(request: &Request<B>) -> &str {
    request.uri().path().rsplit('/').next().unwrap_or_default()
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
