//! The admin server over real connections: its answers, and strangers who misuse it.

use super::{connections::MOST_FROM_ONE, *};
use crate::table::Index;
use lapdev_api::route::{Counters, Probe, RoutedPort, RoutedService, RoutingTable, TableInForce};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Running {
    at: SocketAddr,
    snapshots: watch::Sender<Arc<Snapshot>>,
    listening: watch::Sender<BTreeSet<u16>>,
    draining: watch::Sender<bool>,
    probes: Arc<Probes>,
    stop: tokio_util::sync::DropGuard,
    task: tokio::task::JoinHandle<()>,
}

async fn start() -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = listener.local_addr().expect("it is bound");
    let (snapshots, of_snapshots) = watch::channel(Arc::default());
    let (listening, of_listening) = watch::channel(BTreeSet::new());
    let (draining, of_draining) = watch::channel(false);
    let (probes, stop) = (Arc::<Probes>::default(), CancellationToken::new());
    let state = State {
        snapshots: of_snapshots,
        listening: of_listening,
        draining: of_draining,
        probes: probes.clone(),
        metrics: Arc::default(),
        process: "p1".to_owned(),
    };
    let task = tokio::spawn(serve(listener, state, stop.clone()));
    Running { at, snapshots, listening, draining, probes, stop: stop.drop_guard(), task }
}

/// The table with one service on port 10300 and one branch.
fn snapshot() -> Snapshot {
    let port = RoutedPort { name: String::new(), port: 80, listen: 10_300, app_protocol: None };
    let web = RoutedService { baseline: "web--baseline".to_owned(), ports: vec![port], affinity_seconds: None };
    let table = RoutingTable {
        served_by: true,
        hold_seconds: 10,
        services: [("web".to_owned(), web)].into(),
        branches: [("x-abc234".parse().expect("legal"), BTreeSet::new())].into(),
    };
    let mut index = Index::default();
    index.set_table("7", &table, Instant::now());
    index.end_listing();
    index.changed().expect("it is new")
}

/// Status and body of the answer to what is sent as it is.
async fn send(at: SocketAddr, request: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(at).await.expect("it listens");
    stream.write_all(request).await.expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("it answers");
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"), body.to_owned())
}

async fn get(at: SocketAddr, path: &str) -> (u16, String) {
    send(at, format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await
}

async fn put(at: SocketAddr, path: &str, body: &str) -> (u16, String) {
    let length = body.len();
    send(at, format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes()).await
}

#[tokio::test]
async fn it_is_ready_when_it_knows_all_and_listens_everywhere_and_does_not_end() {
    let router = start().await;
    assert_eq!(get(router.at, "/livez").await.0, 200);
    assert_eq!(get(router.at, "/readyz").await.0, 503);
    router.snapshots.send_replace(Arc::new(snapshot()));
    let (status, why) = get(router.at, "/readyz").await;
    assert_eq!((status, why.as_str()), (503, "not every port of the routing table listens yet\n"));
    router.listening.send_replace([10_300].into());
    assert_eq!(get(router.at, "/readyz").await.0, 200);
    let table: TableInForce = serde_json::from_str(&get(router.at, "/table").await.1).expect("a table");
    assert_eq!(table, TableInForce { resource_version: Some("7".to_owned()), listening: [10_300].into() });
    router.draining.send_replace(true);
    assert_eq!(get(router.at, "/readyz").await, (503, "draining\n".to_owned()));
    drop(router.stop);
    router.task.await.expect("it ends");
}

#[tokio::test]
async fn without_the_agents_token_a_stranger_learns_no_key_and_cannot_break_a_probe() {
    let router = start().await;
    let mut index = Index::default();
    index.set_token(Some(&lapdev_api::digest::Digest::of(b"secret").to_string()));
    router.snapshots.send_replace(Arc::new(index.changed().expect("it is new")));
    let probe = Probe {
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
        key: "x-abc234".parse().expect("legal"),
        seconds: 30,
    };
    let probe = serde_json::to_string(&probe).expect("it can be written");
    let ask = async |start: &str, token: &str, body: &str| {
        let (at, length) = (router.at, body.len());
        let head = format!("{start} HTTP/1.1\r\nhost: x\r\n{token}content-length: {length}\r\n\r\n{body}");
        send(at, head.as_bytes()).await.0
    };
    for wrong in ["", "authorization: Bearer guess\r\n", "authorization: secret\r\n", "authorization: Bearer \r\n"] {
        for path in ["/table", "/counters", "/probe"] {
            assert_eq!(ask(&format!("GET {path}"), wrong, "").await, 401, "{path} with {wrong:?}");
        }
        assert_eq!(ask("PUT /probe", wrong, &probe).await, 401, "{wrong:?}");
        assert!(router.probes.active().is_none());
        for open in ["/livez", "/metrics"] {
            assert_eq!(ask(&format!("GET {open}"), wrong, "").await, 200, "{open}");
        }
    }
    let right = "authorization: Bearer secret\r\n";
    for path in ["/table", "/counters", "/probe"] {
        assert_eq!(ask(&format!("GET {path}"), right, "").await, 200, "{path}");
    }
    assert_eq!(ask("PUT /probe", right, &probe).await, 204);
    assert!(router.probes.active().is_some());
}

#[tokio::test]
async fn a_router_that_has_no_table_yet_tells_nothing_and_takes_no_probe() {
    let router = start().await;
    for path in ["/table", "/counters", "/probe"] {
        assert_eq!(get(router.at, path).await, (503, "the routing table was not read yet\n".to_owned()), "{path}");
    }
    let probe = r#"{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","key":"x-abc234","seconds":30}"#;
    assert_eq!(put(router.at, "/probe", probe).await.0, 503);
    router.snapshots.send_replace(Arc::new(snapshot()));
    assert_eq!(put(router.at, "/probe", probe).await.0, 204);
}

#[tokio::test]
async fn counters_probes_and_metrics_can_be_read() {
    let router = start().await;
    let snapshot = Arc::new(snapshot());
    router.snapshots.send_replace(snapshot.clone());
    let (target, key) = (snapshot.port(10_300).expect("routed"), "x-abc234".parse().expect("legal"));
    let meter = snapshot.choose(target, Some(&key)).meter(target).expect("the key lives");
    meter.request();
    meter.error();
    let counters: Counters = serde_json::from_str(&get(router.at, "/counters").await.1).expect("counters");
    assert_eq!(counters.process, "p1");
    let row = &counters.rows[0];
    assert_eq!((row.traffic.service.as_str(), row.traffic.branch), ("web", false));
    assert_eq!((row.traffic.requests, row.traffic.errors, counters.rows.len()), (1, 1, 1));

    let probe = Probe { trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(), key, seconds: 30 };
    assert!(router.probes.active().is_none());
    let body = serde_json::to_string(&probe).expect("it can be written");
    assert_eq!(put(router.at, "/probe", &body).await, (204, String::new()));
    assert!(router.probes.active().is_some());
    assert_eq!(get(router.at, "/probe").await, (200, "[]".to_owned()));
    let (status, metrics) = get(router.at, "/metrics").await;
    assert!(
        status == 200 && metrics.contains("lapdev_router_requests_total{protocol=\"Grpc\",class=\"5xx\"} 0"),
        "{metrics}"
    );
    assert!(metrics.ends_with("# EOF\n"));
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_the_reason() {
    let router = start().await;
    router.snapshots.send_replace(Arc::new(snapshot()));
    assert_eq!(get(router.at, "/").await.0, 404);
    assert_eq!(put(router.at, "/table", "").await.0, 405);
    assert_eq!(put(router.at, "/probe", "{}").await.0, 400);
    let long = format!(r#"{{"traceId":"{}","key":"x","seconds":61}}"#, "a".repeat(32));
    assert_eq!(put(router.at, "/probe", &long).await, (400, "a probe lasts 1 to 60 seconds\n".to_owned()));
    assert_eq!(put(router.at, "/probe", &" ".repeat(2000)).await.0, 413);
    let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(HEAD_BYTES));
    assert_eq!(send(router.at, head.as_bytes()).await.0, 431);
    assert!(router.probes.active().is_none());
}

#[tokio::test]
async fn a_stranger_who_holds_connections_keeps_nobody_out() {
    let router = start().await;
    let mut held = Vec::new();
    for _ in 0..MOST_FROM_ONE * 5 {
        let mut stream = TcpStream::connect(router.at).await.expect("it listens");
        stream.write_all(b"GET /livez HT").await.expect("it reads");
        held.push(stream);
    }
    assert_eq!(get(router.at, "/livez").await.0, 200);
    // The oldest were ended, not left waiting.
    assert_eq!(held[0].read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test(start_paused = true)]
async fn connections_are_few_for_one_address_and_in_all() {
    use connections::{Connections, MOST};
    let mut connections = Connections::default();
    for n in 0..=255 {
        connections.add([127, 0, 0, n].into(), std::future::pending());
        assert!(connections.len() <= MOST);
    }
    for _ in 0..20 {
        connections.add([127, 0, 0, 1].into(), std::future::pending());
    }
    assert_eq!(connections.len(), MOST);
    for n in 0..=255 {
        connections.add([127, 0, 1, n].into(), std::future::ready(()));
        tokio::task::yield_now().await;
    }
    assert!(connections.len() <= MOST, "what ended makes room");
}
