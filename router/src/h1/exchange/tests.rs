//! What an exchange leaves behind that takes longer than a test of the whole router could wait.

use super::*;
use crate::{socket::tests::pair, worker::tests::Ground};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    time,
};

/// A connection that takes little before it is read: ours, and the endpoint's.
async fn narrow() -> (TcpStream, TcpStream) {
    let (ours, theirs) = (TcpSocket::new_v4().expect("a socket"), TcpSocket::new_v4().expect("a socket"));
    theirs.set_recv_buffer_size(1).expect("the least is taken");
    ours.set_send_buffer_size(1).expect("the least is taken");
    theirs.bind(([127, 0, 0, 1], 0).into()).expect("loopback");
    let listener = theirs.listen(1).expect("it listens");
    let address = listener.local_addr().expect("it is bound");
    let (ours, theirs) = tokio::try_join!(ours.connect(address), listener.accept()).expect("they meet");
    (ours, theirs.0)
}

#[tokio::test]
async fn half_a_sent_request_is_followed_by_no_other_on_its_connection() {
    let (kept, mut endpoint) = narrow().await;
    let mut ground = Ground::new(&[("web", 12_000)]);
    ground.baseline(kept.peer_addr().expect("it is open"));
    let worker = Rc::new(ground.worker);
    let snapshot = worker.snapshot();
    let target = snapshot.port(12_000).expect("it listens").clone();
    let only = snapshot.choose(&target, None).pool.endpoints[0].clone();
    worker.idle.borrow_mut().put(&only, kept);
    let (mut asks, stream) = pair().await;
    let ip = std::net::Ipv4Addr::LOCALHOST.into();
    let client = Client { stream, ip, address: ip.into(), target };
    // All of it has been received when its head goes on, but it does not fit in.
    let body = "z".repeat(30 << 10);
    let request = format!("PUT / HTTP/1.1\r\nhost: web\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    asks.write_all(request.as_bytes()).await.expect("it is open");
    let mut input = Buffer::default();
    while input.len() < request.len() {
        socket::fill(&client.stream, &mut input).await.expect("it is open");
    }
    let play = async {
        endpoint.readable().await.expect("it is open");
        // It takes no more, for too long; and answers all the same.
        time::pause();
        for _ in 0..3 {
            time::advance(BODY_TIME).await;
        }
        time::resume();
        endpoint.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.expect("it is open");
        let mut answer = vec![0; 256];
        let length = asks.read(&mut answer).await.expect("it is answered");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
    };
    let (after, ()) = tokio::join!(one(&worker, &client, &mut input), play);
    assert!(matches!(after, After::Closed), "what follows would be read as the rest of it");
    assert!(worker.idle.borrow_mut().take(&only, true).is_none());
}
