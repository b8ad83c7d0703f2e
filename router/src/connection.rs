//! One client's connection: what it speaks is found out, then it is served as that.
//!
//! A silent client may be one whose server speaks first, or one that only opened its connection early. So it is joined to
//! the baseline after the sniff, but stays undecided until either side says something: a client that then speaks HTTP is
//! routed by request all the same.

use crate::{
    accept::Accepted,
    balance::Lease,
    buffer::Buffer,
    h1::{self, ClientAddress, PARTING},
    h2,
    limits::{IDLE, SNIFF},
    routing::{Asked, Journey},
    sniff::{Speaks, speaks},
    socket,
    table::RoutedTarget,
    tcp,
    worker::Worker,
};
use std::{io, net::IpAddr, rc::Rc, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout, timeout_at},
};

/// Who is at the other end of a connection.
#[derive(Debug)]
pub struct Client {
    /// The connection.
    pub stream: TcpStream,
    /// Its address.
    pub ip: IpAddr,
    /// The same, as header fields have it.
    pub address: ClientAddress,
    /// What the port stood for when it was accepted.
    pub target: Arc<RoutedTarget>,
}

/// A connection to the baseline, made before it was needed.
type Spare = (Lease, TcpStream);

/// Serves a connection from its first byte to its last.
pub async fn serve(worker: Rc<Worker>, accepted: Accepted) {
    let ip = accepted.from.ip().to_canonical();
    let stream = TcpStream::from_std(accepted.stream).and_then(|stream| socket::prepare(&stream).map(|()| stream));
    let Ok(stream) = stream else { return };
    let client = Client { stream, ip, address: ip.into(), target: accepted.target };
    // Of what only the beginning needs nothing is kept.
    let Ok((spoken, first, spare)) = Box::pin(begin(&worker, &client)).await else { return };
    // In boxes, so that an idle connection does not hold the room of what it might have been.
    match spoken {
        Speaks::Http1 => {
            drop(spare);
            h1::serve(&worker, client, first).await;
        }
        Speaks::Http2 => {
            drop(spare);
            Box::pin(h2::serve(&worker, client, first)).await;
        }
        Speaks::Other | Speaks::Unknown => Box::pin(pass(&worker, client, first, spare)).await,
    }
}

/// Waits for the first bytes. An error: there is nobody to serve.
async fn begin(worker: &Worker, client: &Client) -> io::Result<(Speaks, Buffer, Option<Spare>)> {
    let stream = &client.stream;
    let first = async {
        match timeout(patience(&client.target), stream.readable()).await {
            Ok(ready) => ready.map(|()| None),
            Err(_) => silence(worker, client).await,
        }
    };
    let spare = tokio::select! {
        spare = first => spare?,
        () = parted(worker) => return Err(io::ErrorKind::ConnectionAborted.into()),
    };
    let (mut buffer, deadline) = (Buffer::default(), Instant::now() + SNIFF);
    if spare.as_ref().is_some_and(|(_, endpoint)| socket::peek(endpoint).is_ok()) {
        return Ok((Speaks::Other, buffer, spare));
    }
    loop {
        match speaks(buffer.bytes()) {
            Speaks::Unknown => {}
            known => return Ok((known, buffer, spare)),
        }
        match timeout_at(deadline, socket::fill(stream, &mut buffer)).await {
            Ok(Err(why)) => return Err(why),
            Ok(Ok(1..)) => {}
            Ok(_) if buffer.is_empty() && spare.is_none() => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(_) => return Ok((Speaks::Other, buffer, spare)),
        }
    }
}

/// When the router ends, a client that has just connected is about to speak; one that has been silent for longer may be too.
async fn parted(worker: &Worker) {
    worker.until_closing().await;
    sleep(PARTING).await;
}

/// How long a client may be silent before its server is asked. Where the Service says that it speaks HTTP, there is no
/// reason to ask.
fn patience(target: &RoutedTarget) -> Duration {
    let http = ["http", "http2", "h2c", "grpc", "kubernetes.io/h2c", "kubernetes.io/ws"];
    match &target.port.app_protocol {
        Some(protocol) if http.iter().any(|http| http.eq_ignore_ascii_case(protocol)) => IDLE,
        _ => SNIFF,
    }
}

/// Connects to the baseline, and waits until either side says something.
async fn silence(worker: &Worker, client: &Client) -> io::Result<Option<Spare>> {
    let stream = &client.stream;
    tokio::select! {
        spare = baseline(worker, client) => {
            let Some((lease, endpoint)) = spare else { return Err(io::ErrorKind::ConnectionRefused.into()) };
            tokio::select! {
                ready = endpoint.readable() => ready?,
                ready = stream.readable() => ready?,
            }
            Ok(Some((lease, endpoint)))
        }
        ready = stream.readable() => ready.map(|()| None),
    }
}

async fn baseline(worker: &Worker, client: &Client) -> Option<Spare> {
    let asked = Asked { target: &client.target, key: None, client: client.ip };
    let mut journey = Journey::begin(worker, &asked);
    journey.connect(worker, &asked, async |endpoint| socket::connect(endpoint.address).await).await.ok()
}

/// Passes a connection to the baseline, untouched.
async fn pass(worker: &Worker, client: Client, first: Buffer, spare: Option<Spare>) {
    let metrics = &worker.shared.metrics;
    metrics.passthrough_connections.inc();
    let spare = match spare {
        Some(spare) => Some(spare),
        None => tokio::select! {
            connected = baseline(worker, &client) => connected,
            () = socket::broken(&client.stream) => None,
        },
    };
    let Some((_lease, endpoint)) = spare else { return socket::reset(client.stream) };
    metrics.passthrough_bytes.inc_by(tcp::join(client.stream, endpoint, first, None).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_takes_little() {
        assert!(size(serve) < 1280, "{}", size(serve));
    }
}
