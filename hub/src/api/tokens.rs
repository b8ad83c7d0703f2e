//! Agents' tokens: made for a declared cluster, shown once, revoked by id. Sessions watch the store and end by themselves.

use super::answers::Failure;
use crate::hub::Hub;
use jiff::Timestamp;
use lapdev_api::{name::ClusterName, view::TokenView};

/// Makes one; the secret is in this answer only.
pub(super) async fn create(hub: &Hub, name: &str) -> Result<TokenView, Failure> {
    let cluster: ClusterName = name.parse()?;
    declared(hub, &cluster).await?;
    let token = hub.store.create_token(&cluster, Timestamp::now()).await?;
    tracing::info!(%cluster, id = token.id, "made a token for an agent");
    Ok(token)
}

/// A cluster's tokens, without their secrets.
pub(super) async fn list(hub: &Hub, name: &str) -> Result<Vec<TokenView>, Failure> {
    let cluster: ClusterName = name.parse()?;
    let tokens = hub.store.list_tokens(&cluster).await?;
    // A cluster that git no longer declares may still have some, to be revoked.
    if tokens.is_empty() {
        declared(hub, &cluster).await?;
    }
    Ok(tokens)
}

async fn declared(hub: &Hub, cluster: &ClusterName) -> Result<(), Failure> {
    let clusters = hub.store.clusters().await?;
    if clusters.iter().any(|declared| declared.name == *cluster) {
        return Ok(());
    }
    let known = clusters.iter().map(|declared| declared.name.as_str());
    Err(Failure::not_found("cluster", cluster.as_str(), known, "lapdev get clusters"))
}

/// Ends one, and the session that was opened with it.
pub(super) async fn revoke(hub: &Hub, name: &str, id: &str) -> Result<(), Failure> {
    let cluster: ClusterName = name.parse()?;
    if !hub.store.revoke_token(&cluster, id).await? {
        return Err(Failure::not_found("token", id, [], format!("lapdev token list {cluster}")));
    }
    tracing::info!(%cluster, id, "revoked an agent's token");
    Ok(())
}
