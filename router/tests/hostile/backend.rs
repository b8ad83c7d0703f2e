//! A backend that reads HTTP/1 and HTTP/2 by a library, as a second opinion on where each request ends, and remembers what
//! it saw.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{net::TcpListener, task::JoinSet};

#[derive(Default)]
struct Seen {
    /// Path and length of the body, of requests whose body ended.
    whole: Mutex<Vec<(String, usize)>>,
    begun: AtomicUsize,
    /// What `/large` gives: once in memory, however often it is given.
    large: Bytes,
}

/// A backend until it is dropped.
pub struct Backend {
    pub address: SocketAddr,
    seen: Arc<Seen>,
    _task: JoinSet<()>,
}

impl Backend {
    /// Answers every request by its path.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::new(Seen { large: vec![b'x'; 4 << 20].into(), ..Seen::default() });
        let (mut task, remember) = (JoinSet::new(), seen.clone());
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let seen = remember.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(request, seen.clone()));
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, seen, _task: task }
    }

    /// Paths and lengths of bodies of the requests that came whole.
    pub fn whole(&self) -> Vec<(String, usize)> {
        self.seen.whole.lock().expect("nobody panicked").clone()
    }

    /// How many requests began.
    pub fn begun(&self) -> usize {
        self.seen.begun.load(Ordering::SeqCst)
    }
}

async fn answer(request: Request<Incoming>, seen: Arc<Seen>) -> Result<Response<Full<Bytes>>, Infallible> {
    seen.begun.fetch_add(1, Ordering::SeqCst);
    let path = request.uri().path().to_owned();
    let (mut body, mut length) = (request.into_body(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Ok(Response::new(Full::default())) };
        length += frame.data_ref().map_or(0, Bytes::len);
    }
    let answer = if path == "/large" { seen.large.clone() } else { Bytes::from(path.clone()) };
    seen.whole.lock().expect("nobody panicked").push((path, length));
    Ok(Response::new(Full::new(answer)))
}
