//! The routers of a namespace: which are ready, which ports they listen on, and whether they follow the table.

use super::{Core, behind::follows};
use crate::{
    object::label,
    observe::Observed,
    routes::{
        Token,
        admin::{self, AdminError, Router},
    },
};
use lapdev_api::{
    labels,
    name::Namespace,
    route::{self, TableInForce},
    words::error_chain,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// How often routers are asked while something waits for them.
const AGAIN: Duration = Duration::from_millis(100);
/// How long a branch's pods are kept for routers that do not say that they follow the table.
const FOLLOW: Duration = Duration::from_secs(5);

/// What the routers of a namespace say of themselves.
pub(super) struct Listening {
    /// The ports on which every router that answered listens; none where no router answered.
    ports: Option<BTreeSet<u16>>,
    /// Whether some of them still route by an older table.
    behind: bool,
    /// Why some did not answer.
    silent: Vec<AdminError>,
}

impl Listening {
    /// Why a Service cannot be switched to these ports yet; none when it can.
    pub(super) fn lacks(&self, wanted: &BTreeSet<u16>) -> Option<String> {
        match (&self.ports, self.silent.first()) {
            (Some(ports), _) if wanted.is_subset(ports) && self.behind => {
                Some("the routers do not go by the newest table yet".to_owned())
            }
            (Some(ports), _) if wanted.is_subset(ports) => None,
            (Some(_), _) => Some("the routers do not listen for it yet".to_owned()),
            (None, Some(error)) => Some(error_chain(error)),
            (None, None) => Some("no router is ready".to_owned()),
        }
    }
}

impl Core {
    /// The routers whose pods are ready, as the watches saw them.
    pub(super) fn ready_routers(&self, namespace: &Namespace) -> Vec<Router> {
        let pods = self.index.of_kind("", "Pod", namespace.as_str());
        let token = self.admin_key.token(namespace);
        pods.iter().filter_map(|(id, pod)| ready_router(&id.name, pod, &token)).collect()
    }

    /// Asks the ready routers on which ports they listen.
    pub(super) async fn listening(&self, namespace: &Namespace) -> Listening {
        let (routers, version) = (self.ready_routers(namespace), self.table_version(namespace));
        let mut listening = Listening { ports: None, behind: false, silent: Vec::new() };
        for answer in tables(&routers).await {
            match answer {
                Ok(table) => {
                    listening.behind |= version.as_ref().is_some_and(|version| !follows(&table, version));
                    let all = listening.ports.take().map_or(table.listening.clone(), |all| &all & &table.listening);
                    listening.ports = Some(all);
                }
                Err(error) => listening.silent.push(error),
            }
        }
        listening
    }

    /// Waits until the ready routers route by the table that was last written, or for as long as is reasonable: a router
    /// that cannot be asked must not keep a branch alive.
    pub(super) async fn routers_follow(&self, namespace: &Namespace) {
        let Some(version) = self.table_version(namespace) else { return };
        let begun = Instant::now();
        loop {
            let routers = self.ready_routers(namespace);
            let answers = tables(&routers).await;
            let behind = answers.iter().filter(|answer| !answer.as_ref().is_ok_and(|table| follows(table, &version)));
            let behind = behind.count();
            if behind == 0 {
                return;
            }
            if begun.elapsed() > FOLLOW {
                tracing::warn!(%namespace, behind, %version, "routers do not say that they follow the table; going on");
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Asks until `holds` or the time is over.
    pub(super) async fn listening_soon(
        &self,
        namespace: &Namespace,
        patience: Duration,
        holds: impl Fn(&Listening) -> bool,
    ) -> Listening {
        let begun = Instant::now();
        loop {
            let listening = self.listening(namespace).await;
            if holds(&listening) || listening.ports.is_none() || begun.elapsed() >= patience {
                return listening;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

pub(super) async fn tables(routers: &[Router]) -> Vec<Result<TableInForce, AdminError>> {
    admin::all(routers, |router| admin::get(router, route::admin::TABLE)).await
}

fn ready_router(name: &str, pod: &Observed, token: &Token) -> Option<Router> {
    if label(&pod.metadata, labels::ROUTER) != Some("true") || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let conditions = pod.rest.pointer("/status/conditions").and_then(Value::as_array)?;
    let ready = conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    let ip = pod.rest.pointer("/status/podIP").and_then(Value::as_str)?.parse().ok()?;
    ready.then(|| Router { pod: name.to_owned(), ip, token: token.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::AdminKey;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::json;

    fn pod(router: &str, ready: &str) -> Observed {
        let labels = [(labels::ROUTER.to_owned(), router.to_owned())].into();
        let conditions = json!([{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": ready}]);
        let status = json!({"status": {"podIP": "10.0.0.7", "conditions": conditions}});
        Observed::new(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }, status)
    }

    #[test]
    fn a_ready_pod_with_the_label_is_a_router() {
        let token = AdminKey::from_secret(b"x").token(&"shop".parse().expect("legal"));
        let ready_router = |pod: &Observed| ready_router("a", pod, &token);
        let router = Router { pod: "a".into(), ip: [10, 0, 0, 7].into(), token: token.clone() };
        assert_eq!(ready_router(&pod("true", "True")), Some(router));
        assert_eq!(ready_router(&pod("true", "False")), None);
        assert_eq!(ready_router(&pod("no", "True")), None);
        assert_eq!(ready_router(&Observed::new(pod("true", "True").metadata, Value::Null)), None);
    }

    #[test]
    fn a_switch_waits_for_all_that_answer_and_for_one_at_least() {
        let silent = || AdminError::Timeout { pod: "b".into() };
        let say = |ports: Option<&[u16]>, silent: Vec<AdminError>| {
            let ports = ports.map(|ports| ports.iter().copied().collect());
            Listening { ports, behind: false, silent }.lacks(&BTreeSet::from([1, 2]))
        };
        assert_eq!(say(Some(&[1, 2, 3]), vec![silent()]), None, "a node that hangs does not stop it");
        assert_eq!(say(Some(&[1]), vec![]).as_deref(), Some("the routers do not listen for it yet"));
        assert_eq!(say(None, vec![]).as_deref(), Some("no router is ready"));
        assert!(say(None, vec![silent()]).expect("waits").contains("router b did not answer"));
        let older = Listening { ports: Some(BTreeSet::from([1])), behind: true, silent: vec![] };
        assert!(older.lacks(&BTreeSet::from([1])).is_some(), "by an older one it may be another Service's port");
    }
}
