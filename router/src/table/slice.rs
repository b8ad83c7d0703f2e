//! An EndpointSlice, cut down to what routing needs as soon as it is received. Pure.

use super::{Address, Readiness};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use std::sync::Arc;

const SERVICE: &str = "kubernetes.io/service-name";

/// The TCP ports and addresses that one EndpointSlice names for a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The slice's own name.
    pub name: Arc<str>,
    /// The Service that it belongs to.
    pub service: Arc<str>,
    /// Port names (empty for the unnamed one) and numbers.
    pub ports: Box<[(Box<str>, u16)]>,
    /// Addresses that are ready or leaving; others are as good as absent.
    pub addresses: Box<[Address]>,
}

impl Slice {
    /// What of `slice` counts; none where it belongs to no Service. A slice of host names has no address here.
    #[must_use]
    pub fn of(slice: &EndpointSlice) -> Option<Self> {
        let service = slice.metadata.labels.as_ref()?.get(SERVICE)?;
        let ports = slice.ports.iter().flatten().filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP");
        let ports = ports.filter_map(|port| {
            let number = u16::try_from(port.port?).ok().filter(|number| *number != 0)?;
            Some((port.name.as_deref().unwrap_or_default().into(), number))
        });
        Some(Self {
            name: slice.metadata.name.as_deref()?.into(),
            service: service.as_str().into(),
            ports: ports.collect(),
            addresses: slice.endpoints.iter().flat_map(addresses).collect(),
        })
    }

    /// The number of the port of this name.
    #[must_use]
    pub fn port(&self, name: &str) -> Option<u16> {
        self.ports.iter().find(|(of, _)| **of == *name).map(|(_, number)| *number)
    }
}

fn addresses(endpoint: &Endpoint) -> impl Iterator<Item = Address> {
    let is = endpoint.conditions.as_ref();
    let readiness =
        Readiness::of(is.and_then(|is| is.ready), is.and_then(|is| is.serving), is.and_then(|is| is.terminating));
    // All addresses of one endpoint are the same pod's; kube-proxy too uses the first alone.
    let ip = endpoint.addresses.first().and_then(|address| address.parse().ok());
    ip.filter(|_| readiness != Readiness::Unready).map(|ip| Address { ip, readiness }).into_iter()
}
