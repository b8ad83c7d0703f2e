//! Since when Services are routed that were not before: connections that were opened earlier go on to the pods directly,
//! and bypass every branch. Kept beside the table, since an agent may restart at any step of a take-over. Pure.

use super::{Base, Contributions};
use jiff::Timestamp;
use std::{collections::BTreeMap, fmt};

/// Each Service that was taken over late: when that was, or none while it is still to be. It is written down before the
/// Service is switched; an agent that dies in between finds it switched, and the time that it then writes is later than the
/// true one, so that what is said of it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Since(BTreeMap<String, Option<Timestamp>>);

impl Since {
    /// What follows from how Services are now.
    pub fn follow(&mut self, all: &Contributions, now: Timestamp) {
        let Some(base) = &all.base else { return };
        let switches = base.to_switch();
        self.0.retain(|name, _| base.desired.contains_key(name) && base.standing.contains_key(name));
        for (name, at) in &mut self.0 {
            if at.is_none() && !switches.contains_key(name.as_str()) {
                *at = Some(now);
            }
        }
        for name in switches.into_keys().filter(|name| is_unrouted(base, name)) {
            self.0.insert(name.to_owned(), None);
        }
    }

    /// When a Service was taken over, if it was late: none inside while it still waits.
    #[must_use]
    pub fn of(&self, service: &str) -> Option<Option<Timestamp>> {
        self.0.get(service).copied()
    }

    /// Reads what [`fmt::Display`] wrote.
    pub(super) fn from_json(text: &str) -> Self {
        // Somebody may have edited it: what it said is lost then, which changes no routing.
        Self(serde_json::from_str(text).unwrap_or_default())
    }
}

impl fmt::Display for Since {
    /// As JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?)
    }
}

fn is_unrouted(base: &Base, name: &str) -> bool {
    base.standing.get(name).is_some_and(Option::is_none)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{object::Marks, routes::Settings};
    use lapdev_api::route::{RoutedPort, RoutedService};

    fn state(desired: bool, standing: Option<bool>) -> Contributions {
        let port = RoutedPort { name: String::new(), port: 80, listen: 11_000, app_protocol: None };
        let service = RoutedService { baseline: "web--baseline".into(), ports: vec![port], affinity_seconds: None };
        let entry = |value| BTreeMap::from([("web".to_owned(), value)]);
        let base = Base {
            marks: Marks {
                control_plane: "aaaaaaaaaaaaaaaa".parse().expect("legal"),
                uid: "bbbbbbbbbbbbbbbb".parse().expect("legal"),
            },
            settings: Settings::default(),
            desired: if desired { BTreeMap::from([("web".to_owned(), service.clone())]) } else { BTreeMap::new() },
            standing: standing.map_or_else(BTreeMap::new, |routed| entry(routed.then_some(service))),
            resting: BTreeMap::new(),
        };
        Contributions { base: Some(base), branches: BTreeMap::new() }
    }

    #[test]
    fn a_late_take_over_is_known_before_and_after_it_and_forgotten_once_it_is_put_back() {
        let at = |second: i64| Timestamp::from_second(second).expect("in range");
        let mut since = Since::default();
        since.follow(&state(true, Some(false)), at(1));
        assert_eq!(since.of("web"), Some(None), "it waits");
        // An agent that died after the switch finds both.
        let mut since = Since::from_json(&since.to_string());
        since.follow(&state(true, Some(true)), at(2));
        assert_eq!(since.of("web"), Some(Some(at(2))));
        since.follow(&state(true, Some(true)), at(3));
        assert_eq!(since.of("web"), Some(Some(at(2))), "and not later each time");
        since.follow(&state(true, Some(false)), at(4));
        assert_eq!(since.of("web"), Some(None), "somebody took it back: its connections bypass again");
        since.follow(&state(false, Some(true)), at(5));
        assert_eq!(since.of("web"), None);
    }

    #[test]
    fn what_was_routed_from_its_creation_on_was_never_late() {
        let mut since = Since::default();
        since.follow(&state(true, None), Timestamp::UNIX_EPOCH);
        since.follow(&state(true, Some(true)), Timestamp::UNIX_EPOCH);
        assert_eq!(since.of("web"), None);
        assert_eq!(Since::from_json("x"), Since::default());
    }
}
