//! What every request and session shares.

use crate::{agents::Agents, gateway::Hosts, metrics::Metrics, settings::HubSettings};
use lapdev_store::Store;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The hub's state. Everything lasting is in the store; this is what one process keeps.
pub(crate) struct Hub {
    pub(crate) settings: HubSettings,
    pub(crate) store: Store,
    pub(crate) agents: Agents,
    pub(crate) hosts: Hosts,
    pub(crate) metrics: Metrics,
    /// What `/api/v1` and `/metrics` ask for.
    pub(crate) admin_token: String,
    /// Signs the links of previews.
    pub(crate) link_secret: [u8; 32],
    /// Ends sessions with "restart". Comes after requests that are under way had their time.
    pub(crate) ending: CancellationToken,
    /// Sessions, and what their connections run.
    pub(crate) sessions: TaskTracker,
}
