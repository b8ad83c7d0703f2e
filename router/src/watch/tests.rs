//! What watches say becomes snapshots, and bad news takes nothing away.

use super::*;
use futures_util::{StreamExt, stream};
use kube::core::Status;
use lapdev_api::route::PORTS;
use std::time::Duration;

const GOOD: &str = r#"{"servedBy":true,"holdSeconds":1,"services":{"web":{"baseline":"web--baseline",
    "ports":[{"name":"","port":80,"listen":10300}]}},"branches":{"x-abc234":["web"]}}"#;

struct Running {
    tell: mpsc::Sender<Change>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    metrics: Arc<Metrics>,
    task: tokio::task::JoinHandle<()>,
}

fn start() -> Running {
    let (tell, mut changes) = mpsc::channel(BATCH);
    let (publish, snapshots) = watch::channel(Arc::default());
    let metrics = Arc::<Metrics>::default();
    let mut keeper = Keeper { index: Index::default(), publish, metrics: metrics.clone() };
    let task = tokio::spawn(async move { keeper.run(&mut changes).await });
    Running { tell, snapshots, metrics, task }
}

impl Running {
    async fn say(&self, change: Change) {
        self.tell.send(change).await.expect("it listens");
    }

    async fn until(&mut self, is: impl FnMut(&Arc<Snapshot>) -> bool) -> Arc<Snapshot> {
        self.snapshots.wait_for(is).await.expect("it publishes").clone()
    }
}

fn table(version: &str, text: &str) -> Change {
    Change::Table { version: version.to_owned(), text: Some(text.to_owned()), token: None }
}

fn slice(name: &str, service: &str, address: &str) -> EndpointSlice {
    let json = serde_json::json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}, "resourceVersion": "1"},
        "addressType": "IPv4", "ports": [{"name": "", "port": 8080}], "endpoints": [{"addresses": [address]}],
    });
    serde_json::from_value(json).expect("a slice")
}

#[tokio::test]
async fn a_table_that_is_broken_or_gone_leaves_the_last_good_one_in_force() {
    let mut router = start();
    router.say(Change::SlicesBegin).await;
    router.say(Change::SlicesEnd).await;
    router.say(table("1", GOOD)).await;
    let good = router.until(|snapshot| snapshot.complete).await;
    assert_eq!(good.resource_version.as_deref(), Some("1"));
    let twice = GOOD.replace(r#""port":80,"#, r#""port":80,"appProtocol":1,"#);
    for bad in ["", "[]", "{}", twice.as_str()] {
        router.say(table("2", bad)).await;
    }
    router.say(Change::Table { version: "2".to_owned(), text: None, token: None }).await;
    router.say(Change::NoTable).await;
    drop(router.tell);
    router.task.await.expect("it ends with its watches");
    assert!(Arc::ptr_eq(&good, &router.snapshots.borrow()), "nothing else was published");
    assert_eq!(router.metrics.table_refused.get(), 5);
}

#[tokio::test]
async fn by_a_table_that_is_refused_the_agent_is_known_all_the_same() {
    let mut router = start();
    router.say(table("1", GOOD)).await;
    router.say(Change::Table { version: "2".to_owned(), text: None, token: Some("digest".to_owned()) }).await;
    let known = router.until(|snapshot| snapshot.token.is_some()).await;
    assert_eq!((known.token.as_deref(), known.resource_version.as_deref()), (Some("digest"), Some("1")));
}

#[tokio::test(start_paused = true)]
async fn ports_that_left_the_table_are_given_up_after_a_while_without_any_event() {
    let mut router = start();
    router.say(table("1", GOOD)).await;
    router.until(|snapshot| snapshot.listens().eq([10_300])).await;
    let none = r#"{"servedBy":true,"holdSeconds":1,"services":{},"branches":{}}"#;
    router.say(table("2", none)).await;
    let lingering = router.until(|snapshot| snapshot.resource_version.as_deref() == Some("2")).await;
    assert!(lingering.port(10_300).is_some_and(|target| PORTS.contains(&target.port.listen)));
    let before = Instant::now();
    router.until(|snapshot| snapshot.listens().next().is_none()).await;
    assert!(before.elapsed().abs_diff(table::LINGER) < Duration::from_secs(1), "{:?}", before.elapsed());
}

/// A watch that says each of these, one after the other.
type Said = Vec<Result<watcher::Event<EndpointSlice>, watcher::Error>>;

async fn followed(said: Said) -> (Vec<String>, u64) {
    let (tell, mut changes) = mpsc::channel(BATCH);
    let metrics = Arc::<Metrics>::default();
    follow(stream::iter(said).boxed(), Slices, tell, metrics.clone()).await;
    let mut seen = Vec::new();
    while let Ok(change) = changes.try_recv() {
        seen.push(match change {
            Change::Slice(slice) => format!("{} of {}", slice.name, slice.service),
            Change::SliceGone(name) => format!("{name} gone"),
            other => format!("{other:?}"),
        });
    }
    (seen, metrics.watch_errors.get())
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_watch_goes_on_and_says_nothing_in_between() {
    use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
    let expired = || Err(watcher::Error::WatchError(Box::new(Status { code: 410, ..Status::default() })));
    let a = || slice("a", "web--baseline", "10.0.0.1");
    let mut unlabelled = a();
    unlabelled.metadata.labels = None;
    let said = vec![Ok(Init), expired(), Ok(Init), Ok(InitApply(a())), Ok(InitDone), expired(), Ok(Apply(unlabelled))];
    let (seen, errors) = followed(said.into_iter().chain([Ok(Delete(a()))]).collect()).await;
    let expected =
        ["SlicesBegin", "SlicesBegin", "a of web--baseline", "SlicesEnd", "a gone", "a gone"].map(str::to_owned);
    assert_eq!((seen.as_slice(), errors), (&expected[..], 2));
}

#[tokio::test]
async fn endpoints_reach_the_requests_of_their_branch() {
    let mut router = start();
    router.say(table("1", GOOD)).await;
    for (name, service, address) in [("a", "web--baseline", "10.0.0.1"), ("b", "web--x-abc234", "10.0.0.2")] {
        router.say(Change::Slice(Slice::of(&slice(name, service, address)).expect("it has a Service"))).await;
    }
    let key = "x-abc234".parse().expect("legal");
    let of = |snapshot: &Arc<Snapshot>| {
        let target = snapshot.port(10_300)?;
        snapshot.choose(target, Some(&key)).pool.endpoints.first().map(|endpoint| endpoint.address.to_string())
    };
    let snapshot = router.until(|snapshot| of(snapshot).is_some()).await;
    assert_eq!(of(&snapshot).as_deref(), Some("10.0.0.2:8080"));
}
