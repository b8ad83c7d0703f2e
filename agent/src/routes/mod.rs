//! What a base's namespace is routed by: the table that its routers read, put together from what each environment in the
//! namespace declares and from what stands in the cluster; what became of requests; and what explains both. Pure, but for
//! [`admin`], which asks the routers themselves.
//!
//! The table follows from bundles and objects alone, so an agent that knows nothing else writes the same one again. A Service
//! is in it before it is switched to the routers and until it was put back; a branch from when its Services stand until
//! before they go.

pub mod admin;
pub mod language;
pub mod mesh;
mod read;
mod since;
mod template;
mod token;
pub mod traffic;

pub use read::{RoutesError, Settings, declared, routed, services, settings};
pub use since::Since;
pub use token::{AdminKey, Token};

use crate::object::Marks;
use lapdev_api::{
    key::EnvironmentKey,
    labels::ROUTER_TOKEN,
    name::{Namespace, Uid, compose},
    route::{RoutedPort, RoutedService, RoutingTable, TABLE_KEY, TABLE_NAME},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The largest table, in bytes of JSON: a ConfigMap holds at most 1 MiB.
pub const MAX_TABLE: usize = 900 << 10;
/// Annotation on the table's ConfigMap: [`Since`] as JSON.
const ROUTED_SINCE: &str = "lapdev.dev/routed-since";

/// What the environments of one namespace bring to its table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contributions {
    /// The environment that the namespace belongs to, if it is held.
    pub base: Option<Base>,
    /// Each living branch.
    pub branches: BTreeMap<Uid, Branch>,
}

/// What a base brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The labels of its objects, the table among them.
    pub marks: Marks,
    /// How its routers should behave.
    pub settings: Settings,
    /// The Services that should be routed.
    pub desired: BTreeMap<String, RoutedService>,
    /// Each of its Services in the cluster, and how it is routed now, if it is.
    pub standing: BTreeMap<String, Option<RoutedService>>,
    /// Router ports that a Service left a moment ago: there are nodes which still send its requests there.
    pub resting: BTreeMap<u16, String>,
}

/// What a branch brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Its key.
    pub key: EnvironmentKey,
    /// Those of its Services that stand in the cluster, by their own names.
    pub services: BTreeSet<String>,
}

impl Contributions {
    /// The table; none where nothing is routed.
    #[must_use]
    pub fn table(&self) -> Option<RoutingTable> {
        let base = self.base.as_ref()?;
        let services = base.routed();
        if services.is_empty() {
            return None;
        }
        let mut branches: BTreeMap<EnvironmentKey, BTreeSet<String>> = BTreeMap::new();
        for branch in self.branches.values() {
            let own: BTreeSet<_> = branch.routed(&services).cloned().collect();
            if !own.is_empty() {
                branches.entry(branch.key.clone()).or_default().extend(own);
            }
        }
        let Settings { served_by, hold_seconds } = base.settings;
        Some(RoutingTable { served_by, hold_seconds, services, branches })
    }
}

impl Base {
    /// What is routed or about to be, and what still is though it should not be. A router port stays with the Service that
    /// uses it until that has moved: all its requests would reach the other one.
    #[must_use]
    pub fn routed(&self) -> BTreeMap<String, RoutedService> {
        let users = self.users();
        let may_have = |name: &str, port: &RoutedPort| users.get(&port.listen).is_none_or(|user| *user == name);
        let mut all = self.desired.clone();
        for (name, service) in &mut all {
            service.ports.retain(|port| may_have(name, port));
        }
        for (name, standing) in self.standing.iter().filter_map(|(name, routed)| Some((name, routed.as_ref()?))) {
            let entry = all.entry(name.clone()).or_insert_with(|| RoutedService { ports: vec![], ..standing.clone() });
            let known: BTreeSet<u16> = listens(entry).collect();
            let left = standing.ports.iter().filter(|port| may_have(name, port) && !known.contains(&port.listen));
            entry.ports.extend(left.cloned());
        }
        all.retain(|_, service| !service.ports.is_empty());
        all
    }

    /// The Services that have to be switched to router ports that they do not use yet: those that stand in the cluster,
    /// and new ones that have to wait for a port.
    #[must_use]
    pub fn to_switch(&self) -> BTreeMap<&str, BTreeSet<u16>> {
        let users = self.users();
        let switches = self.desired.iter().filter_map(|(name, desired)| {
            let wanted: BTreeSet<u16> = listens(desired).collect();
            let standing: BTreeSet<u16> = match self.standing.get(name) {
                Some(standing) => standing.iter().flat_map(listens).collect(),
                None if other_user(&users, name, &wanted).is_none() => return None,
                None => BTreeSet::new(),
            };
            (!wanted.is_subset(&standing)).then_some((name.as_str(), wanted))
        });
        switches.collect()
    }

    /// The Service that still uses a router port that this one should have.
    #[must_use]
    pub fn waits_for(&self, name: &str) -> Option<&str> {
        let wanted = self.desired.get(name).map(|desired| listens(desired).collect()).unwrap_or_default();
        other_user(&self.users(), name, &wanted)
    }

    /// Which Service uses each router port, as far as each node knows.
    fn users(&self) -> BTreeMap<u16, &str> {
        let mut users = BTreeMap::new();
        for (name, standing) in &self.standing {
            for port in standing.iter().flat_map(listens) {
                users.entry(port).or_insert(name.as_str());
            }
        }
        for (port, name) in &self.resting {
            users.entry(*port).or_insert(name.as_str());
        }
        users
    }
}

fn other_user<'a>(users: &BTreeMap<u16, &'a str>, name: &str, wanted: &BTreeSet<u16>) -> Option<&'a str> {
    wanted.iter().find_map(|port| users.get(port).copied().filter(|user| *user != name))
}

impl Branch {
    /// The routed Services that it has pods of its own behind.
    pub fn routed<'a>(&self, services: &'a BTreeMap<String, RoutedService>) -> impl Iterator<Item = &'a String> {
        services.keys().filter(|name| self.services.contains(&compose(name, self.key.as_str())))
    }
}

fn listens(service: &RoutedService) -> impl Iterator<Item = u16> {
    service.ports.iter().map(|port| port.listen)
}

/// The table as its ConfigMap, for server-side apply. Of no ApplySet: nothing that prunes a set takes it.
#[must_use]
pub fn render(namespace: &Namespace, marks: &Marks, table: &str, since: &Since, token: &Token) -> Value {
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": TABLE_NAME,
            "namespace": namespace,
            "annotations": { (ROUTED_SINCE): since.to_string(), (ROUTER_TOKEN): token.digest() },
        },
        "data": { (TABLE_KEY): table },
    });
    marks.stamp(&mut object, None);
    object
}

/// What [`render`] wrote into a ConfigMap: the table's JSON, and since when its Services are routed.
#[must_use]
pub fn read_back(object: &Value) -> (Option<&str>, Since) {
    let table = object.get("data").and_then(|data| data.get(TABLE_KEY)).and_then(Value::as_str);
    let annotations = object.pointer("/metadata/annotations");
    let since = annotations.and_then(|all| all.get(ROUTED_SINCE)).and_then(Value::as_str);
    (table, since.map(Since::from_json).unwrap_or_default())
}

/// The table's JSON.
///
/// # Errors
/// When it does not fit into a ConfigMap.
pub fn encode(table: &RoutingTable) -> Result<String, RoutesError> {
    let json = serde_json::to_string(table).expect("a table has only string keys");
    match json.len() {
        bytes if bytes > MAX_TABLE => Err(RoutesError::TooLarge { bytes, branches: table.branches.len() }),
        _ => Ok(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapdev_api::route::router_ports;

    fn service(name: &str, listen: u16) -> RoutedService {
        let port = RoutedPort { name: "http".into(), port: 80, listen, app_protocol: None };
        RoutedService { baseline: compose(name, "baseline"), ports: vec![port], affinity_seconds: None }
    }

    fn base(desired: &[(&str, u16)], standing: &[(&str, Option<u16>)]) -> Base {
        let standing =
            standing.iter().map(|(name, listen)| ((*name).to_owned(), listen.map(|listen| service(name, listen))));
        Base {
            marks: Marks {
                control_plane: "aaaaaaaaaaaaaaaa".parse().expect("legal"),
                uid: "bbbbbbbbbbbbbbbb".parse().expect("legal"),
            },
            settings: Settings { served_by: true, hold_seconds: 10 },
            desired: desired.iter().map(|(name, listen)| ((*name).to_owned(), service(name, *listen))).collect(),
            standing: standing.collect(),
            resting: BTreeMap::new(),
        }
    }

    fn branch(key: &str, services: &[&str]) -> Branch {
        Branch { key: key.parse().expect("legal"), services: services.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn with(base: Base, branches: Vec<Branch>) -> Contributions {
        let branches = branches.into_iter().enumerate().map(|(number, branch)| {
            let uid = format!("{}{}", "c".repeat(15), char::from(b'a' + u8::try_from(number).expect("few")));
            (uid.parse().expect("legal"), branch)
        });
        Contributions { base: Some(base), branches: branches.collect() }
    }

    #[test]
    fn a_branch_is_in_the_table_for_the_routed_services_that_it_runs() {
        let base = base(&[("web", 11_000), ("cart", 11_001)], &[]);
        let all = with(
            base,
            vec![
                branch("x-abc234", &["web--x-abc234", "db--x-abc234"]),
                branch("y-abc234", &["new--y-abc234"]),
                branch("z-abc234", &[]),
            ],
        );
        let table = all.table().expect("two are routed");
        assert_eq!(table.services.keys().collect::<Vec<_>>(), ["cart", "web"]);
        let branches: Vec<_> = table.branches.iter().map(|(key, own)| (key.as_str(), own.len())).collect();
        assert_eq!(branches, [("x-abc234", 1)], "who runs nothing that is routed changes nothing for anybody");
        assert_eq!((table.served_by, table.hold_seconds), (true, 10));
    }

    #[test]
    fn where_nothing_is_routed_there_is_no_table() {
        assert_eq!(Contributions::default().table(), None);
        assert_eq!(with(base(&[], &[("web", None)]), vec![branch("x-abc234", &["web--x-abc234"])]).table(), None);
    }

    #[test]
    fn what_still_is_routed_stays_in_the_table_until_it_was_put_back() {
        let put_back = base(&[("web", 11_000)], &[("web", Some(11_000)), ("cart", Some(11_001))]);
        assert_eq!(put_back.routed().keys().collect::<Vec<_>>(), ["cart", "web"]);
        assert!(put_back.to_switch().is_empty());
        let moved = base(&[("web", 11_002)], &[("web", Some(11_000))]);
        let routed = moved.routed();
        assert_eq!(listens(&routed["web"]).collect::<Vec<_>>(), [11_002, 11_000], "both are listened on meanwhile");
        assert_eq!(moved.to_switch(), BTreeMap::from([("web", BTreeSet::from([11_002]))]));
    }

    #[test]
    fn a_router_port_stays_with_the_service_that_uses_it_until_that_has_moved_and_whoever_should_have_it_waits() {
        let ports = |base: &Base| -> BTreeMap<String, Vec<u16>> {
            base.routed().iter().map(|(name, service)| (name.clone(), listens(service).collect())).collect()
        };
        let table = |all: &[(&str, &[u16])]| -> BTreeMap<String, Vec<u16>> {
            all.iter().map(|(name, ports)| ((*name).to_owned(), ports.to_vec())).collect()
        };
        let desired = [("cart", 11_003), ("new", 11_002)];
        // The new Service's port is the one that `cart` has, and moves away from.
        let before = base(&desired, &[("cart", Some(11_002))]);
        assert_eq!(ports(&before), table(&[("cart", &[11_003, 11_002])]));
        assert_eq!(before.to_switch().into_keys().collect::<Vec<_>>(), ["cart", "new"]);
        assert_eq!((before.waits_for("new"), before.waits_for("cart")), (Some("cart"), None));
        let moved = base(&desired, &[("cart", Some(11_003))]);
        assert_eq!(ports(&moved), table(&[("cart", &[11_003]), ("new", &[11_002])]));
        assert!(moved.to_switch().is_empty() && moved.waits_for("new").is_none(), "it is only made");
        // One that stands already waits in the same way, also for one that is put back.
        let back = base(&[("web", 11_002)], &[("web", Some(11_000)), ("cart", Some(11_002))]);
        assert_eq!(ports(&back), table(&[("cart", &[11_002]), ("web", &[11_000])]));
        assert_eq!((back.to_switch().len(), back.waits_for("web")), (1, Some("cart")));
    }

    #[test]
    fn only_what_stands_unrouted_has_to_be_switched() {
        let base =
            base(&[("web", 11_000), ("cart", 11_001), ("new", 11_002)], &[("web", None), ("cart", Some(11_001))]);
        assert_eq!(base.to_switch().keys().copied().collect::<Vec<_>>(), ["web"]);
    }

    #[test]
    fn a_thousand_branches_of_ten_services_fit_and_far_too_many_are_an_error() {
        let names: Vec<String> = (0..10).map(|n| format!("recommendationservice-{n}")).collect();
        let ports = router_ports(names.iter().map(|name| (name.as_str(), 80)));
        let desired: Vec<_> = names.iter().map(|name| (name.as_str(), ports[&(name.as_str(), 80)])).collect();
        let table = |branches: usize| {
            let mut all = Contributions { base: Some(base(&desired, &[])), branches: BTreeMap::new() };
            for number in 0..branches {
                let key: EnvironmentKey = format!("feature-{number:08}-abc234").parse().expect("legal");
                let services = names.iter().map(|name| compose(name, key.as_str())).collect();
                let digits: String =
                    format!("{number:016}").bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
                all.branches.insert(digits.parse().expect("legal"), Branch { key, services });
            }
            encode(&all.table().expect("routed"))
        };
        let thousand = table(1000).expect("it fits");
        assert!(thousand.len() < 400 << 10, "{}", thousand.len());
        let error = table(4000).expect_err("too many");
        assert!(error.to_string().contains("4000 branches"), "{error}");
    }

    #[test]
    fn what_was_written_is_read_back() {
        let base = base(&[("web", 11_000)], &[]);
        let mut since = Since::default();
        since.follow(&with(base.clone(), vec![]), "2026-11-21T10:00:00Z".parse().expect("a time"));
        let json = encode(&with(base.clone(), vec![]).table().expect("routed")).expect("small");
        let namespace: Namespace = "env-staging".parse().expect("legal");
        let token = AdminKey::from_secret(b"x").token(&namespace);
        let object = render(&namespace, &base.marks, &json, &since, &token);
        assert_eq!(object["metadata"]["annotations"][ROUTER_TOKEN], token.digest());
        assert_eq!(read_back(&object), (Some(json.as_str()), since));
        assert_eq!(object["metadata"]["labels"]["lapdev.dev/environment"], "bbbbbbbbbbbbbbbb");
        assert!(object["metadata"]["labels"].get("applyset.kubernetes.io/part-of").is_none());
    }
}
