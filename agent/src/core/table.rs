//! What is known of each namespace's routing table: what its environments contribute, what follows from that, and what was
//! last written. Remembers and computes; `routes` beside it reads and writes the cluster.

use crate::{
    drift::Fingerprint,
    object::{Marks, annotation},
    observe::Observed,
    registry::Environment,
    routes::{self, Base, Branch, Contributions, MAX_TABLE, RoutesError, Settings, Since},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lapdev_api::{
    digest::Digest,
    kinds::EnvironmentType,
    labels,
    name::{ControlPlaneId, Namespace, Uid},
    route::RoutedService,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long nodes may go on by what a Service was before: kube-proxy takes a second, or some where there are thousands.
const REST: Duration = Duration::from_secs(10);

/// The tables, by namespace.
#[derive(Default)]
pub(super) struct Tables(Mutex<HashMap<Namespace, Arc<Table>>>);

/// One namespace's.
#[derive(Default)]
pub(super) struct Table {
    /// Held while the cluster's is read or written.
    pub(super) turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// Whether what every environment contributes was read.
    pub(super) complete: bool,
    pub(super) all: Contributions,
    pub(super) since: Since,
    /// Until when each router port that a Service left is nobody else's.
    pub(super) resting: BTreeMap<u16, (String, Instant)>,
    /// What the table should be; none where nothing is routed.
    pub(super) content: Option<Content>,
    pub(super) written: Option<Written>,
}

/// A table to be written.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) json: Arc<str>,
    /// Of the JSON, and of since when its Services are routed.
    pub(super) digest: Digest,
}

/// What stands in the cluster.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) digest: Digest,
    /// Of the token by which routers know their agent.
    pub(super) token: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) fingerprint: Fingerprint,
    pub(super) version: Option<String>,
}

/// What one environment contributes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Contribution {
    Base(Base),
    Branch(Branch),
    Nothing,
}

/// What an environment contributes, given its Services in the cluster. Pure.
pub(super) fn contribution(
    held: &Environment,
    control_plane: &ControlPlaneId,
    standing: &BTreeMap<String, ObjectMeta>,
    settings: Settings,
) -> Result<Contribution, RoutesError> {
    let bundle = held.bundle.as_ref().map(|content| &content.bundle);
    if let Some(branch) = &held.identity.branch {
        if held.end.is_some() {
            return Ok(Contribution::Nothing);
        }
        let wanted = |name: &&String| bundle.is_none_or(|bundle| routes::services(bundle).any(|(own, _)| own == *name));
        let services = standing.keys().filter(wanted).cloned().collect();
        return Ok(Contribution::Branch(Branch { key: branch.key.clone(), services }));
    }
    if held.identity.environment_type == EnvironmentType::Branch {
        return Ok(Contribution::Nothing);
    }
    let standing: BTreeMap<String, Option<RoutedService>> =
        standing.iter().map(|(name, metadata)| (name.clone(), routes::routed(metadata))).collect();
    let (desired, settings) = match bundle {
        _ if held.end.is_some() => (BTreeMap::new(), settings),
        Some(bundle) => (routes::declared(bundle)?, routes::settings(bundle)),
        // Without its bytes it stays as it is.
        None => {
            let routed = standing.iter().filter_map(|(name, routed)| Some((name.clone(), routed.clone()?)));
            (routed.collect(), settings)
        }
    };
    let marks = Marks { control_plane: control_plane.clone(), uid: held.identity.uid.clone() };
    Ok(Contribution::Base(Base { marks, settings, desired, standing, resting: BTreeMap::new() }))
}

/// What became of the ConfigMap between two writes of ours.
pub(super) fn drift(before: &Written, seen: Option<&Observed>, now: &Written) -> Option<&'static str> {
    match seen {
        _ if before.uid != now.uid => Some("was gone"),
        Some(seen) if seen.fingerprint != before.fingerprint => Some("had changed"),
        _ => None,
    }
}

impl Tables {
    pub(super) fn of(&self, namespace: &Namespace) -> Arc<Table> {
        self.lock().entry(namespace.clone()).or_default().clone()
    }

    /// Forgets all: another control plane's environments are looked after now.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// A namespace is gone.
    pub(super) fn forget(&self, namespace: &Namespace) {
        self.lock().remove(namespace);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Namespace, Arc<Table>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes over what an environment contributes now. Returns the others that have something new to say because of it.
    ///
    /// # Errors
    /// When the table would not fit; then it stays as it was, so that what is in it goes on being routed.
    pub(super) fn take(&mut self, uid: &Uid, contribution: Contribution) -> Result<BTreeSet<Uid>, RoutesError> {
        let contribution = match contribution {
            Contribution::Base(base) => Contribution::Base(self.rest(base, Instant::now())),
            other => other,
        };
        let since = self.since.clone();
        let before = self.put(uid, contribution);
        let same = self.contributed(uid) == before;
        self.since.follow(&self.all, next_second());
        if same && since == self.since {
            return Ok(BTreeSet::new());
        }
        if let Err(error) = self.encode() {
            self.put(uid, before);
            self.since = since;
            return Err(error);
        }
        let concerns_all = since != self.since;
        Ok(self.all.branches.keys().filter(|other| concerns_all && *other != uid).cloned().collect())
    }

    /// Has the router ports that Services just left rest for a while before another one may have them.
    fn rest(&mut self, base: Base, now: Instant) -> Base {
        self.resting.retain(|_, (_, until)| *until > now);
        let listens = |name: &str, port| {
            let standing = base.standing.get(name).and_then(Option::as_ref);
            standing.is_some_and(|standing| standing.ports.iter().any(|own| own.listen == port))
        };
        for (name, before) in self.all.base.iter().flat_map(|before| &before.standing) {
            let left = before.iter().flat_map(|before| &before.ports).filter(|port| !listens(name, port.listen));
            for port in left {
                self.resting.entry(port.listen).or_insert_with(|| (name.clone(), now + REST));
            }
        }
        let resting = self.resting.iter().map(|(port, (name, _))| (*port, name.clone()));
        Base { resting: resting.collect(), ..base }
    }

    /// Returns what was there before.
    pub(super) fn put(&mut self, uid: &Uid, contribution: Contribution) -> Contribution {
        match contribution {
            Contribution::Base(base) => self.all.base.replace(base).map_or(Contribution::Nothing, Contribution::Base),
            Contribution::Branch(branch) => {
                let before = self.all.branches.insert(uid.clone(), branch);
                before.map_or(Contribution::Nothing, Contribution::Branch)
            }
            Contribution::Nothing if self.all.base.as_ref().is_some_and(|base| base.marks.uid == *uid) => {
                self.all.base.take().map_or(Contribution::Nothing, Contribution::Base)
            }
            Contribution::Nothing => self.all.branches.remove(uid).map_or(Contribution::Nothing, Contribution::Branch),
        }
    }

    /// What an environment contributes now.
    fn contributed(&self, uid: &Uid) -> Contribution {
        let base = self.all.base.as_ref().filter(|base| base.marks.uid == *uid).cloned();
        let branch = || self.all.branches.get(uid).cloned().map_or(Contribution::Nothing, Contribution::Branch);
        base.map_or_else(branch, Contribution::Base)
    }

    /// # Errors
    /// When it does not fit.
    fn encode(&mut self) -> Result<(), RoutesError> {
        let json = self.all.table().map(|table| routes::encode(&table)).transpose()?;
        let since = &self.since;
        self.content = json.map(|json| Content { digest: digest(&json, since), json: json.into() });
        Ok(())
    }

    /// Leaves out branches until the table fits: their own passes say that they are.
    pub(super) fn fit(&mut self) -> Vec<Uid> {
        let mut dropped = Vec::new();
        while let Err(RoutesError::TooLarge { bytes, branches }) = self.encode() {
            // As many as are too many if all are of a size; never none, and never more than there are.
            let surplus = branches.saturating_sub(branches * MAX_TABLE / bytes).max(1);
            let before = dropped.len();
            dropped.extend(std::iter::from_fn(|| self.all.branches.pop_last()).take(surplus).map(|(uid, _)| uid));
            if dropped.len() == before {
                break;
            }
        }
        dropped
    }
}

impl Written {
    pub(super) fn of(metadata: &ObjectMeta, digest: Digest) -> Self {
        Self {
            digest,
            token: annotation(metadata, labels::ROUTER_TOKEN).map(str::to_owned),
            uid: metadata.uid.clone(),
            fingerprint: Fingerprint::of(metadata),
            version: metadata.resource_version.clone(),
        }
    }
}

/// What happens now has happened by then.
fn next_second() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second() + 1).unwrap_or(now)
}

pub(super) fn digest(content: &str, since: &Since) -> Digest {
    Digest::of(format!("{content}\n{since}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapdev_api::{key::EnvironmentKey, name::compose, route::RoutedPort};

    fn uid(number: usize) -> Uid {
        let digits = format!("{number:016}").bytes().map(|digit| char::from(digit - b'0' + b'a')).collect::<String>();
        digits.parse().expect("legal")
    }

    /// The names of a hundred routed Services.
    fn names() -> Vec<String> {
        (0..100).map(|number| format!("{}{number}", "s".repeat(35))).collect()
    }

    /// A table with them, and no branch yet.
    fn state() -> State {
        let service = |name| {
            let port = RoutedPort { name: String::new(), port: 80, listen: 11_000, app_protocol: None };
            (name, RoutedService { baseline: "b".into(), ports: vec![port], affinity_seconds: None })
        };
        let marks = Marks { control_plane: "aaaaaaaaaaaaaaaa".parse().expect("legal"), uid: uid(0) };
        let desired = names().into_iter().map(service).collect();
        let base =
            Base { marks, settings: Settings::default(), desired, standing: BTreeMap::new(), resting: BTreeMap::new() };
        let mut state = State::default();
        state.take(&uid(0), Contribution::Base(base)).expect("it fits");
        state
    }

    /// A branch that runs all of them.
    fn branch(number: usize) -> Contribution {
        let key: EnvironmentKey = format!("b{number:08}-abc234").parse().expect("legal");
        let services = names().iter().map(|name| compose(name, key.as_str())).collect();
        Contribution::Branch(Branch { key, services })
    }

    #[test]
    fn a_branch_for_which_there_is_no_room_changes_nothing_for_the_others() {
        let mut state = state();
        for number in 1..240 {
            state.put(&uid(number), branch(number));
        }
        assert!(!state.fit().is_empty(), "240 branches of 100 Services do not fit");
        let full = state.content.clone().expect("a table");
        assert!(full.json.len() > MAX_TABLE * 98 / 100);
        let error = state.take(&uid(900), branch(900)).expect_err("no room");
        assert!(matches!(error, RoutesError::TooLarge { .. }));
        assert_eq!(state.content.as_ref().map(|content| content.digest), Some(full.digest));
        state.take(&uid(1), Contribution::Nothing).expect("less always fits");
        state.take(&uid(900), branch(900)).expect("room for one more");
    }

    #[test]
    fn a_router_port_rests_after_its_service_left_it_and_only_then_is_it_anothers() {
        let service = |listen| {
            let port = RoutedPort { name: String::new(), port: 80, listen, app_protocol: None };
            RoutedService { baseline: format!("b{listen}"), ports: vec![port], affinity_seconds: None }
        };
        let base = |cart: u16| Base {
            marks: Marks { control_plane: "aaaaaaaaaaaaaaaa".parse().expect("legal"), uid: uid(0) },
            settings: Settings::default(),
            desired: [("cart".to_owned(), service(11_001)), ("new".to_owned(), service(11_000))].into(),
            standing: [("cart".to_owned(), Some(service(cart)))].into(),
            resting: BTreeMap::new(),
        };
        let (mut state, now) = (State::default(), Instant::now());
        let mut waits = |cart: u16, after: Duration| {
            let rested = state.rest(base(cart), now + after);
            state.all.base = Some(rested.clone());
            assert_eq!(rested.routed().contains_key("new"), rested.waits_for("new").is_none());
            rested.waits_for("new").map(str::to_owned)
        };
        assert_eq!(waits(11_000, Duration::ZERO).as_deref(), Some("cart"), "it stands there");
        assert_eq!(
            waits(11_001, Duration::from_secs(1)).as_deref(),
            Some("cart"),
            "it moved, and not every node knows"
        );
        assert_eq!(waits(11_001, Duration::from_secs(10)).as_deref(), Some("cart"), "and so it stays");
        assert_eq!(waits(11_001, Duration::from_secs(12)), None);
    }

    #[test]
    fn what_is_contributed_again_is_no_change() {
        let mut state = state();
        state.take(&uid(1), branch(1)).expect("it fits");
        let json = state.content.clone().expect("a table").json;
        state.take(&uid(1), branch(1)).expect("it fits");
        assert!(Arc::ptr_eq(&json, &state.content.clone().expect("a table").json), "nothing was written down anew");
        state.take(&uid(1), Contribution::Nothing).expect("it fits");
        assert!(!state.content.expect("a table").json.contains("abc234"));
    }
}
