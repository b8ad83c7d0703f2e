//! The one program behind every service of the example shop: says who it is, asks the services behind it, and answers
//! with the whole chain as JSON. It passes the trace headers on, as any tracing library does, and nothing else.
//!
//! `SERVICE` its name, `CALLS` the services behind it (`cart=http://cart:8080,…`), `PORT` (8080), `GREETING_FILE` (a
//! file that the application repository's branch changes); `LAPDEV_KEY` is set by lapdev in a branch's copy.

use http_body_util::{BodyExt, Empty, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use serde_json::{Map, Value, json};
use std::{convert::Infallible, env, sync::Arc, time::Duration};
use tokio::{net::TcpListener, signal::unix, time::timeout};

const TRACE_HEADERS: [&str; 3] = ["traceparent", "tracestate", "baggage"];
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

type HttpClient = Client<HttpConnector, Empty<Bytes>>;

struct Shop {
    name: String,
    greeting: String,
    key: String,
    calls: Vec<(String, String)>,
    http: HttpClient,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let shop = Arc::new(Shop::from_environment()?);
    let port = env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            accepted = listener.accept() => drop(tokio::spawn(connection(shop.clone(), accepted?.0))),
            _ = terminate.recv() => return Ok(()),
        }
    }
}

async fn connection(shop: Arc<Shop>, stream: tokio::net::TcpStream) {
    let service = service_fn(move |request| {
        let shop = shop.clone();
        async move { Ok::<_, Infallible>(shop.answer(request).await) }
    });
    // A client that goes away mid-answer is its own affair.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Shop {
    fn from_environment() -> std::io::Result<Self> {
        let pair = |call: &str| call.split_once('=').map(|(name, address)| (name.to_owned(), address.to_owned()));
        let greeting = match env::var("GREETING_FILE") {
            Ok(file) => std::fs::read_to_string(file)?,
            Err(_) => "hello".to_owned(),
        };
        Ok(Self {
            name: env::var("SERVICE").unwrap_or_else(|_| "service".to_owned()),
            greeting: greeting.trim().to_owned(),
            key: env::var("LAPDEV_KEY").unwrap_or_else(|_| "baseline".to_owned()),
            calls: env::var("CALLS").unwrap_or_default().split(',').filter_map(pair).collect(),
            http: Client::builder(TokioExecutor::new()).build_http(),
        })
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() == "/healthz" {
            return Response::new(Full::from("ok\n"));
        }
        let mut calls = Map::new();
        for (name, address) in &self.calls {
            calls.insert(name.clone(), self.call(address, request.headers()).await);
        }
        let body = json!({"service": self.name, "greeting": self.greeting, "version": self.key, "calls": calls});
        let mut response = Response::new(Full::from(format!("{body}\n")));
        response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
        response
    }

    async fn call(&self, address: &str, headers: &HeaderMap) -> Value {
        let mut request = Request::get(address);
        for name in TRACE_HEADERS {
            for value in headers.get_all(name) {
                request = request.header(name, value);
            }
        }
        let exchange = async {
            let response = self.http.request(request.body(Empty::new()).map_err(|e| e.to_string())?).await;
            let body = response.map_err(|e| e.to_string())?.into_body().collect().await.map_err(|e| e.to_string())?;
            serde_json::from_slice(&body.to_bytes()).map_err(|e| e.to_string())
        };
        match timeout(CALL_TIMEOUT, exchange).await {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => json!({ "error": error }),
            Err(_) => json!({"error": format!("no answer within {CALL_TIMEOUT:?}")}),
        }
    }
}
