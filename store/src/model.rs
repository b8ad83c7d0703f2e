//! Random histories against a model written down apart: what is committed is what a crash leaves, whole operations
//! only; the fences hold over a whole history; and nobody is woken before what woke them can be read.

use crate::{
    Adopted, Delivery, Desired, Publication, Recorded, Store, Topic, Which,
    sample::{at, bundle, cluster, control_plane, evidence, held, record, uid},
};
use lapdev_api::{
    digest::Digest,
    name::{Generation, Uid},
    record::{EnvironmentRecord, Life},
};
use proptest::{collection::vec, prelude::*, test_runner::Config};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    future::Future,
    path::Path,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::time::timeout;

/// Far more than anything here takes; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
enum Operation {
    Publish(Vec<(u8, u64, LifeKind, Option<u8>)>),
    ConfirmGone(u8, u64),
    Adopt(u8, u64, Option<u8>),
    Record(u8, bool),
    Process(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LifeKind {
    Queued,
    Live,
    Closing,
    Closed,
}

fn operation() -> impl Strategy<Value = Operation> {
    let life = prop_oneof![
        1 => Just(LifeKind::Queued), 6 => Just(LifeKind::Live), 3 => Just(LifeKind::Closing), 1 => Just(LifeKind::Closed)
    ];
    let one = (0..4u8, 0..6u64, life, prop::option::of(0..3u8));
    prop_oneof![
        6 => vec(one, 1..3).prop_map(Operation::Publish),
        2 => (0..4u8, 0..6u64).prop_map(|(number, generation)| Operation::ConfirmGone(number, generation)),
        2 => (0..4u8, 0..6u64, prop::option::of(0..3u8)).prop_map(|(n, g, b)| Operation::Adopt(n, g, b)),
        2 => (0..6u8, any::<bool>()).prop_map(|(number, ignored)| Operation::Record(number, ignored)),
        1 => (0..6u8).prop_map(Operation::Process),
    ]
}

fn kind(life: &Life) -> LifeKind {
    match life {
        Life::Queued { .. } => LifeKind::Queued,
        Life::Live => LifeKind::Live,
        Life::Closing { .. } => LifeKind::Closing,
        Life::Closed { .. } => LifeKind::Closed,
    }
}

fn planned((number, generation, life, digest): (u8, u64, LifeKind, Option<u8>)) -> EnvironmentRecord {
    let life = match life {
        LifeKind::Queued => Life::Queued { reason: "waits".to_owned() },
        LifeKind::Live => Life::Live,
        LifeKind::Closing => Life::Closing { evidence: evidence(), at: at(2) },
        LifeKind::Closed => Life::Closed { evidence: evidence(), at: at(3) },
    };
    EnvironmentRecord { life, digest: digest.map(|digest| bundle(digest).0), ..record(number, generation) }
}

/// Everything that a store says, to compare.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct State {
    environments: BTreeMap<Uid, EnvironmentRecord>,
    bundles: BTreeSet<Digest>,
    pending: BTreeSet<String>,
}

async fn state(store: &Store) -> State {
    let mut state = State::default();
    for record in store.environments(Which::All).await.expect("read") {
        state.environments.insert(record.identity.uid.clone(), record);
    }
    for number in 0..3 {
        let (digest, bytes) = bundle(number);
        if let Some(kept) = store.bundle(&digest).await.expect("read") {
            assert_eq!(kept, bytes);
            state.bundles.insert(digest);
        }
    }
    let pending = store.pending_deliveries(100).await.expect("read");
    state.pending = pending.into_iter().map(|delivery| delivery.id).collect();
    state
}

/// What must be so after a publication: `None` where a fence must refuse it.
fn published(before: &State, records: &[EnvironmentRecord]) -> Option<State> {
    let mut after = before.clone();
    for next in records {
        let known = after.environments.insert(next.identity.uid.clone(), next.clone());
        let Some(known) = known.filter(|known| known != next) else { continue };
        let (was, is) = (kind(&known.life), kind(&next.life));
        let revived = was > LifeKind::Live && is < was;
        let same = known.generation == next.generation && known.generation.0 > 0 && was <= LifeKind::Live;
        let reused = match is {
            LifeKind::Queued | LifeKind::Live => next.digest != known.digest,
            LifeKind::Closing => known.digest.is_some(),
            LifeKind::Closed => false,
        };
        if revived || next.generation < known.generation || (same && reused) {
            return None;
        }
    }
    Some(after)
}

/// Does one operation, and says whether a fence let it through.
async fn apply(store: &Store, operation: &Operation, before: &State) -> bool {
    match operation {
        Operation::Publish(records) => {
            let records: Vec<_> = records.iter().copied().map(planned).collect();
            let expected = published(before, &records);
            let publication = Publication { records, bundles: (0..3).map(bundle).collect() };
            let result = store.publish(publication).await;
            assert_eq!(result.is_ok(), expected.is_some(), "{result:?}");
            let expected = expected.unwrap_or_else(|| before.clone());
            assert_eq!(state(store).await.environments, expected.environments);
            result.is_ok()
        }
        Operation::ConfirmGone(number, generation) => {
            let gone = store.confirm_gone(&cluster(), &uid(*number), Generation(*generation), at(9)).await;
            let known = before.environments.get(&uid(*number));
            let closing = known.is_some_and(|r| kind(&r.life) == LifeKind::Closing && r.generation.0 <= *generation);
            assert_eq!(gone.expect("asked"), closing);
            true
        }
        Operation::Adopt(number, generation, digest) => {
            let held = held(&record(*number, 0), *generation, digest.map(|digest| bundle(digest).0));
            let adopted = store.adopt(&cluster(), &held, at(9)).await.expect("asked");
            let known = before.environments.contains_key(&uid(*number));
            assert_eq!(adopted, if known { Adopted::Known } else { Adopted::Adopted });
            true
        }
        Operation::Record(number, ignored) => {
            let recorded = store.record_delivery(&delivery(*number, *ignored)).await.expect("recorded");
            if before.pending.contains(&number.to_string()) {
                assert_eq!(recorded, Recorded::Duplicate);
            }
            true
        }
        Operation::Process(number) => {
            store.mark_processed(&[number.to_string()], at(9)).await.expect("marked");
            assert!(!state(store).await.pending.contains(&number.to_string()));
            true
        }
    }
}

fn delivery(number: u8, ignored: bool) -> Delivery {
    Delivery {
        id: number.to_string(),
        forge: "github".to_owned(),
        event: "push".to_owned(),
        action: None,
        repository_id: None,
        repository: None,
        received_at: at(0),
        ignored,
    }
}

/// What holds whatever happened: lives only go on, generations only grow, bundles are there exactly while needed.
fn check_step(before: &State, after: &State, adopting: bool) {
    for (uid, was) in &before.environments {
        let is = &after.environments[uid];
        assert!(is.generation >= was.generation, "{uid}");
        let (was, is) = (kind(&was.life), kind(&is.life));
        assert!(
            was <= LifeKind::Live || is >= was || (adopting && is == LifeKind::Closing),
            "{uid}: {was:?} to {is:?}"
        );
    }
    let living = after.environments.values().filter(|record| kind(&record.life) <= LifeKind::Live);
    let needed: BTreeSet<Digest> = living.filter_map(|record| record.digest).collect();
    assert_eq!(after.bundles, needed);
}

/// What each generation ever told its cluster. It must never tell something else.
async fn check_told(store: &Store, told: &mut BTreeMap<(Uid, Generation), Option<Digest>>) {
    for desired in store.desired(&cluster()).await.expect("read") {
        let (uid, generation, digest) = match desired {
            Desired::Assign(assign) => (assign.uid, assign.generation, Some(assign.digest)),
            Desired::Tombstone { uid, generation, .. } => (uid, generation, None),
        };
        let earlier = *told.entry((uid.clone(), generation)).or_insert(digest);
        assert!(earlier == digest || generation.0 == 0, "{uid} {generation}: {earlier:?}, then {digest:?}");
    }
}

/// Opens what a crash at this moment would leave, the log cut after `log_length` bytes.
async fn after_crash(folder: &Path, log_length: usize) -> State {
    let copy = tempfile::tempdir().expect("a folder");
    let path = copy.path().join("lapdev.db");
    fs::copy(folder.join("lapdev.db"), &path).expect("copied");
    let log = fs::read(folder.join("lapdev.db-wal")).expect("read");
    fs::write(copy.path().join("lapdev.db-wal"), &log[..log_length.min(log.len())]).expect("written");
    let store = Store::open(&path, &control_plane()).await.expect("opened after a crash");
    let state = state(&store).await;
    store.close().await;
    state
}

fn log_length(folder: &Path) -> usize {
    fs::read(folder.join("lapdev.db-wal")).expect("read").len()
}

async fn history(operations: Vec<Operation>, cuts: Vec<prop::sample::Index>) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("lapdev.db"), &control_plane()).await.expect("opened");
    let (deliveries, desired) = (store.watch(Topic::Deliveries), store.watch(Topic::Desired));
    let mut told = BTreeMap::new();
    let mut committed = vec![(log_length(folder.path()), State::default())];
    for operation in &operations {
        let before = committed.last().expect("the first").1.clone();
        let counts = || (*deliveries.borrow(), *desired.borrow());
        let earlier = counts();
        apply(&store, operation, &before).await;
        let after = state(&store).await;
        check_step(&before, &after, matches!(operation, Operation::Adopt(..)));
        check_told(&store, &mut told).await;
        let appeared = u64::from(after.pending.len() > before.pending.len());
        let changed = u64::from(after.environments != before.environments);
        assert_eq!(counts(), (earlier.0 + appeared, earlier.1 + changed), "{operation:?}");
        committed.push((log_length(folder.path()), after));
    }
    let (whole, last) = committed.last().expect("the first").clone();
    assert_eq!(after_crash(folder.path(), whole).await, last);
    let start = committed[0].0;
    for cut in cuts {
        // A commit is in the log as a whole or not at all, so what is left is the state after some prefix.
        let length = start + cut.index(whole - start + 1);
        let survived = committed.iter().rev().find(|(end, _)| *end <= length).expect("the first is the shortest");
        assert_eq!(after_crash(folder.path(), length).await, survived.1, "cut after {length} of {whole} bytes");
    }
    store.close().await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

proptest! {
    #![proptest_config(Config { cases: 40, failure_persistence: None, ..Config::default() })]

    #[test]
    fn what_was_committed_survives_a_crash_and_no_fence_gives_way(
        operations in vec(operation(), 1..30),
        cuts in vec(any::<prop::sample::Index>(), 3),
    ) {
        runtime().block_on(history(operations, cuts));
    }
}

/// Polls at most `polls` times, letting the database's thread go on in between, then drops the future.
async fn give_up_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
        tokio::task::spawn_blocking(std::thread::yield_now).await.expect("yielded");
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_woken_reads_what_woke_them_even_if_publishers_give_up_halfway() {
    let (_folder, store) = crate::sample::store().await;
    let reader = store.clone();
    let mut watch = store.watch(Topic::Desired);
    let watcher = tokio::spawn(async move {
        let mut seen = 0;
        while watch.changed().await.is_ok() {
            let count = *watch.borrow_and_update();
            let records = reader.environments(Which::All).await.expect("read");
            let generation = records.first().map_or(0, |record| record.generation.0);
            assert!(generation >= count, "woken {count} times before generation {generation}");
            if generation >= 1000 {
                return seen;
            }
            seen += 1;
        }
        unreachable!("the reader's own handle keeps the store open")
    });
    let publish = |generation| store.publish(Publication { records: vec![record(1, generation)], bundles: vec![] });
    let mut next = 1;
    let (mut finished, mut given_up) = (0, 0);
    for round in 0..200 {
        match give_up_after(round % 40, publish(next)).await {
            Some(result) => {
                result.expect("published");
                finished += 1;
            }
            None => given_up += 1,
        }
        // One writer: this waits until the one that was given up is through or undone.
        store.secret(&round.to_string()).await.expect("made");
        let known = store.environment(&uid(1)).await.expect("read").map_or(0, |record| record.generation.0);
        assert!(known + 1 == next || known == next, "{known} after {next}");
        next = known + 1;
    }
    assert!(finished > 0 && given_up > 0, "{finished} finished, {given_up} given up");
    let mut counter = store.watch(Topic::Desired);
    // Commits whose caller is gone are announced all the same, in time.
    let announced = counter.wait_for(|count| *count == next - 1);
    timeout(PATIENCE, announced).await.expect("every commit is announced, once").expect("open");
    publish(1000).await.expect("published");
    timeout(PATIENCE, watcher).await.expect("the last one is announced").expect("every wake found what woke it");
}
