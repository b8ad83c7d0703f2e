//! The one program behind every service of the example shop: says who it is, asks the services behind it, and answers
//! with the whole chain as JSON. It speaks HTTP/1.1, HTTP/2 (prior knowledge), gRPC and WebSocket on its one port. It passes the
//! trace headers on, as any tracing library does, and nothing else.
//!
//! `SERVICE` its name, `CALLS` the services behind it and how to ask each (`cart=http://cart:8080`, `h2c://`, `grpc://`),
//! `DROPS` trace headers that it does not pass on, `PORT` (8080), `GREETING_FILE` (a file that the application repository's
//! branch changes); `LAPDEV_KEY` is set by lapdev in a branch's copy.
//!
//! This file owns settings, connections and the end; [`answer`] what is said, [`call`] how others are asked, [`grpc`] the
//! framing, [`socket`] WebSockets.

mod answer;
mod call;
mod grpc;
mod socket;

use answer::Shop;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{
    convert::Infallible,
    env, io,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

/// After SIGTERM new connections are still taken for so long: others learn only now that this pod ends.
const LINGER: Duration = Duration::from_secs(2);
/// And then what is under way gets so long.
const FINISH: Duration = Duration::from_secs(20);
/// Before the next attempt when the system gives no more connections.
const BREATH: Duration = Duration::from_millis(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let shop = Arc::new(Shop::from_environment()?);
    let port = env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    serve(TcpListener::bind(("0.0.0.0", port)).await?, &shop).await
}

/// Serves until SIGTERM, and then ends without losing a request.
async fn serve(listener: TcpListener, shop: &Arc<Shop>) -> io::Result<()> {
    let (end, ending) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    let mut lingered = pin!(async {
        terminate.recv().await;
        shop.leave();
        sleep(LINGER).await;
    });
    loop {
        tokio::select! {
            () = &mut lingered => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(shop.clone(), stream, ending.clone()))),
                Err(_) => sleep(BREATH).await,
            },
        }
    }
    drop(listener);
    end.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    // Who does not finish in time is cut off by the end of the process.
    let _ = timeout(FINISH, all).await;
    Ok(())
}

async fn connection(shop: Arc<Shop>, stream: TcpStream, mut ending: watch::Receiver<bool>) {
    // Small answers should not wait for more; without it, they merely do.
    let _ = stream.set_nodelay(true);
    // Where a request leaves its connection when that is to become something else.
    let upgrade = Arc::new(Mutex::new(None));
    let service = service_fn(|request| {
        let (shop, upgrade) = (shop.clone(), upgrade.clone());
        async move {
            let (response, upgraded) = shop.answer(request).await;
            *upgrade.lock().unwrap_or_else(PoisonError::into_inner) = upgraded;
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    let mut served = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    // A client that goes away mid-answer is its own affair.
    tokio::select! {
        _ = served.as_mut() => {}
        () = ended(&mut ending) => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
        }
    }
    let upgraded = upgrade.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(upgraded) = upgraded {
        socket::talk(upgraded, ending, |heard| shop.heard("websocket", heard)).await;
    }
}

/// Waits until the end began, or until nobody could say so any more.
async fn ended(ending: &mut watch::Receiver<bool>) {
    let _ = ending.wait_for(|end| *end).await;
}
