//! The messages inside the tunnel (`lapdev.v1`): HTTP/2 over one WebSocket, the control plane being the h2 client.
//!
//! Authority [`AUTHORITY`]: `POST /control` is one long-lived exchange of JSON lines, [`HubMessage`] in the request's
//! body and [`AgentMessage`] in the response's; `PUT /bundles/{sha256}` brings one bundle, gzip-encoded, and is
//! answered 204, or 422 when the digest is not that of the decoded bytes; `GET /inventory` is answered with an
//! [`Inventory`]; `POST /trace` sends a probe. Any other request that carries
//! [`FORWARD_HEADER`] (`<uid>/<namespace>/<service>/<port>`) is a preview's and goes to that service, if a bundle which
//! the agent holds declares it; else 403.
//!
//! Order: hub sends `Welcome`; agent answers `Hello` with what it holds; hub then sends `Assign` or `Tombstone` for
//! everything that differs, `Synced`, and goes on as things change. Absence deletes nothing.

use crate::{
    bundle::Identity,
    digest::Digest,
    name::{ControlPlaneId, Generation, Namespace, Uid},
    status::EnvironmentStatus,
};
use serde::{Deserialize, Serialize};

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "lapdev.v1";
/// Where the control plane accepts the tunnel.
pub const TUNNEL_PATH: &str = "/api/v1/tunnel";
/// The protocol's version; a hub and an agent that differ in it do not talk.
pub const PROTOCOL: u32 = 1;
/// The authority of requests to the agent itself.
pub const AUTHORITY: &str = "agent.lapdev.internal";
/// Marks a preview's request and names its target.
pub const FORWARD_HEADER: &str = "lapdev-forward";
/// Marks an answer as the agent's own, not the application's, and says why in one word.
pub const ERROR_HEADER: &str = "lapdev-error";
/// Path of the control stream.
pub const CONTROL_PATH: &str = "/control";
/// Bundles are put below this path, by digest.
pub const BUNDLES_PATH: &str = "/bundles/";
/// Path of the [`Inventory`].
pub const INVENTORY_PATH: &str = "/inventory";
/// Where a probe is asked for: `POST` [`crate::route::TraceRequest`], answered with [`crate::route::TraceReport`].
pub const TRACE_PATH: &str = "/trace";
/// Header of the WebSocket upgrade: the agent's Lease epoch (`leaseTransitions`).
pub const EPOCH_HEADER: &str = "lapdev-epoch";
/// Header of the WebSocket upgrade: the agent's version.
pub const VERSION_HEADER: &str = "lapdev-agent-version";
/// Both sides send a ping this often, in seconds, and end a connection that was silent for three times as long.
pub const HEARTBEAT_SECONDS: u64 = 20;
/// The largest JSON line on the control stream, in bytes.
pub const MAX_LINE: usize = 4 << 20;
/// The largest bundle, in bytes of canonical JSON.
pub const MAX_BUNDLE: usize = 64 << 20;

/// WebSocket close codes.
pub mod close {
    /// The control plane restarts: connect again within a random 0–2 s.
    pub const RESTART: u16 = 1012;
    /// Another agent of this cluster has a newer Lease epoch: stand by.
    pub const STAND_BY: u16 = 4001;
    /// The token was revoked.
    pub const REVOKED: u16 = 4003;
    /// The protocol's versions differ; the close reason says which is needed.
    pub const PROTOCOL: u16 = 4004;
}

/// What the hub says on the control stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum HubMessage {
    /// First of all.
    Welcome {
        /// Must equal [`PROTOCOL`].
        protocol: u32,
        /// Whose objects the agent looks after in this session.
        #[serde(rename = "controlPlane")]
        control_plane: ControlPlaneId,
        /// The cluster's namespace prefix, and `sourceNamespaces`.
        policy: ClusterPolicy,
    },
    /// This environment should be so. The bundle comes by `PUT` when the agent answers `Need`.
    Assign(Assignment),
    /// This environment ended; everything of it goes.
    Tombstone {
        /// Which.
        uid: Uid,
        /// Newer than any assignment's.
        generation: Generation,
        /// Why, for the agent's log and events.
        evidence: String,
    },
    /// Everything that differed at `Hello` has been said.
    Synced,
}

/// What git permits an agent, as its `Cluster` says.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterPolicy {
    /// Namespaces that lapdev owns begin with this.
    pub namespace_prefix: String,
    /// Unmanaged namespaces that may be read.
    pub source_namespaces: Vec<Namespace>,
}

/// The desired state of one environment, by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// Which.
    pub uid: Uid,
    /// An older one than the agent holds is refused.
    pub generation: Generation,
    /// The bundle's.
    pub digest: Digest,
}

/// What the agent says on the control stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum AgentMessage {
    /// Answers `Welcome`: everything that the agent holds of this control plane.
    Hello {
        /// Must equal [`PROTOCOL`].
        protocol: u32,
        /// `CARGO_PKG_VERSION` of the agent.
        version: String,
        /// `gitVersion` of the cluster's API server.
        kubernetes: String,
        /// Each environment that it holds.
        held: Vec<Held>,
    },
    /// The agent has no bundle of this digest.
    Need {
        /// Whose.
        digest: Digest,
    },
    /// An environment's status changed.
    Status(EnvironmentStatus),
    /// Everything of a tombstoned environment is gone from the cluster.
    Gone {
        /// Which.
        uid: Uid,
        /// The tombstone's.
        generation: Generation,
    },
    /// The answer to a tombstone or assignment of an older generation than the agent holds.
    Refused {
        /// Which.
        uid: Uid,
        /// What the agent holds.
        held: Generation,
    },
}

/// One environment that an agent holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// What it is.
    pub identity: Identity,
    /// Its namespace.
    pub namespace: Namespace,
    /// What the agent last accepted.
    pub generation: Generation,
    /// The bundle of that generation; none when the agent no longer has its bytes.
    pub digest: Option<Digest>,
    /// If the control plane said that it ended: the evidence, in the words of the tombstone. The agent removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

/// Answers `GET /inventory`: what a cluster really holds of this control plane.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// Each environment that the agent holds.
    pub held: Vec<InventoryItem>,
    /// Objects that carry the control plane's label, but of no environment that the agent holds.
    pub orphans: Vec<OrphanObject>,
}

/// One environment in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryItem {
    /// Which.
    pub uid: Uid,
    /// What the agent last accepted.
    pub generation: Generation,
    /// What the agent last applied in full.
    pub digest: Option<Digest>,
    /// How many objects of it the API server lists.
    pub objects: u64,
}

/// An object that nobody answers for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrphanObject {
    /// Its kind, with its group (`Deployment.apps`).
    pub kind: String,
    /// Its namespace; none of a namespace itself.
    pub namespace: Option<Namespace>,
    /// Its name.
    pub name: String,
    /// The uid in its environment label, as it is.
    pub environment: Option<String>,
}
