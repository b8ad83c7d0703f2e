//! The cluster's network: a namespace for the cluster, one for the outside, a veth pair between them whose ends are both
//! inside, and a firewall that lets connections out of the cluster and none in. The host's namespace gets no address.

use std::ffi::OsString;
use std::net::Ipv4Addr;

use super::error::ClusterError;
use super::namespace::Namespace;
use super::process::{self, CommandLine};
use super::run_folder::ClusterName;

/// The node's address, at which the API server, the DNS server and the kubelet listen.
pub const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 201, 0, 2);
/// The address of the outside, as seen from the cluster's pods and node.
pub const OUT_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 201, 0, 1);
/// The name by which pods find the outside.
pub const OUT_NAME: &str = "out.lapdev.test";
/// The pods' addresses.
pub(super) const POD_RANGE: &str = "10.244.0.0/16";
/// The cluster's end of the veth pair.
const UPLINK: &str = "uplink";
/// The outside's end.
const DOWNLINK: &str = "cluster";

/// Made before kube-proxy's own rules, which would translate a connection to a NodePort before this sees it as input.
const FIREWALL: &str = r#"
table inet lapdev {
    chain input {
        type filter hook input priority -10; policy accept;
        iifname "uplink" ct state established,related accept
        iifname "uplink" counter drop
    }
    chain forward {
        type filter hook forward priority -10; policy accept;
        iifname "uplink" ct state established,related accept
        iifname "uplink" counter drop
    }
    chain leave {
        type nat hook postrouting priority 100; policy accept;
        ip saddr 10.244.0.0/16 oifname "uplink" masquerade
    }
}
"#;

/// The two namespaces of a cluster.
#[derive(Debug, Clone)]
pub(super) struct Network {
    pub cluster: Namespace,
    pub outside: Namespace,
}

impl Network {
    /// Makes both, joined and guarded.
    pub(super) async fn create(name: &ClusterName) -> Result<Self, ClusterError> {
        let network = Self { cluster: Namespace::of_cluster(name), outside: Namespace::outside(name) };
        let (cluster, outside) = (network.cluster.name(), network.outside.name());
        ip(&["netns", "add", cluster]).await?;
        ip(&["netns", "add", outside]).await?;
        ip(&["-n", outside, "link", "add", DOWNLINK, "type", "veth", "peer", "name", UPLINK, "netns", cluster]).await?;
        // The firewall stands before the link comes up.
        process::run(&CommandLine::new(&network.cluster.words(), "nft").args(["-f", "-"]), FIREWALL.as_bytes()).await?;
        for (namespace, link, address) in [(cluster, UPLINK, NODE_ADDRESS), (outside, DOWNLINK, OUT_ADDRESS)] {
            ip(&["-n", namespace, "address", "add", &format!("{address}/30"), "dev", link]).await?;
            ip(&["-n", namespace, "link", "set", "lo", "up"]).await?;
            ip(&["-n", namespace, "link", "set", link, "up"]).await?;
        }
        ip(&["-n", cluster, "route", "add", "default", "via", &OUT_ADDRESS.to_string()]).await?;
        Ok(network)
    }

    /// Cuts or mends the link between the cluster and the outside. While cut, packets vanish: no connection is reset.
    pub(super) async fn set_link(&self, up: bool) -> Result<(), ClusterError> {
        let state = if up { "up" } else { "down" };
        ip(&["-n", self.outside.name(), "link", "set", DOWNLINK, state]).await
    }
}

async fn ip(args: &[&str]) -> Result<(), ClusterError> {
    let none: [OsString; 0] = [];
    process::run(&CommandLine::new(&none, "ip").args(args), b"").await.map(drop)
}
