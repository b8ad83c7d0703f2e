//! HTTP/2 clients that flood, and HTTP/2 requests that mean two things.

use super::{
    backend::Backend,
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, End, Frames, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE,
        frame, get, literal,
    },
    ground::{Ground, SOON},
    memory,
    witness::{Siege, Witness},
};
use bytes::Bytes;
use lapdev_router::limits::{CONNECTION_WINDOW, HEAD_BYTES, RESETS_WITHIN, STANDING, STREAM_WINDOW, STREAMS};
use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

async fn ground() -> (Ground, Backend) {
    let (mut ground, backend) = (Ground::start().await, Backend::start().await);
    ground.baseline(&[backend.address]);
    (ground, backend)
}

fn stream(n: u32) -> u32 {
    2 * n + 1
}

#[tokio::test]
async fn rapid_resets_end_the_connection_before_they_cost_a_backend_much() {
    let siege = Siege::begin().await;
    let mut frames = Frames::to(siege.ground.web, &[]).await;
    let mut taken = true;
    for n in 0..20_000 {
        let mut both = frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &get("/reset"));
        both.extend(frame(RST_STREAM, 0, stream(n), &8_u32.to_be_bytes()));
        taken = frames.send(&both).await;
        if !taken {
            break;
        }
    }
    let end = frames.end(SOON).await;
    assert!(matches!(end, End::GoAway(11) | End::Closed), "{end:?}");
    assert!(!taken || end == End::GoAway(11));
    let backend = siege.harmed_nobody(16).await;
    let reset = backend.begun() - backend.whole().iter().filter(|(path, _)| path != "/reset").count();
    assert!(reset <= 2 * RESETS_WITHIN.0 as usize, "{reset} reached the backend");
}

#[tokio::test]
async fn streams_that_make_the_router_reset_them_end_the_connection_too() {
    let siege = Siege::begin().await;
    let mut frames = Frames::to(siege.ground.web, &[]).await;
    for n in 0..20_000 {
        let mut both = frame(HEADERS, END_HEADERS, stream(n), &get("/reset"));
        // A window that grows by nothing is an error of the stream.
        both.extend(frame(WINDOW_UPDATE, 0, stream(n), &[0; 4]));
        if !frames.send(&both).await {
            break;
        }
    }
    let end = frames.end(SOON).await;
    assert!(matches!(end, End::GoAway(1 | 11) | End::Closed), "{end:?}");
    let backend = siege.harmed_nobody(16).await;
    let reset = backend.begun() - backend.whole().iter().filter(|(path, _)| path != "/reset").count();
    assert!(reset <= 2 * RESETS_WITHIN.0 as usize, "{reset} reached the backend");
}

#[tokio::test]
async fn floods_of_empty_data_cost_no_memory_and_harm_nobody() {
    let siege = Siege::begin().await;
    let mut frames = Frames::to(siege.ground.web, &[]).await;
    assert!(frames.send(&frame(HEADERS, END_HEADERS, 1, &get("/flood"))).await);
    let flood = frame(DATA, 0, 1, &[]).repeat(1000);
    for _ in 0..500 {
        if !frames.send(&flood).await {
            break;
        }
    }
    siege.harmed_nobody(16).await;
}

#[tokio::test]
async fn a_head_of_continuations_without_end_is_ended() {
    let siege = Siege::begin().await;
    for piece in [literal("x-flood", &[b'a'; 1000]), Vec::new(), vec![0x82]] {
        let mut frames = Frames::to(siege.ground.web, &[]).await;
        let mut taken = frames.send(&frame(HEADERS, END_STREAM, 1, &get("/flood"))).await;
        for _ in 0..50_000 {
            if !taken {
                break;
            }
            taken = frames.send(&frame(CONTINUATION, 0, 1, &piece)).await;
        }
        let end = frames.end(SOON).await;
        assert!(matches!(end, End::GoAway(_) | End::Closed), "{end:?} of {} bytes each", piece.len());
    }
    let backend = siege.harmed_nobody(16).await;
    assert!(backend.whole().iter().all(|(path, _)| path != "/flood"));
}

#[tokio::test]
async fn floods_of_settings_and_pings_cost_no_memory_and_harm_nobody() {
    let siege = Siege::begin().await;
    let window = [0, 4, 0, 1, 0, 0];
    for flood in [frame(SETTINGS, 0, 0, &window), frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[])] {
        let mut frames = Frames::to(siege.ground.web, &[]).await;
        let flood = flood.repeat(1000);
        // Nobody reads what is answered: then at some time no more is taken.
        for _ in 0..500 {
            if !frames.send(&flood).await {
                break;
            }
        }
        siege.held_at_most(16);
    }
    siege.harmed_nobody(16).await;
}

#[tokio::test]
async fn a_header_list_that_grows_when_it_is_unpacked_is_refused() {
    let siege = Siege::begin().await;
    let mut frames = Frames::to(siege.ground.web, &[]).await;
    // One field of 4,000 bytes into the dynamic table, then referred to by one byte each time.
    let mut fields = get("/bomb");
    fields.extend({
        let mut indexed = literal("x-bomb", &[b'a'; 3900]);
        indexed[0] = 0x40;
        indexed
    });
    fields.extend([0xbe; 12_000]);
    assert!(frames.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields)).await);
    let refused = timeout(SOON, async {
        loop {
            match frames.next().await {
                // 431, or the stream or the connection ends.
                Some((HEADERS, _, 1, fields)) => return !fields.contains(&0x88),
                Some((RST_STREAM, _, 1, _)) | None => return true,
                Some((kind, ..)) if kind == super::frames::GOAWAY => return true,
                Some(_) => {}
            }
        }
    });
    assert!(refused.await.expect("it is answered"));
    let backend = siege.harmed_nobody(16).await;
    assert!(backend.whole().iter().all(|(path, _)| path != "/bomb"));
    const { assert!(3900 * 12_000 > 1000 * HEAD_BYTES) };
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_and_those_within_are_answered() {
    let _others = memory::others().await;
    let (ground, _backend) = ground().await;
    let mut frames = Frames::to(ground.web, &[]).await;
    // Each waits for its body.
    let post = |n| frame(HEADERS, END_HEADERS, stream(n), &get("/many"));
    for n in 0..STREAMS + 10 {
        assert!(frames.send(&post(n)).await);
    }
    let refused = frames.until(RST_STREAM, stream(STREAMS + 5)).await;
    assert_eq!(refused, 7_u32.to_be_bytes(), "REFUSED_STREAM: it may be tried again");
    assert!(frames.send(&frame(DATA, END_STREAM, stream(3), &[])).await);
    assert!(frames.until(HEADERS, stream(3)).await.contains(&0x88));
}

#[tokio::test]
async fn what_nobody_reads_is_not_gathered() {
    let siege = Siege::begin().await;
    // Windows that never open: 1,000 answers of 4 MiB each.
    let no_window = [0, 4, 0, 0, 0, 0];
    let mut deaf = Vec::new();
    for _ in 0..5 {
        let mut frames = Frames::to(siege.ground.web, &no_window).await;
        for n in 0..200 {
            assert!(frames.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &get("/large"))).await);
        }
        frames.until(HEADERS, stream(0)).await;
        deaf.push(frames);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The backend's library gathers some as well.
    siege.harmed_nobody(128).await;
    drop(deaf);
}

#[tokio::test]
async fn requests_that_mean_two_things_do_not_reach_a_backend() {
    let _others = memory::others().await;
    let (ground, backend) = ground().await;
    let witness = Witness::of(&ground);
    let hostile: [(&str, &[u8]); 9] = [
        ("transfer-encoding", b"chunked"),
        ("connection", b"close"),
        ("content-length", b"5"),
        ("content-length", b"+0"),
        ("X-Upper", b"a"),
        ("x", b"a\r\nhost: evil"),
        ("x", b"a\0b"),
        (":path", b"/twice"),
        (":unknown", b"x"),
    ];
    for (name, value) in hostile {
        let mut frames = Frames::to(ground.web, &[]).await;
        let mut fields = get("/hostile");
        fields.extend(literal(name, value));
        assert!(frames.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields)).await);
        let answered = async {
            loop {
                match frames.next().await {
                    Some((HEADERS, _, 1, fields)) => return fields.contains(&0x88),
                    Some((RST_STREAM, _, 1, _)) | None => return false,
                    Some((kind, ..)) if kind == super::frames::GOAWAY => return false,
                    Some(_) => {}
                }
            }
        };
        let answered = timeout(SOON, answered).await.expect("something is said");
        assert!(!answered, "{name}: {:?} was answered 200", String::from_utf8_lossy(value));
    }
    witness.was_unharmed().await;
    let whole: Vec<_> = backend.whole().into_iter().filter(|(path, _)| path != "/kept" && path != "/new").collect();
    assert_eq!(whole, []);
}

#[tokio::test]
async fn requests_that_cannot_be_passed_on_cost_no_connections() {
    let _others = memory::others().await;
    let (ground, backend) = ground().await;
    let mut frames = Frames::to(ground.web, &[]).await;
    assert!(frames.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream(0), &get("/before"))).await);
    assert!(frames.until(HEADERS, stream(0)).await.contains(&0x88));
    // A CONNECT to nowhere: the library reads it, and does not write it.
    let nowhere = literal(":method", b"CONNECT");
    for n in 1..20 {
        assert!(frames.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &nowhere)).await);
        let fields = frames.until(HEADERS, stream(n)).await;
        assert!(fields.contains(&0x8c), "400 in the static table: {fields:?}");
    }
    assert!(frames.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream(20), &get("/after"))).await);
    assert!(frames.until(HEADERS, stream(20)).await.contains(&0x88));
    assert_eq!(backend.whole().len(), 2);
    let figures = ["endpoint_connections_total", "retries_total"].map(|name| ground.metric(name));
    assert_eq!(figures, ["1", "0"], "the others' connection is kept, and nothing is tried again");
}

/// Sends a body without end, as far as it is taken, and counts that.
async fn endless(mut to: h2::SendStream<Bytes>, taken: Arc<AtomicUsize>) {
    let piece = Bytes::from_static(&[0; 16 << 10]);
    to.reserve_capacity(piece.len());
    while let Some(Ok(count)) = poll_fn(|cx| to.poll_capacity(cx)).await {
        let count = count.min(piece.len());
        to.send_data(piece.slice(..count), false).expect("it is open");
        taken.fetch_add(count, Ordering::SeqCst);
        to.reserve_capacity(piece.len());
    }
}

#[tokio::test]
async fn bodies_that_nobody_takes_are_gathered_only_up_to_a_bound() {
    let _alone = memory::alone().await;
    // Nobody is ready, so all of them are held.
    let ground = Ground::with(|table| table.hold_seconds = 600).await;
    let (before, mut tasks, taken) = (memory::resident(), JoinSet::new(), Arc::<AtomicUsize>::default());
    for _ in 0..5 {
        let stream = TcpStream::connect(ground.web).await.expect("it accepts");
        let (client, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        for _ in 0..200 {
            let mut ready = client.clone().ready().await.expect("it takes streams");
            let request = http::Request::post("http://web/held").body(()).expect("legal");
            let (answer, to) = ready.send_request(request, false).expect("it takes the request");
            let sent = endless(to, taken.clone());
            tasks.spawn(async { tokio::join!(answer, sent).0 });
        }
    }
    let wider = STANDING * STREAM_WINDOW as usize;
    let enough = async {
        while taken.load(Ordering::SeqCst) < wider {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, enough).await.expect("standing streams stop no others");
    // Whether it goes on.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (taken, most) = (taken.load(Ordering::SeqCst), 5 * CONNECTION_WINDOW as usize + wider);
    assert!(taken <= most, "{taken} bytes of at most {most}");
    memory::grew_at_most(before, 64);
}
