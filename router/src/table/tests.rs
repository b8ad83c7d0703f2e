//! The index against a naive model over random histories, and what its parts promise.

use super::{endpoint::usable, *};
use lapdev_api::{
    key::EnvironmentKey,
    route::{PORTS, RoutedPort, RoutedService, RoutingTable},
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

fn key(n: usize) -> EnvironmentKey {
    format!("feature-{n}-abc234").parse().expect("a legal key")
}

fn service(n: usize) -> String {
    format!("service-{n}")
}

fn ip(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n))
}

/// `services` with one unnamed port each, on consecutive router ports.
fn table(services: &[usize], branches: &[(usize, &[usize])]) -> RoutingTable {
    let routed = |n: &usize| {
        let listen = PORTS.start + u16::try_from(*n).expect("few");
        let ports = vec![RoutedPort { name: String::new(), port: 80, listen, app_protocol: None }];
        let baseline = format!("{}--baseline", service(*n));
        (service(*n), RoutedService { baseline, ports, affinity_seconds: None })
    };
    let runs = |of: &[usize]| of.iter().map(|n| service(*n)).collect();
    RoutingTable {
        served_by: true,
        hold_seconds: 10,
        services: services.iter().map(routed).collect(),
        branches: branches.iter().map(|(n, of)| (key(*n), runs(of))).collect(),
    }
}

fn slice(name: &str, service: &str, ready: &[u32]) -> Slice {
    let address = |n: &u32| Address { ip: ip(*n), readiness: Readiness::Ready };
    let ports = [("".into(), 8080)].into();
    Slice { name: name.into(), service: service.into(), ports, addresses: ready.iter().map(address).collect() }
}

fn baseline(n: usize) -> String {
    format!("{}--baseline", service(n))
}

fn own(n: usize, branch: usize) -> String {
    RoutedService::of_branch(&service(n), &key(branch))
}

/// The addresses that answer a request to a service with a key, and whether they are the branch's.
fn answers(snapshot: &Snapshot, n: usize, branch: Option<usize>) -> (Vec<IpAddr>, bool) {
    let target = snapshot.port(PORTS.start + u16::try_from(n).expect("few")).expect("it is routed");
    let version = snapshot.choose(target, branch.map(key).as_ref());
    (version.pool.endpoints.iter().map(|endpoint| endpoint.address.ip()).collect(), version.branch)
}

fn loaded(table: &RoutingTable, slices: impl IntoIterator<Item = Slice>) -> Index {
    let mut index = Index::default();
    index.set_table("1", table, Instant::now());
    index.begin_listing();
    slices.into_iter().for_each(|slice| index.put(slice));
    index.end_listing();
    index
}

#[test]
fn a_branch_answers_its_own_services_and_the_baseline_all_others() {
    let slices = [slice("a", &baseline(0), &[1]), slice("b", &baseline(1), &[2]), slice("c", &own(0, 7), &[3])];
    let mut index = loaded(&table(&[0, 1], &[(7, &[0])]), slices);
    let snapshot = index.changed().expect("it is new");
    assert!(snapshot.complete && index.changed().is_none());
    assert_eq!(answers(&snapshot, 0, Some(7)), (vec![ip(3)], true));
    assert_eq!(answers(&snapshot, 1, Some(7)), (vec![ip(2)], false));
    assert_eq!(answers(&snapshot, 0, Some(8)), (vec![ip(1)], false), "an unknown key");
    assert_eq!(answers(&snapshot, 0, None), (vec![ip(1)], false));
    assert_eq!(snapshot.station(ip(3)).and_then(|station| station.key), Some(key(7)));
    assert_eq!(snapshot.station(ip(1)).map(|station| (station.service, station.key)), Some((service(0), None)));
    assert_eq!(snapshot.station(ip(9)), None);
}

#[test]
fn a_branch_without_a_ready_endpoint_is_an_empty_pool_of_its_own() {
    let mut index = loaded(&table(&[0], &[(7, &[0])]), [slice("a", &baseline(0), &[1])]);
    assert_eq!(answers(&index.changed().expect("new"), 0, Some(7)), (vec![], true));
    index.put(slice("b", &own(0, 7), &[2]));
    assert_eq!(answers(&index.changed().expect("ready now"), 0, Some(7)), (vec![ip(2)], true));
    index.put(slice("b", &own(0, 7), &[2]));
    assert!(index.changed().is_none(), "nothing is new");
}

#[test]
fn an_endpoint_and_a_key_are_the_same_over_every_change_of_the_table() {
    let mut index = loaded(&table(&[0], &[(7, &[0])]), [slice("a", &baseline(0), &[1]), slice("b", &own(0, 7), &[2])]);
    let one = index.changed().expect("new");
    let target = one.port(PORTS.start).expect("routed").clone();
    let (version, none) = (one.choose(&target, Some(&key(7))), one.choose(&target, None));
    version.pool.endpoints[0].load.store(5, Ordering::Relaxed);
    version.meter(&target).expect("it lives").request();
    assert!(none.meter(&target).is_none(), "no key, no counter");

    index.set_table("2", &table(&[0, 1], &[(7, &[0, 1]), (8, &[0])]), Instant::now());
    index.put(slice("b2", &own(0, 7), &[3, 2]));
    index.remove("b");
    let two = index.changed().expect("changed");
    let again = two.choose(&target, Some(&key(7)));
    assert_eq!(again.pool.endpoints.len(), 2);
    assert!(Arc::ptr_eq(&version.pool.endpoints[0], &again.pool.endpoints[0]));
    assert_eq!(again.pool.endpoints[0].load.load(Ordering::Relaxed), 5);
    assert!(Arc::ptr_eq(none.pool, two.choose(&target, None).pool), "what did not change is not made anew");
    let rows = crate::count::counters(&two, "p").rows;
    assert_eq!(rows.iter().map(|row| row.traffic.requests).collect::<Vec<_>>(), [1]);
}

#[test]
fn counters_of_a_key_that_left_are_gone_and_do_not_come_back() {
    let mut index = loaded(&table(&[0], &[(7, &[0])]), []);
    let one = index.changed().expect("new");
    let target = one.port(PORTS.start).expect("routed").clone();
    let meter = one.choose(&target, Some(&key(7))).meter(&target).expect("it lives");
    meter.request();
    index.set_table("2", &table(&[0], &[]), Instant::now());
    let two = index.changed().expect("changed");
    meter.error();
    assert!(crate::count::counters(&two, "p").rows.is_empty());
    index.set_table("3", &table(&[0], &[(7, &[0])]), Instant::now());
    assert!(crate::count::counters(&index.changed().expect("changed"), "p").rows.is_empty());
}

#[test]
fn a_port_that_left_the_table_is_served_for_a_minute_by_who_served_it_last() {
    let (start, mut index) = (Instant::now(), Index::default());
    index.set_table("1", &table(&[0, 1], &[(7, &[0])]), start);
    index.put(slice("a", &baseline(0), &[1]));
    index.put(slice("b", &own(0, 7), &[2]));
    index.set_table("2", &table(&[1], &[(7, &[])]), start);
    index.remove("a");
    let after = index.changed().expect("changed");
    assert_eq!(answers(&after, 0, None), (vec![ip(1)], false), "its baseline is gone, its pods are not");
    assert_eq!(answers(&after, 0, Some(7)), (vec![ip(1)], false));
    assert_eq!(index.next_expiry(), Some(start + LINGER));
    index.expire(start + LINGER - Duration::from_millis(1));
    assert!(index.changed().is_none());
    index.expire(start + LINGER);
    let later = index.changed().expect("changed");
    assert_eq!(later.listens().collect::<Vec<_>>(), [PORTS.start + 1]);
    assert_eq!(index.next_expiry(), None);
}

#[test]
fn a_port_that_comes_back_within_the_minute_stays() {
    let (start, mut index) = (Instant::now(), Index::default());
    index.set_table("1", &table(&[0], &[]), start);
    index.set_table("2", &table(&[], &[]), start);
    index.set_table("3", &table(&[0], &[]), start + Duration::from_secs(30));
    index.expire(start + LINGER * 2);
    assert_eq!(index.changed().expect("changed").listens().collect::<Vec<_>>(), [PORTS.start]);
}

#[test]
fn while_a_port_of_a_service_changes_both_its_router_ports_lead_to_it() {
    let mut moving = table(&[0], &[(1, &[0])]);
    let ports = &mut moving.services.get_mut(&service(0)).expect("it is routed").ports;
    ports.push(RoutedPort { port: 8080, listen: PORTS.start + 9, ..ports[0].clone() });
    let moving = read(Some(&serde_json::to_string(&moving).expect("text"))).expect("the agent writes it");
    let mut index = loaded(&moving, [slice("b", &baseline(0), &[1]), slice("x", &own(0, 1), &[2])]);
    index.put(slice("x", &own(0, 1), &[3]));
    index.set_table("2", &moving, Instant::now());
    let snapshot = index.changed().expect("new");
    assert_eq!(snapshot.listens().collect::<BTreeSet<_>>(), [PORTS.start, PORTS.start + 9].into());
    for listen in snapshot.listens() {
        let target = snapshot.port(listen).expect("it listens");
        let ips = |key: Option<&EnvironmentKey>| -> Vec<IpAddr> {
            snapshot.choose(target, key).pool.endpoints.iter().map(|endpoint| endpoint.address.ip()).collect()
        };
        assert_eq!((ips(None), ips(Some(&key(1)))), (vec![ip(1)], vec![ip(3)]));
    }
}

#[test]
fn a_slice_that_a_new_listing_has_not_is_gone_and_until_then_it_counts() {
    let mut index = loaded(&table(&[0], &[]), [slice("a", &baseline(0), &[1]), slice("b", &baseline(0), &[2])]);
    index.changed();
    index.begin_listing();
    index.put(slice("b", &baseline(0), &[2]));
    assert!(index.changed().is_none(), "half a listing says nothing of the rest");
    index.end_listing();
    assert_eq!(answers(&index.changed().expect("changed"), 0, None).0, [ip(2)]);
}

#[test]
fn conditions_mean_what_kube_proxy_reads_in_them() {
    use Readiness::{Leaving, Ready, Unready};
    let (yes, no) = (Some(true), Some(false));
    for (ready, serving, terminating, expected) in [
        (None, None, None, Ready),
        (yes, None, None, Ready),
        (yes, no, yes, Ready), // publishNotReadyAddresses
        (no, None, None, Unready),
        (no, yes, no, Unready),
        (no, yes, yes, Leaving),
        (no, no, yes, Unready),
        (no, None, yes, Unready),
        (None, None, yes, Ready),
    ] {
        assert_eq!(Readiness::of(ready, serving, terminating), expected, "{ready:?} {serving:?} {terminating:?}");
    }
    let at = |n: u32| SocketAddr::new(ip(n), 80);
    let six: SocketAddr = "[fd00::1]:80".parse().expect("an address");
    assert_eq!(usable(&[(at(2), Ready), (at(1), Leaving), (at(2), Ready)]), [at(2)]);
    assert_eq!(usable(&[(at(2), Unready), (at(1), Leaving)]), [at(1)], "none is ready");
    assert_eq!(usable(&[(six, Ready), (at(1), Ready)]), [at(1)], "a pod of both families counts once");
    assert_eq!(usable(&[(six, Ready), (at(1), Leaving)]), [six]);
    assert_eq!(usable(&[(at(1), Unready), (at(1), Ready)]), [at(1)], "two slices, of which one is late");
}

#[test]
fn an_endpoint_slice_is_cut_down_to_tcp_ports_and_first_addresses() {
    let object = serde_json::json!({
        "metadata": {"name": "web-x", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [
            {"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"},
            {"name": "none"}, {"port": 90}, {"name": "wrong", "port": 70000},
        ],
        "endpoints": [
            {"addresses": ["10.0.0.1", "10.0.0.9"], "conditions": {"ready": true}},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
            {"addresses": ["host.example.com"]}, {"addresses": []},
        ],
    });
    let read = |object| Slice::of(&serde_json::from_value(object).expect("a slice"));
    let slice = read(object).expect("it has a Service");
    assert_eq!((slice.port("http"), slice.port("dns"), slice.port("")), (Some(8080), None, Some(90)));
    assert_eq!((slice.port("none"), slice.port("wrong")), (None, None));
    assert_eq!(&*slice.addresses, [Address { ip: ip(1), readiness: Readiness::Ready }]);
    let homeless = serde_json::json!({"metadata": {"name": "x"}, "addressType": "IPv4", "endpoints": []});
    assert_eq!(read(homeless), None);
}

#[test]
fn pods_whose_named_port_has_another_number_are_in_one_pool() {
    let mut other = slice("b", &baseline(0), &[2]);
    other.ports = [("".into(), 9090)].into();
    let mut index = loaded(&table(&[0], &[]), [slice("a", &baseline(0), &[1]), other]);
    let snapshot = index.changed().expect("new");
    let pool = snapshot.choose(snapshot.port(PORTS.start).expect("routed"), None).pool;
    let ports: Vec<u16> = pool.endpoints.iter().map(|endpoint| endpoint.address.port()).collect();
    assert_eq!(ports, [8080, 9090]);
}

#[test]
fn a_table_that_no_agent_writes_is_refused() {
    let refused = |table: &RoutingTable| read(Some(&serde_json::to_string(table).expect("it can be written"))).is_err();
    let good = table(&[0, 1], &[(7, &[0, 99])]);
    assert!(!refused(&good), "a branch may name what is not routed");
    let change = |change: &dyn Fn(&mut BTreeMap<String, RoutedService>)| {
        let mut table = good.clone();
        change(&mut table.services);
        refused(&table)
    };
    let port = |services: &mut BTreeMap<String, RoutedService>, listen| {
        services.get_mut(&service(0)).expect("there").ports[0].listen = listen;
    };
    assert!(change(&|services| port(services, PORTS.start + 1)), "the other's");
    assert!(change(&|services| port(services, lapdev_api::route::ADMIN_PORT)));
    assert!(change(&|services| port(services, 0)));
    assert!(change(&|services| services.get_mut(&service(0)).expect("there").baseline = baseline(1)));
    assert!(matches!(read(None), Err(TableError::Missing)));
    assert!(matches!(read(Some("{")), Err(TableError::Json(_))));
    assert!(matches!(read(Some(r#"{"servedBy":true}"#)), Err(TableError::Json(_))));
    let illegal = r#"{"servedBy":true,"holdSeconds":1,"services":{},"branches":{"No Key":[]}}"#;
    assert!(matches!(read(Some(illegal)), Err(TableError::Json(_))));
}

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    Table(BTreeSet<usize>, BTreeMap<usize, BTreeSet<usize>>),
    Put(usize, Option<usize>, usize, BTreeSet<u32>),
    Remove(usize, Option<usize>, usize),
    /// A complete listing that lacks each slice whose number this divides.
    List(usize),
}

const SERVICES: usize = 3;
const BRANCHES: usize = 4;

fn step() -> impl Strategy<Value = Step> {
    let services = || prop::collection::btree_set(0..SERVICES, 0..=SERVICES);
    let slice = || (0..SERVICES, prop::option::of(0..BRANCHES), 0..2_usize);
    prop_oneof![
        2 => (services(), prop::collection::btree_map(0..BRANCHES, services(), 0..=BRANCHES))
            .prop_map(|(services, branches)| Step::Table(services, branches)),
        5 => (slice(), prop::collection::btree_set(0..20_u32, 0..4))
            .prop_map(|((of, branch, n), ready)| Step::Put(of, branch, n, ready)),
        2 => slice().prop_map(|(of, branch, n)| Step::Remove(of, branch, n)),
        1 => (1..4_usize).prop_map(Step::List),
    ]
}

/// The same in the simplest way: keep all, compute each answer when asked.
#[derive(Default)]
struct Model {
    services: BTreeSet<usize>,
    branches: BTreeMap<usize, BTreeSet<usize>>,
    slices: BTreeMap<String, Slice>,
}

impl Model {
    fn answers(&self, n: usize, branch: Option<usize>) -> (Vec<IpAddr>, bool) {
        let runs = branch.filter(|branch| self.branches.get(branch).is_some_and(|of| of.contains(&n)));
        let service = runs.map_or_else(|| baseline(n), |branch| own(n, branch));
        let slices = self.slices.values().filter(|slice| *slice.service == service);
        let all: BTreeSet<IpAddr> = slices.flat_map(|slice| slice.addresses.iter().map(|address| address.ip)).collect();
        (all.into_iter().collect(), runs.is_some())
    }
}

fn name_of(of: usize, branch: Option<usize>, n: usize) -> (String, String) {
    let service = branch.map_or_else(|| baseline(of), |branch| own(of, branch));
    (format!("{service}-{n}"), service)
}

fn apply(step: &Step, index: &mut Index, model: &mut Model, now: Instant) {
    match step {
        Step::Table(services, branches) => {
            let list: Vec<usize> = services.iter().copied().collect();
            let runs: Vec<(usize, Vec<usize>)> =
                branches.iter().map(|(key, of)| (*key, of.iter().copied().collect())).collect();
            let runs: Vec<(usize, &[usize])> = runs.iter().map(|(key, of)| (*key, of.as_slice())).collect();
            index.set_table("v", &table(&list, &runs), now);
            // What left the table is no longer of interest here.
            index.expire(now + LINGER);
            (model.services, model.branches) = (services.clone(), branches.clone());
            for of in model.branches.values_mut() {
                of.retain(|n| services.contains(n));
            }
        }
        Step::Put(of, branch, n, ready) => {
            let (name, service) = name_of(*of, *branch, *n);
            let slice = slice(&name, &service, &ready.iter().copied().collect::<Vec<_>>());
            model.slices.insert(name, slice.clone());
            index.put(slice);
        }
        Step::Remove(of, branch, n) => {
            // The model's baseline never vanishes as a whole: then the last endpoints would stay, another test's matter.
            let (name, service) = name_of(*of, *branch, *n);
            if branch.is_some() || model.slices.values().any(|s| *s.service == *service && *s.name != *name) {
                model.slices.remove(&name);
                index.remove(&name);
            }
        }
        Step::List(divisor) => {
            let lacking = |(at, slice): &(usize, &Slice)| at % divisor == 0 && slice.service.contains("feature");
            let gone: Vec<Arc<str>> =
                model.slices.values().enumerate().filter(lacking).map(|(_, slice)| slice.name.clone()).collect();
            model.slices.retain(|name, _| !gone.iter().any(|gone| **gone == **name));
            index.begin_listing();
            model.slices.values().cloned().for_each(|slice| index.put(slice));
            index.end_listing();
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_each_request_goes_where_the_model_says(steps in prop::collection::vec(step(), 1..40)) {
        let (mut index, mut model, now) = (Index::default(), Model::default(), Instant::now());
        let mut snapshot = Snapshot::default();
        let mut known: BTreeMap<SocketAddr, Arc<Endpoint>> = BTreeMap::new();
        for step in &steps {
            apply(step, &mut index, &mut model, now);
            snapshot = index.changed().unwrap_or(snapshot);
            let listens: BTreeSet<u16> = snapshot.listens().collect();
            let expected = model.services.iter().map(|n| PORTS.start + u16::try_from(*n).expect("few")).collect();
            prop_assert_eq!(listens, expected);
            for n in &model.services {
                for branch in [None].into_iter().chain((0..BRANCHES).map(Some)) {
                    prop_assert_eq!(answers(&snapshot, *n, branch), model.answers(*n, branch), "{:?}", step);
                }
                for branch in [None].into_iter().chain((0..BRANCHES).map(Some)) {
                    let target = snapshot.port(PORTS.start + u16::try_from(*n).expect("few")).expect("routed");
                    for endpoint in &snapshot.choose(target, branch.map(key).as_ref()).pool.endpoints {
                        let first = known.entry(endpoint.address).or_insert_with(|| endpoint.clone());
                        prop_assert!(Arc::ptr_eq(first, endpoint), "{} has two identities", endpoint.address);
                    }
                }
            }
        }
    }
}

#[test]
fn what_one_slice_or_branch_costs_hardly_depends_on_how_many_there_are() {
    // Work is counted by what is made anew, since times on a busy machine say little.
    let (few, many) = (made_anew(10), made_anew(2000));
    assert_eq!(few, 1, "one slice of one branch");
    assert_eq!(many, few);
}

/// How many branches are other objects after one slice changed, among so many.
fn made_anew(branches: usize) -> usize {
    let runs: Vec<(usize, &[usize])> = (0..branches).map(|n| (n, &[0, 1][..])).collect();
    let mut index = loaded(&table(&[0, 1], &runs), []);
    let before = index.changed().expect("new");
    index.put(slice("x", &own(1, 5), &[1]));
    let after = index.changed().expect("changed");
    let same = |branch: &&Arc<Branch>| before.branches().any(|old| Arc::ptr_eq(old, branch));
    branches - after.branches().filter(same).count()
}
