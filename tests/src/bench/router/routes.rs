//! What the agent and Kubernetes would write for a router: the routing table, and the EndpointSlices of the baselines and of
//! each branch's copies.

use super::ground::{BASELINE, BRANCH, KEY};
use crate::stage::Error;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{core::v1::ConfigMap, core::v1::Namespace, discovery::v1::EndpointSlice};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use lapdev_api::{
    key::EnvironmentKey,
    route::{RoutedPort, RoutedService, RoutingTable, TABLE_KEY, TABLE_NAME},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::SocketAddr};

/// Requests to the API server at once.
const AT_ONCE: usize = 16;
const PORT_NAME: &str = "http";

/// The routes of one Kubernetes namespace.
pub struct Routes {
    client: Client,
    namespace: String,
    table: RoutingTable,
}

impl Routes {
    /// Writes a table of so many services, each of which so many branches run, [`KEY`] among them. The first service's
    /// router port is `first`, and so on.
    pub async fn write(
        client: Client,
        namespace: &str,
        first: u16,
        services: u16,
        branches: usize,
    ) -> Result<Self, Error> {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let object = serde_json::from_value(json!({"metadata": {"name": namespace}}))?;
        namespaces.create(&PostParams::default(), &object).await?;
        let named: Vec<(String, u16)> = (0..services).map(|n| (format!("service-{n}"), first + n)).collect();
        let keys = (1..branches).map(|n| format!("branch-{n}-abc234")).chain([KEY.to_owned()]);
        let keys = keys.map(|key| Ok(key.parse::<EnvironmentKey>()?)).collect::<Result<Vec<_>, Error>>()?;
        let all: BTreeSet<String> = named.iter().map(|(name, _)| name.clone()).collect();
        let table = RoutingTable {
            served_by: true,
            hold_seconds: 10,
            services: named.iter().map(|(name, listen)| (name.clone(), routed(name, *listen))).collect(),
            branches: keys.iter().map(|key| (key.clone(), all.clone())).collect(),
        };
        let routes = Self { client, namespace: namespace.to_owned(), table };
        let baselines = named.iter().map(|(name, _)| slice(&routed(name, 0).baseline, BASELINE));
        let copies =
            keys.iter().flat_map(|key| all.iter().map(|name| slice(&RoutedService::of_branch(name, key), BRANCH)));
        routes.create(baselines.chain(copies).collect()).await?;
        routes.publish(TABLE_NAME).await?;
        Ok(routes)
    }

    async fn create(&self, slices: Vec<Value>) -> Result<(), Error> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &self.namespace);
        let parameters = PostParams::default();
        stream::iter(slices)
            .map(async |slice| Ok(api.create(&parameters, &serde_json::from_value(slice)?).await.map(drop)?))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Writes the table into a ConfigMap of that name.
    async fn publish(&self, name: &str) -> Result<(), Error> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let text = serde_json::to_string(&self.table)?;
        let map =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {TABLE_KEY: text}});
        api.patch(name, &PatchParams::apply("bench").force(), &Patch::Apply(map)).await?;
        Ok(())
    }

    /// Opens a branch, or closes it if it is open, and writes the table: into the ConfigMap that routers watch, or, with
    /// `seen` false, into another one, which costs the API server the same.
    pub async fn turn_over(&mut self, number: usize, seen: bool) -> Result<(), Error> {
        let key: EnvironmentKey = format!("turn-{number}-abc234").parse()?;
        if self.table.branches.remove(&key).is_none() {
            let all = self.table.services.keys().cloned().collect();
            self.table.branches.insert(key, all);
        }
        self.publish(if seen { TABLE_NAME } else { "lapdev-unseen" }).await
    }
}

fn routed(name: &str, listen: u16) -> RoutedService {
    let port = RoutedPort { name: PORT_NAME.to_owned(), port: 80, listen, app_protocol: None };
    RoutedService { baseline: format!("{name}--baseline"), ports: vec![port], affinity_seconds: None }
}

/// The one EndpointSlice of a Service, with one ready endpoint.
fn slice(service: &str, at: SocketAddr) -> Value {
    json!({
        "metadata": {"name": format!("{service}-s"), "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [at.ip()], "conditions": {"ready": true, "serving": true, "terminating": false}}],
        "ports": [{"name": PORT_NAME, "port": at.port(), "protocol": "TCP"}],
    })
}
