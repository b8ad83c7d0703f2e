//! Where a preview's request goes: the ClusterIP and port of a Service that a held bundle declares, remembered shortly.

use super::Core;
use crate::tunnel::DialRefused;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use lapdev_api::{bundle::DialTarget, kinds::Port, name::Uid};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an address is believed.
const FRESH: Duration = Duration::from_secs(5);
/// How many addresses are remembered.
const REMEMBERED: usize = 1024;

/// Addresses that were asked for lately.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<BTreeMap<DialTarget, (Instant, SocketAddr)>>);

impl Addresses {
    fn get(&self, target: &DialTarget) -> Option<SocketAddr> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(target).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, address)| *address)
    }

    fn put(&self, target: &DialTarget, address: SocketAddr) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, (at, _)| at.elapsed() < FRESH);
        }
        if known.len() < REMEMBERED {
            known.insert(target.clone(), (Instant::now(), address));
        }
    }
}

impl Core {
    pub(super) async fn address(&self, uid: &Uid, target: &DialTarget) -> Result<SocketAddr, DialRefused> {
        if !self.registry().declares(uid, target) {
            return Err(DialRefused::NotDeclared { uid: uid.clone(), target: target.clone() });
        }
        self.lookup(target).await
    }

    /// The address of a target that may be dialled.
    pub(super) async fn lookup(&self, target: &DialTarget) -> Result<SocketAddr, DialRefused> {
        if let Some(address) = self.previews.get(target) {
            return Ok(address);
        }
        let services = Api::<Service>::namespaced(self.api.client(), target.namespace.as_str());
        let attempt = || format!("read Service {}/{}", target.namespace, target.service);
        let found = self.api.call(attempt, services.get_opt(&target.service)).await;
        let found = found.map_err(|error| DialRefused::Unavailable(format!("{error}: {}", error.source)))?;
        let missing = || format!("there is no Service {}/{}", target.namespace, target.service);
        let service = found.ok_or_else(|| DialRefused::Unavailable(missing()))?;
        let address = dial(&service, target).map_err(DialRefused::Unavailable)?;
        self.previews.put(target, address);
        Ok(address)
    }
}

/// The address of a Service's port, or why it has none.
fn dial(service: &Service, target: &DialTarget) -> Result<SocketAddr, String> {
    let name = format!("Service {}/{}", target.namespace, target.service);
    let spec = service.spec.as_ref().ok_or_else(|| format!("{name} is empty"))?;
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    let ip: IpAddr = ip.parse().map_err(|_| format!("{name} has no address of its own (headless or ExternalName)"))?;
    let mut ports = spec.ports.iter().flatten();
    let port = match &target.port {
        Port::Number(number) => ports.find(|port| port.port == i32::from(*number)),
        Port::Name(wanted) => ports.find(|port| port.name.as_deref() == Some(wanted)),
    };
    let port = port.and_then(|port| u16::try_from(port.port).ok()).ok_or_else(|| match &target.port {
        Port::Number(number) => format!("{name} has no port {number}"),
        Port::Name(wanted) => format!("{name} has no port named {wanted:?}"),
    })?;
    Ok(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(ip: &str) -> Service {
        serde_json::from_value(json!({"spec": {"clusterIP": ip, "ports": [
            {"name": "http", "port": 80, "targetPort": 8080}, {"name": "grpc", "port": 9090}]}}))
        .expect("a Service")
    }

    fn target(port: Port) -> DialTarget {
        DialTarget { namespace: "n".parse().expect("legal"), service: "web".into(), port }
    }

    #[test]
    fn ports_are_found_by_number_and_by_name() {
        let at = |port: Port| dial(&service("10.0.0.7"), &target(port));
        assert_eq!(at(Port::Number(80)), Ok("10.0.0.7:80".parse().expect("an address")));
        assert_eq!(at(Port::Name("grpc".into())), Ok("10.0.0.7:9090".parse().expect("an address")));
        assert_eq!(at(Port::Number(8080)), Err("Service n/web has no port 8080".into()), "the target's is not ours");
        assert!(at(Port::Name("x".into())).is_err());
        assert!(dial(&service("None"), &target(Port::Number(80))).expect_err("headless").contains("headless"));
        assert!(dial(&service("fd00::1"), &target(Port::Number(80))).expect("IPv6").is_ipv6());
    }
}
