//! A real HTTP application behind a preview, with paths for what the tests need.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use lapdev_api::route;
use lapdev_tunnel::body::{self, Body, BoxError};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{net::TcpListener, sync::watch};

/// What the application counts.
#[derive(Default)]
pub struct Counts {
    /// Bytes of `/endless` that were taken off its hands.
    pub sent: AtomicU64,
    /// Connections that ended.
    pub ended: AtomicU64,
    /// Requests that wait at `/gather` for each other.
    pub gathered: watch::Sender<usize>,
}

/// How many requests `/gather` waits for before it answers any.
pub const GATHERED: usize = 1000;

/// Starts one; ends with the test's runtime.
pub async fn start(name: &'static str) -> (SocketAddr, Arc<Counts>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let counts = Arc::<Counts>::default();
    let shared = counts.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counts = shared.clone();
            let ended = counts.clone();
            let service = service_fn(move |request| answer(name, counts.clone(), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
            tokio::spawn(async move {
                // How it ended is the client's business.
                let _ = connection.await;
                ended.ended.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    (address, counts)
}

async fn answer(name: &str, counts: Arc<Counts>, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    Ok(match path.as_str() {
        "/echo" => Response::new(request.into_body().map_err(BoxError::from).boxed_unsync()),
        "/request" => Response::new(body::full(describe(&request))),
        "/endless" => endless(counts),
        "/gather" => {
            counts.gathered.send_modify(|gathered| *gathered += 1);
            let mut gathered = counts.gathered.subscribe();
            let all = gathered.wait_for(|gathered| *gathered >= GATHERED).await.is_ok();
            Response::new(body::full(format!("{all} {}", request.uri().query().unwrap_or_default())))
        }
        // Reads nothing, answers nothing.
        "/deaf" => std::future::pending().await,
        "/teapot" => {
            let mut response = Response::new(body::full("short and stout"));
            *response.status_mut() = StatusCode::IM_A_TEAPOT;
            // An application may say this; it must not pass for the agent's word.
            response.headers_mut().insert("lapdev-error", "fake".parse().expect("legal"));
            response
        }
        "/held" => {
            let mut response = Response::new(body::full("cart (x-abc234) has no ready pod"));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            for (name, value) in [("retry-after", "1"), (route::ERROR, route::NOT_READY)] {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            response
        }
        "/heavy" => {
            let mut response = Response::new(body::empty());
            response.headers_mut().insert("x-heavy", heavy());
            response
        }
        "/socket" => socket(&mut request),
        _ => Response::new(body::full(format!("{name} {path}"))),
    })
}

/// As large as a header may be, and of bytes that HTTP/2's code makes three times as long.
pub fn heavy() -> HeaderValue {
    HeaderValue::from_bytes(&[0xf9; 60 << 10]).expect("legal, if odd")
}

/// The request as it came in, one header a line.
fn describe(request: &Request<Incoming>) -> String {
    let mut lines = vec![format!("{} {}", request.method(), request.uri())];
    lines.extend(request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or("?"))));
    lines.sort();
    lines.join("\n")
}

fn endless(counts: Arc<Counts>) -> Response<Body> {
    let chunks = futures_util::stream::repeat_with(move || {
        let chunk = Bytes::from_static(&[b'x'; 16 << 10]);
        counts.sent.fetch_add(chunk.len() as u64, Ordering::SeqCst);
        Ok::<_, BoxError>(Frame::data(chunk))
    });
    Response::new(StreamBody::new(chunks).boxed_unsync())
}

/// Upgrades, and sends back whatever comes.
fn socket(request: &mut Request<Incoming>) -> Response<Body> {
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let mut io = TokioIo::new(upgrade.await.expect("upgraded"));
        let (mut read, mut write) = tokio::io::split(&mut io);
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert("connection", "upgrade".parse().expect("legal"));
    response.headers_mut().insert("upgrade", "websocket".parse().expect("legal"));
    response
}
