//! `lapdev trace`: sends a probe with a branch's key through its services, and has the routers tell which hops it took.

use super::Core;
use crate::{
    registry::Environment,
    routes::{
        Contributions,
        admin::{self, Router},
        language,
    },
    tunnel::{TraceRefused, probe},
};
use lapdev_api::{
    bundle::{Bundle, DialTarget},
    key::EnvironmentKey,
    kinds::Port,
    name::{Namespace, Uid},
    route::{self, Hop, Probe, RoutedPort, TraceReport, TraceRequest},
    words::error_chain,
};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long routers note hops: longer than everything that follows.
const ARMED: u32 = 20;
/// A router knows only which stations its own hops went to, so the probe goes out several times, on connections of their
/// own, to come by each of them.
const TIMES: usize = 4;
/// For all of them together.
const PATIENCE: Duration = Duration::from_secs(10);
/// Until what the probe set off has been noted too.
const SETTLE: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(200);

/// A probe with everything before and after it takes no longer.
const LONGEST: Duration = Duration::from_secs(20);

/// The namespaces with a probe under way, and since when: their routers know one at a time, and a second would break it.
#[derive(Debug, Default)]
pub(super) struct Probing(Mutex<BTreeMap<Namespace, Instant>>);

/// A probe's turn in a namespace; its end is the turn's.
#[derive(Debug)]
struct Turn<'a> {
    probing: &'a Probing,
    namespace: &'a Namespace,
}

impl Probing {
    fn begin<'a>(&'a self, namespace: &'a Namespace, now: Instant) -> Result<Turn<'a>, TraceRefused> {
        match self.lock().entry(namespace.clone()) {
            Entry::Vacant(free) => drop(free.insert(now)),
            Entry::Occupied(begun) => {
                let left = LONGEST.saturating_sub(now.saturating_duration_since(*begun.get()));
                return Err(TraceRefused::Busy { namespace: namespace.clone(), seconds: left.as_secs().max(1) });
            }
        }
        Ok(Turn { probing: self, namespace })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Namespace, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.probing.lock().remove(self.namespace);
    }
}

/// Where a probe begins.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Beginning {
    target: DialTarget,
    /// Whether the port speaks HTTP/2 alone.
    http2: bool,
}

impl Core {
    /// Sends a probe; no second one through the same routers meanwhile.
    pub(super) async fn send_probe(&self, request: &TraceRequest) -> Result<TraceReport, TraceRefused> {
        let (held, key) = self.traced(&request.uid)?;
        let beginning = self.beginning(&held, request.service.as_deref())?;
        let _turn = self.probing.begin(&held.namespace, Instant::now())?;
        let address =
            self.lookup(&beginning.target).await.map_err(|error| TraceRefused::Unavailable(error.to_string()))?;
        let (trace_id, service) = (random_hex(2), beginning.target.service.clone());
        let routers = self.ready_routers(&held.namespace);
        let armed = arm(&routers, &trace_id, &key).await;
        let parent = format!("00-{trace_id}-{}-01", random_hex(1));
        let sent =
            probe::Sent { path: &request.path, host: &service, parent: &parent, key: &key, http2: beginning.http2 };
        let answer = probe::send(address, &sent, TIMES, PATIENCE).await;
        let hops = settled(&armed).await;
        let (status, error) = match answer {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(error_chain(&error))),
        };
        let languages = self.languages(&held, &hops);
        let routers = u32::try_from(armed.len()).unwrap_or(u32::MAX);
        Ok(TraceReport { trace_id, key, service, status, error, hops, languages, routers })
    }

    fn traced(&self, uid: &Uid) -> Result<(Environment, EnvironmentKey), TraceRefused> {
        let held = self.registry().get(uid).filter(|held| held.end.is_none()).cloned();
        let held = held.ok_or_else(|| TraceRefused::NotAllowed(format!("environment {uid} is not held here")))?;
        let branch = held.identity.branch.as_ref();
        let key = branch.map(|branch| branch.key.clone());
        let key =
            key.ok_or_else(|| TraceRefused::NotAllowed(format!("environment {uid} is no Branch: it has no key")))?;
        Ok((held, key))
    }

    /// The Service to begin at, if it may be dialled at all.
    fn beginning(&self, held: &Environment, service: Option<&str>) -> Result<Beginning, TraceRefused> {
        let previews = self.previews_in(held);
        self.with_routing(&held.namespace, |all, _| begin(held, all, &previews, service))
    }

    /// What bundles in the environment's namespace declare as previews: its own first.
    fn previews_in(&self, held: &Environment) -> Vec<DialTarget> {
        let registry = self.registry();
        let living = registry.iter().filter(|(_, other)| other.namespace == held.namespace && other.end.is_none());
        let own = |other: &Environment| other.identity.uid == held.identity.uid;
        let (first, others): (Vec<_>, Vec<_>) = living.map(|(_, other)| other).partition(|other| own(other));
        let bundles = first.into_iter().chain(others).filter_map(|other| other.bundle.as_ref());
        bundles.flat_map(|content| content.bundle.previews.iter().cloned()).collect()
    }

    /// The languages of the workloads that the hops went to or came from, by Service.
    fn languages(&self, held: &Environment, hops: &[Hop]) -> BTreeMap<String, String> {
        let stations = hops.iter().flat_map(|hop| hop.from.iter().chain([&hop.to]));
        let services: BTreeSet<&str> = stations.map(|station| station.service.as_str()).collect();
        let base = self.base_bundle(held);
        self.with_routing(&held.namespace, |all, _| {
            let routed = all.base.as_ref().map(|base| &base.desired);
            let told = services.into_iter().filter_map(|service| {
                let language = language::of_service(&base.as_ref()?.bundle, routed?.get(service)?)?;
                Some((service.to_owned(), language.to_owned()))
            });
            told.collect()
        })
    }

    fn base_bundle(&self, held: &Environment) -> Option<std::sync::Arc<crate::registry::HeldBundle>> {
        let registry = self.registry();
        let base =
            registry.iter().find(|(_, other)| other.namespace == held.namespace && other.identity.branch.is_none());
        base.and_then(|(_, base)| base.bundle.clone())
    }
}

/// Pure: a routed Service of the base by its best port, else what a preview declares.
fn begin(
    held: &Environment,
    all: &Contributions,
    previews: &[DialTarget],
    service: Option<&str>,
) -> Result<Beginning, TraceRefused> {
    let own = held.bundle.as_ref().and_then(|content| first_preview(&content.bundle));
    let service = match service {
        Some(service) => service,
        None => own
            .or(previews.first())
            .map(|preview| preview.service.as_str())
            .ok_or_else(|| TraceRefused::NotAllowed("it has no preview to begin at; name a Service".to_owned()))?,
    };
    let declared = previews.iter().find(|preview| preview.service == service).cloned();
    let routed = all.base.as_ref().and_then(|base| base.desired.get(service));
    let port = routed.and_then(|routed| match &declared {
        Some(DialTarget { port, .. }) => routed.ports.iter().find(|known| is(known, port)),
        None => routed.ports.iter().min_by_key(|port| rank(port)),
    });
    let namespace = held.namespace.clone();
    let by_port =
        |port: &RoutedPort| DialTarget { namespace, service: service.to_owned(), port: Port::Number(port.port) };
    let http2 = port.is_some_and(|port| rank(port) == HTTP2);
    let target = declared.or_else(|| port.map(by_port));
    target.map(|target| Beginning { target, http2 }).ok_or_else(|| {
        let why = "is neither routed in the base's namespace nor declared as a preview";
        TraceRefused::NotAllowed(format!("Service {service} {why}"))
    })
}

fn first_preview(bundle: &Bundle) -> Option<&DialTarget> {
    bundle.previews.first()
}

fn is(known: &RoutedPort, port: &Port) -> bool {
    match port {
        Port::Number(number) => known.port == *number,
        Port::Name(name) => known.name == *name,
    }
}

/// The rank of a port that speaks HTTP/2 alone, as far as its names tell.
const HTTP2: u8 = 3;

/// Which port a GET is most likely understood on.
fn rank(port: &RoutedPort) -> u8 {
    let says =
        |word: &str| port.name.contains(word) || port.app_protocol.as_deref().is_some_and(|of| of.contains(word));
    match port.port {
        _ if says("grpc") || says("h2c") => HTTP2,
        _ if says("http") => 0,
        80 | 8080 => 1,
        _ => 2,
    }
}

/// Arms the routers. Returns those that note hops now.
async fn arm(routers: &[Router], trace_id: &str, key: &EnvironmentKey) -> Vec<Router> {
    let probe = Probe { trace_id: trace_id.to_owned(), key: key.clone(), seconds: ARMED };
    let probe = &probe;
    let armed = admin::all(routers, |router| async move {
        admin::put(router.clone(), route::admin::PROBE, probe).await.map(|()| router)
    });
    let log =
        |error: &admin::AdminError| tracing::warn!(error = error_chain(error), "a router takes no part in a probe");
    armed.await.into_iter().filter_map(|armed| armed.inspect_err(log).ok()).collect()
}

/// The hops that all routers noted, in the order of time, once two looks agree.
async fn settled(routers: &[Router]) -> Vec<Hop> {
    let (begun, mut before) = (Instant::now(), None);
    loop {
        let noted = admin::all(routers, |router| admin::get::<Vec<Hop>>(router, route::admin::PROBE)).await;
        let mut hops: Vec<Hop> = noted.into_iter().filter_map(Result::ok).flatten().collect();
        hops.sort_by_key(|hop| hop.at);
        if before.as_ref() == Some(&hops) || begun.elapsed() >= SETTLE {
            return hops;
        }
        before = Some(hops);
        tokio::time::sleep(AGAIN).await;
    }
}

/// So many times eight random bytes; the standard library's hash keys are random enough to tell traces apart.
fn random_hex(words: usize) -> String {
    // All zeros is no legal id.
    (0..words).map(|_| format!("{:016x}", RandomState::new().hash_one(0).max(1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        applyset::Version,
        fixture,
        object::Marks,
        registry::HeldBundle,
        routes::{Base, Settings},
    };
    use lapdev_api::{digest::Digest, name::Generation, route::RoutedService};
    use std::sync::Arc;

    fn port(name: &str, number: u16) -> RoutedPort {
        RoutedPort { name: name.into(), port: number, listen: 11_000 + number, app_protocol: None }
    }

    fn target(service: &str, port: Port) -> DialTarget {
        DialTarget { namespace: "n".parse().expect("legal"), service: service.into(), port }
    }

    fn held(previews: Vec<DialTarget>) -> Environment {
        let mut bundle = fixture::bundle(vec![]);
        bundle.previews = previews;
        Environment {
            identity: bundle.environment.clone(),
            namespace: "n".parse().expect("legal"),
            accepted: Version { generation: Generation(1), digest: Digest::of(b"") },
            bundle: Some(Arc::new(HeldBundle { bytes: vec![], bundle })),
            expires_at: None,
            applied: None,
            end: None,
        }
    }

    fn routed(name: &str, ports: Vec<RoutedPort>) -> Contributions {
        let service = RoutedService { baseline: format!("{name}--baseline"), ports, affinity_seconds: None };
        let marks = Marks {
            control_plane: "aaaaaaaaaaaaaaaa".parse().expect("legal"),
            uid: "bbbbbbbbbbbbbbbb".parse().expect("legal"),
        };
        let desired = [(name.to_owned(), service)].into();
        let base =
            Base { marks, settings: Settings::default(), desired, standing: BTreeMap::new(), resting: BTreeMap::new() };
        Contributions { base: Some(base), branches: BTreeMap::new() }
    }

    #[test]
    fn a_probe_begins_at_what_is_routed_or_declared_and_nowhere_else() {
        let all = routed("web", vec![port("grpc", 9000), port("metrics", 9100), port("http", 80)]);
        let begin = |previews: Vec<DialTarget>, service: Option<&str>| {
            begin(&held(previews.clone()), &all, &previews, service)
                .map(|beginning| (beginning.target, beginning.http2))
        };
        assert_eq!(begin(vec![], Some("web")), Ok((target("web", Port::Number(80)), false)));
        let declared = target("web", Port::Name("grpc".into()));
        assert_eq!(begin(vec![declared.clone()], Some("web")), Ok((declared, true)));
        let new = target("new--x-abc234", Port::Number(80));
        assert_eq!(begin(vec![new.clone()], None), Ok((new, false)), "its first preview");
        for refused in [begin(vec![], Some("db")), begin(vec![], None)] {
            assert!(matches!(refused, Err(TraceRefused::NotAllowed(_))), "{refused:?}");
        }
    }

    #[test]
    fn a_second_probe_through_the_same_routers_is_told_when_to_come_again() {
        let (probing, begun) = (Probing::default(), Instant::now());
        let (shop, other): (Namespace, Namespace) = ("shop".parse().expect("legal"), "other".parse().expect("legal"));
        let first = probing.begin(&shop, begun).expect("nobody else");
        let refused = probing.begin(&shop, begun + Duration::from_secs(8)).expect_err("one at a time");
        let expected = "another probe is on its way through the services of shop; try again in 12 s";
        assert_eq!(refused.to_string(), expected);
        assert!(
            probing.begin(&shop, begun + Duration::from_secs(99)).expect_err("still").to_string().contains("in 1 s")
        );
        drop(probing.begin(&other, begun).expect("routers of its own"));
        drop(first);
        assert!(probing.begin(&shop, begun).is_ok());
    }

    #[test]
    fn ids_are_of_the_length_that_w3c_says_and_differ() {
        assert_eq!((random_hex(2).len(), random_hex(1).len()), (32, 16));
        assert_ne!(random_hex(2), random_hex(2));
    }
}
