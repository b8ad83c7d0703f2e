//! Bodies that are not what they say, and bodies without end.

use super::{backend::Backend, ground::Ground, memory, talk::Talk, witness::Witness};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const GIB: u64 = 1 << 30;

#[tokio::test]
async fn no_broken_chunk_ends_a_request_for_the_backend() {
    let _others = memory::others().await;
    let (mut ground, backend) = (Ground::start().await, Backend::start().await);
    ground.baseline(&[backend.address]);
    let witness = Witness::of(&ground);
    for body in [
        "5\nhello\n0\n\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5;\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\nbare: lf\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\nx: a\0b\r\n\r\n",
        "0\r\n\rGET /smuggled HTTP/1.1\r\nhost: web\r\n\r\n",
    ] {
        let mut talk = Talk::to(ground.web).await;
        let head = "POST /hostile HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n";
        talk.send(format!("{head}{body}GET /smuggled HTTP/1.1\r\nhost: web\r\n\r\n")).await;
        let answer = talk.answer().await;
        assert_eq!((answer.status, answer.field("connection")), (400, Some("close")), "{body:?}");
        assert!(talk.rest().await.is_empty());
    }
    witness.was_unharmed().await;
    let whole: Vec<_> = backend.whole().into_iter().filter(|(path, _)| path != "/kept" && path != "/new").collect();
    assert_eq!(whole, []);
}

#[tokio::test]
async fn chunk_lines_and_trailers_without_end_are_refused() {
    let _others = memory::others().await;
    let (mut ground, backend) = (Ground::start().await, Backend::start().await);
    ground.baseline(&[backend.address]);
    let head = "POST /hostile HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n";
    for body in
        ["5;".to_owned() + &"x".repeat(100_000), "0".repeat(100_000), "0\r\n".to_owned() + &"a: b\r\n".repeat(20_000)]
    {
        let mut talk = Talk::to(ground.web).await;
        talk.send(format!("{head}{body}")).await;
        assert_eq!(talk.answer().await.status, 400, "{:?}", &body[..20]);
    }
    assert_eq!(backend.whole(), []);
}

/// Takes one request on each connection, as slowly as it is let, and says how long its body was.
async fn counting() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.expect("a whole head"));
                }
                let (mut left, mut buffer) = (GIB, vec![0; 256 << 10]);
                while left > 0 {
                    left -= stream.read(&mut buffer).await.expect("it is not reset") as u64;
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n").await.expect("it is taken");
                for _ in 0..GIB / buffer.len() as u64 {
                    if stream.write_all(&buffer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_goes_through_either_way_in_little_memory() {
    let _alone = memory::alone().await;
    let (mut ground, backend) = (Ground::start().await, Backend::start().await);
    ground.baseline(&[counting().await]);
    ground.branch(super::ground::KEY, &[backend.address]);
    let witness = Witness::of_branch(&ground);
    let mut stream = TcpStream::connect(ground.web).await.expect("it accepts");
    let mut buffer = vec![0; 256 << 10];
    let before = memory::resident();
    stream
        .write_all(b"POST /large HTTP/1.1\r\nhost: web\r\ncontent-length: 1073741824\r\n\r\n")
        .await
        .expect("it is taken");
    for _ in 0..GIB / buffer.len() as u64 {
        stream.write_all(&buffer).await.expect("it is taken");
    }
    let during = memory::resident();
    let (mut head, mut left) = (Vec::new(), GIB);
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
    assert!(head.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&head));
    while left > 0 {
        let count = stream.read(&mut buffer).await.expect("it is not reset") as u64;
        assert!(count > 0, "it ended with {left} to come");
        left -= count;
    }
    memory::grew_at_most(before, 16);
    assert!(during <= before + (16 << 20), "{during} after {before}");
    witness.was_unharmed().await;
}

#[tokio::test]
async fn a_body_that_nobody_takes_makes_its_sender_wait() {
    let _alone = memory::alone().await;
    let mut ground = Ground::start().await;
    // It accepts and never reads.
    let deaf = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    ground.baseline(&[deaf.local_addr().expect("it is bound")]);
    let before = memory::resident();
    let (mut senders, piece) = (Vec::new(), vec![0; 64 << 10]);
    for _ in 0..15 {
        let mut stream = TcpStream::connect(ground.web).await.expect("it accepts");
        stream.write_all(b"POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 1073741824\r\n\r\n").await.expect("taken");
        let mut sent = 0;
        // Until nothing is taken for a while.
        while sent < 64 << 20 && timeout(Duration::from_millis(300), stream.write_all(&piece)).await.is_ok() {
            sent += piece.len();
        }
        assert!(sent < 64 << 20, "{sent} bytes are somewhere");
        senders.push(stream);
    }
    // A buffer or two each: what waits is in the system's sockets.
    memory::grew_at_most(before, 16);
}
