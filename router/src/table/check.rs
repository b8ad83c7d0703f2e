//! Reads a routing table and refuses one that no agent of ours writes, before any of it is in force. Pure.

use lapdev_api::route::{PORTS, RoutingTable, TABLE_KEY};
use std::collections::HashMap;

/// Why a routing table is not put in force.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Its ConfigMap has no such entry.
    #[error("the ConfigMap has no entry {TABLE_KEY:?}; the last good table stays in force")]
    Missing,
    /// It is no table at all.
    #[error("the routing table cannot be read; the last good one stays in force")]
    Json(#[source] serde_json::Error),
    /// A Service's router port is not one of the range.
    #[error(
        "the routing table has router port {listen} for service {service:?}, outside {}..{}; the last good one stays",
        PORTS.start, PORTS.end
    )]
    Port {
        /// The routed Service.
        service: String,
        /// The port.
        listen: u16,
    },
    /// Two ports of Services have one router port, so nobody could tell them apart.
    #[error("the routing table has router port {listen} for both {one:?} and {other:?}; the last good one stays")]
    Twice {
        /// The port.
        listen: u16,
        /// A routed Service.
        one: String,
        /// Another, or the same.
        other: String,
    },
    /// Two Services have the same baseline.
    #[error("the routing table has the baseline {baseline:?} for both {one:?} and {other:?}; the last good one stays")]
    Baseline {
        /// The Service with the endpoints.
        baseline: String,
        /// A routed Service.
        one: String,
        /// Another.
        other: String,
    },
}

/// The table that is written as `text`, the ConfigMap's entry.
///
/// # Errors
/// If it is no table, or one that cannot be meant.
pub fn read(text: Option<&str>) -> Result<RoutingTable, TableError> {
    let text = text.ok_or(TableError::Missing)?;
    let table: RoutingTable = serde_json::from_str(text).map_err(TableError::Json)?;
    check(&table)?;
    Ok(table)
}

/// Two ports of one Service may have one name: while its port changes, the old one still leads to its router port. They mean
/// the same endpoints.
fn check(table: &RoutingTable) -> Result<(), TableError> {
    let (mut ports, mut baselines) = (HashMap::new(), HashMap::new());
    for (service, routed) in &table.services {
        if let Some(one) = baselines.insert(&routed.baseline, service) {
            let (baseline, one, other) = (routed.baseline.clone(), one.clone(), service.clone());
            return Err(TableError::Baseline { baseline, one, other });
        }
        for port in &routed.ports {
            let listen = port.listen;
            if !PORTS.contains(&listen) {
                return Err(TableError::Port { service: service.clone(), listen });
            }
            if let Some(one) = ports.insert(listen, service) {
                return Err(TableError::Twice { listen, one: one.clone(), other: service.clone() });
            }
        }
    }
    Ok(())
}
